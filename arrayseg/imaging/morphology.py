"""Dilations of boolean masks by shifts: lines, boxes, balls and the neighbours of a grid point."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from math import isqrt

import array_api_extra

from arrayseg._typing import Array, Namespace

__all__ = ["dilate_ball", "dilate_box", "dilate_neighbours", "padded", "shifted"]


def shifted(xp: Namespace, mask: Array, step: int, axis: int, fill: bool) -> Array:
    """The mask moved by `step` along an axis: what enters from outside is `fill`."""
    length = mask.shape[axis]
    if step == 0 or length == 0:
        return mask
    kept = max(0, length - abs(step))
    window = [slice(None)] * mask.ndim
    window[axis] = slice(0, kept) if step > 0 else slice(length - kept, length)
    outside = _constant(xp, mask, axis, length - kept, fill)
    inside = mask[tuple(window)]
    return xp.concat([outside, inside] if step > 0 else [inside, outside], axis=axis)


def padded(xp: Namespace, mask: Array, fill: bool, axes: Sequence[int]) -> Array:
    """The mask with one layer of `fill` around it, along the axes."""
    widths = [(1, 1) if axis in axes else (0, 0) for axis in range(mask.ndim)]
    return array_api_extra.pad(mask, widths, constant_values=fill, xp=xp)


def dilate_box(xp: Namespace, mask: Array, radius: int, axes: Sequence[int], *, outside: bool = False) -> Array:
    """Where a True element is at most `radius` away along each of the axes; `outside` is what lies beyond the edge."""
    for axis in axes:
        mask = _dilate_line(xp, mask, radius, axis, outside)
    return mask


def dilate_ball(xp: Namespace, mask: Array, radius: int, axes: Sequence[int]) -> Array:
    """Where a True element is at most `radius` away, in the Euclidean distance of the axes together."""
    return _dilate_ball(xp, mask, radius**2, axes)


def dilate_neighbours(
    xp: Namespace, mask: Array, connectivity: int, axes: Sequence[int], *, outside: bool = False
) -> Array:
    """Where an element or one of its neighbours is True: those one step away along up to `connectivity` of the axes."""
    boxes = (dilate_box(xp, mask, 1, chosen, outside=outside) for chosen in combinations(axes, connectivity))
    return reduce(xp.logical_or, boxes)


def _constant(xp: Namespace, mask: Array, axis: int, length: int, fill: bool) -> Array:
    shape = tuple(length if index == axis else size for index, size in enumerate(mask.shape))
    # Of the mask itself, so that it is on its device under every compiler.
    layer = xp.broadcast_to(xp.zeros_like(mask[(slice(0, 1),) * mask.ndim]), shape)
    return ~layer if fill else layer


def _dilate_line(xp: Namespace, mask: Array, radius: int, axis: int, outside: bool) -> Array:
    """A reach r and two copies of it, 2 r + 1 away on both sides, are a reach of 3 r + 1."""
    reach = 0
    while reach < radius:
        step = min(2 * reach + 1, radius - reach)
        mask = mask | shifted(xp, mask, step, axis, outside) | shifted(xp, mask, -step, axis, outside)
        reach += step
    return mask


def _dilate_ball(xp: Namespace, mask: Array, squared_radius: int, axes: Sequence[int]) -> Array:
    axis, *rest = axes
    if not rest:
        return _dilate_line(xp, mask, isqrt(squared_radius), axis, False)
    dilated = _dilate_ball(xp, mask, squared_radius, rest)
    for step in range(1, isqrt(squared_radius) + 1):
        section = _dilate_ball(xp, mask, squared_radius - step**2, rest)
        dilated = dilated | shifted(xp, section, step, axis, False) | shifted(xp, section, -step, axis, False)
    return dilated
