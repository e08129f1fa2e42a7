"""Where the command line prints: results to standard output, everything else to standard error."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

__all__ = ["console", "fail"]

# Rich assumes 80 columns where the output is a file or a pipe, and would cut the names of classes to fit.
FILE_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """A console on the standard stream of the moment, which tests replace."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=FILE_WIDTH)


def fail(message: str) -> NoReturn:
    """Print a sentence to standard error and exit with code 1."""
    console(stderr=True).print(f"Error: {message}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(1)
