"""Measure how time and memory grow with pixels, classes, batch and threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from benchmarks.inputs import Call, Inputs, available, has_dtype
from benchmarks.measure import first_array, in_turns, peak_of, thread_count
from benchmarks.own import confusion_matrix, value_and_gradient

LOSSES = ("cross_entropy", "dice", "dice_cross_entropy")
FUNCTIONS = (*LOSSES, "confusion_matrix")
Shape = tuple[int, ...]


def thread_steps() -> list[int]:
    """Return 1, 2, 4, ... and the number of all threads."""
    most = thread_count()
    return sorted({*(2**power for power in range(most.bit_length())), most})


#: The steps of each axis and the shape of the logits at each step, from 78 thousand to 80 million logits.
AXES: dict[str, Callable[[], dict[int, Shape]]] = {
    "pixels": lambda: {side**2: (1, 19, side, side) for side in (64, 128, 256, 512, 1024, 2048)},
    "classes": lambda: {classes: (1, classes, 512, 512) for classes in (2, 5, 10, 19, 50, 150)},
    "batch": lambda: {images: (images, 19, 256, 256) for images in (1, 2, 4, 8, 16)},
    "threads": lambda: dict.fromkeys(thread_steps(), (4, 19, 512, 512)),
}


@dataclass(frozen=True)
class Point:
    """The figures of a function at one step of an axis."""

    axis: str
    value: int
    """Pixels of an image, classes, images of a batch, or threads."""
    function: str
    backend: str
    seconds: float
    """The median."""
    fastest: float
    slowest: float
    peak_bytes: int | None
    """The most memory that a call allocates, its result included; None if the library keeps no record."""
    input_bytes: int
    gradient_bytes: int
    """The bytes of the gradient that a loss returns; 0 for a metric."""

    @property
    def temporary_bytes(self) -> int | None:
        """The most memory in addition to the gradient."""
        return None if self.peak_bytes is None else self.peak_bytes - self.gradient_bytes


def growth(
    dtype: str,
    device: str,
    is_chosen: Callable[[str, str], bool],
    repeat: int,
    *,
    blocky: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> list[Point]:
    """Return the points of every axis for the chosen functions and backends."""
    points = []
    for axis, steps in AXES.items():
        if axis == "threads" and device != "cpu":
            continue
        shapes = steps()
        drawn = {shape: Inputs.draw(shape, dtype, blocky=blocky, device=device) for shape in set(shapes.values())}
        inputs = {value: drawn[shape] for value, shape in shapes.items()}
        for function, backend in _pairs(axis, dtype, device):
            if is_chosen(function, backend):
                say(f"Measuring {function} on {backend} with growing {axis} ...")
                points += measure_growth(axis, function, backend, inputs, repeat)
    return points


def growing_pairs(dtype: str, device: str) -> set[tuple[str, str]]:
    """Return every function and backend whose growth is measured."""
    return {pair for axis in AXES for pair in _pairs(axis, dtype, device)}


def _pairs(axis: str, dtype: str, device: str) -> Iterator[tuple[str, str]]:
    """Yield each function on each backend that has the dtype. XLA chooses its own threads."""
    for backend in available(device):
        if has_dtype(backend, dtype) and not (backend == "jax" and axis == "threads"):
            yield from ((function, backend) for function in FUNCTIONS)


def measure_growth(axis: str, function: str, backend: str, steps: dict[int, Inputs], repeat: int) -> list[Point]:
    """Return the points of a function on an axis, whose steps take turns."""
    is_loss = function in LOSSES
    calls: dict[int, Call] = {}
    peaks = {}
    for value, inputs in steps.items():
        call = value_and_gradient(function, backend, inputs) if is_loss else confusion_matrix(backend, inputs)
        if axis == "threads":
            call = partial(_on_threads, value, call)
        calls[value], peaks[value] = call, peak_of(call, first_array(call()))
    return [
        Point(
            axis=axis,
            value=value,
            function=function,
            backend=backend,
            seconds=median(times),
            fastest=min(times),
            slowest=max(times),
            peak_bytes=peaks[value],
            input_bytes=steps[value].input_bytes if is_loss else 2 * steps[value].ids.size,
            gradient_bytes=steps[value].input_bytes if is_loss else 0,
        )
        for value, times in in_turns(calls, repeat).items()
    ]


def _on_threads(count: int, call: Call) -> Any:
    with threads(count):
        return call()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let arrayseg use this many threads."""
    before = os.environ.get("ARRAYSEG_NUM_THREADS")
    os.environ["ARRAYSEG_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["ARRAYSEG_NUM_THREADS"]
        else:
            os.environ["ARRAYSEG_NUM_THREADS"] = before


def exponents(points: list[Point]) -> list[dict[str, Any]]:
    """Return the slope of log time over log size of each curve: 1 is linear; -1 is the best that threads can do.

    The slope is fitted to the larger half of the steps, because on the smaller ones the call itself takes most time.
    """
    curves: dict[tuple[str, str, str], list[Point]] = {}
    for point in points:
        curves.setdefault((point.axis, point.function, point.backend), []).append(point)
    found = []
    for (axis, function, backend), curve in curves.items():
        fitted = curve if axis == "threads" else curve[len(curve) // 2 :]
        slope = None
        if len(fitted) > 1:
            logs = np.log([[point.value, point.seconds] for point in fitted])
            slope = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
        found.append({"axis": axis, "function": function, "backend": backend, "exponent": slope})
    return found


def growth_rows(points: list[Point]) -> list[list[str]]:
    """Return a table with a row for each curve: its ends, its exponent, and the memory without the gradient."""
    rows = [["axis", "function", "backend", "from - to", "median ms", "exponent", "without gradient, MB", "/ input"]]
    for curve in exponents(points):
        keys = ("axis", "function", "backend")
        own = [point for point in points if all(getattr(point, key) == curve[key] for key in keys)]
        first, last = own[0], own[-1]
        sizes = [first.temporary_bytes, last.temporary_bytes]
        rows.append(
            [
                *(curve[key] for key in keys),
                f"{first.value} - {last.value}",
                f"{first.seconds * 1e3:.3g} - {last.seconds * 1e3:.3g}",
                "-" if curve["exponent"] is None else f"{curve['exponent']:.2f}",
                " - ".join("-" if size is None else f"{size / 1e6:.2f}" for size in sizes),
                "-" if sizes[1] is None else f"{sizes[1] / last.input_bytes:.3f}",
            ]
        )
    return rows
