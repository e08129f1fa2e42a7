"""PyTorch Ignite 0.5: `ignite.metrics`, of the confusion matrix of a data set."""

from __future__ import annotations

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._preset import metric_preset

__all__ = ["dice_coefficient", "iou", "m_iou"]


@metric_preset("ignite.metrics.IoU", "matrix")
def iou(matrix: Array) -> Array:
    """Intersection over union of each class; 0 of an absent one."""
    return metrics.iou(matrix, absent=0.0)


@metric_preset("ignite.metrics.mIoU", "matrix", note="Its `ignore_index` leaves a class out of the mean and no pixels.")
def m_iou(matrix: Array) -> Array:
    """Mean intersection over union; an absent class counts 0."""
    return metrics.mean_iou(matrix, absent=0.0)


@metric_preset("ignite.metrics.DiceCoefficient", "matrix")
def dice_coefficient(matrix: Array) -> Array:
    """Dice coefficient of each class; 0 of an absent one."""
    return metrics.dice(matrix, absent=0.0)
