"""Which prediction belongs to which target: the same path below the two folders, whatever the suffix."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from arrayseg.evaluation.readers import mask_suffix

__all__ = ["Pair", "Problem", "pair_files"]


class Pair(NamedTuple):
    """The two files of one image."""

    prediction: Path
    target: Path


class Problem(NamedTuple):
    """What is wrong with a file or a pair: `kind` is unpaired, ambiguous, unreadable, shape, geometry or label."""

    kind: str
    files: tuple[Path, ...]
    message: str


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
        One is a folder and the other a file.
    OSError
        A folder cannot be listed.
    """
    if predictions.is_file() != targets.is_file():
        msg = f"Give two folders or two files: {predictions} and {targets} are one of each."
        raise ValueError(msg)
    if predictions.is_file():
        return [Pair(predictions, targets)], []

    predicted, wanted = masks_below(predictions), masks_below(targets)
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for name in sorted(predicted.keys() | wanted.keys()):
        ours, theirs = predicted.get(name, []), wanted.get(name, [])
        if len(ours) == len(theirs) == 1:
            pairs.append(Pair(ours[0], theirs[0]))
        elif not ours:
            problems += [Problem("unpaired", (file,), f"{file} has no prediction in {predictions}.") for file in theirs]
        elif not theirs:
            problems += [Problem("unpaired", (file,), f"{file} has no target in {targets}.") for file in ours]
        else:
            files = (*ours, *theirs)
            listing = ", ".join(map(str, files))
            message = f"Which prediction belongs to which target is ambiguous: {listing}; keep one of each."
            problems.append(Problem("ambiguous", files, message))
    return pairs, problems


def masks_below(folder: Path) -> dict[str, list[Path]]:
    """Return the mask files below a folder by their path without suffix; hidden and other files are passed over."""

    def refuse(error: OSError) -> None:
        raise error

    found: dict[str, list[Path]] = defaultdict(list)
    # os.walk passes over a folder that it cannot list unless it is told not to.
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
    """Return whether a folder is a link to one that contains it, whose files would be found again and again."""
    return path.is_symlink() and any(path.samefile(above) for above in path.absolute().parents)
