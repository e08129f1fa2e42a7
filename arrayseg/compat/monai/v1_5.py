"""MONAI 1.5: the losses of 1.6 without the new ones; centerline losses pool the whole batch without class 0.

The metrics of 1.5 have no presets here.

Three losses of 1.5 have no preset: the generalized Wasserstein Dice loss mixes the images of a batch, the unified focal
loss has no gradient, and the masked Dice loss masks logits.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array
from arrayseg.compat._calls import Call
from arrayseg.compat._preset import loss_preset
from arrayseg.compat.monai import losses as shared
from arrayseg.compat.monai.losses import *  # noqa: F403

__all__ = ["soft_dicecl_dice_loss", "softcl_dice_loss"]
__all__ += shared.__all__


@loss_preset(
    "monai.losses.SoftclDiceLoss",
    note="Takes probabilities of at least two channels and leaves out the first. In MONAI the target comes first.",
)
def softcl_dice_loss(input: Array, target: Array, *, iter_: int = 3, smooth: float = 1.0, **options: Any) -> Call:
    """Return the soft centerline Dice loss over the whole batch."""
    return partial(
        losses.cl_dice,
        input,
        target,
        iterations=iter_,
        smooth=smooth,
        epsilon=0.0,
        activation=None,
        pool="all",
        exclude_background=True,
        **options,
    )


@loss_preset(
    "monai.losses.SoftDiceclDiceLoss",
    note="Takes probabilities of at least two channels and leaves out the first. In MONAI the target comes first.",
)
def soft_dicecl_dice_loss(
    input: Array, target: Array, *, iter_: int = 3, alpha: float = 0.5, smooth: float = 1.0, **options: Any
) -> Call:
    """Return the weighted sum of Dice loss and soft centerline Dice loss over the whole batch."""
    return partial(
        losses.dice_cl_dice,
        input,
        target,
        alpha=alpha,
        iterations=iter_,
        smooth=smooth,
        epsilon=0.0,
        activation=None,
        pool="all",
        exclude_background=True,
        **options,
    )
