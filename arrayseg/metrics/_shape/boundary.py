"""Count the boundary pixels of each class, and score them: boundary IoU, boundary F and trimap IoU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import product
from math import ceil, hypot, prod
from typing import Literal, NamedTuple, TypeAlias

from arrayseg._checks import check_choice, check_flag, check_index, check_indices, check_number, check_static
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend
from arrayseg.imaging.bands import contour, inner_band, outer_band
from arrayseg.imaging.morphology import dilate_ball
from arrayseg.imaging.surface_elements import bounding_box
from arrayseg.metrics._compute import AbsentScore, Score, compute, computed_from, ratio, take_classes
from arrayseg.metrics._inputs import LabelMaps, read_label_maps
from arrayseg.metrics._paragraphs import LABEL_MAPS, MATRIX
from arrayseg.metrics._shape.spatial import spatial_maps

__all__ = ["BoundaryConfusion", "boundary_confusion", "boundary_f", "boundary_iou", "trimap_iou"]

BoundaryDefinition: TypeAlias = Literal["band", "contour", "trimap"]
"""What the boundary of a class is."""


class BoundaryConfusion(NamedTuple):
    """The boundary pixels of each class, and how many match the other map; add them with `arrayseg.metrics.add`.

    Parameters
    ----------
    matched_prediction : array of int
        Integers `(C,)` or `(N, C)`: boundary pixels of the prediction that are on, or near, the target's boundary.
    prediction : array of int
        Boundary pixels of the prediction.
    matched_target : array of int
        Boundary pixels of the target that are on, or near, the prediction's boundary.
    target : array of int
        Boundary pixels of the target.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.asarray([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]])
    >>> metrics.boundary_confusion(target, target, num_classes=2, definition="contour", radius=1).target
    array([3, 3])
    """

    matched_prediction: Array
    prediction: Array
    matched_target: Array
    target: Array


#: Decorates the functions of `BoundaryConfusion`.
boundary_score = computed_from(
    "boundary_confusion(prediction, target, num_classes=2)", BoundaryConfusion, paragraphs=MATRIX
)


@raises_here
@documented(LABEL_MAPS)
def boundary_confusion(
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    definition: BoundaryDefinition = "band",
    ratio: float | None = None,
    radius: int | None = None,
    ignore_index: int | None = None,
    mask: Array | None = None,
    per_image: bool = False,
    classes: Sequence[int] | None = None,
    class_axis: int | None = None,
) -> BoundaryConfusion:
    r"""Count the boundary pixels of each class in prediction and target, and how many of them match.

    .. math:: |P_c \cap T_c|,\ |P_c|,\ |T_c| \quad \text{(band, trimap)}, \qquad
        |\{p \in P_c : d(p, T_c) \le r\}|,\ |P_c|,\ |\{t \in T_c : d(t, P_c) \le r\}|,\ |T_c| \quad \text{(contour)}

    with P and T the boundaries of class c. Counts of several batches, files or processes add, with
    `arrayseg.metrics.add`.

    Parameters
    ----------
    {prediction_or_scores}
    {target_images}
    num_classes : int
        The number of classes, C. Labels are 0 to C - 1. Every class has its own boundary, against all other labels.
    definition : {"band", "contour", "trimap"}, default "band"
        ``"band"``, for `boundary_iou`: the pixels of the class that `radius` erosions by a 3 x 3 square remove. The
        edge of the image is a boundary. ``"contour"``, for `boundary_f`: the pixels that differ from their neighbor to
        the right, below, or both, matched within the distance `radius`. The edge of the image is no boundary.
        ``"trimap"``, for `trimap_iou`: the pixels of the class at most `radius` from another label of the target.
    ratio : float, optional
        The radius as a share of the diagonal of the image. For ``"band"`` the default is 0.02, as for COCO and LVIS
        (Cityscapes has 0.005), and the radius is rounded to a whole number of at least 1. For ``"contour"`` the
        default is 0.008, as in DAVIS. For ``"contour"`` and ``"trimap"`` the radius is rounded up.
    radius : int, optional
        The radius in pixels, instead of `ratio`. ``"trimap"`` needs one of the two.
    ignore_index : int, optional
        Label of void pixels in the target. They count nowhere, and there is no boundary at their border, except for
        ``"trimap"``, which treats void as a label like others.
    {mask_like_void}
    per_image : bool, default False
        Whether each image of the batch (axis 0) has its own counts.
    classes : sequence of int, optional
        The classes to count, in this order, such as ``range(1, num_classes)`` without the background. By default all.
        The band of ``"trimap"`` lies at the borders of all classes in any case.
    {class_axis}

    Returns
    -------
    BoundaryConfusion
        Integers `(K,)` of K classes, or `(N, K)` if `per_image`.

    Raises
    ------
    {errors}

    Notes
    -----
    ``"band"`` counts each class as boundary-iou-api does. Detectron2 erodes the label map itself, so one class of each
    pair loses its boundary. ``"contour"`` counts as ``db_eval_boundary`` of DAVIS does.

    References
    ----------
    Cheng, Girshick, Dollar, Berg, Kirillov, "Boundary IoU: improving object-centric image segmentation
    evaluation", CVPR 2021. Perazzi and others, "A benchmark dataset and evaluation methodology for video object
    segmentation", CVPR 2016. Kohli, Ladicky, Torr, "Robust higher order potentials for enforcing label consistency",
    IJCV 82 (2009) (trimap).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.zeros((1, 6, 8), dtype=np.uint8)
    >>> target[:, 1:5, 1:6] = 1
    >>> prediction = np.roll(target, 1, axis=2)
    >>> counts = metrics.boundary_confusion(prediction, target, num_classes=2, radius=1)
    >>> metrics.boundary_iou(counts)
    array([0.75, 0.4 ])
    """
    check_choice("definition", definition, BoundaryDefinition)
    per_image = check_flag("per_image", per_image)
    maps = read_label_maps(
        prediction,
        target,
        num_classes=num_classes,
        ignore_index=ignore_index,
        mask=mask,
        per_image=True,
        class_axis=class_axis,
    )
    radius = _radius(definition, ratio, radius, tuple(target.shape)[1:])
    chosen = range(maps.num_classes) if classes is None else check_indices("classes", classes, maps.num_classes)
    backend = maps.backend
    with backend.enable_64_bits(maps.prediction, maps.target, maps.mask):
        counts = _count(maps, target, definition, radius, chosen)
        return BoundaryConfusion(*(count if per_image else backend.xp.sum(count, axis=0) for count in counts))


@boundary_score
def boundary_iou(
    counts: BoundaryConfusion, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return the boundary IoU of each class, the intersection over union of the bands inside its boundaries.

    .. math:: \frac{|P_c \cap T_c|}{|P_c \cup T_c|}

    Parameters
    ----------
    counts : BoundaryConfusion
        From `boundary_confusion` with ``definition="band"``.
    absent : {"skip", "nan"} or float, default "skip"
        The score of a class without a boundary in either map: nan for ``"skip"`` and ``"nan"``, or a number.
    {classes_scores}

    Returns
    -------
    {scores}

    Notes
    -----
    For objects, boundary-iou-api returns the minimum of this score and the IoU of the whole masks.

    References
    ----------
    Cheng, Girshick, Dollar, Berg, Kirillov, "Boundary IoU: improving object-centric image segmentation
    evaluation", CVPR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.BoundaryConfusion(*map(np.asarray, ([3, 0], [4, 0], [3, 0], [5, 0])))
    >>> metrics.boundary_iou(counts)
    array([0.5, nan])
    """
    return _score(_intersection_over_union, counts, absent, classes)


