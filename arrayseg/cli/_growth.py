"""`arrayseg bench --growth`: how time and memory grow with pixels, classes, batch and threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

from arrayseg.backends.numpy.threads import thread_count
from arrayseg.cli._measure import backend_in, in_turns, peak_of, settled
from arrayseg.cli.contests import Call, Scene
from arrayseg.cli.contests.ours import confusion_matrix, value_and_gradient
from arrayseg.cli.contests.scene import available

__all__ = ["AXES", "FUNCTIONS", "Point", "exponents", "growing_pairs", "growth", "table_of_growth"]

LOSSES = ("cross_entropy", "dice", "dice_cross_entropy")
FUNCTIONS = (*LOSSES, "confusion_matrix")
Shape = tuple[int, ...]


def _threads() -> list[int]:
    """1, 2, 4, ... and all of them."""
    most = thread_count()
    return sorted({*(2**power for power in range(most.bit_length())), most})


#: What grows: its values, and the logits of each. Between them they are 78 thousand to 80 million.
AXES: dict[str, Callable[[], dict[int, Shape]]] = {
    "pixels": lambda: {side**2: (1, 19, side, side) for side in (64, 128, 256, 512, 1024, 2048)},
    "classes": lambda: {classes: (1, classes, 512, 512) for classes in (2, 5, 10, 19, 50, 150)},
    "batch": lambda: {images: (images, 19, 256, 256) for images in (1, 2, 4, 8, 16)},
    "threads": lambda: dict.fromkeys(_threads(), (4, 19, 512, 512)),
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
    """What the call allocated at most, its result included; None where the library cannot tell."""
    input_bytes: int
    gradient_bytes: int
    """Of the result that a loss has to hand out; 0 of a metric."""


def growth(
    dtype: str,
    device: str,
    wanted: Callable[[str, str], bool],
    repeat: int,
    *,
    blocky: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> list[Point]:
    """The points of every axis, of the functions and backends that are wanted."""
    points = []
    for axis, steps in AXES.items():
        if axis == "threads" and device != "cpu":
            continue
        shapes = steps()
        drawn = {shape: Scene.draw(shape, dtype, blocky=blocky, device=device) for shape in set(shapes.values())}
        scenes = {value: drawn[shape] for value, shape in shapes.items()}
        for function, backend in _pairs(axis, dtype, device):
            if wanted(function, backend):
                say(f"Measuring {function} on {backend} as its {axis} grow ...")
                points += measure_growth(axis, function, backend, scenes, repeat)
    return points


def growing_pairs(dtype: str, device: str) -> set[tuple[str, str]]:
    """Return every function and backend that is measured as something grows."""
    return {pair for axis in AXES for pair in _pairs(axis, dtype, device)}


def _pairs(axis: str, dtype: str, device: str) -> Iterator[tuple[str, str]]:
    """Each function on each backend that has the dtype, and threads that can be told how many to be."""
    for backend in available(device):
        if (backend in ("numpy", "cupy") and dtype == "bfloat16") or (backend == "jax" and axis == "threads"):
            continue
        yield from ((function, backend) for function in FUNCTIONS)


def measure_growth(axis: str, function: str, backend: str, scenes: dict[int, Scene], repeat: int) -> list[Point]:
    """The points of a function on an axis, whose steps take turns."""
    calls: dict[int, Call] = {}
    peaks = {}
    for value, scene in scenes.items():
        call = (
            confusion_matrix(backend, scene)
            if function == "confusion_matrix"
            else value_and_gradient(function, backend, scene)
        )
        if axis == "threads":
            call = partial(_on_threads, value, call)
        backend_of_result = backend_in(settled(call()))  # the warm-up
        calls[value], peaks[value] = call, peak_of(call, backend_of_result)
    points = []
    for value, times in in_turns(calls, repeat).items():
        scene = scenes[value]
        is_loss = function in LOSSES
        points.append(
            Point(
                axis=axis,
                value=value,
                function=function,
                backend=backend,
                seconds=median(times),
                fastest=min(times),
                slowest=max(times),
                peak_bytes=peaks[value],
                input_bytes=scene.input_bytes if is_loss else 2 * scene.ids.size,
                gradient_bytes=scene.input_bytes if is_loss else 0,
            )
        )
    return points


def _on_threads(count: int, call: Call) -> Any:
    """A call on as many threads."""
    with threads(count):
        return call()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """As many threads for the blocks."""
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
    """The slope of log time over log size of each curve: 1 is linear; of threads, -1 is all that they can give.

    It is that of the larger half of the steps: on the smaller ones the time is mostly that of the call itself.
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


def table_of_growth(points: list[Point], title: str) -> Table:
    """One row per curve: its ends, its exponent, and the memory beside the gradient."""
    table = Table(title=title)
    for heading in ("axis", "function", "backend"):
        table.add_column(heading)
    for heading in ("from - to", "median ms", "exponent", "beside the gradient, MB", "/ input"):
        table.add_column(heading, justify="right")
    for curve in exponents(points):
        own = [p for p in points if all(getattr(p, key) == curve[key] for key in ("axis", "function", "backend"))]
        first, last = own[0], own[-1]
        beside = [None if p.peak_bytes is None else p.peak_bytes - p.gradient_bytes for p in (first, last)]
        table.add_row(
            curve["axis"],
            curve["function"],
            curve["backend"],
            f"{first.value} - {last.value}",
            f"{first.seconds * 1e3:.3g} - {last.seconds * 1e3:.3g}",
            "-" if curve["exponent"] is None else f"{curve['exponent']:.2f}",
            " - ".join("-" if size is None else f"{size / 1e6:.2f}" for size in beside),
            "-" if beside[1] is None else f"{beside[1] / last.input_bytes:.3f}",
        )
    return table
