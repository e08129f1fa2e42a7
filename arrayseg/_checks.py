"""Check arguments that are not arrays of pixels: choices, numbers, indices and spacings.

Each check names the argument, what it must be and what it was in its error. It returns a plain Python object, also for
a NumPy number or an array of one number. A number that a compiler traces is returned unchanged, because its value
cannot be read.
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
    """Return the choice that equals the value. `choices` is a tuple or a `Literal`."""
    allowed = choices if isinstance(choices, tuple) else get_args(choices)
    if type(value) is str and value in allowed:
        return value
    if not getattr(value, "ndim", 0):
        check_static(name, value)
        if (
            isinstance(value, Hashable) and value in allowed
        ):  # arrays and other unhashable values may not compare with strings
            return allowed[allowed.index(value)]
    names = [repr(choice) for choice in allowed]
    msg = f"`{name}` must be {', '.join(names[:-1])} or {names[-1]}; got {shown(value)}."
    raise ValueError(msg)


def check_flag(name: str, value: Any) -> bool:
    """Return the value as a bool. NumPy booleans, 0 and 1 are accepted too."""
    return value if isinstance(value, bool) else bool(check_choice(name, value, (True, False)))


def check_number(
    name: str, value: Any, low: float = -inf, high: float = inf, *, above: bool = False, below: bool = False
) -> float:
    """Return a finite number in [low, high]. `above` excludes the lower bound, `below` the upper one."""
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
    """Return a number or an array of one number as a Python number, which may be NaN or infinite.

    A tensor that requires a gradient raises a TypeError, because the gradient would be lost.
    """
    is_bool = isinstance(value, bool)
    if isinstance(value, Real) and not is_bool:
        return int(value) if isinstance(value, Integral) else float(value)
    if getattr(value, "requires_grad", False):
        msg = (
            f"`{name}` must be a plain number; got a tensor that requires a gradient, which would be lost. "
            f"Pass float({name}), or multiply the loss by the tensor."
        )
        raise TypeError(msg)
    if getattr(value, "shape", None) == () and ("float" in str(value.dtype) or "int" in str(value.dtype)):
        return float(value)
    msg = f"`{name}` must be a number; got {shown(value)}."
    raise TypeError(msg)


def check_numbers(
    name: str, values: Any, low: float = -inf, high: float = inf, *, above: bool = False, below: bool = False
) -> tuple[float, ...]:
    """Return the finite numbers of a sequence or an array as a tuple with at least one element."""
    listed = check_sequence(name, values, "numbers")
    numbers = tuple(check_number(name, value, low, high, above=above, below=below) for value in listed)
    if not numbers:
        msg = f"`{name}` must hold at least one number; got none."
        raise ValueError(msg)
    return numbers


def check_index(name: str, value: Any, low: float = -inf, high: float = inf) -> int:
    """Return a whole number in [low, high]. Floats are refused, even 1.0, because they may come from rounding."""
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
    """Return distinct whole numbers from 0 to `count - 1` as a tuple with at least one element."""
    chosen = tuple(check_index(name, value) for value in check_sequence(name, values, "whole numbers"))
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= each < count for each in chosen):
        msg = f"`{name}` must be different whole numbers from 0 to {count - 1}, at least one; got {list(chosen)}."
        raise ValueError(msg)
    return chosen


def check_sequence(name: str, values: Any, what: str) -> Sequence[Any]:
    """Return the elements of a sequence or of an array with one axis, without checking the elements."""
    if hasattr(values, "ndim") and values.ndim != 1:
        msg = f"`{name}` must be a sequence of {what}; got an array of shape {tuple(values.shape)}."
        raise TypeError(msg)
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        msg = f"`{name}` must be a sequence of {what}; got {shown(values)}."
        raise TypeError(msg)
    return values.tolist() if hasattr(values, "tolist") and not is_traced(values) else list(values)


def check_pair(name: str, values: Any, what: str) -> tuple[Any, Any]:
    """Return the two elements of a pair, or of an array with two elements along its first axis."""
    if hasattr(values, "ndim") and tuple(values.shape[:1]) == (2,):
        return values[0, ...], values[1, ...]
    if isinstance(values, Sequence) and not isinstance(values, str) and len(values) == 2:
        return values[0], values[1]
    msg = f"`{name}` must be a pair of {what}; got {shown(values)}."
    raise ValueError(msg)


def check_spacing(spacing: Any, axes: int, name: str = "spacing") -> tuple[float, ...]:
    """Return the positive distance between neighbors along each axis. One number applies to all axes; None means 1."""
    if spacing is None:
        return (1.0,) * axes
    steps = check_numbers(name, spacing) if is_several(spacing) else (check_number(name, spacing),) * axes
    if len(steps) != axes or not all(is_traced(number) or number > 0 for number in steps):
        msg = f"`{name}` must be a positive number, or one for each of the {axes} spatial axes; got {shown(spacing)}."
        raise ValueError(msg)
    return tuple(number if is_traced(number) else float(number) for number in steps)


def check_connectivity(connectivity: Any, axes: int) -> int:
    """Return the number of coordinates in which neighbors may differ, from 1 to `axes`. None means `axes`."""
    return axes if connectivity is None else check_index("connectivity", connectivity, 1, axes)


def check_dtype(name: str, dtype: DType | None, xp: Namespace) -> DType:
    """Return a numeric or boolean dtype of a library. None means its float32."""
    if dtype is None:
        return xp.float32
    try:
        resolved = xp.empty(0, dtype=dtype).dtype
        is_valid = xp.isdtype(resolved, ("bool", "integral", "real floating"))
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        msg = f"`{name}` must be a dtype of the library of `target`, such as its float32; got {shown(dtype)}."
        raise TypeError(msg)
    return resolved


def check_array(name: str, values: Any, shape: tuple[int, ...], like: Array) -> Array:
    """Return an option as an array of the given shape, with the dtype and device of `like`."""
    try:
        array = backend_of(like).asarray(values, dtype=like.dtype, like=like)
    except (TypeError, ValueError):
        array = None
    if array is None or tuple(array.shape) != shape:
        msg = f"`{name}` must have shape {shape} and hold numbers; got {shown(values)}."
        raise ValueError(msg)
    return array


def check_static(name: str, value: object) -> None:
    """Raise a TypeError if the value is traced although it decides which operations run or the shape of a result."""
    if is_traced(value, name):
        msg = (
            f"`{name}` must be a plain Python value, because it decides what is computed, but it is traced. Make it a "
            f'static argument, as jax.jit(..., static_argnames="{name}") does, or close over it.'
        )
        raise TypeError(msg)


def is_several(value: object) -> bool:
    """Return whether a value is a sequence or an array with axes rather than one number."""
    return isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "shape", None) != ()


def is_exactly(value: object, *numbers: float) -> bool:
    """Return whether a checked number equals one of these; always False for a traced number.

    Use it to choose a simpler formula for some numbers, so that a traced number takes the general formula.
    """
    return isinstance(value, int | float) and value in numbers


def is_traced(value: object, name: str = "input") -> bool:
    """Return whether a value is an array that a compiler or transform traces, so its numbers cannot be read."""
    if value is None or isinstance(value, int | float | str | tuple | list):  # includes the symbols of torch.compile
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
    """Describe a value in one short line, for an error message."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and getattr(value, "shape", None) != ():
        return f"an array of shape {tuple(value.shape)}"
    if isinstance(value, Real):
        return str(value)  # 0.5, not np.float64(0.5)
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
