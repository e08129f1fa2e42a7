"""mmsegmentation 1.2: `mmseg.models.losses` and `IoUMetric`.

`loss_weight` has no option here: multiply the loss. The void label of the target is 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import nan, prod
from typing import Any, Literal

from arrayseg import losses, metrics
from arrayseg._typing import Array, Reduction, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._calls import Call
from arrayseg.compat._counts import mean_without_nan, replace_nan
from arrayseg.compat._preset import loss_preset, metric_preset

__all__ = [
    "aacc",
    "boundary_loss",
    "cross_entropy_loss",
    "dice_loss",
    "focal_loss",
    "lovasz_loss",
    "macc",
    "mdice",
    "mfscore",
    "miou",
    "mprecision",
    "mrecall",
    "ohem_cross_entropy",
    "tversky_loss",
]

NOTE_ON_PERCENT = (
    "mmsegmentation prints percentages with two digits; the number here is from 0 to 1. Its void label is 255."
)


def _element_weights(classes: int, weights: Weights | None, reduction: Reduction) -> list[float]:
    """Return class weights that turn a mean over all pixels into a mean over all elements."""
    share = 1 / classes if reduction == "mean" else 1.0
    return [share * float(weight) for weight in ([1.0] * classes if weights is None else weights)]


@loss_preset(
    "mmseg.models.losses.CrossEntropyLoss",
    note=(
        "The mean counts ignored pixels unless `avg_non_ignore` is set. Class weights divide the mean; in 0.x "
        "they did not. Class weights together with ignored pixels raise an error in mmsegmentation. They are not "
        "supported with `use_sigmoid`."
    ),
)
def cross_entropy_loss(
    input: Array,
    target: Array,
    *,
    use_sigmoid: bool = False,
    reduction: Reduction = "mean",
    class_weight: Weights | None = None,
    avg_non_ignore: bool = False,
    ignore_index: int = -100,
    **options: Any,
) -> Call:
    """Return the cross entropy, or binary cross entropy of each class."""
    if not use_sigmoid:
        return partial(
            losses.cross_entropy,
            input,
            target,
            class_weights=class_weight,
            ignore_index=ignore_index,
            reduction=reduction,
            denominator="weights" if avg_non_ignore or class_weight is not None else "all",
            **options,
        )
    return partial(
        losses.binary_cross_entropy,
        input,
        target,
        class_weights=None if avg_non_ignore else _element_weights(input.shape[1], None, reduction),
        ignore_index=ignore_index,
        reduction=reduction,
        denominator="elements" if avg_non_ignore else "all",
        **options,
    )


@loss_preset(
    "mmseg.models.losses.DiceLoss",
    note=(
        "By default exclusive classes get sigmoids, and the denominator has squares. A void pixel has no target "
        "class, but its predictions count. The formula differs from 0.x."
    ),
)
def dice_loss(
    input: Array,
    target: Array,
    *,
    use_sigmoid: bool = True,
    activate: bool = True,
    reduction: Reduction = "mean",
    naive_dice: bool = False,
    eps: float = 1e-3,
    **options: Any,
) -> Call:
    """Return the Dice loss of all classes of an image together."""
    if target.ndim < input.ndim:
        target = losses.one_hot(target, input.shape[1], ignore_index=255, dtype=input.dtype)
    return partial(
        losses.dice,
        input,
        target,
        activation=("sigmoid" if use_sigmoid else "softmax") if activate else None,
        smooth=eps if naive_dice else (0.0, 2 * eps),
        soft_tp="product" if naive_dice else "l2",
        pool="micro",
        reduction=reduction,
        **options,
    )


@loss_preset(
    "mmseg.models.losses.TverskyLoss", note="alpha weights false positives; mmsegmentation requires beta = 1 - alpha."
)
def tversky_loss(
    input: Array,
    target: Array,
    *,
    smooth: float = 1.0,
    class_weight: Weights | None = None,
    ignore_index: int = 255,
    alpha: float = 0.3,
    beta: float = 0.7,
    **options: Any,
) -> Call:
    """Return the Tversky loss."""
    return partial(
        losses.tversky,
        input,
        target,
        alpha=alpha,
        beta=beta,
        smooth=smooth,
        class_weights=class_weight,
        ignore_index=ignore_index,
        **options,
    )


@loss_preset(
    "mmseg.models.losses.FocalLoss",
    note=(
        "Reproduces the CUDA kernel; the CPU version of mmsegmentation fails for ids. The mean counts ignored pixels."
    ),
)
def focal_loss(
    input: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    alpha: float = 0.5,
    reduction: Reduction = "mean",
    class_weight: Weights | None = None,
    ignore_index: int = 255,
    **options: Any,
) -> Call:
    """Return the focal loss of each class against the rest."""
    return partial(
        losses.focal,
        input,
        target,
        alpha=alpha,
        gamma=gamma,
        activation="sigmoid",
        class_weights=_element_weights(input.shape[1], class_weight, reduction),
        ignore_index=ignore_index,
        reduction=reduction,
        denominator="all",
        **options,
    )


@loss_preset(
    "mmseg.models.losses.LovaszLoss",
    note="`reduction` has an effect only with `per_image`; without it, mmsegmentation requires 'none'.",
)
def lovasz_loss(
    input: Array,
    target: Array,
    *,
    loss_type: Literal["multi_class", "binary"] = "multi_class",
    classes: Literal["present", "all"] | Sequence[int] = "present",
    per_image: bool = False,
    reduction: Reduction = "mean",
    class_weight: Weights | None = None,
    ignore_index: int = 255,
    **options: Any,
) -> Call:
    """Return the Lovasz-softmax loss, or the Lovasz hinge loss for input and target `(N, *spatial)`."""
    del reduction  # the mean over images, whatever it is without them
    settings: dict[str, Any] = {"pool": "image" if per_image else "batch", "ignore_index": ignore_index, **options}
    if loss_type == "binary":
        return partial(losses.lovasz_hinge, input, target, class_axis=None, **settings)
    return partial(losses.lovasz_softmax, input, target, classes=classes, class_weights=class_weight, **settings)


@loss_preset(
    "mmseg.models.losses.OhemCrossEntropy",
    note=("`min_kept` counts pixels of the batch. If the batch has fewer pixels, all except the easiest one are kept."),
)
def ohem_cross_entropy(
    input: Array,
    target: Array,
    *,
    ignore_label: int = 255,
    thres: float = 0.7,
    min_kept: int = 100_000,
    **options: Any,
) -> Call:
    """Return the cross entropy of the hard pixels of a batch."""
    return partial(
        losses.ohem_cross_entropy,
        input,
        target,
        threshold=thres,
        min_kept=min(max(1, min_kept), prod(target.shape) - 1),
        ignore_index=ignore_label,
        **options,
    )


@loss_preset("mmseg.models.losses.BoundaryLoss", note="Takes one channel; the boundary loss of PIDNet, after HED.")
def boundary_loss(input: Array, target: Array, **options: Any) -> Call:
    """Return the binary cross entropy in which positives and negatives have equal weight."""
    return partial(losses.balanced_binary_cross_entropy, input, target, pool="all", **options)


@metric_preset("mmseg.evaluation.IoUMetric aAcc", "matrix", note=NOTE_ON_PERCENT)
def aacc(matrix: Array) -> Array:
    """Return the share of correct pixels."""
    return metrics.pixel_accuracy(matrix)


@metric_preset("mmseg.evaluation.IoUMetric mIoU", "matrix", note=NOTE_ON_PERCENT)
def miou(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the mean intersection over union; an absent class counts as ``nan_to_num``, or is left out."""
    return metrics.mean_iou(matrix, absent="skip" if nan_to_num is None else nan_to_num)


