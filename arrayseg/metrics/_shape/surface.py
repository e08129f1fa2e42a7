"""Distances between the surfaces of two masks, measured once, and the metrics that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf, nan
from typing import Any, Literal, NamedTuple, TypeAlias

from arrayseg._checks import (
    as_number,
    check_choice,
    check_connectivity,
    check_flag,
    check_indices,
    check_number,
    check_numbers,
    check_spacing,
    check_static,
    is_several,
    shown,
)
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, common_backend
from arrayseg.backends.masks import select
from arrayseg.imaging.surface_elements import (
    bounding_box,
    corner_sizes,
    corner_surface,
    label_boxes,
    surface_element_sizes,
    voxel_surface,
)
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._inputs import LabelMaps, read_label_maps
from arrayseg.metrics._shape.spatial import spatial_maps

__all__ = [
    "SurfaceDistances",
    "average_hausdorff",
    "average_surface_distance",
    "average_symmetric_surface_distance",
    "hausdorff",
    "mean_average_surface_distance",
    "modified_hausdorff",
    "surface_dice",
    "surface_distance_deviation",
    "surface_distances",
    "surface_overlap",
    "surface_table",
]

Definition: TypeAlias = Literal["voxel", "surface_element", "corner", "points"]
"""What the surface of a mask is."""

COUNTING = "surface_distances(prediction, target)"

# A distance is within a limit up to a millionth of it: 3 x 0.1 is then 0.3, and a step of 0.1 that a file header or a
# backend holds in float32, 0.10000000149, is 0.1, whatever the dtype of the distances. Shares of a surface likewise.
ROUNDING = 1e-6

Case: TypeAlias = Literal["both", "prediction", "target"]
"""Which masks are empty."""

Empty: TypeAlias = Mapping[Case, float | Literal["error"]]
"""What a metric is of two empty masks, of an empty prediction, of an empty target."""

# Nothing is to be found and nothing is found: no number says how well. A surface is missed: as bad as can be.
_DISTANCE: Empty = {"both": nan, "prediction": inf, "target": inf}
_OVERLAP: Empty = {"both": nan, "prediction": 0.0, "target": 0.0}


class SurfaceDistances(NamedTuple):
    """The distances between two surfaces, element by element, and how much surface each element is.

    Parameters
    ----------
    prediction_to_target
        Floating array `(P,)`: of each element of the prediction's surface, the distance to the target's, in the units
        of the spacing; inf if the target is empty. Under a compiler, which has no shape that depends on values, the
        array is as long as the image, and nan where there is no surface.
    target_to_prediction
        Floating array `(T,)`, likewise of the target's surface.
    prediction_sizes, target_sizes
        Floating arrays `(P,)` and `(T,)`, the length or area of each element, in the same order; None for definitions
        in which every element counts one.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> prediction, target = np.eye(3, dtype=bool), np.zeros((3, 3), dtype=bool)
    >>> target[0, 0] = True
    >>> metrics.surface_distances(prediction, target).prediction_to_target
    array([0.        , 1.41421356, 2.82842712])
    """

    prediction_to_target: Array
    target_to_prediction: Array
    prediction_sizes: Array | None = None
    target_sizes: Array | None = None


@raises_here
def surface_distances(
    prediction: Array,
    target: Array,
    *,
    spacing: float | Sequence[float] | None = None,
    definition: Definition = "voxel",
    connectivity: int = 1,
    edge_is_background: bool = True,
    mask: Array | None = None,
) -> SurfaceDistances:
    r"""Distances between the surfaces of two masks, from each element of one to the nearest of the other.

    .. math:: d(p, T) = \min_{t \in T} \lVert s \odot (p - t) \rVert_2

    with P and T the surfaces and s the spacing. The distances are exact. Every surface metric is a function of them.

    Parameters
    ----------
    prediction, target
        Boolean arrays `(*spatial)` of one shape, with 1 to 3 axes (2 or 3 for ``"surface_element"`` and ``"corner"``).
    spacing
        Distance between neighbouring voxels along each axis, or one number for all axes, in any unit, which is then
        that of the distances; None for 1.
    definition
        What the surface is. ``"voxel"`` (default): the centres of the voxels that an erosion removes, each counting
        one. ``"surface_element"``: the corners between voxels at which True and False meet, each with the length or
        area of the marching-cubes surface there. ``"corner"``: the same corners, each with the length or area of the
        voxel faces that belongs to it. ``"points"``: all True voxels, each counting one.
    connectivity
        For ``"voxel"``: how many coordinates of neighbours may differ, 1 (default: neighbours by a face) to the number
        of axes (by a corner too). A True voxel with a False neighbour is on the surface.
    edge_is_background
        Whether voxels beyond the edge of the image count as False, so that a mask that ends there has a surface there.
    mask
        Boolean array of the same shape, True where voxels are known. Others belong to neither mask, and where they
        begin there is no surface; None: all are known.

    Returns
    -------
    SurfaceDistances
        Arrays of the library and on the device of the masks, float64 where there is one.

    Raises
    ------
    ValueError
        If shapes, spacing or options do not fit.
    TypeError
        If libraries are mixed, or masks are not boolean.

    Notes
    -----
    ``"voxel"`` is MONAI, medpy and MetricsReloaded (which ignores its ``connectivity``); seg-metrics is ``"voxel"``
    with ``connectivity=ndim, edge_is_background=False``. ``"surface_element"`` is DeepMind's surface-distance, with the
    same lengths and areas, here derived from the geometry (see References). ``"corner"`` is DisTorch. ``"points"`` is
    the Hausdorff distance of point sets, as in scikit-image. A convention that they share: an element lies at the
    centre of its voxel, or at the corner, not on the marching-cubes surface itself.

    Masks are cropped to the box of both. NumPy, and PyTorch and JAX on the CPU, look for the nearest elements near by
    and use SciPy's distance transform, where it is installed, for those far away; under a compiler and on a GPU it is a
    distance transform on the device.

    References
    ----------
    Nikolov and others, "Deep learning to achieve clinically applicable segmentation of head and neck anatomy for
    radiotherapy", arXiv:1809.04430 (surface elements). Lorensen, Cline, "Marching cubes", SIGGRAPH 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.zeros((6, 8), dtype=bool)
    >>> target[1:4, 1:5] = True
    >>> prediction = np.roll(target, 1, axis=1)
    >>> distances = metrics.surface_distances(prediction, target, spacing=(2.0, 0.5))
    >>> metrics.hausdorff(distances)
    np.float64(0.5)
    """
    backend = common_backend(prediction=prediction, target=target, mask=mask)
    spacing, connectivity = _check(backend, prediction, target, mask, spacing, definition, connectivity)
    edge_is_background = check_flag("edge_is_background", edge_is_background)
    masks = [prediction, target] if mask is None else [prediction, target, mask]
    concrete = backend.is_concrete(*masks)
    worker, views = backend.shared_view(*masks) if concrete else (backend, tuple(masks))
    valid = None if mask is None else views[2]
    first, second = (view if valid is None else view & valid for view in views[:2])
    if concrete:
        for step in spacing:
            check_static("spacing", step)
        box = bounding_box(worker, first | second)
        first, second, valid = first[box], second[box], None if valid is None else valid[box]
    surfaces = worker.parallel_map(
        lambda region: _surface(worker, region, valid, spacing, definition, connectivity, edge_is_background),
        [first, second],
    )
    (points_p, sizes_p), (points_t, sizes_t) = surfaces
    distances = worker.parallel_map(
        lambda pair: worker.masks.nearest_distances(*pair, spacing=spacing),
        [(points_p, points_t), (points_t, points_p)],
    )
    sizes = [
        None if sizes is None else select(worker, sizes, points)
        for points, sizes in ((points_p, sizes_p), (points_t, sizes_t))
    ]
    result = SurfaceDistances(*distances, *sizes)
    return result if worker is backend else _moved(result, backend, prediction)


@computed_from(COUNTING, SurfaceDistances)
def hausdorff(
    distances: SurfaceDistances,
    *,
    percentile: float | Sequence[float] = 100.0,
    combine: Literal["max", "pooled", "prediction", "target"] = "max",
    interpolation: Literal["linear", "weighted"] | None = None,
    empty: Empty | None = None,
) -> Array:
    r"""Hausdorff distance, or a percentile of the surface distances.

    .. math:: \max\Big(\max_{p \in P} d(p, T),\ \max_{t \in T} d(t, P)\Big), \qquad
        HD_q = \max\big(Q_q\{d(p, T)\},\ Q_q\{d(t, P)\}\big)

    Parameters
    ----------
    distances
        Of the two surfaces, from `surface_distances`.
    percentile
        100 (default): the largest distance; 95 for HD95; any number from 0 to 100; or a sequence of them.
    combine
        ``"max"`` (default): the larger of the percentiles of the two directions. ``"pooled"``: the percentile of the
        distances of both directions together. ``"prediction"``, ``"target"``: one direction, from that surface.
    interpolation
        ``"linear"``: between the two nearest ranks, as ``numpy.percentile``; every element counts one. ``"weighted"``:
        the least distance up to which there is at least so much of the surface, by the sizes of the elements, with the
        rounding of a millionth allowed for. None (default): ``"weighted"`` where the definition of the surface has
        sizes, else ``"linear"``.
    empty
        What it is of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one; inf)
        and ``"target"`` (inf) to a number or to ``"error"``; those not in it keep their default. See Notes.

    Returns
    -------
    Array
        Floating array `()`, or `(K,)` of K percentiles, in the units of the spacing.

    Raises
    ------
    ValueError
        If options are wrong, or if a mask is empty for which `empty` says ``"error"`` (nan under a compiler).

    Notes
    -----
    HD95 differs between libraries by the percentile alone: MONAI and MetricsReloaded take the larger one of two linear
    ones, which is the default here; medpy, panoptica and seg-metrics ``combine="pooled"``; DeepMind the larger one of
    two weighted ones, of surface elements; DisTorch gives two linear ones of corners.

    Of an empty and a non-empty mask: MONAI gives inf, but nan for a percentile; medpy raises; seg-metrics 0;
    MetricsReloaded nan. Of two empty masks: nan in MONAI, 0 in MetricsReloaded and MeshMetrics, inf in DeepMind's.

    References
    ----------
    Huttenlocher, Klanderman, Rucklidge, "Comparing images using the Hausdorff distance", IEEE TPAMI 15 (1993).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.hausdorff(distances)
    np.float64(3.0)
    >>> metrics.hausdorff(distances, percentile=50)
    np.float64(1.0)
    >>> metrics.hausdorff(distances, percentile=50, combine="pooled")
    np.float64(1.0)
    """
    check_choice("combine", combine, ("max", "pooled", "prediction", "target"))
    check_choice("interpolation", interpolation, ("linear", "weighted", None))
    check_static("percentile", percentile)
    percentiles = _one_or_several("percentile", percentile, 100.0)

    def score(xp: Namespace, prediction: _Side, target: _Side) -> Array:
        chosen = {
            "max": (prediction, target),
            "pooled": (_pool(xp, prediction, target),),
            "prediction": (prediction,),
            "target": (target,),
        }[combine]
        weighted = distances.prediction_sizes is not None if interpolation is None else interpolation == "weighted"
        sides = [_of_each(xp, partial(_percentile, xp, side, weighted), percentiles) for side in chosen]
        return xp.max(xp.stack(sides), axis=0)

    return _evaluate(distances, score, _DISTANCE, empty)


@computed_from(COUNTING, SurfaceDistances)
def average_surface_distance(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Average surface distances of the two directions (ASD).

    .. math:: \Big(\frac{\sum_{p \in P} w_p\, d(p, T)}{\sum_{p \in P} w_p},\
        \frac{\sum_{t \in T} w_t\, d(t, P)}{\sum_{t \in T} w_t}\Big)

    with w the sizes of the elements, or 1.

    Parameters
    ----------
    distances
        Of the two surfaces, from `surface_distances`.
    empty
        What both are of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one;
        inf) and ``"target"`` (inf) to a number or to ``"error"``.

    Returns
    -------
    Array
        Floating array `(2,)`: from the prediction to the target, and back.

    Notes
    -----
    The first is medpy's ``asd`` and MONAI's ``SurfaceDistanceMetric`` with its default ``symmetric=False``. DeepMind's
    pair has the other order, and nan for the direction from an empty mask.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.average_surface_distance(distances)
    array([1.33333333, 1.        ])
    """
    return _evaluate(distances, _two_means, _DISTANCE, empty)


