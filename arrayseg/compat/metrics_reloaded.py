"""MetricsReloaded 0.1: `BinaryPairwiseMeasures`, of masks as classes 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import foreground, zero_of_a_miss
from arrayseg.compat._preset import TOLERANCE, metric_preset
from arrayseg.metrics import SurfaceDistances
from arrayseg.metrics._shape.surface_scores import Empty

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "cohens_kappa",
    "dsc",
    "fbeta",
    "intersection_over_union",
    "matthews_correlation_coefficient",
    "measured_average_distance",
    "measured_hausdorff_distance",
    "measured_hausdorff_distance_perc",
    "measured_masd",
    "normalised_surface_distance",
    "positive_predictive_values",
    "sensitivity",
    "specificity",
    "surface_distances",
]

EMPTY: Empty = {"both": 0.0, "prediction": nan, "target": nan}


@metric_preset(
    "BinaryPairwiseMeasures.border_distance",
    "prediction",
    note="Its ``connectivity`` has no effect, so there is none here.",
)
def surface_distances(prediction: Array, target: Array, *, pixdim: Sequence[float] | None = None) -> SurfaceDistances:
    """Distances between the voxels that an erosion removes."""
    return metrics.surface_distances(prediction, target, spacing=pixdim)


@metric_preset("BinaryPairwiseMeasures.measured_hausdorff_distance", "distances")
def measured_hausdorff_distance(distances: SurfaceDistances) -> Array:
    """Hausdorff distance; 0 of two empty masks, nan of one."""
    return metrics.hausdorff(distances, empty=EMPTY)


@metric_preset("BinaryPairwiseMeasures.measured_hausdorff_distance_perc", "distances")
def measured_hausdorff_distance_perc(distances: SurfaceDistances, *, hd_perc: float = 95.0) -> Array:
    """Larger of the percentiles of the two directions."""
    return metrics.hausdorff(distances, percentile=hd_perc, empty=EMPTY)


@metric_preset("BinaryPairwiseMeasures.measured_average_distance", "distances")
def measured_average_distance(distances: SurfaceDistances) -> Array:
    """Average symmetric surface distance, of both directions together."""
    return metrics.average_symmetric_surface_distance(distances, empty=EMPTY)


@metric_preset("BinaryPairwiseMeasures.measured_masd", "distances")
def measured_masd(distances: SurfaceDistances) -> Array:
    """Mean of the averages of the two directions."""
    return metrics.mean_average_surface_distance(distances, empty=EMPTY)


@metric_preset("BinaryPairwiseMeasures.normalised_surface_distance", "distances", note=TOLERANCE)
def normalised_surface_distance(distances: SurfaceDistances, *, nsd: float = 1.0) -> Array:
    """Share of the voxels of both surfaces up to the distance ``nsd``; 1 of two empty masks."""
    return metrics.surface_dice(distances, nsd, empty={"both": 1.0})


@metric_preset("BinaryPairwiseMeasures.dsc", "binary")
def dsc(binary: Array) -> Array:
    """Dice coefficient; 1 of two empty masks."""
    return foreground(metrics.dice(binary, absent=1.0, classes=[1]))


@metric_preset("BinaryPairwiseMeasures.fbeta", "binary")
def fbeta(binary: Array, *, beta: float = 1.0) -> Array:
    """F-beta score; 1 of two empty masks."""
    return foreground(metrics.f_beta(binary, beta=beta, absent=1.0, classes=[1]))


@metric_preset("BinaryPairwiseMeasures.intersection_over_union", "binary")
def intersection_over_union(binary: Array) -> Array:
    """Intersection over union; nan of two empty masks, of which the Dice coefficient is 1."""
    return foreground(metrics.iou(binary, classes=[1]))


@metric_preset("BinaryPairwiseMeasures.sensitivity", "binary")
def sensitivity(binary: Array) -> Array:
    """Recall; nan of an empty target."""
    return foreground(metrics.recall(binary, classes=[1]))


@metric_preset("BinaryPairwiseMeasures.specificity", "binary")
def specificity(binary: Array) -> Array:
    """Recall of the background; nan of a full target."""
    return foreground(metrics.recall(binary, classes=[0]))


@metric_preset("BinaryPairwiseMeasures.positive_predictive_values", "binary")
def positive_predictive_values(binary: Array) -> Array:
    """Precision; 0 of an empty prediction, nan of two empty masks."""
    return zero_of_a_miss(foreground(metrics.precision(binary, classes=[1])), binary)


@metric_preset("BinaryPairwiseMeasures.accuracy", "binary")
def accuracy(binary: Array) -> Array:
    """Share of the pixels that are right."""
    return metrics.pixel_accuracy(binary)


@metric_preset("BinaryPairwiseMeasures.balanced_accuracy", "binary")
def balanced_accuracy(binary: Array) -> Array:
    """Mean of sensitivity and specificity; nan of an empty or a full target."""
    return (sensitivity(binary) + specificity(binary)) / 2


@metric_preset("BinaryPairwiseMeasures.matthews_correlation_coefficient", "binary")
def matthews_correlation_coefficient(binary: Array) -> Array:
    """Matthews correlation; nan where a mask is empty or full."""
    return metrics.matthews_corrcoef(binary)


@metric_preset("BinaryPairwiseMeasures.cohens_kappa", "binary")
def cohens_kappa(binary: Array) -> Array:
    """Cohen's kappa."""
    return metrics.cohen_kappa(binary)