@metric_preset("mmseg.evaluation.IoUMetric mAcc", "matrix", note=NOTE_ON_PERCENT)
def macc(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the mean accuracy of the classes in the target; other classes count as ``nan_to_num`` or are left out."""
    return metrics.mean_pixel_accuracy(matrix, absent="skip" if nan_to_num is None else nan_to_num)


@metric_preset("mmseg.evaluation.IoUMetric mDice", "matrix", note=NOTE_ON_PERCENT)
def mdice(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the mean Dice coefficient; an absent class counts as ``nan_to_num``, or is left out."""
    return metrics.mean_dice(matrix, absent="skip" if nan_to_num is None else nan_to_num)


@metric_preset("mmseg.evaluation.IoUMetric mFscore", "matrix", note=NOTE_ON_PERCENT)
def mfscore(matrix: Array, *, nan_to_num: float | None = None, beta: float = 1.0) -> Array:
    """Return the mean F-beta score of the classes with a correct pixel; for other classes the score is 0 / 0."""
    xp, scores = backend_of(matrix).xp, metrics.f_beta(matrix, beta=beta)
    scores = xp.where(scores == 0, xp.full_like(scores, nan), scores)
    return mean_without_nan(replace_nan(scores, nan_to_num))


@metric_preset("mmseg.evaluation.IoUMetric mPrecision", "matrix", note=NOTE_ON_PERCENT)
def mprecision(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the mean precision of predicted classes; other classes count as ``nan_to_num`` or are left out."""
    return mean_without_nan(replace_nan(metrics.precision(matrix), nan_to_num))


@metric_preset("mmseg.evaluation.IoUMetric mRecall", "matrix", note=NOTE_ON_PERCENT)
def mrecall(matrix: Array, *, nan_to_num: float | None = None) -> Array:
    """Return the mean accuracy, under its other name."""
    return macc(matrix, nan_to_num=nan_to_num)