@computed_from(COUNTING, SurfaceDistances)
def average_symmetric_surface_distance(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Average symmetric surface distance (ASSD): the mean over the elements of both surfaces.

    .. math:: \frac{\sum_{p \in P} w_p\, d(p, T) + \sum_{t \in T} w_t\, d(t, P)}
        {\sum_{p \in P} w_p + \sum_{t \in T} w_t}

    with w the sizes of the elements, or 1.

    Parameters
    ----------
    distances
        Of the two surfaces, from `surface_distances`.
    empty
        What it is of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one; inf)
        and ``"target"`` (inf) to a number or to ``"error"``.

    Returns
    -------
    Array
        Floating array `()`, in the units of the spacing.

    Notes
    -----
    As in medpy, MetricsReloaded and MONAI with ``symmetric=True``. What panoptica calls ASSD is
    `mean_average_surface_distance`.

    References
    ----------
    Heimann and others, "Comparison and evaluation of methods for liver segmentation from CT datasets", IEEE TMI 28
    (2009).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.average_symmetric_surface_distance(distances)
    np.float64(1.2)
    """
    return _evaluate(distances, lambda xp, *sides: _mean(xp, _pool(xp, *sides)), _DISTANCE, empty)


@computed_from(COUNTING, SurfaceDistances)
def mean_average_surface_distance(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Mean average surface distance (MASD): the mean of the averages of the two directions.

    .. math:: \frac{1}{2} \Big(\frac{\sum_{p \in P} w_p\, d(p, T)}{\sum_{p \in P} w_p} +
        \frac{\sum_{t \in T} w_t\, d(t, P)}{\sum_{t \in T} w_t}\Big)

    with w the sizes of the elements, or 1.

    Parameters
    ----------
    distances
        Of the two surfaces, from `surface_distances`.
    empty
        What it is of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one; inf)
        and ``"target"`` (inf) to a number or to ``"error"``.

    Returns
    -------
    Array
        Floating array `()`, in the units of the spacing.

    Notes
    -----
    Both surfaces weigh the same, however large. Panoptica calls this ASSD.

    References
    ----------
    Benes, Zitova, "Performance evaluation of image segmentation algorithms on microscopic image data", Journal of
    Microscopy 257 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.mean_average_surface_distance(distances)
    np.float64(1.1666666666666665)
    """
    return _evaluate(distances, lambda xp, *sides: xp.mean(_two_means(xp, *sides)), _DISTANCE, empty)


