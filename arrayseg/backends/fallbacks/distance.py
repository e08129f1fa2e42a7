"""Exact Euclidean distance transform in functions of the standard, one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod

from arrayseg._typing import Array
from arrayseg.backends.axes import move_axis
from arrayseg.backends.part import Adapter

__all__ = ["separable_distance_transform"]

# Largest broadcast sum of a whole array and a strip of distances along an axis, in numbers.
STRIP_SIZE = 2**24


def separable_distance_transform(adapter: Adapter, mask: Array, spacing: Sequence[float]) -> Array:
    """Return the distance of each True element to the nearest False one along the last `len(spacing)` axes."""
    xp, device = adapter.xp, adapter.device(mask)
    squared = xp.astype(mask, adapter.sum_dtype(mask))
    squared = xp.where(mask, xp.full_like(squared, inf), xp.zeros_like(squared))
    whole = not adapter.is_concrete(mask)
    for axis, step in zip(range(mask.ndim - len(spacing), mask.ndim), spacing, strict=True):
        index = xp.arange(mask.shape[axis], dtype=squared.dtype, device=device)
        costs = ((index[:, None] - index[None, :]) * step) ** 2
        squared = move_axis(_lower_envelope(adapter, move_axis(squared, axis, -1, xp), costs, whole), -1, axis, xp)
    return xp.sqrt(squared)


def _lower_envelope(adapter: Adapter, squared: Array, costs: Array, whole: bool) -> Array:
    """Return `out[..., i] = min_j squared[..., j] + costs[i, j]`.

    A compiler fuses the sum and its minimum and stores no sum (`whole`). Otherwise the sums of a few i at a time are
    stored.
    """
    xp, length = adapter.xp, costs.shape[0]
    rows = max(1, length if whole else min(length, STRIP_SIZE // max(1, prod(squared.shape))))
    strips = [
        xp.min(squared[..., None, :] + costs[start : min(start + rows, length), :], axis=-1)
        for start in range(0, length, rows)
    ]
    return xp.concat(strips, axis=-1) if strips else squared
