"""What the region losses of segmentation_models_pytorch share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

from arrayseg._typing import Activation, Array, Weights
from arrayseg.compat._calls import Call
from arrayseg.compat._inputs import without_channel

__all__ = ["Mode", "region_loss"]

Mode: TypeAlias = Literal["binary", "multiclass", "multilabel"]


def region_loss(
    loss: Callable[..., Array],
    input: Array,
    target: Array,
    *,
    mode: Mode,
    classes: Sequence[int] | None,
    from_logits: bool,
    class_weights: Weights | None = None,
    **options: Any,
) -> Call:
    """Return the call of a region loss over a batch, in which a class without target pixels counts as 0."""
    activation: Activation = ("softmax" if mode == "multiclass" else "sigmoid") if from_logits else None
    ignored = options.pop("ignore_index", None)
    if ignored is not None and mode == "binary" and "mask" not in options:
        options["mask"] = without_channel(input, target) != ignored  # binary targets may be floating there
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
