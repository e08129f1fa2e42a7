"""Compute scores from statistics: the steps that every metric shares, and the divisions they are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from inspect import signature
from math import inf, nan
from typing import Any, Literal, NamedTuple, ParamSpec, TypeAlias, TypeVar

from arrayseg._checks import check_index, check_number, check_sequence, check_static
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, backend_of, common_backend

__all__ = [
    "AbsentScore",
    "Score",
    "check_absent",
    "compute",
    "computed_from",
    "divide",
    "map_arrays",
    "mean_of_defined",
    "mean_score",
    "nonzero",
    "ratio",
    "replace_undefined",
    "square_root",
    "take_classes",
    "to_device",
]

Statistic = TypeVar("Statistic")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

AbsentScore: TypeAlias = Literal["skip", "nan"] | float
"""The score of a class with neither prediction nor target pixels."""


class Score(NamedTuple):
    """The values of a score, and a mask of the places where it is 0 / 0.

    The mask is kept apart because ``jax.debug_nans`` stops at every nan, even at one that is replaced later.
    """

    values: Array
    undefined: Array


def compute(
    statistic: Any,
    formula: Callable[[Backend, Any], Result],
    *,
    name: str,
    absent: AbsentScore = "nan",
    as_integers: bool = False,
    signed: Collection[str] = (),
    on_host: bool = False,
    backend: Backend | None = None,
) -> Result:
    """Return a formula of a statistic, computed in the widest dtypes of the device.

    Parameters
    ----------
    statistic
        Array of counts, or NamedTuple of arrays.
    formula
        Function `(backend, statistic) -> result`. The result is an array, a `Score`, or a NamedTuple of these. It is
        returned in the caller's widest floating dtype, with `absent` where a score is undefined.
    name
        The name of the statistic in error messages.
    absent
        The public option: ``"skip"``, ``"nan"`` or a number.
    as_integers
        Whether the formula gets counts as 64-bit integers, because it adds or subtracts them first. By default it gets
        floating numbers.
    signed
        The fields of the statistic that are no counts and may be negative or nan.
    on_host
        Whether the formula has shapes that depend on values. It then gets NumPy views where the memory allows it.
    backend
        The adapter of the arrays, if the caller has it already.
    """
    check_absent(absent)
    fields: tuple[str, ...] = getattr(statistic, "_fields", ())  # of a NamedTuple
    arrays = dict(zip(fields, statistic, strict=True)) if fields else {name: statistic}
    backend = backend or common_backend(**arrays)
    first = next(iter(arrays.values()))
    # Outside of `enable_64_bits`, this is the dtype that the caller's configuration allows: float32 on JAX without x64.
    result_dtype = backend.sum_dtype(first)

    def finish(result: Any) -> Any:
        if isinstance(result, Score):
            result = replace_undefined(worker.xp, result.values, absent, where=result.undefined)
        elif isinstance(result, tuple):
            return type(result)(*map(finish, result))
        if on_host and backend_of(result) is not backend:
            result = to_device(backend, result, first)
        return backend.xp.astype(result, result_dtype, copy=False)

    with backend.enable_64_bits(*arrays.values()):
        worker, parts = backend.shared_view(*arrays.values()) if on_host else (backend, tuple(arrays.values()))
        wide = [_widened(worker, part, as_integers) for part in parts]
        for field, part in zip(arrays, wide, strict=True):
            if field not in signed:
                check_counts(worker, name, part)
        result: Result = finish(formula(worker, type(statistic)(*wide) if fields else wide[0]))
        return result


def _widened(backend: Backend, array: Array, as_integers: bool) -> Array:
    """Return an array in the widest dtype of the device; integers as floating numbers unless `as_integers`."""
    integers = as_integers and backend.xp.isdtype(array.dtype, "integral")
    return backend.xp.astype(array, backend.count_dtype(array) if integers else backend.sum_dtype(array), copy=False)


def computed_from(
    counting: str, *kinds: type, or_array: bool = False, paragraphs: Mapping[str, str] | None = None
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorate a function of one statistic, so that calling it with two masks names the two calls to make.

    Parameters
    ----------
    counting
        The call that counts, as the error message shows it.
    kinds
        The NamedTuples that the function takes. Without any it takes an array of counts.
    or_array
        Whether it takes an array of counts as well.
    paragraphs
        The shared paragraphs of its docstring, as `arrayseg._docs.documented` takes them.
    """
    or_array = or_array or not kinds
    names = " or ".join(kind.__name__ for kind in kinds)
    expected = " or ".join([f"be {names}"] * bool(kinds) + ["hold pixel counts"] * or_array)

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        documented(paragraphs or {})(function)
        parameters = signature(function).parameters.values()
        name, first = function.__name__, next(iter(parameters)).name
        positional = sum(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)

        @raises_here
        @wraps(function)
        def checked(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
            statistic = arguments[0] if arguments else options.get(first)
            if len(arguments) > positional:
                fault = f"{name} takes {positional} positional argument(s) and options by keyword; got {len(arguments)}"
            elif (arguments or first in options) and not (
                isinstance(statistic, kinds) or (or_array and _may_hold_counts(statistic))
            ):
                fault = f"`{first}` must {expected}; got {_described(statistic)}"
            else:
                return function(*arguments, **options)
            msg = f"{fault}. To score two masks, count first: metrics.{name}(metrics.{counting})."
            raise TypeError(msg)

        return checked

    return decorate


def _may_hold_counts(statistic: object) -> bool:
    """Return whether an argument may be an array of counts; a boolean array is a mask."""
    return not isinstance(statistic, tuple) and "bool" not in str(getattr(statistic, "dtype", ""))


def _described(statistic: object) -> str:
    """Return what an argument is, for an error message."""
    if hasattr(statistic, "shape") and hasattr(statistic, "dtype"):
        return f"an array of shape {tuple(statistic.shape)} and dtype {statistic.dtype}"
    return type(statistic).__name__


def check_absent(absent: object) -> None:
    """Raise unless `absent` is one of its two words or a finite number."""
    if isinstance(absent, str) and absent in ("skip", "nan"):
        return
    if absent is None or isinstance(absent, str | bool):
        msg = f'`absent` must be "skip", "nan" or a number; got {absent!r}.'
        raise ValueError(msg)
    check_static("absent", absent)
    check_number("absent", absent)


def check_counts(backend: Backend, name: str, counts: Array) -> None:
    """Raise if counts are nan or negative, as they are after they wrapped around; not under a compiler."""
    if not backend.is_concrete(counts):
        return
    with backend.reading():
        if bool(backend.xp.all(counts >= 0)):
            return
    host = backend.to_numpy(counts)
    value = host[~(host >= 0)].flat[0]
    msg = (
        f"`{name}` holds {value}, but counts are never negative or nan. Sums of int32 or smaller integers wrap "
        "to negative numbers: add statistics with metrics.add, or in int64."
    )
    raise ValueError(msg)


def divide(xp: Namespace, numerator: Array, denominator: Array) -> Score:
    """Return a quotient with finite derivatives: 0 and undefined for 0 / 0, infinite for another division by 0."""
    zero = denominator == 0
    values = numerator / nonzero(xp, denominator)
    no_numerator = numerator == 0
    return Score(xp.where(zero & ~no_numerator, inf, values), zero & no_numerator)


def nonzero(xp: Namespace, array: Array) -> Array:
    """Return an array with 1 instead of 0, to divide by or take the logarithm of; another value replaces the result."""
    return xp.where(array == 0, xp.ones_like(array), array)


def ratio(xp: Namespace, numerator: Array, denominator: Array, absent: AbsentScore = nan) -> Array:
    """Return the values of `divide`, with `absent` for 0 / 0."""
    score = divide(xp, numerator, denominator)
    return replace_undefined(xp, score.values, absent, where=score.undefined)


def replace_undefined(xp: Namespace, values: Array, absent: AbsentScore, *, where: Array | None = None) -> Array:
    """Return values with nan, or the number `absent`, at the places `where` and where they are nan."""
    undefined = xp.isnan(values) if where is None else where | xp.isnan(values)
    # A Python number, because an array of nan would stop `jax.debug_nans` even if none of it is in the result.
    return xp.where(undefined, nan if isinstance(absent, str) else float(absent), values)


def mean_score(xp: Namespace, score: Score, absent: AbsentScore) -> Array | Score:
    """Return the mean of a score over the last axis; ``"skip"`` leaves out its undefined values."""
    if isinstance(absent, str) and absent == "skip":
        return mean_of_defined(xp, score.values, ~score.undefined)
    return xp.mean(replace_undefined(xp, score.values, absent, where=score.undefined), axis=-1)


def mean_of_defined(xp: Namespace, values: Array, defined: Array) -> Score:
    """Return the mean over the last axis of the values that are defined; undefined if none is."""
    total = xp.sum(xp.where(defined, values, xp.zeros_like(values)), axis=-1)
    return divide(xp, total, xp.sum(xp.astype(defined, values.dtype), axis=-1))


def square_root(xp: Namespace, array: Array) -> Array:
    """Return the square root, with a finite derivative at 0 instead of an infinite one."""
    positive = array > 0
    root = xp.sqrt(xp.where(positive, array, xp.ones_like(array)))
    # nan is not positive and stays nan.
    return xp.where(positive, root, array)


def take_classes(backend: Backend, array: Array, classes: Sequence[int] | None, *, axis: int = -1) -> Array:
    """Return the entries of some classes along an axis, in their order; None returns all."""
    if classes is None:
        return array
    listed = check_sequence("classes", classes, "class ids, or None for all")
    ids, count = [check_index("classes", label) for label in listed], array.shape[axis]
    if not ids or not all(0 <= label < count for label in ids):
        msg = f"`classes` must be ids of 0 .. {count - 1}, at least one; got {ids}."
        raise ValueError(msg)
    return backend.xp.take(array, backend.asarray(ids, dtype=backend.count_dtype(array), like=array), axis=axis)


def map_arrays(function: Callable[[Array], Array], statistic: Any) -> Any:
    """Return a statistic with a function applied to each of its arrays."""
    if isinstance(statistic, tuple):
        return type(statistic)(*(map_arrays(function, part) for part in statistic))
    return function(statistic)


def to_device(backend: Backend, values: Any, like: Array) -> Array:
    """Return results of the host as an array on the device of `like`: int64, uint64, or the widest floating dtype."""
    host = backend_of(values)
    with backend.enable_64_bits():
        if values.dtype == host.xp.uint64:
            dtype = backend.xp.uint64  # labels above 2^63
        elif host.xp.isdtype(values.dtype, "real floating"):
            dtype = backend.sum_dtype(like)
        else:
            dtype = backend.count_dtype(like)
        return backend.asarray(values, dtype=dtype, like=like)
