"""The docstrings of presets, written from their signatures and from the calls that they set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Parameter, cleandoc, signature
from textwrap import fill
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from arrayseg.compat._calls import Call, parts_of

__all__ = ["STATISTICS", "loss_docstring", "metric_docstring"]

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
"""What the first parameter of a metric preset is."""


def metric_docstring(function: Callable[..., Any], statistic: str, peer: str, note: str) -> str | None:
    """Write the docstring of a metric preset."""
    if function.__doc__ is None:  # python -OO
        return None
    first, *others = signature(function).parameters.values()
    hints = get_type_hints(function)
    entries = [_entry(first, hints, STATISTICS[statistic])]
    for each in others:
        text = STATISTICS["prediction"] if each.name == "target" else f"As in ``{peer}``."
        entries.append(_entry(each, hints, text))
    returns = f"What ``{peer}`` returns for the same masks, in the array library of the first argument."
    return _sections(function, entries, f"array\n    {returns}", "", note)


def loss_docstring(
    function: Callable[..., Call],
    parameters: Sequence[Parameter],
    owners: Sequence[Callable[..., Any]],
    peer: str,
    note: str,
) -> str | None:
    """Write the docstring of a loss preset; `owners` are the functions that spell out its options."""
    if function.__doc__ is None:  # python -OO
        return None
    hints = {name: hint for owner in owners for name, hint in get_type_hints(owner).items()}
    arrays, options = parameters[:2], [each for each in parameters if each.kind is Parameter.KEYWORD_ONLY]
    trial = Trial(function, options, hints)
    parts = list(parts_of(trial.call))
    given = f"whichever ``{peer}`` takes with these options"
    descriptions = (
        f"Logits or probabilities, {given}, of shape {_shape(parts[0][1])}, floating.",
        f"Class ids or values for every class, {given}, from the same array library.",
    )
    entries = [_entry(each, hints, text) for each, text in zip(arrays, descriptions, strict=True)]
    entries += [_entry(each, hints, trial.counterpart(each.name)) for each in options]
    if parameters[-1].kind is Parameter.VAR_KEYWORD:
        ((loss, taken, _),) = parts
        lacking = [name for name in signature(loss).parameters if name not in hints and name not in taken]
        names = ", ".join(f"``{name}``" for name in lacking)
        entries.append(
            _wrapped("**options", f"Options of `arrayseg.losses.{loss.__name__}` that ``{peer}`` lacks: {names}.")
        )
    raises = """

Raises
------
TypeError
    If an option is unknown, or an array has the wrong type or comes from another library.
ValueError
    If shapes or devices do not match, an option is invalid, or a label is out of range."""
    returns = f"array\n    The loss as ``{peer}`` reduces it, of the input's dtype, at least float32."
    return _sections(function, entries, returns, raises, note)


class Trial:
    """A preset called with several values of its options, to see which of our options each of them sets."""

    def __init__(self, function: Callable[..., Call], options: Sequence[Parameter], hints: Mapping[str, Any]) -> None:
        self.function = function
        self.values = {each.name: _other_values(hints[each.name], each.default) for each in options}
        self.arrays = np.zeros((2, 4, 3, 3)), np.zeros((2, 3, 3), dtype=np.int64)
        required = {each.name: self.values[each.name] for each in options if each.default is Parameter.empty}
        most = max(map(len, required.values()), default=1)
        self.bases = [
            {name: values[min(place, len(values) - 1)] for name, values in required.items()} for place in range(most)
        ]
        if "reduction" in self.values:
            self.bases.append({**self.bases[0], "reduction": "sum"})
        flags = {each.name: not each.default for each in options if isinstance(each.default, bool)}
        self.flagged = [{**self.bases[0], name: value} for name, value in flags.items()]
        self.call = function(*self.arrays, **self.bases[0])

    def counterpart(self, name: str) -> str:
        """Return the sentence that says which option of ours an option of the peer sets."""
        if not self.values[name]:
            return "Options of a part, by the peer's names."
        results = [found for base in self.bases if (found := self._changes(base, name)) is not None]
        if not results:
            return "Only the default is supported."
        if not any(results):  # it may have an effect with another option only
            results = [found for base in self.flagged if (found := self._changes(base, name)) is not None]
        changes = list(dict.fromkeys(each for found in results for each in found))
        return f"Sets {', '.join(changes)}." if changes else "Has no counterpart among our options."

    def _changes(self, base: Mapping[str, Any], name: str) -> list[str] | None:
        """Return what the values of an option change in the call; None if the preset refuses them all."""
        found, accepted = list[str](), False
        for value in self.values[name]:
            try:
                before, after = (
                    self.function(*self.arrays, **base),
                    self.function(*self.arrays, **{**base, name: value}),
                )
            except (TypeError, ValueError):
                continue
            found += _differences(before, after)
            accepted = True
        return found if accepted else None


def _other_values(hint: Any, default: Any) -> list[Any]:
    """Return values of a type that differ from a default; none for a mapping."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [value for kind in kinds for value in _values(kind) if repr(value) != repr(default)]


