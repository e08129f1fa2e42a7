"""How a contest is measured: its entries take turns, and their results must agree first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from array_api_compat import is_array_api_obj

from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of
from arrayseg.backends.numpy import NUMPY
from arrayseg.backends.numpy.threads import thread_count
from arrayseg.cli._console import console
from arrayseg.cli.contests import Call, Contest, Scene
from arrayseg.cli.contests.scene import HALVES, jax_array, torch_array

__all__ = ["OURS", "TOLERANCES", "Result", "agree", "copy_of", "in_turns", "measure", "peak_of", "settled"]

Key = TypeVar("Key")

OURS, COPY = "arrayseg", "copy"
#: Results of one formula may be as far apart, relative to the norm.
TOLERANCES = {"float64": 1e-6, "float32": 1e-3, "float16": 5e-2, "bfloat16": 2e-1}
#: Gradients of means over millions of pixels are as small as the smallest number of float16, which rounding makes or
#: not; they may be twice that apart.
FLOAT16_STEPS = 2 * 2.0**-24
#: A contest is over after its repetitions, or after three of them if they take longer than this, or after twice it.
LONGEST_SECONDS = 15.0


@dataclass(frozen=True)
class Result:
    """The figures of one entry of a contest."""

    size: str
    function: str
    backend: str
    entry: str
    seconds: float
    """The median."""
    fastest: float
    slowest: float
    peak_bytes: int | None
    """What the call allocated at most, its result included; None where the library cannot tell."""
    limit_seconds: float
    """What copying as many bytes takes as the function has to read and write, its threads together."""
    input_bytes: int
    agrees: bool | None
    """Whether the result is ours; None for our own."""


def measure(contest: Contest, scene: Scene | None, size: str, repeat: int) -> list[Result]:
    """The figures of a contest, ours first."""
    tolerance = max(contest.tolerance or 0.0, TOLERANCES[scene.dtype] if scene else 0.0)
    step = FLOAT16_STEPS if scene is not None and scene.dtype == "float16" else 0.0
    calls = {OURS: contest.ours(scene)}
    expected = calls[OURS]()  # also the warm-up
    agrees, backends = {}, {OURS: backend_in(expected)}
    for name, rival in contest.rivals.items():
        try:
            call = rival(scene)
            result = call()
        except Exception as error:  # whatever a peer may raise that lacks a package of its own or refuses the dtype
            _leave_out(name, contest, f"{type(error).__name__}: {error}")
            continue
        same = agree(expected, result, tolerance, step=step, classes_last=contest.classes_last)
        if scene is not None and scene.dtype in HALVES and not same:
            # The formulas are the same, as float32 shows: what is left of the rival's number is another matter.
            _leave_out(name, contest, f"in {scene.dtype} its result is not ours within {tolerance:g} of it")
            continue
        calls[name], backends[name], agrees[name] = call, backend_in(result), same
    peaks = {name: peak_of(calls[name], backend) if contest.has_peak else None for name, backend in backends.items()}
    limit_bytes = contest.limit_bytes if scene is None else scene.limit_bytes
    calls[COPY] = copy_of(limit_bytes or 0, contest.backend, contest.device)
    calls[COPY]()
    seconds = in_turns(calls, repeat)
    limit = median(seconds.pop(COPY))
    return [
        Result(
            size=size,
            function=contest.name,
            backend=contest.backend,
            entry=name,
            seconds=median(times),
            fastest=min(times),
            slowest=max(times),
            peak_bytes=peaks[name],
            limit_seconds=limit,
            input_bytes=scene.input_bytes if scene else limit_bytes or 0,
            agrees=agrees.get(name),
        )
        for name, times in seconds.items()
    ]


def _leave_out(name: str, contest: Contest, reason: str) -> None:
    """Say which rival is not measured, and why."""
    message = f"{name} is left out of {contest.name} on {contest.backend}: {reason}"
    console(stderr=True).print(message, markup=False, soft_wrap=True)


def in_turns(calls: dict[Key, Call], repeat: int) -> dict[Key, list[float]]:
    """The seconds of each call, of as many turns as `LONGEST_SECONDS` leaves room for."""
    seconds: dict[Key, list[float]] = {key: [] for key in calls}
    start = perf_counter()
    for turn in range(repeat):
        elapsed = perf_counter() - start
        if elapsed > LONGEST_SECONDS and (turn >= 3 or elapsed > 2 * LONGEST_SECONDS):
            break
        for key, call in calls.items():
            seconds[key].append(time_of(call))
    return seconds


def peak_of(call: Call, backend: Backend) -> int | None:
    """What a call allocates at most, its result included; None where the library cannot tell."""
    if isinstance(call, partial) and hasattr(call.func, "lower"):  # of jax.jit: the compiler has planned the memory
        plan = call.func.lower(*call.args).compile().memory_analysis()
        return None if plan is None else int(plan.temp_size_in_bytes + plan.output_size_in_bytes)
    return backend.measure_peak(call)[1]


def agree(ours: Any, theirs: Any, tolerance: float, *, step: float = 0.0, classes_last: bool = False) -> bool:
    """Whether two results are the same, array by array; theirs may have its classes last."""
    pair = numbers_of(ours), numbers_of(theirs)
    if classes_last:
        pair = pair[0], [np.moveaxis(array, -1, 1) if array.ndim > 1 else array for array in pair[1]]
    return len(pair[0]) == len(pair[1]) and all(close(*arrays, tolerance, step) for arrays in zip(*pair, strict=True))


def close(mine: np.ndarray[Any, Any], other: np.ndarray[Any, Any], tolerance: float, step: float) -> bool:
    """Whether two arrays differ by little of their norm, as one element may be a matter of rounding, or by a step."""
    if mine.size != other.size:
        return False
    difference = np.linalg.norm(mine.reshape(-1) - other.reshape(-1))
    scale = max(float(np.linalg.norm(other)), 1e-12)
    return bool(difference <= tolerance * scale + step * mine.size**0.5)


def numbers_of(result: Any) -> list[np.ndarray[Any, Any]]:
    """The arrays and numbers of a result, in order, in float64."""
    if isinstance(result, tuple | list):
        return [array for part in result for array in numbers_of(part)]
    if is_array_api_obj(result):
        backend = backend_of(result)
        halves = str(result.dtype).rpartition(".")[2] in ("bfloat16", "float16")
        wide = backend.xp.astype(result, backend.xp.float32) if halves else result
        return [np.asarray(backend.to_numpy(wide), dtype=np.float64)]
    return [np.asarray(result, dtype=np.float64)]


def time_of(call: Call) -> float:
    """Seconds of one call, until the device is done."""
    start = perf_counter()
    settled(call())
    return perf_counter() - start


def settled(result: Any) -> Any:
    """What a call returns, once the device is done with it."""
    for array in arrays_of(result):
        backend_of(array).synchronize(array)
    return result


def arrays_of(result: Any) -> Iterator[Array]:
    """The arrays among what a call returns."""
    if isinstance(result, tuple | list):
        for part in result:
            yield from arrays_of(part)
    elif is_array_api_obj(result):
        yield result


def backend_in(result: Any) -> Backend:
    """The backend of what a call returns."""
    array = next(arrays_of(result), None)
    return NUMPY if array is None else backend_of(array)


def copy_of(size: int, backend: str = "numpy", device: str = "cpu") -> Call:
    """A copy that reads and writes `size` bytes in all: on a CPU on as many threads as the kernels have."""
    source = np.ones(max(1, size // 8), dtype=np.float32)
    if device != "cpu":
        return _device_copy(source, backend, device)
    target = np.empty_like(source)
    length = -(-source.size // thread_count())
    parts = [slice(start, start + length) for start in range(0, source.size, length)]

    def copy() -> None:
        NUMPY.parallel_map(lambda part: np.copyto(target[part], source[part]), parts)

    return copy


def _device_copy(source: np.ndarray[Any, Any], backend: str, device: str) -> Call:
    """The same in the memory of a device, by the library that works there."""
    if backend == "jax":
        import jax

        return partial(jax.jit(lambda array: array + 1), jax_array(source, device))
    if backend == "torch":
        return partial(_clone, torch_array(source, device))
    import cupy

    return partial(cupy.copy, cupy.asarray(source))


def _clone(tensor: Array) -> Array:
    return tensor.clone()