@computed_from(COUNTING, SurfaceDistances)
def modified_hausdorff(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Modified Hausdorff distance: the larger one of the averages of the two directions.

    .. math:: \max\Big(\frac{\sum_{p \in P} w_p\, d(p, T)}{\sum_{p \in P} w_p},\
        \frac{\sum_{t \in T} w_t\, d(t, P)}{\sum_{t \in T} w_t}\Big)

    with w the sizes of the elements, or 1.

    Parameters
    ----------
    distances
        Of the two surfaces, from `surface_distances`; of point sets with ``definition="points"``.
    empty
        What it is of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one; inf)
        and ``"target"`` (inf) to a number or to ``"error"``.

    Returns
    -------
    Array
        Floating array `()`, in the units of the spacing.

    Notes
    -----
    With ``definition="points"`` and no spacing it is scikit-image's ``hausdorff_distance(method="modified")``.

    References
    ----------
    Dubuisson, Jain, "A modified Hausdorff distance for object matching", ICPR 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.modified_hausdorff(distances)
    np.float64(1.3333333333333333)
    """
    return _evaluate(distances, lambda xp, *sides: xp.max(_two_means(xp, *sides)), _DISTANCE, empty)


@computed_from(COUNTING, SurfaceDistances)
def average_hausdorff(distances: SurfaceDistances, *, balanced: bool = False, empty: Empty | None = None) -> Array:
    r"""Average Hausdorff distance, or the balanced one, in which both directions are divided by the target.

    .. math:: AHD = \frac{1}{2} \Big(\frac{\sum_p w_p\, d(p, T)}{\sum_p w_p} +
        \frac{\sum_t w_t\, d(t, P)}{\sum_t w_t}\Big),
        \qquad bAHD = \frac{1}{2} \cdot \frac{\sum_p w_p\, d(p, T) + \sum_t w_t\, d(t, P)}{\sum_t w_t}

    with w the sizes of the elements, or 1.

    Parameters
    ----------
    distances
        Of the two point sets, from `surface_distances` with ``definition="points"``, in the papers.
    balanced
        Whether both sums are divided by the size of the target, so that a prediction does not improve by growing.
    empty
        What it is of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one; inf)
        and ``"target"`` (inf) to a number or to ``"error"``.

    Returns
    -------
    Array
        Floating array `()`, in the units of the spacing.

    Notes
    -----
    Unbalanced, it is the formula of `mean_average_surface_distance`, of points instead of surfaces. In
    EvaluateSegmentation the average distance is the larger one of the two averages: `modified_hausdorff`.

    References
    ----------
    Aydin and others, "On the usage of average Hausdorff distance for segmentation performance assessment: hidden error
    when used for ranking", European Radiology Experimental 5 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.average_hausdorff(distances, balanced=True)
    np.float64(1.5)
    """
    balanced = check_flag("balanced", balanced)

    def score(xp: Namespace, prediction: _Side, target: _Side) -> Array:
        if not balanced:
            return xp.mean(_two_means(xp, prediction, target))
        both = _pool(xp, prediction, target)
        return 0.5 * xp.sum(both.values * both.sizes) / _nonzero(xp, xp.sum(target.sizes))

    return _evaluate(distances, score, _DISTANCE, empty)


@computed_from(COUNTING, SurfaceDistances)
def surface_distance_deviation(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Standard deviation of the distances of both surfaces together.

    .. math:: \sqrt{\frac{\sum_i w_i (d_i - \bar d)^2}{\sum_i w_i}}

    with :math:`\bar d` the average symmetric surface distance and w the sizes of the elements, or 1.

    Parameters
    ----------
    distances
        Of the two surfaces, from `surface_distances`.
    empty
        What it is of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one; inf)
        and ``"target"`` (inf) to a number or to ``"error"``.

    Returns
    -------
    Array
        Floating array `()`, in the units of the spacing.

    Notes
    -----
    Divided by the number of elements, not by one less: seg-metrics' ``stdsd``. The median, its ``mdsd``, is
    ``hausdorff(distances, percentile=50, combine="pooled")``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 2.0, 2.0]), np.asarray([0.0]))
    >>> metrics.surface_distance_deviation(distances)
    np.float64(1.0)
    """

    def score(xp: Namespace, prediction: _Side, target: _Side) -> Array:
        both = _pool(xp, prediction, target)
        deviations = (both.values - _mean(xp, both)) ** 2
        return xp.sqrt(_mean(xp, _Side(deviations, both.sizes, both.counts)))

    return _evaluate(distances, score, _DISTANCE, empty)


