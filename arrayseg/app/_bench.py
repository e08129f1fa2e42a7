"""`arrayseg bench`: time and memory beside the form that users would otherwise call, as ratios of one run."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.table import Table

from arrayseg.app._console import console, fail
from arrayseg.app._contests import SIZES, Call, Contest, Scene, contests
from arrayseg.backends import backend_of

__all__ = ["bench"]


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
    logits_bytes: int


def bench(
    sizes: Annotated[str, typer.Option(metavar="NAME,...", help=f"Of {', '.join(SIZES)}.")] = "2-D",
    functions: Annotated[str | None, typer.Option(metavar="NAME,...", help="All that there are by default.")] = None,
    backends: Annotated[str | None, typer.Option(metavar="NAME,...", help="All installed ones by default.")] = None,
    dtype: Annotated[str, typer.Option(help="float32, float64 or float16.")] = "float32",
    repeat: Annotated[int, typer.Option(min=1, help="Timed calls of each entry, in turn with its rivals.")] = 7,
    output: Annotated[Path | None, typer.Option(help="Write the figures to this file as JSON.")] = None,
) -> None:
    """Time value and gradient, and peak extra memory, beside the form that users would otherwise call.

    The entries of a contest take turns, so that a change of the machine's speed meets all of them. A ratio above 1
    means that arrayseg is faster.
    """
    chosen = sizes.split(",")
    unknown = set(chosen) - set(SIZES)
    if unknown:
        fail(f"There is no size {min(unknown)!r}; choose of {', '.join(SIZES)}.")
    results = []
    with console(stderr=True).status("Measuring ...") as status:
        for size in chosen:
            scene = Scene.draw(SIZES[size], dtype)
            for contest in contests():
                if _wanted(contest.name, functions) and _wanted(contest.backend, backends):
                    status.update(f"Measuring {contest.name} on {contest.backend}, {size} ...")
                    results.append(measure(contest, scene, size, repeat))
    console().print(table_of(results, dtype))
    if output is not None:
        record = {"environment": environment(), "dtype": dtype, "results": [asdict(r) for row in results for r in row]}
        output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _wanted(name: str, chosen: str | None) -> bool:
    return chosen is None or name in chosen.split(",")


def measure(contest: Contest, scene: Scene, size: str, repeat: int) -> list[Result]:
    """The figures of a contest, ours first."""
    entries = {"arrayseg": contest.ours(scene), **{name: rival(scene) for name, rival in contest.rivals.items()}}
    peaks = {name: peak_of(call) for name, call in entries.items()}  # also the warm-up
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for _ in range(repeat):
        for name, call in entries.items():
            seconds[name].append(time_of(call))
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
            logits_bytes=scene.logits.nbytes,
        )
        for name, times in seconds.items()
    ]


def time_of(call: Call) -> float:
    """Seconds of one call, until the device is done."""
    start = perf_counter()
    array = _an_array(call())
    backend_of(array).synchronize(array)
    return perf_counter() - start


def peak_of(call: Call) -> int | None:
    """The peak of the bytes that a call allocates."""
    first = call()
    _, peak = backend_of(_an_array(first)).measure_peak(call)
    return peak


def _an_array(result: Any) -> Any:
    return result[-1] if isinstance(result, tuple) else result


def table_of(results: list[list[Result]], dtype: str) -> Table:
    """One row per entry; ratios are of the same run."""
    table = Table("size", "function", "backend", "entry", title=f"Value and gradient, {dtype}")
    for title in ("median ms", "min-max", "ratio", "peak / logits"):
        table.add_column(title, justify="right")
    for contest in results:
        ours = contest[0]
        for result in contest:
            ratio = "" if result is ours else f"{result.seconds / ours.seconds:.2f}"
            memory = "-" if result.peak_bytes is None else f"{result.peak_bytes / result.logits_bytes:.2f}"
            spread = f"{result.fastest * 1e3:.0f}-{result.slowest * 1e3:.0f}"
            name = result.function if result is ours else ""
            table.add_row(
                result.size, name, result.backend, result.entry, f"{result.seconds * 1e3:.1f}", spread, ratio, memory
            )
        table.add_section()
    return table


def environment() -> dict[str, Any]:
    """What the figures were taken on."""
    versions = {}
    for package in ("arrayseg", "numpy", "torch", "jax", "cupy", "scikit-learn"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "machine": platform.machine(), "versions": versions}
