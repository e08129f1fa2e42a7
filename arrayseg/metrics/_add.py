"""Add statistics."""

from __future__ import annotations

from functools import reduce
from typing import Any, TypeVar

from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import common_backend

__all__ = ["add"]

Statistic = TypeVar("Statistic")


@raises_here
def add(first: Statistic, /, *others: Statistic) -> Statistic:
    r"""Return the sum of statistics: of batches, files, processes or hosts.

    .. math:: s = s_1 + s_2 + \dots

    Parameters
    ----------
    first : array or NamedTuple
        A statistic, as the counting functions return it: an array, or a NamedTuple of arrays (also nested).
    *others : array or NamedTuple
        More statistics of the same shapes and the same library.

    Returns
    -------
    array or NamedTuple
        The sum, with the structure of `first`. Sums of integers are int64 and exact past 2^31. This holds for JAX
        without ``jax_enable_x64`` too (see `confusion_matrix`), where ``+`` of two int32 arrays would wrap around.

    Raises
    ------
    ValueError
        If the shapes differ: batches with different numbers of classes cannot be added.
    TypeError
        If the structures differ, libraries are mixed, or the statistic does not add, as distances and detections.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> metrics.add(np.asarray([[2**31 - 1, 0]], dtype=np.int32), np.asarray([[1, 2]], dtype=np.int32))
    array([[2147483648,          2]])
    """
    return reduce(_add_two, others, first)


def _add_two(a: Any, b: Any) -> Any:
    """Return the sum of two statistics of one structure."""
    # Adding NumPy arrays of shape () gives NumPy scalars, so only the types of tuples are compared.
    if type(a) is not type(b) and (isinstance(a, tuple) or isinstance(b, tuple)):
        msg = f"Statistics to add must have one structure; got {type(a).__name__} and {type(b).__name__}."
        raise TypeError(msg)
    if hasattr(a, "merged"):
        # A list of values, whose length differs between parts.
        return a.merged(b)
    if isinstance(a, tuple):
        return type(a)(*map(_add_two, a, b))
    return _add_arrays(a, b)


def _add_arrays(a: Array, b: Array) -> Array:
    """Return the sum of two arrays of one shape; integers are added as 64-bit integers."""
    backend = common_backend(lazy=True, first=a, other=b)
    if tuple(a.shape) != tuple(b.shape):
        msg = f"Statistics to add must have one shape; got {tuple(a.shape)} and {tuple(b.shape)}."
        raise ValueError(msg)
    if not backend.xp.isdtype(a.dtype, "integral"):
        return a + b
    with backend.enable_64_bits(a, b):
        dtype = backend.count_dtype(a)
        return backend.xp.astype(a, dtype, copy=False) + backend.xp.astype(b, dtype, copy=False)
