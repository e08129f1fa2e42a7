"""Checks of the arguments that are not arrays of pixels: choices, numbers, indices, spacings.

Each check raises a sentence with the name of the argument, what it must be and what it was, and returns the value as a
plain Python object: a NumPy number, or an array of one number, is as good as a Python one. A number that a compiler
traces is returned as it is, because its value cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from numbers import Integral, Real
from operator import index
from typing import Any, get_args

from arrayseg.backends import backend_of

__all__ = [
    "check_choice",
    "check_connectivity",
    "check_flag",
    "check_index",
    "check_indices",
    "check_number",
    "check_numbers",
    "check_spacing",
    "is_several",
    "is_traced",
]


def check_choice(name: str, value: object, choices: Any) -> None:
    """Raise unless the value is one of the choices: a tuple, or a `Literal`."""
    allowed = choices if isinstance(choices, tuple) else get_args(choices)
    if getattr(value, "ndim", 0) or value not in allowed:
        names = [repr(choice) for choice in allowed]
        msg = f"`{name}` must be {', '.join(names[:-1])} or {names[-1]}; got {_shown(value)}."
        raise ValueError(msg)


def check_flag(name: str, value: Any) -> None:
    """Raise unless the value is True or False; one of NumPy, or 0 or 1, is as good."""
    if value is not True and value is not False:
        check_choice(name, value, (True, False))


def check_number(name: str, value: Any, low: float = -inf, high: float = inf, *, below: bool = False) -> float:
    """Return a finite number with low <= value <= high, or value < high where `below`."""
    if is_traced(value):
        traced: float = value
        return traced
    number = value if type(value) in (int, float) else _as_number(name, value)
    if not (-inf < number < inf and low <= number <= high) or (below and number == high):
        msg = f"`{name}` must be {_range(low, high, below)}; got {_shown(value)}."
        raise ValueError(msg)
    return number


def check_numbers(
    name: str, values: Any, low: float = -inf, high: float = inf, *, below: bool = False
) -> tuple[float, ...]:
    """Return one or more finite numbers in a range, of a sequence or an array, as a tuple."""
    found = tuple(check_number(name, value, low, high, below=below) for value in _listed(name, values, "numbers"))
    if not found:
        msg = f"`{name}` must hold at least one number; got none."
        raise ValueError(msg)
    return found


def check_index(name: str, value: Any, low: float = -inf, high: float = inf) -> int:
    """Return a whole number with low <= value <= high; 1.0 is not one, as it may have been 0.9999 or 1.0001."""
    try:
        if isinstance(value, bool) or is_traced(value):
            raise TypeError
        number = index(value)
    except TypeError as error:
        msg = f"`{name}` must be a whole number, such as 1; got {_shown(value)}."
        raise TypeError(msg) from error
    if not low <= number <= high:
        msg = f"`{name}` must be {_range(low, high, below=False)}; got {_shown(value)}."
        raise ValueError(msg)
    return number


def check_indices(name: str, values: Any, count: int) -> tuple[int, ...]:
    """Return one or more different whole numbers of 0 to `count - 1`, of a sequence or an array, as a tuple."""
    chosen = tuple(check_index(name, value) for value in _listed(name, values, "whole numbers"))
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= each < count for each in chosen):
        msg = f"`{name}` must be different whole numbers from 0 to {count - 1}, at least one; got {list(chosen)}."
        raise ValueError(msg)
    return chosen


def check_spacing(spacing: Any, axes: int, name: str = "spacing") -> tuple[float, ...]:
    """Return the positive distance between neighbors along each axis; one number serves every axis, None is 1."""
    if spacing is None:
        return (1.0,) * axes
    found = check_numbers(name, spacing) if is_several(spacing) else (check_number(name, spacing),) * axes
    if len(found) != axes or not all(is_traced(number) or number > 0 for number in found):
        msg = f"`{name}` must be a positive number, or one for each of the {axes} spatial axes; got {_shown(spacing)}."
        raise ValueError(msg)
    return tuple(number if is_traced(number) else float(number) for number in found)


def check_connectivity(connectivity: Any, axes: int) -> int:
    """Return the coordinates in which neighbors may differ, from 1 to the number of axes; None is all of them."""
    return axes if connectivity is None else check_index("connectivity", connectivity, 1, axes)


def is_several(value: object) -> bool:
    """Whether a value is a sequence or an array with axes, and not one number."""
    return isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "shape", None) != ()


def is_traced(value: object) -> bool:
    """Whether a value is an array that a compiler or a transform traces, so that its numbers cannot be read."""
    if value is None or isinstance(value, int | float | str | tuple | list):  # torch.compile has symbols among these
        return False
    return hasattr(value, "ndim") and hasattr(value, "dtype") and not backend_of(value).is_concrete(value)


def _as_number(name: str, value: Any) -> float:
    """Return a Python number of a real number, or of an array of one number that takes no gradient."""
    is_bool = isinstance(value, bool)
    if isinstance(value, Real) and not is_bool:
        return int(value) if isinstance(value, Integral) else float(value)
    if getattr(value, "requires_grad", False):
        msg = (
            f"`{name}` must be a plain number; got a tensor that requires a gradient, which would be lost. "
            f"Pass float({name}), or multiply the loss with it."
        )
        raise TypeError(msg)
    if getattr(value, "shape", None) == () and "bool" not in str(value.dtype):
        return float(value)
    msg = f"`{name}` must be a number; got {_shown(value)}."
    raise TypeError(msg)


def _listed(name: str, values: Any, what: str) -> Sequence[Any]:
    """Return the elements of a sequence, or of an array of one axis."""
    if hasattr(values, "ndim") and values.ndim != 1:
        msg = f"`{name}` must be a sequence of {what}; got an array of shape {tuple(values.shape)}."
        raise TypeError(msg)
    if isinstance(values, str | dict) or not isinstance(values, Iterable):
        msg = f"`{name}` must be a sequence of {what}; got {_shown(values)}."
        raise TypeError(msg)
    return values.tolist() if hasattr(values, "tolist") and not is_traced(values) else list(values)


def _range(low: float, high: float, below: bool) -> str:
    if low == -inf and high == inf:
        return "a finite number"
    if high == inf:
        return f"at least {low}"
    if low == -inf:
        return f"{'below' if below else 'at most'} {high}"
    return f"from {low} to {'just under ' if below else ''}{high}"


def _shown(value: object) -> str:
    """Return what a value is, in one short line."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and getattr(value, "shape", None) != ():
        return f"an array of shape {tuple(value.shape)}"
    if isinstance(value, Real):
        return str(value)  # 0.5, not np.float64(0.5)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
