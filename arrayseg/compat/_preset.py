"""What makes a peer's call a setting of this library's options, and the registry of such settings.

A loss preset takes the peer's options and returns a `functools.partial`: one of our losses with the arrays and our
options. Nothing is computed twice, and the table of the docs reads the options off the partial. A metric preset is a
function of metrics, and is registered as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial, wraps
from inspect import Parameter, signature
from math import nan
from numbers import Real
from typing import Any, NamedTuple, ParamSpec, TypeVar

from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.engine.plan import DerivedPlan, Plan
from arrayseg.losses import compound
from arrayseg.losses._api import plan_of
from arrayseg.losses._composed import shown

__all__ = [
    "PRESETS",
    "TOLERANCE",
    "Adjusted",
    "Call",
    "Changed",
    "Preset",
    "Record",
    "Unreduced",
    "channels",
    "class_ids",
    "is_number",
    "loss_of_each_class",
    "loss_preset",
    "metric_preset",
    "nan_of_nothing",
    "shifted",
    "snake_case",
    "weighted_sum",
    "without_channel",
]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Call = Callable[[], Array]
"""A loss with everything it takes, a `functools.partial` or an `Adjusted` one: called, it is the value."""


class Record(NamedTuple):
    """A call of the peer, and what it returned for the reference batch."""

    number: float
    options: Mapping[str, Any] = {}
    """The peer's."""
    batch: str = "ids"
    """In which form the peer takes the reference batch; tests/compat/reference.py has them."""


@dataclass(frozen=True)
class Preset:
    """An entry of the registry."""

    function: Callable[..., Any]
    setting: Callable[..., Call] | None
    """What the function calls; None for a metric, which calls many."""
    peer: str
    """The peer's own name, with its package."""
    records: Sequence[Record]
    note: str
    """In what its numbers are known to differ from the peer's, or from those of the peer's other releases."""

    @property
    def module(self) -> str:
        """The last name of the module of the preset: peer and release."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def name(self) -> str:
        return self.function.__name__


PRESETS: list[Preset] = []
"""Every preset, in the order of the modules and of the functions in them."""


def snake_case(name: str) -> str:
    """The peer's name as a preset has it: DiceCELoss becomes dice_ce_loss."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub("_+", "_", words).lower()


