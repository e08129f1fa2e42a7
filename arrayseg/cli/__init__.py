"""The command line: `arrayseg evaluate`, `validate`, `bench` and `demo`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from io import TextIOWrapper

__all__ = ["main"]

# What the commands import, by module and by the name that pip knows.
REQUIREMENTS = {"nibabel": "nibabel", "PIL": "Pillow", "rich": "rich", "tifffile": "tifffile", "typer": "typer"}


def main() -> None:
    """Run the command line, or say what to install."""
    missing = [package for module, package in REQUIREMENTS.items() if find_spec(module) is None]
    if missing:
        sys.exit(
            f"The command line of arrayseg needs {', '.join(missing)}, which is not installed; "
            'install it with: pip install "arrayseg[app]"'
        )
    from arrayseg.cli._cli import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A name that the encoding of the terminal lacks is escaped instead of ending the run.
            stream.reconfigure(errors="backslashreplace")
    app()
