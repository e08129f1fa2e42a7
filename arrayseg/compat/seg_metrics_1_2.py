"""seg-metrics 1.2: `write_metrics`, for masks as classes 0 and 1.

If a mask is empty, distances are 0 in seg-metrics. Here they are not, because a missed structure is not a perfect one.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import foreground, zero_if_missed
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
        "seg-metrics computes the distances in float32. The edge of the image is not a surface. "
        "``fully_connected=False``, with which the distances are between two kinds of surfaces, is not supported."
    ),
)
def surface_distances(prediction: Array, target: Array, *, spacing: Sequence[float] | None = None) -> SurfaceDistances:
    """Return the distances between the voxels that have a neighbor outside, diagonal neighbors included."""
    return metrics.surface_distances(
        prediction,
        target,
        spacing=1.0 if spacing is None else spacing,
        connectivity=target.ndim,
        edge_is_background=False,
    )


@metric_preset("seg_metrics.write_metrics hd", "distances")
def hd(distances: SurfaceDistances) -> Array:
    """Return the Hausdorff distance."""
    return metrics.hausdorff(distances)


@metric_preset("seg_metrics.write_metrics hd95", "distances")
def hd95(distances: SurfaceDistances) -> Array:
    """Return the 95th percentile of the distances of both directions together."""
    return metrics.hausdorff(distances, percentile=95.0, combine="pooled")


@metric_preset("seg_metrics.write_metrics msd", "distances")
def msd(distances: SurfaceDistances) -> Array:
    """Return the mean of the distances of both directions together."""
    return metrics.average_symmetric_surface_distance(distances)


@metric_preset("seg_metrics.write_metrics mdsd", "distances")
def mdsd(distances: SurfaceDistances) -> Array:
    """Return the median of the distances of both directions together."""
    return metrics.hausdorff(distances, percentile=50.0, combine="pooled")


@metric_preset("seg_metrics.write_metrics stdsd", "distances")
def stdsd(distances: SurfaceDistances) -> Array:
    """Return the standard deviation of the distances of both directions together."""
    return metrics.surface_distance_deviation(distances)


@metric_preset("seg_metrics.write_metrics dice", "binary")
def dice(binary: Array) -> Array:
    """Return the Dice coefficient; 1 if both masks are empty."""
    return foreground(metrics.dice(binary, absent=1.0, classes=[1]))


@metric_preset("seg_metrics.write_metrics jaccard", "binary")
def jaccard(binary: Array) -> Array:
    """Return the intersection over union; 1 if both masks are empty."""
    return foreground(metrics.iou(binary, absent=1.0, classes=[1]))


@metric_preset("seg_metrics.write_metrics precision", "binary")
def precision(binary: Array) -> Array:
    """Return the precision; 1 if both masks are empty, 0 if one is."""
    return zero_if_missed(foreground(metrics.precision(binary, absent=1.0, classes=[1])), binary)


@metric_preset("seg_metrics.write_metrics recall", "binary")
def recall(binary: Array) -> Array:
    """Return the recall; 1 if both masks are empty, 0 if one is."""
    return zero_if_missed(foreground(metrics.recall(binary, absent=1.0, classes=[1])), binary)


@metric_preset("seg_metrics.write_metrics fpr", "binary", note="For an empty target the result is 0 in seg-metrics.")
def fpr(binary: Array) -> Array:
    """Return the false positive rate; 0 if the target is full."""
    return foreground(metrics.false_positive_rate(binary, absent=0.0, classes=[1]))


@metric_preset("seg_metrics.write_metrics fnr", "binary")
def fnr(binary: Array) -> Array:
    """Return the false negative rate; 0 if the target is empty."""
    return foreground(metrics.false_negative_rate(binary, absent=0.0, classes=[1]))


@metric_preset(
    "seg_metrics.write_metrics vs", "binary", note="Other libraries use another formula for the volumetric similarity."
)
def vs(binary: Array) -> Array:
    """Return the signed difference of the volumes relative to their mean; 1 if both masks are empty."""
    return foreground(metrics.relative_volume_difference(binary, relative_to="mean", absent=1.0, classes=[1]))
