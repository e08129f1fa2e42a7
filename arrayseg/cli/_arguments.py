"""Parse and check what the user types. Every error is a sentence, with exit code 2."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import typer

from arrayseg.backends.numpy.threads import thread_count
from arrayseg.cli._console import fail
from arrayseg.metrics._compute import AbsentScore

__all__ = [
    "check_environment",
    "check_output_file",
    "check_output_folder",
    "parse_absent",
    "parse_classes",
    "parse_label_map",
    "parse_names",
    "parse_shape",
    "read_class_names",
]

LABELS = np.iinfo(np.int32)


def parse_label_map(option: str, texts: Sequence[str] | None) -> dict[int, int]:
    """Read `["255=1,254=0", "7=2"]` as `{255: 1, 254: 0, 7: 2}`."""
    changes: dict[int, int] = {}
    for entry in ",".join(texts).split(",") if texts else ():
        try:
            old, new = map(int, entry.split("="))
        except ValueError:
            msg = f"{entry!r} is not a change of labels; write OLD=NEW, as in 255=1."
            raise typer.BadParameter(msg, param_hint=option) from None
        if not all(LABELS.min <= label <= LABELS.max for label in (old, new)):
            msg = f"{entry!r} has a label beyond 32-bit integers."
            raise typer.BadParameter(msg, param_hint=option)
        if changes.setdefault(old, new) != new:
            msg = f"label {old} cannot become both {changes[old]} and {new}."
            raise typer.BadParameter(msg, param_hint=option)
    return changes


def parse_classes(text: str | None, num_classes: int) -> list[int]:
    """Read `"1-3,7"` as `[1, 2, 3, 7]`; None means every class."""
    if text is None:
        return list(range(num_classes))
    classes: set[int] = set()
    for entry in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", entry)
        if match is None:
            msg = f"{entry!r} is not a class or a range of classes; write for example 1-3,7."
            raise typer.BadParameter(msg, param_hint="--classes")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            msg = f"{entry!r} runs backward; write {last}-{first}."
            raise typer.BadParameter(msg, param_hint="--classes")
        if last >= num_classes:
            msg = f"{entry!r} is out of range; the {num_classes} classes run from 0 to {num_classes - 1}."
            raise typer.BadParameter(msg, param_hint="--classes")
        classes |= set(range(first, last + 1))
    return sorted(classes)


def parse_absent(text: str) -> AbsentScore:
    """Read `skip`, `nan` or a finite number."""
    words: dict[str, AbsentScore] = {"skip": "skip", "nan": "nan"}
    try:
        absent = words.get(text.strip().lower()) or float(text)
    except ValueError:
        absent = math.inf
    if isinstance(absent, float) and not math.isfinite(absent):
        msg = f"{text!r} is not skip, nan or a finite number."
        raise typer.BadParameter(msg, param_hint="--absent")
    return absent


def parse_shape(text: str) -> tuple[int, ...]:
    """Read `"2,4,128,128"` as the shape of logits: images, classes, and two or three spatial axes."""
    try:
        shape = tuple(map(int, text.split(",")))
    except ValueError:
        shape = ()
    if len(shape) not in (4, 5) or min(shape) < 1:
        msg = f"{text!r} is not a shape; write images, classes and two or three sides, as in 2,4,128,128."
        raise typer.BadParameter(msg, param_hint="--shape")
    return shape


def parse_names(option: str, text: str, known: Iterable[str]) -> list[str]:
    """Read `"dice,iou"` as `["dice", "iou"]`, each of which must be known."""
    known = list(known)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            msg = f"{name!r} is not available here; choose from: {', '.join(known)}."
            raise typer.BadParameter(msg, param_hint=option)
    return names


def read_class_names(path: Path | None, num_classes: int) -> list[str]:
    """Read one name per line for each class; without a file, the ids are the names."""
    if path is None:
        return [str(label) for label in range(num_classes)]
    try:
        # utf-8-sig: some editors begin a text file with a byte order mark.
        names = [line.strip() for line in path.read_text("utf-8-sig").rstrip().split("\n")]
    except UnicodeDecodeError as error:
        msg = f"{path} is not a text file in UTF-8: {error}."
        raise typer.BadParameter(msg, param_hint="--class-names") from error
    if len(names) != num_classes:
        msg = f"{path} has {len(names)} lines; write one name for each of the {num_classes} classes."
        raise typer.BadParameter(msg, param_hint="--class-names")
    if "" in names:
        msg = f"line {names.index('') + 1} of {path} is empty; write one name for each of the {num_classes} classes."
        raise typer.BadParameter(msg, param_hint="--class-names")
    return names


def check_environment() -> None:
    """Refuse a wrong number of threads before the first file is read."""
    try:
        thread_count()
    except ValueError as error:
        fail(str(error), code=2)


def check_output_folder(folder: Path | None) -> None:
    """Refuse a folder that cannot be made or written, before the work starts."""
    if folder is None:
        return
    _refuse_dash(folder)
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        msg = f"{folder} cannot be made: {existing} is not a folder."
        raise typer.BadParameter(msg, param_hint="--output")
    if not os.access(existing, os.W_OK | os.X_OK):
        msg = f"{folder} cannot be written: there is no permission to write in {existing}."
        raise typer.BadParameter(msg, param_hint="--output")


def check_output_file(file: Path | None) -> None:
    """Refuse a file that cannot be written, before the work starts."""
    if file is None:
        return
    _refuse_dash(file)
    folder = file.absolute().parent
    if file.is_dir() or not folder.is_dir():
        msg = f"{file} cannot be written: {'it is' if file.is_dir() else f'{folder} is not'} a folder."
        raise typer.BadParameter(msg, param_hint="--output")
    if not os.access(file if file.exists() else folder, os.W_OK):
        msg = f"{file} cannot be written: there is no permission."
        raise typer.BadParameter(msg, param_hint="--output")


def _refuse_dash(path: Path) -> None:
    if str(path) == "-":
        msg = "- does not mean standard output here; give a name."
        raise typer.BadParameter(msg, param_hint="--output")
