"""Count true and false positives and negatives of each class, and compute scores from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, backend_of
from arrayseg.metrics._compute import (
    AbsentScore,
    Score,
    compute,
    computed_from,
    divide,
    mean_score,
    take_classes,
)
from arrayseg.metrics._paragraphs import MATRIX

__all__ = [
    "Outcomes",
    "class_scores",
    "compute_from_matrix",
    "count_outcomes",
    "intersections",
    "matrix_score",
    "mean_over_classes",
    "outcomes_from",
    "take_submatrix",
]

#: Decorates the functions of a confusion matrix.
matrix_score = computed_from("confusion_matrix(prediction, target, num_classes=2)", paragraphs=MATRIX)


@dataclass(frozen=True)
class Outcomes:
    """The pixels of each class against the rest, as floating arrays `(..., C)`: the terms of the formulas."""

    xp: Namespace
    true_positives: Array
    false_positives: Array
    false_negatives: Array
    true_negatives: Array

    @property
    def predicted(self) -> Array:
        """The pixels predicted as the class."""
        return self.true_positives + self.false_positives

    @property
    def actual(self) -> Array:
        """The pixels of the class in the target."""
        return self.true_positives + self.false_negatives

    @property
    def union(self) -> Array:
        """The pixels of the class in the prediction, the target or both."""
        return self.true_positives + self.false_positives + self.false_negatives

    @property
    def negatives(self) -> Array:
        """The pixels of the other classes in the target."""
        return self.true_negatives + self.false_positives

    @property
    def rejected(self) -> Array:
        """The pixels predicted as another class."""
        return self.true_negatives + self.false_negatives

    @property
    def total(self) -> Array:
        """All pixels."""
        return self.union + self.true_negatives

    def ratio(self, numerator: Array, denominator: Array) -> Score:
        """Return a quotient, which is undefined for 0 / 0."""
        return divide(self.xp, numerator, denominator)


Formula: TypeAlias = Callable[[Outcomes], Score]


def class_scores(formula: Formula, matrix: Array, *, absent: AbsentScore, classes: Sequence[int] | None) -> Array:
    """Return a formula of the outcomes of each class, `(..., C)`, or of each of the `classes`."""

    def scores(backend: Backend, counts: Array) -> Score:
        return _class_scores(backend, formula, counts, classes)

    return compute_from_matrix(matrix, scores, absent)


def mean_over_classes(formula: Formula, matrix: Array, *, absent: AbsentScore, classes: Sequence[int] | None) -> Array:
    """Return the mean over the classes of a formula of their outcomes, without undefined ones if `absent` is "skip"."""

    def mean(backend: Backend, counts: Array) -> Array:
        return mean_score(backend.xp, _class_scores(backend, formula, counts, classes), absent)

    return compute_from_matrix(matrix, mean, absent)


def _class_scores(backend: Backend, formula: Formula, counts: Array, classes: Sequence[int] | None) -> Score:
    """Return the score of each class; a class in neither prediction nor target is undefined as well."""
    outcomes = count_outcomes(backend, counts)
    score = formula(outcomes)
    undefined = score.undefined | (outcomes.union == 0)
    return Score(take_classes(backend, score.values, classes), take_classes(backend, undefined, classes))


def compute_from_matrix(
    matrix: Array, formula: Callable[[Backend, Array], Array | Score], absent: AbsentScore
) -> Array:
    """Return `formula(backend, counts)` of a checked matrix; the counts are 64-bit integers, or floating numbers."""
    backend = backend_of(matrix, "matrix", lazy=True)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        msg = f"`matrix` must be a confusion matrix (C, C), or several (..., C, C); got shape {tuple(matrix.shape)}."
        raise ValueError(msg)
    if not backend.xp.isdtype(matrix.dtype, ("integral", "real floating")):
        msg = f"`matrix` must hold pixel counts as integers or real numbers; got {matrix.dtype}."
        raise TypeError(msg)
    if backend.has_chunks:
        from arrayseg.backends.dask import map_matrices

        return map_matrices(partial(compute, formula=formula, name="matrix", absent=absent, as_integers=True), matrix)
    return compute(matrix, formula, name="matrix", absent=absent, as_integers=True, backend=backend)


def count_outcomes(backend: Backend, counts: Array) -> Outcomes:
    """Return the outcomes of each class of a matrix `(..., C, C)`."""
    return outcomes_from(backend, *intersections(backend, counts), backend.xp.sum(counts, axis=(-2, -1)))


def intersections(backend: Backend, counts: Array) -> tuple[Array, Array, Array]:
    """Return the pixels of each class in both maps, in the prediction and in the target, `(..., C)` each."""
    xp = backend.xp
    # `linalg.diagonal` is an optional extension of the standard.
    diagonal = xp.eye(counts.shape[-1], dtype=xp.bool, device=backend.device(counts))
    hits = xp.where(diagonal, counts, xp.zeros_like(counts))
    return xp.sum(hits, axis=-1), xp.sum(counts, axis=-2), xp.sum(counts, axis=-1)


def outcomes_from(backend: Backend, hits: Array, predicted: Array, actual: Array, total: Array) -> Outcomes:
    """Return the outcomes as floating numbers; they are differences of integers, which are exact."""
    dtype = backend.sum_dtype(hits)
    counts = (hits, predicted - hits, actual - hits, total[..., None] - predicted - actual + hits)
    return Outcomes(backend.xp, *[backend.xp.astype(count, dtype, copy=False) for count in counts])


def take_submatrix(backend: Backend, counts: Array, classes: Sequence[int] | None) -> Array:
    """Return the matrix of the pixels whose target and prediction are both among the classes."""
    return take_classes(backend, take_classes(backend, counts, classes, axis=-2), classes)
