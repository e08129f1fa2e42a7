"""The metrics of segmentation_models_pytorch 0.6."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from arrayseg import metrics
from arrayseg._checks import check_choice
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._counts import against_rest, foreground, pooled, replace_nan
from arrayseg.compat._preset import metric_preset

__all__ = ["accuracy", "f1_score", "iou_score", "precision", "recall"]


MetricReduction = Literal["micro", "macro", "weighted", "micro-imagewise", "macro-imagewise", None]


def _reduced(
    score: Callable[..., Array],
    matrices: Array,
    reduction: MetricReduction,
    class_weights: Sequence[float] | None,
    zero_division: float,
) -> Array:
    """Return a score of each class against the rest, or its mean, after the matrices are added as `reduction` says."""
    backend = backend_of(matrices)
    xp, binary = backend.xp, against_rest(matrices)
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
    scores = replace_nan(foreground(score(binary)), zero_division)
    if reduction == "weighted":
        weights = backend.asarray(class_weights, dtype=scores.dtype, like=matrices)
        return xp.sum(scores * weights) / xp.sum(weights)
    return scores if reduction is None else xp.mean(scores)


@metric_preset("segmentation_models_pytorch.metrics.iou_score", "matrices")
def iou_score(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Return the intersection over union; ``zero_division`` for an absent class."""
    return _reduced(metrics.iou, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.f1_score", "matrices")
def f1_score(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Return the Dice coefficient; ``zero_division`` for an absent class."""
    return _reduced(metrics.dice, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.accuracy", "matrices")
def accuracy(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Return the share of the pixels that are correct about the class, true negatives included."""
    return _reduced(_accuracy, matrices, reduction, class_weights, zero_division)


def _accuracy(binary: Array) -> Array:
    """Return the accuracy of a class against the rest, with an axis for `foreground` to remove."""
    return metrics.pixel_accuracy(binary)[..., None]


@metric_preset("segmentation_models_pytorch.metrics.recall", "matrices")
def recall(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Return the recall; ``zero_division`` for a class that the target lacks."""
    return _reduced(metrics.recall, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.precision", "matrices")
def precision(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Return the precision; ``zero_division`` for a class that the prediction lacks."""
    return _reduced(metrics.precision, matrices, reduction, class_weights, zero_division)
