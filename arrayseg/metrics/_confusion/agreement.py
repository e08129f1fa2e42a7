"""Agreement of prediction and target beyond chance, of the whole matrix at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from arrayseg._checks import check_choice
from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import (
    COUNTING,
    Absent,
    check_absent,
    evaluate,
    outcomes,
    overall,
    quotient,
    settle,
    square_root,
    take_classes,
)

__all__ = ["cohen_kappa", "matthews_corrcoef"]


@computed_from(COUNTING)
def cohen_kappa(
    matrix: Array,
    *,
    weights: Literal["linear", "quadratic"] | None = None,
    absent: Absent = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Cohen's kappa: the agreement beyond what the class frequencies alone would give.

    .. math:: 1 - \frac{\sum_{tp} w_{tp} M_{tp}}{\sum_{tp} w_{tp} E_{tp}}, \quad
        E_{tp} = \frac{\sum_j M_{tj} \sum_i M_{ip}}{\sum_{ij} M_{ij}}

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    weights
        What a confusion of classes t and p costs: 1 for each (None, the default), ``"linear"`` \|t - p\|, or
        ``"quadratic"`` (t - p)^2, for ordered classes.
    absent
        The score where only one class occurs (0 / 0): nan for ``"skip"`` and ``"nan"``, or a number.
    classes
        The classes of which the pixels are looked at: those whose target and prediction are among them; None: all.

    Returns
    -------
    Array
        Floating array `(...)`, float64 where there is one.

    References
    ----------
    Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.cohen_kappa(np.asarray([[3, 1], [2, 4]]))
    array(0.4)
    """
    power = _POWERS[check_choice("weights", weights, tuple(_POWERS))]

    def kappa(backend: Backend, counts: Array) -> Array:
        xp = backend.xp
        rank = xp.arange(counts.shape[-1], dtype=counts.dtype, device=backend.device(counts))
        gap = xp.abs(rank[:, None] - rank[None, :])
        cost = xp.where(gap == 0, xp.zeros_like(gap), gap**power)
        total = xp.sum(counts, axis=(-2, -1), keepdims=True)
        observed, _ = quotient(xp, counts, total)
        actual, predicted = xp.sum(observed, axis=-1), xp.sum(observed, axis=-2)
        expected = actual[..., :, None] * predicted[..., None, :]
        of_observed, of_expected = (xp.sum(cost * shares, axis=(-2, -1)) for shares in (observed, expected))
        share, undefined = quotient(xp, of_observed, of_expected)
        return settle(xp, 1 - share, absent, where=undefined)

    return overall(kappa, matrix, absent=absent, classes=classes)


@computed_from(COUNTING)
def matthews_corrcoef(matrix: Array, *, absent: Absent = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Matthews correlation coefficient, for any number of classes (Gorodkin's R_K).

    .. math:: \frac{c - \sum_k p_k t_k}{\sqrt{\left(1 - \sum_k p_k^2\right) \left(1 - \sum_k t_k^2\right)}}

    with c the share of right pixels, p and t the shares of the classes in prediction and target.

    Parameters
    ----------
    matrix
        Confusion matrix `(..., C, C)` of pixel counts, rows the target, columns the prediction.
    absent
        The score where prediction or target has only one class (0 / 0): nan for ``"skip"`` and ``"nan"``, or a number.
    classes
        The classes of which the pixels are looked at: those whose target and prediction are among them; None: all.

    Returns
    -------
    Array
        Floating array `(...)`, float64 where there is one.

    Notes
    -----
    Scikit-learn and torchmetrics give 0 for 0 / 0: ``absent=0``.

    References
    ----------
    Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", Computational Biology and
    Chemistry 28 (2004).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.matthews_corrcoef(np.asarray([[3, 1], [2, 4]]))
    array(0.40824829)
    """
    check_absent(absent)

    def correlation(backend: Backend, counts: Array) -> Array:
        xp = backend.xp
        table = outcomes(backend, take_classes(backend, take_classes(backend, counts, classes, axis=-2), classes))
        total = table.total
        hits, false, missed, rest, predicted, actual, rejected, negatives = (
            quotient(xp, part, total)[0]
            for part in (
                table.true_positives, table.false_positives, table.false_negatives, table.true_negatives,
                table.predicted, table.actual, table.rejected, table.negatives,
            )
        )  # fmt: skip
        # Of each class, c - p t is TP TN - FP FN, and 1 - p the other pixels: differences of shares, which are close to
        # each other where most pixels are of one class, would lose the digits.
        covariance = xp.sum(hits * rest - false * missed, axis=-1)
        spread, target_spread = xp.sum(predicted * rejected, axis=-1), xp.sum(actual * negatives, axis=-1)
        root = square_root(xp, spread) * square_root(xp, target_spread)
        score, undefined = quotient(xp, covariance, root)
        return settle(xp, score, absent, where=undefined)

    return evaluate(matrix, correlation)


_POWERS = {None: 0, "linear": 1, "quadratic": 2}
