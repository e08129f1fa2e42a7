"""The tables of docs/compat.md, written from the registry of presets when the documentation is built."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from compat.reference import of_form

from arrayseg import compat, losses
from arrayseg.compat._preset import PRESETS, Adjusted, Call, Changed, Preset

#: What the arrays of a reference batch have in common; only their shapes matter here.
LOGITS, IDS = np.zeros((2, 4, 8, 8)), np.zeros((2, 8, 8), dtype=np.int64)
SETTINGS = {preset.function: preset.setting for preset in PRESETS if preset.setting is not None}
OURS = {getattr(losses, name) for name in losses.__all__}


def loss_tables() -> str:
    """Write a section for every module with losses: what it is, its calls, and in what they differ."""
    modules: dict[str, list[Preset]] = {}
    for preset in PRESETS:
        if preset.setting is not None:
            modules.setdefault(preset.module, []).append(preset)
    return "\n\n".join(section(name, modules[name]) for name in sorted(modules))


def section(module: str, presets: list[Preset]) -> str:
    """Write one module's heading, description, table and notes."""
    described = inspect.getdoc(getattr(compat, module)) or ""
    rows = [
        "| the peer's call | batch | here | number |",
        "|---|---|---|---|",
        *(row(preset, number) for preset in presets for number in range(len(preset.records))),
    ]
    notes = [f"- `{preset.name}`: {preset.note}" for preset in presets if preset.note]
    # A docstring marks code with single or double backquotes alike.
    parts = [f"### `compat.{module}`", described.replace("``", "`"), "\n".join(rows), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def row(preset: Preset, number: int) -> str:
    """Write the row of one recorded call."""
    record = preset.records[number]
    input, target = of_form(record.batch, LOGITS, IDS)
    assert preset.setting is not None
    ours = describe(preset.setting(input, target, **record.options))
    peer = f"{preset.peer.rpartition('.')[2]}({options(record.options)})"
    return f"| `{peer}` | {record.batch} | {ours} | {record.number:.6f} |"


def describe(call: Call) -> str:
    """Write the losses of a call with the options that are not their defaults."""
    if isinstance(call, Adjusted):
        return f"{describe(call.call)} {call.text}"
    if isinstance(call, Changed):
        return f"{describe(call.loss)} {call.text}"
    function, given = (call.func, call.keywords) if isinstance(call, partial) else (call, {})
    if function in SETTINGS:
        return describe(SETTINGS[function](*call.args, **given))
    if function not in OURS:
        return " + ".join(f"{weight:g} {describe(part)}" for part, weight in function.parts)
    defaults = inspect.signature(function).parameters
    changed = {name: value for name, value in given.items() if not is_default(value, defaults[name].default)}
    return f"`{function.__name__}({options(changed)})`"


def is_default(value: Any, default: Any) -> bool:
    """Whether an option need not be told; a pair of equal numbers is one number."""
    if isinstance(value, tuple) and isinstance(default, float):
        return value == (default, default)
    return type(value) is not list and not hasattr(value, "ndim") and bool(value == default)


def options(values: Mapping[str, Any]) -> str:
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
