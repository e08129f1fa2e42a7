"""`arrayseg bench`: time and memory beside the peers and beside what the memory allows, as ratios of one run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from array_api_compat import is_array_api_obj
from rich.table import Table

from arrayseg._typing import Array
from arrayseg.app._console import console, fail
from arrayseg.app.contests import SIZES, Call, Contest, Scene, contests, metric_contests
from arrayseg.backends import Backend, backend_of
from arrayseg.backends.numpy import NUMPY, thread_count

__all__ = ["bench"]

OURS, COPY = "arrayseg", "copy"
#: Results of one formula may be as far apart, relative to the norm.
TOLERANCES = {"float64": 1e-6, "float32": 1e-3, "float16": 5e-2, "bfloat16": 2e-1}
#: A contest is over after its repetitions, or three of them if they take longer than this.
LONGEST_SECONDS = 15.0
PACKAGES = (
    *("arrayseg", "numpy", "torch", "jax", "cupy", "monai", "kornia", "segmentation-models-pytorch", "torchmetrics"),
    *("optax", "scikit-learn", "scikit-image", "scipy", "surface-distance", "medpy"),
)


class Labels(StrEnum):
    """How the labels lie."""

    BLOCKY = "blocky"
    RANDOM = "random"


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


def bench(
    sizes: Annotated[str, typer.Option(metavar="NAME,...", help=f"Of {', '.join(SIZES)}; or none.")] = "2-D",
    functions: Annotated[str | None, typer.Option(metavar="NAME,...", help="All that there are by default.")] = None,
    backends: Annotated[str | None, typer.Option(metavar="NAME,...", help="All installed ones by default.")] = None,
    dtype: Annotated[str, typer.Option(help="float32, float64, float16 or bfloat16.")] = "float32",
    labels: Annotated[Labels, typer.Option(help="In blocks, as objects are, or pixel by pixel.")] = Labels.BLOCKY,
    peers: Annotated[bool, typer.Option("--peers", help="Also beside every installed library that has it.")] = False,
    metrics: Annotated[bool, typer.Option(help="Also the metrics, on inputs of their own.")] = True,
    repeat: Annotated[int, typer.Option(min=1, help="Timed calls of each entry, in turn with its rivals.")] = 7,
    output: Annotated[Path | None, typer.Option(help="Write the figures to this file as JSON.")] = None,
) -> None:
    """Time value and gradient, and peak extra memory, beside the form that users would otherwise call.

    The entries of a contest take turns, so that a change of the machine's speed meets all of them. Their results must
    agree, so that nothing is compared with another function. A ratio above 1 means that arrayseg is faster; the limit
    is the time to copy as many bytes as the inputs and the gradient have.
    """
    chosen = [] if sizes == "none" else sizes.split(",")
    unknown = set(chosen) - set(SIZES)
    if unknown:
        fail(f"There is no size {min(unknown)!r}; choose of {', '.join(SIZES)}.")
    if dtype not in TOLERANCES:
        fail(f"There is no dtype {dtype!r}; choose of {', '.join(TOLERANCES)}.")
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # torch's profiler, which records the memory, is chatty
    results = []
    with console(stderr=True).status("Measuring ...") as status:
        for size, scene, contest in rounds(chosen, dtype, labels, with_peers=peers, with_metrics=metrics):
            if _wanted(contest.name, functions) and _wanted(contest.backend, backends):
                status.update(f"Measuring {contest.name} on {contest.backend}, {size} ...")
                results.append(measure(contest, scene, size, repeat))
    console().print(table_of(results, f"Value and gradient, {dtype}, {labels} labels"))
    if output is not None:
        figures = [asdict(result) for row in results for result in row]
        record = {**environment(), "dtype": dtype, "labels": labels, "results": figures}
        output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if any(result.agrees is False for row in results for result in row):
        fail("Some results differ from those of the rival, so that their times say nothing; they are marked.")


def rounds(
    sizes: list[str], dtype: str, labels: Labels, *, with_peers: bool, with_metrics: bool
) -> Iterator[tuple[str, Scene | None, Contest]]:
    """Every contest, with what it is measured on."""
    for size in sizes:
        scene = Scene.draw(SIZES[size], dtype, blocky=labels == Labels.BLOCKY)
        for contest in contests(scene, with_peers=with_peers):
            if contest.backend == "numpy" and dtype == "bfloat16":
                continue
            yield (f"{size}, corner", scene.corner(), contest) if contest.in_corner else (size, scene, contest)
    if with_metrics:
        for contest in metric_contests(with_peers=with_peers):
            yield contest.own_size or "", None, contest


def _wanted(name: str, chosen: str | None) -> bool:
    """Whether a contest's name, or the part before its options, is among those chosen."""
    return chosen is None or bool({name, name.partition("(")[0], name.partition(",")[0]} & set(chosen.split(",")))


