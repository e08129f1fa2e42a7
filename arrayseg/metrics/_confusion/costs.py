"""What errors cost: metrics that weigh the kinds of error as an application does."""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg._checks import check_array, check_flag, check_number
from arrayseg._typing import Array, Weights
from arrayseg.backends import Backend
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import COUNTING, Absent, Outcomes, overall, per_class, ratio, settle

__all__ = ["expected_cost", "net_benefit"]


@computed_from(COUNTING)
def expected_cost(
    matrix: Array,
    *,
    costs: Weights | None = None,
    priors: Weights | None = None,
    normalize: bool = False,
    absent: Absent = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Mean cost of a pixel, given what it costs to predict each class in place of each other.

    .. math:: \sum_t \pi_t \sum_p c_{tp} \frac{M_{tp}}{\sum_j M_{tj}}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    costs
        Array `(C, C)`, rows the target; the default, 0 on the diagonal and 1 elsewhere, gives the error rate. Of the
        `classes`, where those are given.
    priors
        Array `(C,)`: how frequent the classes are where the method will be used; None: as in the target.
    normalize
        Whether to divide by the least cost of a prediction that is always the same class: above 1, the method is worse
        than not looking at the image.
    absent
        The score of a matrix without pixels, and of `priors` on classes without target pixels: nan for ``"skip"`` and
        ``"nan"``, or a number.
    classes
        The classes of which the pixels are looked at: those whose target and prediction are among them; None: all.

    Returns
    -------
    Array
        Floating array `(...)`, float64 where there is one.

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

    def mean_cost(backend: Backend, counts: Array) -> Array:
        xp, length, dtype = backend.xp, counts.shape[-1], counts.dtype
        rows = xp.sum(counts, axis=-1)
        total = xp.sum(rows, axis=-1)
        if costs is None:
            cost = 1 - xp.eye(length, dtype=dtype, device=backend.device(counts))
        else:
            cost = check_array("costs", costs, (length, length), counts)
        if priors is None:
            share = ratio(xp, rows, total[..., None], 0.0)
        else:
            given = check_array("priors", priors, (length,), counts)
            share = given / xp.sum(given) + xp.zeros_like(rows)
        rates = ratio(xp, counts, rows[..., None], 0.0)
        score = xp.sum(share * xp.sum(cost * rates, axis=-1), axis=-1)
        # A class of no weight costs nothing, even if it has no pixels to take a rate of.
        undefined = (total == 0) | xp.any((rows == 0) & (share != 0), axis=-1)
        if normalize:
            score = ratio(xp, score, xp.min(xp.sum(share[..., None] * cost, axis=-2), axis=-1), absent)
        return settle(xp, score, absent, where=undefined)

    return overall(mean_cost, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def net_benefit(
    matrix: Array, *, threshold: float, absent: Absent = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Net benefit of each class against the rest: true positives, less the false ones at their exchange rate.

    .. math:: \frac{TP}{n} - \frac{FP}{n} \frac{\theta}{1 - \theta}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    threshold
        The probability :math:`\theta` in [0, 1) from which acting on a positive is worth it: 0.5 says that a false
        positive costs as much as a true one gains.
    absent
        The score of a class that occurs in neither prediction nor target: nan for ``"skip"`` and ``"nan"`` (a vector of
        scores keeps its length), or a number.
    classes
        The classes to return, in this order; None: all.

    Returns
    -------
    Array
        Floating array `(..., C)`, float64 where there is one; one entry for each of the `classes`.

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

    def benefit(table: Outcomes) -> Array:
        return table.ratio(table.true_positives - exchange_rate * table.false_positives, table.total)

    return per_class(benefit, matrix, absent=absent, classes=classes)
