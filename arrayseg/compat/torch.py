"""PyTorch 2: `torch.nn.functional`; the loss of a batch with every pixel ignored is NaN."""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Reduction, Weights
from arrayseg.compat._calls import Call, nan_without_pixels, with_class_axis
from arrayseg.compat._inputs import channels
from arrayseg.compat._preset import loss_preset

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "nll_loss"]


@loss_preset(
    "torch.nn.functional.cross_entropy", note="Class weights divide the mean for ids, but not for distributions."
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
    """Return the cross entropy of logits."""
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
    return nan_without_pixels(call)


@loss_preset("torch.nn.functional.nll_loss")
def nll_loss(
    input: Array,
    target: Array,
    *,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Return the negative log-likelihood of log-probabilities."""
    call = partial(
        losses.nll, input, target, class_weights=weight, ignore_index=ignore_index, reduction=reduction, **options
    )
    return nan_without_pixels(call)


@loss_preset(
    "torch.nn.functional.binary_cross_entropy",
    note=("torch's `weight`, which is broadcast to the input, corresponds to our `class_weights` or `pixel_weights`."),
)
def binary_cross_entropy(input: Array, target: Array, *, reduction: Reduction = "mean", **options: Any) -> Call:
    """Return the binary cross entropy of probabilities."""
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
    return with_class_axis(call, weights)


@loss_preset(
    "torch.nn.functional.binary_cross_entropy_with_logits",
    note=("torch's `weight`, which is broadcast to the input, corresponds to our `class_weights` or `pixel_weights`."),
)
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    *,
    pos_weight: float | Weights | None = None,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Return the binary cross entropy of logits."""
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
    return with_class_axis(call, weights)
