"""MONAI 1.6: the numbers of `monai.losses` and `monai.metrics`.

Targets are MONAI's: with ``to_onehot_y`` class ids, with MONAI's channel of length one or without it; else a value for
every class. Without a reduction the result has no axes of length one in the place of the spatial ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import nan
from typing import Any, Literal

from arrayseg import losses, metrics
from arrayseg._typing import Activation, Array, Pool, Reduction, SoftTruePositive, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._counts import foreground, mean_of_defined, of_counts, of_matrix, replace_undefined, target_pixels
from arrayseg.compat._preset import Call, Record, loss_preset, metric_preset, weighted_sum, without_channel
from arrayseg.metrics import SegmentCounts, SurfaceDistances

__all__ = [
    "asymmetric_unified_focal_loss",
    "boundary_loss",
    "compute_average_surface_distance",
    "compute_confusion_matrix_metric",
    "compute_generalized_dice",
    "compute_hausdorff_distance",
    "compute_panoptic_quality",
    "compute_surface_dice",
    "dice_ce_loss",
    "dice_focal_loss",
    "dice_loss",
    "dice_metric",
    "focal_loss",
    "generalized_dice_focal_loss",
    "generalized_dice_loss",
    "generalized_wasserstein_dice_loss",
    "hausdorff_dt_loss",
    "log_hausdorff_dt_loss",
    "masked_dice_loss",
    "mcc_loss",
    "mean_iou",
    "soft_dicecl_dice_loss",
    "softcl_dice_loss",
    "surface_distances",
    "tversky_loss",
]

NOTHING = "Where no image has a class that counts it is nan; MONAI has 0."

MetricReduction = Literal["mean", "mean_batch", "none"]

WEIGHTS = (1.0, 2.0, 3.0, 4.0)
IDS: dict[str, Any] = {"softmax": True, "to_onehot_y": True}
CHANNEL = "ids with a channel"


def labels(input: Array, target: Array, to_onehot_y: bool) -> Array:
    """The target without a channel of length one, where it holds ids."""
    return without_channel(input, target) if to_onehot_y else target


def activation(sigmoid: bool, softmax: bool) -> Activation:
    """The activation by MONAI's two flags."""
    if sigmoid and softmax:
        msg = "`sigmoid` and `softmax` cannot both be true; give the one that makes probabilities of the input."
        raise ValueError(msg)
    return "sigmoid" if sigmoid else "softmax" if softmax else None


def pool(batch: bool) -> Pool:
    """Over what the sums run."""
    return "batch" if batch else "image"


def true_positives(squared_pred: bool, soft_label: bool) -> SoftTruePositive:
    """Which true positives MONAI counts."""
    return "l2" if squared_pred else "l1" if soft_label else "product"


def of_all_classes(weight: float | Weights | None, include_background: bool) -> float | Weights | None:
    """MONAI's weights, which leave out the background where it does not enter, with a place for it."""
    if weight is None or include_background or isinstance(weight, int | float):
        return weight
    return (0.0, *(float(value) for value in weight))


def foreground_weights(weight: float | Weights | None, classes: int) -> tuple[float, ...]:
    """Weights of all classes whose mean is that of the foreground's."""
    if weight is None or isinstance(weight, int | float):
        weight = (1.0 if weight is None else weight,) * (classes - 1)
    return (0.0, *(float(value) * classes / (classes - 1) for value in weight))


