"""`arrayseg evaluate`: two folders of masks in, a table and files out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from arrayseg import __version__
from arrayseg.app._backend import BackendName, Placer, placer
from arrayseg.app._console import console, fail
from arrayseg.app._counting import PairCounter
from arrayseg.app._pairs import pair_files
from arrayseg.app._report import print_scores, score, write_files
from arrayseg.metrics.outcomes import Absent

__all__ = ["evaluate"]


def parse_label_map(texts: Sequence[str] | None) -> dict[int, int]:
    """Read `["255=1,254=0", "7=2"]` as `{255: 1, 254: 0, 7: 2}`."""
    changes: dict[int, int] = {}
    for entry in ",".join(texts).split(",") if texts else ():
        try:
            old, new = map(int, entry.split("="))
        except ValueError:
            msg = f"{entry!r} is no change of labels; write OLD=NEW, as in 255=1."
            raise typer.BadParameter(msg) from None
        if changes.setdefault(old, new) != new:
            msg = f"label {old} cannot become both {changes[old]} and {new}."
            raise typer.BadParameter(msg)
    return changes


def parse_classes(text: str | None, num_classes: int) -> list[int]:
    """Read `"1-3,7"` as `[1, 2, 3, 7]`; None means every class."""
    if text is None:
        return list(range(num_classes))
    classes: set[int] = set()
    for entry in text.split(","):
        first, _, last = entry.partition("-")
        if not (first.strip().isdecimal() and (last or first).strip().isdecimal()):
            msg = f"{entry!r} is no class or range of classes; write for example 1-3,7."
            raise typer.BadParameter(msg)
        classes |= set(range(int(first), int(last or first) + 1))
    if not classes or max(classes) >= num_classes:
        msg = f"{text!r} must name classes from 0 to {num_classes - 1}."
        raise typer.BadParameter(msg)
    return sorted(classes)


def parse_absent(text: str) -> Absent:
    """Read `skip`, `nan` or a number."""
    words: dict[str, Absent] = {"skip": "skip", "nan": "nan"}
    try:
        return words[text] if text in words else float(text)
    except ValueError:
        msg = f"{text!r} is none of skip, nan and a number."
        raise typer.BadParameter(msg) from None


def read_class_names(path: Path | None, num_classes: int) -> list[str]:
    """One name per line, as many as classes; without a file, the ids are the names."""
    if path is None:
        return [str(label) for label in range(num_classes)]
    try:
        # utf-8-sig: some editors begin a text file with a byte order mark.
        names = [line.strip() for line in path.read_text("utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        msg = f"{path} is not a text file in UTF-8: {error}."
        raise typer.BadParameter(msg) from error
    if len(names) != num_classes:
        msg = f"{path} has {len(names)} lines; write one name for each of the {num_classes} classes."
        raise typer.BadParameter(msg)
    return names


def choose_placer(backend: BackendName, device: str | None) -> Placer:
    """The placer of a backend and device that exist here, or the library's own words and exit code 1."""
    try:
        return placer(backend, device)
    except (AssertionError, ImportError, IndexError, RuntimeError, ValueError) as error:
        fail(f"--backend {backend}{f' --device {device}' if device else ''}: {error}")


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
        stderr.print(f"Warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if counter.problems:
        stderr.print(f"Problems ({len(counter.problems)}):", style="bold red", soft_wrap=True)
    for problem in counter.problems:
        stderr.print(f"  {problem.kind}: {problem.message}", markup=False, soft_wrap=True)
    if any(problem.kind == "label" for problem in counter.problems):
        hint = "--label-map changes labels on reading (255=1 for masks of 0 and 255); --ignore-index leaves one out."
        stderr.print(hint, soft_wrap=True)
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

    Exit code 0: the results stand. 1: some file is without partner, unreadable, of another shape than its partner or
    holds a label out of range; every such file is listed, and no result is printed or written. With --skip-errors
    the results are those of the good pairs and the exit code is 0 as long as there is one. 2: wrong usage.
    """
    names = read_class_names(class_names, num_classes)
    chosen = parse_classes(classes, num_classes)
    absent_score = parse_absent(absent)
    common = parse_label_map(label_map)
    counter = PairCounter(
        num_classes=num_classes,
        ignore_index=ignore_index,
        prediction_map=common | parse_label_map(prediction_map),
        target_map=common | parse_label_map(target_map),
        place=choose_placer(backend, device),
    )
    count_pairs(predictions, targets, counter)
    if counter.problems and not skip_errors:
        fail(
            f"No result is given; with --skip-errors the good pairs ({counter.pairs}) are evaluated without the others."
        )

    scores = score(counter.matrix, names, chosen, absent_score)
    stdout = console()
    print_scores(scores, stdout)
    stdout.print(f"Pairs of files: {counter.pairs:,}; pixels: {counter.matrix.sum():,}")
    if output is None:
        return
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
    try:
        files = write_files(output, scores, document(settings, counter))
    except OSError as error:
        fail(f"The results could not be written to {output}: {error}")
    stdout.print(f"Written: {', '.join(map(str, files))}", markup=False, soft_wrap=True)


def document(settings: dict[str, Any], counter: PairCounter) -> dict[str, Any]:
    """What the JSON file records beside the scores: enough to repeat the run, and the counts to compute others."""
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
