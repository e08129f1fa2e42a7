"""PyTorch Ignite 0.5: `ignite.metrics`, from the confusion matrix of a data set."""

from __future__ import annotations

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._preset import metric_preset

__all__ = ["dice_coefficient", "iou", "m_iou"]


@metric_preset("ignite.metrics.IoU", "matrix")
def iou(matrix: Array) -> Array:
    """Return the intersection over union of each class; 0 for an absent class."""
    return metrics.iou(matrix, absent=0.0)


@metric_preset(
    "ignite.metrics.mIoU", "matrix", note="Ignite's `ignore_index` leaves a class out of the mean, but no pixels."
)
def m_iou(matrix: Array) -> Array:
    """Return the mean intersection over union; an absent class counts as 0."""
    return metrics.mean_iou(matrix, absent=0.0)


@metric_preset("ignite.metrics.DiceCoefficient", "matrix")
def dice_coefficient(matrix: Array) -> Array:
    """Return the Dice coefficient of each class; 0 for an absent class."""
    return metrics.dice(matrix, absent=0.0)
