"""torchvision: the numbers of `torchvision.ops`."""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Reduction
from arrayseg.compat._preset import Call, Record, Unreduced, channels, loss_of_each_class, loss_preset

__all__ = ["sigmoid_focal_loss"]


@loss_preset(
    "torchvision.ops.sigmoid_focal_loss",
    Record(0.235336, {"reduction": "mean"}, "one-hot"),
    Record(0.363578, {"alpha": -1, "reduction": "mean"}, "one-hot"),
)
def sigmoid_focal_loss(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    **options: Any,
) -> Call:
    """Focal loss of independent classes; a negative alpha is none."""
    call = partial(
        losses.focal,
        input,
        target,
        alpha=None if alpha < 0 else alpha,
        gamma=gamma,
        activation="sigmoid",
        reduction=reduction,
        denominator="elements",
        **options,
    )
    weights = [1.0] * channels(input, options)
    return Unreduced(call, partial(loss_of_each_class, weights=weights)) if reduction == "none" else call
