"""Detectron2 0.6: `SemSegEvaluator`, from the confusion matrix of a data set without void pixels.

Detectron2 prints percentages; the numbers here are from 0 to 1. A class without target pixels enters no mean, even if
it is predicted.
"""

from __future__ import annotations

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._counts import against_rest, foreground, mean_without_nan, target_pixels
from arrayseg.compat._preset import metric_preset

__all__ = ["fwiou", "iou", "macc", "miou", "pacc"]


@metric_preset("detectron2.evaluation.SemSegEvaluator IoU", "matrix")
def iou(matrix: Array) -> Array:
    """Return the intersection over union of the classes in the target; nan for other classes."""
    binary = against_rest(matrix)
    xp, scores = backend_of(matrix).xp, foreground(metrics.iou(binary))
    return xp.where(target_pixels(binary) == 0, xp.full_like(scores, float("nan")), scores)


@metric_preset("detectron2.evaluation.SemSegEvaluator mIoU", "matrix")
def miou(matrix: Array) -> Array:
    """Return the mean intersection over union of the classes in the target."""
    return mean_without_nan(iou(matrix))


@metric_preset("detectron2.evaluation.SemSegEvaluator fwIoU", "matrix")
def fwiou(matrix: Array) -> Array:
    """Return the intersection over union, weighted by the target pixels of each class."""
    return metrics.frequency_weighted_iou(matrix)


@metric_preset("detectron2.evaluation.SemSegEvaluator mACC", "matrix")
def macc(matrix: Array) -> Array:
    """Return the mean accuracy of the classes in the target."""
    return metrics.mean_pixel_accuracy(matrix)


@metric_preset("detectron2.evaluation.SemSegEvaluator pACC", "matrix")
def pacc(matrix: Array) -> Array:
    """Return the share of correct pixels."""
    return metrics.pixel_accuracy(matrix)
