"""Adapters for what the Array API standard lacks, found from the arrays themselves."""

from __future__ import annotations

import sys
from math import isnan

from array_api_compat import is_dask_array

from arrayseg._typing import Array
from arrayseg.backends.base import Backend
from arrayseg.backends.numpy import NUMPY
from arrayseg.backends.registry import generic_adapter, not_an_array, own_adapter

__all__ = ["Backend", "backend_of", "common_backend", "host", "is_compiling"]

#: The arguments, besides the first, that must not be None.
NEEDED = ("input", "prediction", "target", "scores", "probabilities", "distance", "other")


def backend_of(array: Array, /, name: str = "input", *, lazy: bool = False) -> Backend:
    """Return the adapter of the library that owns an array; Dask's for callers that count by chunks (`lazy`)."""
    backend = own_adapter(array, name)
    if backend is not None:
        return backend
    if is_dask_array(array):
        return _dask_adapter(array, name, lazy)
    return generic_adapter(array, name)


def _dask_adapter(array: Array, name: str, lazy: bool) -> Backend:
    """Return the Dask adapter if the caller counts by chunks (`lazy`) and the shape is known."""
    if not lazy:
        msg = (
            f"`{name}` is a Dask array, which this function does not support. Call it on `{name}.compute()` if that "
            "fits in memory, or on the chunks, with map_blocks."
        )
        raise TypeError(msg)
    if any(isnan(length) for length in array.shape):
        msg = (
            f"`{name}` is a Dask array of unknown shape {array.shape}, such as a selection by a mask. Pass "
            f"the whole array and the mask, or call `{name}.compute_chunk_sizes()`, which computes it."
        )
        raise ValueError(msg)
    from arrayseg.backends.dask import DASK

    return DASK


def common_backend(*, lazy: bool = False, **arrays: Array | None) -> Backend:
    """Return the adapter that all the named arrays share; mixing libraries or devices raises."""
    for name in (next(iter(arrays)), *NEEDED):
        if name in arrays and arrays[name] is None:
            raise TypeError(not_an_array(None, name))
    given = [(name, array) for name, array in arrays.items() if array is not None]
    first_name, first = given[0]
    backend = backend_of(first, first_name, lazy=lazy)
    for name, array in given[1:]:
        other = backend_of(array, name, lazy=lazy)
        if other.name != backend.name:
            msg = (
                f"`{first_name}` is an array of {backend.name} and `{name}` of {other.name}. "
                f"Convert `{name}` first, for example with {backend.conversion(name, first_name)}."
            )
            raise TypeError(msg)
        device, other_device = backend.device_key(first), backend.device_key(array)
        if None not in (device, other_device) and device != other_device:
            msg = (
                f"`{first_name}` is on device {device} and `{name}` on {other_device}. "
                f"Move them to one device first, for example with {backend.conversion(name, first_name)}."
            )
            raise ValueError(msg)
    return backend


def host() -> Backend:
    """Return the NumPy adapter, for work that always happens in main memory."""
    return NUMPY


def is_compiling() -> bool:
    """Return whether torch.compile is tracing the caller's Python code."""
    if "torch" not in sys.modules:
        return False
    import torch

    compiling: bool = torch.compiler.is_compiling()
    return compiling
