"""Connected components in functions of the standard, by passing on the smallest index of each component."""

from __future__ import annotations

from itertools import combinations
from math import prod

from arrayseg._typing import Array, Namespace
from arrayseg.backends.axes import neighbors, shift
from arrayseg.backends.part import Adapter

__all__ = ["propagated_components"]


def propagated_components(adapter: Adapter, mask: Array, connectivity: int) -> Array:
    """Label the components 1, 2, ... in the order of their first elements; 0 where the mask is False.

    Every element begins with its own index. In each round it takes the smallest index of its neighbors, then of the
    straight lines through it, then of the element whose index it has. The number of rounds is the number of turns of
    the longest path.
    """
    xp, size = adapter.xp, prod(mask.shape)
    dtype = xp.int32 if size < 2**31 - 1 else xp.int64
    index = xp.reshape(xp.arange(size, dtype=dtype, device=adapter.device(mask)), mask.shape)
    if size == 0:
        return index
    # False elements have a label larger than any index, so that no element takes it.
    nobody = xp.full_like(index, size)
    lines = [(axis, *line) for axis in range(mask.ndim) for line in _open_lines(xp, mask, axis)]

    def hand_on(labels: Array) -> Array:
        labels = xp.where(mask, _smallest_neighbor(xp, labels, connectivity, size), nobody)
        for axis, step, passable in lines:
            before, after = neighbors(labels, axis, step, xp, fill=size)
            before = xp.where(passable, before, nobody)
            after = xp.where(shift(passable, axis, -step, xp, fill=False), after, nobody)
            labels = xp.minimum(labels, xp.minimum(before, after))
        return _looked_up(xp, labels, labels, size)

    labels = adapter.fixed_point(hand_on, xp.where(mask, index, nobody))
    first = xp.astype(mask & (labels == index), dtype)
    numbers = xp.reshape(xp.cumulative_sum(xp.reshape(first, (-1,)), dtype=dtype), mask.shape)
    return _looked_up(xp, numbers, labels, 0)


def _open_lines(xp: Namespace, mask: Array, axis: int) -> list[tuple[int, Array]]:
    """Return for steps of 1, 2, 4, ... whether the elements are True back to that many steps before."""
    lines: list[tuple[int, Array]] = []
    step, passable = 1, mask & shift(mask, axis, 1, xp, fill=False)
    while step < mask.shape[axis]:
        lines.append((step, passable))
        passable = passable & shift(passable, axis, step, xp, fill=False)
        step *= 2
    return lines


def _smallest_neighbor(xp: Namespace, labels: Array, connectivity: int, fill: int) -> Array:
    """Return the smallest label of the elements that differ by at most 1 in at most `connectivity` coordinates."""
    smallest = labels
    for axes in combinations(range(labels.ndim), connectivity):
        box = labels
        for axis in axes:
            box = xp.minimum(box, xp.minimum(*neighbors(box, axis, 1, xp, fill=fill)))
        smallest = xp.minimum(smallest, box)
    return smallest


def _looked_up(xp: Namespace, table: Array, indices: Array, fill: int) -> Array:
    """Return the entries of a table at flat indices, and `fill` at the index after the last."""
    table = xp.reshape(table, (-1,))
    table = xp.concat([table, xp.full_like(table[:1], fill)])
    return xp.reshape(xp.take(table, xp.reshape(indices, (-1,))), indices.shape)
