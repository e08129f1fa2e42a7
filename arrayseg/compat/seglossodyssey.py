"""SegLossOdyssey (commit d562441): folder `losses_pytorch` of github.com/JunMa11/SegLossOdyssey.

Region losses are the negative score. `apply_nonlin` is the name of an activation. Targets may have a channel of length
one. `square`, which squares the share of each pixel in the sums, is not supported. The penalized generalized Dice loss
and the exponential logarithmic loss differ from their papers and have no preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from arrayseg import losses
from arrayseg._typing import Activation, Array
from arrayseg.compat._calls import Call, shifted, weighted_sum
from arrayseg.compat._inputs import without_channel
from arrayseg.compat._preset import loss_preset

__all__ = [
    "asym_loss",
    "bd_loss",
    "dc_and_ce_loss",
    "dc_and_topk_loss",
    "focal_tversky_loss",
    "g_dice_loss",
    "io_u_loss",
    "lovasz_softmax",
    "soft_dice_loss",
    "ss_loss",
    "top_k_loss",
    "tversky_loss",
]


def _region(
    loss: Any,
    *,
    apply_nonlin: Activation = None,
    batch_dice: bool = False,
    do_bg: bool = True,
    smooth: float = 1.0,
    **options: Any,
) -> partial[Array]:
    """Return our loss for one minus a score, from the options that all region losses share."""
    return partial(
        loss,
        activation=apply_nonlin,
        pool="batch" if batch_dice else "image",
        exclude_background=not do_bg,
        smooth=smooth,
        **options,
    )


@loss_preset("dice_loss.SoftDiceLoss", inherits=_region)
def soft_dice_loss(input: Array, target: Array, **options: Any) -> Call:
    """Return the negative Dice score, smoothed by 1."""
    return shifted(partial(_region(losses.dice, **options), input, without_channel(input, target)), -1)


@loss_preset("dice_loss.IoULoss", inherits=_region)
def io_u_loss(input: Array, target: Array, **options: Any) -> Call:
    """Return the negative Jaccard score, smoothed by 1."""
    loss = _region(losses.jaccard, smooth_form="tp", **options)
    return shifted(partial(loss, input, without_channel(input, target)), -1)


@loss_preset(
    "dice_loss.TverskyLoss", inherits=_region, note="False positives have a weight of 0.3, false negatives of 0.7."
)
def tversky_loss(input: Array, target: Array, **options: Any) -> Call:
    """Return the negative Tversky score, smoothed by 1."""
    loss = _region(losses.tversky, alpha=0.3, beta=0.7, **options)
    return shifted(partial(loss, input, without_channel(input, target)), -1)


@loss_preset(
    "dice_loss.FocalTversky_loss",
    note="The exponent gamma applies to the mean of the Tversky losses instead of to each loss.",
)
def focal_tversky_loss(
    input: Array, target: Array, *, tversky_kwargs: Mapping[str, Any] = {}, gamma: float = 0.75
) -> Call:
    """Return the focal Tversky loss."""
    loss = _region(losses.focal_tversky, alpha=0.3, beta=0.7, exponent=gamma, power_of="mean", **tversky_kwargs)
    return partial(loss, input, without_channel(input, target))


@loss_preset("dice_loss.AsymLoss", inherits=_region)
def asym_loss(input: Array, target: Array, **options: Any) -> Call:
    """Return the negative F-beta score with beta 1.5, smoothed by 1."""
    loss = _region(losses.asymmetric_f_beta, beta=1.5, **options)
    return shifted(partial(loss, input, without_channel(input, target)), -1)


@loss_preset("dice_loss.SSLoss", inherits=_region)
def ss_loss(input: Array, target: Array, **options: Any) -> Call:
    """Return the sensitivity-specificity loss, with a weight of 0.1 for sensitivity, smoothed by 1."""
    loss = _region(losses.sensitivity_specificity, sensitivity_weight=0.1, **options)
    return partial(loss, input, without_channel(input, target))


@loss_preset(
    "dice_loss.GDiceLoss",
    note="Only for images that have every class: an absent class has a weight of 1e20 in SegLossOdyssey.",
)
def g_dice_loss(
    input: Array, target: Array, *, apply_nonlin: Activation = None, smooth: float = 1e-5, **options: Any
) -> Call:
    """Return the negative generalized Dice score; twice the smoothing is added to the numerator."""
    call = partial(
        losses.generalized_dice,
        input,
        without_channel(input, target),
        activation=apply_nonlin,
        smooth=(2 * smooth, smooth),
        **options,
    )
    return shifted(call, -1)


@loss_preset("ND_Crossentropy.TopKLoss", note="k is in percent; ignored pixels count.")
def top_k_loss(input: Array, target: Array, *, k: float = 10.0, ignore_index: int = -100, **options: Any) -> Call:
    """Return the cross entropy of the hardest k percent of the pixels."""
    return partial(
        losses.top_k_cross_entropy,
        input,
        without_channel(input, target),
        share=k / 100,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset("dice_loss.DC_and_CE_loss")
def dc_and_ce_loss(input: Array, target: Array, *, soft_dice_kwargs: Mapping[str, Any] = {}) -> Call:
    """Return the sum of the negative Dice score and cross entropy."""
    parts = ((_region(losses.dice, apply_nonlin="softmax", **soft_dice_kwargs), 1.0), (losses.cross_entropy, 1.0))
    return shifted(weighted_sum(input, without_channel(input, target), parts), -1)


@loss_preset("dice_loss.DC_and_topk_loss")
def dc_and_topk_loss(
    input: Array,
    target: Array,
    *,
    soft_dice_kwargs: Mapping[str, Any] = {},
    ce_kwargs: Mapping[str, Any] = {},
) -> Call:
    """Return the sum of the negative Dice score and the cross entropy of the hardest pixels."""
    hardest = partial(losses.top_k_cross_entropy, share=ce_kwargs.get("k", 10.0) / 100)
    parts = ((_region(losses.dice, apply_nonlin="softmax", **soft_dice_kwargs), 1.0), (hardest, 1.0))
    return shifted(weighted_sum(input, without_channel(input, target), parts), -1)


@loss_preset("lovasz_loss.LovaszSoftmax", note="Takes probabilities; all classes count.")
def lovasz_softmax(input: Array, target: Array, *, reduction: Literal["mean"] = "mean", **options: Any) -> Call:
    """Return the Lovasz-softmax loss of probabilities over the batch."""
    return partial(
        losses.lovasz_softmax,
        input,
        without_channel(input, target),
        classes="all",
        activation=None,
        reduction=reduction,
        **options,
    )


@loss_preset("boundary_loss.BDLoss", note="`bound` is the map from SegLossOdyssey's loader, of the input's shape.")
def bd_loss(input: Array, target: Array, *, bound: Array, **options: Any) -> Call:
    """Return the boundary loss of the foreground classes, for given signed distances."""
    return partial(
        losses.boundary, input, without_channel(input, target), field=bound, exclude_background=True, **options
    )