@loss_preset(
    "monai.losses.DiceLoss",
    Record(0.757078, IDS, CHANNEL),
    Record(0.755556, {**IDS, "batch": True}, CHANNEL),
    Record(0.649165, {**IDS, "squared_pred": True}, CHANNEL),
    Record(1.906748, {**IDS, "weight": WEIGHTS}, CHANNEL),
    note="Weights are not normalised: the mean of w times the loss.",
)
def dice_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    squared_pred: bool = False,
    jaccard: bool = False,
    reduction: Reduction = "mean",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    weight: float | Weights | None = None,
    soft_label: bool = False,
    ignore_index: int | None = None,
    **options: Any,
) -> Call:
    """Dice or Jaccard loss."""
    return partial(
        losses.jaccard if jaccard else losses.dice,
        input,
        labels(input, target, to_onehot_y),
        activation=activation(sigmoid, softmax),
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(squared_pred, soft_label),
        exclude_background=not include_background,
        class_weights=of_all_classes(weight, include_background),
        reduction=reduction,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "monai.losses.MaskedDiceLoss",
    note="The mask is of booleans, `(N, *spatial)` or with a channel.",
)
def masked_dice_loss(input: Array, target: Array, *, mask: Array | None = None, **options: Any) -> Call:
    """Dice loss of the pixels of a mask; the options are those of `dice_loss`."""
    return partial(dice_loss, input, target, mask=None if mask is None else without_channel(input, mask), **options)


@loss_preset(
    "monai.losses.TverskyLoss",
    Record(0.757078, IDS, CHANNEL),
    Record(0.756835, {**IDS, "alpha": 0.9, "beta": 0.1}, CHANNEL),
    note="alpha weighs false positives.",
)
def tversky_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    alpha: float = 0.5,
    beta: float = 0.5,
    reduction: Reduction = "mean",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    soft_label: bool = False,
    ignore_index: int | None = None,
    **options: Any,
) -> Call:
    """Tversky loss."""
    return partial(
        losses.tversky,
        input,
        labels(input, target, to_onehot_y),
        alpha=alpha,
        beta=beta,
        activation=activation(sigmoid, softmax),
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(False, soft_label),
        exclude_background=not include_background,
        reduction=reduction,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "monai.losses.GeneralizedDiceLoss",
    Record(0.754275, IDS, CHANNEL),
    Record(0.755240, {**IDS, "batch": True}, CHANNEL),
    note="In 1.1 and 1.2 the weights stood inside each class's own score, where they cancel.",
)
def generalized_dice_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    w_type: Literal["square", "simple", "uniform"] = "square",
    reduction: Reduction = "mean",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    soft_label: bool = False,
    **options: Any,
) -> Call:
    """Generalised Dice loss."""
    return partial(
        losses.generalized_dice,
        input,
        labels(input, target, to_onehot_y),
        weighting=w_type,
        activation=activation(sigmoid, softmax),
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(False, soft_label),
        exclude_background=not include_background,
        reduction=reduction,
        **options,
    )


@loss_preset(
    "monai.losses.GeneralizedWassersteinDiceLoss",
    Record(0.450901, {"dist_matrix": ((0, 1, 1, 1), (1, 0, 0.5, 0.5), (1, 0.5, 0, 0.5), (1, 0.5, 0.5, 0))}),
    note="Up to 1.5 the images of a batch were mixed, which is not reproduced.",
)
def generalized_wasserstein_dice_loss(
    input: Array,
    target: Array,
    *,
    dist_matrix: Sequence[Sequence[float]],
    weighting_mode: Literal["default", "GDL"] = "default",
    reduction: Reduction = "mean",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    **options: Any,
) -> Call:
    """Generalised Wasserstein Dice loss; the matrix is divided by its greatest entry."""
    greatest = max(float(value) for row in dist_matrix for value in row)
    return partial(
        losses.generalized_wasserstein_dice,
        input,
        target,
        distances=[[float(value) / greatest for value in row] for row in dist_matrix],
        weighting="gdl" if weighting_mode == "GDL" else "default",
        smooth=(smooth_nr, smooth_dr),
        reduction=reduction,
        **options,
    )