def _values(kind: Any) -> list[Any]:
    """Return values of a type to try; an array is a mask, a sequence has an entry for each class."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    simple: dict[Any, list[Any]] = {
        bool: [True, False],
        int: [3, 2],
        float: [0.25, 0.5],
        NoneType: [None],
        Any: [np.ones((2, 3, 3), dtype=bool), np.zeros((2, 3, 3), dtype=bool)],
        Sequence[int]: [[1, 2], [2]],
        Sequence[float]: [[0.1, 0.2, 0.3, 0.4]],
        Sequence[Sequence[float]]: [np.ones((4, 4)), np.eye(4)],
    }
    return simple.get(kind, [])


def _differences(before: Call, after: Call) -> Iterator[str]:
    """Yield our options that differ between two calls, as code."""
    pairs = list(zip(parts_of(before), parts_of(after), strict=False))
    for (old, old_options, old_weight), (new, new_options, new_weight) in pairs:
        owner = f" of `{new.__name__}`" if len(pairs) > 1 else ""
        if new is not old:
            yield f"the loss: `{new.__name__}` instead of `{old.__name__}`"
        common = [name for name in new_options if name in old_options]
        for name in common if new is not old else {**old_options, **new_options}:
            if repr(old_options.get(name)) != repr(new_options.get(name)):
                yield f"``{name}``{owner}"
        if old_weight != new_weight:
            yield f"the weight{owner}"


def _shape(options: Mapping[str, Any]) -> str:
    """Return the shape of the input."""
    axis = options.get("class_axis", 1)
    return r"(N, \*spatial)" if axis is None else r"(N, \*spatial, C)" if axis == -1 else r"(N, C, \*spatial)"


def _entry(parameter: Parameter, hints: Mapping[str, Any], text: str) -> str:
    """Return the entry of a parameter: its type and default, as numpydoc has them, and a text."""
    hint = hints[parameter.name]
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    names = " or ".join(dict.fromkeys(_name(kind) for kind in kinds))
    default = "" if parameter.default is Parameter.empty else f", default {parameter.default!r}"
    return _wrapped(f"{parameter.name} : {names}{default}", text)


def _wrapped(head: str, text: str) -> str:
    return f"{head}\n{fill(text, 120, initial_indent='    ', subsequent_indent='    ', break_on_hyphens=False)}"


def _name(kind: Any) -> str:
    """Return a type in words."""
    if get_origin(kind) is Literal:
        return f"{{{', '.join(repr(each) for each in get_args(kind))}}}"
    if get_origin(kind) is Sequence:
        return f"sequence of {_name(get_args(kind)[0])}"
    if get_origin(kind) is Mapping:
        return "dict"
    return {Any: "array", NoneType: "None"}.get(kind, getattr(kind, "__name__", str(kind)))


def _sections(function: Callable[..., Any], entries: Sequence[str], returns: str, raises: str, note: str) -> str:
    """Put the sections of a docstring together."""
    notes = f"\n\nNotes\n-----\n{fill(note, 120, break_on_hyphens=False)}" if note else ""
    parameters = "\n".join(entries)
    summary = cleandoc(function.__doc__ or "")
    return f"""{summary}

Parameters
----------
{parameters}

Returns
-------
{returns}{raises}{notes}"""
