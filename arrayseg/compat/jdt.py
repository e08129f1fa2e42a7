"""JDTLosses (commit 68ce8ac): the loss and the fine-grained metrics of github.com/zifuwanggg/JDTLosses, Wang et al."""

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
        "For soft targets, the original also counts absent classes by default. `log_loss`, `class_weights` and "
        "`threshold` are not supported."
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
    """Return the Jaccard, Dice or Tversky loss of the fine-grained mean IoU."""
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
NOTE_ON_ABSENT_CLASSES = (
    "The number is from 0 to 1 instead of percent. A class in no target makes it nan or huge in the original; here it "
    "enters no mean."
)
NOTE_ON_IMAGES = (
    f"{NOTE_ON_ABSENT_CLASSES} For two classes the number is that of class 1, and an image without class 1 counts as 1."
)


def _mean_over_images(
    counts: Array, average: Literal["image", "class"], lowest: float | Sequence[float] = 100.0
) -> Array:
    """Return the means over images; for two classes, the mean of class 1, which an image without it has right."""
    if counts.shape[-2] != 2:
        return metrics.fine_grained_mean(counts, average=average, lowest=lowest)
    xp, foreground = backend_of(counts).xp, counts[:, 1:, :]
    hits, errors = foreground[..., :1], foreground[..., 1:]
    lacking = xp.sum(foreground, axis=-1, keepdims=True) == 0
    counts = xp.concat([xp.where(lacking, xp.ones_like(hits), hits), errors], axis=-1)
    return metrics.fine_grained_mean(counts, average=average, lowest=lowest, present="union")


@metric_preset("metrics.mioud_metric mIoUD", "counts", note=NOTE_ON_ABSENT_CLASSES)
def mioud(counts: Array) -> Array:
    """Return the mean over classes of the IoU of the pooled counts."""
    return metrics.fine_grained_mean(counts, average="dataset")


@metric_preset("metrics.miouic_metric mIoUI", "counts", note=NOTE_ON_IMAGES)
def mioui(counts: Array) -> Array:
    """Return the mean over images of the mean over the classes in the target."""
    return _mean_over_images(counts, "image")


@metric_preset("metrics.miouic_metric mIoUC", "counts", note=NOTE_ON_IMAGES)
def miouc(counts: Array) -> Array:
    """Return the mean over classes of the mean over the images whose target has the class."""
    return _mean_over_images(counts, "class")


@metric_preset("metrics.miouic_metric mIoUIq", "counts", note=NOTE_ON_IMAGES)
def mioui_q(counts: Array, *, q: float = 10.0) -> Array:
    """Return the mean of the lowest q percent of the images."""
    return _mean_over_images(counts, "image", q)


@metric_preset("metrics.miouic_metric mIoUCq", "counts", note=NOTE_ON_IMAGES)
def miouc_q(counts: Array, *, q: float = 10.0) -> Array:
    """Return the mean over classes of the lowest q percent of the images with the class."""
    return _mean_over_images(counts, "class", q)


@metric_preset("metrics.miouic_metric mIoUI of all q", "counts", note=NOTE_ON_IMAGES)
def mioui_quantiles(counts: Array) -> Array:
    """Return the mean of the worst cases of 10, 20, ... 100 percent of the images."""
    return _mean_over_images(counts, "image", QUANTILES)


@metric_preset("metrics.miouic_metric mIoUC of all q", "counts", note=NOTE_ON_IMAGES)
def miouc_quantiles(counts: Array) -> Array:
    """Return the mean of the worst cases of 10, 20, ... 100 percent of the images of each class."""
    return _mean_over_images(counts, "class", QUANTILES)
