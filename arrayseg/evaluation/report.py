"""The scores of a confusion matrix as tables on the screen and as files."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from arrayseg import metrics
from arrayseg.cli._console import printable
from arrayseg.metrics._compute import Absent

__all__ = ["ClassScore", "Scores", "print_scores", "score", "write_files"]

OVERALL_TITLES = {
    "mean_iou": "mIoU",
    "frequency_weighted_iou": "FWIoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_pixel_accuracy": "mean accuracy",
    "mean_dice": "mean Dice",
}


class ClassScore(NamedTuple):
    """The scores of one class; nan where it does not occur."""

    label: int
    name: str
    target_pixels: int
    predicted_pixels: int
    iou: float
    dice: float
    accuracy: float


class Scores(NamedTuple):
    """The scores of every class that enters the means, and the means."""

    per_class: list[ClassScore]
    overall: dict[str, float]


def score(
    matrix: np.ndarray[Any, np.dtype[np.int64]], names: Sequence[str], classes: list[int], absent: Absent
) -> Scores:
    """Return the scores of a confusion matrix whose rows are the target, as `arrayseg.metrics.report` has them.

    Parameters
    ----------
    matrix : ndarray of shape (C, C)
        Pixel counts.
    names : sequence of str
        The names of all C classes.
    classes : list of int
        The classes that enter the table and the means.
    absent : {"skip", "nan"} or float
        What a class with neither prediction nor target counts in a mean.

    Returns
    -------
    Scores
        Per class and overall.
    """
    report = metrics.report(matrix, class_names=names, absent=absent, classes=classes)
    predicted = matrix.sum(axis=0).tolist()
    rows = [
        ClassScore(label, row.name, row.target_pixels, predicted[label], row.iou, row.dice, row.accuracy)
        for label, row in zip(classes, report.classes, strict=True)
    ]
    return Scores(rows, {name: getattr(report, name) for name in OVERALL_TITLES})


def print_scores(scores: Scores, console: Console) -> None:
    """Print a table per class and a table overall."""
    table = Table("class", "name", title="Per class")
    for title in ("target pixels", "predicted pixels", "IoU", "Dice", "accuracy"):
        table.add_column(title, justify="right")
    for row in scores.per_class:
        counts = (f"{row.target_pixels:,}", f"{row.predicted_pixels:,}")
        # Text, because a class may be called [red].
        table.add_row(
            str(row.label), Text(printable(row.name)), *counts, *map(digits, (row.iou, row.dice, row.accuracy))
        )
    console.print(table)

    table = Table(*OVERALL_TITLES.values(), title="Overall")
    table.add_row(*(digits(scores.overall[name]) for name in OVERALL_TITLES))
    console.print(table)


def digits(value: float) -> str:
    """Return six decimals, or a dash for a class that does not occur."""
    return "-" if math.isnan(value) else f"{value:.6f}"


def write_files(folder: Path, scores: Scores, document: dict[str, Any]) -> list[Path]:
    """Write `evaluation.json`, `overall.csv` and `per_class.csv`, none of them ever incomplete.

    They are made in a folder next to their places and moved there when the last is complete, so that an interruption
    leaves the files of an earlier run as they were.

    Parameters
    ----------
    folder : Path
        The output folder, made if need be.
    scores : Scores
        What the tables show.
    document : dict
        What else the JSON file records.

    Returns
    -------
    list of Path
        The files.
    """
    content = document | {
        "overall": {name: none_if_nan(value) for name, value in scores.overall.items()},
        "per_class": [{name: none_if_nan(value) for name, value in row._asdict().items()} for row in scores.per_class],
    }
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".arrayseg-", dir=folder) as staging:
        (Path(staging) / "evaluation.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", "utf-8")
        write_csv(Path(staging) / "overall.csv", list(scores.overall), [list(scores.overall.values())])
        write_csv(Path(staging) / "per_class.csv", list(ClassScore._fields), scores.per_class)
        files = sorted(Path(staging).iterdir())
        for file in files:
            os.replace(file, folder / file.name)
    return [folder / file.name for file in files]


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows in full precision; a score that does not exist is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([none_if_nan(value) for value in row] for row in rows)


def none_if_nan(value: Any) -> Any:
    """Return None for nan, which JSON and CSV lack."""
    return None if isinstance(value, float) and math.isnan(value) else value
