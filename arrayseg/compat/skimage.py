"""scikit-image 0.26: `skimage.metrics`."""

from __future__ import annotations

from math import inf
from typing import Literal

from arrayseg import metrics
from arrayseg._checks import check_choice
from arrayseg._typing import Array
from arrayseg.compat._preset import metric_preset
from arrayseg.metrics import AdaptedRandError, ContingencyTable, SurfaceDistances, VariationOfInformation

__all__ = ["adapted_rand_error", "hausdorff_distance", "surface_distances", "variation_of_information"]


@metric_preset(
    "skimage.metrics.hausdorff_distance",
    "prediction",
    note="The distances are in voxels: scikit-image has no spacing here.",
)
def surface_distances(prediction: Array, target: Array) -> SurfaceDistances:
    """Return the distances between all points of the masks."""
    return metrics.surface_distances(prediction, target, definition="points")


@metric_preset("skimage.metrics.hausdorff_distance", "distances")
def hausdorff_distance(distances: SurfaceDistances, *, method: Literal["standard", "modified"] = "standard") -> Array:
    """Return the Hausdorff distance of point sets or the modified one; 0 if both masks are empty, inf if one is."""
    check_choice("method", method, ("standard", "modified"))
    function = metrics.modified_hausdorff if method == "modified" else metrics.hausdorff
    return function(distances, empty={"both": 0.0, "prediction": inf, "target": inf})


@metric_preset(
    "skimage.metrics.adapted_rand_error",
    "table",
    note=(
        "scikit-image calls precision the share of the target's pairs, which other libraries call recall; "
        "``alpha`` weights it. By default it leaves out label 0 of the target: make the table with "
        "``ignore_index=0``."
    ),
)
def adapted_rand_error(table: Array | ContingencyTable, *, alpha: float = 0.5) -> AdaptedRandError:
    """Return the adapted Rand error, precision and recall, with scikit-image's names for the last two."""
    error, precision, recall = metrics.adapted_rand_error(table, alpha=1 - alpha)
    return AdaptedRandError(error, precision=recall, recall=precision)


@metric_preset(
    "skimage.metrics.variation_of_information",
    "table",
    note="scikit-image returns only the two conditional entropies; the third field here is their sum.",
)
def variation_of_information(table: Array | ContingencyTable) -> VariationOfInformation:
    """Return the conditional entropies and their sum, in bits."""
    return metrics.variation_of_information(table)
