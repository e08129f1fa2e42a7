"""Overlap of prediction and target, class by class: intersection over union, Dice and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from arrayseg._checks import check_choice, check_indices, check_number, check_sequence
from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import (
    COUNTING,
    Absent,
    Outcomes,
    check_absent,
    count_outcomes,
    evaluate,
    mean_over_classes,
    outcomes,
    per_class,
    ratio,
    settle,
    take_classes,
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


@computed_from(COUNTING)
def iou(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Intersection over union of each class (Jaccard index).

    .. math:: \frac{TP}{TP + FP + FN}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    absent
        The score of a class that occurs in neither prediction nor target, or whose ratio is 0 / 0: nan for ``"skip"``
        and ``"nan"`` (a vector of scores keeps its length; only means tell the two apart), or a number.
    classes
        The classes to return, in this order; None: all.

    Returns
    -------
    Array
        Floating array `(..., C)`, float64 where there is one; one entry for each of the `classes`.

    Notes
    -----
    Of one matrix pooled over a data set, as in mmsegmentation and Cityscapes; of the matrices `(N, C, C)` of
    ``confusion_matrix(..., per_image=True)``, per image, as in MONAI.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.iou(matrix)
    array([0.5       , 0.57142857])
    """
    return per_class(_iou, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def mean_iou(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Mean over the classes of the intersection over union (mIoU).

    .. math:: \frac{1}{|K|} \sum_{c \in K} \frac{TP_c}{TP_c + FP_c + FN_c}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    absent
        What a class counts that has neither prediction nor target, or whose ratio is 0 / 0: ``"skip"`` leaves it out of
        the mean, ``"nan"`` makes the mean nan, a number stands in its place.
    classes
        The classes that enter the mean; None: all. Pixels of the others still count as false positives and negatives.

    Returns
    -------
    Array
        Floating array `(...)`, float64 where there is one; nan if no class is left.

    Notes
    -----
    Libraries differ in the absent classes. The default skips them, as do mmsegmentation (without ``nan_to_num``),
    torchmetrics' ``JaccardIndex`` and scikit-learn (without ``labels``). ``absent=0`` is the ADE20K tool and
    scikit-learn with ``labels``; ``absent=1`` is PaddleSeg and segmentation-models-pytorch. Detectron2 also leaves out
    a class that is predicted but not in the target: pass the others as `classes`. For averages over images see
    `fine_grained_mean`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.mean_iou(matrix)
    array(0.53571429)
    """
    return mean_over_classes(_iou, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def frequency_weighted_iou(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Mean of the intersection over union, each class weighing as many pixels as it has in the target.

    .. math:: \frac{\sum_{c \in K} (TP_c + FN_c) \, IoU_c}{\sum_{c \in K} (TP_c + FN_c)}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    absent
        The score of a matrix without target pixels of the classes: nan for ``"skip"`` and ``"nan"``, or a number. A
        class without target pixels weighs nothing.
    classes
        The classes that enter the mean; None: all. Pixels of the others still count as false positives and negatives.

    Returns
    -------
    Array
        Floating array `(...)`, float64 where there is one.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.frequency_weighted_iou(np.asarray([[3, 1], [2, 4]]))
    array(0.54285714)
    """
    check_absent(absent)

    def weighted_mean(backend: Backend, counts: Array) -> Array:
        xp, table = backend.xp, outcomes(backend, counts)
        weights = take_classes(backend, table.actual, classes)
        scores = take_classes(backend, _iou(table), classes)  # 0 where it is 0 / 0
        return ratio(xp, xp.sum(weights * scores, axis=-1), xp.sum(weights, axis=-1), absent)

    return evaluate(matrix, weighted_mean)


@computed_from(COUNTING)
def category_iou(
    matrix: Array, categories: Sequence[Sequence[int]], *, absent: Absent = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Intersection over union of categories, each a union of classes.

    .. math:: \frac{\sum_{t, p \in G} M_{tp}}
        {\sum_{t \in G, p} M_{tp} + \sum_{t, p \in G} (M_{pt} - M_{tp}) + \sum_{t \notin G, p \in G} M_{tp}}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    categories
        The class ids of each category; a class may be in several (a hierarchy) or in none.
    absent
        The score of a category in neither prediction nor target: nan for ``"skip"`` and ``"nan"``, or a number.
    classes
        The categories to return, by position; None: all.

    Returns
    -------
    Array
        Floating array `(..., G)` for G categories, float64 where there is one.

    Notes
    -----
    Confusions of classes within a category are right. It is the category IoU of cityscapesScripts.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[5, 2, 0], [1, 4, 1], [0, 0, 3]])
    >>> metrics.category_iou(matrix, [[0, 1], [2]])
    array([0.92307692, 0.75      ])
    """
    check_absent(absent)
    listed = check_sequence("categories", categories, "sequences of class ids")
    if not listed:
        msg = "`categories` must hold at least one sequence of class ids; got none."
        raise ValueError(msg)

    def merged(backend: Backend, counts: Array) -> Array:
        xp = backend.xp
        groups = [check_indices("categories", members, counts.shape[-1]) for members in listed]
        rows = [take_classes(backend, counts, members, axis=-2) for members in groups]
        columns = [take_classes(backend, counts, members) for members in groups]
        hits = [take_classes(backend, part, members) for part, members in zip(rows, groups, strict=True)]
        hit, predicted, actual = (
            xp.stack([xp.sum(part, axis=(-2, -1)) for part in parts], axis=-1) for parts in (hits, columns, rows)
        )
        table = count_outcomes(backend, hit, predicted, actual, xp.sum(counts, axis=(-2, -1)))
        return take_classes(backend, settle(xp, _iou(table), absent, where=table.union == 0), classes)

    return evaluate(matrix, merged)


@computed_from(COUNTING)
def dice(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Dice coefficient of each class (F1 score).

    .. math:: \frac{2 TP}{2 TP + FP + FN}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    absent
        The score of a class that occurs in neither prediction nor target, or whose ratio is 0 / 0: nan for ``"skip"``
        and ``"nan"`` (a vector of scores keeps its length; only means tell the two apart), or a number.
    classes
        The classes to return, in this order; None: all.

    Returns
    -------
    Array
        Floating array `(..., C)`, float64 where there is one; one entry for each of the `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.dice(matrix)
    array([0.66666667, 0.72727273])
    """
    return per_class(_dice, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def mean_dice(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Mean over the classes of the Dice coefficient.

    .. math:: \frac{1}{|K|} \sum_{c \in K} \frac{2 TP_c}{2 TP_c + FP_c + FN_c}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    absent
        What a class counts that has neither prediction nor target, or whose ratio is 0 / 0: ``"skip"`` leaves it out of
        the mean, ``"nan"`` makes the mean nan, a number stands in its place.
    classes
        The classes that enter the mean; None: all. Pixels of the others still count as false positives and negatives.

    Returns
    -------
    Array
        Floating array `(...)`, float64 where there is one; nan if no class is left.

    Notes
    -----
    ``absent=1`` with the matrix of one volume is MetricsReloaded, medpy and BraTS; ``absent=0`` is PaddleSeg.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.mean_dice(matrix)
    array(0.6969697)
    """
    return mean_over_classes(_dice, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def f_beta(matrix: Array, *, beta: float = 1.0, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""F-beta score of each class: recall weighs beta times as much as precision.

    .. math:: \frac{(1 + \beta^2) TP}{(1 + \beta^2) TP + \beta^2 FN + FP}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    beta
        The weight of recall; 1, the default, gives the Dice coefficient.
    absent
        The score of a class that occurs in neither prediction nor target, or whose ratio is 0 / 0: nan for ``"skip"``
        and ``"nan"`` (a vector of scores keeps its length; only means tell the two apart), or a number.
    classes
        The classes to return, in this order; None: all.

    Returns
    -------
    Array
        Floating array `(..., C)`, float64 where there is one; one entry for each of the `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.f_beta(matrix, beta=2)
    array([0.71428571, 0.68965517])
    """
    weight = check_number("beta", beta, 0, 1e100) ** 2  # whose square is still finite
    return per_class(
        lambda table: table.ratio(
            (1 + weight) * table.true_positives,
            (1 + weight) * table.true_positives + weight * table.false_negatives + table.false_positives,
        ),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def tversky_index(
    matrix: Array,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    absent: Absent = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Tversky index of each class: false positives and false negatives weigh as given.

    .. math:: \frac{TP}{TP + \alpha FP + \beta FN}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    alpha
        The weight of false positives.
    beta
        The weight of false negatives; both 0.5, the default, give the Dice coefficient, both 1 the IoU.
    absent
        The score of a class that occurs in neither prediction nor target, or whose ratio is 0 / 0: nan for ``"skip"``
        and ``"nan"`` (a vector of scores keeps its length; only means tell the two apart), or a number.
    classes
        The classes to return, in this order; None: all.

    Returns
    -------
    Array
        Floating array `(..., C)`, float64 where there is one; one entry for each of the `classes`.

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
    return per_class(
        lambda table: table.ratio(
            table.true_positives,
            table.true_positives + alpha * table.false_positives + beta * table.false_negatives,
        ),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def generalized_dice(
    matrix: Array,
    *,
    weight: Literal["square", "simple", "uniform"] = "square",
    absent: Absent = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Dice coefficient of all classes together, rare classes weighing more.

    .. math:: \frac{2 \sum_c w_c TP_c}{\sum_c w_c (2 TP_c + FP_c + FN_c)}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    weight
        The weight of a class with G target pixels: ``"square"`` 1/G^2, ``"simple"`` 1/G, ``"uniform"`` 1. A class
        without target pixels has the largest weight of the others, so that a false positive costs, as in MONAI.
    absent
        What a matrix counts in which the classes have neither prediction nor target: nan for ``"skip"`` and ``"nan"``,
        or a number.
    classes
        The classes that enter the sums; None: all.

    Returns
    -------
    Array
        Floating array `(...)`, float64 where there is one.

    Notes
    -----
    MONAI and torchmetrics compute it of each image: give the matrices of ``confusion_matrix(..., per_image=True)``.
    Torchmetrics takes the largest weight over the batch instead of the classes, so that its score of an image depends
    on its batch.

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
    check_absent(absent)
    power = _POWERS[check_choice("weight", weight, tuple(_POWERS))]

    def weighted(backend: Backend, counts: Array) -> Array:
        xp, table = backend.xp, outcomes(backend, counts)
        hits, predicted, actual = (
            take_classes(backend, part, classes) for part in (table.true_positives, table.predicted, table.actual)
        )
        missing = actual == 0
        weights = xp.where(missing, xp.zeros_like(actual), xp.where(missing, xp.ones_like(actual), actual) ** -power)
        weights = xp.where(missing, xp.max(weights, axis=-1, keepdims=True), weights)
        # No class has target pixels: any equal weights give 0, or 0 / 0 without predictions.
        weights = xp.where(xp.all(missing, axis=-1, keepdims=True), xp.ones_like(weights), weights)
        overlap, sizes = xp.sum(weights * hits, axis=-1), xp.sum(weights * (predicted + actual), axis=-1)
        return ratio(xp, 2 * overlap, sizes, absent)

    return evaluate(matrix, weighted)


@computed_from(COUNTING)
def volumetric_similarity(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Likeness of the sizes of prediction and target of each class, wherever they lie.

    .. math:: 1 - \frac{|FN - FP|}{2 TP + FP + FN}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    absent
        The score of a class that occurs in neither prediction nor target, or whose ratio is 0 / 0: nan for ``"skip"``
        and ``"nan"`` (a vector of scores keeps its length; only means tell the two apart), or a number.
    classes
        The classes to return, in this order; None: all.

    Returns
    -------
    Array
        Floating array `(..., C)`, float64 where there is one; one entry for each of the `classes`.

    Notes
    -----
    What seg-metrics calls by this name is `relative_volume_difference` with ``relative_to="mean"``.

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
    return per_class(
        lambda table: (
            1 - table.ratio(table.xp.abs(table.false_negatives - table.false_positives), table.predicted + table.actual)
        ),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def relative_volume_difference(
    matrix: Array,
    *,
    relative_to: Literal["target", "mean"] = "target",
    absent: Absent = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""How much larger the prediction of each class is than the target.

    .. math:: \frac{P - T}{T}, \quad P = TP + FP, \quad T = TP + FN

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    relative_to
        What the difference is divided by: ``"target"``, as in medpy and panoptica, or the ``"mean"`` of both sizes, as
        in seg-metrics.
    absent
        The score of a class that occurs in neither prediction nor target, or whose ratio is 0 / 0: nan for ``"skip"``
        and ``"nan"`` (a vector of scores keeps its length; only means tell the two apart), or a number.
    classes
        The classes to return, in this order; None: all.

    Returns
    -------
    Array
        Floating array `(..., C)`, float64 where there is one; one entry for each of the `classes`.

    Notes
    -----
    The sign is kept; the absolute relative difference is its `abs`. A class without target pixels that is predicted is
    infinitely larger, with ``relative_to="target"``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.relative_volume_difference(matrix)
    array([ 0.25      , -0.16666667])
    """
    check_choice("relative_to", relative_to, ("target", "mean"))

    def difference(table: Outcomes) -> Array:
        sizes = table.actual if relative_to == "target" else (table.predicted + table.actual) / 2
        return table.ratio(table.false_positives - table.false_negatives, sizes)

    return per_class(difference, matrix, absent=absent, classes=classes)


_POWERS = {"square": 2, "simple": 1, "uniform": 0}


def _iou(table: Outcomes) -> Array:
    return table.ratio(table.true_positives, table.union)


def _dice(table: Outcomes) -> Array:
    return table.ratio(2 * table.true_positives, table.predicted + table.actual)
