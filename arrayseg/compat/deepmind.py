"""surface-distance 0.1: DeepMind's surface elements with their areas."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.compat._counts import foreground
from arrayseg.compat._preset import NOTE_ON_TOLERANCE, metric_preset
from arrayseg.metrics import SurfaceDistances

__all__ = [
    "compute_average_surface_distance",
    "compute_dice_coefficient",
    "compute_robust_hausdorff",
    "compute_surface_dice_at_tolerance",
    "compute_surface_overlap_at_tolerance",
    "surface_distances",
]


@metric_preset("surface_distance.compute_surface_distances", "prediction")
def surface_distances(prediction: Array, target: Array, *, spacing_mm: Sequence[float]) -> SurfaceDistances:
    """Return the distances between the surface elements that separate voxels."""
    return metrics.surface_distances(prediction, target, spacing=spacing_mm, definition="surface_element")


@metric_preset("surface_distance.compute_average_surface_distance", "distances")
def compute_average_surface_distance(distances: SurfaceDistances) -> tuple[Array, Array]:
    """Return the average distances from the target to the prediction and back; nan from an empty mask."""
    prediction_to_target = metrics.average_surface_distance(distances, empty={"prediction": nan})[0]
    target_to_prediction = metrics.average_surface_distance(distances, empty={"target": nan})[1]
    return target_to_prediction, prediction_to_target


@metric_preset(
    "surface_distance.compute_robust_hausdorff",
    "distances",
    note=(
        "Where the area up to a distance is exactly ``percent`` of the surface, the percentile is this distance. In "
        "surface-distance, rounding decides between it and the next distance."
    ),
)
def compute_robust_hausdorff(distances: SurfaceDistances, *, percent: float) -> Array:
    """Return the larger of the two percentiles, by area; inf if both masks are empty."""
    return metrics.hausdorff(distances, percentile=percent, empty={"both": inf})


@metric_preset("surface_distance.compute_surface_overlap_at_tolerance", "distances", note=NOTE_ON_TOLERANCE)
def compute_surface_overlap_at_tolerance(distances: SurfaceDistances, *, tolerance_mm: float) -> tuple[Array, Array]:
    """Return the shares of the target's surface near the prediction's and back; nan for an empty mask."""
    of_prediction = metrics.surface_overlap(distances, tolerance_mm, empty={"prediction": nan})[0]
    of_target = metrics.surface_overlap(distances, tolerance_mm, empty={"target": nan})[1]
    return of_target, of_prediction


@metric_preset("surface_distance.compute_surface_dice_at_tolerance", "distances", note=NOTE_ON_TOLERANCE)
def compute_surface_dice_at_tolerance(distances: SurfaceDistances, *, tolerance_mm: float) -> Array:
    """Return the share of both surfaces that is within the tolerance, by area."""
    return metrics.surface_dice(distances, tolerance_mm)


@metric_preset("surface_distance.compute_dice_coefficient", "binary")
def compute_dice_coefficient(binary: Array) -> Array:
    """Return the Dice coefficient of class 1; nan if both masks are empty."""
    return foreground(metrics.dice(binary, classes=[1]))
