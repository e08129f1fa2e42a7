"""Type aliases for annotations."""

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
"""An array, or a sequence of Python numbers that is converted to an array on the device of the input."""

Activation: TypeAlias = Literal["softmax", "sigmoid"] | None
Reduction: TypeAlias = Literal["mean", "sum", "none"]
Denominator: TypeAlias = Literal["weights", "valid", "all", "elements", "positives"]
Pool: TypeAlias = Literal["image", "batch", "micro", "all"]
SmoothForm: TypeAlias = Literal["double", "tp"]
AbsentTarget: TypeAlias = Literal["keep", "zero", "exclude"]
"""What a class without a target pixel adds to a loss: its loss, 0, or nothing."""
SoftTruePositive: TypeAlias = Literal["product", "l1", "l2"]
WeightNorm: TypeAlias = Literal["sum"] | None
Spacing: TypeAlias = float | Sequence[float]
"""The distance between neighbors: one number for all spatial axes or one per axis."""
