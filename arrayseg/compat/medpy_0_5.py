"""medpy 0.5: `medpy.metric.binary`, for masks as classes 0 and 1.

Scores of empty masks are as medpy documents them. With NumPy 2.4 and later, medpy itself returns nan for `dc`,
`precision`, `recall`, `sensitivity` and `specificity`, because a division by zero no longer raises an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import foreground
from arrayseg.compat._preset import metric_preset
from arrayseg.metrics import SurfaceDistances
from arrayseg.metrics._shape.surface_scores import Empty

__all__ = [
    "asd",
    "assd",
    "dc",
    "hd",
    "hd95",
    "jc",
    "precision",
    "ravd",
    "recall",
    "sensitivity",
    "specificity",
    "surface_distances",
]

ERROR_IF_EMPTY: Empty = {"both": "error", "prediction": "error", "target": "error"}


@metric_preset("medpy.metric.binary.__surface_distances", "prediction")
def surface_distances(
    prediction: Array, target: Array, *, voxelspacing: Sequence[float] | None = None, connectivity: int = 1
) -> SurfaceDistances:
    """Return the distances between the voxels that an erosion removes."""
    return metrics.surface_distances(
        prediction, target, spacing=1.0 if voxelspacing is None else voxelspacing, connectivity=connectivity
    )


@metric_preset("medpy.metric.binary.hd", "distances")
def hd(distances: SurfaceDistances) -> Array:
    """Return the Hausdorff distance."""
    return metrics.hausdorff(distances, empty=ERROR_IF_EMPTY)


@metric_preset("medpy.metric.binary.hd95", "distances")
def hd95(distances: SurfaceDistances) -> Array:
    """Return the 95th percentile of the distances of both directions together."""
    return metrics.hausdorff(distances, percentile=95.0, combine="pooled", empty=ERROR_IF_EMPTY)


@metric_preset("medpy.metric.binary.asd", "distances")
def asd(distances: SurfaceDistances) -> Array:
    """Return the average surface distance from the prediction to the target."""
    return metrics.average_surface_distance(distances, empty=ERROR_IF_EMPTY)[0]


@metric_preset("medpy.metric.binary.assd", "distances")
def assd(distances: SurfaceDistances) -> Array:
    """Return the average symmetric surface distance, of both directions together."""
    return metrics.average_symmetric_surface_distance(distances, empty=ERROR_IF_EMPTY)


@metric_preset("medpy.metric.binary.dc", "binary")
def dc(binary: Array) -> Array:
    """Return the Dice coefficient; 1 if both masks are empty."""
    return foreground(metrics.dice(binary, absent=1.0, classes=[1]))


@metric_preset("medpy.metric.binary.jc", "binary")
def jc(binary: Array) -> Array:
    """Return the Jaccard coefficient; 1 if both masks are empty."""
    return foreground(metrics.iou(binary, absent=1.0, classes=[1]))


@metric_preset("medpy.metric.binary.precision", "binary")
def precision(binary: Array) -> Array:
    """Return the precision; 0 if the prediction is empty."""
    return foreground(metrics.precision(binary, absent=0.0, classes=[1]))


@metric_preset("medpy.metric.binary.recall", "binary")
def recall(binary: Array) -> Array:
    """Return the recall; 0 if the target is empty."""
    return foreground(metrics.recall(binary, absent=0.0, classes=[1]))


@metric_preset("medpy.metric.binary.sensitivity", "binary")
def sensitivity(binary: Array) -> Array:
    """Return the recall, under its other name."""
    return recall(binary)


@metric_preset("medpy.metric.binary.specificity", "binary")
def specificity(binary: Array) -> Array:
    """Return the recall of the background; 0 if the target is full."""
    return foreground(metrics.recall(binary, absent=0.0, classes=[0]))


@metric_preset(
    "medpy.metric.binary.ravd",
    "binary",
    note="medpy raises an error if the target is empty; here the result is nan or infinite.",
)
def ravd(binary: Array) -> Array:
    """Return the relative volume difference."""
    return foreground(metrics.relative_volume_difference(binary, classes=[1]))
