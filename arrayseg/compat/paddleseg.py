"""PaddleSeg (commit d7975e7c): `paddleseg.models.losses` and `paddleseg.utils.metrics`.

Small numbers that PaddleSeg adds to denominators (1e-8 and 1e-10) are left out if they are not smoothing, as is the
1e-5 of its OHEM loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any, Literal

from arrayseg import losses, metrics
from arrayseg._typing import Array, Weights
from arrayseg.compat._calls import Call
from arrayseg.compat._inputs import without_channel
from arrayseg.compat._preset import loss_preset, metric_preset

__all__ = [
    "accuracy",
    "bootstrapped_cross_entropy_loss",
    "cross_entropy_loss",
    "dice",
    "dice_loss",
    "focal_loss",
    "kappa",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "mean_iou",
    "multi_class_focal_loss",
    "ohem_cross_entropy_loss",
]


@loss_preset("paddleseg.models.losses.DiceLoss", note="PaddleSeg overwrites the ignored ids of its target by 0.")
def dice_loss(
    input: Array,
    target: Array,
    *,
    weight: Weights | None = None,
    ignore_index: int = 255,
    smooth: float = 1.0,
    **options: Any,
) -> Call:
    """Return the Dice loss."""
    return partial(
        losses.dice,
        input,
        target,
        smooth=(smooth, smooth + 1e-8),
        class_weights=weight,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "paddleseg.models.losses.CrossEntropyLoss",
    note=("`top_k_percent_pixels` is a share of all pixels in PaddleSeg, and of the pixels that are not ignored here."),
)
def cross_entropy_loss(
    input: Array,
    target: Array,
    *,
    weight: Weights | None = None,
    ignore_index: int = 255,
    top_k_percent_pixels: float = 1.0,
    **options: Any,
) -> Call:
    """Return the cross entropy, of all pixels or of the hardest ones."""
    settings: dict[str, Any] = {"class_weights": weight, "ignore_index": ignore_index, **options}
    if top_k_percent_pixels == 1:
        return partial(losses.cross_entropy, input, target, **settings)
    return partial(losses.top_k_cross_entropy, input, target, share=top_k_percent_pixels, **settings)


@loss_preset("paddleseg.models.losses.BootstrappedCrossEntropyLoss")
def bootstrapped_cross_entropy_loss(
    input: Array, target: Array, *, min_K: int, loss_th: float, ignore_index: int = 255, **options: Any
) -> Call:
    """Return the cross entropy of the hard pixels of every image."""
    return partial(
        losses.bootstrapped_cross_entropy,
        input,
        target,
        loss_threshold=loss_th,
        min_kept=min_K,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "paddleseg.models.losses.OhemCrossEntropyLoss",
    note="Keeps one pixel less than `min_kept`, or all pixels if there are not more.",
)
def ohem_cross_entropy_loss(
    input: Array,
    target: Array,
    *,
    thresh: float = 0.7,
    min_kept: int = 10_000,
    ignore_index: int = 255,
    **options: Any,
) -> Call:
    """Return the cross entropy of the hard pixels of a batch."""
    fewer = min_kept < prod(target.shape)
    return partial(
        losses.ohem_cross_entropy,
        input,
        target,
        threshold=thresh,
        min_kept=max(min_kept - 1, 0) if fewer else min_kept,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset("paddleseg.models.losses.FocalLoss", note="Takes two channels.")
def focal_loss(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    ignore_index: int = 255,
    **options: Any,
) -> Call:
    """Return the focal loss of each of two classes against the other."""
    return partial(
        losses.focal,
        input,
        target,
        alpha=alpha,
        gamma=gamma,
        activation="sigmoid",
        ignore_index=ignore_index,
        denominator="elements",
        **options,
    )


@loss_preset("paddleseg.models.losses.MultiClassFocalLoss", note="alpha multiplies every class.")
def multi_class_focal_loss(
    input: Array,
    target: Array,
    *,
    alpha: float = 1.0,
    gamma: float = 2.0,
    ignore_index: int = 255,
    **options: Any,
) -> Call:
    """Return the focal loss of exclusive classes."""
    return partial(
        losses.focal,
        input,
        target,
        alpha=[alpha] * input.shape[1],
        gamma=gamma,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset("paddleseg.models.losses.LovaszSoftmaxLoss")
def lovasz_softmax_loss(
    input: Array,
    target: Array,
    *,
    ignore_index: int = 255,
    classes: Literal["present", "all"] | Sequence[int] = "present",
    **options: Any,
) -> Call:
    """Return the Lovasz-softmax loss."""
    return partial(
        losses.lovasz_softmax,
        input,
        without_channel(input, target),
        classes=classes,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "paddleseg.models.losses.LovaszHingeLoss", note="Takes one channel; the loss of PaddleSeg is wrong for two."
)
def lovasz_hinge_loss(input: Array, target: Array, *, ignore_index: int = 255, **options: Any) -> Call:
    """Return the Lovasz hinge loss of one channel over the batch."""
    return partial(losses.lovasz_hinge, input, target, pool="batch", ignore_index=ignore_index, **options)


@metric_preset(
    "paddleseg.utils.metrics.mean_iou",
    "matrix",
    note="In earlier releases an absent class counts as 0: pass ``absent=0``.",
)
def mean_iou(matrix: Array, *, absent: float = 1.0) -> Array:
    """Return the mean intersection over union; an absent class counts as 1."""
    return metrics.mean_iou(matrix, absent=absent)


@metric_preset("paddleseg.utils.metrics.dice", "matrix")
def dice(matrix: Array) -> Array:
    """Return the mean Dice coefficient; an absent class counts as 0."""
    return metrics.mean_dice(matrix, absent=0.0)


@metric_preset("paddleseg.utils.metrics.accuracy", "matrix")
def accuracy(matrix: Array) -> Array:
    """Return the share of correct pixels."""
    return metrics.pixel_accuracy(matrix)


@metric_preset("paddleseg.utils.metrics.kappa", "matrix")
def kappa(matrix: Array) -> Array:
    """Return Cohen's kappa."""
    return metrics.cohen_kappa(matrix)
