"""The tables of docs/compat.md, written from the presets and the recorded numbers when the documentation is built."""

from __future__ import annotations

import inspect
import json
import runpy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from arrayseg import compat
from arrayseg.compat._calls import Changed
from arrayseg.compat._preset import LossPreset
from arrayseg.compat._registry import presets_by_module
from arrayseg.losses._compound import Compound

DATA = Path(__file__).parents[1] / "tests" / "compat"
#: The forms of the reference batch, as the tests have them; only their shapes matter here.
of_form = runpy.run_path(str(DATA / "forms.py"))["of_form"]
LOGITS, IDS = np.zeros((2, 4, 8, 8)), np.zeros((2, 8, 8), dtype=np.int64)


def loss_tables() -> str:
    """Write a section for every module with losses: what it is, its calls, and in what they differ."""
    losses = {
        module: [preset for preset in presets if isinstance(preset, LossPreset)]
        for module, presets in presets_by_module().items()
    }
    return "\n\n".join(section(module, presets) for module, presets in losses.items() if presets)


def section(module: str, presets: list[LossPreset[Any]]) -> str:
    """Write one module's heading, description, table and notes."""
    described = inspect.getdoc(getattr(compat, module)) or ""
    records = json.loads((DATA / "records" / f"{module}.json").read_text(encoding="utf-8"))
    named = {preset.__name__: preset for preset in presets}
    rows = [
        "| the peer's call | batch | here | number |",
        "|---|---|---|---|",
        *(row(named[name], **record) for name, recorded in records.items() for record in recorded),
    ]
    notes = [f"- `{preset.__name__}`: {preset.note}" for preset in presets if preset.note]
    # A docstring marks code with single or double backquotes alike.
    parts = [f"### `compat.{module}`", described.replace("``", "`"), "\n".join(rows), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def row(
    preset: LossPreset[Any],
    number: float,
    options: Mapping[str, Any] = {},
    batch: str = "ids",
    within: float | None = None,
) -> str:
    """Write the row of one recorded call."""
    ours = describe(preset.call(*of_form(batch, LOGITS, IDS), **options))
    peer = f"{preset.peer.rpartition('.')[2]}({written(options)})"
    digits = f"{number:.6f}" if within is None else f"{number}"  # as many as were written down
    return f"| `{peer}` | {batch} | {ours} | {digits} |"


def describe(loss: Callable[..., Any]) -> str:
    """Write the losses of a call with the options that are not their defaults."""
    function, given = (loss.func, loss.keywords) if isinstance(loss, partial) else (loss, {})
    if isinstance(function, Changed):
        return f"{describe(partial(function.loss, **given))} {function.text}"
    if isinstance(function, Compound):
        return " + ".join(f"{weight:g} {describe(part)}" for part, weight in function.parts)
    defaults = inspect.signature(function).parameters
    changed = {name: value for name, value in given.items() if not is_default(value, defaults[name].default)}
    return f"`{function.__name__}({written(changed)})`"


def is_default(value: Any, default: Any) -> bool:
    """Return whether an option is at its default; a pair of equal numbers is one number."""
    if isinstance(value, tuple) and isinstance(default, float):
        return value == (default, default)
    return type(value) is not list and not hasattr(value, "ndim") and bool(value == default)


def written(values: Mapping[str, Any]) -> str:
    """Write keyword arguments."""
    return ", ".join(f"{name}={shown(value)}" for name, value in values.items())


def shown(value: Any) -> str:
    """Write a value, shortly."""
    if hasattr(value, "ndim"):
        return "..."
    if isinstance(value, list) and len(value) > 1 and all(each == value[0] for each in value):
        return f"[{shown(value[0])}] * {len(value)}"
    if isinstance(value, list | tuple):
        inner = ", ".join(shown(each) for each in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return f"{value:g}" if isinstance(value, float) and value != int(value) else repr(value)
