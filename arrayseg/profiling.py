"""Measure execution time and memory footprint in the same way on every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

from array_api_compat import is_array_api_obj

from arrayseg._typing import Array
from arrayseg.backends import backend_of

__all__ = ["Measurement", "measure"]


class Measurement(NamedTuple):
    """The time and memory of a call.

    Parameters
    ----------
    seconds : float
        Median time of a call in seconds, including the work on the device.
    spread : float
        Interquartile range of the times in seconds; 0 for a single repetition.
    peak_bytes : int or None
        Peak memory of a call in bytes, including its result but not the memory in use before the call. JAX cannot reset
        its record, so on a device an earlier call with a higher peak counts as well. None if the library does not
        record memory (JAX on the CPU, array-api-strict).
    times : tuple of float
        All times in seconds, in order.

    Examples
    --------
    >>> from arrayseg.profiling import Measurement
    >>> Measurement(seconds=0.01, spread=0.001, peak_bytes=1024, times=(0.01,)).peak_bytes
    1024
    """

    seconds: float
    spread: float
    peak_bytes: int | None
    times: tuple[float, ...]


def measure(
    function: Callable[..., Any], /, *args: Any, repeat: int = 10, warmup: int = 2, **kwargs: Any
) -> Measurement:
    """Measure the time and memory of ``function(*args, **kwargs)``.

    The device is synchronized before and after every call.

    Parameters
    ----------
    function : callable
        The function to call.
    *args, **kwargs : object
        Its arguments. At least one must be an array, possibly inside a list, tuple or dict. The array selects the
        backend that synchronizes the device and records the memory.
    repeat : int, default 10
        Number of timed calls, at least 1.
    warmup : int, default 2
        Number of calls before timing starts, which compile, allocate and fill caches; at least 0.

    Returns
    -------
    Measurement
        The median time, its spread, the peak memory and all times. The peak is recorded in an additional call, because
        recording takes time.

    Raises
    ------
    ValueError
        If `repeat` is less than 1 or `warmup` is less than 0.
    TypeError
        If no argument is an array.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.profiling import measure
    >>> measurement = measure(np.sqrt, np.ones(1000), repeat=3)
    >>> measurement.seconds > 0, measurement.peak_bytes >= 8000
    (True, True)
    """
    if repeat < 1 or warmup < 0:
        msg = f"`repeat` must be at least 1 and `warmup` at least 0; got {repeat} and {warmup}."
        raise ValueError(msg)
    arrays = list(_arrays((args, kwargs)))
    if not arrays:
        msg = "No argument is an array, so the backend is unknown. Pass the arrays as arguments."
        raise TypeError(msg)
    backend = backend_of(arrays[0])

    def call() -> None:
        backend.synchronize(*arrays, *_arrays(function(*args, **kwargs)))

    for _ in range(warmup):
        call()
    times = []
    backend.synchronize(*arrays)
    for _ in range(repeat):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    _, peak = backend.measure_peak(call)
    quartiles = quantiles(times, n=4, method="inclusive") if repeat > 1 else times * 3
    return Measurement(median(times), quartiles[2] - quartiles[0], peak, tuple(times))


def _arrays(tree: Any) -> Iterator[Array]:
    """Yield the arrays of nested containers."""
    if is_array_api_obj(tree):
        yield tree
    elif isinstance(tree, dict):
        yield from _arrays(tuple(tree.values()))
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _arrays(branch)