@boundary_score
def trimap_iou(
    counts: BoundaryConfusion, *, absent: AbsentScore = "skip", classes: Sequence[int] | None = None
) -> Array:
    r"""Return the trimap IoU of each class, the IoU in a band across the boundaries of the target.

    .. math:: \frac{|B \cap P_c \cap T_c|}{|B \cap (P_c \cup T_c)|}

    with B the pixels at most a radius from another label of the target.

    Parameters
    ----------
    counts : BoundaryConfusion
        From `boundary_confusion` with ``definition="trimap"``.
    absent : {"skip", "nan"} or float, default "skip"
        The score of a class that occurs in the band of neither map: nan for ``"skip"`` and ``"nan"``, or a number.
    {classes_scores}

    Returns
    -------
    {scores}

    References
    ----------
    Kohli, Ladicky, Torr, "Robust higher order potentials for enforcing label consistency", IJCV 82 (2009).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.asarray([[[0, 0, 0, 1, 1, 1]]])
    >>> prediction = np.asarray([[[0, 0, 1, 1, 1, 0]]])
    >>> counts = metrics.boundary_confusion(prediction, target, num_classes=2, definition="trimap", radius=1)
    >>> metrics.trimap_iou(counts)
    array([0. , 0.5])
    """
    return _score(_intersection_over_union, counts, absent, classes)


