"""The metrics of MONAI 1.6."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    replace_nan,
    target_pixels,
)
from arrayseg.compat._preset import NOTE_ON_TOLERANCE, metric_preset
from arrayseg.metrics import SegmentCounts, SurfaceDistances

__all__ = [
    "compute_average_surface_distance",
    "compute_confusion_matrix_metric",
    "compute_generalized_dice",
    "compute_hausdorff_distance",
    "compute_panoptic_quality",
    "compute_surface_dice",
    "dice_metric",
    "mean_iou",
    "surface_distances",
]

MetricReduction = Literal["mean", "mean_batch", "none"]

NOTE_ON_EMPTY_MEANS = "A mean in which no image and class counts is 0."


@metric_preset("monai.metrics.utils.get_edge_surface_distance", "prediction")
def surface_distances(
    prediction: Array, target: Array, *, spacing: Sequence[float] | None = None, use_subvoxels: bool = False
) -> SurfaceDistances:
    """Return the distances between the voxels that an erosion removes, or between surface elements."""
    definition: Literal["voxel", "surface_element"] = "surface_element" if use_subvoxels else "voxel"
    return metrics.surface_distances(
        prediction, target, spacing=1.0 if spacing is None else spacing, definition=definition
    )


@metric_preset(
    "monai.metrics.compute_hausdorff_distance",
    "distances",
    note=(
        "If one mask is empty, a percentile is infinite here, like the distance itself. In MONAI it is nan, which "
        "its means drop."
    ),
)
def compute_hausdorff_distance(
    distances: SurfaceDistances, *, percentile: float | None = None, directed: bool = False
) -> Array:
    """Return the Hausdorff distance, or the larger of the percentiles of the two directions."""
    combine: Literal["prediction", "max"] = "prediction" if directed else "max"
    return metrics.hausdorff(distances, percentile=percentile or 100.0, combine=combine, interpolation="linear")


@metric_preset("monai.metrics.compute_average_surface_distance", "distances")
def compute_average_surface_distance(distances: SurfaceDistances, *, symmetric: bool = False) -> Array:
    """Return the average surface distance from the prediction to the target, or over both directions together."""
    if symmetric:
        return metrics.average_symmetric_surface_distance(distances)
    return metrics.average_surface_distance(distances)[0]


@metric_preset("monai.metrics.compute_surface_dice", "distances", note=NOTE_ON_TOLERANCE)
def compute_surface_dice(distances: SurfaceDistances, *, class_threshold: float) -> Array:
    """Return the share of both surfaces that is within the threshold, by voxels or by area."""
    return metrics.surface_dice(distances, class_threshold)


def _image_table(
    score: Callable[..., Array],
    counts: Array,
    include_background: bool,
    ignore_empty: bool,
    reduction: MetricReduction,
) -> Array:
    """Return a score of each class in each image, or its mean: over classes first, then over images."""
    check_choice("reduction", reduction, MetricReduction)
    binary = against_rest_from_counts(counts, classes=range(0 if include_background else 1, counts.shape[-2]))
    xp, scores = backend_of(counts).xp, replace_nan(foreground(score(binary)), 1.0)
    if ignore_empty:
        scores = xp.where(target_pixels(binary) == 0, xp.full_like(scores, nan), scores)
    if reduction == "none":
        return scores
    if reduction == "mean":
        return replace_nan(mean_without_nan(mean_without_nan(scores)), 0.0)
    return replace_nan(mean_without_nan(xp.matrix_transpose(scores)), 0.0)


@metric_preset("monai.metrics.DiceMetric", "counts", note=NOTE_ON_EMPTY_MEANS)
def dice_metric(
    counts: Array,
    *,
    include_background: bool = True,
    reduction: MetricReduction = "mean",
    ignore_empty: bool = True,
) -> Array:
    """Return the Dice coefficient of each image.

    If the target lacks the class, it is nan, or, with `ignore_empty=False`, 1 if the prediction lacks it too.
    """
    return _image_table(metrics.dice, counts, include_background, ignore_empty, reduction)


@metric_preset("monai.metrics.MeanIoU", "counts", note=NOTE_ON_EMPTY_MEANS)
def mean_iou(
    counts: Array,
    *,
    include_background: bool = True,
    reduction: MetricReduction = "mean",
    ignore_empty: bool = True,
) -> Array:
    """Return the intersection over union of each image.

    If the target lacks the class, it is nan, or, with `ignore_empty=False`, 1 if the prediction lacks it too.
    """
    return _image_table(metrics.iou, counts, include_background, ignore_empty, reduction)


@metric_preset("monai.metrics.compute_generalized_dice", "matrices")
def compute_generalized_dice(
    matrices: Array,
    *,
    include_background: bool = True,
    weight_type: Literal["square", "simple", "uniform"] = "square",
    sum_over_classes: bool = False,
) -> Array:
    """Return the generalized Dice coefficient of each image, `(N, 1)`.

    Without `sum_over_classes` the weights cancel, and the result is the coefficient of each class, `(N, C)`.
    """
    check_choice("weight_type", weight_type, ("square", "simple", "uniform"))
    classes = range(0 if include_background else 1, matrices.shape[-1])
    if not sum_over_classes:
        return metrics.dice(matrices, absent=1.0, classes=classes)
    return metrics.generalized_dice(matrices, weight=weight_type, absent=1.0, classes=classes)[..., None]


RATES: dict[str, tuple[Callable[..., Array], int | None]] = {
    "tpr": (metrics.recall, 1),
    "tnr": (metrics.recall, 0),
    "ppv": (metrics.precision, 1),
    "npv": (metrics.precision, 0),
    "fnr": (metrics.false_negative_rate, 1),
    "fpr": (metrics.false_negative_rate, 0),
    "fdr": (metrics.false_discovery_rate, 1),
    "for": (metrics.false_discovery_rate, 0),
    "pt": (metrics.prevalence_threshold, 1),
    "ts": (metrics.iou, 1),
    "acc": (metrics.pixel_accuracy, None),
    "ba": (metrics.balanced_accuracy, 1),
    "f1": (metrics.dice, 1),
    "mcc": (metrics.matthews_corrcoef, None),
    "fm": (metrics.fowlkes_mallows, 1),
    "bm": (metrics.informedness, 1),
    "mk": (metrics.markedness, 1),
}
"""A metric and its class by MONAI's short names: 1 is the class, 0 the rest, None both together."""

