"""Image-segmentation losses and metrics with the same numbers and gradients on NumPy, CuPy, PyTorch and JAX."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from arrayseg import class_weights, distance_maps, losses, metrics, profiling
from arrayseg.losses._api import grad, value_and_grad

if TYPE_CHECKING:
    from arrayseg import compat

__all__ = ["class_weights", "compat", "distance_maps", "grad", "losses", "metrics", "profiling", "value_and_grad"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # The presets of thirty libraries would double the import time, so they are imported on first use.
    if name == "compat":
        return import_module("arrayseg.compat")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
