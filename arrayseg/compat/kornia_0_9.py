"""kornia 0.9: the numbers of `kornia.losses`."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from arrayseg import losses
from arrayseg._typing import Array, Reduction, Weights
from arrayseg.compat._calls import Call, with_class_axis
from arrayseg.compat._inputs import channels, without_channel
from arrayseg.compat._preset import loss_preset

__all__ = [
    "binary_focal_loss_with_logits",
    "dice_loss",
    "focal_loss",
    "hausdorff_er_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "tversky_loss",
]

#: The mean over the classes that an image has, then over the images.
PER_IMAGE = (0.0, 1.0, 0.0)


@loss_preset(
    "kornia.losses.dice_loss",
    note=(
        "An image with every pixel ignored does not count here, and counts as a loss of 1 in kornia. Weights with "
        "`average='micro'`, which kornia applies inside the sums, are not supported. Two errors of releases "
        "before 0.9.0 are not reproduced: with `average='macro'` the mean included absent classes, and one-hot "
        "values were 1e-6 too large."
    ),
)
def dice_loss(
    input: Array,
    target: Array,
    *,
    average: Literal["micro", "macro"] = "micro",
    eps: float = 1e-8,
    weight: Weights | None = None,
    ignore_index: int | None = -100,
    **options: Any,
) -> Call:
    """Return the Dice loss of all classes of an image together, or the mean over the classes that the image has."""
    if average == "micro":
        return partial(
            losses.dice,
            input,
            target,
            smooth=(0.0, eps),
            pool="micro",
            class_weights=weight,
            ignore_index=ignore_index,
            **options,
        )
    return partial(
        losses.fine_grained_jaccard,
        input,
        target,
        weights=PER_IMAGE,
        alpha=0.5,
        beta=0.5,
        smooth=(0.0, eps / 2),
        soft_tp="product",
        class_weights=weight,
        weight_norm=None if weight is None else "sum",
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "kornia.losses.tversky_loss",
    note=(
        "alpha weights false positives. An image with every pixel ignored does not count here, and counts as a "
        "loss of 1 in kornia. Before 0.9 classes were pooled, so that only alpha + beta mattered."
    ),
)
def tversky_loss(
    input: Array,
    target: Array,
    *,
    alpha: float,
    beta: float,
    eps: float = 1e-8,
    ignore_index: int | None = -100,
    **options: Any,
) -> Call:
    """Return the Tversky loss of the classes that an image has."""
    return partial(
        losses.fine_grained_jaccard,
        input,
        target,
        weights=PER_IMAGE,
        alpha=alpha,
        beta=beta,
        smooth=(0.0, eps),
        soft_tp="product",
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "kornia.losses.focal_loss",
    note=(
        "The mean is over pixels and classes, including ignored pixels. Up to 0.6 it was over pixels, and alpha "
        "multiplied every class."
    ),
)
def focal_loss(
    input: Array,
    target: Array,
    *,
    alpha: float | None,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    weight: Weights | None = None,
    ignore_index: int | None = -100,
    **options: Any,
) -> Call:
    """Return the focal loss of exclusive classes."""
    classes = channels(input, options)
    share = 1 / classes if reduction == "mean" else 1.0
    weights = [share * float(value) for value in ([1.0] * classes if weight is None else weight)]
    call = partial(
        losses.focal,
        input,
        target,
        alpha=alpha,
        gamma=gamma,
        class_weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
        denominator="all",
        **options,
    )
    return with_class_axis(call, weights)


@loss_preset(
    "kornia.losses.binary_focal_loss_with_logits",
    note="`pos_weight` and `ignore_index` are not supported.",
)
def binary_focal_loss_with_logits(
    input: Array,
    target: Array,
    *,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    weight: Weights | None = None,
    **options: Any,
) -> Call:
    """Return the focal loss of independent classes."""
    call = partial(
        losses.focal,
        input,
        target,
        alpha=alpha,
        gamma=gamma,
        activation="sigmoid",
        class_weights=weight,
        reduction=reduction,
        denominator="elements",
        **options,
    )
    weights = [1.0] * channels(input, options) if weight is None else [float(each) for each in weight]
    return with_class_axis(call, weights)


@loss_preset("kornia.losses.HausdorffERLoss")
def hausdorff_er_loss(
    input: Array,
    target: Array,
    *,
    alpha: float = 2.0,
    k: int = 10,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Return the Hausdorff distance loss by erosions, for probabilities."""
    return partial(
        losses.hausdorff_erosion,
        input,
        without_channel(input, target),
        alpha=alpha,
        iterations=k,
        activation=None,
        reduction=reduction,
        **options,
    )


@loss_preset(
    "kornia.losses.lovasz_softmax_loss",
    note=(
        "Releases before 0.9.0 ranked class ids instead of the foreground and gave 0.32927 for the reference "
        "batch, which is not reproduced."
    ),
)
def lovasz_softmax_loss(input: Array, target: Array, *, weight: Weights | None = None, **options: Any) -> Call:
    """Return the Lovasz-softmax loss of each image, as the mean over all classes, including absent ones."""
    return partial(losses.lovasz_softmax, input, target, classes="all", pool="image", class_weights=weight, **options)


@loss_preset("kornia.losses.lovasz_hinge_loss")
def lovasz_hinge_loss(input: Array, target: Array, **options: Any) -> Call:
    """Return the Lovasz hinge loss of each image, for one channel."""
    return partial(losses.lovasz_hinge, input, target, pool="image", **options)
