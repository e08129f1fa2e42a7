"""segmentation_models_pytorch 0.6: `segmentation_models_pytorch.losses` and `.metrics`.

The mode is an option. The sums of Dice, Jaccard and Tversky losses run over the batch, and a class without target
pixels counts as 0. `eps`, the lower bound of denominators, matters only for empty sets, whose loss is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Reduction, Weights
from arrayseg.compat._calls import Call
from arrayseg.compat._inputs import channels
from arrayseg.compat._preset import loss_preset
from arrayseg.compat.smp import losses as shared, metrics as shared_metrics
from arrayseg.compat.smp._region import Mode, region_loss
from arrayseg.compat.smp.losses import *  # noqa: F403
from arrayseg.compat.smp.metrics import *  # noqa: F403

__all__ = ["dice_loss", "focal_loss", "jaccard_loss", "tversky_loss"]
__all__ += shared.__all__
__all__ += shared_metrics.__all__


@loss_preset(
    "segmentation_models_pytorch.losses.DiceLoss",
    note=(
        "Up to 0.3 the smoothing was added to 2 I and to P + T. Class weights, which are divided by their sum, "
        "are new in 0.6."
    ),
)
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
    class_weights: Weights | None = None,
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
        class_weights=class_weights,
        smooth=smooth,
        smooth_form="tp",
        soft_tp="l1",
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "segmentation_models_pytorch.losses.JaccardLoss",
    note="Class weights, which are divided by their sum, are new in 0.6.",
)
def jaccard_loss(
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
    class_weights: Weights | None = None,
    **options: Any,
) -> Call:
    """Return the Jaccard loss or its logarithmic form."""
    return region_loss(
        partial(losses.log_jaccard, floor=eps) if log_loss else losses.jaccard,
        input,
        target,
        mode=mode,
        classes=classes,
        from_logits=from_logits,
        class_weights=class_weights,
        smooth=smooth,
        smooth_form="tp",
        soft_tp="l1",
        ignore_index=ignore_index,
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
    class_weights: Weights | None = None,
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
        class_weights=class_weights,
        smooth=smooth,
        soft_tp="l1",
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "segmentation_models_pytorch.losses.FocalLoss",
    note=(
        "Every mode uses sigmoids. Since 0.6, several classes are averaged, whatever the reduction of each class; "
        "up to 0.5 they were added. `from_logits=False` and `normalized` are not supported. If every pixel is "
        "ignored, the mean is 0 here and nan in the peer."
    ),
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
    class_weights: Weights | None = None,
    **options: Any,
) -> Call:
    """Return the focal loss of each class against the rest, or the reduced focal loss."""
    weights = None if class_weights is None else [float(weight) for weight in class_weights]
    if weights is not None:
        weights = [weight * len(weights) / sum(weights) for weight in weights]
    if mode != "binary" and reduction == "sum":
        classes = channels(input, options)
        weights = [weight / classes for weight in weights or [1.0] * classes]
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
        class_weights=weights,
        ignore_index=ignore_index,
        reduction="mean" if mode != "binary" and reduction == "none" else reduction,
        denominator="elements",
        **options,
    )
