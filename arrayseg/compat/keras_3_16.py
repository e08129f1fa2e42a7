"""Keras 3.16: the numbers of the classes of `keras.losses`, the class axis last, the target second, and of IoU metrics.

Keras bounds probabilities from below by 1e-7 and, where it is given probabilities, divides them by their sum, so that
its gradient differs there; of logits the focal losses stop at a loss of 16, where the truth may be 100. None of this is
reproduced.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Integral
from typing import Any, Literal

from arrayseg import losses, metrics
from arrayseg._typing import Array, Pool, Reduction, Weights
from arrayseg.compat._counts import replace_undefined
from arrayseg.compat._preset import Call, Record, is_number, loss_preset, metric_preset

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "dice",
    "iou",
    "mean_iou",
    "sparse_categorical_crossentropy",
    "tversky",
]

LAST = "channels-last"
LOGITS: dict[str, Any] = {"from_logits": True}
EPSILON = 1e-7

KerasReduction = Literal["sum_over_batch_size", "sum", "none"] | None


def reduced(reduction: KerasReduction) -> Reduction:
    """Our name of a reduction."""
    return "mean" if reduction == "sum_over_batch_size" else "sum" if reduction == "sum" else "none"


def pool(input: Array, axis: int | Sequence[int] | None) -> Pool:
    """Over what the sums run, by the axes that they run over."""
    axes: Any = range(input.ndim) if axis is None else [axis] if isinstance(axis, Integral) else axis
    pools: dict[tuple[bool, bool], Pool] = {
        (True, True): "all",
        (True, False): "batch",
        (False, True): "micro",
        (False, False): "image",
    }
    summed = {axis % input.ndim for axis in axes}
    if not summed.issuperset(range(1, input.ndim - 1)):
        msg = f"`axis` must hold all spatial axes, {list(range(1, input.ndim - 1))}; got {axis!r}."
        raise ValueError(msg)
    return pools[0 in summed, input.ndim - 1 in summed]


@loss_preset(
    "keras.losses.Dice",
    Record(0.755044, {}, "channels-last probabilities"),
    Record(0.757078, {"axis": (1, 2)}, "channels-last probabilities"),
    note="Everything is one sum by default; of two empty sets the loss is 1.",
)
def dice(
    input: Array,
    target: Array,
    *,
    axis: int | Sequence[int] | None = None,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Dice loss of probabilities."""
    return partial(
        losses.dice,
        input,
        target,
        smooth=(0.0, EPSILON),
        activation=None,
        pool=pool(input, axis),
        reduction=reduced(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset(
    "keras.losses.Tversky",
    Record(0.756835, {"alpha": 0.9, "beta": 0.1, "axis": (1, 2)}, "channels-last probabilities"),
    note="alpha weighs false positives, since 3.16.",
)
def tversky(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    axis: int | Sequence[int] | None = None,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Tversky loss of probabilities."""
    return partial(
        losses.tversky,
        input,
        target,
        alpha=alpha,
        beta=beta,
        smooth=(0.0, EPSILON),
        activation=None,
        pool=pool(input, axis),
        reduction=reduced(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset(
    "keras.losses.CategoricalFocalCrossentropy",
    Record(0.313108, LOGITS, LAST),
    note="alpha multiplies every class, or each by its own.",
)
def categorical_focal_crossentropy(
    input: Array,
    target: Array,
    *,
    alpha: float | Weights = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Focal loss of exclusive classes."""
    return partial(
        losses.focal,
        input,
        target,
        alpha=[alpha] * input.shape[-1] if is_number(alpha) else alpha,
        gamma=gamma,
        activation="softmax" if from_logits else None,
        label_smoothing=label_smoothing,
        reduction=reduced(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset(
    "keras.losses.BinaryFocalCrossentropy",
    Record(0.363578, LOGITS, LAST),
    Record(0.235336, {**LOGITS, "apply_class_balancing": True}, LAST),
    note="alpha is not used unless `apply_class_balancing`. `label_smoothing` and probabilities are not supported.",
)
def binary_focal_crossentropy(
    input: Array,
    target: Array,
    *,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = True,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Focal loss of independent classes, of logits."""
    if not from_logits:
        msg = "This preset takes logits of independent classes; give from_logits=True."
        raise ValueError(msg)
    return partial(
        losses.focal,
        input,
        target,
        alpha=alpha if apply_class_balancing else None,
        gamma=gamma,
        activation="sigmoid",
        reduction=reduced(reduction),
        class_weights=[1 / input.shape[-1]] * input.shape[-1],
        denominator="valid",
        class_axis=-1,
        **options,
    )


@loss_preset("keras.losses.CategoricalCrossentropy", Record(1.733316, LOGITS, LAST))
def categorical_crossentropy(
    input: Array,
    target: Array,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Cross entropy with distributions."""
    return partial(
        losses.cross_entropy,
        input,
        target,
        activation="softmax" if from_logits else None,
        label_smoothing=label_smoothing,
        reduction=reduced(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset("keras.losses.SparseCategoricalCrossentropy", Record(1.733316, LOGITS, "channels-last ids"))
def sparse_categorical_crossentropy(
    input: Array,
    target: Array,
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Cross entropy with class ids; the mean is over those that are not ignored."""
    return partial(
        losses.cross_entropy,
        input,
        target,
        activation="softmax" if from_logits else None,
        ignore_index=ignore_class,
        reduction=reduced(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset(
    "keras.losses.BinaryCrossentropy",
    Record(0.826494, LOGITS, LAST),
    Record(0.824656, {**LOGITS, "label_smoothing": 0.1}, LAST),
)
def binary_crossentropy(
    input: Array,
    target: Array,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Binary cross entropy of each class."""
    return partial(
        losses.binary_cross_entropy,
        input,
        target,
        activation="sigmoid" if from_logits else None,
        label_smoothing=label_smoothing,
        reduction=reduced(reduction),
        class_weights=[1 / input.shape[-1]] * input.shape[-1],
        denominator="valid",
        class_axis=-1,
        **options,
    )


@loss_preset("keras.losses.CategoricalGeneralizedCrossEntropy", Record(1.081303, {}, "channels-last probabilities ids"))
def categorical_generalized_cross_entropy(
    input: Array,
    target: Array,
    *,
    q: float = 0.5,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Generalised cross entropy of probabilities with class ids."""
    return partial(
        losses.generalized_cross_entropy,
        input,
        target,
        q=q,
        activation=None,
        reduction=reduced(reduction),
        class_axis=-1,
        **options,
    )


@metric_preset("keras.metrics.MeanIoU")
def mean_iou(matrix: Array) -> Array:
    """Mean intersection over union of the classes that occur; 0 where there is none."""
    return replace_undefined(metrics.mean_iou(matrix), 0.0)


@metric_preset("keras.metrics.IoU")
def iou(matrix: Array, *, target_class_ids: Sequence[int]) -> Array:
    """Mean intersection over union of those of the given classes that occur; 0 where there is none."""
    return replace_undefined(metrics.mean_iou(matrix, classes=target_class_ids), 0.0)
