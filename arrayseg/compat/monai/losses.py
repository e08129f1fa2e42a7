"""The losses that MONAI 1.5 and 1.6 share."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from arrayseg import losses
from arrayseg._typing import Array, Reduction, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._calls import Call, unreduced, weighted_sum
from arrayseg.compat._inputs import channels
from arrayseg.compat._preset import loss_preset
from arrayseg.compat.monai._focal import class_maps, focal_part, region_plus_focal, weights_within_images
from arrayseg.compat.monai._options import (
    common_options,
    counted_classes,
    mean_over_batch,
    pool_of,
    region_weights,
    soft_true_positive,
)

__all__ = [
    "dice_ce_loss",
    "dice_focal_loss",
    "dice_loss",
    "focal_loss",
    "generalized_dice_focal_loss",
    "generalized_dice_loss",
    "hausdorff_dt_loss",
    "log_hausdorff_dt_loss",
    "tversky_loss",
]

NOTE_ON_IGNORE_INDEX = (
    "With `ignore_index`, a batch with no pixel left has a loss of 0, and 1 - smooth_nr / smooth_dr in MONAI; soft "
    "targets with the id of a class to ignore are ignored where they are 1, and in proportion in MONAI."
)
NOTE_ON_FOCAL_PART = (
    "The focal loss has sigmoids even with `softmax=True`; targets between 0 and 1 make another focal loss in MONAI. "
    "Its sum adds the means over the pixels of each image and class; without a reduction the result is "
    "`(N, C, *spatial)`, the region loss added to each pixel."
)


@loss_preset(
    "monai.losses.DiceLoss", note=f"Weights are not normalized: the mean of w times the loss. {NOTE_ON_IGNORE_INDEX}"
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
    """Return the Dice or Jaccard loss."""
    target, settings = common_options(
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
        pool=pool_of(batch),
        soft_tp=soft_true_positive(squared_pred, soft_label),
        class_weights=region_weights(input, weight, include_background, options),
        reduction=reduction,
        **settings,
        **options,
    )


@loss_preset("monai.losses.TverskyLoss", note=f"alpha weighs false positives. {NOTE_ON_IGNORE_INDEX}")
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
    """Return the Tversky loss."""
    target, settings = common_options(
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
        pool=pool_of(batch),
        soft_tp=soft_true_positive(False, soft_label),
        reduction=reduction,
        **settings,
        **options,
    )


@loss_preset(
    "monai.losses.GeneralizedDiceLoss",
    note="In 1.1 and 1.2 the weights were applied inside the score of each class, where they cancel.",
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
    """Return the generalized Dice loss."""
    target, settings = common_options(
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
        pool=pool_of(batch),
        soft_tp=soft_true_positive(False, soft_label),
        reduction=reduction,
        **settings,
        **options,
    )


@loss_preset(
    "monai.losses.FocalLoss",
    note=(
        "With `ignore_index` the mean is C times as large. The sum adds the means over the pixels of each image "
        "and class. `include_background=False` with softmax, which removes class 0 from the softmax, is not "
        "supported. With sigmoids, targets between 0 and 1 give another loss in MONAI. Up to 0.5 the loss had a "
        "softmax."
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
    """Return the focal loss, by default for independent classes."""
    if use_softmax and not include_background and channels(input, options) > 1:
        msg = (
            "MONAI's focal loss takes class 0 out of the softmax with include_background=False, which this preset does "
            "not reproduce. Leave it out, or use arrayseg.losses.focal with class_weights."
        )
        raise ValueError(msg)
    target, settings = common_options(
        input, target, to_onehot_y=to_onehot_y, ignore_index=ignore_index, options=options
    )
    del settings["exclude_background"], settings["activation"]
    call = focal_part(
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
        settings["pixel_weights"] = weights_within_images(input, target, settings)
    call = partial(call, input, target, **settings, **options)
    if reduction != "none":
        return call
    first = channels(input, options) - counted_classes(input, include_background, options)
    return unreduced(call, partial(class_maps, first=first))


def _log_of_one_more(call: Call) -> Array:
    """Return the logarithm of one plus the loss."""
    found = call()
    return backend_of(found).xp.log1p(found)


@loss_preset("monai.losses.HausdorffDTLoss", note="Excludes the background by default.")
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
    """Return the Hausdorff distance loss by distance transforms."""
    target, settings = common_options(
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
    return mean_over_batch(call, batch, reduction)


@loss_preset("monai.losses.LogHausdorffDTLoss", note="Excludes the background by default.")
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
    """Return the logarithm of one plus the Hausdorff distance loss."""
    call = hausdorff_dt_loss.call(
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
    if reduction == "none" and batch:  # the mean over the images comes first
        return unreduced(call, _log_of_one_more)
    return partial(losses.log_hausdorff_distance_transform, *call.args, **call.keywords)


@loss_preset(
    "monai.losses.DiceCELoss",
    note=(
        "Since 1.3 the weights apply to both parts. For one channel the cross entropy is binary, and the weight "
        "is its `pos_weight`."
    ),
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
    """Return the sum of Dice loss and cross entropy, which always has exclusive classes."""
    several = channels(input) > 1
    values, settings = common_options(
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
        pool=pool_of(batch),
        soft_tp=soft_true_positive(squared_pred, False),
        class_weights=weight if counted_classes(input, include_background) > 1 else None,
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


@loss_preset("monai.losses.DiceFocalLoss", note=NOTE_ON_FOCAL_PART)
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
    """Return the sum of Dice loss and focal loss."""
    values, settings = common_options(
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
        pool=pool_of(batch),
        soft_tp=soft_true_positive(squared_pred, False),
        class_weights=region_weights(input, weight, include_background),
        reduction=reduction,
        **settings,
    )
    focal = focal_part(
        input,
        include_background=include_background,
        gamma=gamma,
        alpha=alpha,
        weight=weight,
        reduction=reduction,
    )
    return region_plus_focal(input, values, ((dice, lambda_dice), (focal, lambda_focal)), reduction)


@loss_preset("monai.losses.GeneralizedDiceFocalLoss", note=NOTE_ON_FOCAL_PART)
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
    """Return the sum of generalized Dice loss and focal loss."""
    values, settings = common_options(
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
        pool=pool_of(batch),
        reduction=reduction,
        **settings,
    )
    focal = focal_part(
        input,
        include_background=include_background,
        gamma=gamma,
        alpha=None,
        weight=weight,
        reduction=reduction,
    )
    return region_plus_focal(input, values, ((dice, lambda_gdl), (focal, lambda_focal)), reduction)
