"""Time losses and metrics next to what users would otherwise call: `python tests/benchmarks/run.py [options]`.

The implementations of a comparison take turns, so that a change of the machine's speed affects all of them. Their
results must agree. A ratio above 1 means that arrayseg is faster; the limit is the time to copy as many bytes as the
inputs and the gradient have.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

TESTS = Path(__file__).parent.parent
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))  # the modules next to this file
sys.path.append(str(TESTS.parent))  # arrayseg of this checkout, unless PYTHONPATH or an installation has another

from benchmarks import (  # noqa: E402
    confusion_metrics,
    frameworks,
    layouts,
    peers,
    probability_metrics,
    segment_metrics,
    surface_metrics,
)
from benchmarks.comparison import Comparison  # noqa: E402
from benchmarks.environment import environment  # noqa: E402
from benchmarks.growth import exponents, growing_pairs, growth, growth_rows  # noqa: E402
from benchmarks.inputs import SIZES, Inputs, available, has_dtype  # noqa: E402
from benchmarks.measure import TOLERANCES, Result, measure  # noqa: E402

Job = tuple[str, Inputs | None, Comparison]
"""The name of a size, the inputs, and what to compare on them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write what the options ask for; return 1 if anything failed or differs."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # torch's profiler, which records the memory, prints a lot
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX leaves GPU memory to the others
    check(options, parser.error)

    title = f"Value and gradient, {options.dtype}, {options.labels} labels, {options.device}"
    problems: list[str] = []
    if options.growth:
        blocky = options.labels == "blocky"
        is_chosen = choice(options)
        points = growth(options.dtype, options.device, is_chosen, options.repeat, blocky=blocky, say=say)
        figures = {"growth": [asdict(point) for point in points], "exponents": exponents(points)}
        rows = growth_rows(points)
    else:
        results, problems = measure_all(options)
        figures = {"results": [asdict(result) for group in results for result in group]}
        rows = result_rows(results)
        if any(result.agrees is False for group in results for result in group):
            problems.append("Some results differ from arrayseg's, so their times do not compare.")
    print_table(title, rows)
    if options.output is not None:
        record = {**environment(options.device), "dtype": options.dtype, "labels": options.labels, **figures}
        options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for problem in problems:
        say(f"Error: {problem}")
    return int(bool(problems))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=names, default=["2-D"], help=f"of {', '.join(SIZES)}; or none")
    parser.add_argument("--functions", type=names, help="all by default")
    parser.add_argument("--backends", type=names, help="all installed ones by default")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="device of the arrays")
    parser.add_argument("--dtype", choices=tuple(TOLERANCES), default="float32", help="dtype of the logits")
    parser.add_argument(
        "--labels", choices=("blocky", "random"), default="blocky", help="in blocks, as objects are, or pixel by pixel"
    )
    parser.add_argument("--peers", action="store_true", help="also compare to every installed library")
    parser.add_argument("--metrics", action=argparse.BooleanOptionalAction, default=True, help="also the metrics")
    parser.add_argument("--growth", action="store_true", help="arrayseg alone, as sizes grow")
    parser.add_argument("--repeat", type=int, default=7, help="timed calls of each implementation, at least")
    parser.add_argument("--output", type=Path, help="write the figures to this file as JSON")
    return parser


def names(text: str) -> list[str]:
    """Return the names of a list separated by commas."""
    return [name.strip() for name in text.split(",")]


def check(options: argparse.Namespace, fail: Callable[[str], NoReturn]) -> None:
    """Refuse options that cannot be met, before anything is measured."""
    if options.sizes == ["none"]:
        options.sizes = []
    check_names("--sizes", options.sizes, SIZES, fail)
    if options.repeat < 1:
        fail(f"--repeat: must be at least 1; got {options.repeat}.")
    if options.output is not None and (options.output.is_dir() or not options.output.absolute().parent.is_dir()):
        fail(f"--output: {options.output} cannot be written, because it is a folder or its folder does not exist.")
    if not available(options.device):
        fail(f"--device: none of torch, JAX and CuPy is installed and finds a {options.device!r} device here.")
    if options.functions is None and options.backends is None:
        return
    if options.growth:
        pairs = growing_pairs(options.dtype, options.device)
    else:
        pairs = {(comparison.function, comparison.backend) for _, _, comparison in jobs(options)}
    check_names("--backends", options.backends or [], {backend for _, backend in pairs}, fail)
    known = {name for function, _ in pairs for name in short_and_long(function) if "," not in name}
    check_names("--functions", options.functions or [], known, fail)
    is_chosen = choice(options)
    if not any(is_chosen(*pair) for pair in pairs):
        fail(f"--functions: none of the backends {options.backends} has any of the functions {options.functions}.")


