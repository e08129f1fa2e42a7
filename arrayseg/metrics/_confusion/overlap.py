"""Compute the overlap of prediction and target: intersection over union, Dice and related scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from arrayseg._checks import check_choice, check_indices, check_number, check_sequence
from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.metrics._compute import AbsentScore, Score, divide, take_classes
from arrayseg.metrics._confusion.outcomes import (
    Outcomes,
    class_scores,
    compute_from_matrix,
    count_outcomes,
    matrix_score,
    mean_over_classes,
    outcomes_from,
)

__all__ = [
    "category_iou",
    "dice",
    "f_beta",
    "frequency_weighted_iou",
    "generalized_dice",
    "iou",
    "mean_dice",
    "mean_iou",
    "relative_volume_difference",
    "tversky_index",
    "volumetric_similarity",
]


@matrix_score
def iou(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the intersection over union of each class (Jaccard index).

    .. math:: \frac{TP}{TP + FP + FN}

    Parameters
    ----------
    {matrix}
    {absent_scores}
    {classes_scores}

    Returns
    -------
    {scores}

    Notes
    -----
    One matrix pooled over a data set gives the scores of mmsegmentation and Cityscapes. The matrices `(N, C, C)` of
    ``confusion_matrix(..., per_image=True)`` give scores per image, as MONAI does.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.iou(matrix)
    array([0.5       , 0.57142857])
    """
    return class_scores(_iou, matrix, absent=absent, classes=classes)


@matrix_score
def mean_iou(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the mean over the classes of the intersection over union (mIoU).

    .. math:: \frac{1}{|K|} \sum_{c \in K} \frac{TP_c}{TP_c + FP_c + FN_c}

    Parameters
    ----------
    {matrix}
    {absent_mean}
    {classes_mean}

    Returns
    -------
    {mean}

    Notes
    -----
    Libraries differ in how they treat absent classes. The default skips them, as do mmsegmentation (without
    ``nan_to_num``), torchmetrics' ``JaccardIndex`` and scikit-learn (without ``labels``). ``absent=0`` reproduces the
    ADE20K tool and scikit-learn with ``labels``; ``absent=1`` reproduces PaddleSeg and segmentation-models-pytorch.
    Detectron2 also leaves out a class that is predicted but not in the target: pass the others as `classes`. For
    averages over images see `fine_grained_mean`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.mean_iou(matrix)
    array(0.53571429)
    """
    return mean_over_classes(_iou, matrix, absent=absent, classes=classes)


@matrix_score
def frequency_weighted_iou(
    matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return the mean of the intersection over union, weighted by the target pixels of each class.

    .. math:: \frac{\sum_{c \in K} (TP_c + FN_c) \, IoU_c}{\sum_{c \in K} (TP_c + FN_c)}

    Parameters
    ----------
    {matrix}
    absent : {"skip", "nan"} or float, default "skip"
        The score of a matrix without target pixels of the classes: nan for ``"skip"`` and ``"nan"``, or this number. A
        class without target pixels has no weight.
    {classes_mean}

    Returns
    -------
    {score}

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.frequency_weighted_iou(np.asarray([[3, 1], [2, 4]]))
    array(0.54285714)
    """

    def weighted_mean(backend: Backend, counts: Array) -> Score:
        xp, outcomes = backend.xp, count_outcomes(backend, counts)
        weights = take_classes(backend, outcomes.actual, classes)
        scores = take_classes(backend, _iou(outcomes).values, classes)  # 0 for 0 / 0
        return divide(xp, xp.sum(weights * scores, axis=-1), xp.sum(weights, axis=-1))

    return compute_from_matrix(matrix, weighted_mean, absent)


@matrix_score
def category_iou(
    matrix: Array,
    categories: Sequence[Sequence[int]],
    *,
    absent: AbsentScore = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Return the intersection over union of categories, each a union of classes.

    .. math:: \frac{\sum_{t, p \in G} M_{tp}}
        {\sum_{t \in G, p} M_{tp} + \sum_{t, p \in G} (M_{pt} - M_{tp}) + \sum_{t \notin G, p \in G} M_{tp}}

    Parameters
    ----------
    {matrix}
    categories : sequence of sequences of int
        The class ids of each category. A class may be in several categories (a hierarchy) or in none.
    absent : {"skip", "nan"} or float, default "skip"
        The score of a category in neither prediction nor target: nan for ``"skip"`` and ``"nan"``, or this number.
    classes : sequence of int, optional
        The positions of the categories to return. By default all.

    Returns
    -------
    array
        One score for each of G categories, in float64 where the device has it. Shape `(..., G)`.

    Notes
    -----
    A pixel that is predicted as another class of its category counts as correct. This is the category IoU of
    cityscapesScripts.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[5, 2, 0], [1, 4, 1], [0, 0, 3]])
    >>> metrics.category_iou(matrix, [[0, 1], [2]])
    array([0.92307692, 0.75      ])
    """
    listed = check_sequence("categories", categories, "sequences of class ids")
    if not listed:
        msg = "`categories` must hold at least one sequence of class ids; got none."
        raise ValueError(msg)

    def merged_iou(backend: Backend, counts: Array) -> Score:
        xp = backend.xp
        groups = [check_indices("categories", members, counts.shape[-1]) for members in listed]
        rows = [take_classes(backend, counts, members, axis=-2) for members in groups]
        columns = [take_classes(backend, counts, members) for members in groups]
        common = [take_classes(backend, part, members) for part, members in zip(rows, groups, strict=True)]
        hits, predicted, actual = (
            xp.stack([xp.sum(part, axis=(-2, -1)) for part in parts], axis=-1) for parts in (common, columns, rows)
        )
        score = _iou(outcomes_from(backend, hits, predicted, actual, xp.sum(counts, axis=(-2, -1))))
        return Score(*(take_classes(backend, part, classes) for part in score))

    return compute_from_matrix(matrix, merged_iou, absent)


@matrix_score
def dice(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the Dice coefficient of each class (F1 score).

    .. math:: \frac{2 TP}{2 TP + FP + FN}

    Parameters
    ----------
    {matrix}
    {absent_scores}
    {classes_scores}

    Returns
    -------
    {scores}

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.dice(matrix)
    array([0.66666667, 0.72727273])
    """
    return class_scores(_dice, matrix, absent=absent, classes=classes)


