"""Find the boundaries of regions `(N, *spatial)`: what erosions remove, what is near other pixels, and a contour."""

from __future__ import annotations

from itertools import product

from arrayseg._typing import Array, Namespace
from arrayseg.imaging.morphology import dilate_ball, dilate_box
from arrayseg.imaging.shifts import neighbors_at

__all__ = ["contour", "inner_band", "outer_band"]


def inner_band(xp: Namespace, region: Array, valid: Array, radius: int) -> Array:
    """Return the pixels of a region that `radius` erosions by a square remove; background lies beyond the edge."""
    return region & dilate_box(xp, ~region & valid, radius, _spatial(region), outside=True)


def outer_band(xp: Namespace, region: Array, radius: int) -> Array:
    """Return the pixels of a region at most `radius` from a pixel outside it; nothing lies beyond the edge."""
    return region & dilate_ball(xp, ~region, radius, _spatial(region))


def contour(xp: Namespace, region: Array, valid: Array) -> Array:
    """Return the pixels that differ from the next one along one or more axes: one side of every border."""
    axes = _spatial(region)
    differs = xp.zeros_like(region)
    for steps in list(product((0, 1), repeat=len(axes)))[1:]:
        neighbor, known = (neighbors_at(array, steps, xp, fill=False) for array in (region, valid))
        differs = differs | ((region ^ neighbor) & known)
    return differs & valid


def _spatial(region: Array) -> range:
    return range(1, region.ndim)
