"""Estimate how much a metric depends on the choice of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from arrayseg._checks import check_flag, check_index, check_number
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of
from arrayseg.metrics._compute import map_arrays

__all__ = ["Interval", "bootstrap_interval"]


class Interval(NamedTuple):
    """A metric of all images, and the confidence interval around it.

    Parameters
    ----------
    estimate : array
        The metric of all images.
    low : array
        The lower end of the interval, of the shape of `estimate`.
    high : array
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
    r"""Return the percentile bootstrap interval of a metric: how much it depends on the images it was evaluated on.

    .. math:: \left[ F^{-1}\left(\tfrac{1 - \gamma}{2}\right), F^{-1}\left(\tfrac{1 + \gamma}{2}\right) \right]

    where F is the distribution of the metric over samples of N images, drawn with replacement from the N images, and
    :math:`\gamma` is the level.

    Parameters
    ----------
    function : callable
        Metric of a statistic, for example `mean_iou`, or a `functools.partial` of it.
    statistic : array or NamedTuple
        Array with the images along the first axis, for example the matrices `(N, C, C)` of ``confusion_matrix(...,
        per_image=True)``; or a NamedTuple of such arrays.
    pooled : bool, default True
        Whether `function` gets the sum of the statistics of a sample, as a metric of a whole data set does. If False,
        it gets these statistics themselves, with their first axis, as a metric that averages over images needs
        (`fine_grained_mean`).
    level : float, default 0.95
        Probability in (0, 1) that the interval covers.
    resamples : int, default 1000
        The number of samples.
    seed : int, default 0
        Seed of the samples. The same seed draws the same images on every backend.

    Returns
    -------
    Interval
        Estimate, lower end and upper end, each of the shape that `function` returns. If an entry is nan in a sample,
        because none of the drawn images has that class, this sample is left out of the interval of that entry.

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

    def metric(drawn: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
        return function(map_arrays(lambda array: _sample(array, drawn, pooled=pooled), statistic))

    estimate = metric(np.arange(images))
    draws = np.random.default_rng(seed).integers(0, images, (resamples, images))
    backend = backend_of(estimate, "the metric")
    values = backend.xp.stack([metric(drawn) for drawn in draws])
    return Interval(
        estimate, *(_quantile(backend, values, probability) for probability in ((1 - level) / 2, (1 + level) / 2))
    )


def _images(statistic: Any) -> int:
    """Return the number of images: the length of the first axis of the arrays of a statistic."""
    if isinstance(statistic, tuple) and statistic:
        return _images(statistic[0])
    backend_of(statistic, "statistic")
    images: int = statistic.shape[0] if statistic.ndim else 0
    if images == 0:
        msg = f"`statistic` holds no images along its first axis; got shape {tuple(statistic.shape)}."
        raise ValueError(msg)
    return images


def _sample(array: Array, drawn: np.ndarray[Any, np.dtype[np.int64]], *, pooled: bool) -> Array:
    """Return the statistics of the drawn images, or their sum if `pooled`."""
    backend = backend_of(array, "statistic")
    with backend.enable_64_bits(array):
        images = backend.asarray(drawn, dtype=backend.count_dtype(array), like=array)
        sample = backend.xp.take(array, images, axis=0)
        return backend.xp.sum(sample, axis=0) if pooled else sample


def _quantile(backend: Backend, values: Array, probability: float) -> Array:
    """Return the linearly interpolated quantile of the non-nan values along the first axis; nan if there are none."""
    xp = backend.xp
    missing = xp.isnan(values)
    values = xp.sort(xp.where(missing, xp.full_like(values, xp.inf), values), axis=0)
    last = xp.sum(xp.astype(~missing, values.dtype), axis=0, keepdims=True) - 1
    values = xp.where(last < 0, xp.zeros_like(values), values)
    position = probability * xp.where(last < 0, xp.zeros_like(last), last)
    below = xp.floor(position)
    index = xp.astype(below, backend.count_dtype(values))
    low = xp.take_along_axis(values, index, axis=0)
    step = xp.where(below < last, xp.ones_like(index), xp.zeros_like(index))
    high = xp.take_along_axis(values, index + step, axis=0)
    interpolated = low + xp.where(below < last, (high - low) * (position - below), xp.zeros_like(low))
    return xp.where(last < 0, xp.nan, interpolated)[0, ...]