def measure(contest: Contest, scene: Scene | None, size: str, repeat: int) -> list[Result]:
    """The figures of a contest, ours first."""
    tolerance = max(contest.tolerance or 0.0, TOLERANCES[scene.dtype] if scene else 0.0)
    calls = {OURS: contest.ours(scene)}
    expected = calls[OURS]()  # also the warm-up
    agrees, backends = {}, {OURS: backend_in(expected)}
    for name, rival in contest.rivals.items():
        try:
            call = rival(scene)
            result = call()
        except Exception as error:  # whatever a peer may raise that lacks a package of its own or refuses the dtype
            message = f"{name} is left out of {contest.name}: {type(error).__name__}: {error}"
            console(stderr=True).print(message, markup=False, soft_wrap=True)
            continue
        calls[name], agrees[name] = call, agree(expected, result, tolerance)
        backends[name] = backend_in(result)
    peaks = {
        name: backend.measure_peak(calls[name])[1] if contest.has_peak else None for name, backend in backends.items()
    }
    limit_bytes = contest.limit_bytes if scene is None else scene.limit_bytes
    calls[COPY] = copy_of(limit_bytes or 0)
    calls[COPY]()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    start = perf_counter()
    for turn in range(repeat):
        if turn >= 3 and perf_counter() - start > LONGEST_SECONDS:
            break
        for name, call in calls.items():
            seconds[name].append(time_of(call))
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


def agree(ours: Any, theirs: Any, tolerance: float) -> bool:
    """Whether two results are the same, array by array."""
    pair = numbers_of(ours), numbers_of(theirs)
    return len(pair[0]) == len(pair[1]) and all(close(*arrays, tolerance) for arrays in zip(*pair, strict=True))


def close(mine: np.ndarray[Any, Any], other: np.ndarray[Any, Any], tolerance: float) -> bool:
    """Whether two arrays differ by little of their norm; in the norm, as one element may be a matter of rounding."""
    if mine.size != other.size:
        return False
    difference = np.linalg.norm(mine.reshape(-1) - other.reshape(-1))
    return bool(difference <= tolerance * max(float(np.linalg.norm(other)), 1e-12))


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
    result = call()
    for array in arrays_of(result):
        backend_of(array).synchronize(array)
    return perf_counter() - start


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


def copy_of(size: int) -> Callable[[], None]:
    """A copy that reads and writes `size` bytes in all, on as many threads as the kernels have."""
    source = np.ones(max(1, size // 16))
    target = np.empty_like(source)
    length = -(-source.size // thread_count())
    parts = [slice(start, start + length) for start in range(0, source.size, length)]

    def copy() -> None:
        NUMPY.map(lambda part: np.copyto(target[part], source[part]), parts)

    return copy


def table_of(results: list[list[Result]], title: str) -> Table:
    """One row per entry; ratios are of the same run."""
    table = Table(title=title)
    for heading in ("size", "function", "backend", "entry"):
        table.add_column(heading, overflow="fold")
    for heading in ("median ms", "min-max", "ratio", "× limit", "peak / input"):
        table.add_column(heading, justify="right")
    for contest in results:
        ours = contest[0]
        for result in contest:
            first = result is ours
            ratio = "" if first else f"{result.seconds / ours.seconds:.2f}"
            memory = "-" if result.peak_bytes is None else f"{result.peak_bytes / max(1, result.input_bytes):.2f}"
            table.add_row(
                result.size if first else "",
                result.function if first else "",
                result.backend if first else "",
                result.entry,
                f"{result.seconds * 1e3:.4g}",
                f"{result.fastest * 1e3:.3g}-{result.slowest * 1e3:.3g}",
                ratio if result.agrees in (None, True) else f"{ratio} DIFFERS",
                f"{result.seconds / result.limit_seconds:.1f}",
                memory,
            )
        table.add_section()
    return table


def environment() -> dict[str, Any]:
    """What the figures were taken on, and when."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "command": " ".join(["arrayseg", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": thread_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": versions,
    }


def commit() -> str | None:
    """The commit of the checkout that runs, and whether the package differs from it; None where there is no history."""
    folder = Path(__file__).parent.parent
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "."))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head} with changes" if changes else head
