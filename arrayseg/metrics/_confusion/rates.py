"""Compute rates of the outcomes of each class, such as precision and recall."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.metrics._compute import AbsentScore, Score, divide, square_root, take_classes
from arrayseg.metrics._confusion.outcomes import (
    Outcomes,
    class_scores,
    compute_from_matrix,
    count_outcomes,
    matrix_score,
    mean_over_classes,
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


@matrix_score
def precision(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the fraction of the pixels predicted as a class that belong to it (positive predictive value).

    .. math:: \frac{TP}{TP + FP}

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
    A class that is never predicted has no precision. Scikit-learn and torchmetrics report 0 there (``absent=0``).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.precision(matrix)
    array([0.6, 0.8])
    """
    return class_scores(_precision, matrix, absent=absent, classes=classes)


@matrix_score
def recall(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the fraction of the pixels of a class that are predicted as it (sensitivity, true positive rate).

    .. math:: \frac{TP}{TP + FN}

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
    `class_accuracy` is the same number under the name that segmentation benchmarks use.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.recall(matrix)
    array([0.75      , 0.66666667])
    """
    return class_scores(_recall, matrix, absent=absent, classes=classes)


@matrix_score
def class_accuracy(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the accuracy of each class: the fraction of its pixels that are predicted as it.

    .. math:: \frac{TP}{TP + FN}

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
    This is the per-class accuracy of segmentation benchmarks, which ignores the many true negatives. It equals
    `recall`. MONAI's ``"accuracy"`` is (TP + TN) / all instead.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.class_accuracy(matrix)
    array([0.75      , 0.66666667])
    """
    return class_scores(_recall, matrix, absent=absent, classes=classes)


@matrix_score
def mean_pixel_accuracy(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the mean over the classes of `class_accuracy`.

    .. math:: \frac{1}{|K|} \sum_{c \in K} \frac{TP_c}{TP_c + FN_c}

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
    This is the mAcc of mmsegmentation and, if every class is in the target, scikit-learn's ``balanced_accuracy_score``.
    A class without target pixels has no accuracy and is skipped even if it is predicted. Torchmetrics' macro recall
    counts such a class as 0, as ``absent=0`` does, but skips the classes that are not predicted either.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.mean_pixel_accuracy(matrix)
    array(0.70833333)
    """
    return mean_over_classes(_recall, matrix, absent=absent, classes=classes)


@matrix_score
def pixel_accuracy(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the fraction of all pixels that are predicted correctly (overall accuracy).

    .. math:: \frac{\sum_{c \in K} M_{cc}}{\sum_{c \in K} \sum_p M_{cp}}

    Parameters
    ----------
    {matrix}
    absent : {"skip", "nan"} or float, default "skip"
        The score of a matrix without pixels: nan for ``"skip"`` and ``"nan"``, or this number.
    classes : sequence of int, optional
        The classes K whose target pixels count. By default all.

    Returns
    -------
    {score}

    Notes
    -----
    PaddleSeg divides by the predicted pixels; that is the same if the prediction has no void pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.pixel_accuracy(np.asarray([[3, 1], [2, 4]]))
    array(0.7)
    """

    def accuracy(backend: Backend, counts: Array) -> Score:
        xp, outcomes = backend.xp, count_outcomes(backend, counts)
        hits, actual = (take_classes(backend, part, classes) for part in (outcomes.true_positives, outcomes.actual))
        return divide(xp, xp.sum(hits, axis=-1), xp.sum(actual, axis=-1))

    return compute_from_matrix(matrix, accuracy, absent)


@matrix_score
def specificity(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the fraction of the pixels of other classes that are not predicted as the class (true negative rate).

    .. math:: \frac{TN}{TN + FP}

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
    >>> metrics.specificity(matrix)
    array([0.66666667, 0.75      ])
    """
    return class_scores(_specificity, matrix, absent=absent, classes=classes)


@matrix_score
def negative_predictive_value(
    matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return the fraction of the pixels not predicted as a class that do not belong to it.

    .. math:: \frac{TN}{TN + FN}

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
    >>> metrics.negative_predictive_value(matrix)
    array([0.8, 0.6])
    """
    return class_scores(_negative_predictive_value, matrix, absent=absent, classes=classes)


@matrix_score
def false_negative_rate(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the fraction of the pixels of a class that are not predicted as it (miss rate).

    .. math:: \frac{FN}{TP + FN}

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
    >>> metrics.false_negative_rate(matrix)
    array([0.25      , 0.33333333])
    """
    return class_scores(
        lambda outcomes: outcomes.ratio(outcomes.false_negatives, outcomes.actual),
        matrix,
        absent=absent,
        classes=classes,
    )


@matrix_score
def false_positive_rate(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the fraction of the pixels of other classes that are predicted as the class (fall-out).

    .. math:: \frac{FP}{TN + FP}

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
    >>> metrics.false_positive_rate(matrix)
    array([0.33333333, 0.25      ])
    """
    return class_scores(
        lambda outcomes: outcomes.ratio(outcomes.false_positives, outcomes.negatives),
        matrix,
        absent=absent,
        classes=classes,
    )


@matrix_score
def false_discovery_rate(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the fraction of the pixels predicted as a class that do not belong to it.

    .. math:: \frac{FP}{TP + FP}

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
    >>> metrics.false_discovery_rate(matrix)
    array([0.4, 0.2])
    """
    return class_scores(
        lambda outcomes: outcomes.ratio(outcomes.false_positives, outcomes.predicted),
        matrix,
        absent=absent,
        classes=classes,
    )


@matrix_score
def false_omission_rate(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the fraction of the pixels not predicted as a class that belong to it.

    .. math:: \frac{FN}{TN + FN}

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
    >>> metrics.false_omission_rate(matrix)
    array([0.2, 0.4])
    """
    return class_scores(
        lambda outcomes: outcomes.ratio(outcomes.false_negatives, outcomes.rejected),
        matrix,
        absent=absent,
        classes=classes,
    )


@matrix_score
def balanced_accuracy(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the mean of sensitivity and specificity of each class against the rest.

    .. math:: \frac{1}{2} \left( \frac{TP}{TP + FN} + \frac{TN}{TN + FP} \right)

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
    The multi-class balanced accuracy of scikit-learn is the mean of the recalls: `mean_pixel_accuracy`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.balanced_accuracy(matrix)
    array([0.70833333, 0.70833333])
    """
    return class_scores(_balanced, matrix, absent=absent, classes=classes)


@matrix_score
def informedness(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the sum of sensitivity and specificity of each class, minus 1 (Youden index).

    .. math:: \frac{TP}{TP + FN} + \frac{TN}{TN + FP} - 1

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
    >>> metrics.informedness(matrix)
    array([0.41666667, 0.41666667])
    """
    return class_scores(
        lambda outcomes: _sum_less_one(_recall(outcomes), _specificity(outcomes)),
        matrix,
        absent=absent,
        classes=classes,
    )


@matrix_score
def markedness(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the sum of the positive and negative predictive values of each class, minus 1.

    .. math:: \frac{TP}{TP + FP} + \frac{TN}{TN + FN} - 1

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
    >>> metrics.markedness(matrix)
    array([0.4, 0.4])
    """
    return class_scores(
        lambda outcomes: _sum_less_one(_precision(outcomes), _negative_predictive_value(outcomes)),
        matrix,
        absent=absent,
        classes=classes,
    )


@matrix_score
def positive_likelihood_ratio(
    matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return how much more often a class is predicted for its own pixels than for other pixels.

    .. math:: \frac{TP / (TP + FN)}{FP / (TN + FP)}

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
    Without false positives it is infinite; scikit-learn reports nan there.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.positive_likelihood_ratio(matrix)
    array([2.25      , 2.66666667])
    """
    return class_scores(_positive_likelihood, matrix, absent=absent, classes=classes)


@matrix_score
def negative_likelihood_ratio(
    matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return how much more often a class is not predicted for its own pixels than for other pixels.

    .. math:: \frac{FN / (TP + FN)}{TN / (TN + FP)}

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
    >>> metrics.negative_likelihood_ratio(matrix)
    array([0.375     , 0.44444444])
    """
    return class_scores(_negative_likelihood, matrix, absent=absent, classes=classes)


@matrix_score
def prevalence_threshold(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the prevalence below which a positive prediction quickly loses its value.

    .. math:: \frac{\sqrt{FPR}}{\sqrt{TPR} + \sqrt{FPR}}

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
    Where both rates are equal it is 1/2. MONAI's form, which divides by the difference of the rates, is 0 / 0 there.

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
    return class_scores(_threshold, matrix, absent=absent, classes=classes)


@matrix_score
def fowlkes_mallows(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the geometric mean of precision and recall of each class.

    .. math:: \frac{TP}{\sqrt{(TP + FP)(TP + FN)}}

    Parameters
    ----------
    {matrix}
    {absent_scores}
    {classes_scores}

    Returns
    -------
    {scores}

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
    return class_scores(_geometric_mean, matrix, absent=absent, classes=classes)


def _precision(outcomes: Outcomes) -> Score:
    return outcomes.ratio(outcomes.true_positives, outcomes.predicted)


def _recall(outcomes: Outcomes) -> Score:
    return outcomes.ratio(outcomes.true_positives, outcomes.actual)


def _specificity(outcomes: Outcomes) -> Score:
    return outcomes.ratio(outcomes.true_negatives, outcomes.negatives)


def _negative_predictive_value(outcomes: Outcomes) -> Score:
    return outcomes.ratio(outcomes.true_negatives, outcomes.rejected)


def _balanced(outcomes: Outcomes) -> Score:
    sensitivity, specificity = _recall(outcomes), _specificity(outcomes)
    mean = (sensitivity.values + specificity.values) / 2
    return Score(mean, sensitivity.undefined | specificity.undefined)


def _sum_less_one(first: Score, second: Score) -> Score:
    return Score(first.values + second.values - 1, first.undefined | second.undefined)


# The next three formulas are one quotient instead of a quotient of rates: only one division needs a guard.
def _positive_likelihood(outcomes: Outcomes) -> Score:
    return outcomes.ratio(outcomes.true_positives * outcomes.negatives, outcomes.false_positives * outcomes.actual)


def _negative_likelihood(outcomes: Outcomes) -> Score:
    return outcomes.ratio(outcomes.false_negatives * outcomes.negatives, outcomes.true_negatives * outcomes.actual)


def _threshold(outcomes: Outcomes) -> Score:
    true = square_root(outcomes.xp, outcomes.true_positives * outcomes.negatives)
    false = square_root(outcomes.xp, outcomes.false_positives * outcomes.actual)
    return outcomes.ratio(false, true + false)


def _geometric_mean(outcomes: Outcomes) -> Score:
    return outcomes.ratio(outcomes.true_positives, square_root(outcomes.xp, outcomes.predicted * outcomes.actual))
