"""MONAI 1.6: the numbers of `monai.losses` and `monai.metrics`.

Targets are MONAI's: with ``to_onehot_y`` class ids of any dtype, with MONAI's channel of length one or without it; else
a value for every class. On a single channel ``softmax``, ``to_onehot_y``, ``include_background`` and weights of region
losses have no effect, as in MONAI. Without a reduction the result of a region loss has no axes of length one instead of
the spatial ones. ``other_act`` is not supported: apply the function to the input first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import nan, prod
from typing import Any, Literal

from arrayseg import losses, metrics
from arrayseg._checks import check_choice
from arrayseg._typing import Array, Pool, Reduction, SoftTruePositive, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._counts import foreground, mean_of_defined, of_counts, of_matrix, replace_undefined, target_pixels
from arrayseg.compat._preset import (
    TOLERANCE,
    Adjusted,
    Call,
    Changed,
    Record,
    Unreduced,
    channels,
    class_ids,
    is_number,
    loss_of_each_class,
    loss_preset,
    metric_preset,
    weighted_sum,
    without_channel,
)
from arrayseg.compat._terms import masked_ids_are_background, mean_over_ignored_pixels, of_the_background
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

IGNORED = (
    "With `ignore_index`, a batch with no pixel left has a loss of 0, and 1 - smooth_nr / smooth_dr in MONAI; soft "
    "targets with the id of a class to ignore are ignored where they are 1, and in proportion in MONAI."
)
FOCAL_PART = (
    "The focal loss has sigmoids even with `softmax=True`; targets between 0 and 1 make another focal loss in MONAI. "
    "Its sum adds the means over the pixels of each image and class; without a reduction the result is "
    "`(N, C, *spatial)`, the region loss added to each pixel."
)
NOTHING = "A mean in which no image and class counts is 0."

MetricReduction = Literal["mean", "mean_batch", "none"]

WEIGHTS = (1.0, 2.0, 3.0, 4.0)
IDS: dict[str, Any] = {"softmax": True, "to_onehot_y": True}
CHANNEL = "ids with a channel"

EPSILON = 1e-7


def taken(
    input: Array,
    target: Array,
    *,
    to_onehot_y: bool,
    sigmoid: bool = False,
    softmax: bool = False,
    include_background: bool = True,
    ignore_index: int | None = None,
    options: Mapping[str, Any] = {},
) -> tuple[Array, dict[str, Any]]:
    """Return the target and our options of what MONAI's losses share; most of it has no effect on a single channel."""
    if sigmoid and softmax:
        msg = "`sigmoid` and `softmax` cannot both be true; give the one that makes probabilities of the input."
        raise ValueError(msg)
    several = channels(input, options) > 1
    target = class_ids(input, target) if to_onehot_y and several else target
    settings: dict[str, Any] = {
        "activation": "sigmoid" if sigmoid else "softmax" if softmax and several else None,
        "exclude_background": several and not include_background,
    }
    if ignore_index is not None and several and target.ndim < input.ndim:
        settings["ignore_index"] = ignore_index
    elif ignore_index is not None:
        settings["mask"] = counted(input, target, ignore_index)
    return target, settings


def counted(input: Array, target: Array, ignore_index: int) -> Array:
    """The pixels that are not ignored, of a target with a value for every class."""
    if target.ndim < input.ndim or target.shape[1] == 1:
        return without_channel(input, target) != ignore_index
    if 0 <= ignore_index < target.shape[1]:
        return target[:, ignore_index, ...] < 1
    return backend_of(target, "target").xp.sum(target, axis=1) > 0


def pool(batch: bool) -> Pool:
    """Over what the sums run."""
    return "batch" if batch else "image"


def true_positives(squared_pred: bool, soft_label: bool) -> SoftTruePositive:
    """Which true positives MONAI counts."""
    return "l2" if squared_pred else "l1" if soft_label else "product"


def entering(input: Array, include_background: bool, options: Mapping[str, Any] = {}) -> int:
    """The number of channels without the background where it does not enter."""
    several = channels(input, options) > 1
    return channels(input, options) - (several and not include_background)


