"""Image-segmentation losses and metrics with the same numbers and gradients on NumPy, CuPy, PyTorch and JAX."""

from arrayseg import class_weights, compat, fields, losses, metrics, profiling
from arrayseg.losses._evaluate import grad, value_and_grad

__all__ = ["class_weights", "compat", "fields", "grad", "losses", "metrics", "profiling", "value_and_grad"]
__version__ = "0.1.0"
