"""Erode and dilate floating maps, each with its pull-back.

A primitive returns its value, and a function that pulls a gradient of the value back to its argument. All primitives
are built from the minimum or maximum of two, so every backend treats ties alike: equal elements share the gradient
evenly, as PyTorch and JAX do when they differentiate `minimum` and `maximum`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from arrayseg._typing import Array, Namespace
from arrayseg.backends.axes import slice_axis

__all__ = ["Primitive", "dilate", "erode", "max_pool", "min_pool"]

Primitive = tuple[Array, Callable[[Array], Array]]
"""A value, and the function that pulls its gradient back to the argument."""


def min_pool(array: Array, axis: int, xp: Namespace) -> Primitive:
    """Return the minimum of each element and its two neighbors along an axis, without any beyond the edge."""
    return _pool(array, axis, xp, greatest=False)


def max_pool(array: Array, axis: int, xp: Namespace) -> Primitive:
    """Return the maximum of each element and its two neighbors along an axis, without any beyond the edge."""
    return _pool(array, axis, xp, greatest=True)


def erode(array: Array, axes: Sequence[int], xp: Namespace) -> Primitive:
    """Erode by a cross: take the minimum of each element and its neighbors along all axes."""
    if not axes:
        return array, lambda cotangent: cotangent
    pooled = [min_pool(array, axis, xp) for axis in axes]
    value = pooled[0][0]
    joints = []
    for other, _ in pooled[1:]:
        value, pull_joint = _extreme(value, other, xp, greatest=False)
        joints.append(pull_joint)

    def pull(cotangent: Array) -> Array:
        total = None
        for pull_joint, (_, pull_pool) in zip(reversed(joints), reversed(pooled[1:]), strict=True):
            cotangent, share = pull_joint(cotangent)
            total = pull_pool(share) if total is None else total + pull_pool(share)
        first = pooled[0][1](cotangent)
        return first if total is None else total + first

    return value, pull


def dilate(array: Array, axes: Sequence[int], xp: Namespace) -> Primitive:
    """Dilate by a square or cube: take the maximum of each element and all its neighbors."""
    pulls = []
    for axis in axes:
        array, pull_pool = max_pool(array, axis, xp)
        pulls.append(pull_pool)

    def pull(cotangent: Array) -> Array:
        for pull_pool in reversed(pulls):
            cotangent = pull_pool(cotangent)
        return cotangent

    return array, pull


def _extreme(
    first: Array, second: Array, xp: Namespace, *, greatest: bool
) -> tuple[Array, Callable[[Array], tuple[Array, Array]]]:
    """Return the minimum, or maximum, of two arrays; where they are equal, each gets half of the gradient."""
    winner, loser = (second, first) if greatest else (first, second)

    def pull(cotangent: Array) -> tuple[Array, Array]:
        wins = xp.astype(winner < loser, cotangent.dtype) + xp.astype(winner <= loser, cotangent.dtype)
        share = cotangent * (0.5 * wins)
        return share, cotangent - share

    return (xp.maximum if greatest else xp.minimum)(first, second), pull


def _pool(array: Array, axis: int, xp: Namespace, *, greatest: bool) -> Primitive:
    """Pool windows of three from shifted slices: first pairs of neighbors, then the two pairs of each element."""
    length = array.shape[axis]
    if length < 2:
        return array, lambda cotangent: cotangent

    def part(values: Array, start: int, stop: int) -> Array:
        return slice_axis(values, axis, start, stop)

    def joined(*parts: Array) -> Array:
        return xp.concat(parts, axis=axis)

    last = length - 1
    pairs, pull_pairs = _extreme(part(array, 0, last), part(array, 1, length), xp, greatest=greatest)
    inner, pull_inner = _extreme(part(pairs, 0, last - 1), part(pairs, 1, last), xp, greatest=greatest)
    value = joined(part(pairs, 0, 1), inner, part(pairs, last - 1, last))

    def pull(cotangent: Array) -> Array:
        left, right = pull_inner(part(cotangent, 1, last))
        of_pairs = joined(part(cotangent, 0, 1), right) + joined(left, part(cotangent, last, length))
        lower, upper = pull_pairs(of_pairs)
        middle = part(lower, 1, last) + part(upper, 0, last - 1)
        return joined(part(lower, 0, 1), middle, part(upper, last - 1, last))

    return value, pull