def of_every_class(values: float | Weights, missing: float, total: int, count: int, name: str) -> list[float]:
    """One number for each of `total` classes, of one number or one for each of the last `count` that enter."""
    numbers = [float(values)] * count if is_number(values) else [float(value) for value in values]  # type: ignore[union-attr,arg-type]
    if len(numbers) != count:
        msg = f"`{name}` must be a number or hold one for each of the {count} classes that enter; got {len(numbers)}."
        raise ValueError(msg)
    return [missing] * (total - count) + numbers


def region_weights(
    input: Array, weight: float | Weights | None, include_background: bool, options: Mapping[str, Any] = {}
) -> list[float] | None:
    """Weights of all classes in a region loss; MONAI has none for a single class."""
    count = entering(input, include_background, options)
    if weight is None or count == 1:
        return None
    return of_every_class(weight, 0.0, channels(input, options), count, "weight")


@loss_preset(
    "monai.losses.DiceLoss",
    Record(0.757078, IDS, CHANNEL),
    Record(0.755556, {**IDS, "batch": True}, CHANNEL),
    Record(0.649165, {**IDS, "squared_pred": True}, CHANNEL),
    Record(1.906748, {**IDS, "weight": WEIGHTS}, CHANNEL),
    note=f"Weights are not normalized: the mean of w times the loss. {IGNORED}",
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
    target, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        ignore_index=ignore_index,
        options=options,
    )
    return partial(
        losses.jaccard if jaccard else losses.dice,
        input,
        target,
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(squared_pred, soft_label),
        class_weights=region_weights(input, weight, include_background, options),
        reduction=reduction,
        **settings,
        **options,
    )


def boolean_mask(input: Array, mask: Array) -> Array:
    """The mask `(N, *spatial)` of one in any dtype, with a channel, of one image or each."""
    backend = backend_of(mask, "mask")
    xp = backend.xp
    rows = without_channel(input, mask)
    if not xp.isdtype(rows.dtype, "bool"):
        kept = rows != 0
        if backend.is_concrete(rows) and bool(xp.any(kept & (rows != 1))):
            msg = "`mask` must hold 0 and 1, or booleans; got other values. Pass weights of pixels as `pixel_weights`."
            raise ValueError(msg)
        rows = kept
    return xp.broadcast_to(rows, (input.shape[0], *rows.shape[1:]))


@loss_preset(
    "monai.losses.MaskedDiceLoss",
    note=(
        "The mask holds booleans or 0 and 1, of shape `(N, *spatial)` or with a channel. With `to_onehot_y` MONAI "
        "masks the ids before they are one-hot, so that masked pixels are target pixels of class 0, as here. Without "
        "it they count nowhere."
    ),
)
def masked_dice_loss(
    input: Array, target: Array, *, mask: Array | None = None, to_onehot_y: bool = False, **options: Any
) -> Call:
    """Dice loss of the pixels of a mask; the options are those of `dice_loss`."""
    call = partial(dice_loss, input, target, to_onehot_y=to_onehot_y, **options)
    if mask is None:
        return call
    call = partial(call, mask=boolean_mask(input, mask))
    if not to_onehot_y or channels(input) == 1:
        return call
    return Adjusted(call, masked_ids_are_background, "(masked pixels in the target of class 0)")


