"""MONAI 1.5: as 1.6 without what is new there; centreline losses are of the whole batch without class 0.

Its generalised Wasserstein Dice loss mixes the images of a batch, its unified focal loss has no gradient, and its
masked Dice loss masks logits: none of these has a preset.
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
    note="Takes probabilities of at least two channels; the first is left out. MONAI has the target first.",
)
def softcl_dice_loss(input: Array, target: Array, *, iter_: int = 3, smooth: float = 1.0, **options: Any) -> Call:
    """Soft centreline Dice loss, one for the batch."""
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
    note="Takes probabilities of at least two channels; the first is left out. MONAI has the target first.",
)
def soft_dicecl_dice_loss(
    input: Array, target: Array, *, iter_: int = 3, alpha: float = 0.5, smooth: float = 1.0, **options: Any
) -> Call:
    """Dice loss and soft centreline Dice loss, one for the batch."""
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
