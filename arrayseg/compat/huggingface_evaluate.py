"""Hugging Face evaluate 0.4: `mean_iou`, of the confusion matrix of a data set, void pixels left out.

``nan_to_num`` replaces nan in what is returned, after the means were taken: an absent class never enters them.
"""

from __future__ import annotations

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import replace_undefined
from arrayseg.compat._preset import metric_preset

__all__ = ["mean_accuracy", "mean_iou", "overall_accuracy", "per_category_accuracy", "per_category_iou"]


@metric_preset("evaluate.load('mean_iou') mean_iou", "matrix")
def mean_iou(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Mean intersection over union of the classes that occur."""
    return replace_undefined(metrics.mean_iou(matrix), nan_to_num)


@metric_preset("evaluate.load('mean_iou') mean_accuracy", "matrix")
def mean_accuracy(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Mean accuracy of the classes of the target."""
    return replace_undefined(metrics.mean_pixel_accuracy(matrix), nan_to_num)


@metric_preset("evaluate.load('mean_iou') overall_accuracy", "matrix")
def overall_accuracy(matrix: Array) -> Array:
    """Share of the pixels that are right."""
    return metrics.pixel_accuracy(matrix)


@metric_preset("evaluate.load('mean_iou') per_category_iou", "matrix")
def per_category_iou(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Intersection over union of each class."""
    return replace_undefined(metrics.iou(matrix), nan_to_num)


@metric_preset("evaluate.load('mean_iou') per_category_accuracy", "matrix")
def per_category_accuracy(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Accuracy of each class."""
    return replace_undefined(metrics.class_accuracy(matrix), nan_to_num)
