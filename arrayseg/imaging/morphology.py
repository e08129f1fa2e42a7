"""Dilate boolean masks by boxes, balls and neighborhoods."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from math import isqrt

from arrayseg._typing import Array, Namespace
from arrayseg.backends.axes import neighbors

__all__ = ["dilate_ball", "dilate_box", "dilate_neighbors"]


def dilate_box(xp: Namespace, mask: Array, radius: int, axes: Sequence[int], *, outside: bool = False) -> Array:
    """Dilate by a box of a radius along each of the axes; elements beyond the edge are `outside`."""
    for axis in axes:
        mask = _dilate_line(xp, mask, radius, axis, outside)
    return mask


def dilate_ball(xp: Namespace, mask: Array, radius: int, axes: Sequence[int]) -> Array:
    """Dilate by a ball of a Euclidean radius in the space of the axes."""
    return _dilate_ball(xp, mask, radius**2, axes)


def dilate_neighbors(
    xp: Namespace, mask: Array, connectivity: int, axes: Sequence[int], *, outside: bool = False
) -> Array:
    """Dilate by the neighbors that are one step away along up to `connectivity` of the axes."""
    boxes = (dilate_box(xp, mask, 1, chosen, outside=outside) for chosen in combinations(axes, connectivity))
    return reduce(xp.logical_or, boxes)


def _dilate_line(xp: Namespace, mask: Array, radius: int, axis: int, outside: bool) -> Array:
    """Dilate along a line.

    The mask dilated by r, and its two copies shifted by 2 r + 1, make the mask dilated by 3 r + 1.
    """
    reach = 0
    while reach < radius:
        step = min(2 * reach + 1, radius - reach)
        before, after = neighbors(mask, axis, step, xp, fill=outside)
        mask = mask | before | after
        reach += step
    return mask


def _dilate_ball(xp: Namespace, mask: Array, squared_radius: int, axes: Sequence[int]) -> Array:
    """Dilate by a ball, one section along the first axis after the other."""
    axis, *rest = axes
    if not rest:
        return _dilate_line(xp, mask, isqrt(squared_radius), axis, False)
    dilated = _dilate_ball(xp, mask, squared_radius, rest)
    for step in range(1, isqrt(squared_radius) + 1):
        section = _dilate_ball(xp, mask, squared_radius - step**2, rest)
        before, after = neighbors(section, axis, step, xp, fill=False)
        dilated = dilated | before | after
    return dilated
