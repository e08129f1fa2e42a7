"""Measure a comparison: check that the results agree, then time all implementations in turn."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from array_api_compat import is_array_api_obj
from benchmarks.comparison import Comparison
from benchmarks.inputs import HALVES, Array, Call, Inputs, jax_array, torch_array

from arrayseg import profiling
from arrayseg.testing import to_numpy

Key = TypeVar("Key")

OWN, COPY = "arrayseg", "copy"
#: Largest relative difference of two results of one formula, in the norm.
TOLERANCES = {"float64": 1e-6, "float32": 1e-3, "float16": 5e-2, "bfloat16": 2e-1}
#: Gradients of means over millions of pixels are as small as the smallest number of float16 and may be rounded to 0;
#: they may differ by twice that number.
FLOAT16_STEPS = 2 * 2.0**-24
#: Seconds that a comparison lasts at least, so that short calls have many turns.
SHORTEST_SECONDS = 0.2
#: Seconds after which a comparison ends, if it has had three turns; it ends after twice as many in any case.
LONGEST_SECONDS = 15.0


@dataclass(frozen=True)
class Result:
    """The figures of one implementation of a function."""

    size: str
    function: str
    backend: str
    implementation: str
    seconds: float
    """The median."""
    fastest: float
    slowest: float
    peak_bytes: int | None
    """The most memory that a call allocates, its result included; None if the library keeps no record."""
    limit_seconds: float
    """The time to copy as many bytes as the function reads and writes, on as many threads."""
    input_bytes: int
    agrees: bool | None
    """Whether a peer's result equals arrayseg's; None for arrayseg itself."""


def measure(comparison: Comparison, inputs: Inputs | None, size: str, repeat: int) -> list[Result]:
    """Return the figures of a comparison, arrayseg's first."""
    calls = {OWN: comparison.own(inputs)}
    expected = calls[OWN]()  # also the warm-up
    arrays, agrees = {OWN: first_array(expected)}, {}
    for name, build in comparison.peers.items():
        try:
            call = build(inputs)
            result = call()
        except Exception as error:  # a peer may lack a package or refuse the dtype, with any error
            _leave_out(name, comparison, f"{type(error).__name__}: {error}")
            continue
        same = _agrees(comparison, inputs, expected, result)
        if inputs is not None and inputs.dtype in HALVES and not same:
            # float32 shows that the formulas are equal, so the peer loses its number to rounding.
            _leave_out(name, comparison, f"in {inputs.dtype} its result differs from arrayseg's by more than rounding")
            continue
        calls[name], arrays[name], agrees[name] = call, first_array(result), same
    peaks = {name: peak_of(calls[name], array) if comparison.has_peak else None for name, array in arrays.items()}
    limit_bytes = (comparison.limit_bytes or 0) if inputs is None else inputs.limit_bytes
    calls[COPY] = copy_of(limit_bytes, comparison.backend, comparison.device)
    calls[COPY]()
    seconds = in_turns(calls, repeat)
    limit = median(seconds.pop(COPY))
    return [
        Result(
            size=size,
            function=comparison.function,
            backend=comparison.backend,
            implementation=name,
            seconds=median(times),
            fastest=min(times),
            slowest=max(times),
            peak_bytes=peaks[name],
            limit_seconds=limit,
            input_bytes=inputs.input_bytes if inputs else limit_bytes,
            agrees=agrees.get(name),
        )
        for name, times in seconds.items()
    ]


def _agrees(comparison: Comparison, inputs: Inputs | None, expected: Any, result: Any) -> bool:
    """Return whether a peer's result equals arrayseg's, as closely as comparison and dtype allow."""
    tolerance = max(comparison.tolerance or 0.0, TOLERANCES[inputs.dtype] if inputs else 0.0)
    step = FLOAT16_STEPS if inputs is not None and inputs.dtype == "float16" else 0.0
    return agree(expected, result, tolerance, step=step, classes_last=comparison.classes_last)


def _leave_out(name: str, comparison: Comparison, reason: str) -> None:
    """Print which peer is not measured, and why."""
    message = f"{name} is left out of {comparison.function} on {comparison.backend}: {reason}"
    print(message, file=sys.stderr)


