"""MetricsReloaded 0.1: `BinaryPairwiseMeasures`, for masks as classes 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import foreground, zero_if_missed
from arrayseg.compat._preset import NOTE_ON_TOLERANCE, metric_preset
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

RESULT_IF_EMPTY: Empty = {"both": 0.0, "prediction": nan, "target": nan}


@metric_preset(
    "BinaryPairwiseMeasures.border_distance",
    "prediction",
    note="The ``connectivity`` of MetricsReloaded has no effect and is left out here.",
)
def surface_distances(prediction: Array, target: Array, *, pixdim: Sequence[float] | None = None) -> SurfaceDistances:
    """Return the distances between the voxels that an erosion removes."""
    return metrics.surface_distances(prediction, target, spacing=1.0 if pixdim is None else pixdim)


@metric_preset("BinaryPairwiseMeasures.measured_hausdorff_distance", "distances")
def measured_hausdorff_distance(distances: SurfaceDistances) -> Array:
    """Return the Hausdorff distance; 0 if both masks are empty, nan if one is."""
    return metrics.hausdorff(distances, empty=RESULT_IF_EMPTY)


@metric_preset("BinaryPairwiseMeasures.measured_hausdorff_distance_perc", "distances")
def measured_hausdorff_distance_perc(distances: SurfaceDistances, *, hd_perc: float = 95.0) -> Array:
    """Return the larger of the percentiles of the two directions."""
    return metrics.hausdorff(distances, percentile=hd_perc, empty=RESULT_IF_EMPTY)


@metric_preset("BinaryPairwiseMeasures.measured_average_distance", "distances")
def measured_average_distance(distances: SurfaceDistances) -> Array:
    """Return the average symmetric surface distance, of both directions together."""
    return metrics.average_symmetric_surface_distance(distances, empty=RESULT_IF_EMPTY)


@metric_preset("BinaryPairwiseMeasures.measured_masd", "distances")
def measured_masd(distances: SurfaceDistances) -> Array:
    """Return the mean of the averages of the two directions."""
    return metrics.mean_average_surface_distance(distances, empty=RESULT_IF_EMPTY)


@metric_preset("BinaryPairwiseMeasures.normalised_surface_distance", "distances", note=NOTE_ON_TOLERANCE)
def normalised_surface_distance(distances: SurfaceDistances, *, nsd: float = 1.0) -> Array:
    """Return the share of the voxels of both surfaces up to the distance ``nsd``; 1 if both masks are empty."""
    return metrics.surface_dice(distances, nsd, empty={"both": 1.0})


@metric_preset("BinaryPairwiseMeasures.dsc", "binary")
def dsc(binary: Array) -> Array:
    """Return the Dice coefficient; 1 if both masks are empty."""
    return foreground(metrics.dice(binary, absent=1.0, classes=[1]))


@metric_preset("BinaryPairwiseMeasures.fbeta", "binary")
def fbeta(binary: Array, *, beta: float = 1.0) -> Array:
    """Return the F-beta score; 1 if both masks are empty."""
    return foreground(metrics.f_beta(binary, beta=beta, absent=1.0, classes=[1]))


@metric_preset("BinaryPairwiseMeasures.intersection_over_union", "binary")
def intersection_over_union(binary: Array) -> Array:
    """Return the intersection over union; nan if both masks are empty, although their Dice coefficient is 1."""
    return foreground(metrics.iou(binary, classes=[1]))


@metric_preset("BinaryPairwiseMeasures.sensitivity", "binary")
def sensitivity(binary: Array) -> Array:
    """Return the recall; nan if the target is empty."""
    return foreground(metrics.recall(binary, classes=[1]))


@metric_preset("BinaryPairwiseMeasures.specificity", "binary")
def specificity(binary: Array) -> Array:
    """Return the recall of the background; nan if the target is full."""
    return foreground(metrics.recall(binary, classes=[0]))


@metric_preset("BinaryPairwiseMeasures.positive_predictive_values", "binary")
def positive_predictive_values(binary: Array) -> Array:
    """Return the precision; 0 if the prediction is empty, nan if both masks are empty."""
    return zero_if_missed(foreground(metrics.precision(binary, classes=[1])), binary)


@metric_preset("BinaryPairwiseMeasures.accuracy", "binary")
def accuracy(binary: Array) -> Array:
    """Return the share of correct pixels."""
    return metrics.pixel_accuracy(binary)


@metric_preset("BinaryPairwiseMeasures.balanced_accuracy", "binary")
def balanced_accuracy(binary: Array) -> Array:
    """Return the mean of sensitivity and specificity; nan if the target is empty or full."""
    return (sensitivity(binary) + specificity(binary)) / 2


@metric_preset("BinaryPairwiseMeasures.matthews_correlation_coefficient", "binary")
def matthews_correlation_coefficient(binary: Array) -> Array:
    """Return the Matthews correlation; nan if a mask is empty or full."""
    return metrics.matthews_corrcoef(binary)


@metric_preset("BinaryPairwiseMeasures.cohens_kappa", "binary")
def cohens_kappa(binary: Array) -> Array:
    """Return Cohen's kappa."""
    return metrics.cohen_kappa(binary)