@matrix_score
def mean_dice(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the mean over the classes of the Dice coefficient.

    .. math:: \frac{1}{|K|} \sum_{c \in K} \frac{2 TP_c}{2 TP_c + FP_c + FN_c}

    Parameters
    ----------
    {matrix}
    {absent_mean}
    {classes_mean}

    Returns
    -------
    {mean}

    Notes
    -----
    ``absent=1`` with the matrix of one volume reproduces MetricsReloaded, medpy and BraTS; ``absent=0`` reproduces
    PaddleSeg.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.mean_dice(matrix)
    array(0.6969697)
    """
    return mean_over_classes(_dice, matrix, absent=absent, classes=classes)


@matrix_score
def f_beta(
    matrix: Array, *, beta: float = 1.0, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return the F-beta score of each class, in which recall weighs beta times as much as precision.

    .. math:: \frac{(1 + \beta^2) TP}{(1 + \beta^2) TP + \beta^2 FN + FP}

    Parameters
    ----------
    {matrix}
    beta : float, default 1
        The weight of recall. 1 gives the Dice coefficient.
    {absent_scores}
    {classes_scores}

    Returns
    -------
    {scores}

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.f_beta(matrix, beta=2)
    array([0.71428571, 0.68965517])
    """
    weight = check_number("beta", beta, 0, 1e100) ** 2  # whose square is still finite

    def score(outcomes: Outcomes) -> Score:
        hits = (1 + weight) * outcomes.true_positives
        return outcomes.ratio(hits, hits + weight * outcomes.false_negatives + outcomes.false_positives)

    return class_scores(score, matrix, absent=absent, classes=classes)


@matrix_score
def tversky_index(
    matrix: Array,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    absent: AbsentScore = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Return the Tversky index of each class, with weights for false positives and false negatives.

    .. math:: \frac{TP}{TP + \alpha FP + \beta FN}

    Parameters
    ----------
    {matrix}
    alpha : float, default 0.5
        The weight of false positives.
    beta : float, default 0.5
        The weight of false negatives. If both weights are 0.5, the index is the Dice coefficient; if both are 1, it is
        the intersection over union.
    {absent_scores}
    {classes_scores}

    Returns
    -------
    {scores}

    References
    ----------
    Tversky, "Features of similarity", Psychological Review 84 (1977).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.tversky_index(matrix, alpha=0.3, beta=0.7)
    array([0.69767442, 0.70175439])
    """
    alpha, beta = check_number("alpha", alpha, 0), check_number("beta", beta, 0)

    def index(outcomes: Outcomes) -> Score:
        errors = alpha * outcomes.false_positives + beta * outcomes.false_negatives
        return outcomes.ratio(outcomes.true_positives, outcomes.true_positives + errors)

    return class_scores(index, matrix, absent=absent, classes=classes)


@matrix_score
def generalized_dice(
    matrix: Array,
    *,
    weight: Literal["square", "simple", "uniform"] = "square",
    absent: AbsentScore = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Return the Dice coefficient of all classes together, in which rare classes have larger weights.

    .. math:: \frac{2 \sum_c w_c TP_c}{\sum_c w_c (2 TP_c + FP_c + FN_c)}

    Parameters
    ----------
    {matrix}
    weight : {"square", "simple", "uniform"}, default "square"
        The weight of a class with G target pixels: 1/G^2, 1/G or 1. A class without target pixels gets the largest
        weight of the other classes, as in MONAI, so that its false positives lower the score.
    absent : {"skip", "nan"} or float, default "skip"
        The score of a matrix in which the classes have neither prediction nor target: nan for ``"skip"`` and
        ``"nan"``, or this number.
    classes : sequence of int, optional
        The classes that enter the sums. By default all.

    Returns
    -------
    {score}

    Notes
    -----
    MONAI and torchmetrics compute it for each image: pass the matrices of ``confusion_matrix(..., per_image=True)``.
    Torchmetrics uses the largest weight in the batch instead of the largest of the classes, so its score of an image
    depends on the other images.

    References
    ----------
    Crum, Camara and Hill, "Generalized overlap measures for evaluation and validation in medical image analysis",
    IEEE TMI 25 (2006).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.generalized_dice(np.asarray([[3, 1], [2, 4]]))
    array(0.688)
    """
    power = _POWERS[check_choice("weight", weight, tuple(_POWERS))]

    def weighted(backend: Backend, counts: Array) -> Score:
        xp, outcomes = backend.xp, count_outcomes(backend, counts)
        hits, predicted, actual = (
            take_classes(backend, part, classes)
            for part in (outcomes.true_positives, outcomes.predicted, outcomes.actual)
        )
        missing = actual == 0
        weights = xp.where(missing, xp.zeros_like(actual), xp.where(missing, xp.ones_like(actual), actual) ** -power)
        weights = xp.where(missing, xp.max(weights, axis=-1, keepdims=True), weights)
        # If no class has target pixels, any equal weights give 0, or 0 / 0 without predictions.
        weights = xp.where(xp.all(missing, axis=-1, keepdims=True), xp.ones_like(weights), weights)
        overlap, sizes = xp.sum(weights * hits, axis=-1), xp.sum(weights * (predicted + actual), axis=-1)
        return divide(xp, 2 * overlap, sizes)

    return compute_from_matrix(matrix, weighted, absent)


@matrix_score
def volumetric_similarity(
    matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return how similar the sizes of prediction and target are for each class, regardless of their positions.

    .. math:: 1 - \frac{|FN - FP|}{2 TP + FP + FN}

    Parameters
    ----------
    {matrix}
    {absent_scores}
    {classes_scores}

    Returns
    -------
    {scores}

    Notes
    -----
    What seg-metrics calls volumetric similarity is `relative_volume_difference` with ``relative_to="mean"``.

    References
    ----------
    Taha and Hanbury, "Metrics for evaluating 3D medical image segmentation", BMC Medical Imaging 15 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.volumetric_similarity(matrix)
    array([0.88888889, 0.90909091])
    """

    def similarity(outcomes: Outcomes) -> Score:
        difference = outcomes.xp.abs(outcomes.false_negatives - outcomes.false_positives)
        share, undefined = outcomes.ratio(difference, outcomes.predicted + outcomes.actual)
        return Score(1 - share, undefined)

    return class_scores(similarity, matrix, absent=absent, classes=classes)


@matrix_score
def relative_volume_difference(
    matrix: Array,
    *,
    relative_to: Literal["target", "mean"] = "target",
    absent: AbsentScore = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Return how much larger the prediction of each class is than its target, as a fraction.

    .. math:: \frac{P - T}{T}, \quad P = TP + FP, \quad T = TP + FN

    Parameters
    ----------
    {matrix}
    relative_to : {"target", "mean"}, default "target"
        Divide the difference by the size of the target, as medpy and panoptica do, or by the mean of both sizes, as
        seg-metrics does.
    {absent_scores}
    {classes_scores}

    Returns
    -------
    {scores}

    Notes
    -----
    The difference keeps its sign. With ``relative_to="target"`` it is infinite for a class that is predicted but has no
    target pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.relative_volume_difference(matrix)
    array([ 0.25      , -0.16666667])
    """
    check_choice("relative_to", relative_to, ("target", "mean"))

    def difference(outcomes: Outcomes) -> Score:
        size = outcomes.actual if relative_to == "target" else (outcomes.predicted + outcomes.actual) / 2
        return outcomes.ratio(outcomes.false_positives - outcomes.false_negatives, size)

    return class_scores(difference, matrix, absent=absent, classes=classes)


_POWERS = {"square": 2, "simple": 1, "uniform": 0}


def _iou(outcomes: Outcomes) -> Score:
    return outcomes.ratio(outcomes.true_positives, outcomes.union)


def _dice(outcomes: Outcomes) -> Score:
    return outcomes.ratio(2 * outcomes.true_positives, outcomes.predicted + outcomes.actual)
