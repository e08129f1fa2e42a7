"""The losses that segmentation_models_pytorch 0.3 and 0.6 share."""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Reduction, Weights
from arrayseg.compat._calls import Call, changed, with_class_axis
from arrayseg.compat._inputs import channels
from arrayseg.compat._preset import loss_preset
from arrayseg.compat._terms import with_smoothed_cells
from arrayseg.compat.smp._region import Mode

__all__ = [
    "Mode",
    "lovasz_loss",
    "mcc_loss",
    "soft_bce_with_logits_loss",
    "soft_cross_entropy_loss",
]


@loss_preset(
    "segmentation_models_pytorch.losses.LovaszLoss",
    note=(
        "Several labels are ranked as one set. If every pixel is ignored, the loss is 0 here and an empty tensor "
        "in the peer."
    ),
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
    """Return the Lovasz-softmax loss of exclusive classes, or the Lovasz hinge loss of all other channels together."""
    settings: dict[str, Any] = {"pool": "image" if per_image else "batch", "ignore_index": ignore_index, **options}
    if mode == "multiclass":
        return partial(losses.lovasz_softmax, input, target, classes="present", **settings)
    one_set = target.ndim == input.ndim  # the channels are one more spatial axis
    return partial(losses.lovasz_hinge, input, target, class_axis=None if one_set else 1, **settings)


@loss_preset(
    "segmentation_models_pytorch.losses.SoftCrossEntropyLoss",
    note=(
        "The mean counts ignored pixels. The peer's default of `smooth_factor` raises an error. Without a "
        "reduction the peer keeps an axis of length one instead of the class axis."
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
    """Return the cross entropy with label smoothing."""
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
    note=(
        "Targets become s and 1 - s, which is twice our smoothing. For one channel an id may be ignored; its "
        "pixels still count in the mean."
    ),
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
    """Return the binary cross entropy with label smoothing."""
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
    return with_class_axis(call, [1.0] * count)


@loss_preset(
    "segmentation_models_pytorch.losses.MCCLoss",
    note="A correct map of one class has a loss of 1/2, as in the peer.",
)
def mcc_loss(input: Array, target: Array, *, eps: float = 1e-5, **options: Any) -> Call:
    """Return the loss of the Matthews correlation coefficient of one channel of probabilities."""
    call = partial(losses.matthews_corrcoef, input, target, activation=None, smooth=0.0, pool="all", **options)
    return changed(call, partial(with_smoothed_cells, smooth=eps), f"(each cell + {eps:g})")
