"""Match the instances of two label maps, and score the matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from arrayseg._checks import check_choice, check_flag, check_index, check_numbers, check_static, is_several
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, host
from arrayseg.backends.assignment import assign
from arrayseg.backends.labels import equals
from arrayseg.imaging.segment_overlaps import Overlaps, joint_counts, overlaps
from arrayseg.metrics._compute import AbsentScore, check_absent, compute, computed_from, divide, ratio, to_device
from arrayseg.metrics._inputs import check_image_maps
from arrayseg.metrics._paragraphs import SEGMENT_COUNTS
from arrayseg.metrics._segments.counts import SegmentCounts

__all__ = [
    "InstanceOverlaps",
    "aggregated_jaccard_index",
    "instance_average_precision",
    "instance_f1",
    "instance_precision",
    "instance_recall",
    "match_instances",
    "overlap_matrix",
    "seg_score",
]

#: Decorates the functions of `SegmentCounts`.
instance_score = computed_from("match_instances(prediction, target)", SegmentCounts, paragraphs=SEGMENT_COUNTS)

# The number of scores in the largest matrix that this module makes.
MATRIX_SIZE = 2**28

Score: TypeAlias = Literal["iou", "dice", "recall", "precision", "intersection"]
Method: TypeAlias = Literal["greedy", "optimal", "majority"]


Formula: TypeAlias = Callable[[Array, Array, Array, Array], tuple[Array, Array]]


class InstanceOverlaps(NamedTuple):
    """A score of every pair of a target and a predicted instance.

    Parameters
    ----------
    scores : array
        Array `(T, P)`.
    target_labels : array of int
        Integers `(T,)`, the label of each row's instance in the target.
    prediction_labels : array of int
        Integers `(P,)`, the label of each column's instance in the prediction.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([[0, 5, 5, 7]]), np.asarray([[0, 2, 2, 2]])
    >>> metrics.overlap_matrix(prediction, target).target_labels
    array([5, 7])
    """

    scores: Array
    target_labels: Array
    prediction_labels: Array


@raises_here
@documented(SEGMENT_COUNTS)
def overlap_matrix(
    prediction: Array,
    target: Array,
    *,
    score: Score = "iou",
    background: int | None = 0,
    ignore_index: int | None = None,
) -> InstanceOverlaps:
    r"""Compute the overlap of every instance of the target with every instance of the prediction.

    .. math:: IoU_{tp} = \frac{|t \cap p|}{|t \cup p|}, \quad Dice_{tp} = \frac{2 |t \cap p|}{|t| + |p|}, \quad
        recall_{tp} = \frac{|t \cap p|}{|t|}, \quad precision_{tp} = \frac{|t \cap p|}{|p|}

    Parameters
    ----------
    {labels}
    score : {"iou", "dice", "recall", "precision", "intersection"}, default "iou"
        ``"iou"``, ``"dice"``, ``"recall"`` (the covered share of the target instance), ``"precision"`` (the
        covered share of the predicted one) or ``"intersection"`` (pixels in both, as integers).
    {background}
    {ignore_index}

    Returns
    -------
    InstanceOverlaps
        The scores `(T, P)`, which are floating except for ``"intersection"``, and the labels `(T,)` and `(P,)` in
        ascending order.

    Raises
    ------
    ValueError
        If the shapes differ, or the matrix would have more than 2^28 numbers.
    TypeError
        If array libraries are mixed, labels are not integers, or a compiler traces the call.

    Notes
    -----
    All pairs are counted in one pass over the pixels. The table is made on the host, because its shape depends on the
    labels; no compiler can trace this function. The other functions of instances keep only the pairs that overlap, so
    they need little memory for many instances.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([[0, 5, 5, 7]]), np.asarray([[0, 2, 2, 2]])
    >>> metrics.overlap_matrix(prediction, target).scores
    array([[0.66666667],
           [0.33333333]])
    """
    backend, table = _instances(prediction, target, background, ignore_index)
    values = _scores(table, score)
    shape = (table.second[0].shape[0], table.first[0].shape[0])
    if shape[0] * shape[1] > MATRIX_SIZE:
        msg = (
            f"The scores of {shape[0]} x {shape[1]} instances would take {8e-9 * shape[0] * shape[1]:.0f} GB. "
            "`match_instances` and `aggregated_jaccard_index` keep only the pairs that overlap."
        )
        raise ValueError(msg)
    joint = table.columns * shape[1] + table.rows
    matrix = host().counts.bincount(joint, length=shape[0] * shape[1], weights=values)
    parts = (table.xp.reshape(matrix, shape), table.second[0], table.first[0])
    return InstanceOverlaps(*(to_device(backend, part, target) for part in parts))


@raises_here
@documented(SEGMENT_COUNTS)
def match_instances(
    prediction: Array,
    target: Array,
    *,
    thresholds: float | Sequence[float] = 0.5,
    inclusive: bool = False,
    method: Method = "greedy",
    score: Score = "iou",
    background: int | None = 0,
    ignore_index: int | None = None,
) -> SegmentCounts:
    r"""Count matched and unmatched instances of one image, at one or several thresholds.

    .. math:: TP = \#\{(t, p) \text{ matched} : score_{tp} > \tau\}, \quad FP = P - TP, \quad FN = T - TP

    Parameters
    ----------
    {labels}
    thresholds : float or sequence of float, default 0.5
        The score that a pair must exceed, or K of them.
    inclusive : bool, default False
        Whether the threshold itself is enough (``>=``, as in StarDist, Cellpose and Panoptica); the default is COCO's
        ``>``.
    method : {"greedy", "optimal", "majority"}, default "greedy"
        How instances that could match several others are paired, which matters below an IoU of one half only:
        ``"greedy"`` (default) takes the pairs from the highest score down; ``"optimal"`` finds the most pairs, and of
        all ways to do so the one with the highest sum of scores (needs SciPy). ``"majority"`` is the Cell Tracking
        Challenge's: a target matches the prediction that covers more than half of it, whatever the threshold and even
        if that prediction covers others.
    score : {"iou", "dice", "recall", "precision"}, default "iou"
        The score of a pair, as in `overlap_matrix`.
    {background}
    {ignore_index}

    Returns
    -------
    SegmentCounts
        The sum of the scores of the matches (floating) and the numbers of TP, FP and FN (integers): `()`, or `(K,)` for
        a sequence of K thresholds. Add images with `arrayseg.metrics.add`.

    Raises
    ------
    ValueError
        If the shapes differ, an option is unknown, or a threshold is not from 0 to 1.
    TypeError
        If array libraries are mixed, labels are not integers, or a compiler traces the call.

    Notes
    -----
    This function ignores classes; for classes, void and crowd use `panoptic_counts`. The device counts the pixels, and
    the host matches the pairs. Where several assignments give the same number of matches, StarDist also weighs pairs
    below the threshold.

    References
    ----------
    Caicedo and others, "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Nature Methods 16
    (2019). Maška and others, "A benchmark for comparison of cell tracking algorithms", Bioinformatics 30 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([[0, 5, 5, 7]]), np.asarray([[0, 2, 2, 2]])
    >>> counts = metrics.match_instances(prediction, target, thresholds=[0.5, 0.75])
    >>> counts.true_positives, counts.false_negatives
    (array([1, 0]), array([1, 2]))
    """
    check_static("thresholds", thresholds)
    several = is_several(thresholds)
    levels = check_numbers("thresholds", thresholds if several else (thresholds,), 0, 1)
    check_choice("method", method, Method)
    inclusive = check_flag("inclusive", inclusive)
    backend, table = _instances(prediction, target, background, ignore_index)
    values = _scores(table, score)
    rows = [_match(table, values, level, inclusive, method) for level in levels]
    xp = table.xp
    total, *numbers = zip(*rows, strict=True)
    columns = [xp.asarray(total, dtype=xp.float64), *(xp.asarray(number, dtype=xp.int64) for number in numbers)]
    return SegmentCounts(*(to_device(backend, column if several else column[0, ...], target) for column in columns))


@instance_score
def instance_average_precision(counts: SegmentCounts, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the average precision of the 2018 Data Science Bowl, at each threshold.

    .. math:: \frac{TP}{TP + FP + FN}

    Parameters
    ----------
    {counts}
    {absent}

    Returns
    -------
    {score}

    Notes
    -----
    This is not the area under a precision-recall curve; for that see `coco_average_precision`. StarDist calls it
    accuracy, Cellpose average precision. The bowl's own score is its mean over the thresholds 0.5, 0.55, ..., 0.95 and
    over images.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.SegmentCounts(np.asarray(1.6), np.asarray(2), np.asarray(1), np.asarray(1))
    >>> float(metrics.instance_average_precision(counts))
    0.5
    """
    return _rate(counts, absent, lambda total, hit, extra, missed: (hit, hit + extra + missed))


