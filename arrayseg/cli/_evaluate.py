"""`arrayseg evaluate`: compare two folders of masks, print the tables, and write the files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from arrayseg import __version__, metrics
from arrayseg.cli._arguments import (
    check_environment,
    check_output_folder,
    parse_absent,
    parse_classes,
    parse_label_map,
    read_class_names,
)
from arrayseg.cli._console import console, fail, printable, tell
from arrayseg.evaluation.counting import PairCounter
from arrayseg.evaluation.pairing import pair_files
from arrayseg.evaluation.placement import BackendName, Placer, placer
from arrayseg.evaluation.problems import Kind
from arrayseg.evaluation.report import Tables, tables_of, write_files

__all__ = ["evaluate"]

TITLES = {
    "mean_iou": "mIoU",
    "frequency_weighted_iou": "FWIoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_pixel_accuracy": "mean accuracy",
    "mean_dice": "mean Dice",
}
CHANGES = "OLD=NEW,..."

Predictions = Annotated[Path, typer.Argument(help="Folder of predicted masks, or one mask.", exists=True)]
Targets = Annotated[Path, typer.Argument(help="Folder of ground-truth masks, or one mask.", exists=True)]
NumClasses = Annotated[int, typer.Option(min=1, help="Number of classes; labels run from 0 to this minus 1.")]
IgnoreIndex = Annotated[int | None, typer.Option(help="Target label to ignore; it may be outside the class range.")]
ClassNames = Annotated[
    Path | None, typer.Option(help="Text file with one class name per line.", exists=True, dir_okay=False)
]
LabelMap = Annotated[
    list[str] | None,
    typer.Option(metavar=CHANGES, help="Change labels on reading: 255=1 for masks of 0 and 255."),
]
PredictionMap = Annotated[list[str] | None, typer.Option(metavar=CHANGES, help="The same for the predictions only.")]
TargetMap = Annotated[list[str] | None, typer.Option(metavar=CHANGES, help="The same for the targets only.")]
Classes = Annotated[
    str | None, typer.Option(metavar="1-3,7", help="Classes of the tables and means; by default all of them.")
]
Absent = Annotated[
    str,
    typer.Option(metavar="skip|nan|NUMBER", help="Score of a class that occurs in neither predictions nor targets."),
]
Backend = Annotated[BackendName, typer.Option(help="Library that counts.")]
Device = Annotated[str | None, typer.Option(help="Device of that library: cpu, cuda, cuda:1.")]
Output = Annotated[
    Path | None,
    typer.Option(help="Folder for evaluation.json, overall.csv and per_class.csv.", file_okay=False, writable=True),
]
SkipErrors = Annotated[
    bool, typer.Option("--skip-errors", help="Evaluate the good pairs, list the others, and exit with code 0.")
]


def evaluate(
    predictions: Predictions,
    targets: Targets,
    *,
    num_classes: NumClasses,
    ignore_index: IgnoreIndex = None,
    class_names: ClassNames = None,
    label_map: LabelMap = None,
    prediction_map: PredictionMap = None,
    target_map: TargetMap = None,
    classes: Classes = None,
    absent: Absent = "skip",
    backend: Backend = BackendName.NUMPY,
    device: Device = None,
    output: Output = None,
    skip_errors: SkipErrors = False,
) -> None:
    """Compare two folders of masks: IoU, Dice and accuracy, per class and overall.

    A prediction and a target belong together when their paths below the two folders are equal up to the suffix.
    Masks hold one label per pixel: PNG (modes 1, L, P, I;16), TIFF, NPY, NPZ and NIfTI (.nii, .nii.gz); other files are
    skipped. One pair is in memory at a time.

    Exit code 0: the results stand. 1: some file has no partner or several, is unreadable, differs from its partner in
    shape or place in space, or holds a label out of range; every such file is listed, and no result is printed or
    written.
    With --skip-errors the results are those of the good pairs, and the exit code is 0 if there is at least one.
    2: wrong usage.
    """
    check_environment()
    check_output_folder(output)
    names = read_class_names(class_names, num_classes)
    chosen = parse_classes(classes, num_classes)
    absent_score = parse_absent(absent)
    both = parse_label_map("--label-map", label_map)
    maps = (
        both | parse_label_map("--prediction-map", prediction_map),
        both | parse_label_map("--target-map", target_map),
    )
    place = choose_placer(backend, device)
    try:
        counter = PairCounter(num_classes, ignore_index, *maps, place)
        count_pairs(predictions, targets, counter)
    except MemoryError as error:
        fail(f"The counts of {num_classes:,} classes do not fit in memory: {error or 'no room is left'}.")
    list_problems(counter)
    if counter.problems and not skip_errors:
        fail(f"No result is given; with --skip-errors only the good pairs ({counter.pairs}) are evaluated.")

    report = metrics.report(counter.matrix, class_names=names, absent=absent_score, classes=chosen)
    settings = {
        "predictions": str(predictions),
        "targets": str(targets),
        "num_classes": num_classes,
        "ignore_index": ignore_index,
        "class_names": names,
        "classes": chosen,
        "absent": absent,
        "backend": backend.value,
        "device": device,
    }
    show(tables_of(report, counter.matrix, chosen), counter, settings, output)


def choose_placer(backend: BackendName, device: str | None) -> Placer:
    """Return the placer of a backend and device that exist here, or fail in the library's own words."""
    try:
        return placer(backend, device)
    except (AssertionError, ImportError, IndexError, RuntimeError, ValueError) as error:
        fail(f"--backend {backend}{f' --device {device}' if device else ''}: {error}", code=2)


