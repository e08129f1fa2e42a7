"""Print results to standard output and everything else to standard error."""

from __future__ import annotations

from typing import NoReturn
from unicodedata import category

import typer
from rich.console import Console

__all__ = ["console", "fail", "printable", "tell"]

# Rich assumes 80 columns where the output is a file or a pipe, and would cut the names of classes to fit.
FILE_WIDTH = 120


def console(*, stderr: bool = False) -> Console:
    """Return a console on the current standard stream, which tests replace."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=FILE_WIDTH)


def tell(stream: Console, text: str, style: str | None = None) -> None:
    """Print a text as it is, without wrapping; names of files and classes may hold anything."""
    stream.print(printable(text), style=style, markup=False, soft_wrap=True)


def printable(text: str) -> str:
    """Return the text with control characters, which a terminal would obey, and stray surrogates escaped."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if category(character).startswith("C") and character != "\n"
        else character
        for character in text
    )


def fail(message: str, code: int = 1) -> NoReturn:
    """Print a sentence to standard error and exit: with code 2 if the command was used wrongly."""
    tell(console(stderr=True), f"Error: {message}", style="red")
    raise typer.Exit(code)
