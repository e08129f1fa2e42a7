"""Comparison and conversion of integer and boolean labels."""

from __future__ import annotations

from arrayseg._typing import Array
from arrayseg.backends.part import Adapter

__all__ = ["equals", "holds", "to_signed"]


def holds(adapter: Adapter, labels: Array, number: int) -> bool:
    """Return whether the dtype of labels, integer or boolean, can represent a whole number."""
    if adapter.xp.isdtype(labels.dtype, "bool"):
        return number in (0, 1)
    limits = adapter.xp.iinfo(labels.dtype)
    return bool(limits.min <= number <= limits.max)


def equals(adapter: Adapter, labels: Array, number: int) -> Array:
    """Return where labels, integer or boolean, equal a whole number; nowhere if their dtype cannot represent it.

    Libraries disagree on that case: uint8 compared with -1 is an error, true for 255, or false.
    """
    xp = adapter.xp
    if not holds(adapter, labels, number):
        return xp.zeros(labels.shape, dtype=xp.bool, device=adapter.device(labels))
    if xp.isdtype(labels.dtype, "bool"):
        return labels == bool(number)
    # JAX reads a Python number as int32, so the number becomes an array first.
    return labels == xp.full((), number, dtype=labels.dtype, device=adapter.device(labels))


def to_signed(adapter: Adapter, labels: Array) -> Array:
    """Convert labels of any integer dtype, or booleans as 0 and 1, to a signed dtype that holds them all."""
    xp = adapter.xp
    small = xp.isdtype(labels.dtype, "bool") or xp.iinfo(labels.dtype).max < 2**31
    return xp.astype(labels, xp.int32 if small else adapter.count_dtype(labels), copy=False)
