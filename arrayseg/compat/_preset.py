"""Functions with the names and the options of a peer, another library.

A loss preset is made of a function that turns the peer's options into a call of one of our losses. A metric preset is
made of a function that computes a metric. Both know the peer's own name and how their numbers differ from the peer's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import Parameter, Signature, signature
from typing import Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar

from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.compat._calls import Call, parts_of, plan_of_call
from arrayseg.compat._docstrings import loss_docstring, metric_docstring
from arrayseg.engine.plan import Plan

__all__ = [
    "NOTE_ON_TOLERANCE",
    "LossPreset",
    "MetricPreset",
    "Preset",
    "Statistic",
    "loss_preset",
    "metric_preset",
    "snake_case",
]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Statistic: TypeAlias = Literal["binary", "matrix", "matrices", "counts", "distances", "segments", "table", "prediction"]
"""What a metric preset takes first; `_docstrings.STATISTICS` describes each."""

NOTE_ON_TOLERANCE = (
    "A distance that exceeds the tolerance by at most a millionth of it counts as within it, so that rounding does not "
    "decide where both are equal; the library compares its rounded distances exactly."
)
"""The note of the presets of surface Dice scores about a distance that equals the tolerance."""


@dataclass(eq=False, repr=False)
class Preset(Generic[Parameters, Result]):
    """A function with the name and the options of a peer."""

    function: Callable[Parameters, Result]
    """The function that the decorator was given."""
    peer: str
    """The peer's own name, with its package."""
    note: str
    """Known differences from the peer, or between releases of the peer."""

    def __post_init__(self) -> None:
        self.__module__, self.__name__ = self.function.__module__, self.function.__name__
        self.__signature__ = self._signature()

    @raises_here
    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<preset {self.__name__} of {self.peer}>"

    def __reduce__(self) -> str:
        return self.__name__

    def _signature(self) -> Signature:
        return signature(self.function)


@dataclass(eq=False, repr=False)
class LossPreset(Preset[Parameters, Call]):
    """A loss with a peer's options; its function returns the call of our loss that gives the peer's number."""

    inherits: LossPreset[Any] | Callable[..., Any] | None = None
    """A function that receives `**options`; its options are the peer's too."""

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # written when it is read, as it takes many calls
        inherited = getattr(self.inherits, "function", self.inherits)
        owners = [inherited, self.function] if inherited else [self.function]
        parameters = list(self.__signature__.parameters.values())
        return loss_docstring(self.function, parameters, owners, self.peer, self.note)

    @raises_here
    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Array:
        return self.call(*args, **kwargs)()

    def plan(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Plan:
        """Return the plan of our loss."""
        return plan_of_call(self.call(*args, **kwargs))

    def call(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Call:
        """Return the call of our loss: the loss with the arrays and our options."""
        if not kwargs.keys() <= self.__signature__.parameters.keys():
            self._check_options(args, kwargs)
        return self.function(*args, **kwargs)

    def _signature(self) -> Signature:
        """Return the signature with the peer's own options spelled out."""
        own = signature(self.function).parameters
        inherited = signature(self.inherits).parameters if self.inherits else {}
        options = [each for each in inherited.values() if each.kind is Parameter.KEYWORD_ONLY and each.name not in own]
        parameters = sorted([*own.values(), *options], key=lambda each: each.kind)
        return Signature(parameters, return_annotation="Array")

    def _check_options(self, args: Any, given: Mapping[str, Any]) -> None:
        """Raise on an option that neither the peer nor our loss has."""
        parameters = self.__signature__.parameters
        peers = [name for name, each in parameters.items() if each.kind is Parameter.KEYWORD_ONLY]
        accepted = set(peers)
        if any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values()):
            call = self.function(*args, **{name: value for name, value in given.items() if name in parameters})
            for loss, options, _ in parts_of(call):
                accepted |= signature(loss).parameters.keys() - {"input", "target", *options}
        for name in given:
            if name not in accepted:
                close = get_close_matches(name, accepted, n=1)
                listed = f"it takes the options of {self.peer}: {', '.join(peers)}."
                msg = f"{self.__name__} has no option `{name}`; {f'did you mean `{close[0]}`?' if close else listed}"
                raise TypeError(msg)


@dataclass(eq=False, repr=False)
class MetricPreset(Preset[Parameters, Result]):
    """A metric with a peer's options."""

    statistic: Statistic
    """What the first parameter is."""

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # as of a loss
        return metric_docstring(self.function, self.statistic, self.peer, self.note)


def loss_preset(
    peer: str, *, note: str = "", inherits: Callable[..., Any] | None = None
) -> Callable[[Callable[Parameters, Call]], LossPreset[Parameters]]:
    """Make a loss of a function that returns the call of our loss for the peer's options.

    `inherits` is a function that receives the `**options` of this one; its options are the peer's too.
    """
    return lambda function: LossPreset(function, peer, note, inherits)


def metric_preset(
    peer: str, statistic: Statistic, *, note: str = ""
) -> Callable[[Callable[Parameters, Result]], MetricPreset[Parameters, Result]]:
    """Make a metric of a function of a statistic."""
    return lambda function: MetricPreset(function, peer, note, statistic)


def snake_case(name: str) -> str:
    """Return the peer's name as a preset has it: DiceCELoss becomes dice_ce_loss."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub("_+", "_", words).lower()