@computed_from(COUNTING, SurfaceDistances)
def surface_dice(
    distances: SurfaceDistances,
    tolerance: float | Sequence[float],
    *,
    average: Literal["pooled", "mean"] = "pooled",
    empty: Empty | None = None,
) -> Array:
    r"""Surface Dice, also normalised surface distance (NSD): the share of both surfaces that is near the other one.

    .. math:: \frac{\sum_{p : d(p, T) \le \tau} w_p + \sum_{t : d(t, P) \le \tau} w_t}{\sum_p w_p + \sum_t w_t}

    with w the sizes of the elements, or 1.

    Parameters
    ----------
    distances
        Of the two surfaces, from `surface_distances`.
    tolerance
        The largest distance that counts as near, in the units of the spacing; or a sequence of them. A distance that
        equals it up to rounding is near: up to a millionth more, on every backend, whatever the dtype.
    average
        ``"pooled"`` (default): the share of both surfaces together, as above. ``"mean"``: the mean of their two shares.
    empty
        What it is of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one; 0) and
        ``"target"`` (0) to a number or to ``"error"``.

    Returns
    -------
    Array
        Floating array `()`, or `(K,)` of K tolerances; from 0 to 1.

    Raises
    ------
    ValueError
        If a tolerance is negative, an option is wrong, or a mask is empty for which `empty` says ``"error"``.

    Notes
    -----
    With ``definition="surface_element"`` it is DeepMind's, pymia's and MONAI's with ``use_subvoxels=True``; with
    ``"voxel"`` MONAI's and MetricsReloaded's. Panoptica's is ``average="mean"``. Of two empty masks MetricsReloaded has
    1.

    References
    ----------
    Nikolov and others, "Deep learning to achieve clinically applicable segmentation of head and neck anatomy for
    radiotherapy", arXiv:1809.04430.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.surface_dice(distances, 1.0)
    np.float64(0.6)
    >>> metrics.surface_dice(distances, [0.0, 1.0, 2.0])
    array([0.4, 0.6, 0.8])
    """
    check_choice("average", average, ("pooled", "mean"))
    tolerances = _one_or_several("tolerance", tolerance)

    def score(xp: Namespace, prediction: _Side, target: _Side) -> Array:
        if average == "mean":
            return (_shares(xp, prediction, tolerances) + _shares(xp, target, tolerances)) / 2
        return _shares(xp, _pool(xp, prediction, target), tolerances)

    return _evaluate(distances, score, _OVERLAP, empty)


