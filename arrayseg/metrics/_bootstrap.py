"""Confidence intervals of metrics, over images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from arrayseg._checks import check_flag, check_index, check_number
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of

__all__ = ["Interval", "bootstrap_interval"]


class Interval(NamedTuple):
    """A metric of all images, and the confidence interval around it.

    Parameters
    ----------
    estimate
        The metric of all images.
    low
        The lower end of the interval, of the shape of `estimate`.
    high
        The upper end of the interval, of the shape of `estimate`.

    Examples
    --------
    >>> from arrayseg import metrics
    >>> metrics.Interval(0.7, 0.65, 0.74).low
    0.65
    """

    estimate: Array
    low: Array
    high: Array


@raises_here
def bootstrap_interval(
    function: Callable[[Any], Array],
    statistic: Any,
    *,
    pooled: bool = True,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    r"""Percentile bootstrap interval of a metric: how much it depends on which images were evaluated.

    .. math:: \left[ F^{-1}\left(\tfrac{1 - \gamma}{2}\right), F^{-1}\left(\tfrac{1 + \gamma}{2}\right) \right]

    with F the distribution of the metric over samples of N images, drawn with replacement from the N images, and
    :math:`\gamma` the level.

    Parameters
    ----------
    function
        Metric of a statistic, for example `mean_iou`, or a `functools.partial` of it.
    statistic
        Array with the images along the first axis, for example matrices `(N, C, C)` of ``confusion_matrix(...,
        per_image=True)``; or a NamedTuple of such arrays.
    pooled
        Whether `function` takes the sum of a sample's statistics (True, the default: a metric of the whole data set),
        or the sample's statistics themselves, with their first axis (False: a metric that averages over images, such
        as `fine_grained_mean`).
    level
        Probability in (0, 1) that the interval covers, 0.95 by default.
    resamples
        The number of samples, 1000 by default.
    seed
        Seed of the samples: the same seed draws the same images on every backend.

    Returns
    -------
    Interval
        Estimate, lower and upper end, each of the shape that `function` returns. Samples in which an entry is nan (a
        class that none of the drawn images has) do not enter that entry's interval.

    Raises
    ------
    ValueError
        If `level` or `resamples` is out of range, or there are no images.

    References
    ----------
    Efron and Tibshirani, "An introduction to the bootstrap", chapter 13 (1993).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> matrices = np.asarray([[[3, 1], [2, 4]], [[5, 0], [1, 4]], [[2, 3], [1, 4]], [[4, 1], [0, 5]]])
    >>> interval = metrics.bootstrap_interval(metrics.mean_iou, matrices, resamples=200)
    >>> [round(float(value), 3) for value in interval]
    [0.631, 0.475, 0.818]
    """
    if not callable(function) or callable(statistic):
        msg = (
            "bootstrap_interval takes a function and then a statistic, for example bootstrap_interval(mean_iou, "
            f"matrices); got {type(function).__name__} and {type(statistic).__name__}."
        )
        raise TypeError(msg)
    level = check_number("level", level, 0, 1, above=True, below=True)
    resamples, seed = check_index("resamples", resamples, 1), check_index("seed", seed, 0)
    pooled = check_flag("pooled", pooled)
    images = _images(statistic)

    def metric(chosen: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
        return function(_map_arrays(lambda array: _sample(array, chosen, pooled=pooled), statistic))

    estimate = metric(np.arange(images))
    draws = np.random.default_rng(seed).integers(0, images, (resamples, images))
    backend = backend_of(estimate, "the metric")
    values = backend.xp.stack([metric(chosen) for chosen in draws])
    return Interval(estimate, *(_quantile(backend, values, share) for share in ((1 - level) / 2, (1 + level) / 2)))


def _images(statistic: Any) -> int:
    """The length of the first axis of the arrays of a statistic."""
    if isinstance(statistic, tuple) and statistic:
        return _images(statistic[0])
    backend_of(statistic, "statistic")
    images: int = statistic.shape[0] if statistic.ndim else 0
    if images == 0:
        msg = f"`statistic` holds no images along its first axis, to draw from; got shape {tuple(statistic.shape)}."
        raise ValueError(msg)
    return images


def _map_arrays(function: Callable[[Array], Array], statistic: Any) -> Any:
    """`function` of every array of a statistic."""
    if isinstance(statistic, tuple):
        return type(statistic)(*(_map_arrays(function, part) for part in statistic))
    return function(statistic)


def _sample(array: Array, chosen: np.ndarray[Any, np.dtype[np.int64]], *, pooled: bool) -> Array:
    """The statistics of the chosen images, or their sum."""
    backend = backend_of(array, "statistic")
    with backend.enable_64_bits(array):
        drawn = backend.xp.take(array, backend.asarray(chosen, dtype=backend.count_dtype(array), like=array), axis=0)
        return backend.xp.sum(drawn, axis=0) if pooled else drawn


def _quantile(backend: Backend, values: Array, share: float) -> Array:
    """The quantile along the first axis of the values that are not nan, linear between neighbours."""
    xp = backend.xp
    missing = xp.isnan(values)
    values = xp.sort(xp.where(missing, xp.full_like(values, xp.inf), values), axis=0)
    last = xp.sum(xp.astype(~missing, values.dtype), axis=0, keepdims=True) - 1
    values = xp.where(last < 0, xp.zeros_like(values), values)
    place = share * xp.where(last < 0, xp.zeros_like(last), last)
    below = xp.floor(place)
    index = xp.astype(below, backend.count_dtype(values))
    low = xp.take_along_axis(values, index, axis=0)
    above = xp.where(below < last, xp.ones_like(index), xp.zeros_like(index))
    high = xp.take_along_axis(values, index + above, axis=0)
    between = low + xp.where(below < last, (high - low) * (place - below), xp.zeros_like(low))
    return xp.where(last < 0, xp.nan, between)[0, ...]