@loss_preset(
    "monai.losses.FocalLoss",
    Record(0.363578, {"to_onehot_y": True}, CHANNEL),
    Record(0.313108, {"to_onehot_y": True, "use_softmax": True}, CHANNEL),
    Record(1.218079, {"to_onehot_y": True, "use_softmax": True, "ignore_index": 255}, "void ids with a channel"),
    note=(
        "With `ignore_index` the mean is C times as large. Not had: `include_background=False` with softmax, which "
        "takes class 0 out of the softmax; the sum, of which MONAI takes the mean over space; a list of alpha with "
        "sigmoid. Up to 0.5 it was the softmax form."
    ),
)
def focal_loss(
    input: Array,
    target: Array,
    *,
    to_onehot_y: bool = False,
    gamma: float = 2.0,
    alpha: float | Weights | None = None,
    weight: float | Weights | None = None,
    include_background: bool = True,
    reduction: Literal["mean", "none"] = "mean",
    use_softmax: bool = False,
    ignore_index: int | None = None,
    **options: Any,
) -> Call:
    """Focal loss, by default of independent classes."""
    if use_softmax and not include_background:
        msg = (
            "MONAI's focal loss takes class 0 out of the softmax with include_background=False, which this preset does "
            "not reproduce. Leave it out, or use arrayseg.losses.focal with class_weights."
        )
        raise ValueError(msg)
    return partial(
        losses.focal,
        input,
        labels(input, target, to_onehot_y),
        gamma=gamma,
        alpha=alpha,
        activation="softmax" if use_softmax else "sigmoid",
        class_weights=weight if include_background else foreground_weights(weight, input.shape[1]),
        reduction=reduction,
        denominator="elements" if ignore_index is None else "valid",
        ignore_index=ignore_index,
        **options,
    )


@loss_preset("monai.losses.MCCLoss", Record(1.003661, IDS, CHANNEL), note="New in 1.6.")
def mcc_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Reduction = "mean",
    smooth_nr: float = 0.0,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    **options: Any,
) -> Call:
    """Loss of the Matthews correlation coefficient."""
    return partial(
        losses.matthews_corrcoef,
        input,
        labels(input, target, to_onehot_y),
        activation=activation(sigmoid, softmax),
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        exclude_background=not include_background,
        reduction=reduction,
        **options,
    )


@loss_preset("monai.losses.BoundaryLoss", Record(0.253872, IDS, CHANNEL), note="New in 1.6; it has no spacing.")
def boundary_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Boundary loss."""
    return partial(
        losses.boundary,
        input,
        labels(input, target, to_onehot_y),
        activation=activation(sigmoid, softmax),
        exclude_background=not include_background,
        reduction=reduction,
        **options,
    )


@loss_preset(
    "monai.losses.HausdorffDTLoss", Record(1.211760, IDS, CHANNEL), note="It leaves out the background by default."
)
def hausdorff_dt_loss(
    input: Array,
    target: Array,
    *,
    alpha: float = 2.0,
    include_background: bool = False,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Hausdorff distance loss by distance transforms."""
    return partial(
        losses.hausdorff_distance_transform,
        input,
        labels(input, target, to_onehot_y),
        alpha=alpha,
        activation=activation(sigmoid, softmax),
        exclude_background=not include_background,
        reduction=reduction,
        **options,
    )


