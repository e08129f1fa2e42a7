"""cityscapesScripts 2.2: the pixel-level evaluation, from the confusion matrix of a data set with all labels.

Pixels whose target label is ignored do not count; pixels that are predicted as an ignored label are false negatives.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._counts import mean_without_nan
from arrayseg.compat._preset import metric_preset

__all__ = ["average_score_categories", "average_score_classes", "category_scores", "class_scores"]


def _without_ignored(matrix: Array, ignored: Sequence[int]) -> Array:
    """Return the matrix without the pixels whose target label is ignored."""
    backend = backend_of(matrix, "matrix")
    xp = backend.xp
    kept = [float(label not in ignored) for label in range(matrix.shape[-1])]
    rows = backend.asarray(kept, dtype=backend.sum_dtype(matrix), like=matrix) > 0
    with backend.enable_64_bits(matrix):
        return xp.where(rows[:, None], matrix, xp.zeros_like(matrix))


@metric_preset("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling classScores", "matrix")
def class_scores(matrix: Array, *, ignored: Sequence[int] = ()) -> Array:
    """Return the intersection over union of each label that is not ignored."""
    classes = [label for label in range(matrix.shape[-1]) if label not in ignored]
    return metrics.iou(_without_ignored(matrix, ignored), classes=classes)


@metric_preset("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling averageScoreClasses", "matrix")
def average_score_classes(matrix: Array, *, ignored: Sequence[int] = ()) -> Array:
    """Return the mean intersection over union of the labels that occur."""
    return mean_without_nan(class_scores(matrix, ignored=ignored))


@metric_preset("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling categoryScores", "matrix")
def category_scores(matrix: Array, *, categories: Sequence[Sequence[int]], ignored: Sequence[int] = ()) -> Array:
    """Return the intersection over union of each category."""
    return metrics.category_iou(_without_ignored(matrix, ignored), categories)


@metric_preset("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling averageScoreCategories", "matrix")
def average_score_categories(
    matrix: Array, *, categories: Sequence[Sequence[int]], ignored: Sequence[int] = ()
) -> Array:
    """Return the mean intersection over union of the categories that occur."""
    return mean_without_nan(category_scores(matrix, categories=categories, ignored=ignored))
