"""Assemble the commands. Each has a file of its own; a new command is that file and a line here."""

from __future__ import annotations

from typing import Annotated

import typer

from arrayseg import __version__
from arrayseg.cli._bench import bench
from arrayseg.cli._demo import demo
from arrayseg.cli._evaluate import evaluate
from arrayseg.cli._validate import validate

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_show_locals=False, context_settings={"max_content_width": 120}
)
app.command()(evaluate)
app.command()(validate)
app.command()(bench)
app.command()(demo)


def print_version(is_asked: bool) -> None:
    """Print the version for `arrayseg --version`."""
    if is_asked:
        typer.echo(f"arrayseg {__version__}")
        raise typer.Exit


@app.callback()
def arrayseg(
    _version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Image-segmentation losses and metrics that agree on NumPy, CuPy, PyTorch and JAX."""
