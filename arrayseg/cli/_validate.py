"""`arrayseg validate`: check every loss and metric on the backends of this machine."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from arrayseg.cli._arguments import check_environment
from arrayseg.cli._console import console, fail, tell

if TYPE_CHECKING:
    from arrayseg.testing import Record

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

    The reference is NumPy in float64. JAX has float64 only if the environment sets JAX_ENABLE_X64=1.

    Exit code 0: all agree; 1: some do not; 2: wrong usage, such as a backend that is not installed.
    """
    from arrayseg import testing

    check_environment()
    options = {"backends": backends, "dtypes": dtypes}
    chosen = {name: text.split(",") for name, text in options.items() if text is not None}
    stdout = console()
    try:
        with console(stderr=True).status("Checking ..."):
            records = list(testing.validate(**chosen))
    except (ImportError, ValueError) as error:
        fail(str(error), code=2)

    stdout.print(table_of(records))
    failed = [record for record in records if not record.passed]
    for record in failed:
        case = f"FAIL: {record.name} on {record.backend} in {record.dtype}"
        tell(stdout, case, style="red")
    stdout.print(f"{len(records)} checks, {len(failed)} failures.")
    if failed or not records:
        raise typer.Exit(1)


def table_of(records: list[Record]) -> Table:
    """Return a row for each function, backend and dtype, with its worst case: `dice, pool=batch` is one of `dice`."""
    groups: dict[tuple[str, str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        # Only losses have gradients; there is a loss and a metric of the name dice.
        kind = "metric" if record.gradient_difference is None else "loss"
        groups[kind, record.name.partition(",")[0], record.backend, record.dtype].append(record)
    table = Table("", "function", "backend", "dtype", title="Largest relative difference from float64 NumPy")
    for title in ("cases", "value", "gradient", "verdict"):
        table.add_column(title, justify="right")
    for key, group in groups.items():
        value = max(record.value_difference for record in group)
        gradients = [record.gradient_difference for record in group if record.gradient_difference is not None]
        verdict = "pass" if all(record.passed for record in group) else "[bold red]FAIL[/]"
        gradient = f"{max(gradients):.1e}" if gradients else "-"
        table.add_row(*key, str(len(group)), f"{value:.1e}", gradient, verdict)
    return table
