"""Execution time and memory footprint, measured in the same way on every backend."""

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
    """What a call takes.

    Parameters
    ----------
    seconds
        Median time of a call, in seconds, the device's work included.
    spread
        Interquartile range of the times, in seconds; 0 for a single repetition.
    peak_bytes
        Largest memory that a call holds at one time beyond what was held before it, its result included, in bytes; None
        where the library keeps no record (JAX on the CPU, array-api-strict).
    times
        All the times, in seconds, in order.

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
    """Time and memory of ``function(*args, **kwargs)``, the device synchronised before and after every call.

    Parameters
    ----------
    function
        What to call.
    *args, **kwargs
        Its arguments, at least one of them an array (also in a list, tuple or dict): it says which backend's clock and
        allocator to read.
    repeat
        The number of calls that are timed, 10 by default.
    warmup
        The number of calls before, which compile, allocate and fill caches; 2 by default.

    Returns
    -------
    Measurement
        Median time and its spread, peak memory, and all the times. The peak is that of one more call, because keeping
        the record takes time.

    Raises
    ------
    ValueError
        If `repeat` is less than 1 or `warmup` less than 0.
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
        msg = "No argument is an array, so the backend to measure is unknown; pass the arrays as arguments."
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
    """The arrays of nested containers."""
    if is_array_api_obj(tree):
        yield tree
    elif isinstance(tree, dict):
        yield from _arrays(tuple(tree.values()))
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _arrays(branch)
