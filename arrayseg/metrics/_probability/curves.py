"""Scores as rankings of the pixels: curves over all thresholds, and the areas under them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from arrayseg._checks import check_index
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, common_backend
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import Absent, check_absent, check_counts, ratio, settle
from arrayseg.metrics._probability.inputs import ScoreMaps, read_scores
from arrayseg.metrics._segments.counts import put

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

#: The call that counts, as error messages show it.
COUNTING = "score_histogram(scores, target)"


class ScoreHistogram(NamedTuple):
    """Pixels by their score, in B bins of equal width from 0 to 1; they add with `arrayseg.metrics.add`.

    Parameters
    ----------
    positives
        Integers `(..., B)`, the pixels of the class.
    negatives
        Integers `(..., B)`, the other pixels.

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
    """Pixels by their exact score; they add with `arrayseg.metrics.add`.

    Parameters
    ----------
    scores
        Floating array `(K,)`, the scores that occur; one may be listed more than once.
    positives
        Integers `(K,)`, the pixels of the class with that score.
    negatives
        Integers `(K,)`, the other pixels with that score.

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
        """The scores of both: what `arrayseg.metrics.add` makes of statistics that differ in their scores."""
        backend = common_backend(statistic=self.scores, other=other.scores)
        with backend.enable_64_bits(*self, *other):
            return RankedScores(*(backend.xp.concat(pair) for pair in zip(self, other, strict=True)))


class RocCurve(NamedTuple):
    """The receiver operating characteristic, from the highest threshold down.

    Parameters
    ----------
    false_positive_rate
        Floating array `(..., K + 1)`, beginning with 0.
    true_positive_rate
        Floating array `(..., K + 1)`, beginning with 0.
    thresholds
        Floating array `(K + 1,)`: a pixel is positive if its score is at least the threshold. The first is infinite.

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
    precision
        Floating array `(..., K + 1)`, beginning with 1.
    recall
        Floating array `(..., K + 1)`, beginning with 0.
    thresholds
        Floating array `(K + 1,)`: a pixel is positive if its score is at least the threshold. The first is infinite.

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


Statistic: TypeAlias = ScoreHistogram | RankedScores


