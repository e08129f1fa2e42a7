"""torchmetrics 1.9: `torchmetrics.segmentation` and the multi-class `torchmetrics.classification`."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Literal

from arrayseg import metrics
from arrayseg._checks import check_choice
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._counts import (
    against_rest,
    against_rest_from_counts,
    foreground,
    mean_without_nan,
    pooled,
    replace_nan,
    target_pixels,
)
from arrayseg.compat._preset import metric_preset
from arrayseg.metrics import SegmentCounts, SurfaceDistances

__all__ = [
    "cohen_kappa",
    "dice_score",
    "generalized_dice_score",
    "hausdorff_distance",
    "jaccard_index",
    "mean_iou",
    "panoptic_quality",
    "surface_distances",
]

Average = Literal["macro", "micro", "weighted", "none", None]


@metric_preset("torchmetrics.classification.MulticlassJaccardIndex", "matrix")
def jaccard_index(
    matrix: Array,
    *,
    average: Average = "macro",
    ignore_index: int | None = None,
    zero_division: float = 0.0,
) -> Array:
    """Return the intersection over union; an ``ignore_index`` that is a class also excludes this class."""
    check_choice("average", average, Average)
    classes = [label for label in range(matrix.shape[-1]) if label != ignore_index]
    if average == "micro":
        binary = against_rest(matrix, classes=classes)
        return replace_nan(foreground(metrics.iou(pooled(binary, -3))), zero_division)
    if average == "macro":
        return metrics.mean_iou(matrix, classes=classes)
    if average == "weighted":
        return metrics.frequency_weighted_iou(matrix)
    return metrics.iou(matrix, absent=zero_division)


@metric_preset("torchmetrics.classification.MulticlassCohenKappa", "matrix")
def cohen_kappa(matrix: Array, *, weights: Literal["linear", "quadratic"] | None = None) -> Array:
    """Return Cohen's kappa."""
    return metrics.cohen_kappa(matrix, weights=weights)


@metric_preset(
    "torchmetrics.segmentation.MeanIoU",
    "counts",
    note="torchmetrics has no void label; here the counts may leave one out.",
)
def mean_iou(counts: Array, *, include_background: bool = True, per_class: bool = False) -> Array:
    """Return the mean over the pairs of an image and a class in it.

    With ``per_class`` it is the mean over the images of each class, or -1 if no image has the class.
    """
    classes = range(0 if include_background else 1, counts.shape[-2])
    if not per_class:
        return metrics.fine_grained_mean(counts, average="pair", present="union", classes=classes)
    scores = foreground(metrics.iou(against_rest_from_counts(counts, classes=classes)))
    return replace_nan(mean_without_nan(backend_of(counts).xp.matrix_transpose(scores)), -1.0)


@metric_preset("torchmetrics.segmentation.DiceScore", "counts", note="Before 1.9 the default average was 'micro'.")
def dice_score(
    counts: Array,
    *,
    include_background: bool = True,
    average: Average = "macro",
    aggregation_level: Literal["samplewise", "global"] = "samplewise",
) -> Array:
    """Return the mean of the Dice coefficients of the images, or the coefficient of their added counts."""
    check_choice("average", average, Average)
    check_choice("aggregation_level", aggregation_level, ("samplewise", "global"))
    xp = backend_of(counts).xp
    binary = against_rest_from_counts(counts, classes=range(0 if include_background else 1, counts.shape[-2]))
    if aggregation_level == "global":
        binary = pooled(binary, 0)[None, ...]
    if average == "micro":
        return mean_without_nan(foreground(metrics.dice(pooled(binary, 1))))
    scores = foreground(metrics.dice(binary))
    if average == "macro":
        return mean_without_nan(mean_without_nan(scores))
    if average != "weighted":
        return mean_without_nan(xp.matrix_transpose(scores))
    weights = target_pixels(binary)
    weighted = xp.sum(replace_nan(scores, 0.0) * weights, axis=-1)
    weighted = weighted / xp.maximum(xp.sum(weights, axis=-1), xp.ones_like(weighted))
    return mean_without_nan(xp.where(xp.all(xp.isnan(scores), axis=-1), xp.full_like(weighted, nan), weighted))


@metric_preset(
    "torchmetrics.segmentation.GeneralizedDiceScore",
    "matrices",
    note=(
        "A class that an image lacks gets the largest weight of the image's other classes here. In torchmetrics "
        "it gets the largest weight of the batch, so that the score of an image depends on its batch."
    ),
)
def generalized_dice_score(
    matrices: Array, *, include_background: bool = True, weight_type: Literal["square", "simple", "linear"] = "square"
) -> Array:
    """Return the mean over images of the generalized Dice coefficient, which is 0 for an empty image."""
    classes = range(0 if include_background else 1, matrices.shape[-1])
    weight: Literal["square", "simple", "uniform"] = "uniform" if weight_type == "linear" else weight_type
    return mean_without_nan(metrics.generalized_dice(matrices, weight=weight, absent=0.0, classes=classes))


@metric_preset("torchmetrics.segmentation.HausdorffDistance", "prediction")
def surface_distances(prediction: Array, target: Array, *, spacing: Sequence[float] | None = None) -> SurfaceDistances:
    """Return the distances between the voxels that an erosion removes."""
    return metrics.surface_distances(prediction, target, spacing=1.0 if spacing is None else spacing)


@metric_preset(
    "torchmetrics.segmentation.HausdorffDistance",
    "distances",
    note=(
        "Correct for any shape in two and three dimensions. torchmetrics 1.9 gives wrong numbers or raises an "
        "error if height and width differ, and does not support a third axis. It also raises an error if both "
        "masks are empty; here the distance is nan."
    ),
)
def hausdorff_distance(distances: SurfaceDistances, *, directed: bool = False) -> Array:
    """Return the Hausdorff distance, or the directed one from the prediction to the target."""
    return metrics.hausdorff(distances, combine="prediction" if directed else "max")


@metric_preset(
    "torchmetrics.detection.PanopticQuality",
    "segments",
    note=(
        "Equal without void pixels. With void pixels, torchmetrics excludes predicted void from the target's "
        "area, and forgives target segments that are mostly predicted as void."
    ),
)
def panoptic_quality(segments: SegmentCounts) -> Array:
    """Return the mean panoptic quality of the classes that occur."""
    return metrics.mean_panoptic_quality(segments).pq
