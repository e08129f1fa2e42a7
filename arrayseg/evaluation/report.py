"""Arrange the report of `arrayseg.metrics` as rows, and write it to files."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from arrayseg.metrics import Report

__all__ = ["ClassRow", "Tables", "tables_of", "write_files"]

OVERALL = ("mean_iou", "frequency_weighted_iou", "pixel_accuracy", "mean_pixel_accuracy", "mean_dice")


@dataclass(frozen=True)
class ClassRow:
    """The row of one class; a score is nan if the class occurs neither in the targets nor in the predictions."""

    label: int
    name: str
    target_pixels: int
    predicted_pixels: int
    iou: float
    dice: float
    accuracy: float


@dataclass(frozen=True)
class Tables:
    """The tables that are printed and written: the means by name, and a row for each class."""

    overall: dict[str, float]
    per_class: list[ClassRow]


def tables_of(report: Report, matrix: np.ndarray[Any, np.dtype[np.int64]], classes: Sequence[int]) -> Tables:
    """Arrange a report of some classes of a confusion matrix `(C, C)`, whose rows are the target."""
    predicted = matrix.sum(axis=0).tolist()
    rows = [
        ClassRow(label, row.name, row.target_pixels, predicted[label], row.iou, row.dice, row.accuracy)
        for label, row in zip(classes, report.classes, strict=True)
    ]
    return Tables({name: getattr(report, name) for name in OVERALL}, rows)


def write_files(folder: Path, tables: Tables, record: dict[str, Any]) -> list[Path]:
    """Write `evaluation.json`, `overall.csv` and `per_class.csv`, none of them ever incomplete.

    The files are written to a temporary folder and moved when the last is complete, so that an interruption leaves the
    files of an earlier run unchanged.

    Parameters
    ----------
    folder : Path
        The output folder. It is created if it does not exist.
    tables : Tables
        The scores.
    record : dict
        The other entries of the JSON file.

    Returns
    -------
    list of Path
        The files.
    """
    overall = {name: none_if_nan(value) for name, value in tables.overall.items()}
    per_class = [{name: none_if_nan(value) for name, value in asdict(row).items()} for row in tables.per_class]
    content = {**record, "overall": overall, "per_class": per_class}
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".arrayseg-", dir=folder) as staging:
        (Path(staging) / "evaluation.json").write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", "utf-8")
        write_csv(Path(staging) / "overall.csv", [overall])
        write_csv(Path(staging) / "per_class.csv", per_class)
        files = sorted(Path(staging).iterdir())
        for file in files:
            os.replace(file, folder / file.name)
    return [folder / file.name for file in files]


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows in full precision; the cell of an undefined score is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def none_if_nan(value: Any) -> Any:
    """Return None for nan, which JSON and CSV lack."""
    return None if isinstance(value, float) and math.isnan(value) else value
