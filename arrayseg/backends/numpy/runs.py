"""Connected components of the labels of a NumPy map: runs of one label along the lines are joined where they touch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from arrayseg._typing import Array

__all__ = ["joined_runs"]


def joined_runs(labels: Array, connectivity: int) -> Array:
    """Return the components of every label except 0, numbered from 1 by label and then by first element.

    There is one pass over the pixels for each direction to a later line, for any number of labels.
    """
    labels = np.ascontiguousarray(labels)
    if labels.size == 0:
        return np.zeros(labels.shape, dtype=np.int32)
    begins = np.ones(labels.shape, dtype=bool)
    np.not_equal(labels[..., 1:], labels[..., :-1], out=begins[..., 1:])
    starts = np.flatnonzero(begins)
    runs = np.cumsum(begins.reshape(-1), dtype=np.int32).reshape(labels.shape) - 1
    values = labels.reshape(-1)[starts]
    ends = list(_touching(labels, runs, connectivity)) or [(starts[:0], starts[:0])]
    first = _first_joined(starts.size, *(np.concatenate(side) for side in zip(*ends, strict=True)))
    components = np.flatnonzero((first == np.arange(first.size)) & (values != 0))
    numbers = np.zeros(starts.size, dtype=np.int32)
    numbers[components[np.argsort(values[components], kind="stable")]] = np.arange(1, components.size + 1)
    result: Array = np.repeat(numbers[first], np.diff(starts, append=labels.size)).reshape(labels.shape)
    return result


def _first_joined(number: int, one: Array, other: Array) -> Array:
    """Return for each of `number` elements the first element that pairs join it with."""
    first = np.arange(number)
    while True:
        below, above = np.minimum(first[one], first[other]), np.maximum(first[one], first[other])
        apart = below != above
        if not apart.any():
            return first
        one, other = one[apart], other[apart]
        np.minimum.at(first, above[apart], below[apart])
        while True:
            following = first[first]
            if np.array_equal(following, first):
                break
            first = following


def _touching(labels: Array, runs: Array, connectivity: int) -> Iterator[tuple[Array, Array]]:
    """Yield pairs of touching runs of one label in neighboring lines, direction by direction, mostly once each."""
    nothing = (0,) * (labels.ndim - 1)
    for steps in product((-1, 0, 1), repeat=labels.ndim):
        # Half of the directions: those to lines that come later.
        if steps[:-1] <= nothing or sum(map(abs, steps)) > connectivity:
            continue
        here = tuple(
            slice(max(0, -step), length - max(0, step)) for step, length in zip(steps, labels.shape, strict=True)
        )
        there = tuple(
            slice(max(0, step), length + min(0, step)) for step, length in zip(steps, labels.shape, strict=True)
        )
        touch = (labels[here] == labels[there]) & (labels[here] != 0)
        one, other = runs[here][touch], runs[there][touch]
        # Two runs touch along many pixels, one after the other.
        changes = np.ones(one.size, dtype=bool)
        np.logical_or(one[1:] != one[:-1], other[1:] != other[:-1], out=changes[1:])
        yield one[changes], other[changes]
