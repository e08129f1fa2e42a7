"""Compute what metric presets share: each class against the rest, and means as peers compute them."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.metrics._compute import (
    AbsentScore,
    mean_of_defined,
    replace_undefined,
    take_classes,
)
from arrayseg.metrics._confusion.outcomes import intersections

__all__ = [
    "against_rest",
    "against_rest_from_counts",
    "foreground",
    "mean_without_nan",
    "pooled",
    "replace_nan",
    "target_pixels",
    "zero_if_missed",
]


def against_rest_from_counts(counts: Array, *, classes: Sequence[int] | None = None) -> Array:
    """Return the matrix of each class against the rest, `(N, C, 2, 2)`, for counts `(N, C, 3)`.

    Counts do not hold the true negatives, which are 0.
    """
    backend = backend_of(counts, "counts")
    xp = backend.xp
    with backend.enable_64_bits(counts):
        counts = take_classes(backend, counts, classes, axis=-2)
        hits, extra, missed = (counts[..., outcome] for outcome in range(3))
        negatives = xp.stack([xp.zeros_like(hits), extra], axis=-1)
        return xp.stack([negatives, xp.stack([missed, hits], axis=-1)], axis=-2)


def against_rest(matrix: Array, *, classes: Sequence[int] | None = None) -> Array:
    """Return the matrix of each class against the rest, `(..., C, 2, 2)`, for matrices `(..., C, C)`."""
    backend = backend_of(matrix, "matrix")
    xp = backend.xp
    with backend.enable_64_bits(matrix):
        hits, predicted, actual = (take_classes(backend, pixels, classes) for pixels in intersections(backend, matrix))
        total = xp.sum(matrix, axis=(-2, -1))[..., None]
        negatives = xp.stack([total - predicted - actual + hits, predicted - hits], axis=-1)
        return xp.stack([negatives, xp.stack([actual - hits, hits], axis=-1)], axis=-2)


def pooled(binary: Array, axis: int | tuple[int, ...]) -> Array:
    """Add matrices over images or classes."""
    backend = backend_of(binary, "matrix")
    with backend.enable_64_bits(binary):
        return backend.xp.sum(binary, axis=axis)


def target_pixels(binary: Array) -> Array:
    """Return the number of target pixels of each class, `(..., C)`, as floating numbers."""
    backend = backend_of(binary, "matrix")
    dtype = backend.sum_dtype(binary)
    with backend.enable_64_bits(binary):
        return backend.xp.astype(backend.xp.sum(binary, axis=-1)[..., 1], dtype)


def foreground(scores: Array) -> Array:
    """Return the score of the class itself from the two scores of a matrix against the rest."""
    return scores[..., -1]


def mean_without_nan(scores: Array) -> Array:
    """Return the mean over the last axis, without nan."""
    xp = backend_of(scores).xp
    mean, undefined = mean_of_defined(xp, scores, ~xp.isnan(scores))
    return replace_undefined(xp, mean, "nan", where=undefined)


def replace_nan(scores: Array, number: float | None) -> Array:
    """Replace nan in scores by a number; with None, return the scores as they are."""
    absent: AbsentScore = "nan" if number is None else number
    return replace_undefined(backend_of(scores).xp, scores, absent)


def zero_if_missed(scores: Array, matrix: Array) -> Array:
    """Replace scores by 0 if one mask or the intersection is empty; leave the score of two empty masks."""
    xp = backend_of(matrix).xp
    return xp.where(foreground(metrics.iou(matrix)) == 0, xp.zeros_like(scores), scores)
