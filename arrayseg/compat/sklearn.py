"""scikit-learn 1.9: `sklearn.metrics`, from a confusion matrix.

If ``labels`` is None, labels that occur in neither map do not enter a mean. With ``average=None`` they are nan here,
and the array of scikit-learn does not contain them. If ``labels`` is given, an absent label counts as
``zero_division``: a number or nan, but not "warn". scikit-learn's own ``jaccard_score`` does not accept nan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from arrayseg import metrics
from arrayseg._checks import check_choice
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._counts import against_rest, foreground, mean_without_nan, pooled, replace_nan, target_pixels
from arrayseg.compat._preset import metric_preset
from arrayseg.metrics import ContingencyTable

__all__ = [
    "adjusted_rand_score",
    "balanced_accuracy_score",
    "cohen_kappa_score",
    "f1_score",
    "jaccard_score",
    "matthews_corrcoef",
    "normalized_mutual_info_score",
    "precision_score",
    "recall_score",
]

Average = Literal["binary", "micro", "macro", "weighted", None]


def _averaged(
    score: Callable[..., Array],
    matrix: Array,
    labels: Sequence[int] | None,
    pos_label: int,
    average: Average,
    zero_division: float,
) -> Array:
    """Average a score of each class in one of scikit-learn's five ways."""
    check_choice("average", average, Average)
    classes = [pos_label] if average == "binary" else labels
    binary = against_rest(matrix, classes=classes)
    xp = backend_of(matrix).xp
    if average == "micro":
        return replace_nan(foreground(score(pooled(binary, -3))), zero_division)
    scores = replace_nan(foreground(score(binary)), zero_division)
    if average == "binary":
        return scores[..., 0]
    if labels is None:
        scores = xp.where(xp.isnan(foreground(metrics.iou(binary))), xp.full_like(scores, float("nan")), scores)
    if average is None:
        return scores
    if average == "macro":
        return mean_without_nan(scores)
    defined = xp.astype(~xp.isnan(scores), scores.dtype)
    weights = target_pixels(binary) * defined
    weights = xp.where(xp.sum(weights, axis=-1, keepdims=True) == 0, defined, weights)
    return xp.sum(replace_nan(scores, 0.0) * weights, axis=-1) / xp.sum(weights, axis=-1)


@metric_preset("sklearn.metrics.jaccard_score", "matrix")
def jaccard_score(
    matrix: Array,
    *,
    labels: Sequence[int] | None = None,
    pos_label: int = 1,
    average: Average = "binary",
    zero_division: float = 0.0,
) -> Array:
    """Return the intersection over union."""
    return _averaged(metrics.iou, matrix, labels, pos_label, average, zero_division)


@metric_preset("sklearn.metrics.f1_score", "matrix")
def f1_score(
    matrix: Array,
    *,
    labels: Sequence[int] | None = None,
    pos_label: int = 1,
    average: Average = "binary",
    zero_division: float = 0.0,
) -> Array:
    """Return the Dice coefficient."""
    return _averaged(metrics.dice, matrix, labels, pos_label, average, zero_division)


@metric_preset("sklearn.metrics.precision_score", "matrix")
def precision_score(
    matrix: Array,
    *,
    labels: Sequence[int] | None = None,
    pos_label: int = 1,
    average: Average = "binary",
    zero_division: float = 0.0,
) -> Array:
    """Return the precision."""
    return _averaged(metrics.precision, matrix, labels, pos_label, average, zero_division)


@metric_preset("sklearn.metrics.recall_score", "matrix")
def recall_score(
    matrix: Array,
    *,
    labels: Sequence[int] | None = None,
    pos_label: int = 1,
    average: Average = "binary",
    zero_division: float = 0.0,
) -> Array:
    """Return the recall."""
    return _averaged(metrics.recall, matrix, labels, pos_label, average, zero_division)


@metric_preset("sklearn.metrics.balanced_accuracy_score", "matrix")
def balanced_accuracy_score(matrix: Array) -> Array:
    """Return the mean recall of the classes in the target."""
    return metrics.mean_pixel_accuracy(matrix)


@metric_preset("sklearn.metrics.cohen_kappa_score", "matrix")
def cohen_kappa_score(matrix: Array, *, weights: Literal["linear", "quadratic"] | None = None) -> Array:
    """Return Cohen's kappa."""
    return metrics.cohen_kappa(matrix, weights=weights)


@metric_preset("sklearn.metrics.matthews_corrcoef", "matrix")
def matthews_corrcoef(matrix: Array) -> Array:
    """Return the Matthews correlation; 0 if a map has only one class."""
    return metrics.matthews_corrcoef(matrix, absent=0.0)


@metric_preset("sklearn.metrics.adjusted_rand_score", "table")
def adjusted_rand_score(table: Array | ContingencyTable) -> Array:
    """Return the adjusted Rand index; 1 if both maps have only one label."""
    return metrics.adjusted_rand_index(table, absent=1.0)


@metric_preset("sklearn.metrics.normalized_mutual_info_score", "table")
def normalized_mutual_info_score(
    table: Array | ContingencyTable, *, average_method: Literal["arithmetic", "geometric", "min", "max"] = "arithmetic"
) -> Array:
    """Return the normalized mutual information; 1 if both maps have one label, 0 if only one of them does."""
    xp = backend_of(table if hasattr(table, "ndim") else table.counts).xp
    found = metrics.normalized_mutual_information(table, average=average_method)
    differ = metrics.variation_of_information(table).total > 0
    return xp.where(xp.isnan(found), xp.astype(~differ, found.dtype), found)
