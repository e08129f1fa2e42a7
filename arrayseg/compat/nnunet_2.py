"""nnU-Net 2: `nnunetv2.training.loss` and `nnunetv2.evaluation`.

A Dice loss is the negative score, from -1 to 0, so that compounds are one less than elsewhere. Targets may have
nnU-Net's channel of length one. In nnU-Net, `batch_dice` also adds the sums of all processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from arrayseg import losses, metrics
from arrayseg._typing import Activation, Array, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._calls import Call, nan_without_pixels, shifted, weighted_sum
from arrayseg.compat._inputs import without_channel
from arrayseg.compat._preset import loss_preset, metric_preset

__all__ = [
    "dc_and_bce_loss",
    "dc_and_ce_loss",
    "dc_and_topk_loss",
    "foreground_mean",
    "memory_efficient_soft_dice_loss",
    "robust_cross_entropy_loss",
    "soft_dice_loss",
    "top_k_loss",
]


def _dice(
    *,
    apply_nonlin: Activation = None,
    batch_dice: bool = False,
    do_bg: bool = True,
    smooth: float = 1.0,
    **options: Any,
) -> partial[Array]:
    """Return our loss for one minus nnU-Net's score."""
    return partial(
        losses.dice,
        activation=apply_nonlin,
        pool="batch" if batch_dice else "image",
        exclude_background=not do_bg,
        smooth=smooth,
        **options,
    )


@loss_preset(
    "nnunetv2.training.loss.dice.SoftDiceLoss",
    note="`apply_nonlin` is the name of an activation. `clip_tp` is not supported.",
)
def soft_dice_loss(
    input: Array,
    target: Array,
    *,
    apply_nonlin: Activation = None,
    batch_dice: bool = False,
    do_bg: bool = True,
    smooth: float = 1.0,
    **options: Any,
) -> Call:
    """Return the negative Dice score."""
    call = _dice(apply_nonlin=apply_nonlin, batch_dice=batch_dice, do_bg=do_bg, smooth=smooth, **options)
    return shifted(partial(call, input, without_channel(input, target)), -1)


@loss_preset("nnunetv2.training.loss.dice.MemoryEfficientSoftDiceLoss", inherits=soft_dice_loss)
def memory_efficient_soft_dice_loss(input: Array, target: Array, **options: Any) -> Call:
    """Return the negative Dice score; the options are the same as for `soft_dice_loss`."""
    return soft_dice_loss.call(input, target, **options)


@loss_preset("nnunetv2.training.loss.robust_ce_loss.RobustCrossEntropyLoss")
def robust_cross_entropy_loss(
    input: Array,
    target: Array,
    *,
    weight: Weights | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    **options: Any,
) -> Call:
    """Return the cross entropy."""
    call = partial(
        losses.cross_entropy,
        input,
        without_channel(input, target),
        class_weights=weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        **options,
    )
    return nan_without_pixels(call)


@loss_preset(
    "nnunetv2.training.loss.robust_ce_loss.TopKLoss",
    note="k is a percentage of all pixels in nnU-Net, and of the pixels that are not ignored here.",
)
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


@loss_preset(
    "nnunetv2.training.loss.compound_losses.DC_and_CE_loss",
    note="nnU-Net's trainer uses `soft_dice_kwargs` with batch_dice=True, do_bg=False and smooth=1e-5.",
)
def dc_and_ce_loss(
    input: Array,
    target: Array,
    *,
    soft_dice_kwargs: Mapping[str, Any] = {},
    ce_kwargs: Mapping[str, Any] = {},
    weight_ce: float = 1.0,
    weight_dice: float = 1.0,
    ignore_label: int | None = None,
) -> Call:
    """Return the sum of the negative Dice score and cross entropy."""
    entropy = partial(
        losses.cross_entropy,
        class_weights=ce_kwargs.get("weight"),
        label_smoothing=ce_kwargs.get("label_smoothing", 0.0),
        ignore_index=ignore_label,
    )
    parts = (
        (_dice(apply_nonlin="softmax", ignore_index=ignore_label, **soft_dice_kwargs), weight_dice),
        (entropy, weight_ce),
    )
    return shifted(weighted_sum(input, without_channel(input, target), parts), -weight_dice)


@loss_preset("nnunetv2.training.loss.compound_losses.DC_and_topk_loss", note="See `top_k_loss` about ignored pixels.")
def dc_and_topk_loss(
    input: Array,
    target: Array,
    *,
    soft_dice_kwargs: Mapping[str, Any] = {},
    ce_kwargs: Mapping[str, Any] = {},
    weight_ce: float = 1.0,
    weight_dice: float = 1.0,
    ignore_label: int | None = None,
) -> Call:
    """Return the sum of the negative Dice score and the cross entropy of the hardest pixels."""
    entropy = partial(losses.top_k_cross_entropy, share=ce_kwargs.get("k", 10.0) / 100, ignore_index=ignore_label)
    parts = (
        (_dice(apply_nonlin="softmax", ignore_index=ignore_label, **soft_dice_kwargs), weight_dice),
        (entropy, weight_ce),
    )
    return shifted(weighted_sum(input, without_channel(input, target), parts), -weight_dice)


@loss_preset(
    "nnunetv2.training.loss.compound_losses.DC_and_BCE_loss",
    note=(
        "With `use_ignore_label` the last channel of the target marks the ignored pixels, and the mean is C times "
        "as large."
    ),
)
def dc_and_bce_loss(
    input: Array,
    target: Array,
    *,
    soft_dice_kwargs: Mapping[str, Any] = {},
    weight_ce: float = 1.0,
    weight_dice: float = 1.0,
    use_ignore_label: bool = False,
) -> Call:
    """Return the sum of the negative Dice score and the binary cross entropy of independent classes."""
    mask = target[:, -1, ...] == 0 if use_ignore_label else None
    entropy = partial(losses.binary_cross_entropy, mask=mask, denominator="valid" if use_ignore_label else "elements")
    parts = ((_dice(apply_nonlin="sigmoid", mask=mask, **soft_dice_kwargs), weight_dice), (entropy, weight_ce))
    regions = target[:, :-1, ...] if use_ignore_label else target
    return shifted(weighted_sum(input, regions, parts), -weight_dice)


@metric_preset(
    "nnunetv2.evaluation.evaluate_predictions foreground_mean",
    "counts",
    note="The result is nan if a class occurs in no case.",
)
def foreground_mean(counts: Array, *, score: Literal["dice", "iou"] = "dice") -> Array:
    """Return the mean over foreground classes of the mean over the cases that have the class in either map."""
    labels = range(1, counts.shape[-2])
    means = [
        metrics.fine_grained_mean(counts, average="class", score=score, present="union", classes=[label])
        for label in labels
    ]
    xp = backend_of(counts).xp
    return xp.mean(xp.stack(means))
