"""Compare backends: list the installed ones, run the same case on each, and check parity and gradients."""

from arrayseg.testing._backends import Library, asarray, installed, to_numpy
from arrayseg.testing._cases import Case, loss_cases
from arrayseg.testing._gradients import assert_gradient, finite_differences
from arrayseg.testing._metric_cases import metric_cases
from arrayseg.testing._parity import TOLERANCES, Record, assert_parity, relative_difference, validate

__all__ = [
    "TOLERANCES",
    "Case",
    "Library",
    "Record",
    "asarray",
    "assert_gradient",
    "assert_parity",
    "finite_differences",
    "installed",
    "loss_cases",
    "metric_cases",
    "relative_difference",
    "to_numpy",
    "validate",
]