@loss_preset(
    "monai.losses.LogHausdorffDTLoss", Record(0.793789, IDS, CHANNEL), note="It leaves out the background by default."
)
def log_hausdorff_dt_loss(
    input: Array,
    target: Array,
    *,
    alpha: float = 2.0,
    include_background: bool = False,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """The logarithm of one plus the Hausdorff distance loss."""
    return partial(
        losses.log_hausdorff_distance_transform,
        input,
        labels(input, target, to_onehot_y),
        alpha=alpha,
        activation=activation(sigmoid, softmax),
        exclude_background=not include_background,
        reduction=reduction,
        **options,
    )


@loss_preset(
    "monai.losses.SoftclDiceLoss",
    Record(0.742057, IDS, CHANNEL),
    note="Up to 1.5: see monai_1_5. Where neighbours tie, its skeleton's gradient is torch's.",
)
def softcl_dice_loss(
    input: Array,
    target: Array,
    *,
    iter_: int = 3,
    smooth_nr: float = 1.0,
    smooth_dr: float = 1.0,
    smooth: float = 1e-4,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Soft centreline Dice loss, one for all classes of an image."""
    return partial(
        losses.cl_dice,
        input,
        labels(input, target, to_onehot_y),
        iterations=iter_,
        smooth=(smooth_nr, smooth_dr),
        epsilon=smooth,
        activation=activation(sigmoid, softmax),
        pool="micro",
        exclude_background=not include_background,
        reduction=reduction,
        **options,
    )


@loss_preset(
    "monai.losses.SoftDiceclDiceLoss",
    Record(0.738015, IDS, CHANNEL),
    note="Up to 1.5: see monai_1_5. Where neighbours tie, its skeleton's gradient is torch's.",
)
def soft_dicecl_dice_loss(
    input: Array,
    target: Array,
    *,
    iter_: int = 3,
    alpha: float = 0.5,
    smooth_nr: float = 1.0,
    smooth_dr: float = 1.0,
    smooth: float = 1e-4,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Literal["mean", "sum"] = "mean",
    **options: Any,
) -> Call:
    """Dice loss and soft centreline Dice loss."""
    return partial(
        losses.dice_cl_dice,
        input,
        labels(input, target, to_onehot_y),
        alpha=alpha,
        iterations=iter_,
        smooth=(smooth_nr, smooth_dr),
        epsilon=smooth,
        activation=activation(sigmoid, softmax),
        pool="micro",
        dice_pool="image",
        exclude_background=not include_background,
        reduction=reduction,
        **options,
    )


@loss_preset(
    "monai.losses.DiceCELoss",
    Record(2.490394, IDS, CHANNEL),
    Record(4.024491, {**IDS, "weight": WEIGHTS, "include_background": False}, CHANNEL),
    note="Weights are of both parts since 1.3. Of one channel the cross entropy is binary, weight its `pos_weight`.",
)
def dice_ce_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    squared_pred: bool = False,
    jaccard: bool = False,
    reduction: Literal["mean", "sum"] = "mean",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    weight: Weights | None = None,
    lambda_dice: float = 1.0,
    lambda_ce: float = 1.0,
    label_smoothing: float = 0.0,
) -> Call:
    """Dice loss and cross entropy, which always is of exclusive classes."""
    several = input.shape[1] > 1
    dice = partial(
        losses.jaccard if jaccard else losses.dice,
        activation=activation(sigmoid, softmax),
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(squared_pred, False),
        exclude_background=several and not include_background,
        class_weights=weight if several else None,
        reduction=reduction,
    )
    if several:
        entropy = partial(
            losses.cross_entropy, class_weights=weight, label_smoothing=label_smoothing, reduction=reduction
        )
    else:
        entropy = partial(losses.binary_cross_entropy, pos_weight=weight, reduction=reduction)
    parts = ((dice, lambda_dice), (entropy, lambda_ce))
    return weighted_sum(input, without_channel(input, target) if several else target, parts)


@loss_preset(
    "monai.losses.DiceFocalLoss",
    Record(1.120656, IDS, CHANNEL),
    Record(1.133250, {**IDS, "include_background": False}, CHANNEL),
    note="The focal loss is that of sigmoids even with `softmax=True`.",
)
def dice_focal_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    squared_pred: bool = False,
    jaccard: bool = False,
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    gamma: float = 2.0,
    weight: float | Weights | None = None,
    lambda_dice: float = 1.0,
    lambda_focal: float = 1.0,
    alpha: float | None = None,
) -> Call:
    """Dice loss and focal loss; the mean."""
    dice = partial(
        losses.jaccard if jaccard else losses.dice,
        activation=activation(sigmoid, softmax),
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(squared_pred, False),
        exclude_background=not include_background,
        class_weights=of_all_classes(weight, include_background),
    )
    focal = independent_focal(input, include_background, gamma, alpha, weight)
    parts = ((dice, lambda_dice), (focal, lambda_focal))
    return weighted_sum(input, labels(input, target, to_onehot_y), parts)


@loss_preset(
    "monai.losses.GeneralizedDiceFocalLoss",
    Record(1.117853, IDS, CHANNEL),
    note="The focal loss is that of sigmoids even with `softmax=True`.",
)
def generalized_dice_focal_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    w_type: Literal["square", "simple", "uniform"] = "square",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    gamma: float = 2.0,
    weight: float | Weights | None = None,
    lambda_gdl: float = 1.0,
    lambda_focal: float = 1.0,
) -> Call:
    """Generalised Dice loss and focal loss; the mean."""
    dice = partial(
        losses.generalized_dice,
        weighting=w_type,
        activation=activation(sigmoid, softmax),
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        exclude_background=not include_background,
    )
    focal = independent_focal(input, include_background, gamma, None, weight)
    parts = ((dice, lambda_gdl), (focal, lambda_focal))
    return weighted_sum(input, labels(input, target, to_onehot_y), parts)


def independent_focal(
    input: Array, include_background: bool, gamma: float, alpha: float | None, weight: float | Weights | None
) -> partial[Array]:
    """The focal part of a compound."""
    return partial(
        losses.focal,
        gamma=gamma,
        alpha=alpha,
        activation="sigmoid",
        class_weights=weight if include_background else foreground_weights(weight, input.shape[1]),
        denominator="elements",
    )


@loss_preset(
    "monai.losses.AsymmetricUnifiedFocalLoss",
    Record(0.411845, {"to_onehot_y": True}, "two probabilities with a channel"),
    note="Takes probabilities of two classes; the focal part is a mean over classes too. No gradient up to 1.5.",
)
def asymmetric_unified_focal_loss(
    input: Array,
    target: Array,
    *,
    to_onehot_y: bool = False,
    weight: float = 0.5,
    gamma: float = 0.5,
    delta: float = 0.7,
    ignore_index: int | None = None,
) -> Call:
    """Asymmetric unified focal loss; the mean."""
    unified = partial(
        losses.unified_focal,
        delta=delta,
        gamma=gamma,
        asymmetric=True,
        smooth=1e-7,
        activation=None,
        ignore_index=ignore_index,
    )
    parts = ((partial(unified, weight=0.0), weight / 2), (partial(unified, weight=1.0), 1 - weight))
    return weighted_sum(input, labels(input, target, to_onehot_y), parts)


@metric_preset("monai.metrics.utils.get_edge_surface_distance")
def surface_distances(
    prediction: Array, target: Array, *, spacing: Sequence[float] | None = None, use_subvoxels: bool = False
) -> SurfaceDistances:
    """Distances between the voxels that an erosion removes, or between elements of surface."""
    definition: Literal["voxel", "surface_element"] = "surface_element" if use_subvoxels else "voxel"
    return metrics.surface_distances(prediction, target, spacing=spacing, definition=definition)


@metric_preset(
    "monai.metrics.compute_hausdorff_distance",
    note="A percentile of one empty mask is infinite, as the distance is; in MONAI it is nan, which its means drop.",
)
def compute_hausdorff_distance(
    distances: SurfaceDistances, *, percentile: float | None = None, directed: bool = False
) -> Array:
    """Hausdorff distance, or the larger of the percentiles of the two directions."""
    combine: Literal["prediction", "max"] = "prediction" if directed else "max"
    return metrics.hausdorff(distances, percentile=percentile or 100.0, combine=combine, interpolation="linear")


@metric_preset("monai.metrics.compute_average_surface_distance")
def compute_average_surface_distance(distances: SurfaceDistances, *, symmetric: bool = False) -> Array:
    """Average surface distance from the prediction to the target, or that of both directions together."""
    if symmetric:
        return metrics.average_symmetric_surface_distance(distances)
    return metrics.average_surface_distance(distances)[0]


@metric_preset("monai.metrics.compute_surface_dice")
def compute_surface_dice(distances: SurfaceDistances, *, class_threshold: float) -> Array:
    """Share of both surfaces, by elements or by area."""
    return metrics.surface_dice(distances, class_threshold)


def image_table(
    score: Callable[..., Array],
    counts: Array,
    include_background: bool,
    ignore_empty: bool,
    reduction: MetricReduction,
) -> Array:
    """A score of each class in each image, and its mean: over classes first, then over images."""
    binary = of_counts(counts, classes=range(0 if include_background else 1, counts.shape[-2]))
    xp, scores = backend_of(counts).xp, replace_undefined(foreground(score(binary)), 1.0)
    if ignore_empty:
        scores = xp.where(target_pixels(binary) == 0, xp.full_like(scores, nan), scores)
    if reduction == "mean":
        return mean_of_defined(mean_of_defined(scores))
    return mean_of_defined(xp.matrix_transpose(scores)) if reduction == "mean_batch" else scores


@metric_preset("monai.metrics.DiceMetric", note=NOTHING)
def dice_metric(
    counts: Array,
    *,
    include_background: bool = True,
    reduction: MetricReduction = "mean",
    ignore_empty: bool = True,
) -> Array:
    """Dice coefficient of each image; nan where the target lacks the class, or 1 if the prediction does, too."""
    return image_table(metrics.dice, counts, include_background, ignore_empty, reduction)


@metric_preset("monai.metrics.MeanIoU", note=NOTHING)
def mean_iou(
    counts: Array,
    *,
    include_background: bool = True,
    reduction: MetricReduction = "mean",
    ignore_empty: bool = True,
) -> Array:
    """Intersection over union of each image; nan where the target lacks the class, or 1 if the prediction does, too."""
    return image_table(metrics.iou, counts, include_background, ignore_empty, reduction)


@metric_preset("monai.metrics.compute_generalized_dice")
def compute_generalized_dice(
    matrices: Array,
    *,
    include_background: bool = True,
    weight_type: Literal["square", "simple", "uniform"] = "square",
    sum_over_classes: bool = False,
) -> Array:
    """Generalised Dice coefficient of each image `(N, 1)`; or, where its weights cancel, of each class `(N, C)`."""
    classes = range(0 if include_background else 1, matrices.shape[-1])
    if not sum_over_classes:
        return metrics.dice(matrices, absent=1.0, classes=classes)
    return metrics.generalized_dice(matrices, weight=weight_type, absent=1.0, classes=classes)[..., None]


RATES: dict[str, tuple[Callable[..., Array], int]] = {
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
    "f1": (metrics.dice, 1),
    "ba": (metrics.balanced_accuracy, 1),
    "fm": (metrics.fowlkes_mallows, 1),
    "bm": (metrics.informedness, 1),
    "mk": (metrics.markedness, 1),
}
"""By MONAI's short names a metric, and of which class: 1 is the class, 0 the rest, which an absent class has, too."""


@metric_preset("monai.metrics.compute_confusion_matrix_metric", note="By MONAI's short names.")
def compute_confusion_matrix_metric(
    matrices: Array, *, metric_name: str = "tpr", include_background: bool = True
) -> Array:
    """A rate of each class in each image `(N, C)`; nan where it is 0 / 0."""
    if metric_name not in RATES:
        msg = f"`metric_name` must be one of {', '.join(RATES)}; got {metric_name!r}."
        raise ValueError(msg)
    classes = range(0 if include_background else 1, matrices.shape[-1])
    rate, side = RATES[metric_name]
    return rate(of_matrix(matrices, classes=classes))[..., side]


@metric_preset("monai.metrics.compute_panoptic_quality")
def compute_panoptic_quality(
    segments: SegmentCounts, *, metric_name: Literal["pq", "sq", "rq"] = "pq", smooth_numerator: float = 1e-6
) -> Array:
    """Panoptic quality or a factor of it, with ``smooth_numerator`` in the denominators."""
    hits, extra, missed = segments.true_positives, segments.false_positives, segments.false_negatives
    matched = hits if metric_name == "rq" else segments.score_sum
    total = hits if metric_name == "sq" else hits + (extra + missed) / 2
    return matched / (total + smooth_numerator)
