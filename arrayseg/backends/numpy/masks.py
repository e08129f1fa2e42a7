"""Distances and connected components of NumPy masks, by SciPy if it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from arrayseg._typing import Array
from arrayseg.backends.masks import Masks
from arrayseg.backends.numpy.nearest import nearest_distances
from arrayseg.backends.numpy.runs import joined_runs

__all__ = ["NumpyMasks"]


class NumpyMasks(Masks):
    """Operations on masks on the CPU."""

    def distance_transform(self, mask: Array, /, *, spacing: Sequence[float]) -> Array:
        try:
            from scipy import ndimage
        except ImportError:
            return super().distance_transform(mask, spacing=spacing)
        distances = np.full(mask.shape, np.inf)
        # SciPy defines no distance if nothing is False, and has no batch axes.
        for image in np.ndindex(mask.shape[: mask.ndim - len(spacing)]):
            if not mask[image].all():
                distances[image] = ndimage.distance_transform_edt(mask[image], sampling=spacing)
        return distances

    def nearest_distances(self, points: Array, surface: Array, /, *, spacing: Sequence[float]) -> Array:
        return nearest_distances(points, surface, spacing, lambda mask: self.distance_transform(mask, spacing=spacing))

    def connected_components(self, mask: Array, /, *, connectivity: int) -> Array:
        try:
            from scipy import ndimage
        except ImportError:
            return super().connected_components(mask, connectivity=connectivity)
        if mask.size == 0:
            return np.zeros(mask.shape, dtype=np.int32)
        labels: Array = ndimage.label(mask, structure=_neighbors(mask.ndim, connectivity), output=np.int32)[0]
        return labels

    def label_components(self, labels: Array, /, *, connectivity: int) -> Array:
        return joined_runs(labels, connectivity)


@cache
def _neighbors(axes: int, connectivity: int) -> Array:
    """Return SciPy's mask of neighbors, which takes 14 µs to make: a fifth of the time of labeling 64 x 64 pixels."""
    from scipy import ndimage

    return ndimage.generate_binary_structure(axes, connectivity)
