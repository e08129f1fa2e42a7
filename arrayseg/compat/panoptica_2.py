"""panoptica 2: metrics of instances, and of masks as classes 0 and 1.

Scores of empty masks are the defaults of panoptica's edge case handler, which its evaluation asks first. If they are
called directly with an empty mask, panoptica's metrics return 0, nan or meaningless distances, or raise an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import foreground
from arrayseg.compat._preset import NOTE_ON_TOLERANCE, metric_preset
from arrayseg.metrics import SegmentCounts, SurfaceDistances

__all__ = [
    "assd",
    "dsc",
    "hd",
    "hd95",
    "iou",
    "match_instances",
    "nsd",
    "pq",
    "rq",
    "rvae",
    "rvd",
    "sq",
    "surface_distances",
]


@metric_preset("panoptica.metrics._surface_distance_pair", "prediction")
def surface_distances(
    prediction: Array, target: Array, *, voxelspacing: Sequence[float] | None = None, connectivity: int = 1
) -> SurfaceDistances:
    """Return the distances between the voxels that an erosion removes."""
    return metrics.surface_distances(
        prediction, target, spacing=1.0 if voxelspacing is None else voxelspacing, connectivity=connectivity
    )


@metric_preset("panoptica.Metric.HD", "distances")
def hd(distances: SurfaceDistances) -> Array:
    """Return the Hausdorff distance."""
    return metrics.hausdorff(distances)


@metric_preset("panoptica.Metric.HD95", "distances")
def hd95(distances: SurfaceDistances) -> Array:
    """Return the 95th percentile of the distances of both directions together."""
    return metrics.hausdorff(distances, percentile=95.0, combine="pooled")


@metric_preset(
    "panoptica.Metric.ASSD", "distances", note="Elsewhere this number is called the mean average surface distance."
)
def assd(distances: SurfaceDistances) -> Array:
    """Return the mean of the averages of the two directions."""
    return metrics.mean_average_surface_distance(distances)


@metric_preset(
    "panoptica.Metric.NSD",
    "distances",
    note=f"panoptica's default threshold is the smallest spacing, or 0.5 without a spacing. {NOTE_ON_TOLERANCE}",
)
def nsd(distances: SurfaceDistances, *, threshold: float) -> Array:
    """Return the mean of the shares of the two surfaces within the threshold."""
    return metrics.surface_dice(distances, threshold, average="mean")


@metric_preset("panoptica.Metric.DSC", "binary")
def dsc(binary: Array) -> Array:
    """Return the Dice coefficient."""
    return foreground(metrics.dice(binary, classes=[1]))


@metric_preset("panoptica.Metric.IOU", "binary")
def iou(binary: Array) -> Array:
    """Return the intersection over union."""
    return foreground(metrics.iou(binary, classes=[1]))


@metric_preset(
    "panoptica.Metric.RVD", "binary", note="For an empty target the result is nan in panoptica, and infinite here."
)
def rvd(binary: Array) -> Array:
    """Return the relative volume difference."""
    return foreground(metrics.relative_volume_difference(binary, classes=[1]))


@metric_preset(
    "panoptica.Metric.RVAE", "binary", note="For an empty target the result is nan in panoptica, and infinite here."
)
def rvae(binary: Array) -> Array:
    """Return the absolute relative volume difference."""
    return abs(rvd(binary))


@metric_preset("panoptica.NaiveThresholdMatching", "prediction", note="An IoU of exactly the threshold is a match.")
def match_instances(prediction: Array, target: Array, *, matching_threshold: float = 0.5) -> SegmentCounts:
    """Match the instances of two label maps, the pairs with the highest IoU first."""
    return metrics.match_instances(prediction, target, thresholds=matching_threshold, inclusive=True)


@metric_preset("panoptica.PanopticaResult.pq", "segments")
def pq(segments: SegmentCounts) -> Array:
    """Return the panoptic quality."""
    return metrics.panoptic_quality(segments).pq


@metric_preset("panoptica.PanopticaResult.sq", "segments")
def sq(segments: SegmentCounts) -> Array:
    """Return the mean IoU of the matches."""
    return metrics.panoptic_quality(segments).sq


@metric_preset("panoptica.PanopticaResult.rq", "segments")
def rq(segments: SegmentCounts) -> Array:
    """Return the F1 score of the instances."""
    return metrics.panoptic_quality(segments).rq
