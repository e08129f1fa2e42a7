"""segmentation_models_pytorch 0.3: like the losses of 0.6, except Dice, Jaccard, Tversky and focal loss.

The Dice loss adds its smoothing to 2 I and P + T. True positives are products for every kind of target. The focal
losses of several classes are added. There are no class weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Reduction
from arrayseg.compat._calls import Call
from arrayseg.compat._preset import loss_preset
from arrayseg.compat.smp import losses as shared
from arrayseg.compat.smp._region import Mode, region_loss
from arrayseg.compat.smp.losses import *  # noqa: F403

__all__ = ["dice_loss", "focal_loss", "jaccard_loss", "tversky_loss"]
__all__ += shared.__all__


@loss_preset("segmentation_models_pytorch.losses.DiceLoss")
def dice_loss(
    input: Array,
    target: Array,
    *,
    mode: Mode,
    classes: Sequence[int] | None = None,
    log_loss: bool = False,
    from_logits: bool = True,
    smooth: float = 0.0,
    ignore_index: int | None = None,
    eps: float = 1e-7,
    **options: Any,
) -> Call:
    """Return the Dice loss or its logarithmic form."""
    return region_loss(
        partial(losses.log_dice, floor=eps) if log_loss else losses.dice,
        input,
        target,
        mode=mode,
        classes=classes,
        from_logits=from_logits,
        smooth=smooth,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset("segmentation_models_pytorch.losses.JaccardLoss")
def jaccard_loss(
    input: Array,
    target: Array,
    *,
    mode: Mode,
    classes: Sequence[int] | None = None,
    log_loss: bool = False,
    from_logits: bool = True,
    smooth: float = 0.0,
    eps: float = 1e-7,
    **options: Any,
) -> Call:
    """Return the Jaccard loss or its logarithmic form; no label is ignored."""
    return region_loss(
        partial(losses.log_jaccard, floor=eps) if log_loss else losses.jaccard,
        input,
        target,
        mode=mode,
        classes=classes,
        from_logits=from_logits,
        smooth=smooth,
        smooth_form="tp",
        **options,
    )


@loss_preset(
    "segmentation_models_pytorch.losses.TverskyLoss",
    note="alpha weights false positives; gamma is the exponent of the mean. `log_loss` is not supported.",
)
def tversky_loss(
    input: Array,
    target: Array,
    *,
    mode: Mode,
    classes: Sequence[int] | None = None,
    from_logits: bool = True,
    smooth: float = 0.0,
    ignore_index: int | None = None,
    alpha: float = 0.5,
    beta: float = 0.5,
    gamma: float = 1.0,
    **options: Any,
) -> Call:
    """Return the Tversky loss to the power gamma."""
    return region_loss(
        partial(losses.focal_tversky, alpha=alpha, beta=beta, exponent=gamma, power_of="mean"),
        input,
        target,
        mode=mode,
        classes=classes,
        from_logits=from_logits,
        smooth=smooth,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "segmentation_models_pytorch.losses.FocalLoss",
    note="For exclusive classes the loss is C times as large as in 0.6, because their losses are added.",
)
def focal_loss(
    input: Array,
    target: Array,
    *,
    mode: Mode,
    alpha: float | None = None,
    gamma: float = 2.0,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
    reduced_threshold: float | None = None,
    **options: Any,
) -> Call:
    """Return the focal loss of each class against the rest, or the reduced focal loss."""
    added = mode == "multiclass" and reduction == "mean"
    loss: Any = losses.focal
    if reduced_threshold is not None:
        loss = partial(losses.reduced_focal, threshold=reduced_threshold, continuous=False)
    return partial(
        loss,
        input,
        target,
        alpha=alpha,
        gamma=gamma,
        activation="sigmoid",
        ignore_index=ignore_index,
        reduction=reduction,
        denominator="valid" if added else "elements",
        **options,
    )
