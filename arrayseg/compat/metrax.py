"""Metrax: the means over batches of its IoU, of the confusion matrices of the batches."""

from __future__ import annotations

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import mean_of_defined
from arrayseg.compat._preset import metric_preset

__all__ = ["iou"]


@metric_preset("metrax.IoU", "matrices", note="It depends on the size of the batches. Void pixels are counted.")
def iou(matrices: Array) -> Array:
    """Mean over batches of the mean intersection over union, an absent class counting 0."""
    return mean_of_defined(metrics.mean_iou(matrices, absent=0.0))