@computed_from(COUNTING, SurfaceDistances)
def surface_overlap(
    distances: SurfaceDistances, tolerance: float | Sequence[float], *, empty: Empty | None = None
) -> Array:
    r"""Surface overlap: the share of each surface that is near the other one.

    .. math:: \Big(\frac{\sum_{p : d(p, T) \le \tau} w_p}{\sum_p w_p},\
        \frac{\sum_{t : d(t, P) \le \tau} w_t}{\sum_t w_t}\Big)

    with w the sizes of the elements, or 1.

    Parameters
    ----------
    distances
        Of the two surfaces, from `surface_distances`.
    tolerance
        The largest distance that counts as near, in the units of the spacing; or a sequence of them. A distance that
        equals it up to rounding is near: up to a millionth more, on every backend, whatever the dtype.
    empty
        What both are of empty masks: a mapping from ``"both"`` (default nan), ``"prediction"`` (the only empty one; 0)
        and ``"target"`` (0) to a number or to ``"error"``.

    Returns
    -------
    Array
        Floating array `(2,)`, or `(2, K)` of K tolerances: of the prediction's surface (a precision), and of the
        target's (a recall).

    Raises
    ------
    ValueError
        If a tolerance is negative, or a mask is empty for which `empty` says ``"error"``.

    Notes
    -----
    DeepMind's pair has the other order, and nan for an empty mask.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.surface_overlap(distances, 1.0)
    array([0.66666667, 0.5       ])
    """
    tolerances = _one_or_several("tolerance", tolerance)

    def score(xp: Namespace, *sides: _Side) -> Array:
        return xp.stack([_shares(xp, side, tolerances) for side in sides])

    return _evaluate(distances, score, _OVERLAP, empty)


