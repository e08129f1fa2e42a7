"""The loss and the fine-grained metrics of Wang et al., github.com/zifuwanggg/JDTLosses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from arrayseg import losses, metrics
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._calls import Call
from arrayseg.compat._preset import loss_preset, metric_preset

__all__ = [
    "jdt_loss",
    "miouc",
    "miouc_q",
    "miouc_quantiles",
    "mioud",
    "mioui",
    "mioui_q",
    "mioui_quantiles",
]


@loss_preset(
    "losses.jdt_loss.JDTLoss",
    note=(
        "Of soft targets the authors' loss counts absent classes too, unless told otherwise. `log_loss`, "
        "`class_weights` and `threshold` are not supported."
    ),
)
def jdt_loss(
    input: Array,
    target: Array,
    *,
    mIoUD: float = 1.0,
    mIoUI: float = 0.0,
    mIoUC: float = 0.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
    smooth: float = 1e-3,
    norm: Literal[1, 2] = 1,
    ignore_index: int | None = None,
    **options: Any,
) -> Call:
    """Jaccard, Dice and Tversky losses of the fine-grained mean IoU."""
    return partial(
        losses.fine_grained_jaccard,
        input,
        target,
        weights=(mIoUD, mIoUI, mIoUC),
        alpha=alpha,
        beta=beta,
        exponent=gamma,
        smooth=smooth,
        soft_tp="l1" if norm == 1 else "l2",
        ignore_index=ignore_index,
        **options,
    )


QUANTILES = tuple(range(10, 101, 10))
ABSENT = "From 0 to 1, not percent. A class that no target has makes it nan, or huge, there; here it enters no mean."
IMAGES = f"{ABSENT} Of two classes it is that of class 1, and an image without it counts 1."


def of_images(counts: Array, average: Literal["image", "class"], lowest: float | Sequence[float] = 100.0) -> Array:
    """The means over images; of two classes that of class 1, with one right pixel where an image lacks it."""
    if counts.shape[-2] != 2:
        return metrics.fine_grained_mean(counts, average=average, lowest=lowest)
    xp, foreground = backend_of(counts).xp, counts[:, 1:, :]
    hits, errors = foreground[..., :1], foreground[..., 1:]
    lacking = xp.sum(foreground, axis=-1, keepdims=True) == 0
    counts = xp.concat([xp.where(lacking, xp.ones_like(hits), hits), errors], axis=-1)
    return metrics.fine_grained_mean(counts, average=average, lowest=lowest, present="union")


@metric_preset("metrics.mioud_metric mIoUD", "counts", note=ABSENT)
def mioud(counts: Array) -> Array:
    """Mean over classes of the IoU of the pooled counts."""
    return metrics.fine_grained_mean(counts, average="dataset")


@metric_preset("metrics.miouic_metric mIoUI", "counts", note=IMAGES)
def mioui(counts: Array) -> Array:
    """Mean over images of the mean over the classes of the target of each."""
    return of_images(counts, "image")


@metric_preset("metrics.miouic_metric mIoUC", "counts", note=IMAGES)
def miouc(counts: Array) -> Array:
    """Mean over classes of the mean over the images whose target has the class."""
    return of_images(counts, "class")


@metric_preset("metrics.miouic_metric mIoUIq", "counts", note=IMAGES)
def mioui_q(counts: Array, *, q: float = 10.0) -> Array:
    """Mean of the lowest q percent of the images."""
    return of_images(counts, "image", q)


@metric_preset("metrics.miouic_metric mIoUCq", "counts", note=IMAGES)
def miouc_q(counts: Array, *, q: float = 10.0) -> Array:
    """Mean over classes of the lowest q percent of the images of each."""
    return of_images(counts, "class", q)


@metric_preset("metrics.miouic_metric mIoUI of all q", "counts", note=IMAGES)
def mioui_quantiles(counts: Array) -> Array:
    """Mean of the worst cases of 10, 20, ... 100 percent of the images."""
    return of_images(counts, "image", QUANTILES)


@metric_preset("metrics.miouic_metric mIoUC of all q", "counts", note=IMAGES)
def miouc_quantiles(counts: Array) -> Array:
    """Mean of the worst cases of 10, 20, ... 100 percent of the images of each class."""
    return of_images(counts, "class", QUANTILES)
