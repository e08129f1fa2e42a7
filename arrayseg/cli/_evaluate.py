"""`arrayseg evaluate`: two folders of masks in, a table and files out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from arrayseg import __version__
from arrayseg.cli._arguments import (
    check_environment,
    check_output_folder,
    parse_absent,
    parse_classes,
    parse_label_map,
    read_class_names,
)
from arrayseg.cli._console import console, fail, tell
from arrayseg.evaluation.counting import PairCounter
from arrayseg.evaluation.pairing import pair_files
from arrayseg.evaluation.placement import BackendName, Placer, placer
from arrayseg.evaluation.report import print_scores, score, write_files

__all__ = ["evaluate"]


def choose_placer(backend: BackendName, device: str | None) -> Placer:
    """Return the placer of a backend and device that exist here, or fail in the library's own words."""
    try:
        return placer(backend, device)
    except (AssertionError, ImportError, IndexError, RuntimeError, ValueError) as error:
        fail(f"--backend {backend}{f' --device {device}' if device else ''}: {error}", code=2)


def count_pairs(predictions: Path, targets: Path, counter: PairCounter) -> None:
    """Count all pairs of two folders behind a progress bar, and list every problem and warning on standard error."""
    try:
        pairs, unpaired = pair_files(predictions, targets)
    except (OSError, ValueError) as error:
        fail(str(error))
    if not pairs and not unpaired:
        fail(f"There are no masks in {predictions} and {targets}.")
    counter.problems += unpaired
    stderr = console(stderr=True)
    for pair in track(pairs, "Counting pixels", console=stderr):
        counter.add(pair)

    for warning in counter.warnings:
        tell(stderr, f"Warning: {warning}", style="yellow")
    if counter.problems:
        tell(stderr, f"Problems ({len(counter.problems)}):", style="bold red")
    for problem in counter.problems:
        tell(stderr, f"  {problem.kind}: {problem.message}")
    if any(problem.kind == "label" for problem in counter.problems):
        hint = "--label-map changes labels on reading (255=1 for masks of 0 and 255); --ignore-index leaves one out."
        tell(stderr, hint)
    if not counter.pairs:
        fail("No pair of files could be evaluated.")


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted masks, or one mask.", exists=True)],
    targets: Annotated[Path, typer.Argument(help="Folder of ground-truth masks, or one mask.", exists=True)],
    *,
    num_classes: Annotated[int, typer.Option(min=1, help="Number of classes; labels run from 0 to this less 1.")],
    ignore_index: Annotated[
        int | None, typer.Option(help="Target label whose pixels count nowhere, in or out of the classes.")
    ] = None,
    class_names: Annotated[
        Path | None, typer.Option(help="Text file with one class name per line.", exists=True, dir_okay=False)
    ] = None,
    label_map: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW,...", help="Change labels on reading, as in 255=1 for masks of 0 and 255."),
    ] = None,
    prediction_map: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW,...", help="The same, in the predictions alone.")
    ] = None,
    target_map: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW,...", help="The same, in the targets alone.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="1-3,7", help="Classes of the tables and means; by default all of them.")
    ] = None,
    absent: Annotated[
        str,
        typer.Option(
            metavar="skip|nan|NUMBER", help="What a class with neither prediction nor target counts in a mean."
        ),
    ] = "skip",
    backend: Annotated[BackendName, typer.Option(help="Library that counts.")] = BackendName.NUMPY,
    device: Annotated[str | None, typer.Option(help="Device of that library: cpu, cuda, cuda:1.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for evaluation.json, overall.csv and per_class.csv.", file_okay=False, writable=True),
    ] = None,
    skip_errors: Annotated[
        bool, typer.Option("--skip-errors", help="Evaluate the good pairs, list the others, and exit with code 0.")
    ] = False,
) -> None:
    """Compare two folders of masks: IoU, Dice and accuracy, per class and overall.

    A prediction and a target belong together when their paths below the two folders are equal up to the suffix.
    Masks hold one label per pixel: PNG (modes 1, L, P, I;16), TIFF, NPY, NPZ and NIfTI (.nii, .nii.gz); other files are
    passed over. One pair is in memory at a time.

    Exit code 0: the results stand. 1: some file has no partner, is unreadable, has another shape or place in space
    than its partner, or holds a label out of range; every such file is listed, and no result is printed or written.
    With --skip-errors the results are those of the good pairs, and the exit code is 0 as long as there is one.
    2: wrong usage.
    """
    check_environment()
    check_output_folder(output)
    names = read_class_names(class_names, num_classes)
    chosen = parse_classes(classes, num_classes)
    absent_score = parse_absent(absent)
    common = parse_label_map("--label-map", label_map)
    options: dict[str, Any] = {
        "prediction_map": common | parse_label_map("--prediction-map", prediction_map),
        "target_map": common | parse_label_map("--target-map", target_map),
        "place": choose_placer(backend, device),
    }
    try:
        counter = PairCounter(num_classes, ignore_index, **options)
        count_pairs(predictions, targets, counter)
    except MemoryError as error:
        fail(f"The counts of {num_classes:,} classes do not fit in memory: {error or 'no room is left'}.")
    if counter.problems and not skip_errors:
        fail(
            f"No result is given; with --skip-errors the good pairs ({counter.pairs}) are evaluated without the others."
        )

    scores = score(counter.matrix, names, chosen, absent_score)
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
    # Written before anything is printed: a pipe that closes, or a full disk behind it, loses the tables alone.
    try:
        files = [] if output is None else write_files(output, scores, document(settings, counter))
    except OSError as error:
        fail(f"The results could not be written to {output}: {error}")
    stdout = console()
    try:
        print_scores(scores, stdout)
        tell(stdout, f"Pairs of files: {counter.pairs:,}; pixels: {counter.matrix.sum():,}")
        if files:
            tell(stdout, f"Written: {', '.join(map(str, files))}")
    except OSError as error:
        fail(f"The tables could not be printed: {error}")


def document(settings: dict[str, Any], counter: PairCounter) -> dict[str, Any]:
    """Return what the JSON file records next to the scores: enough to repeat the run, and the counts themselves."""
    return {
        "arrayseg": __version__,
        **settings,
        "prediction_map": counter.prediction_map,
        "target_map": counter.target_map,
        "pairs": counter.pairs,
        "problems": [
            {"kind": problem.kind, "files": list(map(str, problem.files)), "message": problem.message}
            for problem in counter.problems
        ],
        "warnings": counter.warnings,
        "confusion_matrix": counter.matrix.tolist(),
    }
