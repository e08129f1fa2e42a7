"""Hugging Face evaluate 0.4: `mean_iou`, from the confusion matrix of a data set without void pixels.

``nan_to_num`` replaces nan in the result, after the means are taken: an absent class never enters a mean.
"""

from __future__ import annotations

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import replace_nan
from arrayseg.compat._preset import metric_preset

__all__ = ["mean_accuracy", "mean_iou", "overall_accuracy", "per_category_accuracy", "per_category_iou"]


@metric_preset("evaluate.load('mean_iou') mean_iou", "matrix")
def mean_iou(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the mean intersection over union of the classes that occur."""
    return replace_nan(metrics.mean_iou(matrix), nan_to_num)


@metric_preset("evaluate.load('mean_iou') mean_accuracy", "matrix")
def mean_accuracy(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the mean accuracy of the classes in the target."""
    return replace_nan(metrics.mean_pixel_accuracy(matrix), nan_to_num)


@metric_preset("evaluate.load('mean_iou') overall_accuracy", "matrix")
def overall_accuracy(matrix: Array) -> Array:
    """Return the share of correct pixels."""
    return metrics.pixel_accuracy(matrix)


@metric_preset("evaluate.load('mean_iou') per_category_iou", "matrix")
def per_category_iou(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the intersection over union of each class."""
    return replace_nan(metrics.iou(matrix), nan_to_num)


@metric_preset("evaluate.load('mean_iou') per_category_accuracy", "matrix")
def per_category_accuracy(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the accuracy of each class."""
    return replace_nan(metrics.class_accuracy(matrix), nan_to_num)
