"""Distances between elements of NumPy masks and their nearest neighbors, for elements that are few and mostly near."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, product
from math import floor, prod, sqrt
from typing import NamedTuple

import numpy as np

from arrayseg._typing import Array

__all__ = ["nearest_distances", "nearest_labels"]

# How far the nearest element is searched along a column, in elements, and the number that stands for farther. Their
# sum must fit uint8; the first is the sum of the shifts 1, 2, 4, ...
REACH, FAR = 31, 32
# Up to this number of labels, each is measured by itself. With more, all elements at the nearest distance are searched.
FEW = 16
# The relative difference of two distances that rounding alone may cause.
EQUAL = 1e-9
# Columns that may be read for each element of the array: about the time of one distance transform of SciPy.
READS = 10
# Pairs of elements that may be compared for each element of the array: about the same time.
PAIRS = 8


class Ring(NamedTuple):
    """The columns at one distance from a point: their offsets in memory, and the squared distances along each axis."""

    offsets: list[int]
    before: float
    after: list[float]

    @property
    def bound(self) -> float:
        """The squared distance of the columns. None of their elements is nearer."""
        return sum(self.after, self.before)


def nearest_distances(
    points: Array, surface: Array, spacing: Sequence[float], transform: Callable[[Array], Array]
) -> Array:
    """Return the distances of the True elements of `points`, in row-major order, to the nearest of `surface`.

    Each element first gets the distance to the nearest True element of its column, in steps, along the axis of the
    finest spacing. A point then reads the columns around it, nearest first, until no remaining column can hold a nearer
    element. Far points would read too many columns. If they are few, they are compared with the whole surface.
    Otherwise `transform` measures them: it returns the distance of each True element of a mask to the nearest False
    one.

    The result is float64, shape `(P,)`.
    """
    positions = np.nonzero(points)
    if not positions[0].size or not surface.any():
        return np.full(positions[0].shape, np.inf)
    column = int(np.argmin(spacing))
    diagonal = sqrt(sum((length * step) ** 2 for length, step in zip(points.shape, spacing, strict=True)))
    radius = min(REACH * spacing[column], diagonal)
    margins = [
        0 if axis == column else min(length - 1, floor(radius / step))
        for axis, (length, step) in enumerate(zip(points.shape, spacing, strict=True))
    ]
    steps = np.pad(_column_steps(surface, column), [(margin, margin) for margin in margins], constant_values=FAR)
    strides = [prod(steps.shape[axis + 1 :]) for axis in range(steps.ndim)]
    inside = [index + margin for index, margin in zip(positions, margins, strict=True)]
    place = np.ravel_multi_index(inside, steps.shape)
    squares = (np.arange(FAR + 1) * spacing[column]) ** 2
    squares[FAR] = np.inf
    rings = _rings(column, margins, strides, spacing, radius)
    squared, unsettled = _search(steps.reshape(-1), place, rings, squares, radius**2, READS * points.size)
    distances: Array = np.sqrt(squared)
    if unsettled.size:
        far = [index[unsettled] for index in positions]
        pairs = unsettled.size * np.count_nonzero(surface)
        distances[unsettled] = (
            _least_of_all(far, surface, spacing) if pairs < PAIRS * points.size else transform(~surface)[tuple(far)]
        )
    return distances


def nearest_labels(
    points: Array, labels: Array, highest: int, spacing: Sequence[float], measure: Callable[..., Array]
) -> Array:
    """Return the label, from 1 to `highest`, that is nearest to each True element of `points`; in a tie the smallest.

    `measure` is `nearest_distances` of an adapter. The shape of the result is `(P,)`.
    """
    if highest > FEW:
        return _labels_at_distance(points, labels, measure(points, labels > 0, spacing=spacing), spacing)
    apart = [measure(points, labels == label, spacing=spacing) for label in range(1, highest + 1)]
    near = np.stack(apart) <= np.min(apart, axis=0) * (1 + EQUAL) if apart else np.zeros((1, 0), dtype=bool)
    return np.argmax(near, axis=0) + 1


def _labels_at_distance(points: Array, labels: Array, distances: Array, spacing: Sequence[float]) -> Array:
    """Return the smallest label except 0 among the elements at its distance from each True element of `points`.

    The elements at one distance are few. All points with the same distance search them together. The shape of the
    result is `(P,)`.
    """
    positions = np.nonzero(points)
    found = np.zeros(distances.shape, dtype=labels.dtype)
    if not distances.size:
        return found
    margins = [
        min(length - 1, floor(distances.max() / step * (1 + EQUAL)))
        for length, step in zip(labels.shape, spacing, strict=True)
    ]
    along = ((np.arange(margin + 1) * step) ** 2 for margin, step in zip(margins, spacing, strict=True))
    lengths = np.sqrt(sum(np.ix_(*along))).reshape(-1)
    order = np.argsort(lengths, kind="stable")
    levels, group = np.unique(distances, return_inverse=True)
    low, high = (np.searchsorted(lengths[order], levels * (1 + side * EQUAL)) for side in (-1, 1))
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    for member, start, stop in zip(members, low, high, strict=True):
        here = [index[member] for index in positions]
        best = np.full(member.size, np.iinfo(labels.dtype).max, dtype=labels.dtype)
        for away in zip(*np.unravel_index(order[start:stop], [margin + 1 for margin in margins]), strict=True):
            for steps in product(*({-int(n), int(n)} for n in away)):
                np.minimum(best, _labels_at(labels, here, steps, best), out=best)
        found[member] = best
    return found


def _labels_at(labels: Array, positions: Sequence[Array], steps: Sequence[int], default: Array) -> Array:
    """Return the labels some steps away from positions, or the default at labels of 0 and outside the image."""
    there = [index + step for index, step in zip(positions, steps, strict=True)]
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(there, labels.shape, strict=True)])
    found = labels[tuple(np.where(inside, index, 0) for index in there)]
    return np.where(inside & (found != 0), found, default)


def _least_of_all(positions: Sequence[Array], surface: Array, spacing: Sequence[float]) -> Array:
    """Return the distance of a few positions to the nearest True element, comparing all True elements."""
    elements = np.nonzero(surface)
    squared = np.empty(positions[0].shape)
    for point, position in enumerate(zip(*positions, strict=True)):
        along = (((i - p) * step) ** 2 for i, p, step in zip(elements, position, spacing, strict=True))
        squared[point] = sum(along).min()
    return np.sqrt(squared)


def _column_steps(surface: Array, column: int) -> Array:
    """Count the steps to the nearest True element of the same column, as uint8; `FAR` beyond `REACH` steps."""
    steps = (~surface).view(np.uint8) * np.uint8(FAR)
    line = np.moveaxis(steps, column, 0)
    shift = 1
    while shift <= min(REACH, len(line) - 1):
        np.minimum(line[shift:], line[:-shift] + np.uint8(shift), out=line[shift:])
        np.minimum(line[:-shift], line[shift:] + np.uint8(shift), out=line[:-shift])
        shift *= 2
    return steps


def _rings(
    column: int, margins: Sequence[int], strides: Sequence[int], spacing: Sequence[float], radius: float
) -> Iterator[Ring]:
    """Yield the columns within a radius, the nearest first. Columns that mirror each other form one ring."""
    away = np.indices([margin + 1 for margin in margins]).reshape(len(margins), -1)
    squares = (away * np.reshape(spacing, (-1, 1))) ** 2
    # Added in the order of the axes, as everywhere, so that equal distances are equal to the last bit.
    bounds = list(accumulate(squares))[-1]
    order = np.argsort(bounds, kind="stable")
    for ring in order[: np.searchsorted(bounds[order], radius**2, side="right")]:
        signed = [{-int(n) * stride, int(n) * stride} for n, stride in zip(away[:, ring], strides, strict=True)]
        along = squares[:, ring].tolist()
        yield Ring([sum(offset) for offset in product(*signed)], sum(along[:column], 0.0), along[column + 1 :])


def _search(
    steps: Array, place: Array, rings: Iterator[Ring], squares: Array, limit: float, reads: int
) -> tuple[Array, Array]:
    """Return the squared distance of each point, and the indices of points beyond the searched rings."""
    found = np.empty(place.shape)
    active = np.arange(place.size)
    nearest = np.full(place.shape, np.inf)
    for ring in rings:
        unsettled = nearest > ring.bound
        count = int(np.count_nonzero(unsettled))
        if count < 0.8 * active.size:
            found[active] = nearest
            active, place, nearest = active[unsettled], place[unsettled], nearest[unsettled]
        reads -= count * len(ring.offsets)
        if not count or reads < 0:
            limit = ring.bound
            break
        here = steps[place + ring.offsets[0]]
        for offset in ring.offsets[1:]:
            np.minimum(here, steps[place + offset], out=here)
        candidate = squares[here]
        for square in (ring.before, *ring.after):
            candidate += square
        np.minimum(nearest, candidate, out=nearest)
    found[active] = nearest
    return found, active[nearest > limit]
