"""seg-metrics 1.2: `write_metrics`, of masks as classes 0 and 1.

Its distances of an empty mask are 0, which these are not: a missed structure is not a perfect one.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import foreground, zero_of_a_miss
from arrayseg.compat._preset import metric_preset
from arrayseg.metrics import SurfaceDistances

__all__ = [
    "dice",
    "fnr",
    "fpr",
    "hd",
    "hd95",
    "jaccard",
    "mdsd",
    "msd",
    "precision",
    "recall",
    "stdsd",
    "surface_distances",
    "vs",
]


@metric_preset(
    "seg_metrics.write_metrics",
    "prediction",
    note=(
        "It computes them in float32. The edge of the image is no surface. There is no ``fully_connected=False``: with"
        " it the distances are from one kind of surface to the other."
    ),
)
def surface_distances(prediction: Array, target: Array, *, spacing: Sequence[float] | None = None) -> SurfaceDistances:
    """Distances between the voxels with a neighbour outside, by a corner too."""
    return metrics.surface_distances(
        prediction, target, spacing=spacing, connectivity=target.ndim, edge_is_background=False
    )


@metric_preset("seg_metrics.write_metrics hd", "distances")
def hd(distances: SurfaceDistances) -> Array:
    """Hausdorff distance."""
    return metrics.hausdorff(distances)


@metric_preset("seg_metrics.write_metrics hd95", "distances")
def hd95(distances: SurfaceDistances) -> Array:
    """95th percentile of the distances of both directions together."""
    return metrics.hausdorff(distances, percentile=95.0, combine="pooled")


@metric_preset("seg_metrics.write_metrics msd", "distances")
def msd(distances: SurfaceDistances) -> Array:
    """Mean of the distances of both directions together."""
    return metrics.average_symmetric_surface_distance(distances)


@metric_preset("seg_metrics.write_metrics mdsd", "distances")
def mdsd(distances: SurfaceDistances) -> Array:
    """Median of the distances of both directions together."""
    return metrics.hausdorff(distances, percentile=50.0, combine="pooled")


@metric_preset("seg_metrics.write_metrics stdsd", "distances")
def stdsd(distances: SurfaceDistances) -> Array:
    """Standard deviation of the distances of both directions together."""
    return metrics.surface_distance_deviation(distances)


@metric_preset("seg_metrics.write_metrics dice", "binary")
def dice(binary: Array) -> Array:
    """Dice coefficient; 1 of two empty masks."""
    return foreground(metrics.dice(binary, absent=1.0, classes=[1]))


@metric_preset("seg_metrics.write_metrics jaccard", "binary")
def jaccard(binary: Array) -> Array:
    """Intersection over union; 1 of two empty masks."""
    return foreground(metrics.iou(binary, absent=1.0, classes=[1]))


@metric_preset("seg_metrics.write_metrics precision", "binary")
def precision(binary: Array) -> Array:
    """Precision; 1 of two empty masks, 0 of one."""
    return zero_of_a_miss(foreground(metrics.precision(binary, absent=1.0, classes=[1])), binary)


@metric_preset("seg_metrics.write_metrics recall", "binary")
def recall(binary: Array) -> Array:
    """Recall; 1 of two empty masks, 0 of one."""
    return zero_of_a_miss(foreground(metrics.recall(binary, absent=1.0, classes=[1])), binary)


@metric_preset("seg_metrics.write_metrics fpr", "binary", note="Of an empty target it is 0 there.")
def fpr(binary: Array) -> Array:
    """False positive rate; 0 of a full target."""
    return foreground(metrics.false_positive_rate(binary, absent=0.0, classes=[1]))


@metric_preset("seg_metrics.write_metrics fnr", "binary")
def fnr(binary: Array) -> Array:
    """False negative rate; 0 of an empty target."""
    return foreground(metrics.false_negative_rate(binary, absent=0.0, classes=[1]))


@metric_preset("seg_metrics.write_metrics vs", "binary", note="Not the volumetric similarity of others.")
def vs(binary: Array) -> Array:
    """Signed difference of the volumes relative to their mean; 1 of two empty masks."""
    return foreground(metrics.relative_volume_difference(binary, relative_to="mean", absent=1.0, classes=[1]))