@instance_score
def instance_f1(counts: SegmentCounts, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the F1 score of the instances, also called recognition or detection quality.

    .. math:: \frac{2 TP}{2 TP + FP + FN}

    Parameters
    ----------
    {counts}
    {absent}

    Returns
    -------
    {score}

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.SegmentCounts(np.asarray(1.6), np.asarray(2), np.asarray(1), np.asarray(3))
    >>> float(metrics.instance_f1(counts))
    0.5
    """
    return _rate(counts, absent, lambda total, hit, extra, missed: (2 * hit, 2 * hit + extra + missed))


@instance_score
def instance_precision(counts: SegmentCounts, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the share of the predicted instances that match.

    .. math:: \frac{TP}{TP + FP}

    Parameters
    ----------
    {counts}
    {absent}

    Returns
    -------
    {score}

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.SegmentCounts(np.asarray(1.6), np.asarray(2), np.asarray(2), np.asarray(3))
    >>> float(metrics.instance_precision(counts))
    0.5
    """
    return _rate(counts, absent, lambda total, hit, extra, missed: (hit, hit + extra))


@instance_score
def instance_recall(counts: SegmentCounts, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the share of the target instances that match.

    .. math:: \frac{TP}{TP + FN}

    Parameters
    ----------
    {counts}
    {absent}

    Returns
    -------
    {score}

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.SegmentCounts(np.asarray(1.6), np.asarray(2), np.asarray(1), np.asarray(2))
    >>> float(metrics.instance_recall(counts))
    0.5
    """
    return _rate(counts, absent, lambda total, hit, extra, missed: (hit, hit + missed))


@instance_score
def seg_score(counts: SegmentCounts, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the mean score of the target instances, with 0 for those without a match.

    .. math:: \frac{1}{TP + FN} \sum_{TP} IoU

    Parameters
    ----------
    counts : SegmentCounts
        From ``match_instances(..., method="majority")`` for the SEG score of the Cell Tracking Challenge. From the
        other methods, the result is StarDist's mean true score.
    {absent}

    Returns
    -------
    {score}

    References
    ----------
    Maška and others, "A benchmark for comparison of cell tracking algorithms", Bioinformatics 30 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([[0, 5, 5, 7]]), np.asarray([[0, 2, 2, 2]])
    >>> counts = metrics.match_instances(prediction, target, method="majority")
    >>> float(metrics.seg_score(counts))
    0.5
    """
    return _rate(counts, absent, lambda total, hit, extra, missed: (total, hit + missed))


@raises_here
@documented(SEGMENT_COUNTS)
def aggregated_jaccard_index(
    prediction: Array,
    target: Array,
    *,
    unique: bool = False,
    background: int | None = 0,
    ignore_index: int | None = None,
    absent: AbsentScore = "skip",
) -> Array:
    r"""Return the aggregated Jaccard index (AJI) of one image, or AJI+.

    .. math:: \frac{\sum_t |t \cap p(t)|}{\sum_t |t \cup p(t)| + \sum_{p \text{ of no } t} |p|}

    with p(t) the predicted instance that overlaps t most (by IoU; among equals the one with the lowest label).

    Parameters
    ----------
    {labels}
    unique : bool, default False
        Whether each predicted instance may match one target only (AJI+), by the assignment with the largest sum of
        IoU (needs SciPy). Among assignments whose sums are equal, up to about 1e-9, the one that shares most pixels is
        used, so the value is unique. The default is AJI, in which one prediction may match several targets.
    {background}
    {ignore_index}
    {absent}

    Returns
    -------
    array
        Floating array `()`. Papers give its mean over images.

    Raises
    ------
    ValueError
        If the shapes differ.
    TypeError
        If array libraries are mixed, labels are not integers, or a compiler traces the call.

    Notes
    -----
    The device counts the pixels, and the host matches the pairs. HoVer-Net's tools return the same values. Cellpose's
    function of that name divides by the union of the foregrounds, which gives another value.

    References
    ----------
    Kumar and others, "A dataset and a technique for generalized nuclear segmentation for computational pathology", IEEE
    Transactions on Medical Imaging 36 (2017). AJI+: Graham and others, "HoVer-Net", Medical Image Analysis 58 (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([[0, 5, 5, 7]]), np.asarray([[0, 2, 2, 2]])
    >>> float(metrics.aggregated_jaccard_index(prediction, target))
    0.5
    >>> float(metrics.aggregated_jaccard_index(prediction, target, unique=True))
    0.5
    """
    check_absent(absent)
    unique = check_flag("unique", unique)
    backend, table = _instances(prediction, target, background, ignore_index)
    xp, iou = table.xp, _scores(table, "iou")
    pairs = range(iou.shape[0])
    if unique:
        # The index depends on the shared pixels alone, so those settle which of equal sums of IoU is taken.
        shared = table.counts / (xp.max(table.counts) if pairs else 1)
        hits = _optimal(table, iou + 1e-9 * shared, pairs, bonus=0)
    else:
        best: dict[int, int] = {}
        for pair in _descending(xp, iou):
            best.setdefault(int(table.columns[pair]), pair)
        hits = list(best.values())
    chosen = xp.asarray(hits, dtype=xp.int64)
    rows, columns, both = table.rows[chosen], table.columns[chosen], table.counts[chosen]
    areas, target_areas = table.first_areas, table.second_areas
    # The union of the pairs; then, whole, the instances of neither map that are in none.
    union = xp.sum(areas[rows] + target_areas[columns] - both)
    for lengths, used in ((areas, rows), (target_areas, columns)):
        union += xp.sum(lengths) - xp.sum(lengths[xp.unique_values(used)])
    shared, union = (xp.astype(part, xp.float64) for part in (xp.sum(both), union))
    value = to_device(backend, ratio(xp, shared, union, absent), target)
    return backend.xp.astype(value, backend.sum_dtype(target), copy=False)


def _instances(
    prediction: Array, target: Array, background: int | None, ignore_index: int | None
) -> tuple[Backend, Overlaps]:
    """Return the instances of both maps and their pairs, without background and void."""
    backend = check_image_maps(prediction=prediction, target=target)
    (first, second), pixels = joint_counts(backend, prediction, target)
    if ignore_index is not None:
        kept = ~equals(host(), second, check_index("ignore_index", ignore_index))
        first, second, pixels = first[kept], second[kept], pixels[kept]
    table = overlaps([first], [second], pixels)
    if background is None:
        return backend, table
    background = check_index("background", background)
    return backend, table.where(*(~equals(host(), labels[0], background) for labels in (table.first, table.second)))


def _scores(table: Overlaps, score: str) -> Array:
    """Return the score `(K,)` of each pair."""
    check_choice("score", score, Score)
    both, first, second = table.counts, table.first_areas[table.rows], table.second_areas[table.columns]
    if score == "intersection":
        return both
    denominators = {"iou": first + second - both, "dice": (first + second) / 2, "recall": second, "precision": first}
    return both / denominators[score]


def _match(
    table: Overlaps, scores: Array, threshold: float, inclusive: bool, method: str
) -> tuple[float, int, int, int]:
    """Return the sum of the matched scores, TP, FP and FN."""
    xp = table.xp
    predicted, actual = table.first[0].shape[0], table.second[0].shape[0]
    if method == "majority":
        hits = xp.nonzero(2 * table.counts > table.second_areas[table.columns])[0]
        used = xp.unique_values(table.rows[hits]).shape[0]
        return float(xp.sum(scores[hits])), hits.shape[0], predicted - used, actual - hits.shape[0]
    passed = scores >= threshold if inclusive else scores > threshold
    pairs = [pair for pair in _descending(xp, scores) if passed[pair]]
    chosen = _greedy(table, pairs) if method == "greedy" else _optimal(table, scores, pairs, bonus=1)
    total = float(xp.sum(scores[xp.asarray(sorted(chosen), dtype=xp.int64)]))
    return total, len(chosen), predicted - len(chosen), actual - len(chosen)


def _descending(xp: Namespace, scores: Array) -> list[int]:
    """Return the pairs in descending order of their scores, equal ones in their order."""
    order: list[int] = xp.argsort(scores, descending=True, stable=True).tolist()
    return order


def _greedy(table: Overlaps, pairs: Sequence[int]) -> list[int]:
    """Take the pairs in order, leaving out those with an instance that is taken already."""
    taken_rows, taken_columns, chosen = set(), set(), []
    for pair in pairs:
        row, column = int(table.rows[pair]), int(table.columns[pair])
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            chosen.append(pair)
    return chosen


def _optimal(table: Overlaps, scores: Array, pairs: Sequence[int], *, bonus: float) -> list[int]:
    """Return pairs without a common instance whose sum of `bonus` plus a small part of the score is largest."""
    chosen = table.xp.asarray(pairs, dtype=table.xp.int64)
    rows, columns = table.rows[chosen], table.columns[chosen]
    # The scores of all the pairs together are less than one bonus.
    weights = bonus + scores[chosen] / (min(table.first[0].shape[0], table.second[0].shape[0]) + 1)
    taken = assign(rows, columns, weights).tolist()
    return [pair for pair, is_taken in zip(pairs, taken, strict=True) if is_taken]


def _rate(counts: SegmentCounts, absent: AbsentScore, formula: Formula) -> Array:
    """Return the ratio whose numerator and denominator a formula makes of the sum of scores, TP, FP and FN."""
    result: Array = compute(
        counts,
        lambda backend, parts: divide(backend.xp, *formula(*parts)),
        name="counts",
        absent=absent,
        signed=("score_sum",),
    )
    return result
