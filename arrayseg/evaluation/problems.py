"""The faults that keep a file or a pair of files from being evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = ["Kind", "Problem"]


class Kind(StrEnum):
    """The kinds of problems, as the command line and `evaluation.json` name them."""

    UNPAIRED = "unpaired"
    AMBIGUOUS = "ambiguous"
    UNREADABLE = "unreadable"
    SHAPE = "shape"
    GEOMETRY = "geometry"
    LABEL = "label"


@dataclass(frozen=True)
class Problem:
    """A fault of some files, with a message that names them."""

    kind: Kind
    files: tuple[Path, ...]
    message: str

    def to_dict(self) -> dict[str, Any]:
        """Return the problem as JSON has it."""
        return {"kind": self.kind.value, "files": list(map(str, self.files)), "message": self.message}
