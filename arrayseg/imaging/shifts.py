"""Shift, slice and pad arrays along several axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import EllipsisType

import array_api_extra

from arrayseg._typing import Array, Namespace
from arrayseg.backends.axes import shift

__all__ = ["Box", "box", "neighbors_at", "padded"]

Box = tuple[EllipsisType | slice, ...]
"""The index of a box in the last axes of an array."""


def box(starts: Iterable[int], lengths: Iterable[int]) -> Box:
    """Return the index of the elements from `start` on along each of the last axes."""
    return (..., *(slice(start, start + length) for start, length in zip(starts, lengths, strict=True)))


def neighbors_at(array: Array, offset: Sequence[int], xp: Namespace, *, fill: float | None = 0) -> Array:
    """Return for each element its neighbor at an offset along the last axes.

    Beyond the edge the neighbor is `fill`, or with None the element at the edge.
    """
    for axis, step in enumerate(offset, start=array.ndim - len(offset)):
        array = shift(array, axis, -step, xp, fill=fill)
    return array


def padded(array: Array, fill: float, axes: Sequence[int], xp: Namespace) -> Array:
    """Return the array with one layer of `fill` around it along some axes."""
    widths = [(1, 1) if axis in axes else (0, 0) for axis in range(array.ndim)]
    return array_api_extra.pad(array, widths, constant_values=fill, xp=xp)