def in_turns(calls: dict[Key, Call], repeat: int) -> dict[Key, list[float]]:
    """Return the seconds of each call, for `repeat` turns: more if they are short, fewer if they are long."""
    seconds: dict[Key, list[float]] = {key: [] for key in calls}
    start = perf_counter()
    for turn in count():
        elapsed = perf_counter() - start
        if turn >= repeat and elapsed > SHORTEST_SECONDS:
            break
        if elapsed > LONGEST_SECONDS and (turn >= 3 or elapsed > 2 * LONGEST_SECONDS):
            break
        for key, call in calls.items():
            seconds[key].append(time_of(call))
    return seconds


def time_of(call: Call) -> float:
    """Return the seconds of one call, until the device has finished."""
    start = perf_counter()
    wait_for(call())
    return perf_counter() - start


def wait_for(result: Any) -> None:
    """Wait until the device has computed a result."""
    for array in arrays_of(result):
        if hasattr(array, "block_until_ready"):
            array.block_until_ready()
        elif getattr(array, "is_cuda", False):
            sys.modules["torch"].cuda.synchronize(array.device)
        elif type(array).__module__.startswith("cupy"):
            array.device.synchronize()


def peak_of(call: Call, array: Array) -> int | None:
    """Return the most memory that a call allocates, by the record of an array's library; None if there is none."""
    if isinstance(call, partial) and hasattr(call.func, "lower"):  # jax.jit: the compiler has planned the memory
        plan = call.func.lower(*call.args).compile().memory_analysis()
        return None if plan is None else int(plan.temp_size_in_bytes + plan.output_size_in_bytes)
    return profiling.measure(lambda _: call(), array, repeat=1, warmup=0).peak_bytes


def agree(own: Any, other: Any, tolerance: float, *, step: float = 0.0, classes_last: bool = False) -> bool:
    """Return whether two results are equal array by array; the other may have its class axis last."""
    pair = numbers_of(own), numbers_of(other)
    if classes_last:
        pair = pair[0], [np.moveaxis(array, -1, 1) if array.ndim > 1 else array for array in pair[1]]
    return len(pair[0]) == len(pair[1]) and all(close(*arrays, tolerance, step) for arrays in zip(*pair, strict=True))


def close(own: np.ndarray[Any, Any], other: np.ndarray[Any, Any], tolerance: float, step: float) -> bool:
    """Return whether the norm of a difference is small, relative to the norm or to a step for every element."""
    if own.size != other.size:
        return False
    difference = np.linalg.norm(own.reshape(-1) - other.reshape(-1))
    scale = max(float(np.linalg.norm(other)), 1e-12)
    return bool(difference <= tolerance * scale + step * own.size**0.5)


def numbers_of(result: Any) -> list[np.ndarray[Any, Any]]:
    """Return the arrays and numbers of a result in float64, in order."""
    if isinstance(result, tuple | list):
        return [array for part in result for array in numbers_of(part)]
    return [np.asarray(to_numpy(result) if is_array_api_obj(result) else result, dtype=np.float64)]


def arrays_of(result: Any) -> Iterator[Array]:
    """Yield the arrays among what a call returns."""
    if isinstance(result, tuple | list):
        for part in result:
            yield from arrays_of(part)
    elif is_array_api_obj(result):
        yield result


def first_array(result: Any) -> Array:
    """Return the first array of a result; for a result of plain numbers, an array of NumPy."""
    return next(arrays_of(result), np.zeros(1))


def thread_count() -> int:
    """Return the number of threads that arrayseg uses on a CPU."""
    chosen = os.environ.get("ARRAYSEG_NUM_THREADS")
    if chosen is not None:
        return int(chosen)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def copy_of(size: int, backend: str = "numpy", device: str = "cpu") -> Call:
    """Return a copy that reads and writes `size` bytes in total, on a CPU with as many threads as arrayseg."""
    source = np.ones(max(1, size // 8), dtype=np.float32)
    if device != "cpu":
        return device_copy(source, backend, device)
    target = np.empty_like(source)
    length = -(-source.size // thread_count())
    parts = [slice(start, start + length) for start in range(0, source.size, length)]
    pool = ThreadPoolExecutor(len(parts))

    def copy() -> None:
        list(pool.map(lambda part: np.copyto(target[part], source[part]), parts))

    return copy


def device_copy(source: np.ndarray[Any, Any], backend: str, device: str) -> Call:
    """Return a copy in the memory of a device, made by the library of a backend."""
    if backend == "jax":
        import jax

        return partial(jax.jit(lambda array: array + 1), jax_array(source, device))
    if backend == "torch":
        return torch_array(source, device).clone
    import cupy

    return partial(cupy.copy, cupy.asarray(source))
