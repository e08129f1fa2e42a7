"""Checks of the arguments that are not arrays of pixels: choices, numbers, indices, spacings.

Each check raises a sentence with the name of the argument, what it must be and what it was, and returns the value as a
plain Python object: a NumPy number, or an array of one number, is as good as a Python one. A number that a compiler
traces is returned as it is, because its value cannot be read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import inf
from numbers import Integral, Real
from operator import index
from typing import Any, get_args

from arrayseg._typing import Array, DType, Namespace
from arrayseg.backends import backend_of

__all__ = [
    "as_number",
    "check_array",
    "check_choice",
    "check_connectivity",
    "check_dtype",
    "check_flag",
    "check_index",
    "check_indices",
    "check_number",
    "check_numbers",
    "check_pair",
    "check_sequence",
    "check_spacing",
    "check_static",
    "is_exactly",
    "is_several",
    "is_traced",
    "shown",
]


def check_choice(name: str, value: object, choices: Any) -> Any:
    """Return the one of the choices, a tuple or a `Literal`, that the value is."""
    allowed = choices if isinstance(choices, tuple) else get_args(choices)
    if type(value) is str and value in allowed:
        return value
    if not getattr(value, "ndim", 0):
        check_static(name, value)
        if isinstance(value, Hashable) and value in allowed:  # what has no hash, as arrays, may not compare with words
            return allowed[allowed.index(value)]
    names = [repr(choice) for choice in allowed]
    msg = f"`{name}` must be {', '.join(names[:-1])} or {names[-1]}; got {shown(value)}."
    raise ValueError(msg)


def check_flag(name: str, value: Any) -> bool:
    """Return True or False, of a value that is one of them; one of NumPy, or 0 or 1, is as good."""
    return value if isinstance(value, bool) else bool(check_choice(name, value, (True, False)))


def check_number(
    name: str, value: Any, low: float = -inf, high: float = inf, *, above: bool = False, below: bool = False
) -> float:
    """Return a finite number with low <= value <= high; low < value where `above`, and value < high where `below`."""
    is_plain = type(value) in (int, float)
    if not is_plain and is_traced(value, name) and "bool" not in str(value.dtype):
        traced: float = value
        return traced
    number = value if is_plain else as_number(name, value)
    outside = (above and number == low) or (below and number == high)
    if outside or not (-inf < number < inf and low <= number <= high):
        msg = f"`{name}` must be {_range(low, high, above, below)}; got {shown(value)}."
        raise ValueError(msg)
    return number


def as_number(name: str, value: Any) -> float:
    """Return a Python number, maybe nan or infinite, of one or of an array of one number that takes no gradient."""
    is_bool = isinstance(value, bool)
    if isinstance(value, Real) and not is_bool:
        return int(value) if isinstance(value, Integral) else float(value)
    if getattr(value, "requires_grad", False):
        msg = (
            f"`{name}` must be a plain number; got a tensor that requires a gradient, which would be lost. "
            f"Pass float({name}), or multiply the loss with it."
        )
        raise TypeError(msg)
    if getattr(value, "shape", None) == () and ("float" in str(value.dtype) or "int" in str(value.dtype)):
        return float(value)
    msg = f"`{name}` must be a number; got {shown(value)}."
    raise TypeError(msg)


def check_numbers(
    name: str, values: Any, low: float = -inf, high: float = inf, *, above: bool = False, below: bool = False
) -> tuple[float, ...]:
    """Return one or more finite numbers in a range, of a sequence or an array, as a tuple."""
    listed = check_sequence(name, values, "numbers")
    found = tuple(check_number(name, value, low, high, above=above, below=below) for value in listed)
    if not found:
        msg = f"`{name}` must hold at least one number; got none."
        raise ValueError(msg)
    return found


def check_index(name: str, value: Any, low: float = -inf, high: float = inf) -> int:
    """Return a whole number with low <= value <= high; 1.0 is not one, as it may have been 0.9999 or 1.0001."""
    if type(value) is not int:
        check_static(name, value)
    try:
        if isinstance(value, bool):
            raise TypeError
        number = index(value)
    except TypeError as error:
        msg = f"`{name}` must be a whole number, such as 1; got {shown(value)}."
        raise TypeError(msg) from error
    if not low <= number <= high:
        msg = f"`{name}` must be {_range(low, high)}; got {shown(value)}."
        raise ValueError(msg)
    return number


def check_indices(name: str, values: Any, count: int) -> tuple[int, ...]:
    """Return one or more different whole numbers of 0 to `count - 1`, of a sequence or an array, as a tuple."""
    chosen = tuple(check_index(name, value) for value in check_sequence(name, values, "whole numbers"))
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= each < count for each in chosen):
        msg = f"`{name}` must be different whole numbers from 0 to {count - 1}, at least one; got {list(chosen)}."
        raise ValueError(msg)
    return chosen


def check_sequence(name: str, values: Any, what: str) -> Sequence[Any]:
    """Return the elements of a sequence, or of an array of one axis, without a look at what they are."""
    if hasattr(values, "ndim") and values.ndim != 1:
        msg = f"`{name}` must be a sequence of {what}; got an array of shape {tuple(values.shape)}."
        raise TypeError(msg)
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        msg = f"`{name}` must be a sequence of {what}; got {shown(values)}."
        raise TypeError(msg)
    return values.tolist() if hasattr(values, "tolist") and not is_traced(values) else list(values)


def check_pair(name: str, values: Any, what: str) -> tuple[Any, Any]:
    """Return the two elements of a pair, or of an array of two along its first axis."""
    if hasattr(values, "ndim") and tuple(values.shape[:1]) == (2,):
        return values[0, ...], values[1, ...]
    if isinstance(values, Sequence) and not isinstance(values, str) and len(values) == 2:
        return values[0], values[1]
    msg = f"`{name}` must be a pair of {what}; got {shown(values)}."
    raise ValueError(msg)


def check_spacing(spacing: Any, axes: int, name: str = "spacing") -> tuple[float, ...]:
    """Return the positive distance between neighbors along each axis; one number serves every axis, None is 1."""
    if spacing is None:
        return (1.0,) * axes
    found = check_numbers(name, spacing) if is_several(spacing) else (check_number(name, spacing),) * axes
    if len(found) != axes or not all(is_traced(number) or number > 0 for number in found):
        msg = f"`{name}` must be a positive number, or one for each of the {axes} spatial axes; got {shown(spacing)}."
        raise ValueError(msg)
    return tuple(number if is_traced(number) else float(number) for number in found)


def check_connectivity(connectivity: Any, axes: int) -> int:
    """Return the coordinates in which neighbors may differ, from 1 to the number of axes; None is all of them."""
    return axes if connectivity is None else check_index("connectivity", connectivity, 1, axes)


def check_dtype(name: str, dtype: DType | None, xp: Namespace) -> DType:
    """Return a dtype of numbers or booleans of a library; its float32 where there is none."""
    if dtype is None:
        return xp.float32
    try:
        found = xp.empty(0, dtype=dtype).dtype
        known = xp.isdtype(found, ("bool", "integral", "real floating"))
    except (TypeError, ValueError):
        known = False
    if not known:
        msg = f"`{name}` must be a dtype of the library of `target`, such as its float32; got {shown(dtype)}."
        raise TypeError(msg)
    return found


def check_array(name: str, values: Any, shape: tuple[int, ...], like: Array) -> Array:
    """Return the numbers of an option as an array of a shape, in the dtype and on the device of another array."""
    try:
        array = backend_of(like).asarray(values, dtype=like.dtype, like=like)
    except (TypeError, ValueError):
        array = None
    if array is None or tuple(array.shape) != shape:
        msg = f"`{name}` must have shape {shape} and hold numbers; got {shown(values)}."
        raise ValueError(msg)
    return array


def check_static(name: str, value: object) -> None:
    """Raise for a traced value of an option that decides which operations are computed, or the shape of a result."""
    if is_traced(value, name):
        msg = (
            f"`{name}` must be a plain Python value, because it decides what is computed, but it is traced. Make it a "
            f'static argument, as jax.jit(..., static_argnames="{name}") does, or close over it.'
        )
        raise TypeError(msg)


def is_several(value: object) -> bool:
    """Whether a value is a sequence or an array with axes, and not one number."""
    return isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "shape", None) != ()


def is_exactly(value: object, *numbers: float) -> bool:
    """Whether a checked number is one of these; never one that is traced, whose value cannot be read.

    A formula that is simpler for some numbers asks this, so that a traced number takes the general one.
    """
    return isinstance(value, int | float) and value in numbers


def is_traced(value: object, name: str = "input") -> bool:
    """Whether a value is an array that a compiler or a transform traces, so that its numbers cannot be read."""
    if value is None or isinstance(value, int | float | str | tuple | list):  # torch.compile has symbols among these
        return False
    return hasattr(value, "ndim") and hasattr(value, "dtype") and not backend_of(value, name).is_concrete(value)


def _range(low: float, high: float, above: bool = False, below: bool = False) -> str:
    if low == -inf and high == inf:
        return "a finite number"
    if high == inf:
        return f"{'greater than' if above else 'at least'} {low}"
    if low == -inf:
        return f"{'below' if below else 'at most'} {high}"
    if above:
        return f"between {low} and {high}" if below else f"greater than {low} and at most {high}"
    return f"from {low} to {'just under ' if below else ''}{high}"


def shown(value: object) -> str:
    """Return what a value is, in one short line."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and getattr(value, "shape", None) != ():
        return f"an array of shape {tuple(value.shape)}"
    if isinstance(value, Real):
        return str(value)  # 0.5, not np.float64(0.5)
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
