"""Addition of statistics, and the entry of the functions that compute a score from one."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import common_backend

__all__ = ["add", "computed_from"]

Statistic = TypeVar("Statistic")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def computed_from(
    counting: str, *kinds: type, or_array: bool = False
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorate a function of one statistic, so that two masks get a sentence with the two calls to make.

    `counting` is the call that counts, as the sentence shows it. `kinds` are the NamedTuples that the function takes;
    without any, or with `or_array`, it takes an array of counts.
    """
    or_array = or_array or not kinds
    named = " or ".join(kind.__name__ for kind in kinds)
    wanted = " or ".join([f"be {named}"] * bool(kinds) + ["hold pixel counts"] * or_array)

    def takes(statistic: object) -> bool:
        return isinstance(statistic, kinds) or (or_array and _may_hold_counts(statistic))

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        parameters = signature(function).parameters.values()
        name, first = function.__name__, next(iter(parameters)).name
        most = sum(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)

        @raises_here
        @wraps(function)
        def compute(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
            statistic = arguments[0] if arguments else options.get(first)
            if len(arguments) > most:
                fault = f"{name} takes {most} positional argument(s) and options by keyword; got {len(arguments)}"
            elif (arguments or first in options) and not takes(statistic):
                fault = f"`{first}` must {wanted}; got {_described(statistic)}"
            else:
                return function(*arguments, **options)
            msg = f"{fault}. To score two masks, count first: metrics.{name}(metrics.{counting})."
            raise TypeError(msg)

        return compute

    return decorate


def _may_hold_counts(statistic: object) -> bool:
    """Whether an argument may be an array of counts; a boolean array is a mask."""
    return not isinstance(statistic, tuple) and "bool" not in str(getattr(statistic, "dtype", ""))


def _described(statistic: object) -> str:
    if hasattr(statistic, "shape") and hasattr(statistic, "dtype"):
        return f"an array of shape {tuple(statistic.shape)} and dtype {statistic.dtype}"
    return type(statistic).__name__


@raises_here
def add(first: Statistic, /, *others: Statistic) -> Statistic:
    r"""The sum of statistics: of batches, files, processes or hosts.

    .. math:: s = s_1 + s_2 + \dots

    Parameters
    ----------
    first, *others
        Arrays of one shape, or NamedTuples of arrays (also nested), as the counting functions return them. They may be
        arrays of any backend, but of one.

    Returns
    -------
    Array or NamedTuple
        Of the structure of `first`. Integers are added, and come back, in int64: exact past 2^31, on JAX without
        ``jax_enable_x64`` too (see `confusion_matrix`), where ``+`` of two int32 arrays would wrap.

    Raises
    ------
    ValueError
        If the shapes differ; sums of batches with different numbers of classes have no meaning.
    TypeError
        If the structures differ or libraries are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.add(np.asarray([[2**31 - 1, 0]], dtype=np.int32), np.asarray([[1, 2]], dtype=np.int32))
    array([[2147483648,          2]])
    """
    return reduce(_add_two, others, first)


def _add_two(a: Any, b: Any) -> Any:
    # Sums of NumPy's arrays of shape () are its scalars, so only the types of tuples are compared.
    if type(a) is not type(b) and (isinstance(a, tuple) or isinstance(b, tuple)):
        msg = f"Statistics to add must have one structure; got {type(a).__name__} and {type(b).__name__}."
        raise TypeError(msg)
    if hasattr(a, "merged"):
        # A list of what occurs, which is of another length in each part.
        return a.merged(b)
    if isinstance(a, tuple):
        return type(a)(*map(_add_two, a, b))
    return _add_arrays(a, b)


def _add_arrays(a: Array, b: Array) -> Array:
    backend = common_backend(lazy=True, first=a, other=b)
    if tuple(a.shape) != tuple(b.shape):
        msg = f"Statistics to add must have one shape; got {tuple(a.shape)} and {tuple(b.shape)}."
        raise ValueError(msg)
    if not backend.xp.isdtype(a.dtype, "integral"):
        return a + b
    with backend.enable_64_bits(a, b):
        dtype = backend.count_dtype(a)
        return backend.xp.astype(a, dtype, copy=False) + backend.xp.astype(b, dtype, copy=False)
