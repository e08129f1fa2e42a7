"""Stable descending order, and counts along it."""

from __future__ import annotations

from arrayseg._typing import Array
from arrayseg.backends.part import Part

__all__ = ["Sorting"]


class Sorting(Part):
    """Sorting in one library, written in functions of the Array API standard."""

    def argsort_descending(self, array: Array, /) -> Array:
        """Return the stable descending order along the last axis: ties keep their positions."""
        return self.xp.argsort(array, axis=-1, descending=True, stable=True)

    def place(self, values: Array, order: Array, /) -> Array:
        """Undo an order of the last axis: put element k of the values at position `order[k]`."""
        return self.xp.take_along_axis(values, self.xp.argsort(order, axis=-1), axis=-1)

    def cumulative_count(self, mask: Array, /) -> Array:
        """Count the true elements up to each index of the last axis, as int32."""
        xp = self.xp
        return xp.cumulative_sum(xp.astype(mask, xp.int32), axis=-1, dtype=xp.int32)
