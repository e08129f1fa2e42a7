"""True and false positives and negatives per class, and the one place where absent classes are settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf, nan
from typing import Literal, TypeAlias

from arrayseg._checks import check_index, check_number, check_sequence, check_static
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, backend_of

__all__ = [
    "COUNTING",
    "Absent",
    "Outcomes",
    "check_absent",
    "check_counts",
    "count_outcomes",
    "diagonal",
    "evaluate",
    "intersections",
    "mean_of_defined",
    "mean_of_scores",
    "mean_over_classes",
    "outcomes",
    "overall",
    "per_class",
    "quotient",
    "ratio",
    "settle",
    "square_root",
    "take_classes",
]

#: The call that counts a matrix, as error messages show it.
COUNTING = "confusion_matrix(prediction, target, num_classes=2)"

Absent: TypeAlias = Literal["skip", "nan"] | float
"""What a class with neither prediction nor target counts."""


@dataclass(frozen=True)
class Outcomes:
    """Pixels of each class taken against the rest, as floating arrays `(..., C)`: what the formulas are written in."""

    xp: Namespace
    true_positives: Array
    false_positives: Array
    false_negatives: Array
    true_negatives: Array
    #: Where the ratios that were taken are 0 / 0. A mask and not nan, at which ``jax.debug_nans`` would stop.
    undefined: list[Array] = field(default_factory=list)

    @property
    def predicted(self) -> Array:
        """Pixels predicted as the class."""
        return self.true_positives + self.false_positives

    @property
    def actual(self) -> Array:
        """Pixels of the class in the target."""
        return self.true_positives + self.false_negatives

    @property
    def union(self) -> Array:
        """Pixels of the class in the prediction, the target or both."""
        return self.true_positives + self.false_positives + self.false_negatives

    @property
    def negatives(self) -> Array:
        """Pixels of the other classes in the target."""
        return self.true_negatives + self.false_positives

    @property
    def rejected(self) -> Array:
        """Pixels predicted as another class."""
        return self.true_negatives + self.false_negatives

    @property
    def total(self) -> Array:
        """All pixels."""
        return self.union + self.true_negatives

    @property
    def sensitivity(self) -> Array:
        """The rate of true positives."""
        return self.ratio(self.true_positives, self.actual)

    @property
    def specificity(self) -> Array:
        """The rate of true negatives."""
        return self.ratio(self.true_negatives, self.negatives)

    def ratio(self, numerator: Array, denominator: Array) -> Array:
        """Return a quotient, 0 where it is 0 / 0, and note where that is."""
        value, undefined = quotient(self.xp, numerator, denominator)
        self.undefined.append(undefined)
        return value


Formula: TypeAlias = Callable[[Outcomes], Array]


def evaluate(matrix: Array, function: Callable[[Backend, Array], Array]) -> Array:
    """`function` of a checked matrix, in the widest dtypes there are; the result in the caller's widest floating dtype.

    The function gets integers of 64 bits, where those exist, and makes floating numbers of them as late as it can.
    """
    backend = backend_of(matrix, "matrix", lazy=True)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        msg = f"`matrix` must be a confusion matrix (C, C), or several (..., C, C); got shape {tuple(matrix.shape)}."
        raise ValueError(msg)
    if not backend.xp.isdtype(matrix.dtype, ("integral", "real floating")):
        msg = f"`matrix` must hold pixel counts as integers or real numbers; got {matrix.dtype}."
        raise TypeError(msg)
    return backend.counts.map_matrices(partial(_widest, function), matrix)


def _widest(function: Callable[[Backend, Array], Array], backend: Backend, matrix: Array) -> Array:
    """`function` of a matrix in the widest dtypes."""
    xp, dtype = backend.xp, backend.sum_dtype(matrix)
    with backend.enable_64_bits(matrix):
        integral = xp.isdtype(matrix.dtype, "integral")
        wide = backend.count_dtype(matrix) if integral else backend.sum_dtype(matrix)
        counts = xp.astype(matrix, wide, copy=False)
        check_counts(backend, "matrix", counts)
        return xp.astype(function(backend, counts), dtype, copy=False)


def outcomes(backend: Backend, matrix: Array) -> Outcomes:
    """The outcomes of each class of a matrix `(..., C, C)`."""
    return count_outcomes(backend, *intersections(backend, matrix), backend.xp.sum(matrix, axis=(-2, -1)))


def intersections(backend: Backend, matrix: Array) -> tuple[Array, Array, Array]:
    """Pixels of each class in both, the prediction and the target, `(..., C)`, of a matrix `(..., C, C)`."""
    xp = backend.xp
    hits = xp.where(diagonal(backend, matrix), matrix, xp.zeros_like(matrix))
    return xp.sum(hits, axis=-1), xp.sum(matrix, axis=-2), xp.sum(matrix, axis=-1)


def diagonal(backend: Backend, matrix: Array) -> Array:
    """True on the diagonal of a matrix `(..., C, C)`, as `(C, C)`; `linalg.diagonal` is an optional extension."""
    return backend.xp.eye(matrix.shape[-1], dtype=backend.xp.bool, device=backend.device(matrix))


def count_outcomes(backend: Backend, hits: Array, predicted: Array, actual: Array, total: Array) -> Outcomes:
    """The outcomes of intersections and of all the pixels; differences are taken of the integers, where exact."""
    dtype = backend.sum_dtype(hits)
    counts = (hits, predicted - hits, actual - hits, total[..., None] - predicted - actual + hits)
    return Outcomes(backend.xp, *(backend.xp.astype(count, dtype, copy=False) for count in counts))


def quotient(xp: Namespace, numerator: Array, denominator: Array) -> tuple[Array, Array]:
    """Return a quotient with finite derivatives, and where it is 0 / 0: it is 0 there, and inf for other zeros."""
    zero = denominator == 0
    value = numerator / xp.where(zero, xp.ones_like(denominator), denominator)
    none = numerator == 0
    return xp.where(zero & ~none, inf, value), zero & none


def ratio(xp: Namespace, numerator: Array, denominator: Array, absent: Absent = nan) -> Array:
    """Return a quotient with finite derivatives: `absent` for 0 / 0, infinity for any other division by 0."""
    value, undefined = quotient(xp, numerator, denominator)
    return settle(xp, value, absent, where=undefined)


def square_root(xp: Namespace, array: Array) -> Array:
    """The square root with a finite derivative at 0, where that of the plain one is infinite."""
    positive = array > 0
    root = xp.sqrt(xp.where(positive, array, xp.ones_like(array)))
    # nan is not positive and stays nan.
    return xp.where(positive, root, array)


def settle(xp: Namespace, scores: Array, absent: Absent, *, where: Array | None = None) -> Array:
    """Return scores with nan, or the number `absent`, where they are nan (0 / 0) and at the places `where`."""
    undefined = xp.isnan(scores) if where is None else where | xp.isnan(scores)
    # A Python number, because an array of nan would stop `jax.debug_nans` even if none of it is in the result.
    return xp.where(undefined, nan if isinstance(absent, str) else float(absent), scores)


def take_classes(backend: Backend, array: Array, classes: Sequence[int] | None, *, axis: int = -1) -> Array:
    """Return the chosen entries of the class axis."""
    if classes is None:
        return array
    listed = check_sequence("classes", classes, "class ids, or None for all")
    chosen, count = [check_index("classes", label) for label in listed], array.shape[axis]
    if not chosen or not all(0 <= label < count for label in chosen):
        msg = f"`classes` must be ids of 0 .. {count - 1}, at least one; got {chosen}."
        raise ValueError(msg)
    return backend.xp.take(array, backend.asarray(chosen, dtype=backend.count_dtype(array), like=array), axis=axis)


def check_absent(absent: object) -> None:
    """Raise unless `absent` is one of the two words or a finite number."""
    if isinstance(absent, str) and absent in ("skip", "nan"):
        return
    if absent is None or isinstance(absent, str | bool):
        msg = f'`absent` must be "skip", "nan" or a number; got {absent!r}.'
        raise ValueError(msg)
    check_static("absent", absent)
    check_number("absent", absent)


def check_counts(backend: Backend, name: str, *counts: Array) -> None:
    """Raise for counts that are negative, as those that wrapped are, or nan; not under a compiler."""
    for array in counts:
        with backend.enable_64_bits(array), backend.reading():
            fits = not backend.is_concrete(array) or bool(backend.xp.all(array >= 0))
        if not fits:
            wrong = backend.to_numpy(array)
            value = wrong[~(wrong >= 0)].flat[0]
            msg = (
                f"`{name}` holds {value}, but counts are never negative or nan. Sums of int32 or smaller integers wrap "
                "to negative numbers: add statistics with metrics.add, or in int64."
            )
            raise ValueError(msg)


def per_class(formula: Formula, matrix: Array, *, absent: Absent, classes: Sequence[int] | None) -> Array:
    """Return a formula of the outcomes of each class: `(..., C)`, or as many as there are `classes`."""
    check_absent(absent)

    def scores(backend: Backend, counts: Array) -> Array:
        values, undefined = _per_class(backend, formula, counts, classes)
        return settle(backend.xp, values, absent, where=undefined)

    return evaluate(matrix, scores)


def mean_over_classes(formula: Formula, matrix: Array, *, absent: Absent, classes: Sequence[int] | None) -> Array:
    """Return the mean of a formula over the classes, without those that are undefined if `absent` is "skip"."""
    check_absent(absent)

    def mean(backend: Backend, counts: Array) -> Array:
        values, undefined = _per_class(backend, formula, counts, classes)
        return mean_of_scores(backend.xp, values, absent, where=undefined)

    return evaluate(matrix, mean)


def mean_of_scores(xp: Namespace, scores: Array, absent: Absent, *, where: Array | None = None) -> Array:
    """Return the mean over the last axis of scores settled as by `settle`; "skip" leaves out what is undefined."""
    if isinstance(absent, str) and absent == "skip":
        return mean_of_defined(xp, scores, ~(xp.isnan(scores) if where is None else where))
    return xp.mean(settle(xp, scores, absent, where=where), axis=-1)


def mean_of_defined(xp: Namespace, scores: Array, defined: Array, absent: Absent = nan) -> Array:
    """Return the mean over the last axis of the scores that are defined; `absent` if none is."""
    total = xp.sum(xp.where(defined, scores, xp.zeros_like(scores)), axis=-1)
    return ratio(xp, total, xp.sum(xp.astype(defined, scores.dtype), axis=-1), absent)


def overall(
    formula: Callable[[Backend, Array], Array], matrix: Array, *, absent: Absent, classes: Sequence[int] | None
) -> Array:
    """A formula of whole matrices of floating numbers `(..., C, C)`: one number for each, `(...)`."""
    check_absent(absent)

    def score(backend: Backend, counts: Array) -> Array:
        xp = backend.xp
        chosen = take_classes(backend, take_classes(backend, counts, classes, axis=-2), classes)
        scores = formula(backend, xp.astype(chosen, backend.sum_dtype(chosen), copy=False))
        return settle(xp, scores, absent)

    return evaluate(matrix, score)


def _per_class(backend: Backend, formula: Formula, counts: Array, classes: Sequence[int] | None) -> tuple[Array, Array]:
    """Return a formula of each of the classes, and where it is undefined."""
    table = outcomes(backend, counts)
    scores = formula(table)
    undefined = table.union == 0
    for each in table.undefined:
        undefined = undefined | each
    return take_classes(backend, scores, classes), take_classes(backend, undefined, classes)
