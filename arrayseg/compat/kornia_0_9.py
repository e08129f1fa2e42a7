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
        "`average='micro'`, which stand inside the sums, are not supported. Before 0.9.0 `average='macro'` was a mean "
        "over all classes, absent ones too, and one-hot values were 1e-6 too large in both averages: not reproduced."
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
    """Dice loss of all classes of an image together, or the mean of those that it has."""
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
        "alpha weighs false positives. An image with every pixel ignored does not count here, and counts as a loss of "
        "1 in kornia. Before 0.9 only alpha + beta mattered, as classes were pooled."
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
    """Tversky loss of the classes that an image has."""
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
    note="The mean is over pixels and classes, ignored ones too; up to 0.6 it was over pixels, alpha multiplying all.",
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
    """Focal loss of exclusive classes."""
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
    note="`pos_weight` and entries of the target to ignore are not supported.",
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
    """Focal loss of independent classes."""
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
    """Hausdorff distance loss by erosions, of probabilities."""
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
    note="Right since 0.9.0; releases before ranked class ids, not the foreground (0.32927): not reproduced.",
)
def lovasz_softmax_loss(input: Array, target: Array, *, weight: Weights | None = None, **options: Any) -> Call:
    """Lovasz-softmax loss of each image, the mean over all classes, absent ones too."""
    return partial(losses.lovasz_softmax, input, target, classes="all", pool="image", class_weights=weight, **options)


@loss_preset("kornia.losses.lovasz_hinge_loss")
def lovasz_hinge_loss(input: Array, target: Array, **options: Any) -> Call:
    """Lovasz hinge loss of each image, of one channel."""
    return partial(losses.lovasz_hinge, input, target, pool="image", **options)
