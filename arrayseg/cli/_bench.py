"""`arrayseg bench`: time and memory beside the peers and beside what the memory allows, as ratios of one run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from arrayseg.cli._arguments import check_environment, check_output_file, parse_names
from arrayseg.cli._console import console, fail
from arrayseg.cli._environment import environment
from arrayseg.cli._growth import exponents, growing_pairs, growth, table_of_growth
from arrayseg.cli._measure import Result, measure
from arrayseg.cli.contests import SIZES, Contest, Scene, contests, metric_contests
from arrayseg.cli.contests.scene import available

__all__ = ["bench"]


class Labels(StrEnum):
    """How the labels lie."""

    BLOCKY = "blocky"
    RANDOM = "random"


class Dtype(StrEnum):
    """The floating dtypes of the logits."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class Device(StrEnum):
    """Where the arrays are."""

    CPU = "cpu"
    CUDA = "cuda"


Wanted = Callable[[str, str], bool]
Say = Callable[[str], None]


def bench(
    sizes: Annotated[str, typer.Option(metavar="NAME,...", help=f"Of {', '.join(SIZES)}; or none.")] = "2-D",
    functions: Annotated[str | None, typer.Option(metavar="NAME,...", help="All that there are by default.")] = None,
    backends: Annotated[str | None, typer.Option(metavar="NAME,...", help="All installed ones by default.")] = None,
    device: Annotated[Device, typer.Option(help="Where torch and JAX compute; on cuda CuPy, too.")] = Device.CPU,
    dtype: Annotated[Dtype, typer.Option(help="Floating dtype of the logits.")] = Dtype.FLOAT32,
    labels: Annotated[Labels, typer.Option(help="In blocks, as objects are, or pixel by pixel.")] = Labels.BLOCKY,
    peers: Annotated[bool, typer.Option("--peers", help="Also beside every installed library that has it.")] = False,
    metrics: Annotated[bool, typer.Option(help="Also the metrics, on inputs of their own.")] = True,
    growing: Annotated[bool, typer.Option("--growth", help="As sizes grow, arrayseg alone, and nothing else.")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="Timed calls of each entry, in turn with its rivals.")] = 7,
    output: Annotated[Path | None, typer.Option(help="Write the figures to this file as JSON.")] = None,
) -> None:
    """Time value and gradient, and peak extra memory, beside the form that users would otherwise call.

    The entries of a contest take turns, so that a change of the machine's speed meets all of them. Their results must
    agree, so that nothing is compared with another function. A ratio above 1 means that arrayseg is faster; the limit
    is the time to copy as many bytes as the inputs and the gradient have.

    With --growth, a few functions are timed instead as pixels, classes, batch and threads grow.
    """
    check_environment()
    chosen = [] if sizes == "none" else parse_names("--sizes", sizes, SIZES)
    check_output_file(output)
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # torch's profiler, which records the memory, is chatty
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX leaves the memory of a GPU to its rivals
    if not available(device.value):
        fail(
            f"Nothing here computes on {device.value!r}: none of torch, JAX and CuPy is installed and finds a device. "
            "Install one of them for CUDA on a machine that has a device, or leave out --device.",
            code=2,
        )
    setting = {"dtype": dtype.value, "labels": labels.value}

    def rounds() -> Iterator[Round]:
        return _rounds(chosen, setting, device.value, with_peers=peers, with_metrics=metrics)

    if functions is not None or backends is not None:
        measured = _pairs(rounds()) if not growing else growing_pairs(dtype.value, device.value)
        _check_names(measured, functions, backends)

    def wanted(function: str, backend: str) -> bool:
        return _among(function, functions) and _among(backend, backends)

    title = f"Value and gradient, {dtype.value}, {labels.value} labels, {device.value}"
    problems: list[str] = []
    with console(stderr=True).status("Measuring ...") as status:
        if growing:
            blocky = labels == Labels.BLOCKY
            points = growth(dtype.value, device.value, wanted, repeat, blocky=blocky, say=status.update)
            figures = {"growth": [asdict(point) for point in points], "exponents": exponents(points)}
            table = table_of_growth(points, title)
        else:
            results, problems = _measured(rounds(), wanted, repeat, status.update)
            figures = {"results": [asdict(result) for row in results for result in row]}
            table = table_of(results, title)
            if any(result.agrees is False for row in results for result in row):
                problems.append("Some results differ from those of the rival, so that their times say nothing.")
    console().print(table)
    if output is not None:
        record = {**environment(device.value), **setting, **figures}
        output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if problems:
        fail(" ".join(problems))


Round = tuple[str, Scene | None, Contest]


def _rounds(
    sizes: list[str], setting: dict[str, str], device: str, *, with_peers: bool, with_metrics: bool
) -> Iterator[Round]:
    """Every contest, with what it is measured on."""
    dtype, blocky = setting["dtype"], setting["labels"] == Labels.BLOCKY
    for size in sizes:
        scene = Scene.draw(SIZES[size], dtype, blocky=blocky, device=device)
        for contest in contests(scene, with_peers=with_peers):
            if contest.backend in ("numpy", "cupy") and dtype == "bfloat16":  # which they do not have
                continue
            if contest.part is None:
                yield size, scene, contest
            else:
                part = scene.corner() if contest.part == "corner" else scene.two_classes()
                yield f"{size}, {contest.part}", part, contest
    if with_metrics:
        for contest in metric_contests(with_peers=with_peers, device=device):
            yield contest.own_size or "", None, contest


def _measured(rounds: Iterator[Round], wanted: Wanted, repeat: int, say: Say) -> tuple[list[list[Result]], list[str]]:
    """The figures of the contests that are wanted, and in which of them arrayseg itself failed."""
    results, failures = [], []
    for size, scene, contest in rounds:
        if wanted(contest.name, contest.backend):
            say(f"Measuring {contest.name} on {contest.backend}, {size} ...")
            try:
                results.append(measure(contest, scene, size, repeat))
            except Exception as error:  # the hours of the other contests are not to be lost
                what = f"{contest.name} on {contest.backend}, {size}"
                failures.append(f"arrayseg fails in {what}: {type(error).__name__}: {error}")
    return results, failures


def _pairs(rounds: Iterator[Round]) -> set[tuple[str, str]]:
    """Return the function and the backend of every contest."""
    return {(contest.name, contest.backend) for _, _, contest in rounds}


def _check_names(measured: set[tuple[str, str]], functions: str | None, backends: str | None) -> None:
    """Refuse functions and backends of which there is nothing to measure, before hours of measuring the others."""
    if backends is not None:
        parse_names("--backends", backends, sorted({backend for _, backend in measured}))
    if functions is not None:
        names = {name for function, _ in measured for name in _names_of(function) if "," not in name}
        parse_names("--functions", functions, sorted(names))
    if not any(_among(function, functions) and _among(backend, backends) for function, backend in measured):
        msg = f"none of the backends {backends} has any of the functions {functions}."
        raise typer.BadParameter(msg, param_hint="--functions")


def _among(name: str, chosen: str | None) -> bool:
    """Return whether a contest is among those chosen."""
    return chosen is None or bool(_names_of(name) & {each.strip() for each in chosen.split(",")})


def _names_of(contest: str) -> set[str]:
    """Return the name of a contest, and the part before its options."""
    return {contest, re.split(r"[(,]", contest)[0]}


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