@boundary_score
def boundary_f(
    counts: BoundaryConfusion,
    *,
    beta: float = 1.0,
    absent: AbsentScore = "skip",
    classes: Sequence[int] | None = None,
) -> Array:
    r"""Return the boundary F measure of each class, from contours that match within a distance.

    .. math:: F_\beta = \frac{(1 + \beta^2) P R}{\beta^2 P + R}, \quad
        P = \frac{|\{p \in P_c : d(p, T_c) \le r\}|}{|P_c|}, \quad R = \frac{|\{t \in T_c : d(t, P_c) \le r\}|}{|T_c|}

    Parameters
    ----------
    counts : BoundaryConfusion
        From `boundary_confusion` with ``definition="contour"``.
    beta : float, default 1.0
        The weight of recall against precision.
    absent : {"skip", "nan"} or float, default "skip"
        The score of a class without a contour in either map: nan for ``"skip"`` and ``"nan"``, or a number. If only
        one map has a contour, the score is 0.
    {classes_scores}

    Returns
    -------
    {scores}

    Notes
    -----
    DAVIS computes F for class 1 of each frame (``per_image=True``) with ``absent=1``, and averages it over the frames.
    Counts that are added first give the F measure of all contours together.

    References
    ----------
    Martin, Fowlkes, Malik, "Learning to detect natural image boundaries using local brightness, color, and
    texture cues", IEEE TPAMI 26 (2004). Perazzi and others, "A benchmark dataset and evaluation methodology for video
    object segmentation", CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.BoundaryConfusion(*map(np.asarray, ([3], [4], [3], [6])))
    >>> metrics.boundary_f(counts)
    array([0.6])
    """
    beta = check_number("beta", beta, 0, above=True)
    return _score(partial(_f_measure, beta), counts, absent, classes)


def _radius(definition: str, share: float | None, radius: int | None, shape: tuple[int, ...]) -> int:
    """Return the radius in pixels, after checking the options."""
    if radius is not None:
        if share is not None:
            msg = f"Pass either `ratio` or a `radius` in pixels; got {share} and {radius}."
            raise ValueError(msg)
        return check_index("radius", radius, 0)
    check_static("ratio", share)
    share = _SHARES[definition] if share is None else check_number("ratio", share)
    if share is None or not share > 0:
        msg = f"The definition {definition!r} needs a `radius` in pixels or a positive `ratio`; got ratio {share}."
        raise ValueError(msg)
    length = share * hypot(*shape)
    # Rounding may turn 7 into 7.000000000000001, which must not become 8.
    return max(1, round(length)) if definition == "band" else ceil(length * (1 - 1e-12))


_SHARES = {"band": 0.02, "contour": 0.008, "trimap": None}


