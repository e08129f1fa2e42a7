"""What metric presets share: each class against the rest, and the means that peers take."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.metrics._confusion.outcomes import Absent, intersections, mean_of_scores, settle, take_classes

__all__ = [
    "foreground",
    "mean_of_defined",
    "of_counts",
    "of_matrix",
    "pooled",
    "replace_undefined",
    "target_pixels",
    "zero_of_a_miss",
]


def of_counts(counts: Array, *, classes: Sequence[int] | None = None) -> Array:
    """Matrices `(N, C, 2, 2)` of each class against the rest, of `(N, C, 3)`; without the true negatives."""
    backend = backend_of(counts, "counts")
    xp = backend.xp
    with backend.enable_64_bits(counts):
        counts = take_classes(backend, counts, classes, axis=-2)
        hits, extra, missed = (counts[..., outcome] for outcome in range(3))
        negatives = xp.stack([xp.zeros_like(hits), extra], axis=-1)
        return xp.stack([negatives, xp.stack([missed, hits], axis=-1)], axis=-2)


def of_matrix(matrix: Array, *, classes: Sequence[int] | None = None) -> Array:
    """Matrices `(..., C, 2, 2)` of each class against the rest, of `(..., C, C)`."""
    backend = backend_of(matrix, "matrix")
    xp = backend.xp
    with backend.enable_64_bits(matrix):
        hits, predicted, actual = (take_classes(backend, pixels, classes) for pixels in intersections(backend, matrix))
        total = xp.sum(matrix, axis=(-2, -1))[..., None]
        negatives = xp.stack([total - predicted - actual + hits, predicted - hits], axis=-1)
        return xp.stack([negatives, xp.stack([actual - hits, hits], axis=-1)], axis=-2)


def pooled(binary: Array, axis: int | tuple[int, ...]) -> Array:
    """The sum of matrices over images or classes."""
    backend = backend_of(binary, "matrix")
    with backend.enable_64_bits(binary):
        return backend.xp.sum(binary, axis=axis)


def target_pixels(binary: Array) -> Array:
    """The pixels of each class in the target, `(..., C)`, of matrices against the rest, as floating numbers."""
    backend = backend_of(binary, "matrix")
    dtype = backend.sum_dtype(binary)
    with backend.enable_64_bits(binary):
        return backend.xp.astype(backend.xp.sum(binary, axis=-1)[..., 1], dtype)


def foreground(scores: Array) -> Array:
    """The score of the class itself, of those of a matrix against the rest."""
    return scores[..., -1]


def mean_of_defined(scores: Array) -> Array:
    """The mean over the last axis without nan."""
    return mean_of_scores(backend_of(scores).xp, scores, "skip")


def replace_undefined(scores: Array, number: float | None) -> Array:
    """Scores with a number in the place of nan; None leaves them."""
    absent: Absent = "nan" if number is None else number
    return settle(backend_of(scores).xp, scores, absent)


def zero_of_a_miss(scores: Array, matrix: Array) -> Array:
    """Scores of masks with 0 where one mask, or what they share, is empty; that of two empty masks is left."""
    xp = backend_of(matrix).xp
    return xp.where(foreground(metrics.iou(matrix)) == 0, xp.zeros_like(scores), scores)
