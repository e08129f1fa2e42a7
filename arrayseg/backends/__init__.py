"""Adapters for what the Array API standard lacks, found from the arrays themselves."""

from __future__ import annotations

from math import isnan

from array_api_compat import array_namespace, is_array_api_obj, is_dask_array

from arrayseg._typing import Array
from arrayseg.backends.numpy import NUMPY
from arrayseg.backends.protocol import Backend

__all__ = ["Backend", "backend_of", "common_backend", "host"]


def _owners(array: Array) -> set[str]:
    """The top-level modules of an array's class and of its bases."""
    return {base.__module__.partition(".")[0] for base in type(array).__mro__}


# Written so that torch.compile traces it without a graph break or a warning: names instead of isinstance with modules
# that may not be there, imports spelled out inside the branches, no registry of strings and no lru_cache.
def backend_of(array: Array, /, name: str = "input", *, lazy: bool = False) -> Backend:
    """The adapter of the library that owns an array; Dask's is for callers that count chunk by chunk (`lazy`)."""
    owners = _owners(array)
    if "torch" in owners:
        from arrayseg.backends.torch import TORCH

        return TORCH
    if "numpy" in owners:
        return NUMPY
    if "jax" in owners or "jaxlib" in owners:
        from arrayseg.backends.jax import JAX

        return JAX
    if "cupy" in owners:
        from arrayseg.backends.cupy import CUPY

        return CUPY
    if is_dask_array(array):
        if lazy and not any(isnan(length) for length in array.shape):
            from arrayseg.backends.dask import DASK

            return DASK
        if lazy:
            msg = (
                f"`{name}` is a Dask array of unknown shape {array.shape}, as a selection by a mask leaves it. Pass "
                f"the whole array and the mask, or call `{name}.compute_chunk_sizes()`, which computes it."
            )
            raise ValueError(msg)
        msg = (
            f"`{name}` is a Dask array, which this function does not take; call it on `{name}.compute()` where that "
            "fits in memory, or on the chunks, with map_blocks."
        )
        raise TypeError(msg)
    if is_array_api_obj(array):
        return Backend(array_namespace(array))
    msg = (
        f"`{name}` must be an array of NumPy, CuPy, PyTorch, JAX or another library of the Array API standard; "
        f"got {type(array).__name__}. Convert it first, for example with numpy.asarray."
    )
    raise TypeError(msg)


def common_backend(*, lazy: bool = False, **arrays: Array | None) -> Backend:
    """The adapter that all the named arrays share; mixing libraries or devices raises."""
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
    """The NumPy adapter, for what is worked in main memory whatever the arrays are."""
    return NUMPY
