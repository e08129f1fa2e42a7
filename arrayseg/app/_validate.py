"""`arrayseg validate`: the parity check of every loss and metric on this machine's backends."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from arrayseg.app._console import console, fail

__all__ = ["validate"]


def validate(
    backends: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Backends to check; by default all that are installed.")
    ] = None,
    dtypes: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Floating dtypes to check; by default all of each backend.")
    ] = None,
) -> None:
    """Check that every loss and metric gives the same value and gradient on every backend.

    The reference is NumPy in float64. Exit code 0: all agree; 1: some do not, or a backend is not installed.
    """
    from arrayseg import testing

    options = {"backends": backends, "dtypes": dtypes}
    chosen = {name: text.split(",") for name, text in options.items() if text is not None}
    stdout = console()
    try:
        with console(stderr=True).status("Checking ..."):
            records = list(testing.validate(**chosen))
    except (ImportError, ValueError) as error:
        fail(str(error))

    table = Table("function", "backend", "dtype", title="Largest relative difference from float64 NumPy")
    for title in ("value", "gradient", "verdict"):
        table.add_column(title, justify="right")
    for record in records:
        verdict = "pass" if record.passed else "[bold red]FAIL[/]"
        differences = map(scientific, (record.value_difference, record.gradient_difference))
        table.add_row(record.name, record.backend, record.dtype, *differences, verdict)
    stdout.print(table)
    failures = sum(not record.passed for record in records)
    stdout.print(f"{len(records)} checks, {failures} failures.")
    if failures or not records:
        raise typer.Exit(1)


def scientific(difference: float | None) -> str:
    """Two digits; a dash where there is no gradient."""
    return "-" if difference is None else f"{difference:.1e}"