def count_pairs(predictions: Path, targets: Path, counter: PairCounter) -> None:
    """Count all pairs of two folders behind a progress bar."""
    try:
        pairs, problems = pair_files(predictions, targets)
    except ValueError as error:
        fail(str(error), code=2)
    except OSError as error:
        fail(str(error))
    if not pairs and not problems:
        fail(f"There are no masks in {predictions} and {targets}.")
    counter.problems += problems
    for pair in track(pairs, "Counting pixels", console=console(stderr=True)):
        counter.add(pair)


def list_problems(counter: PairCounter) -> None:
    """Print every warning and problem to standard error; fail if no pair is left."""
    stderr = console(stderr=True)
    for warning in counter.warnings:
        tell(stderr, f"Warning: {warning}", style="yellow")
    if counter.problems:
        tell(stderr, f"Problems ({len(counter.problems)}):", style="bold red")
    for problem in counter.problems:
        tell(stderr, f"  {problem.kind}: {problem.message}")
    if any(problem.kind == Kind.LABEL for problem in counter.problems):
        hint = "--label-map changes labels on reading (255=1 for masks of 0 and 255); --ignore-index ignores one."
        tell(stderr, hint)
    if not counter.pairs:
        fail("No pair of files could be evaluated.")


def show(tables: Tables, counter: PairCounter, settings: dict[str, Any], output: Path | None) -> None:
    """Write the files, then print the tables: a closed pipe or a full disk behind it loses only what is printed."""
    record = {"arrayseg": __version__, **settings, **counter.to_dict()}
    try:
        files = [] if output is None else write_files(output, tables, record)
    except OSError as error:
        fail(f"The results could not be written to {output}: {error}")
    stdout = console()
    try:
        print_tables(tables, stdout)
        tell(stdout, f"Pairs of files: {counter.pairs:,}; pixels: {counter.matrix.sum():,}")
        if files:
            tell(stdout, f"Written: {', '.join(map(str, files))}")
    except OSError as error:
        fail(f"The tables could not be printed: {error}")


def print_tables(tables: Tables, stdout: Console) -> None:
    """Print a table per class and a table overall."""
    table = Table("class", "name", title="Per class")
    for title in ("target pixels", "predicted pixels", "IoU", "Dice", "accuracy"):
        table.add_column(title, justify="right")
    for row in tables.per_class:
        name = Text(printable(row.name))  # not markup: a class may be called [red]
        counts = f"{row.target_pixels:,}", f"{row.predicted_pixels:,}"
        table.add_row(str(row.label), name, *counts, *map(digits, (row.iou, row.dice, row.accuracy)))
    stdout.print(table)

    table = Table(*(TITLES[name] for name in tables.overall), title="Overall")
    table.add_row(*map(digits, tables.overall.values()))
    stdout.print(table)


def digits(value: float) -> str:
    """Return six decimals, or a dash for nan."""
    return "-" if math.isnan(value) else f"{value:.6f}"
