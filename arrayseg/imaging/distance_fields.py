"""Compute distances to the boundaries of masks, and weights near them."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg._typing import Array
from arrayseg.backends import Backend

__all__ = ["boundary_distances", "boundary_weights", "distance", "signed_distance"]


def boundary_distances(masks: Array, spacing: Sequence[float], backend: Backend) -> tuple[Array, Array]:
    """Return how far each element inside a mask is from the outside, and each element outside from the inside.

    Both are 0 on the other side, and for empty and full masks, which have no boundary. The spatial axes are the last.
    The distances are constants of the derivative, also with respect to the spacing.
    """
    xp = backend.xp
    if not spacing or 0 in masks.shape:
        nowhere = xp.zeros(masks.shape, dtype=backend.sum_dtype(masks), device=backend.device(masks))
        return nowhere, nowhere
    both = [backend.stop_gradient(backend.masks.distance_transform(side, spacing=spacing)) for side in (masks, ~masks)]
    inside, outside = (xp.where(xp.isfinite(side), side, xp.zeros_like(side)) for side in both)
    return inside, outside


def signed_distance(masks: Array, spacing: Sequence[float], offset: float, backend: Backend) -> Array:
    """Return the distance d outside of masks, and -(d - offset) inside."""
    xp = backend.xp
    inside, outside = boundary_distances(masks, spacing, backend)
    return outside - xp.where(inside > 0, inside - offset, xp.zeros_like(inside))


def distance(masks: Array, spacing: Sequence[float], backend: Backend, *, both_sides: bool = True) -> Array:
    """Return the distance to the boundary, on both sides or only inside."""
    inside, outside = boundary_distances(masks, spacing, backend)
    return inside + outside if both_sides else inside


def boundary_weights(masks: Array, spacing: Sequence[float], backend: Backend) -> Array:
    """Return weights from 2 near a boundary to 1 at the farthest elements, on each side."""
    xp = backend.xp
    axes = tuple(range(masks.ndim - len(spacing), masks.ndim))
    weights = xp.ones(masks.shape, dtype=backend.sum_dtype(masks), device=backend.device(masks))
    if not axes or 0 in masks.shape:
        return weights
    for side in boundary_distances(masks, spacing, backend):
        farthest = xp.max(side, axis=axes, keepdims=True)
        nearness = 1 - side / xp.where(farthest > 0, farthest, xp.ones_like(farthest))
        weights = weights + xp.where(side > 0, nearness, xp.zeros_like(side))
    return weights
