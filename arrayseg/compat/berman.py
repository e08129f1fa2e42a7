"""LovaszSoftmax (commit 7d48792): `pytorch/lovasz_losses.py` of github.com/bermanmaxim/LovaszSoftmax, Berman et al."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from arrayseg import losses
from arrayseg._typing import Array
from arrayseg.compat._calls import Call
from arrayseg.compat._preset import loss_preset

__all__ = ["lovasz_hinge", "lovasz_softmax"]


@loss_preset(
    "lovasz_losses.lovasz_softmax",
    note="Takes probabilities. If every pixel is ignored, the loss is 0 here and an empty tensor in the original.",
)
def lovasz_softmax(
    input: Array,
    target: Array,
    *,
    classes: Literal["present", "all"] | Sequence[int] = "present",
    per_image: bool = False,
    ignore: int | None = None,
    **options: Any,
) -> Call:
    """Return the Lovasz-softmax loss of probabilities."""
    return partial(
        losses.lovasz_softmax,
        input,
        target,
        classes=classes,
        pool="image" if per_image else "batch",
        ignore_index=ignore,
        activation=None,
        **options,
    )


@loss_preset("lovasz_losses.lovasz_hinge")
def lovasz_hinge(
    input: Array, target: Array, *, per_image: bool = True, ignore: int | None = None, **options: Any
) -> Call:
    """Return the Lovasz hinge loss of logits `(N, *spatial)` without a class axis."""
    return partial(
        losses.lovasz_hinge,
        input,
        target,
        pool="image" if per_image else "batch",
        ignore_index=ignore,
        class_axis=None,
        **options,
    )
