"""Sums of losses: those over the same pixels share one softmax and one sweep, others are added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.backends.base import Evaluation
from arrayseg.engine.block import Pixels
from arrayseg.engine.pixel_term import Formula
from arrayseg.engine.region_scores import Outer
from arrayseg.engine.sweep import Sweep

__all__ = ["Summed", "outer_formula", "summed"]


@dataclass(frozen=True)
class Summed:
    """The weighted sum of evaluations of one input."""

    parts: Sequence[Evaluation]
    factors: Sequence[float]

    @property
    def input(self) -> Array:
        return self.parts[0].input

    @property
    def constants(self) -> Sequence[Array]:
        return [array for part in self.parts for array in part.constants]

    @property
    def has_closed_form(self) -> bool:
        return all(part.has_closed_form for part in self.parts)

    def moved(self, backend: Backend, convert: Callable[[Array], Array]) -> Summed:
        return replace(self, parts=[part.moved(backend, convert) for part in self.parts])

    def plain(self) -> Array:
        return self._sum([part.plain() for part in self.parts])

    def value(self) -> Array:
        return self._sum([part.value() for part in self.parts])

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        values: list[Array] = []
        total = None
        for part, factor in zip(self.parts, self.factors, strict=True):
            value, gradient = part.value_and_gradient(wide=wide)
            values.append(value)
            gradient *= factor
            if total is None:
                total = gradient
            else:
                total += gradient
        return self._sum(values), total

    def _sum(self, values: Sequence[Array]) -> Array:
        return reduce(add, [value * factor for value, factor in zip(values, self.factors, strict=True)])


def summed(parts: Sequence[Evaluation], factors: Sequence[float]) -> Evaluation:
    """The weighted sum of evaluations of one input, with as few sweeps over it as there are kinds of pixels."""
    merged: list[Evaluation] = []
    weights: list[float] = []
    for part, factor in zip(parts, factors, strict=True):
        for place, other in enumerate(merged):
            if isinstance(part, Sweep) and isinstance(other, Sweep) and _same_pixels(part, other):
                terms = [*other.terms, *part.terms]
                merged[place] = replace(
                    other, terms=terms, factors=[*other.factors, *(factor * own for own in part.factors)]
                )
                break
        else:
            is_sweep = isinstance(part, Sweep)
            merged.append(replace(part, factors=[factor * own for own in part.factors]) if is_sweep else part)  # type: ignore[attr-defined, type-var]
            weights.append(1.0 if is_sweep else factor)
    return merged[0] if len(merged) == 1 and isinstance(merged[0], Sweep) else Summed(merged, weights)


def outer_formula(formula: Formula, outer: Outer) -> Formula:
    """A function of a pixel's loss."""

    def composed(log_probability: Array, xp: Any) -> tuple[Array, Array]:
        value, slope = formula(log_probability, xp)
        value, by_value = outer(value, xp)
        return value, by_value * slope

    return composed


def _same_pixels(part: Sweep, other: Sweep) -> bool:
    """Whether two sweeps are over equal pixels; compilers, which cannot tell, find what is shared themselves."""
    one, two = part.pixels, other.pixels
    if part.layout != other.layout or _settings(one) != _settings(two):
        return False
    if not one.backend.is_concrete(part.input, *one.constants, *two.constants):
        return False
    pairs = zip(_arrays(one), _arrays(two), strict=True)
    with one.backend.reading():
        return all(a is b or (a is not None and b is not None and _equal(a, b, one.xp)) for a, b in pairs)


def _settings(pixels: Pixels) -> tuple[Any, ...]:
    return pixels.activation, pixels.binary, pixels.ignore_index


def _arrays(pixels: Pixels) -> tuple[Array | None, ...]:
    return pixels.target, pixels.mask, pixels.pixel_weights, pixels.class_weights


def _equal(one: Array, two: Array, xp: Any) -> bool:
    return one.shape == two.shape and one.dtype == two.dtype and bool(xp.all(one == two))
