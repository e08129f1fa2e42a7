"""Compute the curves of a binary score over all thresholds, and the areas under them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from arrayseg._checks import check_index
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, common_backend
from arrayseg.metrics._compute import AbsentScore, Score, compute, computed_from, ratio, to_device
from arrayseg.metrics._paragraphs import LABEL_MAPS
from arrayseg.metrics._probability.inputs import ScoreMaps, read_scores

__all__ = [
    "PrecisionRecallCurve",
    "RankedScores",
    "RocCurve",
    "ScoreHistogram",
    "auroc",
    "average_precision",
    "precision_recall_curve",
    "roc_curve",
    "score_histogram",
]


class ScoreHistogram(NamedTuple):
    """Counts of pixels in B bins of their score, of equal width from 0 to 1; add them with `arrayseg.metrics.add`.

    Parameters
    ----------
    positives : array of int
        The pixels of the class in each bin. Shape `(..., B)`.
    negatives : array of int
        The other pixels in each bin. Shape `(..., B)`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.9]]), np.asarray([[0, 0, 1]])
    >>> metrics.score_histogram(scores, target, bins=2).negatives
    array([1, 1])
    """

    positives: Array
    negatives: Array


class RankedScores(NamedTuple):
    """Counts of pixels by their exact score; add them with `arrayseg.metrics.add`.

    Parameters
    ----------
    scores : array
        The scores that occur; one may be listed more than once. Shape `(K,)`.
    positives : array of int
        The pixels of the class with each score. Shape `(K,)`.
    negatives : array of int
        The other pixels with each score. Shape `(K,)`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.6]]), np.asarray([[0, 0, 1]])
    >>> metrics.score_histogram(scores, target, bins=None).scores
    array([0.1, 0.6])
    """

    scores: Array
    positives: Array
    negatives: Array

    def merged(self, other: RankedScores) -> RankedScores:
        """Return the scores of both: `arrayseg.metrics.add` calls it, because the lists differ in length."""
        backend = common_backend(statistic=self.scores, other=other.scores)
        with backend.enable_64_bits(*self, *other):
            return RankedScores(*(backend.xp.concat(pair) for pair in zip(self, other, strict=True)))


class RocCurve(NamedTuple):
    """The receiver operating characteristic, from the highest threshold down.

    Parameters
    ----------
    false_positive_rate : array
        The rate at each threshold; the first is 0. Shape `(..., K + 1)`.
    true_positive_rate : array
        The rate at each threshold; the first is 0. Shape `(..., K + 1)`.
    thresholds : array
        A pixel is positive if its score is at least the threshold. The first is infinite. Shape `(K + 1,)`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> statistic = metrics.score_histogram(np.asarray([[0.1, 0.6]]), np.asarray([[0, 1]]), bins=2)
    >>> metrics.roc_curve(statistic).thresholds
    array([inf, 0.5, 0. ])
    """

    false_positive_rate: Array
    true_positive_rate: Array
    thresholds: Array


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall, from the highest threshold down.

    Parameters
    ----------
    precision : array
        The precision at each threshold; the first is 1. Shape `(..., K + 1)`.
    recall : array
        The recall at each threshold; the first is 0. Shape `(..., K + 1)`.
    thresholds : array
        A pixel is positive if its score is at least the threshold. The first is infinite. Shape `(K + 1,)`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> statistic = metrics.score_histogram(np.asarray([[0.1, 0.6]]), np.asarray([[0, 1]]), bins=2)
    >>> metrics.precision_recall_curve(statistic).precision
    array([1. , 1. , 0.5])
    """

    precision: Array
    recall: Array
    thresholds: Array


Result = TypeVar("Result")
Statistic: TypeAlias = ScoreHistogram | RankedScores

#: Decorates the functions of a `ScoreHistogram` or `RankedScores`.
curve_score = computed_from(
    "score_histogram(scores, target)",
    ScoreHistogram,
    RankedScores,
    paragraphs={
        "statistic": """
            statistic : ScoreHistogram or RankedScores
                The counts, from `score_histogram`.
        """,
        "statistic_bins": """
            statistic : ScoreHistogram or RankedScores
                The counts, from `score_histogram`. Pixels of one bin count as equal.
        """,
        "area": """
            array
                The area. Shape `()`, or `(C,)` for counts of each class.
        """,
    },
)