def loss_preset(
    peer: str, *records: Record, note: str = "", family: Callable[..., Any] | None = None
) -> Callable[[Callable[Parameters, Call]], Callable[Parameters, Array]]:
    """Make a loss of a function that says which of our losses, with which options, the peer's call is.

    `family` is a function to which the setting hands its `**options`, whose options are the peer's too.
    """

    def decorate(setting: Callable[Parameters, Call]) -> Callable[Parameters, Array]:
        @raises_here
        @wraps(setting)
        def function(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Array:
            return checked(*args, **kwargs)()

        @wraps(setting)
        def plan(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Plan:
            return plan_of_call(checked(*args, **kwargs))

        def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Call:
            if not kwargs.keys() <= own:
                _check_options(function, own, args, kwargs)
            return setting(*args, **kwargs)

        own = frozenset(["input", "target", *_options(setting), *(_options(family) if family else ())])
        function.family = family  # type: ignore[attr-defined]
        function.setting = setting  # type: ignore[attr-defined]
        function.peer = peer  # type: ignore[attr-defined]
        function.plan = plan  # type: ignore[attr-defined]
        function.__annotations__ = {**setting.__annotations__, "return": "Array"}
        function.__signature__ = signature(setting).replace(return_annotation="Array")  # type: ignore[attr-defined]
        function.__doc__ = _docstring(setting, family, peer, note)
        PRESETS.append(Preset(function, setting, peer, records, note))
        return function

    return decorate


def _options(function: Callable[..., Any]) -> list[str]:
    """Return the names of the options that a function spells out."""
    return [name for name, each in signature(function).parameters.items() if each.kind is Parameter.KEYWORD_ONLY]


def _check_options(preset: Any, own: frozenset[str], args: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Raise on an option that neither the peer nor the loss that the preset calls has, under the preset's name."""
    of_peer = [*_options(preset.setting), *(_options(preset.family) if preset.family else ())]
    of_loss, given = set[str](), set[str]()
    if any(each.kind is Parameter.VAR_KEYWORD for each in signature(preset.setting).parameters.values()):
        call = preset.setting(*args, **{name: value for name, value in options.items() if name in own})
        while (called := _called(call)) is not None:
            setting: Callable[..., Call] = called.func.setting
            call = setting(*called.args, **called.keywords)
            of_peer += [name for name in _options(setting) if name not in of_peer]
        inner = call.call if isinstance(call, Adjusted | Unreduced) else call
        assert isinstance(inner, partial), call
        of_loss, given = set(_options(inner.func)), set(inner.keywords)
    taken = own | set(of_peer) | (of_loss - given)
    for name in options:
        if name not in taken:
            close = get_close_matches(name, taken, n=1)
            of_the_peer = f"it takes those of {preset.peer}: {', '.join(of_peer)}."
            hint = f"did you mean `{close[0]}`?" if close and name not in given else of_the_peer
            msg = f"{preset.__name__} has no option `{name}`; {hint}"
            raise TypeError(msg)


def _called(call: Call) -> Any:
    """Return the call of another preset that a call is; None if it is one of a loss."""
    inner = call.call if isinstance(call, Adjusted | Unreduced) else call
    return inner if isinstance(inner, partial) and hasattr(inner.func, "setting") else None


def plan_of_call(call: Call) -> Plan:
    """What a call evaluates."""
    build = plan_of(call)
    assert build is not None, call
    return build()


def metric_preset(
    peer: str, *records: Record, note: str = ""
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Register a function of a statistic, whose kind its first parameter names, under the peer's name for it."""

    def decorate(preset: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        function = raises_here(preset)
        function.__doc__ = _metric_docstring(function, peer, note)
        PRESETS.append(Preset(function, None, peer, records, note))
        return function

    return decorate


CLASSES_LAST = {"keras_3_15", "keras_3_16", "optax_0_2"}
"""The modules of peers whose class axis is the last one."""

TOLERANCE = (
    "A distance that exceeds the tolerance by at most a millionth of it counts as within it, so that rounding does not "
    "decide where both are equal; the library compares its rounded distances exactly."
)
"""What the presets of surface Dice scores say of a distance that equals the tolerance."""

STATISTICS = {
    "binary": "Confusion matrix `(2, 2)` of two masks as classes 0 and 1.",
    "matrix": "Confusion matrix `(C, C)` of a data set.",
    "matrices": "Confusion matrices `(N, C, C)` of N images: `metrics.confusion_matrix(..., per_image=True)`.",
    "counts": "Integers `(N, C, 3)` of N images, from `metrics.class_counts`.",
    "distances": "Distances between the two surfaces, from the `surface_distances` of this module.",
    "segments": "Matched and unmatched segments, from `metrics.panoptic_counts` or `metrics.match_instances`.",
    "table": "Contingency table of two label maps, from `metrics.contingency_table`.",
    "prediction": "A mask or a label map, as `metrics` takes it.",
}
"""What the first parameter of a metric preset is, by its name."""


def _metric_docstring(function: Callable[..., Any], peer: str, note: str) -> str | None:
    if function.__doc__ is None:  # python -OO
        return None
    statistic, *others = signature(function).parameters
    second = [f"{name}\n    {STATISTICS['prediction']}" for name in others if name == "target"]
    names = [name for name in others if name != "target"]
    listed = f"{', '.join(names)} : option{'s' if len(names) > 1 else ''} of the peer\n    As in ``{peer}``."
    options = "".join(f"\n{entry}" for entry in [*second, *([listed] if names else [])])
    notes = f"\n\nNotes\n-----\n{note}" if note else ""
    return f"""{function.__doc__.strip()}

Parameters
----------
{statistic}
    {STATISTICS[statistic]}{options}

Returns
-------
array
    What ``{peer}`` returns for the same masks, as an array of the library of the argument.{notes}"""


def _docstring(setting: Callable[..., Any], family: Callable[..., Any] | None, peer: str, note: str) -> str | None:
    if setting.__doc__ is None:  # python -OO
        return None
    parameters = {**(signature(family).parameters if family else {}), **signature(setting).parameters}
    of_peer = [*_options(setting), *(_options(family) if family else ())]
    names = {
        "": [name for name in of_peer if parameters[name].default is Parameter.empty],
        ", optional": [name for name in of_peer if parameters[name].default is not Parameter.empty],
    }
    entries = [
        f"{', '.join(group)} : option{'s' if len(group) > 1 else ''} of the peer{optional}\n"
        f"    As in ``{peer}``, with its defaults."
        for optional, group in names.items()
        if group
    ]
    if any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values()):
        entries.append(
            "**options\n"
            "    Options that the peer lacks and the loss of `arrayseg.losses` has that this preset calls, such as\n"
            "    ``mask``, ``pixel_weights`` or ``class_axis``."
        )
    notes = f"\n\nNotes\n-----\n{note}" if note else ""
    options = "\n".join(entries)
    shape = r"(N, \*spatial, C)" if setting.__module__.rpartition(".")[2] in CLASSES_LAST else r"(N, C, \*spatial)"
    return f"""{setting.__doc__.strip()}

Parameters
----------
input : array
    Logits or probabilities, whichever ``{peer}`` takes with these options, of shape {shape}, floating.
target : array
    Class ids or values for every class, whichever ``{peer}`` takes, from the same array library.
{options}

Returns
-------
array
    The loss as ``{peer}`` reduces it, of the input's dtype, at least float32.

Raises
------
TypeError
    If an option is unknown, or an array has the wrong type or comes from another library.
ValueError
    If shapes or devices do not match, an option is invalid, or a label is out of range.{notes}"""


@dataclass(frozen=True)
class Adjusted:
    """A call whose plan is changed in a way that no option has."""

    call: Call
    adjust: Callable[[Plan], Plan]
    text: str
    """How the table says it, after the call."""

    def __call__(self) -> Array:
        plan = self.plan()
        return plan.backend.attach(plan)

    def plan(self) -> Plan:
        return self.adjust(plan_of_call(self.call))


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


@dataclass(frozen=True)
class Changed:
    """A part of a compound: a loss whose plan is changed in a way for which there is no option."""

    loss: partial[Array]
    adjust: Callable[[Plan], Plan]
    text: str
    """What the table and the representation write after the loss."""

    def __repr__(self) -> str:
        return f"{shown(self.loss)} {self.text}"

    def __call__(self, input: Array, target: Array, **options: Any) -> Array:
        plan = self.plan(input, target, **options)
        return plan.backend.attach(plan)

    def plan(self, input: Array, target: Array, **options: Any) -> Plan:
        return self.adjust(plan_of_call(partial(self.loss, input, target, **options)))


@dataclass(frozen=True)
class Unreduced:
    """A call of a loss without a reduction, and what becomes of it; it has a value and no gradient of a number."""

    call: Call
    finish: Callable[[Any], Array]

    def __call__(self) -> Array:
        return self.finish(self.call)

    def plan(self) -> Plan:
        msg = (
            "Without a reduction this loss is not one number, of which a gradient is. "
            "Use reduction='mean' or 'sum'; to weigh pixels yourself, pass pixel_weights."
        )
        raise ValueError(msg)


def loss_of_each_class(call: partial[Array], weights: Sequence[float], *, first: int = 0) -> Array:
    """Return the losses `(N, C, *spatial)` of a pixel loss, whose own map adds the classes of a pixel up.

    Classes before `first` are left out.
    """
    alone = [[weight if place == each else 0.0 for each, weight in enumerate(weights)] for place in range(len(weights))]
    maps = [call(class_weights=row) for row in alone[first:]]
    return backend_of(maps[0]).xp.stack(maps, axis=1)


def shifted(call: Call, by: float) -> Adjusted:
    """A call plus a constant: peers that minimise the negative score are one less."""
    return Adjusted(call, partial(Shifted, by=by), f"{by:+g}".replace("-", "− ").replace("+", "+ "))


def nan_of_nothing(call: Call) -> Adjusted:
    """A mean of pixels that is NaN, not 0, where nothing takes part."""
    return Adjusted(call, _nan_of_nothing, "(NaN of no pixel)")


def _nan_of_nothing(plan: Any) -> Plan:
    terms = [replace(term, of_nothing=nan) for term in plan.terms]
    changed: Plan = replace(plan, terms=terms)
    return changed


def weighted_sum(input: Array, target: Array, parts: Sequence[tuple[Callable[..., Array], float]]) -> Call:
    """Return the call of a compound."""
    return partial(compound(parts), input, target)


def without_channel(input: Array, target: Array) -> Array:
    """Class ids without the channel of length one that some peers want; others as they are."""
    return target[:, 0, ...] if target.ndim == input.ndim and target.shape[1] == 1 else target


def channels(input: Array, options: Mapping[str, Any] = {}) -> int:
    """The number of channels of the input, whose axis an option may name."""
    axis = options.get("class_axis", 1)
    return 1 if axis is None else int(input.shape[axis])


def class_ids(input: Array, target: Array) -> Array:
    """Class ids as integers without a channel, of ids that the peer takes in any dtype and with a channel."""
    backend = backend_of(target, "target")
    ids = without_channel(input, target)
    if ids.ndim == input.ndim or backend.xp.isdtype(ids.dtype, ("integral", "bool")):
        return ids
    whole = backend.xp.astype(ids, backend.count_dtype(ids))
    if backend.is_concrete(ids) and bool(backend.xp.any(backend.xp.astype(whole, ids.dtype) != ids)):
        msg = (
            f"`target` must hold class ids, whole numbers, of any dtype; got {ids.dtype} values with fractions. "
            "Round the ids if they were resampled, or give a value for every class."
        )
        raise ValueError(msg)
    return whole


def is_number(value: object) -> bool:
    """Whether an option is one number, not one for each class."""
    return isinstance(value, Real) or getattr(value, "ndim", None) == 0
