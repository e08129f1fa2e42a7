"""Compute the agreement of prediction and target beyond chance, from the whole matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from arrayseg._checks import check_choice
from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.metrics._compute import AbsentScore, Score, divide, square_root
from arrayseg.metrics._confusion.outcomes import compute_from_matrix, count_outcomes, matrix_score, take_submatrix

__all__ = ["cohen_kappa", "matthews_corrcoef"]


@matrix_score
def cohen_kappa(
    matrix: Array,
    *,
    weights: Literal["linear", "quadratic"] | None = None,
    absent: AbsentScore = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Return Cohen's kappa: the agreement beyond what the class frequencies alone would give.

    .. math:: 1 - \frac{\sum_{tp} w_{tp} M_{tp}}{\sum_{tp} w_{tp} E_{tp}}, \quad
        E_{tp} = \frac{\sum_j M_{tj} \sum_i M_{ip}}{\sum_{ij} M_{ij}}

    Parameters
    ----------
    {matrix}
    weights : {"linear", "quadratic"} or None, default None
        The weight w of a confusion of classes t and p: 1 for None, and for ordered classes \|t - p\| (``"linear"``) or
        (t - p)^2 (``"quadratic"``).
    absent : {"skip", "nan"} or float, default "skip"
        The score if only one class occurs (0 / 0): nan for ``"skip"`` and ``"nan"``, or this number.
    {classes_pixels}

    Returns
    -------
    {score}

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

    def kappa(backend: Backend, counts: Array) -> Score:
        xp = backend.xp
        counts = take_submatrix(backend, counts, classes)
        counts = xp.astype(counts, backend.sum_dtype(counts), copy=False)
        rank = xp.arange(counts.shape[-1], dtype=counts.dtype, device=backend.device(counts))
        gap = xp.abs(rank[:, None] - rank[None, :])
        cost = xp.where(gap == 0, xp.zeros_like(gap), gap**power)
        total = xp.sum(counts, axis=(-2, -1), keepdims=True)
        observed, _ = divide(xp, counts, total)
        actual, predicted = xp.sum(observed, axis=-1), xp.sum(observed, axis=-2)
        expected = actual[..., :, None] * predicted[..., None, :]
        observed_cost, expected_cost = (xp.sum(cost * shares, axis=(-2, -1)) for shares in (observed, expected))
        share, undefined = divide(xp, observed_cost, expected_cost)
        return Score(1 - share, undefined)

    return compute_from_matrix(matrix, kappa, absent)


@matrix_score
def matthews_corrcoef(matrix: Array, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None) -> Array:
    r"""Return the Matthews correlation coefficient, for any number of classes (Gorodkin's R_K).

    .. math:: \frac{c - \sum_k p_k t_k}{\sqrt{\left(1 - \sum_k p_k^2\right) \left(1 - \sum_k t_k^2\right)}}

    where c is the fraction of correct pixels, and p and t are the fractions of the classes in prediction and target.

    Parameters
    ----------
    {matrix}
    absent : {"skip", "nan"} or float, default "skip"
        The score if prediction or target has only one class (0 / 0): nan for ``"skip"`` and ``"nan"``, or this number.
    {classes_pixels}

    Returns
    -------
    {score}

    Notes
    -----
    Scikit-learn and torchmetrics return 0 for 0 / 0: ``absent=0``.

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

    def correlation(backend: Backend, counts: Array) -> Score:
        xp = backend.xp
        pixels = count_outcomes(backend, take_submatrix(backend, counts, classes))
        total = pixels.total

        def share(part: Array) -> Array:
            return divide(xp, part, total).values

        # The numerator is the sum over the classes of TP TN - FP FN. Computed as c minus the sum of p t it would lose
        # digits if one class has most pixels, because both are close to 1; 1 - p would too.
        right = share(pixels.true_positives) * share(pixels.true_negatives)
        wrong = share(pixels.false_positives) * share(pixels.false_negatives)
        spread = xp.sum(share(pixels.predicted) * share(pixels.rejected), axis=-1)
        target_spread = xp.sum(share(pixels.actual) * share(pixels.negatives), axis=-1)
        root = square_root(xp, spread) * square_root(xp, target_spread)
        return divide(xp, xp.sum(right - wrong, axis=-1), root)

    return compute_from_matrix(matrix, correlation, absent)


_POWERS = {None: 0, "linear": 1, "quadratic": 2}
