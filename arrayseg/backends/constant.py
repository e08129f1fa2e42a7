"""Tables that Python computes from Python numbers once, and that compilers treat as constants."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeAlias

from arrayseg.backends._torch_private import mark_constant

__all__ = ["constant"]

Table: TypeAlias = Callable[[tuple[float, ...]], tuple[float, ...]]


def constant(function: Table) -> Table:
    """Cache a table of numbers, and make `torch.compile` call its function instead of tracing it."""
    cached = lru_cache(maxsize=64)(function)

    @mark_constant
    @wraps(function)
    def call(numbers: tuple[float, ...], /) -> tuple[float, ...]:
        return cached(numbers)

    return call