@raises_here
def surface_table(
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    metrics: Mapping[str, Callable[[SurfaceDistances], Array]] | None = None,
    spacing: float | Sequence[float] | None = None,
    definition: Definition = "voxel",
    connectivity: int = 1,
    edge_is_background: bool = True,
    ignore_index: int | None = None,
    mask: Array | None = None,
    classes: Sequence[int] | None = None,
    class_axis: int | None = None,
) -> dict[str, Array]:
    r"""Surface metrics of each class in each image of label maps.

    .. math:: S_{nc} = s\big(\{i : \text{prediction}_{ni} = c\}, \{i : \text{target}_{ni} = c\}\big)

    Parameters
    ----------
    prediction
        Class ids of `target`'s shape, or scores with one axis more, as `confusion_matrix` takes them.
    target
        Class ids `(N, *spatial)` with 2 or 3 spatial axes, of any integer dtype or boolean.
    num_classes
        C, the number of classes; labels are 0 to C - 1.
    metrics
        What to measure: names, and functions of `SurfaceDistances`, such as
        ``{"nsd": functools.partial(surface_dice, tolerance=2.0)}``. None: ``"hausdorff"``, ``"hausdorff_95"`` and
        ``"average_symmetric_surface_distance"``, with their defaults. The functions get NumPy arrays where the maps are
        in its memory.
    spacing, definition, connectivity, edge_is_background
        As in `surface_distances`.
    ignore_index
        The id of void pixels: pixels whose target has it belong to no mask, and where they begin there is no surface.
    mask
        Boolean array of `target`'s shape, True where a pixel counts, with the same effect.
    classes
        The classes to measure, in this order, such as ``range(1, num_classes)`` without the background; None: all.
    class_axis
        The axis of the scores in `prediction`, 1 by default; only for scores.

    Returns
    -------
    dict of str to Array
        Of each metric an array `(N, K)` of N images and K classes; `(N, K, ...)` of a metric that returns several
        numbers.

    Raises
    ------
    ValueError
        If shapes or options do not fit, or if a label that counts is out of range (under a compiler such pixels are of
        no class).
    TypeError
        If libraries are mixed, ids are not integers, or the mask is not boolean.

    Notes
    -----
    Each pair of masks is measured once, whatever the number of metrics. What empty masks give is up to the functions:
    by default nan for a class that an image has in neither map, which ``numpy.nanmean`` leaves out, and inf for one
    that is missed.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.zeros((1, 6, 8), dtype=np.uint8)
    >>> target[:, 1:4, 1:5] = 1
    >>> prediction = np.roll(target, 1, axis=2)
    >>> metrics.surface_table(prediction, target, num_classes=3, classes=[1, 2])["hausdorff"]
    array([[ 1., nan]])
    """
    maps = read_label_maps(
        prediction,
        target,
        num_classes=num_classes,
        ignore_index=ignore_index,
        mask=mask,
        per_image=True,
        class_axis=class_axis,
    )
    worker, prediction, target, valid = spatial_maps(maps, target)
    functions = _TABLE if metrics is None else metrics
    if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
        msg = f'`metrics` must map names to functions of distances, such as {{"hd": hausdorff}}; got {shown(metrics)}.'
        raise TypeError(msg)
    labels = range(maps.num_classes) if classes is None else check_indices("classes", classes, maps.num_classes)
    if not target.shape[0]:
        msg = f"`target` must hold at least one image, (N, *spatial); got shape {tuple(target.shape)}."
        raise ValueError(msg)
    steps = check_spacing(spacing, target.ndim - 1)
    rows: dict[str, list[Array]] = {name: [] for name in functions}
    for image in range(target.shape[0]):
        pair = [prediction[image, ...], target[image, ...]]
        boxes = label_boxes(worker, pair, maps.num_classes) if maps.is_concrete else None
        for label in labels:
            box = ... if boxes is None else boxes[label]
            distances = surface_distances(
                *(part[box] == label for part in pair),
                spacing=steps,
                definition=definition,
                connectivity=connectivity,
                edge_is_background=edge_is_background,
                mask=None if valid is None else valid[image, ...][box],
            )
            for name, function in functions.items():
                rows[name].append(worker.xp.asarray(function(distances)))
    return {name: _table(worker, maps, values, len(labels)) for name, values in rows.items()}


