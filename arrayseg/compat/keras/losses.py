"""The losses that Keras 3.15 and 3.16 share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Weights
from arrayseg.compat._calls import Call
from arrayseg.compat._inputs import is_number
from arrayseg.compat._preset import loss_preset
from arrayseg.compat.keras._options import EPSILON, KerasReduction, our_reduction, pool_over

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "dice",
    "sparse_categorical_crossentropy",
]


@loss_preset(
    "keras.losses.Dice", note="By default all classes and images are summed together. For two empty sets the loss is 1."
)
def dice(
    input: Array,
    target: Array,
    *,
    axis: int | Sequence[int] | None = None,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Return the Dice loss of probabilities."""
    return partial(
        losses.dice,
        input,
        target,
        smooth=(0.0, EPSILON),
        activation=None,
        pool=pool_over(input, axis),
        reduction=our_reduction(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset(
    "keras.losses.CategoricalFocalCrossentropy", note="alpha multiplies every class, or is given for each class."
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
    """Return the focal loss of exclusive classes."""
    return partial(
        losses.focal,
        input,
        target,
        alpha=[alpha] * input.shape[-1] if is_number(alpha) else alpha,
        gamma=gamma,
        activation="softmax" if from_logits else None,
        label_smoothing=label_smoothing,
        reduction=our_reduction(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset(
    "keras.losses.BinaryFocalCrossentropy",
    note=(
        "alpha has an effect only with `apply_class_balancing`. `label_smoothing` and probabilities are not supported."
    ),
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
    """Return the focal loss of independent classes, of logits."""
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
        reduction=our_reduction(reduction),
        class_weights=[1 / input.shape[-1]] * input.shape[-1],
        denominator="valid",
        class_axis=-1,
        **options,
    )


@loss_preset("keras.losses.CategoricalCrossentropy")
def categorical_crossentropy(
    input: Array,
    target: Array,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Return the cross entropy with distributions."""
    return partial(
        losses.cross_entropy,
        input,
        target,
        activation="softmax" if from_logits else None,
        label_smoothing=label_smoothing,
        reduction=our_reduction(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset("keras.losses.SparseCategoricalCrossentropy")
def sparse_categorical_crossentropy(
    input: Array,
    target: Array,
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Return the cross entropy with class ids; the mean is over the pixels that are not ignored."""
    return partial(
        losses.cross_entropy,
        input,
        target,
        activation="softmax" if from_logits else None,
        ignore_index=ignore_class,
        reduction=our_reduction(reduction),
        class_axis=-1,
        **options,
    )


@loss_preset("keras.losses.BinaryCrossentropy")
def binary_crossentropy(
    input: Array,
    target: Array,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Return the binary cross entropy of each class."""
    return partial(
        losses.binary_cross_entropy,
        input,
        target,
        activation="sigmoid" if from_logits else None,
        label_smoothing=label_smoothing,
        reduction=our_reduction(reduction),
        class_weights=[1 / input.shape[-1]] * input.shape[-1],
        denominator="valid",
        class_axis=-1,
        **options,
    )


@loss_preset("keras.losses.CategoricalGeneralizedCrossEntropy")
def categorical_generalized_cross_entropy(
    input: Array,
    target: Array,
    *,
    q: float = 0.5,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Return the generalized cross entropy of probabilities with class ids."""
    return partial(
        losses.generalized_cross_entropy,
        input,
        target,
        q=q,
        activation=None,
        reduction=our_reduction(reduction),
        class_axis=-1,
        **options,
    )
