"""Compute scores of surface distances: Hausdorff and average distances, surface Dice and overlap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf, nan
from typing import Any, Literal, NamedTuple, TypeAlias

from arrayseg._checks import (
    as_number,
    check_choice,
    check_flag,
    check_number,
    check_numbers,
    check_static,
    is_several,
    shown,
)
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, common_backend
from arrayseg.metrics._compute import computed_from, nonzero
from arrayseg.metrics._paragraphs import SURFACE
from arrayseg.metrics._shape.surface_distances import SurfaceDistances

__all__ = [
    "Empty",
    "average_hausdorff",
    "average_surface_distance",
    "average_symmetric_surface_distance",
    "hausdorff",
    "mean_average_surface_distance",
    "modified_hausdorff",
    "surface_dice",
    "surface_distance_deviation",
    "surface_overlap",
]

#: Decorates the functions of `SurfaceDistances`.
surface_score = computed_from("surface_distances(prediction, target)", SurfaceDistances, paragraphs=SURFACE)

# Distances may exceed a limit by a millionth of it, and so may shares of a surface: 3 x 0.1 then equals 0.3, and a step
# of 0.1 that a file header or a backend holds in float32, 0.10000000149, equals 0.1.
ROUNDING = 1e-6

Case: TypeAlias = Literal["both", "prediction", "target"]
"""Which masks are empty."""

Empty: TypeAlias = Mapping[Case, float | Literal["error"]]
"""The values of a metric for two empty masks, an empty prediction, and an empty target."""

# Without any surface the score is undefined; if one surface is missing, it is as bad as possible.
_DISTANCE: Empty = {"both": nan, "prediction": inf, "target": inf}
_OVERLAP: Empty = {"both": nan, "prediction": 0.0, "target": 0.0}


@surface_score
def hausdorff(
    distances: SurfaceDistances,
    *,
    percentile: float | Sequence[float] = 100.0,
    combine: Literal["max", "pooled", "prediction", "target"] = "max",
    interpolation: Literal["linear", "weighted"] | None = None,
    empty: Empty | None = None,
) -> Array:
    r"""Return the Hausdorff distance, or a percentile of the surface distances.

    .. math:: \max\Big(\max_{p \in P} d(p, T),\ \max_{t \in T} d(t, P)\Big), \qquad
        HD_q = \max\big(Q_q\{d(p, T)\},\ Q_q\{d(t, P)\}\big)

    Parameters
    ----------
    {distances}
    percentile : float or sequence of float, default 100.0
        100 for the largest distance, 95 for HD95, or any number from 0 to 100; or K of them.
    combine : {"max", "pooled", "prediction", "target"}, default "max"
        ``"max"``: the larger of the percentiles of the two directions. ``"pooled"``: the percentile of the
        distances of both directions together. ``"prediction"``, ``"target"``: one direction, from that surface.
    interpolation : {"linear", "weighted"}, optional
        ``"linear"`` interpolates between the two nearest ranks, as ``numpy.percentile`` does; every element counts one.
        ``"weighted"`` takes the smallest distance within which at least this share of the surface lies, by the sizes of
        the elements, up to a rounding of a millionth. By default ``"weighted"`` if the definition of the surface has
        sizes, otherwise ``"linear"``.
    {empty_distance}

    Returns
    -------
    array
        Floating array `()`, or `(K,)` for K percentiles, in the units of the spacing.

    Raises
    ------
    ValueError
        If an option is invalid, or if `empty` is ``"error"`` for an empty mask. Under a compiler the result is nan.

    Notes
    -----
    Libraries differ in the percentile of HD95. MONAI and MetricsReloaded return the larger of two linear percentiles,
    which is the default here. Medpy, panoptica and seg-metrics use ``combine="pooled"``. DeepMind returns the larger of
    two weighted percentiles of surface elements. DisTorch returns two linear percentiles of corners.

    If one mask is empty, MONAI returns inf, or nan for a percentile; medpy raises; seg-metrics returns 0 and
    MetricsReloaded nan. If both are empty, MONAI returns nan, MetricsReloaded and MeshMetrics 0, and DeepMind inf.

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


