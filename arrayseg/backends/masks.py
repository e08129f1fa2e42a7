"""Distances and connected components of masks."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from arrayseg._typing import Array
from arrayseg.backends.fallbacks.components import propagated_components
from arrayseg.backends.fallbacks.distance import separable_distance_transform
from arrayseg.backends.labels import equals
from arrayseg.backends.part import Adapter, Part

__all__ = ["Masks", "select"]


class Masks(Part):
    """Operations on masks in one library, written in functions of the Array API standard."""

    def distance_transform(self, mask: Array, /, *, spacing: Sequence[float]) -> Array:
        """Return the exact Euclidean distance of each True element to the nearest False one; 0 at False elements.

        `spacing` gives the distance between neighbors along each of the last axes; the axes before are a batch. The
        distance is inf if nothing is False. Its dtype is `sum_dtype`.
        """
        return separable_distance_transform(self.adapter, mask, spacing)

    def nearest_distances(self, points: Array, surface: Array, /, *, spacing: Sequence[float]) -> Array:
        """Return the Euclidean distance of each True element of `points` to the nearest True one of `surface`.

        The elements are chosen as `select` does.
        """
        return select(self.adapter, self.distance_transform(~surface, spacing=spacing), points)

    def connected_components(self, mask: Array, /, *, connectivity: int) -> Array:
        """Label the components from 1, in the order of their first elements, as int32; 0 at False elements.

        Elements are neighbors if they differ by at most 1 in at most `connectivity` coordinates: 1 (4 neighbors in the
        plane, 6 in space) to the number of axes (8, 26).
        """
        return propagated_components(self.adapter, mask, connectivity)

    def label_components(self, labels: Array, /, *, connectivity: int) -> Array:
        """Label the `connected_components` of every label except 0, label by label in ascending order.

        The labels are concrete.
        """
        xp, adapter = self.xp, self.adapter
        numbers = xp.zeros(labels.shape, dtype=xp.int32, device=adapter.device(labels))
        for value in adapter.to_numpy(xp.unique_values(labels)).tolist():
            if value != 0:
                part = self.connected_components(equals(adapter, labels, value), connectivity=connectivity)
                numbers = xp.where(part > 0, part + xp.max(numbers), numbers)
        return numbers


def select(adapter: Adapter, array: Array, mask: Array) -> Array:
    """Return the elements at which a mask is True, in row-major order.

    Under a compiler, where no shape may depend on values, return all of them, with nan where the mask is False.
    """
    xp = adapter.xp
    if adapter.is_concrete(array, mask) and xp.__array_namespace_info__().capabilities()["boolean indexing"]:
        return array[mask]
    return xp.reshape(xp.where(mask, array, xp.full_like(array, nan)), (-1,))
