"""Match the segments of each class by their overlap, and compute their panoptic quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from arrayseg._checks import check_index, check_indices, check_pair, check_sequence
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, host
from arrayseg.backends.labels import equals
from arrayseg.imaging.segment_overlaps import Overlaps, joint_counts, overlaps
from arrayseg.metrics._compute import (
    AbsentScore,
    Score,
    compute,
    computed_from,
    mean_score,
    nonzero,
    ratio,
    take_classes,
    to_device,
)
from arrayseg.metrics._inputs import check_boolean, check_image_maps, check_num_classes
from arrayseg.metrics._segments.counts import SegmentCounts

__all__ = ["PanopticQuality", "mean_panoptic_quality", "panoptic_counts", "panoptic_quality"]


class PanopticQuality(NamedTuple):
    """Panoptic quality and its two factors, of each class or their means.

    Parameters
    ----------
    pq : array
        Panoptic quality.
    sq : array
        Segmentation quality, the mean IoU of the matched segments.
    rq : array
        Recognition quality, the F1 score of the segments.

    Examples
    --------
    >>> from arrayseg import metrics
    >>> metrics.PanopticQuality(pq=0.4, sq=0.8, rq=0.5).sq
    0.8
    """

    pq: Array
    sq: Array
    rq: Array


@raises_here
def panoptic_counts(
    prediction: tuple[Array, Array],
    target: tuple[Array, Array],
    *,
    num_classes: int,
    ignore_index: int | None = None,
    crowd: Array | None = None,
    things: Sequence[int] | None = None,
    unmatched: Sequence[int] = (),
    boundaries: tuple[Array, Array] | None = None,
) -> SegmentCounts:
    r"""Count matched and unmatched segments of each class in one image.

    .. math:: TP_c = \left\{(p, t) : \frac{|p \cap t|}{|p \cup t| - |p \cap \text{void}|} > \frac12 \right\}

    over the predicted segments p and target segments t of class c; a segment is all pixels of one class and instance.
    The other predicted segments are false positives, unless more than half of one lies in void or in crowd regions of
    its class; the other target segments are false negatives, except crowd.

    Parameters
    ----------
    prediction : pair of arrays of int
        Map of class ids and map of instance ids, both `(*spatial)`, of any integer dtypes.
    target : pair of arrays of int
        The same maps of the target. Both are of one image.
    num_classes : int
        C; class ids are 0 to C - 1.
    ignore_index : int, optional
        The class id of void pixels, in or out of 0 to C - 1, in the target (unlabeled) and in the prediction (no
        segment). By default every pixel belongs to a segment.
    crowd : array of bool, optional
        True where the target does not separate the instances of its class, of shape `(*spatial)`.
    things : sequence of int, optional
        The classes that have instances. The pixels of any other class are one segment, whatever their instance ids. By
        default all classes have instances.
    unmatched : sequence of int, default ()
        The classes scored without matching, as the modified PQ does with stuff: every pair of segments of the class
        adds its IoU, every target segment counts as a true positive, and there are no false ones.
    boundaries : pair of arrays of bool, optional
        Boolean maps of the prediction and of the target, True at the pixels of a segment that are near its boundary:
        the score is then the smaller of the segments' IoU and of their boundaries' IoU (boundary PQ).

    Returns
    -------
    SegmentCounts
        The sum of IoU (floating) and the numbers of TP, FP and FN (integers), `(C,)` each. Add images with
        `arrayseg.metrics.add`.

    Raises
    ------
    ValueError
        If shapes differ, or if a class id is out of range.
    TypeError
        If array libraries are mixed, ids are not integers, or a compiler traces the call.

    Notes
    -----
    The pixels are counted on the device, in one pass without a loop over segments. The table of segments is processed
    on the host, so no compiler can trace this function.

    The COCO panoptic API and Cityscapes have these rules. So does DeepLab2 if every void pixel has the instance id 0.
    In DeepLab2, void pixels with another id stay in the union and excuse no prediction. If a class has several crowd
    regions, the COCO API looks at the last one listed, and this function at all of them. Torchmetrics has no crowd. It
    also takes void predictions out of the target's area, and forgives target segments mostly predicted as void.
    MONAI has neither void nor crowd. Panoptica and StarDist also match at an IoU of exactly one half, and ignore
    classes, as `match_instances` does.

    References
    ----------
    Kirillov, He, Girshick, Rother and Dollár, "Panoptic segmentation", CVPR (2019). Modified: Porzi, Rota Bulò,
    Colovic and Kontschieder, "Seamless scene segmentation", CVPR (2019). Boundary: Cheng, Girshick, Dollár, Berg and
    Kirillov, "Boundary IoU", CVPR (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> classes = np.asarray([[0, 0, 1, 1, 1], [0, 0, 1, 1, 1]])
    >>> target = (classes, np.asarray([[0, 0, 1, 1, 2], [0, 0, 1, 1, 2]]))
    >>> prediction = (classes, np.asarray([[0, 0, 1, 2, 2], [0, 0, 1, 1, 2]]))
    >>> counts = metrics.panoptic_counts(prediction, target, num_classes=2)
    >>> counts.score_sum
    array([1.        , 1.41666667])
    >>> metrics.panoptic_quality(counts).pq
    array([1.        , 0.70833333])
    """
    num_classes = check_num_classes(num_classes)
    maps = _segment_maps("prediction", prediction) | _segment_maps("target", target)
    flags = {"crowd": crowd}
    if boundaries is not None:
        near = check_pair("boundaries", boundaries, "masks, of the prediction and of the target")
        flags |= {"boundaries[0]": near[0], "boundaries[1]": near[1]}
    backend = check_image_maps(**maps, **flags)
    check_boolean(backend, **flags)
    if ignore_index is not None:
        ignore_index = check_index("ignore_index", ignore_index)
    unmatched = _class_ids("unmatched", unmatched, num_classes)
    things = None if things is None else _class_ids("things", things, num_classes)

    given = [flag for flag in flags.values() if flag is not None]
    labels, pixels = joint_counts(backend, *maps.values(), *given)
    xp = host().xp
    by_name = dict(zip((name for name, flag in flags.items() if flag is not None), labels[4:], strict=True))
    crowded = by_name.get("crowd", xp.zeros_like(pixels))
    first = (labels[0], _instances(xp, labels[0], labels[1], things))
    second = (labels[2], _instances(xp, labels[2], labels[3], things), crowded)
    table = overlaps(first, second, pixels)
    _refuse_unknown(xp, table, num_classes, ignore_index)

    inside = None
    if boundaries is not None:
        near_first, near_second = by_name["boundaries[0]"], by_name["boundaries[1]"]
        inside = (
            overlaps(first, second, pixels * near_first),
            overlaps(first, second, pixels * near_second),
            overlaps(first, second, pixels * near_first * near_second),
        )
    counts = _count(xp, table, num_classes, ignore_index, unmatched, inside)
    return SegmentCounts(*(to_device(backend, count, target[0]) for count in counts))


@computed_from("panoptic_counts(prediction, target, num_classes=2)", SegmentCounts)
def panoptic_quality(
    counts: SegmentCounts, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> PanopticQuality:
    r"""Return the panoptic quality of each class, and its two factors.

    .. math:: PQ = \frac{\sum_{TP} IoU}{TP + \frac12 FP + \frac12 FN} =
        \underbrace{\frac{\sum_{TP} IoU}{TP}}_{SQ} \underbrace{\frac{TP}{TP + \frac12 FP + \frac12 FN}}_{RQ}

    Parameters
    ----------
    counts : SegmentCounts
        From `panoptic_counts` (each class) or `match_instances` (each threshold), added over the images.
    absent : {"skip", "nan"} or float, default "skip"
        The three scores of a class without any segment that counts: nan for ``"skip"`` and ``"nan"``, or a number.
    classes : sequence of int, optional
        The classes to return, in this order. By default all.

    Returns
    -------
    PanopticQuality
        Floating arrays of the shape of the counts. A class without a match has a segmentation quality of 0.

    Notes
    -----
    MONAI adds 1e-6 to the denominators. COCO's per-class table shows 0 for absent classes (``absent=0``), and leaves
    them out of the means, as `mean_panoptic_quality` does.

    References
    ----------
    Kirillov, He, Girshick, Rother and Dollár, "Panoptic segmentation", CVPR (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.SegmentCounts(np.asarray([1.6]), np.asarray([2]), np.asarray([1]), np.asarray([3]))
    >>> metrics.panoptic_quality(counts)
    PanopticQuality(pq=array([0.4]), sq=array([0.8]), rq=array([0.5]))
    """
    return _quality(counts, absent, classes, mean=False)


@computed_from("panoptic_counts(prediction, target, num_classes=2)", SegmentCounts)
def mean_panoptic_quality(
    counts: SegmentCounts, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> PanopticQuality:
    r"""Return the means over the classes of panoptic, segmentation and recognition quality.

    .. math:: \frac{1}{|K|} \sum_{c \in K} PQ_c, \quad \frac{1}{|K|} \sum_{c \in K} SQ_c, \quad
        \frac{1}{|K|} \sum_{c \in K} RQ_c

    Parameters
    ----------
    counts : SegmentCounts
        From `panoptic_counts`, added over the images.
    absent : {"skip", "nan"} or float, default "skip"
        What to do with a class without segments: leave it out of the means (``"skip"``), let it make them nan
        (``"nan"``), or give it this score.
    classes : sequence of int, optional
        The classes that enter the means, for example the things. By default all.

    Returns
    -------
    PanopticQuality
        Floating arrays `()`; the mean PQ is not the product of the other two.

    References
    ----------
    Kirillov, He, Girshick, Rother and Dollár, "Panoptic segmentation", CVPR (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> one, zero = np.asarray([1, 0]), np.asarray([0, 0])
    >>> float(metrics.mean_panoptic_quality(metrics.SegmentCounts(one * 0.75, one, zero, zero)).pq)
    0.75
    """
    return _quality(counts, absent, classes, mean=True)


def _quality(
    counts: SegmentCounts, absent: AbsentScore, classes: Sequence[int] | None, *, mean: bool
) -> PanopticQuality:
    """Return PQ, SQ and RQ of each class, or their means."""

    def quality(backend: Backend, counts: SegmentCounts) -> PanopticQuality:
        score_sum, hits, false_positives, false_negatives = counts
        segments = hits + (false_positives + false_negatives) / 2
        undefined = take_classes(backend, segments == 0, classes)
        scores = [
            Score(take_classes(backend, ratio(backend.xp, numerator, denominator, 0.0), classes), undefined)
            for numerator, denominator in ((score_sum, segments), (score_sum, hits), (hits, segments))
        ]
        return PanopticQuality(*(mean_score(backend.xp, score, absent) if mean else score for score in scores))

    return compute(counts, quality, name="counts", absent=absent, signed=("score_sum",))


def _count(
    xp: Namespace,
    table: Overlaps,
    num_classes: int,
    ignore_index: int | None,
    unmatched: Sequence[int],
    inside: tuple[Overlaps, Overlaps, Overlaps] | None,
) -> tuple[Array, Array, Array, Array]:
    """Return IoU sums, TP, FP and FN of each class."""
    backend = host()
    crowded = table.second[2] > 0
    first_void, second_void = (
        xp.zeros(labels.shape, dtype=xp.bool) if ignore_index is None else equals(host(), labels, ignore_index)
        for labels in (table.first[0], table.second[0])
    )
    # Void pixels belong to no class, whatever their label.
    first_class, second_class = (
        xp.where(void, xp.full_like(labels, num_classes), labels)
        for void, labels in ((first_void, table.first[0]), (second_void, table.second[0]))
    )
    first_class, second_class = (xp.astype(labels, xp.int64, copy=False) for labels in (first_class, second_class))
    same_class = first_class[table.rows] == second_class[table.columns]
    is_segment = ~second_void & ~crowded
    counted = same_class & ~first_void[table.rows] & is_segment[table.columns]

    in_void = second_void[table.columns]
    iou = _iou(xp, table, table, table, in_void)
    if inside is not None:
        iou = xp.minimum(iou, _iou(xp, *inside, in_void))
    free = xp.isin(first_class[table.rows], xp.asarray(unmatched, dtype=first_class.dtype))
    # A pair with more than half of its union in common shares that with no other pair: the match is unique.
    matched = counted & ~free & (iou > 0.5)
    scored = matched | (counted & free)

    forgiven = in_void | (crowded[table.columns] & same_class)
    excused = 2 * table.per_first(xp.where(forgiven, table.counts, xp.zeros_like(table.counts))) > table.first_areas
    is_free = xp.isin(xp.arange(num_classes), xp.asarray(unmatched, dtype=xp.int64))
    hit = xp.astype(matched, xp.int64)
    false_positive = ~first_void & ~excused & (table.per_first(hit) == 0)
    false_negative = is_segment & (table.per_second(hit) == 0)

    def per_class(labels: Array, chosen: Array, weights: Array | None = None) -> Array:
        picked = None if weights is None else weights[chosen]
        return backend.counts.bincount(labels[chosen], length=num_classes, weights=picked)

    nothing = xp.zeros(num_classes, dtype=xp.int64)
    pair_class = first_class[table.rows]
    return (
        per_class(pair_class, scored, iou),
        xp.where(is_free, per_class(second_class, is_segment), per_class(pair_class, matched)),
        xp.where(is_free, nothing, per_class(first_class, false_positive)),
        xp.where(is_free, nothing, per_class(second_class, false_negative)),
    )


def _iou(xp: Namespace, first: Overlaps, second: Overlaps, both: Overlaps, in_void: Array) -> Array:
    """Return the IoU of each pair, from tables of the pixels in the first map, in the second and in both.

    Void pixels do not belong to the union.
    """
    void = first.per_first(xp.where(in_void, first.counts, xp.zeros_like(first.counts)))
    union = (first.first_areas - void)[first.rows] + second.second_areas[second.columns] - both.counts
    return both.counts / nonzero(xp, union)


def _segment_maps(name: str, maps: Sequence[Array]) -> dict[str, Array]:
    classes, instances = check_pair(name, maps, "maps, the class ids and the instance ids")
    return {f"{name}[0]": classes, f"{name}[1]": instances}


def _class_ids(name: str, classes: Sequence[int], num_classes: int) -> Sequence[int]:
    """Return different class ids; there may be none."""
    listed = check_sequence(name, classes, "class ids")
    return check_indices(name, listed, num_classes) if listed else ()


def _instances(xp: Namespace, classes: Array, instances: Array, things: Sequence[int] | None) -> Array:
    """Return the instance ids, with 0 for all pixels of a class that has no instances."""
    if things is None:
        return instances
    return xp.where(xp.isin(classes, xp.asarray(things, dtype=classes.dtype)), instances, xp.zeros_like(instances))


def _refuse_unknown(xp: Namespace, table: Overlaps, num_classes: int, ignore_index: int | None) -> None:
    for name, labels in (("prediction", table.first[0]), ("target", table.second[0])):
        unknown = (labels < 0) | (labels >= num_classes)
        if ignore_index is not None:
            unknown = unknown & ~equals(host(), labels, ignore_index)
        if xp.any(unknown):
            label = int(labels[unknown][0])
            msg = (
                f"`{name}` has the class {label}, outside 0 .. {num_classes - 1}. Pass a larger `num_classes`, or "
                f"`ignore_index={label}` if it marks void pixels."
            )
            raise ValueError(msg)
