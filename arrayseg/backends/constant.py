"""Tables that Python computes from Python numbers, once, and that a compiler takes as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeAlias

__all__ = ["constant"]

Table: TypeAlias = Callable[[tuple[float, ...]], tuple[float, ...]]


def constant(function: Table) -> Table:
    """A table by numbers that keeps its results, and that `torch.compile` calls instead of tracing it."""
    cached = lru_cache(maxsize=64)(function)

    @wraps(function)
    def call(numbers: tuple[float, ...], /) -> tuple[float, ...]:
        return cached(numbers)

    # What torch.compiler.assume_constant_result sets, without importing torch.
    call._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return call
