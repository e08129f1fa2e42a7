"""The numbers of `keras.metrics`."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import replace_undefined
from arrayseg.compat._preset import metric_preset

__all__ = ["iou", "mean_iou"]


@metric_preset("keras.metrics.MeanIoU", "matrix")
def mean_iou(matrix: Array) -> Array:
    """Mean intersection over union of the classes that occur; 0 where there is none."""
    return replace_undefined(metrics.mean_iou(matrix), 0.0)


@metric_preset("keras.metrics.IoU", "matrix")
def iou(matrix: Array, *, target_class_ids: Sequence[int]) -> Array:
    """Mean intersection over union of those of the given classes that occur; 0 where there is none."""
    return replace_undefined(metrics.mean_iou(matrix, classes=target_class_ids), 0.0)
