"""The presets of every module of `arrayseg.compat`."""

from __future__ import annotations

from typing import Any

from arrayseg import compat
from arrayseg.compat._preset import Preset

__all__ = ["presets_by_module"]


def presets_by_module() -> dict[str, list[Preset[Any, Any]]]:
    """Return the presets of each module, each once: under the newest release that has it."""
    found: dict[str, list[Preset[Any, Any]]] = {}
    seen: set[int] = set()
    for name in reversed(compat.__all__):  # a newer release comes after an older one
        presets = [each for each in vars(getattr(compat, name)).values() if isinstance(each, Preset)]
        found[name] = [each for each in presets if id(each) not in seen]
        seen.update(map(id, presets))
    return dict(sorted(found.items()))
