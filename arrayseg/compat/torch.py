"""PyTorch: the numbers of `torch.nn.functional`, NaN of an all-ignored batch included."""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Reduction, Weights
from arrayseg.compat._preset import Call, Record, Unreduced, channels, loss_of_each_class, loss_preset, nan_of_nothing

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "nll_loss"]

WEIGHTS = (1.0, 2.0, 3.0, 4.0)


@loss_preset(
    "torch.nn.functional.cross_entropy",
    Record(1.733316),
    Record(1.733275, {"weight": WEIGHTS}),
    Record(4.143610, {"weight": WEIGHTS}, "one-hot"),
    Record(1.695320, {"ignore_index": 255}, "void ids"),
    Record(1.732208, {"label_smoothing": 0.1}),
    Record(1.740312, {"weight": WEIGHTS, "label_smoothing": 0.1}),
    Record(4.160434, {"weight": WEIGHTS, "label_smoothing": 0.1}, "one-hot"),
    note="Class weights divide the mean for ids, and do not for distributions.",
)
def cross_entropy(
    input: Array,
    target: Array,
    *,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    **options: Any,
) -> Call:
    """Cross entropy of logits."""
    has_ids = target.ndim < input.ndim
    call = partial(
        losses.cross_entropy,
        input,
        target,
        class_weights=weight,
        ignore_index=ignore_index if has_ids else None,
        reduction=reduction,
        label_smoothing=label_smoothing,
        **options,
    )
    return nan_of_nothing(call)


@loss_preset("torch.nn.functional.nll_loss", Record(1.733316, {}, "log-probabilities"))
def nll_loss(
    input: Array,
    target: Array,
    *,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Negative log-likelihood of log-probabilities."""
    call = partial(
        losses.nll, input, target, class_weights=weight, ignore_index=ignore_index, reduction=reduction, **options
    )
    return nan_of_nothing(call)


@loss_preset(
    "torch.nn.functional.binary_cross_entropy",
    Record(0.826494, {}, "independent probabilities"),
    note="torch's `weight`, broadcast to the input, is `class_weights` or `pixel_weights` here.",
)
def binary_cross_entropy(input: Array, target: Array, *, reduction: Reduction = "mean", **options: Any) -> Call:
    """Binary cross entropy of probabilities."""
    call = partial(
        losses.binary_cross_entropy,
        input,
        target,
        activation=None,
        reduction=reduction,
        denominator="elements",
        **options,
    )
    weights = [1.0] * channels(input, options)
    return Unreduced(call, partial(loss_of_each_class, weights=weights)) if reduction == "none" else call


@loss_preset(
    "torch.nn.functional.binary_cross_entropy_with_logits",
    Record(0.826494, {}, "one-hot"),
    Record(1.017042, {"pos_weight": 2.0}, "one-hot"),
    note="torch's `weight`, broadcast to the input, is `class_weights` or `pixel_weights` here.",
)
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    *,
    pos_weight: float | Weights | None = None,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Binary cross entropy of logits."""
    call = partial(
        losses.binary_cross_entropy,
        input,
        target,
        pos_weight=pos_weight,
        reduction=reduction,
        denominator="elements",
        **options,
    )
    weights = [1.0] * channels(input, options)
    return Unreduced(call, partial(loss_of_each_class, weights=weights)) if reduction == "none" else call
