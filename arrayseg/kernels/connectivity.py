"""Semantic connectivity: how well connected components of prediction and target match.

All sums of a class are of one table: the probabilities by the component of the prediction (row) and of the target
(column) that a pixel is in, 0 for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from arrayseg._typing import Array, DType, Namespace
from arrayseg.backends import Backend
from arrayseg.engine.block import Block, Pixels
from arrayseg.engine.sweep import Sums, Term

__all__ = ["ConnectivityTerm", "matched_components"]


@dataclass(frozen=True, kw_only=True)
class ConnectivityTerm(Term):
    """A constant, plus the weighted intersections over unions of components, plus the weighted misses of classes."""

    cells: Array
    """`(N, C, S)`, each pixel's place in the table of its image and class."""
    sizes: Array
    """`(N, C, 1, columns)`, the pixels of the target's components."""
    weights: Array
    """`(N, C, rows, columns)`, of the intersections over unions; 0 for those that do not count."""
    missed: Array
    """`(N, C)`, of the target's pixels times what their probability lacks to 1."""
    constant: Array
    reduction: Literal["mean", "sum"] = "mean"

    whole_images = True
    sums = 2

    def count(self, block: Block) -> Sums:
        xp, backend = block.xp, block.backend
        rows, columns = self.weights.shape[2:]
        table = rows * columns
        probability = block.keep(block.probabilities)
        planes = xp.arange(block.images * block.classes, dtype=self.cells.dtype, device=block.device)
        index = self.cells[block.rows, ...] + xp.reshape(planes, (block.images, block.classes, 1)) * table
        wide = xp.astype(probability, block.pixels.sum_dtype, copy=False)
        length = block.images * block.classes * table
        counted = backend.bincount(xp.reshape(index, (-1,)), length=length, weights=xp.reshape(wide, (-1,)))
        lacking = block.sum(block.target * (1 - probability), axis=2)
        return xp.reshape(counted, (block.images, block.classes, rows, columns)), lacking

    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, tuple[Array, Array]]:
        xp = pixels.xp
        shared, lacking = sums
        weights, missed = (xp.astype(each, shared.dtype, copy=False) for each in (self.weights, self.missed))
        predicted = xp.sum(shared, axis=3, keepdims=True)
        union = predicted + xp.astype(self.sizes, shared.dtype, copy=False) - shared
        inverse = 1 / xp.where(union > 0, union, xp.ones_like(union))
        overlap = shared * inverse
        constant = xp.astype(self.constant, shared.dtype, copy=False)
        value = constant + xp.sum(weights * overlap) + xp.sum(missed * lacking)
        by_predicted = xp.sum(-weights * overlap * inverse, axis=3, keepdims=True)
        by_shared = weights * (1 + overlap) * inverse + by_predicted
        return value * factor, (by_shared * factor, missed * factor)

    def pull(self, block: Block, state: tuple[Array, Array], *, gradient: bool) -> tuple[None, Array | None]:
        if not gradient:
            return None, None
        xp = block.xp
        by_shared, by_lacking = (xp.astype(each, block.dtype, copy=False)[block.rows, ...] for each in state)
        rows, columns = self.weights.shape[2:]
        table = xp.reshape(by_shared, (block.images, block.classes, rows * columns))
        cells = xp.astype(self.cells[block.rows, ...], block.backend.count_dtype(self.cells), copy=False)
        derivative = xp.take_along_axis(table, cells, axis=2) - by_lacking[:, :, None] * block.target
        return None, block.pull_back(block.keep(derivative))


def matched_components(
    predicted: Array, wanted: Array, *, connectivity: int, most: int, mean: bool, backend: Backend
) -> dict[str, Any]:
    """The fields of a `ConnectivityTerm`, from boolean masks `(N, C, *spatial)` of known values."""
    xp, device = backend.xp, backend.device(wanted)
    images, classes, *spatial = wanted.shape
    dtype = backend.sum_dtype(wanted)
    places = [(image, number) for image in range(images) for number in range(classes)]
    pairs = [
        _components(predicted[(*place, ...)], wanted[(*place, ...)], connectivity, most, backend) for place in places
    ]
    rows, columns = (1 + max((_greatest(pair[which], xp) for pair in pairs), default=0) for which in (0, 1))
    cells = xp.zeros((images, classes, prod(spatial)), dtype=xp.int32, device=device)
    counts = xp.zeros((images, classes, rows, columns), dtype=dtype, device=device)
    if pairs:
        flat = [xp.reshape(first * columns + second, (-1,)) for first, second in pairs]
        cells = xp.reshape(xp.stack(flat), cells.shape)
        tables = [backend.bincount(cell, length=rows * columns) for cell in flat]
        counts = xp.astype(xp.reshape(xp.stack(tables), counts.shape), dtype)
    sizes = xp.sum(counts, axis=2, keepdims=True)
    touch = counts[:, :, 1:, 1:] > 0
    wanted_parts = _number(sizes[:, :, :, 1:] > 0, 3, dtype, xp)
    predicted_parts = xp.sum(counts, axis=3, keepdims=True)[:, :, 1:, :] > 0
    alone = _number(predicted_parts & ~xp.any(touch, axis=3, keepdims=True), 2, dtype, xp)
    # Every class that the target has counts alike, in every image.
    of_class = xp.astype(wanted_parts[:, :, 0, 0] > 0, dtype)
    if mean:
        of_class = of_class / (_at_least_one(xp.sum(of_class, axis=1, keepdims=True), xp) * max(images, 1))
    shared = _at_least_one(_number(touch, 2, dtype, xp), xp) * _at_least_one(wanted_parts + alone, xp)
    weights = -xp.astype(touch, dtype) * of_class[:, :, None, None] / shared
    weights = xp.concat([xp.zeros_like(counts[:, :, :1, 1:]), weights], axis=2)
    nowhere = ~xp.any(predicted_parts, axis=(2, 3))
    return {
        "cells": cells,
        "sizes": sizes,
        "weights": xp.concat([xp.zeros_like(counts[:, :, :, :1]), weights], axis=3),
        "missed": of_class * xp.astype(nowhere, dtype) / max(prod(spatial), 1),
        "constant": xp.sum(of_class),
    }


def _greatest(numbers: Array, xp: Namespace) -> int:
    return 0 if 0 in numbers.shape else int(xp.max(numbers))


def _number(mask: Array, axis: int, dtype: DType, xp: Namespace) -> Array:
    return xp.sum(xp.astype(mask, dtype), axis=axis, keepdims=True)


def _at_least_one(counts: Array, xp: Namespace) -> Array:
    return xp.where(counts > 1, counts, xp.ones_like(counts))


def _components(predicted: Array, wanted: Array, connectivity: int, most: int, backend: Backend) -> tuple[Array, Array]:
    """The components of both masks; the first few of the prediction where it has more than twice as many."""
    xp = backend.xp
    first, second = (backend.connected_components(mask, connectivity=connectivity) for mask in (predicted, wanted))
    if _greatest(first, xp) > max(most, 2 * _greatest(second, xp)):
        first = xp.where(first <= most, first, xp.zeros_like(first))
    return first, second
