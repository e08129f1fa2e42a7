"""`arrayseg bench`: measure losses and metrics on the user's own sizes and backends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from arrayseg import __version__, value_and_grad
from arrayseg._typing import Array
from arrayseg.cli._arguments import check_environment, check_output_file, parse_names, parse_shape
from arrayseg.cli._console import console, fail, tell
from arrayseg.profiling import measure
from arrayseg.testing import Case, Library, installed, loss_cases, metric_cases

__all__ = ["bench"]

#: Shapes of logits by name, those of the published benchmarks.
SIZES = {
    "small": (1, 4, 64, 64),
    "2-D": (4, 19, 512, 512),
    "binary": (16, 1, 512, 512),
    "3-D": (2, 4, 128, 128, 128),
}


@dataclass(frozen=True)
class Figures:
    """The time and memory of a function on a backend, or the error that kept it from being measured."""

    shape: tuple[int, ...]
    kind: str
    function: str
    backend: str
    seconds: float | None = None
    """The median."""
    spread: float | None = None
    """The interquartile range of the times."""
    peak_bytes: int | None = None
    """The most memory that a call allocates; None if the library keeps no record."""
    error: str | None = None


def bench(
    *,
    shape: Annotated[
        str, typer.Option(metavar="N,C,H,W", help="Shape of the logits: images, classes and spatial axes.")
    ] = "2,4,128,128",
    sizes: Annotated[
        str | None, typer.Option(metavar="NAME,...", help=f"Named shapes instead of --shape: {', '.join(SIZES)}.")
    ] = None,
    functions: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Losses and metrics to measure; by default all.")
    ] = None,
    backends: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Backends to measure; by default all that are installed.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Floating dtype of the logits.")] = "float32",
    repeat: Annotated[int, typer.Option(min=1, help="Timed calls of each function.")] = 10,
    output: Annotated[Path | None, typer.Option(help="Write the figures to this file as JSON.")] = None,
) -> None:
    """Measure time and peak memory of losses, with their gradient, and metrics on this machine.

    Logits are random; labels and masks are enlarged from a small scene. Metrics have the images and spatial axes of the
    shape (at least two images) and four classes. Losses of JAX are compiled if they can be.

    Functions that do not take such inputs are listed on standard error.

    Exit code 0: the figures stand; 1: one of the --functions could not be measured; 2: wrong usage.
    """
    check_environment()
    check_output_file(output)
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # torch's profiler, which records the memory, prints a lot
    shapes = [parse_shape(shape)] if sizes is None else [SIZES[name] for name in parse_names("--sizes", sizes, SIZES)]
    libraries = choose_libraries(backends, dtype)
    cases = [(shape, case) for shape in shapes for case in choose_cases(functions, shape)]
    figures = []
    with console(stderr=True).status("Measuring ...") as status:
        for library in libraries:
            for each, case in cases:
                status.update(f"Measuring {case.name} on {library.name} ...")
                figures.append(measure_case(each, case, library, dtype, repeat))

    for each in shapes:
        rows = [row for row in figures if row.shape == each]
        console().print(table_of(rows, f"shape {each}, {dtype}, {repeat} calls"))
    if output is not None:
        record = {"arrayseg": __version__, "dtype": dtype, "repeat": repeat}
        content = {**record, "results": [asdict(row) for row in figures]}
        output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    failures = [row for row in figures if row.error is not None]
    for row in failures:
        tell(console(stderr=True), f"Not measured: {row.kind} {row.function} on {row.backend}: {row.error}")
    if len(failures) == len(figures) or (failures and functions is not None):
        fail(f"{len(failures)} of {len(figures)} functions could not be measured.")


def choose_libraries(names: str | None, dtype: str) -> list[Library]:
    """Return the named backends that have a dtype, or every installed one that has it."""
    try:
        found = list(installed(None if names is None else names.split(",")).values())
    except (ImportError, ValueError) as error:
        fail(str(error), code=2)
    lacking = [library.name for library in found if dtype not in library.dtypes]
    if len(lacking) == len(found) or (names is not None and lacking):
        fail(f"--dtype {dtype}: not available on {', '.join(lacking)}.", code=2)
    return [library for library in found if dtype in library.dtypes]


def choose_cases(names: str | None, shape: tuple[int, ...]) -> list[Case]:
    """Return the named losses and metrics, with default options, on inputs of a shape."""
    cases = [case for case in (*loss_cases(), *metric_cases()) if "," not in case.name]
    if names is not None:
        chosen = parse_names("--functions", names, sorted({case.name for case in cases}))
        cases = [case for case in cases if case.name in chosen]
    return [enlarged(case, shape) for case in cases]


def enlarged(case: Case, shape: tuple[int, ...]) -> Case:
    """Return a case with inputs of a shape `(N, C, *spatial)`, random logits for a loss."""
    generator = np.random.default_rng(0)
    images, classes, *spatial = shape
    if not case.is_loss:  # the metrics of one image take the first or the second
        input, target = (resized(array, max(images, 2), spatial) for array in (case.input, case.target))
        return replace(case, input=input, target=target)
    options = {
        name: resized(value, images, spatial if value.shape == case.target.shape else [])
        if isinstance(value, np.ndarray)
        else value
        for name, value in case.options.items()
    }
    if classes == 1 and "activation" in signature(case.function).parameters:
        options["activation"] = "sigmoid"
    target = resized(case.target, images, spatial) % max(classes, 2)
    return replace(case, input=generator.normal(size=shape), target=target, options=options)


def resized(array: np.ndarray[Any, Any], images: int, spatial: list[int]) -> np.ndarray[Any, Any]:
    """Return maps `(N, ..., H, W)` with other images and spatial axes, each value repeated as often as needed."""
    if len(spatial) > 2:
        array = array.reshape(*array.shape[:-2], *(1,) * (len(spatial) - 2), *array.shape[-2:])
    for axis, length in zip(range(-len(spatial), 0), spatial, strict=True):
        array = array.take(np.arange(length) * array.shape[axis] // length, axis=axis)
    repeated: np.ndarray[Any, Any] = array.take(np.arange(images) % array.shape[0], axis=0)
    return repeated


def measure_case(shape: tuple[int, ...], case: Case, library: Library, dtype: str, repeat: int) -> Figures:
    """Return the figures of a case on a backend; for a loss, of its value and gradient."""
    row = Figures(shape, "loss" if case.is_loss else "metric", case.name, library.name)
    try:
        arrays = [placed(array, library, dtype) for array in (case.input, case.target)]
        options = {
            name: placed(value, library, dtype) if isinstance(value, np.ndarray) else value
            for name, value in case.options.items()
        }
        function = partial(case.function, **options)
        found = measure(with_gradient(function, library, arrays) if case.is_loss else function, *arrays, repeat=repeat)
    except Exception as error:  # measure the other functions in any case
        return replace(row, error=f"{type(error).__name__}: {error}")
    return replace(row, seconds=found.seconds, spread=found.spread, peak_bytes=found.peak_bytes)


def placed(values: np.ndarray[Any, Any], library: Library, dtype: str) -> Array:
    """Return an array of a library: floats in a dtype, and integers in 32 bits for JAX, its widest by default."""
    if values.dtype.kind == "f":
        return library.asarray(values, dtype)
    return library.asarray(values, "int32" if values.dtype.kind == "i" and library.name.startswith("jax") else None)


def with_gradient(loss: Callable[..., Any], library: Library, arrays: list[Array]) -> Callable[..., Any]:
    """Return the value and gradient of a loss, compiled if the library is JAX and the loss can be compiled."""
    function = value_and_grad(loss)
    if library.name.startswith("jax"):
        import jax

        compiled: Callable[..., Any] = jax.jit(function)
        try:
            compiled(*arrays)
        except TypeError:  # the loss needs known values
            return function
        return compiled
    return function


def table_of(figures: list[Figures], title: str) -> Table:
    """Return a row for each function and backend that was measured."""
    table = Table("", "function", "backend", title=title)
    for heading in ("median ms", "spread ms", "peak MB"):
        table.add_column(heading, justify="right")
    for row in figures:
        if row.seconds is not None and row.spread is not None:
            peak = "-" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.2f}"
            table.add_row(
                *(row.kind, row.function, row.backend, f"{1e3 * row.seconds:.3g}", f"{1e3 * row.spread:.2g}", peak)
            )
    return table
