"""torchvision 0.29: `torchvision.ops`."""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Reduction
from arrayseg.compat._calls import Call, with_class_axis
from arrayseg.compat._inputs import channels
from arrayseg.compat._preset import loss_preset

__all__ = ["sigmoid_focal_loss"]


@loss_preset("torchvision.ops.sigmoid_focal_loss")
def sigmoid_focal_loss(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    **options: Any,
) -> Call:
    """Return the focal loss of independent classes; a negative alpha means no alpha."""
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
    return with_class_axis(call, weights)