LONG_NAMES = {
    "tpr": ("sensitivity", "recall", "hit_rate", "true_positive_rate"),
    "tnr": ("specificity", "selectivity", "true_negative_rate"),
    "ppv": ("precision", "positive_predictive_value"),
    "npv": ("negative_predictive_value",),
    "fnr": ("miss_rate", "false_negative_rate"),
    "fpr": ("fall_out", "false_positive_rate"),
    "fdr": ("false_discovery_rate",),
    "for": ("false_omission_rate",),
    "pt": ("prevalence_threshold",),
    "ts": ("threat_score", "critical_success_index", "csi"),
    "acc": ("accuracy",),
    "ba": ("balanced_accuracy",),
    "f1": ("f1_score",),
    "mcc": ("matthews_correlation_coefficient",),
    "fm": ("fowlkes_mallows_index",),
    "bm": ("informedness", "bookmaker_informedness", "youden_index", "youden"),
    "mk": ("markedness", "deltap"),
}
"""MONAI's long names of the same metrics."""


@metric_preset(
    "monai.metrics.compute_confusion_matrix_metric",
    "matrices",
    note=(
        "`metric_name` may be MONAI's short name or a long one. If both rates are equal, the prevalence threshold "
        "is its limit of 1/2 here and nan in MONAI."
    ),
)
def compute_confusion_matrix_metric(
    matrices: Array, *, metric_name: str = "tpr", include_background: bool = True
) -> Array:
    """Return a rate of each class in each image, `(N, C)`; nan for 0 / 0."""
    name = metric_name.replace(" ", "_").lower()
    short = next((short for short, long in LONG_NAMES.items() if name == short or name in long), None)
    if short is None:
        msg = f"`metric_name` must be one of {', '.join(RATES)}, or a long name of one; got {metric_name!r}."
        raise ValueError(msg)
    classes = range(0 if include_background or matrices.shape[-1] == 1 else 1, matrices.shape[-1])
    rate, side = RATES[short]
    scores = rate(against_rest(matrices, classes=classes))
    return scores if side is None else scores[..., side]


@metric_preset("monai.metrics.compute_panoptic_quality", "segments")
def compute_panoptic_quality(
    segments: SegmentCounts, *, metric_name: Literal["pq", "sq", "rq"] = "pq", smooth_numerator: float = 1e-6
) -> Array:
    """Return the panoptic quality or one of its factors, with ``smooth_numerator`` in the denominators."""
    check_choice("metric_name", metric_name, ("pq", "sq", "rq"))
    hits, extra, missed = segments.true_positives, segments.false_positives, segments.false_negatives
    matched = hits if metric_name == "rq" else segments.score_sum
    total = hits if metric_name == "sq" else hits + (extra + missed) / 2
    return matched / (total + smooth_numerator)