def check_names(
    option: str, given: Sequence[str], known: Sequence[str] | set[str], fail: Callable[[str], None]
) -> None:
    """Refuse a name that is not known."""
    for name in given:
        if name not in known:
            fail(f"{option}: {name!r} is not available here; choose from: {', '.join(sorted(known))}.")


def choice(options: argparse.Namespace) -> Callable[[str, str], bool]:
    """Return whether a function on a backend is chosen, as a function of both."""

    def is_chosen(function: str, backend: str) -> bool:
        return (options.functions is None or bool(short_and_long(function) & {*options.functions})) and (
            options.backends is None or backend in options.backends
        )

    return is_chosen


def short_and_long(function: str) -> set[str]:
    """Return the name of a function with and without its options."""
    return {function, re.split(r"[(,]", function)[0]}


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Yield everything that there is to measure."""
    for size in options.sizes:
        blocky = options.labels == "blocky"
        whole = Inputs.draw(SIZES[size], options.dtype, blocky=blocky, device=options.device)
        for comparison in loss_comparisons(whole, with_peers=options.peers):
            if has_dtype(comparison.backend, options.dtype):
                name = size if comparison.part is None else f"{size}, {comparison.part}"
                yield name, comparison.inputs(whole), comparison
    if options.metrics:
        for comparison in metric_comparisons(with_peers=options.peers, device=options.device):
            yield comparison.own_size or "", None, comparison


def loss_comparisons(inputs: Inputs, *, with_peers: bool) -> Iterator[Comparison]:
    """Yield the comparisons of losses that the installed libraries allow."""
    yield from frameworks.comparisons(inputs)
    yield from layouts.comparisons(inputs)
    if with_peers:
        yield from peers.comparisons(inputs)


def metric_comparisons(*, with_peers: bool, device: str = "cpu") -> Iterator[Comparison]:
    """Yield the comparisons of metrics, which have inputs of their own."""
    yield from confusion_metrics.comparisons(with_peers=with_peers, device=device)
    if with_peers and device == "cpu":
        yield from segment_metrics.comparisons()
        yield from probability_metrics.comparisons()
        yield from surface_metrics.comparisons()


def measure_all(options: argparse.Namespace) -> tuple[list[list[Result]], list[str]]:
    """Return the results of the chosen comparisons, and a sentence for each in which arrayseg itself failed."""
    results, failures = [], []
    is_chosen = choice(options)
    for size, inputs, comparison in jobs(options):
        if is_chosen(comparison.function, comparison.backend):
            what = f"{comparison.function} on {comparison.backend}, {size}"
            say(f"Measuring {what} ...")
            try:
                results.append(measure(comparison, inputs, size, options.repeat))
            except Exception as error:  # keep what the other comparisons have measured
                failures.append(f"arrayseg fails in {what}: {type(error).__name__}: {error}")
    return results, failures


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def result_rows(results: list[list[Result]]) -> list[list[str]]:
    """Return a table with a row for each implementation; ratios are of the same run."""
    titles = [
        "size",
        "function",
        "backend",
        "implementation",
        "median ms",
        "min-max",
        "ratio",
        "× limit",
        "peak / input",
    ]
    rows = [titles]
    for own, *others in results:
        for result in (own, *others):
            first = result is own
            ratio = "" if first else f"{result.seconds / own.seconds:.2f}"
            memory = "-" if result.peak_bytes is None else f"{result.peak_bytes / max(1, result.input_bytes):.2f}"
            rows.append(
                [
                    *((result.size, result.function, result.backend) if first else ("", "", "")),
                    result.implementation,
                    f"{result.seconds * 1e3:.4g}",
                    f"{result.fastest * 1e3:.3g}-{result.slowest * 1e3:.3g}",
                    f"{ratio} DIFFERS" if result.agrees is False else ratio,
                    f"{result.seconds / result.limit_seconds:.1f}",
                    memory,
                ]
            )
    return rows


def print_table(title: str, rows: list[list[str]]) -> None:
    """Print rows in columns, names to the left and numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(title)
    for row in rows:
        cells = zip(row, widths, strict=True)
        print(
            "  ".join(cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width) for cell, width in cells).rstrip()
        )


if __name__ == "__main__":
    sys.exit(main())