@raises_here
@documented(LABEL_MAPS)
def score_histogram(
    scores: Array,
    target: Array,
    *,
    bins: int | None = 200,
    class_axis: int | None = None,
    ignore_index: int | None = None,
    mask: Array | None = None,
) -> Statistic:
    r"""Count the pixels of a class, and the other pixels, by their score.

    .. math:: P_b = \#\{i : s_i \in b, \ \text{target}_i = c\}, \quad
        N_b = \#\{i : s_i \in b, \ \text{target}_i \neq c\}

    Parameters
    ----------
    scores : array
        Floating scores that are higher where class 1 is more likely, of the shape of `target`. Or, with a class axis,
        the scores of each class against the rest. They must be in [0, 1] unless `bins` is None. Shape `(N, *spatial)`.
    target : array of int
        Class ids of any integer dtype or boolean; 0 and 1 without a class axis.
    bins : int or None, default 200
        The number of bins of equal width from 0 to 1, B. The left edge of a bin belongs to it, and 1 to the last bin.
        None is exact: a bin for each score that occurs.
    class_axis : int or None, default None
        The axis of the classes in `scores`. None if there is one score for each pixel.
    {ignore_index}
    {mask}

    Returns
    -------
    ScoreHistogram or RankedScores
        The counts in bins, `(B,)`, or `(C, B)` with a class axis. With ``bins=None`` a list of the scores that occur.

    Raises
    ------
    ValueError
        If shapes or options do not fit, a score to be binned is outside of [0, 1], or a label that counts is out of
        range. Under a compiler values cannot be read, and pixels with such labels count nowhere.
    TypeError
        If libraries are mixed, scores are not floating, ids are not integers, the mask is not boolean, or a compiler
        traces the call with ``bins=None``.

    Notes
    -----
    The size of a histogram does not depend on the number of pixels, and a compiler can trace it. Narrower bins give
    more accurate areas under its curves. With ``bins=None`` the results are the exact numbers of scikit-learn and
    torchmetrics. Memory then grows with the number of distinct scores, and the list is made on the host.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.4, 0.9]]), np.asarray([[0, 0, 1, 1]])
    >>> metrics.score_histogram(scores, target, bins=4)
    ScoreHistogram(positives=array([0, 1, 0, 1]), negatives=array([1, 0, 1, 0]))
    >>> float(metrics.auroc(metrics.score_histogram(scores, target, bins=None)))
    0.75
    """
    backend = common_backend(scores=scores, target=target, mask=mask)
    if bins is None and class_axis is not None:
        msg = "Exact ranks (`bins=None`) need the scores of one class. Pass those, or a number of `bins`."
        raise ValueError(msg)
    if bins is None and not backend.is_concrete(scores, target, mask):
        msg = "Exact ranks (`bins=None`) depend on the scores, so no compiler can trace them. Pass a number of `bins`."
        raise TypeError(msg)
    bins = bins if bins is None else check_index("bins", bins, 1)
    with backend.enable_64_bits(scores, target, mask):
        options: dict[str, Any] = {"class_axis": class_axis, "ignore_index": ignore_index, "mask": mask}
        if bins is None:
            return _rank(read_scores("scores", scores, target, **options))
        maps = read_scores("scores", scores, target, limits=(0, 1), **options)
        position = maps.bins(maps.scores, bins)
        sides = [maps.histogram(position, maps.valid & side, bins) for side in (maps.truth, ~maps.truth)]
        counts = (backend.xp.sum(side, axis=0) for side in sides)
        return ScoreHistogram(*(count if class_axis is not None else count[0, :] for count in counts))


