"""Addition of statistics, whatever they are made of."""

from __future__ import annotations

from functools import reduce
from typing import Any, TypeVar

from arrayseg._typing import Array
from arrayseg.backends import common_backend

__all__ = ["add"]

Statistic = TypeVar("Statistic")


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
    if type(a) is not type(b):
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
    with backend.wide(a, b):
        dtype = backend.count_dtype(a)
        return backend.xp.astype(a, dtype, copy=False) + backend.xp.astype(b, dtype, copy=False)
