"""Fields of distances to the boundaries of classes, and the losses that weigh pixels by them.

A field is a constant of the derivative. A region loss counts it in the place of, or times, its usual amounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.engine.block import Block
from arrayseg.engine.region_scores import Cells, Derivatives, inverse_of
from arrayseg.engine.region_term import RegionTerm
from arrayseg.imaging.soft_morphology import Primitive

__all__ = [
    "BoundaryTerm",
    "ErosionTerm",
    "FieldDiceTerm",
    "HausdorffTerm",
    "boundary_distances",
    "boundary_weights",
    "distance",
    "erosions",
    "log_one_plus",
    "mean_amount",
    "signed_distance",
]


def boundary_distances(masks: Array, spacing: Sequence[float], backend: Backend) -> tuple[Array, Array]:
    """Distances to the nearest element of the other kind: of the elements in a mask, and of those that are not.

    Both are 0 on the other side, and where a mask is empty or full: it has no boundary. The spatial axes are the last.
    They are constants of the derivative, in the spacing too.
    """
    xp = backend.xp
    if not spacing or 0 in masks.shape:
        nowhere = xp.zeros(masks.shape, dtype=backend.sum_dtype(masks), device=backend.device(masks))
        return nowhere, nowhere
    both = [backend.stop_gradient(backend.distance_transform(side, spacing=spacing)) for side in (masks, ~masks)]
    inside, outside = (xp.where(xp.isfinite(side), side, xp.zeros_like(side)) for side in both)
    return inside, outside


def signed_distance(masks: Array, spacing: Sequence[float], offset: float, backend: Backend) -> Array:
    """d outside and -(d - offset) inside."""
    xp = backend.xp
    inside, outside = boundary_distances(masks, spacing, backend)
    return outside - xp.where(inside > 0, inside - offset, xp.zeros_like(inside))


def distance(masks: Array, spacing: Sequence[float], backend: Backend, *, both_sides: bool = True) -> Array:
    """The distance to the boundary, of the elements of both kinds or of those in the mask."""
    inside, outside = boundary_distances(masks, spacing, backend)
    return inside + outside if both_sides else inside


def boundary_weights(masks: Array, spacing: Sequence[float], backend: Backend) -> Array:
    """From 2 near a boundary to 1 at the elements that are farthest from it, on each side."""
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


def mean_amount(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
    """The score of a loss that is a mean over pixels: its one amount by their weight."""
    inverse = inverse_of(cells.pixels, xp)
    return cells.hit * inverse, (inverse,)


def log_one_plus(value: Array, xp: Any) -> tuple[Array, Array]:
    """log(1 + value) and its derivative."""
    return xp.log1p(value), 1 / (1 + value)


@dataclass(frozen=True, kw_only=True)
class FieldTerm(RegionTerm):
    """A region loss whose amounts are of a field."""

    field: Array
    """`(N, C, S)`, in the compute dtype."""

    def at(self, block: Block) -> Array:
        """The field of a block, `(B, C, P)`, 0 where a pixel is not valid."""
        return block.keep(self.field[block.rows, :, block.columns])


@dataclass(frozen=True, kw_only=True)
class BoundaryTerm(FieldTerm):
    """The probabilities times the field: linear."""

    sums = 3

    def amounts(self, block: Block) -> tuple[Array, ...]:
        return (block.keep(block.probabilities) * self.at(block),)

    def derivative(self, block: Block, *by: Array) -> Array:
        return block.keep(block.narrow(by[0]) * self.at(block))


@dataclass(frozen=True, kw_only=True)
class HausdorffTerm(FieldTerm):
    """The squared error times the field: quadratic."""

    sums = 3
    needs_probabilities = True

    def amounts(self, block: Block) -> tuple[Array, ...]:
        return (block.keep(block.errors) ** 2 * self.at(block),)

    def derivative(self, block: Block, *by: Array) -> Array:
        return block.keep(2 * block.narrow(by[0]) * block.errors * self.at(block))


@dataclass(frozen=True, kw_only=True)
class FieldDiceTerm(FieldTerm):
    """The cells of Dice times the field; or the hits alone."""

    hits_alone: bool

    def amounts(self, block: Block) -> tuple[Array, ...]:
        target, outside, field = block.target, block.outside, self.at(block)
        probability, complement = block.keep(block.probabilities), block.keep(block.complements)
        if not self.hits_alone:
            return tuple(cell * field for cell in (probability * target, probability * outside, complement * target))
        hit = probability * target * field
        return hit, probability - hit, target - hit

    def derivative(self, block: Block, *by: Array) -> Array:
        by_hit, by_alarm, by_miss = by
        inside, by_alarm = block.narrow(by_hit - by_miss), block.narrow(by_alarm)
        target, field = block.target, self.at(block)
        if not self.hits_alone:
            return block.keep((inside * target + by_alarm * block.outside) * field)
        return block.keep((inside - by_alarm) * (target * field) + by_alarm)


# Erosions of the error.


@dataclass(frozen=True, kw_only=True)
class ErosionTerm(RegionTerm):
    """The squared error, eroded again and again; what survives longer weighs more."""

    spatial: tuple[int, ...]
    iterations: int
    alpha: float

    whole_images = True
    sums = 3
    needs_probabilities = True

    def amounts(self, block: Block) -> tuple[Array, ...]:
        eroded, _ = self._eroded(block)
        return (block.keep(eroded),)

    def pull(self, block: Block, state: tuple[Array, ...], *, gradient: bool) -> tuple[None, Array | None]:
        if not gradient:
            return None, None
        by_hit = block.narrow(state[0])[block.rows, ...]
        _, pull_back = self._eroded(block)
        ones = block.xp.ones_like(block.probabilities)
        return None, block.pull_back(block.keep(pull_back(block.keep(block.weighted(ones * by_hit)))))

    def _eroded(self, block: Block) -> Primitive:
        xp = block.xp
        error = block.keep(block.errors)
        shape = (block.images, block.classes, *self.spatial)
        value, pull_back = erosions(xp.reshape(error**2, shape), self.iterations, self.alpha, xp)

        def pull(cotangent: Array) -> Array:
            return 2 * error * xp.reshape(pull_back(xp.reshape(cotangent, shape)), error.shape)

        return xp.reshape(value, error.shape), pull


def erosions(array: Array, iterations: int, alpha: float, xp: Any) -> Primitive:
    """Sum over k of (k + 1)^alpha times the map eroded k + 1 times, `(B, C, *spatial)`.

    An erosion is the mean of an element and its neighbours along the axes (of which there are none beyond the edge),
    less a half, and then stretched to 0 and 1, plane by plane.
    """
    axes = tuple(range(2, array.ndim))
    total, pulls = xp.zeros_like(array), []
    for _ in range(iterations):
        array, pull = _eroded_once(array, axes, xp)
        pulls.append(pull)
        total = total + float(len(pulls)) ** alpha * array

    def pull_all(cotangent: Array) -> Array:
        result = xp.zeros_like(cotangent)
        for number in range(iterations, 0, -1):
            result = pulls[number - 1](result + float(number) ** alpha * cotangent)
        return result

    return total, pull_all


def _eroded_once(array: Array, axes: tuple[int, ...], xp: Any) -> Primitive:
    mean = _cross_mean(array, axes, xp)
    below = mean <= 0.5
    reduced = xp.where(below, xp.zeros_like(mean), mean - 0.5)
    if not axes or 0 in array.shape:
        return reduced, lambda cotangent: xp.where(below, xp.zeros_like(cotangent), cotangent)
    least, greatest = (extreme(reduced, axis=axes, keepdims=True) for extreme in (xp.min, xp.max))
    spread = greatest - least
    flat = spread == 0
    inverse = 1 / xp.where(flat, xp.ones_like(spread), spread)
    value = xp.where(flat, reduced, (reduced - least) * inverse)

    def pull(cotangent: Array) -> Array:
        # Elements that tie for the least or greatest share its derivative, as in the libraries' own `min` and `max`.
        zero = xp.zeros_like(spread)
        by_spread = -xp.sum(cotangent * value, axis=axes, keepdims=True) * inverse
        by_least = xp.where(flat, zero, -xp.sum(cotangent, axis=axes, keepdims=True) * inverse - by_spread)
        result = cotangent * inverse
        for extreme, by_extreme in ((least, by_least), (greatest, xp.where(flat, zero, by_spread))):
            ties = xp.astype(reduced == extreme, cotangent.dtype)
            result = result + ties * (by_extreme / xp.sum(ties, axis=axes, keepdims=True))
        return _cross_mean(xp.where(below, xp.zeros_like(result), result), axes, xp)

    return value, pull


def _cross_mean(array: Array, axes: tuple[int, ...], xp: Any) -> Array:
    """The mean of an element and its neighbours along the axes, 0 beyond the edge; its own pull-back.

    An axis of one element has no neighbours, so that an image and a volume of one slice are eroded alike.
    """
    long = [axis for axis in axes if array.shape[axis] > 1]
    total = array
    for axis in long:
        index: list[slice] = [slice(None)] * array.ndim
        index[axis] = slice(0, 1)
        edge = xp.zeros_like(array[tuple(index)])
        index[axis] = slice(0, -1)
        before = xp.concat([edge, array[tuple(index)]], axis=axis)
        index[axis] = slice(1, None)
        total = total + before + xp.concat([array[tuple(index)], edge], axis=axis)
    return total / (2 * len(long) + 1)