@raises_here
def score_histogram(
    scores: Array,
    target: Array,
    *,
    bins: int | None = 200,
    class_axis: int | None = None,
    ignore_index: int | None = None,
    mask: Array | None = None,
) -> Statistic:
    r"""Count the pixels of a class, and the others, by their score.

    .. math:: P_b = \#\{i : s_i \in b, \ \text{target}_i = c\}, \quad
        N_b = \#\{i : s_i \in b, \ \text{target}_i \neq c\}

    Parameters
    ----------
    scores
        Floating array `(N, *spatial)` of the shape of `target`, higher where class 1 is more likely; in [0, 1] unless
        `bins` is None. Or with a class axis: the scores of each class against the rest.
    target
        Class ids, of any integer dtype or boolean; 0 and 1 without a class axis.
    bins
        B, the number of bins of equal width from 0 to 1, each with its left edge, the last one with 1 too. None: exact,
        a bin for each score that occurs.
    class_axis
        The axis of the classes in `scores`; None, the default, for one score.
    ignore_index
        The id of void pixels, which count nowhere; None: every pixel counts.
    mask
        Boolean array of `target`'s shape, True where a pixel counts.

    Returns
    -------
    ScoreHistogram or RankedScores
        Integers `(B,)`, or `(C, B)` with a class axis; without `bins` a list of the scores that occur.

    Raises
    ------
    ValueError
        If shapes or options do not fit, a score that is binned is outside of [0, 1], or a label that counts is out of
        range (not noticed under a compiler, where pixels with such labels count nowhere).
    TypeError
        If libraries are mixed, scores are not floating, ids are not integers, the mask is not boolean, or a compiler
        traces the call without `bins`.

    Notes
    -----
    A histogram's size does not depend on the pixels, and it may be traced by a compiler; the areas under its curves are
    as good as the bins are narrow. Without bins, scikit-learn's and torchmetrics' exact numbers result, memory grows
    with the scores that occur, and the list is made on the host.

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
        msg = "Exact ranks (`bins=None`) are of one class; pass its scores, or a number of `bins`."
        raise ValueError(msg)
    if bins is None and not backend.is_concrete(scores, target, mask):
        msg = "Exact ranks (`bins=None`) depend on the scores, so no compiler can trace them; pass a number of `bins`."
        raise TypeError(msg)
    bins = bins if bins is None else check_index("bins", bins, 1)
    with backend.enable_64_bits(scores, target, mask):
        options: dict[str, Any] = {"class_axis": class_axis, "ignore_index": ignore_index, "mask": mask}
        if bins is None:
            return _ranked(read_scores("scores", scores, target, **options))
        maps = read_scores("scores", scores, target, limits=(0, 1), **options)
        position = maps.bins(maps.scores, bins)
        sides = [maps.histogram(position, maps.valid & side, bins) for side in (maps.truth, ~maps.truth)]
        counts = (backend.xp.sum(side, axis=0) for side in sides)
        return ScoreHistogram(*(count if class_axis is not None else count[0, :] for count in counts))


@computed_from(COUNTING, ScoreHistogram, RankedScores)
def roc_curve(statistic: Statistic) -> RocCurve:
    r"""Receiver operating characteristic: the rates of true and false positives at every threshold.

    .. math:: TPR(\tau) = \frac{\#\{s \geq \tau, \text{positive}\}}{\#\{\text{positive}\}}, \quad
        FPR(\tau) = \frac{\#\{s \geq \tau, \text{negative}\}}{\#\{\text{negative}\}}

    Parameters
    ----------
    statistic
        From `score_histogram`.

    Returns
    -------
    RocCurve
        Rates and thresholds, K + 1 of each; nan where there is no positive (negative) pixel.

    Notes
    -----
    All thresholds are there: scikit-learn drops those on straight lines (``drop_intermediate``).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.4, 0.9]]), np.asarray([[0, 0, 1, 1]])
    >>> metrics.roc_curve(metrics.score_histogram(scores, target, bins=None)).true_positive_rate
    array([0. , 0.5, 0.5, 1. , 1. ])
    """

    def curve(xp: Namespace, thresholds: Array, hits: Array, false: Array) -> list[Array]:
        return [_led(xp, _share(xp, false), 0.0), _led(xp, _share(xp, hits), 0.0), _led(xp, thresholds, xp.inf)]

    return RocCurve(*_evaluate(statistic, curve))


@computed_from(COUNTING, ScoreHistogram, RankedScores)
def precision_recall_curve(statistic: Statistic) -> PrecisionRecallCurve:
    r"""Precision and recall at every threshold.

    .. math:: P(\tau) = \frac{\#\{s \geq \tau, \text{positive}\}}{\#\{s \geq \tau\}}, \quad
        R(\tau) = \frac{\#\{s \geq \tau, \text{positive}\}}{\#\{\text{positive}\}}

    Parameters
    ----------
    statistic
        From `score_histogram`.

    Returns
    -------
    PrecisionRecallCurve
        Both and the thresholds, K + 1 of each; the recall is nan where there is no positive pixel, and the precision 1
        where no pixel has so high a score.

    Notes
    -----
    Scikit-learn's curve runs the other way, from the lowest threshold up.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.4, 0.9]]), np.asarray([[0, 0, 1, 1]])
    >>> metrics.precision_recall_curve(metrics.score_histogram(scores, target, bins=None)).recall
    array([0. , 0.5, 0.5, 1. , 1. ])
    """

    def curve(xp: Namespace, thresholds: Array, hits: Array, false: Array) -> list[Array]:
        precision = ratio(xp, hits, hits + false, 1.0)
        return [_led(xp, precision, 1.0), _led(xp, _share(xp, hits), 0.0), _led(xp, thresholds, xp.inf)]

    return PrecisionRecallCurve(*_evaluate(statistic, curve))


@computed_from(COUNTING, ScoreHistogram, RankedScores)
def auroc(statistic: Statistic, *, absent: Absent = "skip") -> Array:
    r"""Area under the receiver operating characteristic: how often a positive pixel has the higher score.

    .. math:: P(s_+ > s_-) + \frac12 P(s_+ = s_-)

    Parameters
    ----------
    statistic
        From `score_histogram`. Pixels of one bin count as equal.
    absent
        The area where there are no positive or no negative pixels: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    Array
        Floating array `()`, or `(C,)`.

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
    check_absent(absent)

    def area(xp: Namespace, thresholds: Array, hits: Array, false: Array) -> list[Array]:
        rate, false_rate = (_led(xp, _share(xp, part, 0.0), 0.0) for part in (hits, false))
        steps, heights = false_rate[..., 1:] - false_rate[..., :-1], rate[..., 1:] + rate[..., :-1]
        defined = xp.any(hits > 0, axis=-1) & xp.any(false > 0, axis=-1)
        return [settle(xp, xp.sum(steps * heights, axis=-1) / 2, absent, where=~defined)]

    return _evaluate(statistic, area)[0]


@computed_from(COUNTING, ScoreHistogram, RankedScores)
def average_precision(statistic: Statistic, *, absent: Absent = "skip") -> Array:
    r"""Average precision: the area under the precision and recall curve, by steps.

    .. math:: \sum_k (R_k - R_{k-1}) P_k

    Parameters
    ----------
    statistic
        From `score_histogram`. Pixels of one bin count as equal.
    absent
        The area where there are no positive pixels: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    Array
        Floating array `()`, or `(C,)`.

    Notes
    -----
    As scikit-learn's and torchmetrics'; without interpolation. For that of COCO's masks see `coco_average_precision`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> scores, target = np.asarray([[0.1, 0.6, 0.4, 0.9]]), np.asarray([[0, 0, 1, 1]])
    >>> round(float(metrics.average_precision(metrics.score_histogram(scores, target, bins=None))), 6)
    0.833333
    """
    check_absent(absent)

    def area(xp: Namespace, thresholds: Array, hits: Array, false: Array) -> list[Array]:
        precision = ratio(xp, hits, hits + false, 1.0)
        recall = _led(xp, _share(xp, hits, 0.0), 0.0)
        area = xp.sum((recall[..., 1:] - recall[..., :-1]) * precision, axis=-1)
        return [settle(xp, area, absent, where=~xp.any(hits > 0, axis=-1))]

    return _evaluate(statistic, area)[0]


def _ranked(maps: ScoreMaps) -> RankedScores:
    """The distinct scores of the pixels that count."""
    backend, parts = maps.backend.shared_view(maps.counted, maps.scores, maps.truth)
    xp = backend.xp
    counted, scores, positive = (xp.reshape(part, (-1,)) for part in parts)
    (chosen,) = xp.nonzero(counted)
    scores, positive = xp.take(scores, chosen), xp.take(positive, chosen)
    distinct, rank = xp.unique_inverse(scores)
    slot = 2 * xp.astype(xp.reshape(rank, (-1,)), backend.count_dtype(scores))
    counts = backend.counts.bincount(slot + xp.astype(positive, slot.dtype), length=2 * distinct.shape[0])
    counts = xp.reshape(counts, (-1, 2))
    columns = (distinct, counts[:, 1], counts[:, 0])
    if backend is maps.backend:
        return RankedScores(*columns)
    return RankedScores(*(put(maps.backend, column, maps.scores) for column in columns))


def _evaluate(statistic: Statistic, formula: Callable[[Namespace, Array, Array, Array], list[Array]]) -> list[Array]:
    """A formula of the thresholds, from the highest down, and the true and false positives at each."""
    own = common_backend(**statistic._asdict())
    check_counts(own, "statistic", statistic.positives, statistic.negatives)
    like, dtype = statistic.positives, own.sum_dtype(statistic.positives)
    with own.enable_64_bits(*statistic):
        if isinstance(statistic, ScoreHistogram):
            backend, values = own, formula(own.xp, *_binned_counts(own, statistic))
        else:
            backend, parts = own.shared_view(*statistic)
            values = formula(backend.xp, *_ranked_counts(backend, *parts))
        if backend is not own:
            values = [put(own, value, like) for value in values]
        return [own.xp.astype(value, dtype, copy=False) for value in values]


def _binned_counts(backend: Backend, statistic: ScoreHistogram) -> tuple[Array, Array, Array]:
    xp, wide = backend.xp, backend.sum_dtype(statistic.positives)
    bins = statistic.positives.shape[-1]
    thresholds = xp.arange(bins - 1, -1, -1, dtype=wide, device=backend.device(statistic.positives)) / bins
    hits, false = (_summed_from_the_top(backend, part) for part in statistic)
    return thresholds, hits, false


def _ranked_counts(backend: Backend, scores: Array, *counts: Array) -> tuple[Array, Array, Array]:
    """A score may be listed several times, having come from several parts."""
    xp = backend.xp
    distinct, rank = xp.unique_inverse(scores)
    rank = xp.astype(xp.reshape(rank, (-1,)), backend.count_dtype(scores))
    sums = (
        backend.counts.bincount(rank, length=distinct.shape[0], weights=xp.astype(part, rank.dtype)) for part in counts
    )
    hits, false = (_summed_from_the_top(backend, part) for part in sums)
    return xp.flip(xp.astype(distinct, backend.sum_dtype(scores))), hits, false


def _summed_from_the_top(backend: Backend, counts: Array) -> Array:
    xp = backend.xp
    counts = xp.flip(xp.astype(counts, backend.count_dtype(counts), copy=False), axis=-1)
    return xp.astype(xp.cumulative_sum(counts, axis=-1), backend.sum_dtype(counts))


def _share(xp: Namespace, sums: Array, absent: Absent = "nan") -> Array:
    """Cumulative sums along the last axis, as shares of the last one."""
    return ratio(xp, sums, xp.broadcast_to(sums[..., -1:], sums.shape), absent)


def _led(xp: Namespace, values: Array, first: float) -> Array:
    """The values along the last axis, with another one before them."""
    return xp.concat([xp.full_like(values[..., :1], first), values], axis=-1)
