"""Pair predictions with targets: files whose paths below the two folders are equal, up to the suffix."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from arrayseg.evaluation.problems import Kind, Problem
from arrayseg.evaluation.readers import mask_suffix

__all__ = ["Pair", "pair_files"]


class Pair(NamedTuple):
    """The two files of one image."""

    prediction: Path
    target: Path


def pair_files(predictions: Path, targets: Path) -> tuple[list[Pair], list[Problem]]:
    """Return the pairs of two folders (or of two single files), sorted by path, and the files without a partner.

    Parameters
    ----------
    predictions, targets : Path
        Two folders, searched with all folders below them, except hidden ones. Symbolic links are followed, except to a
        folder that contains them. Or two files.

    Returns
    -------
    list of Pair
        Files whose paths below the two folders are equal up to the suffix.
    list of Problem
        Files that only one folder has, and names that one folder has twice, as in `a.png` next to `a.npy`.

    Raises
    ------
    ValueError
        If one is a folder and the other a file.
    OSError
        If a folder cannot be listed.
    """
    if predictions.is_file() != targets.is_file():
        msg = f"Give two folders or two files: {predictions} and {targets} are one of each."
        raise ValueError(msg)
    if predictions.is_file():
        return [Pair(predictions, targets)], []

    predicted, expected = masks_below(predictions), masks_below(targets)
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for name in sorted(predicted.keys() | expected.keys()):
        found = predicted.get(name, []), expected.get(name, [])
        if len(found[0]) == len(found[1]) == 1:
            pairs.append(Pair(found[0][0], found[1][0]))
        elif found[0] and found[1]:
            problems.append(ambiguous((*found[0], *found[1])))
        else:
            problems += [unpaired(file, "target", targets) for file in found[0]]
            problems += [unpaired(file, "prediction", predictions) for file in found[1]]
    return pairs, problems


def unpaired(file: Path, partner: str, folder: Path) -> Problem:
    """Return the problem of a file whose partner is absent."""
    return Problem(Kind.UNPAIRED, (file,), f"{file} has no {partner} in {folder}.")


def ambiguous(files: tuple[Path, ...]) -> Problem:
    """Return the problem of several files for one image."""
    listing = ", ".join(map(str, files))
    message = f"Which prediction belongs to which target is ambiguous: {listing}; keep one of each."
    return Problem(Kind.AMBIGUOUS, files, message)


def masks_below(folder: Path) -> dict[str, list[Path]]:
    """Return the mask files below a folder by their path without suffix; skip hidden and other files."""

    def refuse(error: OSError) -> None:
        raise error

    found: dict[str, list[Path]] = defaultdict(list)
    # Without `onerror`, os.walk skips a folder that it cannot list.
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        folders[:] = sorted(name for name in folders if not is_hidden(name) and not leads_back(Path(parent, name)))
        for name in sorted(names):
            suffix = mask_suffix(name)
            if suffix and not is_hidden(name):
                path = Path(parent, name)
                found[path.relative_to(folder).as_posix()[: -len(suffix)]].append(path)
    return found


def is_hidden(name: str) -> bool:
    """Return whether a file or folder was made by a tool and not by the user: .ipynb_checkpoints, ._a.png, __MACOSX."""
    return name.startswith(".") or name == "__MACOSX"


def leads_back(path: Path) -> bool:
    """Return whether a folder is a link to a folder that contains it, which would be searched endlessly."""
    return path.is_symlink() and any(path.samefile(above) for above in path.absolute().parents)