@loss_preset(
    "monai.losses.TverskyLoss",
    Record(0.757078, IDS, CHANNEL),
    Record(0.756835, {**IDS, "alpha": 0.9, "beta": 0.1}, CHANNEL),
    note=f"alpha weighs false positives. {IGNORED}",
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
    target, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        ignore_index=ignore_index,
        options=options,
    )
    return partial(
        losses.tversky,
        input,
        target,
        alpha=alpha,
        beta=beta,
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(False, soft_label),
        reduction=reduction,
        **settings,
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
    target, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    return partial(
        losses.generalized_dice,
        input,
        target,
        weighting=w_type,
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(False, soft_label),
        reduction=reduction,
        **settings,
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
        "With `ignore_index` the mean is C times as large. The sum adds the means over the pixels of each image and "
        "class. `include_background=False` with softmax, which takes class 0 out of the softmax, is not supported. "
        "Targets between 0 and 1 make another loss in MONAI with sigmoids. Up to 0.5 it was the softmax form."
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
    reduction: Reduction = "mean",
    use_softmax: bool = False,
    ignore_index: int | None = None,
    **options: Any,
) -> Call:
    """Focal loss, by default of independent classes."""
    if use_softmax and not include_background and channels(input, options) > 1:
        msg = (
            "MONAI's focal loss takes class 0 out of the softmax with include_background=False, which this preset does "
            "not reproduce. Leave it out, or use arrayseg.losses.focal with class_weights."
        )
        raise ValueError(msg)
    target, settings = taken(input, target, to_onehot_y=to_onehot_y, ignore_index=ignore_index, options=options)
    del settings["exclude_background"], settings["activation"]
    call = independent_focal(
        input,
        include_background=include_background,
        gamma=gamma,
        alpha=alpha,
        weight=weight,
        reduction=reduction,
        softmax=use_softmax,
        ignores=ignore_index is not None,
        options=options,
    )
    if reduction == "sum" and ignore_index is not None:
        settings["pixel_weights"] = shares_of_images(input, target, settings)
    call = partial(call, input, target, **settings, **options)
    if reduction != "none":
        return call
    first = channels(input, options) - entering(input, include_background, options)
    return Unreduced(call, partial(maps_of_classes, first=first))


@loss_preset(
    "monai.losses.MCCLoss",
    Record(1.003661, IDS, CHANNEL),
    note="New in 1.6.",
)
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
    target, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    return partial(
        losses.matthews_corrcoef,
        input,
        target,
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        reduction=reduction,
        **settings,
        **options,
    )


def over_batch(call: partial[Array], batch: bool, reduction: Reduction) -> Call:
    """A call whose losses of a class are averaged over the images before they are added up or returned."""
    if not batch or reduction == "mean":
        return call
    if reduction == "none":
        return Unreduced(call, mean_of_images)
    input = call.args[0]
    classes = channels(input, call.keywords)
    return partial(call, class_weights=[1 / input.shape[0]] * classes)


def mean_of_images(call: Call) -> Array:
    """The mean over the images, `(C,)`."""
    found = call()
    return backend_of(found).xp.mean(found, axis=0)


def log_of_one_more(call: Call) -> Array:
    """The logarithm of one more than the loss."""
    found = call()
    return backend_of(found).xp.log1p(found)


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
    batch: bool = False,
    **options: Any,
) -> Call:
    """Boundary loss."""
    target, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    call = partial(
        losses.boundary,
        input,
        target,
        reduction=reduction,
        **settings,
        **options,
    )
    return over_batch(call, batch, reduction)


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
    batch: bool = False,
    **options: Any,
) -> Call:
    """Hausdorff distance loss by distance transforms."""
    target, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    call = partial(
        losses.hausdorff_distance_transform,
        input,
        target,
        alpha=alpha,
        reduction=reduction,
        **settings,
        **options,
    )
    return over_batch(call, batch, reduction)


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
    batch: bool = False,
    **options: Any,
) -> Call:
    """The logarithm of one plus the Hausdorff distance loss."""
    hausdorff: Any = hausdorff_dt_loss
    call = hausdorff.setting(
        input,
        target,
        alpha=alpha,
        include_background=include_background,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        reduction=reduction,
        batch=batch,
        **options,
    )
    if isinstance(call, Unreduced):
        return Unreduced(call, log_of_one_more)
    return partial(losses.log_hausdorff_distance_transform, *call.args, **call.keywords)


