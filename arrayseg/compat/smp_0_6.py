"""segmentation_models_pytorch 0.6: the numbers of `segmentation_models_pytorch`, its losses and metrics.

The mode comes as an option. The sums of Dice, Jaccard and Tversky losses run over the batch, and a class without target
pixels counts as 0. `eps`, which bounds denominators from below, matters for empty sets alone, whose loss is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from arrayseg import losses, metrics
from arrayseg._checks import check_choice
from arrayseg._typing import Activation, Array, Reduction, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._counts import foreground, of_matrix, pooled, replace_undefined
from arrayseg.compat._preset import (
    Adjusted,
    Call,
    Record,
    Unreduced,
    channels,
    loss_of_each_class,
    loss_preset,
    metric_preset,
    without_channel,
)
from arrayseg.compat._terms import with_smoothed_cells

__all__ = [
    "Mode",
    "accuracy",
    "dice_loss",
    "f1_score",
    "focal_loss",
    "iou_score",
    "jaccard_loss",
    "lovasz_loss",
    "mcc_loss",
    "precision",
    "recall",
    "soft_bce_with_logits_loss",
    "soft_cross_entropy_loss",
    "tversky_loss",
]

Mode = Literal["binary", "multiclass", "multilabel"]

MULTICLASS: dict[str, Any] = {"mode": "multiclass"}
WEIGHTS = (1.0, 2.0, 3.0, 4.0)


def region(
    loss: Any,
    input: Array,
    target: Array,
    *,
    mode: Mode,
    classes: Sequence[int] | None,
    from_logits: bool,
    class_weights: Weights | None,
    **options: Any,
) -> Call:
    """A region loss by what its four have in common."""
    activation: Activation = ("softmax" if mode == "multiclass" else "sigmoid") if from_logits else None
    ignored = options.pop("ignore_index", None)
    if ignored is not None and mode == "binary" and "mask" not in options:
        options["mask"] = without_channel(input, target) != ignored  # the peer's binary targets may be floating
    else:
        options["ignore_index"] = ignored
    return partial(
        loss,
        input,
        target,
        activation=activation,
        pool="batch",
        absent="zero",
        classes=classes,
        class_weights=class_weights,
        weight_norm=None if class_weights is None else "sum",
        **options,
    )


@loss_preset(
    "segmentation_models_pytorch.losses.DiceLoss",
    Record(0.755556, MULTICLASS),
    Record(0.732584, {**MULTICLASS, "smooth": 1.0}),
    Record(0.761273, {**MULTICLASS, "class_weights": WEIGHTS}),
    note="Smoothing was of 2 I and of P + T up to 0.3; class weights, divided by their sum, are new in 0.6.",
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
    """Dice loss, or its logarithm."""
    return region(
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
    Record(0.860644, MULTICLASS),
    Record(0.845549, {**MULTICLASS, "smooth": 1.0}),
    note="Class weights, divided by their sum, are new in 0.6.",
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
    """Jaccard loss, or its logarithm."""
    return region(
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
    Record(0.755172, {**MULTICLASS, "alpha": 0.9, "beta": 0.1}),
    Record(0.809761, {**MULTICLASS, "alpha": 0.3, "beta": 0.7, "gamma": 0.75}),
    note="alpha weighs false positives; gamma is the power of the mean. `log_loss` is not supported.",
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
    """Tversky loss, to the power gamma."""
    return region(
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
    Record(0.363578, MULTICLASS),
    Record(0.235336, {**MULTICLASS, "alpha": 0.25}),
    note=(
        "The sigmoid form in every mode; of several classes the mean since 0.6, whatever the reduction of each class, "
        "up to 0.5 their sum. "
        "`from_logits=False` and `normalized` are not supported. If every pixel is ignored, the mean is 0 here and nan "
        "there."
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
    """Focal loss of each class against the rest, or reduced focal loss."""
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


@loss_preset(
    "segmentation_models_pytorch.losses.LovaszLoss",
    Record(0.768673, MULTICLASS),
    Record(0.769023, {**MULTICLASS, "per_image": True}),
    Record(1.818054, {"mode": "multilabel"}, "one-hot"),
    note="Several labels are ranked as one set. With every pixel ignored the peer's is empty, and this is 0.",
)
def lovasz_loss(
    input: Array,
    target: Array,
    *,
    mode: Mode,
    per_image: bool = False,
    ignore_index: int | None = None,
    **options: Any,
) -> Call:
    """Lovasz-softmax loss of exclusive classes, Lovasz hinge loss of all other channels together."""
    settings: dict[str, Any] = {"pool": "image" if per_image else "batch", "ignore_index": ignore_index, **options}
    if mode == "multiclass":
        return partial(losses.lovasz_softmax, input, target, classes="present", **settings)
    one_set = target.ndim == input.ndim  # the channels are one more spatial axis
    return partial(losses.lovasz_hinge, input, target, class_axis=None if one_set else 1, **settings)


@loss_preset(
    "segmentation_models_pytorch.losses.SoftCrossEntropyLoss",
    Record(1.733316),
    Record(1.732208, {"smooth_factor": 0.1}),
    Record(0.840824, {"ignore_index": 255}, "half void ids"),
    note=(
        "The mean counts ignored pixels. The peer's default of `smooth_factor` raises. Without a reduction the peer "
        "keeps an axis of length one instead of the classes."
    ),
)
def soft_cross_entropy_loss(
    input: Array,
    target: Array,
    *,
    reduction: Reduction = "mean",
    smooth_factor: float = 0.0,
    ignore_index: int | None = -100,
    **options: Any,
) -> Call:
    """Cross entropy with label smoothing."""
    return partial(
        losses.cross_entropy,
        input,
        target,
        label_smoothing=smooth_factor,
        ignore_index=ignore_index,
        reduction=reduction,
        denominator="all",
        **options,
    )


@loss_preset(
    "segmentation_models_pytorch.losses.SoftBCEWithLogitsLoss",
    Record(0.826494, {}, "one-hot"),
    Record(0.822817, {"smooth_factor": 0.1}, "one-hot"),
    note="Targets become s and 1 - s, which is twice our smoothing. Of one channel an id may be ignored, and counts.",
)
def soft_bce_with_logits_loss(
    input: Array,
    target: Array,
    *,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
    smooth_factor: float | None = None,
    pos_weight: float | Weights | None = None,
    **options: Any,
) -> Call:
    """Binary cross entropy with label smoothing."""
    count = channels(input, options)
    call = partial(
        losses.binary_cross_entropy,
        input,
        target,
        pos_weight=pos_weight,
        label_smoothing=2 * (smooth_factor or 0.0),
        class_weights=[1 / count] * count if reduction == "mean" else [1.0] * count,
        ignore_index=ignore_index,
        reduction=reduction,
        denominator="all",
        **options,
    )
    return Unreduced(call, partial(loss_of_each_class, weights=[1.0] * count)) if reduction == "none" else call


@loss_preset(
    "segmentation_models_pytorch.losses.MCCLoss",
    Record(0.993502, {}, "binary probabilities"),
    note="A map of one class that is exactly right has a loss of 1/2, as there.",
)
def mcc_loss(input: Array, target: Array, *, eps: float = 1e-5, **options: Any) -> Call:
    """Loss of the Matthews correlation coefficient of one channel of probabilities."""
    call = partial(losses.matthews_corrcoef, input, target, activation=None, smooth=0.0, pool="all", **options)
    return Adjusted(call, partial(with_smoothed_cells, smooth=eps), f"(each cell + {eps:g})")


MetricReduction = Literal["micro", "macro", "weighted", "micro-imagewise", "macro-imagewise", None]


def reduced_metric(
    score: Callable[..., Array],
    matrices: Array,
    reduction: MetricReduction,
    class_weights: Sequence[float] | None,
    zero_division: float,
) -> Array:
    """A score of each class against the rest: of the sum over images, over classes, or of both, then its mean."""
    backend = backend_of(matrices)
    xp, binary = backend.xp, of_matrix(matrices)
    if reduction == "weighted" and class_weights is None:
        msg = "The reduction 'weighted' needs `class_weights`, a number for each class; got None."
        raise ValueError(msg)
    check_choice("reduction", reduction, MetricReduction)
    axes: dict[MetricReduction, tuple[int, ...]] = {
        "micro": (0, 1),
        "macro": (0,),
        "weighted": (0,),
        "micro-imagewise": (1,),
    }
    binary = pooled(binary, axes[reduction]) if reduction in axes else binary
    scores = replace_undefined(foreground(score(binary)), zero_division)
    if reduction == "weighted":
        weights = backend.asarray(class_weights, dtype=scores.dtype, like=matrices)
        return xp.sum(scores * weights) / xp.sum(weights)
    return scores if reduction is None else xp.mean(scores)


@metric_preset("segmentation_models_pytorch.metrics.iou_score")
def iou_score(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Intersection over union; ``zero_division`` of an absent class."""
    return reduced_metric(metrics.iou, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.f1_score")
def f1_score(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Dice coefficient; ``zero_division`` of an absent class."""
    return reduced_metric(metrics.dice, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.accuracy")
def accuracy(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Share of the pixels that are right about the class: true negatives count, too."""
    return reduced_metric(both_classes, matrices, reduction, class_weights, zero_division)


def both_classes(binary: Array) -> Array:
    """The accuracy of a class against the rest, with an axis for `foreground` to take away."""
    return metrics.pixel_accuracy(binary)[..., None]


@metric_preset("segmentation_models_pytorch.metrics.recall")
def recall(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Recall; ``zero_division`` of a class that the target lacks."""
    return reduced_metric(metrics.recall, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.precision")
def precision(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Precision; ``zero_division`` of a class that the prediction lacks."""
    return reduced_metric(metrics.precision, matrices, reduction, class_weights, zero_division)
