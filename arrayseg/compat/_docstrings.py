"""The docstrings of presets, written from their signatures and from the calls that they set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Parameter, Signature, signature
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
    first, *others = signature(function).parameters
    entries = [_entry(first, STATISTICS[statistic])]
    entries += [_entry(name, STATISTICS["prediction"]) for name in others if name == "target"]
    names = [name for name in others if name != "target"]
    if names:
        entries.append(
            _entry(f"{', '.join(names)} : option{'s' if len(names) > 1 else ''} of the peer", f"As in ``{peer}``.")
        )
    returns = f"What ``{peer}`` returns for the same masks, as an array of the library of the argument."
    return _sections(function, entries, f"array\n    {returns}", "", note)


def loss_docstring(
    function: Callable[..., Call], signature: Signature, owners: Sequence[Callable[..., Any]], peer: str, note: str
) -> str | None:
    """Write the docstring of a loss preset; `owners` are the functions that spell out its options."""
    if function.__doc__ is None:  # python -OO
        return None
    hints = {name: hint for owner in owners for name, hint in get_type_hints(owner).items()}
    options = [each for each in signature.parameters.values() if each.kind is Parameter.KEYWORD_ONLY]
    trial = Trial(function, {each.name: other_values(hints[each.name], each.default) for each in options}, options)
    parts = list(parts_of(trial.call))
    given = f"whichever ``{peer}`` takes with these options"
    entries = [
        _entry("input : array", f"Logits or probabilities, {given}, of shape {_shape(parts[0][1])}, floating."),
        _entry("target : array", f"Class ids or values for every class, {given}, from the same array library."),
        *(_entry(f"{each.name} : {_type(hints[each.name], each)}", trial.counterpart(each.name)) for each in options),
    ]
    if any(each.kind is Parameter.VAR_KEYWORD for each in signature.parameters.values()):
        entries.append(_entry("**options", _further_options(parts, {"input", "target", *hints}, peer)))
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
    """A preset called with other values of its options, to see which options of ours each of them sets."""

    def __init__(
        self, function: Callable[..., Call], values: Mapping[str, Sequence[Any]], options: Sequence[Parameter]
    ) -> None:
        self.function, self.values = function, values
        self.arrays = np.zeros((2, 4, 3, 3)), np.zeros((2, 3, 3), dtype=np.int64)
        required = [each.name for each in options if each.default is Parameter.empty]
        most = max((len(values[name]) for name in required), default=1)
        self.bases = [
            {name: values[name][min(place, len(values[name]) - 1)] for name in required} for place in range(most)
        ]
        if "reduction" in values:
            self.bases.append({**self.bases[0], "reduction": "sum"})
        self.call = function(*self.arrays, **self.bases[0])

    def counterpart(self, name: str) -> str:
        """Return the sentence that says which option of ours an option of the peer sets."""
        if not self.values[name]:
            return "Options of a part, by the peer's names."
        found: list[str] = []
        refused = True
        for base in self.bases:
            before = self.function(*self.arrays, **base)
            for value in self.values[name]:
                try:
                    after = self.function(*self.arrays, **{**base, name: value})
                except (TypeError, ValueError):
                    continue
                refused = False
                found += [each for each in _differences(before, after) if each not in found]
        if refused:
            return "Only the default is supported."
        return f"Sets {', '.join(found)}." if found else "Has no counterpart among our options."


def other_values(hint: Any, default: Any) -> list[Any]:
    """Return values of a type that differ from a default; none for a mapping."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [value for kind in kinds for value in _values(kind) if repr(value) != repr(default)]


def _values(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if get_origin(kind) is Sequence:
        inner = get_args(kind)[0]
        return (
            [[1, 2], [2]]
            if inner is int
            else [[0.1, 0.2, 0.3, 0.4]]
            if inner is float
            else [[[1.0] * 4] * 4, np.eye(4)]
        )
    simple: dict[Any, list[Any]] = {
        bool: [True, False],
        int: [3, 2],
        float: [0.25, 0.5],
        NoneType: [None],
        Any: [np.ones((2, 3, 3), dtype=bool), np.zeros((2, 3, 3), dtype=bool)],
    }
    return simple.get(kind, [])


def _differences(before: Call, after: Call) -> Iterator[str]:
    """Yield our options that differ between two calls, in code."""
    pairs = list(zip(parts_of(before), parts_of(after), strict=False))
    for (old, old_options, old_weight), (new, new_options, new_weight) in pairs:
        owner = f" of `{new.__name__}`" if len(pairs) > 1 else ""
        if new is not old:
            yield f"the loss: `{new.__name__}` instead of `{old.__name__}`"
        for name in (
            new_options.keys() & old_options.keys() if new is not old else new_options.keys() | old_options.keys()
        ):
            if repr(old_options.get(name)) != repr(new_options.get(name)):
                yield f"``{name}``{owner}"
        if old_weight != new_weight:
            yield f"the weight{owner}"


def _further_options(
    parts: Sequence[tuple[Callable[..., Any], Mapping[str, Any], float]], peers: set[str], peer: str
) -> str:
    """Describe the options of our loss that the peer lacks."""
    ((loss, given, _),) = parts
    names = ", ".join(f"``{name}``" for name in signature(loss).parameters if name not in peers | given.keys())
    return f"Options of `arrayseg.losses.{loss.__name__}` that ``{peer}`` lacks: {names}."


def _shape(options: Mapping[str, Any]) -> str:
    """Return the shape of the input."""
    axis = options.get("class_axis", 1)
    return r"(N, \*spatial)" if axis is None else r"(N, \*spatial, C)" if axis == -1 else r"(N, C, \*spatial)"


def _type(hint: Any, option: Parameter) -> str:
    """Return the type and the default of an option, as numpydoc has them."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    names = " or ".join(dict.fromkeys(_name(kind) for kind in kinds))
    return names if option.default is Parameter.empty else f"{names}, default {option.default!r}"


def _name(kind: Any) -> str:
    """Return a type in words."""
    if get_origin(kind) is Literal:
        return f"{{{', '.join(repr(each) for each in get_args(kind))}}}"
    if get_origin(kind) is Sequence:
        return f"sequence of {_name(get_args(kind)[0])}"
    if get_origin(kind) is Mapping:
        return "dict"
    return {Any: "array", NoneType: "None"}.get(kind, getattr(kind, "__name__", str(kind)))


def _entry(name: str, text: str) -> str:
    return f"{name}\n{fill(text, 116, initial_indent='    ', subsequent_indent='    ', break_on_hyphens=False)}"


def _sections(function: Callable[..., Any], entries: Sequence[str], returns: str, raises: str, note: str) -> str:
    """Put the sections of a docstring together."""
    notes = f"\n\nNotes\n-----\n{fill(note, 120, break_on_hyphens=False)}" if note else ""
    parameters = "\n".join(entries)
    summary = (function.__doc__ or "").strip()
    return f"""{summary}

Parameters
----------
{parameters}

Returns
-------
{returns}{raises}{notes}"""
