"""The type names the annotations use; all of them are plain aliases at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

Array: TypeAlias = Any
"""An array of any library that follows the Python Array API standard."""

Namespace: TypeAlias = Any
"""The module of array functions that belongs to an array: `xp` in the code."""

DType: TypeAlias = Any
"""A dtype object of the array's own library."""

Weights: TypeAlias = Array | Sequence[float]
"""An array, or a sequence of Python numbers that becomes one on the input's device."""

Activation: TypeAlias = Literal["softmax", "sigmoid"] | None
Reduction: TypeAlias = Literal["mean", "sum", "none"]
Denominator: TypeAlias = Literal["weights", "valid", "all", "elements", "positives"]
Pool: TypeAlias = Literal["image", "batch", "micro", "all"]
SmoothForm: TypeAlias = Literal["double", "tp"]
Absent: TypeAlias = Literal["keep", "zero", "exclude"]
SoftTruePositive: TypeAlias = Literal["product", "l1", "l2"]
WeightNorm: TypeAlias = Literal["sum"] | None
Spacing: TypeAlias = float | Sequence[float]
"""The distance between neighbors, along every spatial axis or along each."""
