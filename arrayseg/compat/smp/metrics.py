"""The numbers of `segmentation_models_pytorch.metrics`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from arrayseg import metrics
from arrayseg._checks import check_choice
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._counts import foreground, of_matrix, pooled, replace_undefined
from arrayseg.compat._preset import metric_preset

__all__ = ["accuracy", "f1_score", "iou_score", "precision", "recall"]


MetricReduction = Literal["micro", "macro", "weighted", "micro-imagewise", "macro-imagewise", None]


def reduced_metric(
    score: Callable[..., Array],
    matrices: Array,
    reduction: MetricReduction,
    class_weights: Sequence[float] | None,
    zero_division: float,
) -> Array:
    """A score of each class against the rest: of the sum over images, over classes, or of both, then its mean."""
    backend = backend_of(matrices)
    xp, binary = backend.xp, of_matrix(matrices)
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
    scores = replace_undefined(foreground(score(binary)), zero_division)
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
    """Intersection over union; ``zero_division`` of an absent class."""
    return reduced_metric(metrics.iou, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.f1_score", "matrices")
def f1_score(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Dice coefficient; ``zero_division`` of an absent class."""
    return reduced_metric(metrics.dice, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.accuracy", "matrices")
def accuracy(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Share of the pixels that are right about the class: true negatives count, too."""
    return reduced_metric(both_classes, matrices, reduction, class_weights, zero_division)


def both_classes(binary: Array) -> Array:
    """The accuracy of a class against the rest, with an axis for `foreground` to take away."""
    return metrics.pixel_accuracy(binary)[..., None]


@metric_preset("segmentation_models_pytorch.metrics.recall", "matrices")
def recall(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Recall; ``zero_division`` of a class that the target lacks."""
    return reduced_metric(metrics.recall, matrices, reduction, class_weights, zero_division)


@metric_preset("segmentation_models_pytorch.metrics.precision", "matrices")
def precision(
    matrices: Array,
    *,
    reduction: MetricReduction = None,
    class_weights: Sequence[float] | None = None,
    zero_division: float = 1.0,
) -> Array:
    """Precision; ``zero_division`` of a class that the prediction lacks."""
    return reduced_metric(metrics.precision, matrices, reduction, class_weights, zero_division)
