"""Compute metrics that weigh errors by what they cost an application."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg._checks import check_array, check_flag, check_number
from arrayseg._typing import Array, Weights
from arrayseg.backends import Backend
from arrayseg.metrics._compute import AbsentScore, Score, divide, ratio
from arrayseg.metrics._confusion.outcomes import (
    Outcomes,
    class_scores,
    compute_from_matrix,
    matrix_score,
    take_submatrix,
)

__all__ = ["expected_cost", "net_benefit"]


@matrix_score
def expected_cost(
    matrix: Array,
    *,
    costs: Weights | None = None,
    priors: Weights | None = None,
    normalize: bool = False,
    absent: AbsentScore = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Return the mean cost of a pixel, given the cost of predicting each class instead of each other class.

    .. math:: \sum_t \pi_t \sum_p c_{tp} \frac{M_{tp}}{\sum_j M_{tj}}

    Parameters
    ----------
    {matrix}
    costs : array or sequence, optional
        The costs c; rows are the target. By default 0 on the diagonal and 1 elsewhere, which gives the error rate.
        Shape `(C, C)`, or as many as there are `classes`.
    priors : array or sequence of float, optional
        The frequencies :math:`\pi` of the classes where the method will be used. By default those in the target. Shape
        `(C,)`, or as many as there are `classes`.
    normalize : bool, default False
        Whether to divide by the smallest cost of predicting one class everywhere. Above 1, the method is worse than
        such a prediction.
    absent : {"skip", "nan"} or float, default "skip"
        The score of a matrix without pixels, or if `priors` include a class without target pixels: nan for ``"skip"``
        and ``"nan"``, or this number.
    {classes_pixels}

    Returns
    -------
    {score}

    References
    ----------
    Ferrer, "Analysis and comparison of classification metrics", arXiv:2209.05355 (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrix = np.asarray([[3, 1], [2, 4]])
    >>> metrics.expected_cost(matrix)
    array(0.3)
    >>> metrics.expected_cost(matrix, costs=np.asarray([[0.0, 1.0], [10.0, 0.0]]))
    array(2.1)
    """
    normalize = check_flag("normalize", normalize)

    def mean_cost(backend: Backend, counts: Array) -> Score:
        xp = backend.xp
        counts = take_submatrix(backend, counts, classes)
        counts = xp.astype(counts, backend.sum_dtype(counts), copy=False)
        length, dtype = counts.shape[-1], counts.dtype
        rows = xp.sum(counts, axis=-1)
        total = xp.sum(rows, axis=-1)
        if costs is None:
            cost = 1 - xp.eye(length, dtype=dtype, device=backend.device(counts))
        else:
            cost = check_array("costs", costs, (length, length), counts)
        if priors is None:
            share = ratio(xp, rows, total[..., None], 0.0)
        else:
            prior = check_array("priors", priors, (length,), counts)
            share = prior / xp.sum(prior) + xp.zeros_like(rows)
        rates = ratio(xp, counts, rows[..., None], 0.0)
        score = xp.sum(share * xp.sum(cost * rates, axis=-1), axis=-1)
        # A class of weight 0 costs nothing, even if it has no pixels and so no rate.
        undefined = (total == 0) | xp.any((rows == 0) & (share != 0), axis=-1)
        if normalize:
            score, no_cost = divide(xp, score, xp.min(xp.sum(share[..., None] * cost, axis=-2), axis=-1))
            undefined = undefined | no_cost
        return Score(score, undefined)

    return compute_from_matrix(matrix, mean_cost, absent)


@matrix_score
def net_benefit(
    matrix: Array, *, threshold: float, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return the net benefit of each class: true positives minus false positives at their exchange rate.

    .. math:: \frac{TP}{n} - \frac{FP}{n} \frac{\theta}{1 - \theta}

    with n the number of all pixels.

    Parameters
    ----------
    {matrix}
    threshold : float
        The probability :math:`\theta` in [0, 1) above which a positive is worth acting on. With 0.5, a false positive
        costs as much as a true positive gains.
    {absent_scores}
    {classes_scores}

    Returns
    -------
    {scores}

    References
    ----------
    Vickers and Elkin, "Decision curve analysis: a novel method for evaluating prediction models", Medical Decision
    Making 26 (2006).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.net_benefit(np.asarray([[3, 1], [2, 4]]), threshold=0.2)
    array([0.25 , 0.375])
    """
    threshold = check_number("threshold", threshold, 0, 1, below=True)
    exchange_rate = threshold / (1 - threshold)

    def benefit(outcomes: Outcomes) -> Score:
        return outcomes.ratio(outcomes.true_positives - exchange_rate * outcomes.false_positives, outcomes.total)

    return class_scores(benefit, matrix, absent=absent, classes=classes)
