"""The metrics of Keras 3.16."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import replace_nan
from arrayseg.compat._preset import metric_preset

__all__ = ["iou", "mean_iou"]


@metric_preset("keras.metrics.MeanIoU", "matrix")
def mean_iou(matrix: Array) -> Array:
    """Return the mean intersection over union of the classes that occur; 0 if none occurs."""
    return replace_nan(metrics.mean_iou(matrix), 0.0)


@metric_preset("keras.metrics.IoU", "matrix")
def iou(matrix: Array, *, target_class_ids: Sequence[int]) -> Array:
    """Return the mean intersection over union of the given classes that occur; 0 if none occurs."""
    return replace_nan(metrics.mean_iou(matrix, classes=target_class_ids), 0.0)
