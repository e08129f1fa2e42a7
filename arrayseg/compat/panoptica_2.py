"""panoptica 2: metrics of instances, and of masks as classes 0 and 1.

Scores of empty masks are the defaults of its edge case handler, which its evaluation asks first. Called directly
with an empty mask, panoptica's metrics return 0, nan or distances without a meaning, or raise an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import foreground
from arrayseg.compat._preset import TOLERANCE, metric_preset
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
    """Distances between the voxels that an erosion removes."""
    return metrics.surface_distances(prediction, target, spacing=voxelspacing, connectivity=connectivity)


@metric_preset("panoptica.Metric.HD", "distances")
def hd(distances: SurfaceDistances) -> Array:
    """Hausdorff distance."""
    return metrics.hausdorff(distances)


@metric_preset("panoptica.Metric.HD95", "distances")
def hd95(distances: SurfaceDistances) -> Array:
    """95th percentile of the distances of both directions together."""
    return metrics.hausdorff(distances, percentile=95.0, combine="pooled")


@metric_preset("panoptica.Metric.ASSD", "distances", note="Elsewhere this is the mean average surface distance.")
def assd(distances: SurfaceDistances) -> Array:
    """Mean of the averages of the two directions."""
    return metrics.mean_average_surface_distance(distances)


@metric_preset(
    "panoptica.Metric.NSD",
    "distances",
    note=f"panoptica's default threshold is the smallest spacing, or 0.5 without a spacing. {TOLERANCE}",
)
def nsd(distances: SurfaceDistances, *, threshold: float) -> Array:
    """Mean of the shares of the two surfaces."""
    return metrics.surface_dice(distances, threshold, average="mean")


@metric_preset("panoptica.Metric.DSC", "binary")
def dsc(binary: Array) -> Array:
    """Dice coefficient."""
    return foreground(metrics.dice(binary, classes=[1]))


@metric_preset("panoptica.Metric.IOU", "binary")
def iou(binary: Array) -> Array:
    """Intersection over union."""
    return foreground(metrics.iou(binary, classes=[1]))


@metric_preset("panoptica.Metric.RVD", "binary", note="Of an empty target nan there, and infinite here.")
def rvd(binary: Array) -> Array:
    """Relative volume difference."""
    return foreground(metrics.relative_volume_difference(binary, classes=[1]))


@metric_preset("panoptica.Metric.RVAE", "binary", note="Of an empty target nan there, and infinite here.")
def rvae(binary: Array) -> Array:
    """Absolute relative volume difference."""
    return abs(rvd(binary))


@metric_preset("panoptica.NaiveThresholdMatching", "prediction", note="An IoU of exactly the threshold is a match.")
def match_instances(prediction: Array, target: Array, *, matching_threshold: float = 0.5) -> SegmentCounts:
    """Matched and unmatched instances of label maps, the pairs with the highest IoU first."""
    return metrics.match_instances(prediction, target, thresholds=matching_threshold, inclusive=True)


@metric_preset("panoptica.PanopticaResult.pq", "segments")
def pq(segments: SegmentCounts) -> Array:
    """Panoptic quality."""
    return metrics.panoptic_quality(segments).pq


@metric_preset("panoptica.PanopticaResult.sq", "segments")
def sq(segments: SegmentCounts) -> Array:
    """Mean IoU of the matches."""
    return metrics.panoptic_quality(segments).sq


@metric_preset("panoptica.PanopticaResult.rq", "segments")
def rq(segments: SegmentCounts) -> Array:
    """F1 score of the instances."""
    return metrics.panoptic_quality(segments).rq