@curve_score
def roc_curve(statistic: Statistic) -> RocCurve:
    r"""Return the receiver operating characteristic: the rates of true and false positives at every threshold.

    .. math:: TPR(\tau) = \frac{\#\{s \geq \tau, \text{positive}\}}{\#\{\text{positive}\}}, \quad
        FPR(\tau) = \frac{\#\{s \geq \tau, \text{negative}\}}{\#\{\text{negative}\}}

    Parameters
    ----------
    {statistic}

    Returns
    -------
    RocCurve
        Rates and thresholds, K + 1 of each. A rate is nan without positive (or without negative) pixels.

    Notes
    -----
    The curve has all thresholds; scikit-learn drops those on straight lines (``drop_intermediate``).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.4, 0.9]]), np.asarray([[0, 0, 1, 1]])
    >>> metrics.roc_curve(metrics.score_histogram(scores, target, bins=None)).true_positive_rate
    array([0. , 0.5, 0.5, 1. , 1. ])
    """

    def curve(backend: Backend, statistic: Statistic) -> RocCurve:
        xp = backend.xp
        thresholds, hits, false = _counts_above(backend, statistic)
        return RocCurve(
            _prepend(xp, 0.0, _fraction_of_last(xp, false)),
            _prepend(xp, 0.0, _fraction_of_last(xp, hits)),
            _prepend(xp, xp.inf, thresholds),
        )

    return _compute(statistic, curve)


@curve_score
def precision_recall_curve(statistic: Statistic) -> PrecisionRecallCurve:
    r"""Return precision and recall at every threshold.

    .. math:: P(\tau) = \frac{\#\{s \geq \tau, \text{positive}\}}{\#\{s \geq \tau\}}, \quad
        R(\tau) = \frac{\#\{s \geq \tau, \text{positive}\}}{\#\{\text{positive}\}}

    Parameters
    ----------
    {statistic}

    Returns
    -------
    PrecisionRecallCurve
        Both and the thresholds, K + 1 of each. The recall is nan without positive pixels. The precision is 1 at
        thresholds above all scores.

    Notes
    -----
    Scikit-learn orders the curve the other way, from the lowest threshold up.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.4, 0.9]]), np.asarray([[0, 0, 1, 1]])
    >>> metrics.precision_recall_curve(metrics.score_histogram(scores, target, bins=None)).recall
    array([0. , 0.5, 0.5, 1. , 1. ])
    """

    def curve(backend: Backend, statistic: Statistic) -> PrecisionRecallCurve:
        xp = backend.xp
        thresholds, hits, false = _counts_above(backend, statistic)
        return PrecisionRecallCurve(
            _prepend(xp, 1.0, ratio(xp, hits, hits + false, 1.0)),
            _prepend(xp, 0.0, _fraction_of_last(xp, hits)),
            _prepend(xp, xp.inf, thresholds),
        )

    return _compute(statistic, curve)


@curve_score
def auroc(statistic: Statistic, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the area under the receiver operating characteristic: how often a positive pixel has the higher score.

    .. math:: P(s_+ > s_-) + \frac12 P(s_+ = s_-)

    Parameters
    ----------
    {statistic_bins}
    absent : {"skip", "nan"} or float, default "skip"
        The area without positive or without negative pixels: nan for ``"skip"`` and ``"nan"``, or this number.

    Returns
    -------
    {area}

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    Radiology 143 (1982).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.4, 0.9]]), np.asarray([[0, 0, 1, 1]])
    >>> float(metrics.auroc(metrics.score_histogram(scores, target, bins=None)))
    0.75
    """

    def area(backend: Backend, statistic: Statistic) -> Score:
        xp = backend.xp
        _, hits, false = _counts_above(backend, statistic)
        rate, false_rate = (_prepend(xp, 0.0, _fraction_of_last(xp, part, 0.0)) for part in (hits, false))
        steps, heights = false_rate[..., 1:] - false_rate[..., :-1], rate[..., 1:] + rate[..., :-1]
        defined = xp.any(hits > 0, axis=-1) & xp.any(false > 0, axis=-1)
        return Score(xp.sum(steps * heights, axis=-1) / 2, ~defined)

    return _compute(statistic, area, absent)


@curve_score
def average_precision(statistic: Statistic, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the average precision: the area under the precision-recall curve, by steps.

    .. math:: \sum_k (R_k - R_{k-1}) P_k

    Parameters
    ----------
    {statistic_bins}
    absent : {"skip", "nan"} or float, default "skip"
        The area without positive pixels: nan for ``"skip"`` and ``"nan"``, or this number.

    Returns
    -------
    {area}

    Notes
    -----
    As in scikit-learn and torchmetrics, there is no interpolation. For the average precision of COCO's masks see
    `coco_average_precision`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.4, 0.9]]), np.asarray([[0, 0, 1, 1]])
    >>> round(float(metrics.average_precision(metrics.score_histogram(scores, target, bins=None))), 6)
    0.833333
    """

    def area(backend: Backend, statistic: Statistic) -> Score:
        xp = backend.xp
        _, hits, false = _counts_above(backend, statistic)
        precision = ratio(xp, hits, hits + false, 1.0)
        recall = _prepend(xp, 0.0, _fraction_of_last(xp, hits, 0.0))
        value = xp.sum((recall[..., 1:] - recall[..., :-1]) * precision, axis=-1)
        return Score(value, ~xp.any(hits > 0, axis=-1))

    return _compute(statistic, area, absent)


