"""Make the call of one of our losses that a preset sets, and change it in ways that no option offers.

A call is a `functools.partial` of a loss with the arrays and its options. Nothing is computed until it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import nan
from typing import Any, TypeAlias

from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.compat._terms import with_terms
from arrayseg.engine.plan import DerivedPlan, Plan
from arrayseg.losses import compound
from arrayseg.losses._api import plan_of
from arrayseg.losses._composed import shown
from arrayseg.losses._compound import Compound

__all__ = [
    "Call",
    "Changed",
    "Unreduced",
    "changed",
    "loss_of_each_class",
    "nan_without_pixels",
    "parts_of",
    "plan_of_call",
    "shifted",
    "unreduced",
    "weighted_sum",
    "with_class_axis",
]

Call: TypeAlias = partial[Array]
"""A loss with the arrays and all its options."""


@dataclass(frozen=True)
class Changed:
    """A loss whose plan is changed in a way that no option offers; a loss or a part of a compound."""

    loss: Callable[..., Array]
    adjust: Callable[[Plan], Plan]
    text: str
    """What the tables and the representation write after the loss."""

    def __repr__(self) -> str:
        return f"{shown(self.loss)} {self.text}"

    def __call__(self, input: Array, target: Array, **options: Any) -> Array:
        plan = self.plan(input, target, **options)
        return plan.backend.attach(plan)

    def plan(self, input: Array, target: Array, **options: Any) -> Plan:
        """Return the changed plan."""
        return self.adjust(plan_of_call(partial(self.loss, input, target, **options)))


@dataclass(frozen=True)
class Unreduced:
    """A loss without a reduction and the function that shapes its result; it has no gradient."""

    loss: Callable[..., Array]
    finish: Callable[[Call], Array]

    def __call__(self, input: Array, target: Array, **options: Any) -> Array:
        return self.finish(partial(self.loss, input, target, **options))

    def plan(self, input: Array, target: Array, **options: Any) -> Plan:
        """Raise the error that explains why there is no gradient."""
        msg = (
            "Cannot differentiate a loss with reduction='none': the result is not a scalar. "
            "Use reduction='mean' or 'sum'; to weight pixels yourself, pass pixel_weights."
        )
        raise ValueError(msg)


@dataclass(frozen=True)
class Shifted(DerivedPlan):
    """A plan plus a constant."""

    by: float

    def plain(self) -> Array:
        return self.of.plain() + self.by

    def value(self) -> Array:
        return self.of.value() + self.by

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        value, gradient = self.of.value_and_gradient(wide=wide)
        return value + self.by, gradient


def plan_of_call(call: Call) -> Plan:
    """Return the plan of a call."""
    build = plan_of(call)
    assert build is not None, call
    return build()


def changed(call: Call, adjust: Callable[[Plan], Plan], text: str) -> Call:
    """Return a call with a changed plan; `text` describes the change in tables."""
    return partial(Changed(call.func, adjust, text), *call.args, **call.keywords)


def unreduced(call: Call, finish: Callable[[Call], Array]) -> Call:
    """Return a call whose result is `finish(call)` instead of the value of the loss."""
    return partial(Unreduced(call.func, finish), *call.args, **call.keywords)


def shifted(call: Call, by: float) -> Call:
    """Return a call plus a constant, for peers that minimize the negative score."""
    return changed(call, partial(Shifted, by=by), f"{by:+g}".replace("-", "− ").replace("+", "+ "))


def nan_without_pixels(call: Call) -> Call:
    """Return a call whose mean over pixels is NaN instead of 0 if no pixel takes part."""
    adjust = partial(with_terms, change=partial(replace, of_nothing=nan))
    return changed(call, adjust, "(NaN of no pixel)")


def weighted_sum(input: Array, target: Array, parts: Sequence[tuple[Callable[..., Array], float]]) -> Call:
    """Return the call of a compound."""
    return partial(compound(parts), input, target)


def loss_of_each_class(call: Call, weights: Sequence[float], *, first: int = 0) -> Array:
    """Return the losses `(N, C, *spatial)` of a pixel loss whose own map adds up the classes of a pixel.

    Classes before `first` are left out.
    """
    alone = [[weight if place == each else 0.0 for each, weight in enumerate(weights)] for place in range(len(weights))]
    maps = [call(class_weights=row) for row in alone[first:]]
    return backend_of(maps[0]).xp.stack(maps, axis=1)


def with_class_axis(call: Call, weights: Sequence[float]) -> Call:
    """Return a call whose result without a reduction keeps the class axis, weighted by class."""
    if call.keywords["reduction"] != "none":
        return call
    return unreduced(call, partial(loss_of_each_class, weights=weights))


def parts_of(
    loss: Callable[..., Array], weight: float = 1.0
) -> Iterator[tuple[Callable[..., Array], Mapping[str, Any], float]]:
    """Yield each function of `arrayseg.losses` in a loss or a call, with its options and its weight."""
    function, options = (loss.func, loss.keywords) if isinstance(loss, partial) else (loss, {})
    if isinstance(function, Compound):
        for part, factor in function.parts:
            yield from parts_of(part, factor)
    elif isinstance(function, Changed | Unreduced):
        for inner, inner_options, factor in parts_of(function.loss, weight):
            yield inner, {**inner_options, **options}, factor
    else:
        yield function, options, weight
