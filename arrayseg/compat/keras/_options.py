"""What the options of Keras's losses mean here."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, TypeAlias

from arrayseg._typing import Array, Pool, Reduction

__all__ = ["EPSILON", "KerasReduction", "our_reduction", "pool_over"]

#: What Keras adds to denominators.
EPSILON = 1e-7

KerasReduction: TypeAlias = Literal["sum_over_batch_size", "sum", "none"] | None


def our_reduction(reduction: KerasReduction) -> Reduction:
    """Return our name of a reduction."""
    return "mean" if reduction == "sum_over_batch_size" else "sum" if reduction == "sum" else "none"


def pool_over(input: Array, axis: int | Sequence[int] | None) -> Pool:
    """Return our `pool` for the axes over which Keras sums."""
    axes: Any = range(input.ndim) if axis is None else [axis] if isinstance(axis, Integral) else axis
    pools: dict[tuple[bool, bool], Pool] = {
        (True, True): "all",
        (True, False): "batch",
        (False, True): "micro",
        (False, False): "image",
    }
    summed = {axis % input.ndim for axis in axes}
    if not summed.issuperset(range(1, input.ndim - 1)):
        msg = f"`axis` must contain all spatial axes, {list(range(1, input.ndim - 1))}; got {axis!r}."
        raise ValueError(msg)
    return pools[0 in summed, input.ndim - 1 in summed]