@surface_score
def average_surface_distance(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Return the average surface distance (ASD) of each direction.

    .. math:: \Big(\frac{\sum_{p \in P} w_p\, d(p, T)}{\sum_{p \in P} w_p},\
        \frac{\sum_{t \in T} w_t\, d(t, P)}{\sum_{t \in T} w_t}\Big)

    {sizes}

    Parameters
    ----------
    {distances}
    {empty_distance}

    Returns
    -------
    array
        Floating array `(2,)`: from the prediction to the target, and from the target to the prediction.

    Notes
    -----
    The first value is medpy's ``asd`` and MONAI's ``SurfaceDistanceMetric`` with its default ``symmetric=False``.
    DeepMind returns the pair in the other order, with nan for the direction that starts from an empty mask.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> distances = metrics.SurfaceDistances(np.asarray([0.0, 1.0, 3.0]), np.asarray([0.0, 2.0]))
    >>> metrics.average_surface_distance(distances)
    array([1.33333333, 1.        ])
    """
    return _evaluate(distances, _two_means, _DISTANCE, empty)


@surface_score
def average_symmetric_surface_distance(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Return the average symmetric surface distance (ASSD), the mean over the elements of both surfaces.

    .. math:: \frac{\sum_{p \in P} w_p\, d(p, T) + \sum_{t \in T} w_t\, d(t, P)}
        {\sum_{p \in P} w_p + \sum_{t \in T} w_t}

    {sizes}

    Parameters
    ----------
    {distances}
    {empty_distance}

    Returns
    -------
    {distance}

    Notes
    -----
    Medpy, MetricsReloaded and MONAI with ``symmetric=True`` return this value. Panoptica's ASSD is
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


@surface_score
def mean_average_surface_distance(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Return the mean average surface distance (MASD), the mean of the averages of the two directions.

    .. math:: \frac{1}{2} \Big(\frac{\sum_{p \in P} w_p\, d(p, T)}{\sum_{p \in P} w_p} +
        \frac{\sum_{t \in T} w_t\, d(t, P)}{\sum_{t \in T} w_t}\Big)

    {sizes}

    Parameters
    ----------
    {distances}
    {empty_distance}

    Returns
    -------
    {distance}

    Notes
    -----
    Both surfaces have the same weight, whatever their sizes. Panoptica calls this ASSD.

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


@surface_score
def modified_hausdorff(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Return the modified Hausdorff distance, the larger of the averages of the two directions.

    .. math:: \max\Big(\frac{\sum_{p \in P} w_p\, d(p, T)}{\sum_{p \in P} w_p},\
        \frac{\sum_{t \in T} w_t\, d(t, P)}{\sum_{t \in T} w_t}\Big)

    {sizes}

    Parameters
    ----------
    distances : SurfaceDistances
        From `surface_distances`; with ``definition="points"`` for point sets.
    {empty_distance}

    Returns
    -------
    {distance}

    Notes
    -----
    With ``definition="points"`` and a spacing of 1, scikit-image's ``hausdorff_distance(method="modified")`` returns
    this value.

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


@surface_score
def average_hausdorff(distances: SurfaceDistances, *, balanced: bool = False, empty: Empty | None = None) -> Array:
    r"""Return the average Hausdorff distance, or the balanced one, which divides both directions by the target.

    .. math:: AHD = \frac{1}{2} \Big(\frac{\sum_p w_p\, d(p, T)}{\sum_p w_p} +
        \frac{\sum_t w_t\, d(t, P)}{\sum_t w_t}\Big),
        \qquad bAHD = \frac{1}{2} \cdot \frac{\sum_p w_p\, d(p, T) + \sum_t w_t\, d(t, P)}{\sum_t w_t}

    {sizes}

    Parameters
    ----------
    distances : SurfaceDistances
        From `surface_distances`; the papers use point sets, ``definition="points"``.
    balanced : bool, default False
        Whether to divide both sums by the size of the target, so that a prediction does not improve by growing.
    {empty_distance}

    Returns
    -------
    {distance}

    Notes
    -----
    Unbalanced, the formula is that of `mean_average_surface_distance`. EvaluateSegmentation's average distance is the
    larger of the two averages, `modified_hausdorff`.

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
        return 0.5 * xp.sum(both.values * both.sizes) / nonzero(xp, xp.sum(target.sizes))

    return _evaluate(distances, score, _DISTANCE, empty)


@surface_score
def surface_distance_deviation(distances: SurfaceDistances, *, empty: Empty | None = None) -> Array:
    r"""Return the standard deviation of the distances of both surfaces together.

    .. math:: \sqrt{\frac{\sum_i w_i (d_i - \bar d)^2}{\sum_i w_i}}

    with :math:`\bar d` the average symmetric surface distance, and w the sizes of the elements or 1.

    Parameters
    ----------
    {distances}
    {empty_distance}

    Returns
    -------
    {distance}

    Notes
    -----
    The divisor is the number of elements, not one less. Seg-metrics calls it ``stdsd``; its ``mdsd``, the median, is
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


@surface_score
def surface_dice(
    distances: SurfaceDistances,
    tolerance: float | Sequence[float],
    *,
    average: Literal["pooled", "mean"] = "pooled",
    empty: Empty | None = None,
) -> Array:
    r"""Return the surface Dice, or normalized surface distance (NSD): the share of both surfaces near the other.

    .. math:: \frac{\sum_{p : d(p, T) \le \tau} w_p + \sum_{t : d(t, P) \le \tau} w_t}{\sum_p w_p + \sum_t w_t}

    {sizes}

    Parameters
    ----------
    {distances}
    {tolerance}
    average : {"pooled", "mean"}, default "pooled"
        ``"pooled"`` returns the share of both surfaces together, as above; ``"mean"`` the mean of their two shares.
    {empty_overlap}

    Returns
    -------
    array
        Floating array `()`, or `(K,)` for K tolerances, from 0 to 1.

    Raises
    ------
    ValueError
        If a tolerance is negative, an option is invalid, or `empty` is ``"error"`` for an empty mask.

    Notes
    -----
    With ``definition="surface_element"`` this is the value of DeepMind, of pymia, and of MONAI with
    ``use_subvoxels=True``; with ``"voxel"`` that of MONAI and MetricsReloaded. Panoptica uses ``average="mean"``. For
    two empty masks MetricsReloaded returns 1.

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


@surface_score
def surface_overlap(
    distances: SurfaceDistances, tolerance: float | Sequence[float], *, empty: Empty | None = None
) -> Array:
    r"""Return the surface overlap, the share of each surface that is near the other one.

    .. math:: \Big(\frac{\sum_{p : d(p, T) \le \tau} w_p}{\sum_p w_p},\
        \frac{\sum_{t : d(t, P) \le \tau} w_t}{\sum_t w_t}\Big)

    {sizes}

    Parameters
    ----------
    {distances}
    {tolerance}
    {empty_overlap}

    Returns
    -------
    array
        Floating array `(2,)`, or `(2, K)` for K tolerances: the share of the prediction's surface (a precision), then
        the share of the target's surface (a recall).

    Raises
    ------
    ValueError
        If a tolerance is negative, or `empty` is ``"error"`` for an empty mask.

    Notes
    -----
    DeepMind returns the pair in the other order, with nan for an empty mask.

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


def _one_or_several(name: str, value: Any, high: float = inf) -> float | tuple[float, ...]:
    """Return a number from 0 to `high`, or a tuple of such numbers."""
    return check_numbers(name, value, 0, high) if is_several(value) else check_number(name, value, 0, high)


class _Side(NamedTuple):
    """The elements of one surface, with distance 0 where it is not finite, and size 0 where there is no element."""

    values: Array
    sizes: Array
    counts: Array


def _evaluate(
    distances: SurfaceDistances,
    score: Callable[[Namespace, _Side, _Side], Array],
    defaults: Empty,
    empty: Empty | None,
) -> Array:
    """Return a score of both sides, or the value that is configured for empty masks.

    It does not use `compute`, because the statistic holds distances, not counts, and empty surfaces have an option.
    """
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
    for case, applies in cases:
        substitute = policy[case]
        if concrete and substitute == "error" and bool(applies):
            masks = "both masks are" if case == "both" else f"the {case} is"
            msg = f"{masks.capitalize()} empty. Choose a result with `empty={{'{case}': value}}`."
            raise ValueError(msg)
        value = xp.where(applies, xp.full_like(value, nan if substitute == "error" else substitute), value)
    if value.ndim == 0:
        # A NumPy scalar rather than an array without axes, as NumPy's own functions return.
        value = value[()]
    return value if worker is backend else backend.asarray(value, dtype=backend.sum_dtype(arrays[0]), like=arrays[0])


def _policy(defaults: Empty, empty: Empty | None) -> Empty:
    """Return the value for each case of empty masks, after checking those that the caller gave."""
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
    """Return the elements of a surface from its distances and sizes."""
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


def _mean(xp: Namespace, side: _Side) -> Array:
    return xp.sum(side.values * side.sizes) / nonzero(xp, xp.sum(side.sizes))


def _two_means(xp: Namespace, *sides: _Side) -> Array:
    return xp.stack([_mean(xp, side) for side in sides])


def _shares(xp: Namespace, side: _Side, tolerances: float | tuple[float, ...]) -> Array:
    """Return the share of a surface that is within one tolerance, or within each of several."""

    def share(tolerance: float) -> Array:
        near = side.values <= tolerance * (1 + ROUNDING)
        return xp.sum(xp.where(near, side.sizes, xp.zeros_like(side.sizes))) / nonzero(xp, xp.sum(side.sizes))

    return _of_each(xp, share, tolerances)


def _percentile(xp: Namespace, side: _Side, weighted: bool, percentile: float) -> Array:
    """Return the percentile of the values of a side, or 0 if it is empty."""
    largest = xp.max(side.values)
    if percentile == 100:
        return largest
    # Places without an element go to the end.
    values = xp.where(side.counts > 0, side.values, largest)
    last = xp.sum(side.counts) - 1
    last = xp.where(last < 0, xp.zeros_like(last), last)
    if weighted:
        order = xp.argsort(values)
        reached = xp.cumulative_sum(xp.take(side.sizes, order)) / nonzero(xp, xp.sum(side.sizes))
        rank = xp.sum(xp.astype(reached < percentile / 100 * (1 - ROUNDING), last.dtype))
        return _at(xp, xp.take(values, order), xp.where(rank > last, last, rank))
    values = xp.sort(values)
    position = percentile / 100 * last
    rank = xp.floor(position)
    low, high = _at(xp, values, rank), _at(xp, values, xp.ceil(position))
    return low + (high - low) * (position - rank)


def _at(xp: Namespace, ordered: Array, rank: Array) -> Array:
    """Return the element at a rank, which is a floating array `()`."""
    return xp.take(ordered, xp.reshape(xp.astype(rank, xp.int32), (1,)), axis=0)[0]


def _of_each(xp: Namespace, function: Callable[[float], Array], numbers: float | tuple[float, ...]) -> Array:
    """Return a function of one number, or its values at several numbers along a new last axis."""
    return xp.stack([function(number) for number in numbers]) if isinstance(numbers, tuple) else function(numbers)