def _rank(maps: ScoreMaps) -> RankedScores:
    """Return the distinct scores of the pixels that count, with their numbers of pixels."""
    backend, parts = maps.backend.shared_view(maps.counted, maps.scores, maps.truth)
    xp = backend.xp
    counted, scores, positive = (xp.reshape(part, (-1,)) for part in parts)
    (pixels,) = xp.nonzero(counted)
    scores, positive = xp.take(scores, pixels), xp.take(positive, pixels)
    distinct, rank = xp.unique_inverse(scores)
    slot = 2 * xp.astype(xp.reshape(rank, (-1,)), backend.count_dtype(scores))
    counts = backend.counts.bincount(slot + xp.astype(positive, slot.dtype), length=2 * distinct.shape[0])
    counts = xp.reshape(counts, (-1, 2))
    columns = (distinct, counts[:, 1], counts[:, 0])
    if backend is maps.backend:
        return RankedScores(*columns)
    return RankedScores(*(to_device(maps.backend, column, maps.scores) for column in columns))


def _compute(statistic: Statistic, formula: Callable[[Backend, Any], Result], absent: AbsentScore = "nan") -> Result:
    """Return a formula of the statistic; the length of its arrays depends on the scores if they are ranked."""
    is_ranked = isinstance(statistic, RankedScores)
    return compute(
        statistic,
        formula,
        name="statistic",
        absent=absent,
        as_integers=True,
        signed=("scores",),
        on_host=is_ranked,
    )


def _counts_above(backend: Backend, statistic: Statistic) -> tuple[Array, Array, Array]:
    """Return the thresholds, from the highest down, and the true and false positives at each."""
    xp, dtype = backend.xp, backend.sum_dtype(statistic.positives)
    if isinstance(statistic, ScoreHistogram):
        bins = statistic.positives.shape[-1]
        thresholds = xp.arange(bins - 1, -1, -1, dtype=dtype, device=backend.device(statistic.positives)) / bins
        return thresholds, *(_sums_from_the_top(backend, counts) for counts in statistic)
    # A score that came from several parts is listed several times.
    distinct, rank = xp.unique_inverse(statistic.scores)
    rank = xp.astype(xp.reshape(rank, (-1,)), backend.count_dtype(statistic.scores))
    hits, false = (
        _sums_from_the_top(
            backend, backend.counts.bincount(rank, length=distinct.shape[0], weights=xp.astype(counts, rank.dtype))
        )
        for counts in (statistic.positives, statistic.negatives)
    )
    return xp.flip(xp.astype(distinct, dtype)), hits, false


def _sums_from_the_top(backend: Backend, counts: Array) -> Array:
    """Return the cumulative sums of counts, from the highest bin down, as floating numbers."""
    xp = backend.xp
    counts = xp.flip(xp.astype(counts, backend.count_dtype(counts), copy=False), axis=-1)
    return xp.astype(xp.cumulative_sum(counts, axis=-1), backend.sum_dtype(counts))


def _fraction_of_last(xp: Namespace, sums: Array, absent: AbsentScore = "nan") -> Array:
    """Return cumulative sums as fractions of the last one."""
    return ratio(xp, sums, xp.broadcast_to(sums[..., -1:], sums.shape), absent)


def _prepend(xp: Namespace, first: float, values: Array) -> Array:
    """Return values with another one before them, along the last axis."""
    return xp.concat([xp.full_like(values[..., :1], first), values], axis=-1)
