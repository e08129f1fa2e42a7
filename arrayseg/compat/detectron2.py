"""Detectron2 0.6: `SemSegEvaluator`, of the confusion matrix of a data set, void pixels left out.

It prints percentages; these are from 0 to 1. A class without target pixels enters no mean, predicted or not.
"""

from __future__ import annotations

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._counts import foreground, mean_of_defined, of_matrix, target_pixels
from arrayseg.compat._preset import metric_preset

__all__ = ["fwiou", "iou", "macc", "miou", "pacc"]


@metric_preset("detectron2.evaluation.SemSegEvaluator IoU", "matrix")
def iou(matrix: Array) -> Array:
    """Intersection over union of the classes of the target; nan of others."""
    binary = of_matrix(matrix)
    xp, scores = backend_of(matrix).xp, foreground(metrics.iou(binary))
    return xp.where(target_pixels(binary) == 0, xp.full_like(scores, float("nan")), scores)


@metric_preset("detectron2.evaluation.SemSegEvaluator mIoU", "matrix")
def miou(matrix: Array) -> Array:
    """Mean intersection over union of the classes of the target."""
    return mean_of_defined(iou(matrix))


@metric_preset("detectron2.evaluation.SemSegEvaluator fwIoU", "matrix")
def fwiou(matrix: Array) -> Array:
    """Intersection over union weighed by the pixels of the target."""
    return metrics.frequency_weighted_iou(matrix)


@metric_preset("detectron2.evaluation.SemSegEvaluator mACC", "matrix")
def macc(matrix: Array) -> Array:
    """Mean accuracy of the classes of the target."""
    return metrics.mean_pixel_accuracy(matrix)


@metric_preset("detectron2.evaluation.SemSegEvaluator pACC", "matrix")
def pacc(matrix: Array) -> Array:
    """Share of the pixels that are right."""
    return metrics.pixel_accuracy(matrix)