def _count(maps: LabelMaps, target: Array, definition: str, radius: int, classes: Sequence[int]) -> list[Array]:
    """Return the four counts `(N, K)` of K classes."""
    worker, prediction, target, valid = spatial_maps(maps, target)
    xp = worker.xp
    dtype, axes = worker.count_dtype(target), tuple(range(1, target.ndim))
    if valid is None:
        valid = xp.ones_like(target, dtype=xp.bool)
    match = _MATCH[definition]
    where = valid & _trimap(xp, target, maps.num_classes, radius) if definition == "trimap" else valid

    # Contours are matched within their common box, which is smaller for fewer images: take an eighth of a block.
    blocks = _image_blocks(worker, where, parts=8 if definition == "contour" else 1)

    def count(item: tuple[int, slice]) -> Array:
        label, images = item
        regions = [labels[images, ...] == label for labels in (prediction, target)]
        matched = match(worker, regions[0], regions[1], where[images, ...], radius)
        return xp.stack([xp.sum(xp.astype(pixels, dtype), axis=axes) for pixels in matched])

    items = worker.parallel_map(count, list(product(classes, blocks)))
    of_blocks = [xp.stack(items[block :: len(blocks)], axis=-1) for block in range(len(blocks))]
    counts = xp.concat(of_blocks, axis=1)
    if worker is not maps.backend:
        counts = maps.backend.asarray(counts, dtype=maps.backend.count_dtype(maps.target), like=maps.target)
    return [counts[kind, ...] for kind in range(4)]


def _image_blocks(backend: Backend, mask: Array, parts: int) -> list[slice]:
    """Return slices of the images, each of at least one image and about 1 / `parts` of the adapter's block."""
    images, size = mask.shape[0], backend.block_bytes(mask)
    step = max(1, images if size is None else size // parts // max(1, prod(mask.shape[1:])))
    return [slice(start, min(start + step, images)) for start in range(0, images, step)] or [slice(0, 0)]


def _match_bands(
    backend: Backend, prediction: Array, target: Array, valid: Array, radius: int
) -> tuple[Array, Array, Array, Array]:
    xp = backend.xp
    first, second = (inner_band(xp, region, valid, radius) & valid for region in (prediction, target))
    return first & second, first, first & second, second


def _match_contours(
    backend: Backend, prediction: Array, target: Array, valid: Array, radius: int
) -> tuple[Array, Array, Array, Array]:
    xp = backend.xp
    first, second = contour(xp, prediction, valid), contour(xp, target, valid)
    if backend.is_concrete(first, second) and first.shape[0]:
        # Only pixels of the two contours can match, so their common box is enough.
        box = (slice(None), *bounding_box(backend, first | second)[1:])
        first, second = first[box], second[box]
    axes = range(1, target.ndim)
    near_first, near_second = (dilate_ball(xp, line, radius, axes) for line in (first, second))
    return first & near_second, first, second & near_first, second


def _match_regions(
    backend: Backend, prediction: Array, target: Array, band: Array, radius: int
) -> tuple[Array, Array, Array, Array]:
    first, second = prediction & band, target & band
    return first & second, first, first & second, second


_MATCH = {"band": _match_bands, "contour": _match_contours, "trimap": _match_regions}


def _trimap(xp: Namespace, target: Array, num_classes: int, radius: int) -> Array:
    """Return the pixels of all classes that are at most `radius` from another label."""
    bands = (outer_band(xp, target == label, radius) for label in range(num_classes))
    return reduce(xp.logical_or, bands)


def _score(
    formula: Callable[[Namespace, Array, Array, Array, Array], Array],
    counts: BoundaryConfusion,
    absent: AbsentScore,
    classes: Sequence[int] | None,
) -> Array:
    """Return a formula of the four counts of each class; undefined where neither map has a boundary."""

    def score(backend: Backend, counts: BoundaryConfusion) -> Score:
        numbers = [take_classes(backend, count, classes) for count in counts]
        return Score(formula(backend.xp, *numbers), numbers[1] + numbers[3] == 0)

    result: Array = compute(counts, score, name="counts", absent=absent)
    return result


def _intersection_over_union(
    xp: Namespace, matched_prediction: Array, prediction: Array, matched_target: Array, target: Array
) -> Array:
    return ratio(xp, matched_prediction, prediction + target - matched_prediction, 0.0)


def _f_measure(
    beta: float, xp: Namespace, matched_prediction: Array, prediction: Array, matched_target: Array, target: Array
) -> Array:
    # 0 / 0 is 0: a map without a contour matches nothing of the other contour.
    precision, recall = ratio(xp, matched_prediction, prediction, 0.0), ratio(xp, matched_target, target, 0.0)
    return ratio(xp, (1 + beta**2) * precision * recall, beta**2 * precision + recall, 0.0)
