"""No number drifts unnoticed: losses, gradients and metrics on NumPy in float64 are those that the records hold.

`python tests/test_golden.py` records a new case, or a change of a formula that is meant, which the changelog names.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import LIBRARIES

from arrayseg import value_and_grad
from arrayseg.testing import loss_cases, metric_cases

LOSS_RECORD = Path(__file__).with_name("golden.json")
METRIC_RECORD = Path(__file__).with_name("golden_metrics.json")
LOSSES = {case.name: case for case in loss_cases()}
METRICS = {case.name: case for case in metric_cases()}
#: Relative and absolute difference between two builds of NumPy on two processors.
ROUNDING = {"rel": 1e-11, "abs": 1e-13}
#: The arrays of more elements than this are recorded by two sums, the others as they are.
MOST_ELEMENTS = 16

on_numpy = pytest.mark.skipif(
    "numpy" not in LIBRARIES, reason="recorded on NumPy, with which every library is compared"
)


def sums(array) -> list[float]:
    """Return the sum of an array with fixed weights, and its length."""
    probe = np.random.default_rng(7).normal(size=array.shape)
    return [float(np.sum(array * probe)), float(np.sqrt(np.sum(array**2)))]


def loss_numbers(case) -> list[float]:
    """Return the value, and the gradient's two sums."""
    value, gradient = value_and_grad(case.function)(case.input, case.target, **case.options)
    return [float(value), *sums(gradient)]


def metric_numbers(case) -> list[float]:
    """Return the elements of the small arrays of a result, and the two sums of the others, in their order."""

    def arrays(result):
        if isinstance(result, dict):
            result = tuple(result.values())
        if isinstance(result, tuple | list):
            return [array for part in result for array in arrays(part)]
        return [] if result is None else [np.asarray(result, dtype=float)]

    numbers = []
    for array in arrays(case.function(case.input, case.target)):
        numbers += array.ravel().tolist() if array.size <= MOST_ELEMENTS else sums(array)
    return numbers


RECORDS = [(LOSS_RECORD, LOSSES, loss_numbers), (METRIC_RECORD, METRICS, metric_numbers)]


@pytest.mark.parametrize(("record", "cases", "numbers"), RECORDS, ids=["losses", "metrics"])
def test_every_case_is_recorded(record, cases, numbers):
    assert set(json.loads(record.read_text(encoding="utf-8"))) == set(cases)


@on_numpy
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_those_recorded(name):
    recorded = json.loads(LOSS_RECORD.read_text(encoding="utf-8"))[name]
    assert loss_numbers(LOSSES[name]) == pytest.approx(recorded, **ROUNDING)


@on_numpy
@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_those_recorded(name):
    recorded = json.loads(METRIC_RECORD.read_text(encoding="utf-8"))[name]
    assert metric_numbers(METRICS[name]) == pytest.approx(recorded, nan_ok=True, **ROUNDING)


if __name__ == "__main__":
    for record, cases, numbers in RECORDS:
        recorded = json.loads(record.read_text(encoding="utf-8"))
        found = {name: numbers(case) for name, case in sorted(cases.items())}
        for name in found.keys() & recorded.keys():  # of equal numbers the record keeps its digits
            if found[name] == pytest.approx(recorded[name], nan_ok=True, **ROUNDING):
                found[name] = recorded[name]
        lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in found.items()]
        record.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