def _table(worker: Backend, maps: LabelMaps, values: list[Array], classes: int) -> Array:
    """`(N, K, ...)` of the values of all images and classes, of the caller's library."""
    xp = worker.xp
    stacked = xp.stack(values)
    table = xp.reshape(stacked, (stacked.shape[0] // classes, classes, *stacked.shape[1:]))
    if worker is maps.backend:
        return table
    return maps.backend.asarray(table, dtype=maps.backend.sum_dtype(maps.target), like=maps.target)


_TABLE: Mapping[str, Callable[[SurfaceDistances], Array]] = {
    "hausdorff": hausdorff,
    "hausdorff_95": partial(hausdorff, percentile=95.0),
    "average_symmetric_surface_distance": average_symmetric_surface_distance,
}


# Surfaces.

_SIZES = {"surface_element": surface_element_sizes, "corner": corner_sizes}


def _surface(
    backend: Backend,
    mask: Array,
    valid: Array | None,
    spacing: tuple[float, ...],
    definition: Definition,
    connectivity: int,
    edge_is_background: bool,
) -> tuple[Array, Array | None]:
    """Where the surface elements are, and the size of each, where the definition has sizes."""
    if definition == "points":
        return mask, None
    if definition == "voxel":
        return voxel_surface(backend, mask, valid, connectivity, edge_is_background), None
    return corner_surface(backend, mask, valid, edge_is_background, _SIZES[definition](spacing))


def _check(
    backend: Backend,
    prediction: Array,
    target: Array,
    mask: Array | None,
    spacing: float | Sequence[float] | None,
    definition: str,
    connectivity: int,
) -> tuple[tuple[float, ...], int]:
    """The spacing and the connectivity, of arguments that fit."""
    shape = tuple(target.shape)
    for name, array in (("prediction", prediction), ("target", target), ("mask", mask)):
        if array is None:
            continue
        if not backend.xp.isdtype(array.dtype, "bool"):
            msg = f"`{name}` must be boolean; got {array.dtype}. Compare a label map with one class: `labels == 1`."
            raise TypeError(msg)
        if tuple(array.shape) != shape:
            msg = f"`{name}` has shape {tuple(array.shape)} and `target` has {shape}; they must be equal."
            raise ValueError(msg)
    check_choice("definition", definition, ("voxel", "points", *_SIZES))
    least = 2 if definition in _SIZES else 1
    if not least <= len(shape) <= 3:
        msg = f"Masks must have {least} to 3 axes for {definition!r} surfaces; got {shape}. Pass one image at a time."
        raise ValueError(msg)
    return check_spacing(spacing, len(shape)), check_connectivity(connectivity, len(shape))


def _one_or_several(name: str, value: Any, high: float = inf) -> float | tuple[float, ...]:
    """A number from 0 to `high`, or a tuple of them."""
    return check_numbers(name, value, 0, high) if is_several(value) else check_number(name, value, 0, high)


def _of_each(xp: Namespace, function: Callable[[float], Array], numbers: float | tuple[float, ...]) -> Array:
    """A function of a number; of several numbers, its values in an array with one axis more."""
    return xp.stack([function(number) for number in numbers]) if isinstance(numbers, tuple) else function(numbers)


def _moved(distances: SurfaceDistances, backend: Backend, like: Array) -> SurfaceDistances:
    """The same arrays, of another library."""
    dtype = backend.sum_dtype(like)
    arrays = [None if array is None else backend.asarray(array, dtype=dtype, like=like) for array in distances]
    return SurfaceDistances(*arrays)


# Metrics.


class _Side(NamedTuple):
    """The elements of one surface: 0 instead of a distance that is not finite, size 0 where there is no element."""

    values: Array
    sizes: Array
    counts: Array


def _evaluate(
    distances: SurfaceDistances,
    score: Callable[[Namespace, _Side, _Side], Array],
    defaults: Empty,
    empty: Empty | None,
) -> Array:
    """A score of both sides, or what `empty` says where one has no element."""
    policy = _policy(defaults, empty)
    arrays = [array for array in distances if array is not None]
    names = ("prediction_to_target", "target_to_prediction", "prediction_sizes", "target_sizes")
    backend = common_backend(**dict(zip(names, distances, strict=True)))
    concrete = backend.is_concrete(*arrays)
    worker, views = backend.shared_view(*arrays) if concrete else (backend, tuple(arrays))
    xp = worker.xp
    sizes = views[2:] or (None, None)
    sides = [_side(worker, values, size) for values, size in zip(views[:2], sizes, strict=True)]
    no_prediction, no_target = (xp.sum(side.counts) == 0 for side in sides)
    cases: list[tuple[Case, Array]] = [
        ("both", no_prediction & no_target),
        ("prediction", no_prediction & ~no_target),
        ("target", no_target & ~no_prediction),
    ]
    value = score(xp, *sides)
    for case, there in cases:
        substitute = policy[case]
        if concrete and substitute == "error" and bool(there):
            masks = "both masks are" if case == "both" else f"the {case} is"
            msg = f"{masks.capitalize()} empty. Pass `empty={{'{case}': ...}}` with the number that it shall be."
            raise ValueError(msg)
        value = xp.where(there, xp.full_like(value, nan if substitute == "error" else substitute), value)
    if value.ndim == 0:
        # A NumPy scalar rather than an array without axes, as NumPy's own functions return.
        value = value[()]
    return value if worker is backend else backend.asarray(value, dtype=backend.sum_dtype(arrays[0]), like=arrays[0])


def _policy(defaults: Empty, empty: Empty | None) -> Empty:
    given = {} if empty is None else empty
    if not isinstance(given, Mapping) or not given.keys() <= defaults.keys():
        msg = f'`empty` maps "both", "prediction" or "target" to a number or to "error"; got {shown(empty)}.'
        raise ValueError(msg)
    numbers = {
        case: as_number(f"empty[{case!r}]", value)
        for case, value in given.items()
        if not (isinstance(value, str) and value == "error")
    }
    return {**defaults, **given, **numbers}


def _side(backend: Backend, values: Array, sizes: Array | None) -> _Side:
    xp, dtype = backend.xp, backend.sum_dtype(values)
    values = xp.astype(values, dtype, copy=False)
    if values.shape[0] == 0:
        zero = xp.zeros((1,), dtype=dtype, device=backend.device(values))
        return _Side(zero, zero, zero)
    there = ~xp.isnan(values)
    counts = xp.astype(there, dtype)
    zeros = xp.zeros_like(values)
    values = xp.where(xp.isfinite(values), values, zeros)
    if sizes is None:
        return _Side(values, counts, counts)
    return _Side(values, xp.where(there, xp.astype(sizes, dtype, copy=False), zeros), counts)


def _pool(xp: Namespace, *sides: _Side) -> _Side:
    return _Side(*(xp.concat(arrays) for arrays in zip(*sides, strict=True)))


def _nonzero(xp: Namespace, total: Array) -> Array:
    """A divisor, 1 where it is 0: of an empty surface, whose score is settled otherwise."""
    return xp.where(total == 0, xp.ones_like(total), total)


def _mean(xp: Namespace, side: _Side) -> Array:
    return xp.sum(side.values * side.sizes) / _nonzero(xp, xp.sum(side.sizes))


def _two_means(xp: Namespace, *sides: _Side) -> Array:
    return xp.stack([_mean(xp, side) for side in sides])


def _shares(xp: Namespace, side: _Side, tolerances: float | tuple[float, ...]) -> Array:
    """The share of a surface up to one tolerance or to each."""

    def share(tolerance: float) -> Array:
        near = side.values <= tolerance * (1 + ROUNDING)
        return xp.sum(xp.where(near, side.sizes, xp.zeros_like(side.sizes))) / _nonzero(xp, xp.sum(side.sizes))

    return _of_each(xp, share, tolerances)


def _percentile(xp: Namespace, side: _Side, weighted: bool, percentile: float) -> Array:
    """The percentile of the values of a side; 0 if it is empty."""
    largest = xp.max(side.values)
    if percentile == 100:
        return largest
    # Places without an element go to the end.
    values = xp.where(side.counts > 0, side.values, largest)
    last = xp.sum(side.counts) - 1
    last = xp.where(last < 0, xp.zeros_like(last), last)
    if weighted:
        order = xp.argsort(values)
        reached = xp.cumulative_sum(xp.take(side.sizes, order)) / _nonzero(xp, xp.sum(side.sizes))
        rank = xp.sum(xp.astype(reached < percentile / 100 * (1 - ROUNDING), last.dtype))
        return _at(xp, xp.take(values, order), xp.where(rank > last, last, rank))
    values = xp.sort(values)
    position = percentile / 100 * last
    rank = xp.floor(position)
    low, high = _at(xp, values, rank), _at(xp, values, xp.ceil(position))
    return low + (high - low) * (position - rank)


def _at(xp: Namespace, ordered: Array, rank: Array) -> Array:
    """The element at a rank that is an array `()` of a floating dtype."""
    return xp.take(ordered, xp.reshape(xp.astype(rank, xp.int32), (1,)), axis=0)[0]
