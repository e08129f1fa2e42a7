"""Metrax 0.2: the mean over batches of the IoU, from the confusion matrices of the batches."""

from __future__ import annotations

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import mean_without_nan
from arrayseg.compat._preset import metric_preset

__all__ = ["iou"]


@metric_preset(
    "metrax.IoU",
    "matrices",
    note="The number depends on the batch size. Metrax has no void label and counts void pixels.",
)
def iou(matrices: Array) -> Array:
    """Return the mean over batches of the mean intersection over union; an absent class counts as 0."""
    return mean_without_nan(metrics.mean_iou(matrices, absent=0.0))
