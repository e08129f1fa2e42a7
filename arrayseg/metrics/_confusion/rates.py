"""Rates of the outcomes of each class: what share of the pixels, found or claimed, is right."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import (
    COUNTING,
    Absent,
    Outcomes,
    check_absent,
    evaluate,
    mean_over_classes,
    outcomes,
    per_class,
    ratio,
    square_root,
    take_classes,
)

__all__ = [
    "balanced_accuracy",
    "class_accuracy",
    "false_discovery_rate",
    "false_negative_rate",
    "false_omission_rate",
    "false_positive_rate",
    "fowlkes_mallows",
    "informedness",
    "markedness",
    "mean_pixel_accuracy",
    "negative_likelihood_ratio",
    "negative_predictive_value",
    "pixel_accuracy",
    "positive_likelihood_ratio",
    "precision",
    "prevalence_threshold",
    "recall",
    "specificity",
]


@computed_from(COUNTING)
def precision(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels predicted as a class that are of it (positive predictive value).

    .. math:: \frac{TP}{TP + FP}

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
    A class that is never predicted has no precision; scikit-learn and torchmetrics show 0 there (``absent=0``).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.precision(matrix)
    array([0.6, 0.8])
    """
    return per_class(
        lambda table: table.ratio(table.true_positives, table.predicted),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def recall(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels of a class that are predicted as it (sensitivity, true positive rate).

    .. math:: \frac{TP}{TP + FN}

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
    `class_accuracy` is the same number under the name that segmentation benchmarks use.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.recall(matrix)
    array([0.75      , 0.66666667])
    """
    return per_class(_recall, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def class_accuracy(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels of a class that are predicted as it.

    .. math:: \frac{TP}{TP + FN}

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
    The per-class accuracy of segmentation benchmarks, in which the many true negatives have no part: it is `recall`.
    MONAI's ``"accuracy"`` is (TP + TN) / all instead.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.class_accuracy(matrix)
    array([0.75      , 0.66666667])
    """
    return per_class(_recall, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def mean_pixel_accuracy(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Mean over the classes of the share of their pixels that are predicted as them.

    .. math:: \frac{1}{|K|} \sum_{c \in K} \frac{TP_c}{TP_c + FN_c}

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
    The mAcc of mmsegmentation and, with every class in the target, scikit-learn's ``balanced_accuracy_score``. A class
    without target pixels has no accuracy and is skipped even if it is predicted; torchmetrics' macro recall counts it
    as 0, as ``absent=0`` does, but skips the classes that are not predicted either.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.mean_pixel_accuracy(matrix)
    array(0.70833333)
    """
    return mean_over_classes(_recall, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def pixel_accuracy(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of all pixels that are predicted right (overall accuracy).

    .. math:: \frac{\sum_{c \in K} M_{cc}}{\sum_{c \in K} \sum_p M_{cp}}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    absent
        What a matrix without pixels counts: ``"skip"`` and ``"nan"`` give nan, a number stands in its place.
    classes
        The classes K whose target pixels are looked at; None: all.

    Returns
    -------
    Array
        Floating array `(...)`, float64 where there is one.

    Notes
    -----
    PaddleSeg divides by the predicted pixels; without void pixels in the prediction that is the same.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.pixel_accuracy(np.asarray([[3, 1], [2, 4]]))
    array(0.7)
    """
    check_absent(absent)

    def accuracy(backend: Backend, counts: Array) -> Array:
        xp, table = backend.xp, outcomes(backend, counts)
        hits, actual = (take_classes(backend, part, classes) for part in (table.true_positives, table.actual))
        return ratio(xp, xp.sum(hits, axis=-1), xp.sum(actual, axis=-1), absent)

    return evaluate(matrix, accuracy)


@computed_from(COUNTING)
def specificity(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels not of a class that are not predicted as it (true negative rate).

    .. math:: \frac{TN}{TN + FP}

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
    >>> metrics.specificity(matrix)
    array([0.66666667, 0.75      ])
    """
    return per_class(
        lambda table: table.ratio(table.true_negatives, table.negatives),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def negative_predictive_value(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels not predicted as a class that are not of it.

    .. math:: \frac{TN}{TN + FN}

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
    >>> metrics.negative_predictive_value(matrix)
    array([0.8, 0.6])
    """
    return per_class(
        lambda table: table.ratio(table.true_negatives, table.rejected),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def false_negative_rate(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels of a class that are not predicted as it (miss rate).

    .. math:: \frac{FN}{TP + FN}

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
    >>> metrics.false_negative_rate(matrix)
    array([0.25      , 0.33333333])
    """
    return per_class(
        lambda table: table.ratio(table.false_negatives, table.actual),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def false_positive_rate(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels not of a class that are predicted as it (fall-out).

    .. math:: \frac{FP}{TN + FP}

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
    >>> metrics.false_positive_rate(matrix)
    array([0.33333333, 0.25      ])
    """
    return per_class(
        lambda table: table.ratio(table.false_positives, table.negatives),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def false_discovery_rate(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels predicted as a class that are not of it.

    .. math:: \frac{FP}{TP + FP}

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
    >>> metrics.false_discovery_rate(matrix)
    array([0.4, 0.2])
    """
    return per_class(
        lambda table: table.ratio(table.false_positives, table.predicted),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def false_omission_rate(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Share of the pixels not predicted as a class that are of it.

    .. math:: \frac{FN}{TN + FN}

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
    >>> metrics.false_omission_rate(matrix)
    array([0.2, 0.4])
    """
    return per_class(
        lambda table: table.ratio(table.false_negatives, table.rejected),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def balanced_accuracy(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Mean of sensitivity and specificity of each class against the rest.

    .. math:: \frac{1}{2} \left( \frac{TP}{TP + FN} + \frac{TN}{TN + FP} \right)

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
    The multi-class balanced accuracy of scikit-learn is the mean of the recalls: `mean_pixel_accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.balanced_accuracy(matrix)
    array([0.70833333, 0.70833333])
    """
    return per_class(lambda table: (table.sensitivity + table.specificity) / 2, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def informedness(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Sensitivity and specificity of each class, less 1 (Youden index).

    .. math:: \frac{TP}{TP + FN} + \frac{TN}{TN + FP} - 1

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
    >>> metrics.informedness(matrix)
    array([0.41666667, 0.41666667])
    """
    return per_class(lambda table: table.sensitivity + table.specificity - 1, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def markedness(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Positive and negative predictive value of each class, less 1.

    .. math:: \frac{TP}{TP + FP} + \frac{TN}{TN + FN} - 1

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
    >>> metrics.markedness(matrix)
    array([0.4, 0.4])
    """
    return per_class(
        lambda table: (
            table.ratio(table.true_positives, table.predicted) + table.ratio(table.true_negatives, table.rejected) - 1
        ),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def positive_likelihood_ratio(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""How much likelier a pixel of a class is to be predicted as it than one of another class.

    .. math:: \frac{TP / (TP + FN)}{FP / (TN + FP)}

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
    Without false positives it is infinite; scikit-learn shows nan there.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.positive_likelihood_ratio(matrix)
    array([2.25      , 2.66666667])
    """
    # One quotient instead of one of two rates, here and below: 0 / 0 arises once, and its derivative is guarded once.
    return per_class(
        lambda table: table.ratio(table.true_positives * table.negatives, table.false_positives * table.actual),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def negative_likelihood_ratio(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""How much likelier a pixel of a class is not to be predicted as it than one of another class.

    .. math:: \frac{FN / (TP + FN)}{TN / (TN + FP)}

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
    >>> metrics.negative_likelihood_ratio(matrix)
    array([0.375     , 0.44444444])
    """
    return per_class(
        lambda table: table.ratio(table.false_negatives * table.negatives, table.true_negatives * table.actual),
        matrix,
        absent=absent,
        classes=classes,
    )


@computed_from(COUNTING)
def prevalence_threshold(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""The prevalence below which a positive prediction loses its value fast.

    .. math:: \frac{\sqrt{FPR}}{\sqrt{TPR} + \sqrt{FPR}}

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
    Where both rates are equal it is 1/2. The form with their difference below, as in MONAI, is 0 / 0 there.

    References
    ----------
    Balayla, "Prevalence threshold and the geometry of screening curves", PLOS ONE 15 (2020).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.prevalence_threshold(matrix)
    array([0.4      , 0.3797959])
    """

    def threshold(table: Outcomes) -> Array:
        true = square_root(table.xp, table.true_positives * table.negatives)
        false = square_root(table.xp, table.false_positives * table.actual)
        return table.ratio(false, true + false)

    return per_class(threshold, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def fowlkes_mallows(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Geometric mean of precision and recall of each class.

    .. math:: \frac{TP}{\sqrt{(TP + FP)(TP + FN)}}

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

    References
    ----------
    Fowlkes and Mallows, "A method for comparing two hierarchical clusterings", JASA 78 (1983).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.fowlkes_mallows(matrix)
    array([0.67082039, 0.73029674])
    """

    def geometric_mean(table: Outcomes) -> Array:
        return table.ratio(table.true_positives, square_root(table.xp, table.predicted * table.actual))

    return per_class(geometric_mean, matrix, absent=absent, classes=classes)


def _recall(table: Outcomes) -> Array:
    return table.sensitivity