@loss_preset(
    "monai.losses.SoftclDiceLoss",
    Record(0.742057, IDS, CHANNEL),
    note=(
        "For releases up to 1.5 see `monai_1_5`. Where neighbors tie, its skeleton has torch's gradient of a maximum."
    ),
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
    target, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    return partial(
        losses.cl_dice,
        input,
        target,
        iterations=iter_,
        smooth=(smooth_nr, smooth_dr),
        epsilon=smooth,
        pool="micro",
        reduction=reduction,
        **settings,
        **options,
    )


@loss_preset(
    "monai.losses.SoftDiceclDiceLoss",
    Record(0.738015, IDS, CHANNEL),
    note=(
        "For releases up to 1.5 see `monai_1_5`. Where neighbors tie, its skeleton has torch's gradient of a maximum. "
        '`reduction="none"`, where MONAI adds an array of each image and class to a number, is not supported.'
    ),
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
    target, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    return partial(
        losses.dice_cl_dice,
        input,
        target,
        alpha=alpha,
        iterations=iter_,
        smooth=(smooth_nr, smooth_dr),
        epsilon=smooth,
        pool="micro",
        dice_pool="image",
        reduction=reduction,
        **settings,
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
    several = channels(input) > 1
    values, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
    )
    dice = partial(
        losses.jaccard if jaccard else losses.dice,
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(squared_pred, False),
        class_weights=weight if entering(input, include_background) > 1 else None,
        reduction=reduction,
        **settings,
    )
    if several:
        entropy = partial(
            losses.cross_entropy, class_weights=weight, label_smoothing=label_smoothing, reduction=reduction
        )
    else:
        entropy = partial(losses.binary_cross_entropy, pos_weight=weight, reduction=reduction)
    return weighted_sum(input, values, ((dice, lambda_dice), (entropy, lambda_ce)))


@loss_preset(
    "monai.losses.DiceFocalLoss",
    Record(1.120656, IDS, CHANNEL),
    Record(1.133250, {**IDS, "include_background": False}, CHANNEL),
    note=FOCAL_PART,
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
    reduction: Reduction = "mean",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    gamma: float = 2.0,
    weight: float | Weights | None = None,
    lambda_dice: float = 1.0,
    lambda_focal: float = 1.0,
    alpha: float | None = None,
) -> Call:
    """Dice loss and focal loss."""
    values, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
    )
    dice = partial(
        losses.jaccard if jaccard else losses.dice,
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        soft_tp=true_positives(squared_pred, False),
        class_weights=region_weights(input, weight, include_background),
        reduction=reduction,
        **settings,
    )
    focal = independent_focal(
        input,
        include_background=include_background,
        gamma=gamma,
        alpha=alpha,
        weight=weight,
        reduction=reduction,
    )
    return sum_of_maps(input, values, ((dice, lambda_dice), (focal, lambda_focal)), reduction)


@loss_preset(
    "monai.losses.GeneralizedDiceFocalLoss",
    Record(1.117853, IDS, CHANNEL),
    note=FOCAL_PART,
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
    reduction: Reduction = "mean",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    gamma: float = 2.0,
    weight: float | Weights | None = None,
    lambda_gdl: float = 1.0,
    lambda_focal: float = 1.0,
) -> Call:
    """Generalised Dice loss and focal loss."""
    values, settings = taken(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
    )
    dice = partial(
        losses.generalized_dice,
        weighting=w_type,
        smooth=(smooth_nr, smooth_dr),
        pool=pool(batch),
        reduction=reduction,
        **settings,
    )
    focal = independent_focal(
        input,
        include_background=include_background,
        gamma=gamma,
        alpha=None,
        weight=weight,
        reduction=reduction,
    )
    return sum_of_maps(input, values, ((dice, lambda_gdl), (focal, lambda_focal)), reduction)


def independent_focal(
    input: Array,
    *,
    include_background: bool,
    gamma: float,
    alpha: float | Weights | None,
    weight: float | Weights | None,
    reduction: Reduction,
    softmax: bool = False,
    ignores: bool = False,
    options: Mapping[str, Any] = {},
) -> partial[Array]:
    """MONAI's focal loss; its sum adds the means over the pixels of an image and class."""
    total, count = channels(input, options), entering(input, include_background, options)
    share = 1.0
    if reduction != "none" and not ignores:
        share = total / count if reduction == "mean" else total / prod(input.shape[1:])
    weights = of_every_class(1.0 if weight is None else weight, 0.0, total, count, "weight")
    if not (alpha is None or is_number(alpha) or softmax):
        # A list multiplies positive targets alone: a w = alpha and (1 - a) w = 1.
        of_class = of_every_class(alpha, 1.0, total, count, "alpha")
        weights = [each * (1 + factor) for each, factor in zip(weights, of_class, strict=True)]
        alpha = [factor / (1 + factor) for factor in of_class]
    return partial(
        losses.focal,
        gamma=gamma,
        alpha=alpha,
        activation="softmax" if softmax else "sigmoid",
        class_weights=[share * each for each in weights],
        denominator="valid" if ignores else "elements",
        reduction=reduction,
    )


def shares_of_images(input: Array, target: Array, settings: Mapping[str, Any]) -> Array:
    """The weight of each pixel in the mean over those of its image that are not ignored."""
    xp = backend_of(input).xp
    kept = settings["mask"] if "mask" in settings else target != settings["ignore_index"]
    kept = xp.astype(kept, input.dtype)
    return kept / xp.maximum(xp.sum(kept, axis=tuple(range(1, kept.ndim)), keepdims=True), xp.ones_like(kept[:1, ...]))


def maps_of_classes(call: Any, *, first: int) -> Array:
    """The focal losses of the classes from `first` on, `(N, C, *spatial)`."""
    return loss_of_each_class(call, call.keywords["class_weights"], first=first)


def sum_of_maps(
    input: Array, target: Array, parts: Sequence[tuple[partial[Array], float]], reduction: Reduction
) -> Call:
    """The call of a region loss and a focal loss; without a reduction the former is added to each pixel's latter."""
    if reduction != "none":
        return weighted_sum(input, target, parts)
    (region, of_region), (focal, of_focal) = parts
    first = int(region.keywords["exclude_background"])
    added = partial(with_maps, focal=partial(focal, input, target), factors=(of_region, of_focal), first=first)
    return Unreduced(partial(region, input, target), added)


def with_maps(region: Any, *, focal: Any, factors: tuple[float, float], first: int) -> Array:
    """The sum of a region loss, `(N, C)`, `(C,)`, `(N,)` or `()`, and a focal loss, `(N, C, *spatial)`."""
    scores, maps = region() * factors[0], maps_of_classes(focal, first=first) * factors[1]
    images = 1 if region.keywords["pool"] == "batch" else maps.shape[0]
    classes = 1 if region.func is losses.generalized_dice else maps.shape[1]
    return maps + backend_of(maps).xp.reshape(scores, (images, classes, *[1] * (maps.ndim - 2)))


@loss_preset(
    "monai.losses.AsymmetricUnifiedFocalLoss",
    Record(0.411845, {"to_onehot_y": True}, "two probabilities with a channel"),
    note=(
        "Takes probabilities of two classes, in two channels or in one. The focal part is a mean over classes too, and "
        "over ignored pixels. Every `reduction` gives the same number, as in MONAI. MONAI bounds probabilities by "
        "1e-7, so that wrong ones of 0 or 1 have a loss of at most 16 there, and an image with every pixel ignored a "
        "loss above 0. It has no gradient up to 1.5."
    ),
)
def asymmetric_unified_focal_loss(
    input: Array,
    target: Array,
    *,
    to_onehot_y: bool = False,
    num_classes: int = 2,
    weight: float = 0.5,
    gamma: float = 0.5,
    delta: float = 0.7,
    reduction: Reduction = "mean",
    ignore_index: int | None = None,
) -> Call:
    """Asymmetric unified focal loss."""
    check_choice("num_classes", num_classes, (2,))
    check_choice("reduction", reduction, Reduction)
    target, settings = taken(input, target, to_onehot_y=to_onehot_y, ignore_index=ignore_index)
    del settings["exclude_background"]
    several = channels(input) > 1
    parts = unified_of_two(settings, gamma, delta) if several else unified_of_one(settings, gamma, delta)
    shares = [weight / 2] * (len(parts) // 2) + [(1 - weight) / (1 if several else 2)] * (len(parts) // 2)
    return weighted_sum(input, target, tuple(zip(parts, shares, strict=True)))


def unified_of_two(settings: Mapping[str, Any], gamma: float, delta: float) -> list[Any]:
    """The focal part and the Tversky part of two channels."""
    unified = partial(losses.unified_focal, delta=delta, gamma=gamma, asymmetric=True, smooth=EPSILON, **settings)
    return [
        Changed(partial(unified, weight=0.0), mean_over_ignored_pixels, "(mean over all pixels)"),
        partial(unified, weight=1.0),
    ]


def unified_of_one(settings: Mapping[str, Any], gamma: float, delta: float) -> list[Any]:
    """The focal parts and the Tversky parts of the background and the foreground of one channel."""
    settings = {**settings, "activation": None}
    focal = partial(losses.focal, denominator="all", **settings)
    region = {"alpha": 1 - delta, "beta": delta, "smooth": EPSILON, "smooth_form": "tp", **settings}
    return [
        partial(focal, gamma=gamma, alpha=0.0, class_weights=[1 - delta]),
        partial(focal, gamma=0.0, alpha=1.0, class_weights=[delta]),
        Changed(partial(losses.tversky, **region), of_the_background, "(of the background)"),
        partial(losses.focal_tversky, exponent=1 - gamma, **region),
    ]


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


@metric_preset("monai.metrics.compute_surface_dice", note=TOLERANCE)
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
    """Return a score of each class in each image, or its mean: over classes first, then over images."""
    check_choice("reduction", reduction, MetricReduction)
    binary = of_counts(counts, classes=range(0 if include_background else 1, counts.shape[-2]))
    xp, scores = backend_of(counts).xp, replace_undefined(foreground(score(binary)), 1.0)
    if ignore_empty:
        scores = xp.where(target_pixels(binary) == 0, xp.full_like(scores, nan), scores)
    if reduction == "none":
        return scores
    if reduction == "mean":
        return replace_undefined(mean_of_defined(mean_of_defined(scores)), 0.0)
    return replace_undefined(mean_of_defined(xp.matrix_transpose(scores)), 0.0)


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
"""By MONAI's short names a metric, and of which class: 1 is the class, 0 the rest, None both of them together."""

NAMES = {
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
    note=(
        "By MONAI's short names or its long ones. The prevalence threshold of equal rates is its limit of 1/2, where "
        "MONAI has nan."
    ),
)
def compute_confusion_matrix_metric(
    matrices: Array, *, metric_name: str = "tpr", include_background: bool = True
) -> Array:
    """A rate of each class in each image `(N, C)`; nan where it is 0 / 0."""
    name = metric_name.replace(" ", "_").lower()
    short = next((short for short, long in NAMES.items() if name == short or name in long), None)
    if short is None:
        msg = f"`metric_name` must be one of {', '.join(RATES)}, or a long name of one; got {metric_name!r}."
        raise ValueError(msg)
    classes = range(0 if include_background or matrices.shape[-1] == 1 else 1, matrices.shape[-1])
    rate, side = RATES[short]
    scores = rate(of_matrix(matrices, classes=classes))
    return scores if side is None else scores[..., side]


@metric_preset("monai.metrics.compute_panoptic_quality")
def compute_panoptic_quality(
    segments: SegmentCounts, *, metric_name: Literal["pq", "sq", "rq"] = "pq", smooth_numerator: float = 1e-6
) -> Array:
    """Panoptic quality or a factor of it, with ``smooth_numerator`` in the denominators."""
    check_choice("metric_name", metric_name, ("pq", "sq", "rq"))
    hits, extra, missed = segments.true_positives, segments.false_positives, segments.false_negatives
    matched = hits if metric_name == "rq" else segments.score_sum
    total = hits if metric_name == "sq" else hits + (extra + missed) / 2
    return matched / (total + smooth_numerator)
