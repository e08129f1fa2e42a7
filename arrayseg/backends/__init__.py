"""Adapters for what the Array API standard lacks, found from the arrays themselves."""

from __future__ import annotations

import sys
from math import isnan

from array_api_compat import array_namespace, is_array_api_obj, is_dask_array

from arrayseg._typing import Array
from arrayseg.backends.base import Backend
from arrayseg.backends.numpy import NUMPY

__all__ = ["Backend", "backend_of", "common_backend", "host", "is_compiling"]


#: What has no arrays of its own, or arrays of another kind, by the module of its class: how it becomes an array.
CONVERSIONS = {
    "PIL": "numpy.asarray({})",
    "SimpleITK": "SimpleITK.GetArrayFromImage({})",
    "h5py": "{}[...]",
    "netCDF4": "{}[...].data",
    "nibabel": "numpy.asarray({}.dataobj)",
    "pandas": "{}.to_numpy()",
    "polars": "{}.to_numpy()",
    "scipy": "{}.toarray()",
    "tensorflow": "{}.numpy()",
    "xarray": "{}.values",
    "zarr": "{}[...]",
}

#: The arrays that a call cannot do without, besides the first one it names.
NEEDED = ("input", "prediction", "target", "scores", "probabilities", "distance", "other")


def _owners(array: Array) -> set[str]:
    """Return the top-level modules of an array's class and of its bases."""
    return {base.__module__.partition(".")[0] for base in type(array).__mro__}


# Written so that torch.compile traces it without a graph break or a warning: names instead of isinstance with modules
# that may not be there, imports spelled out inside the branches, no registry of strings and no lru_cache.
def backend_of(array: Array, /, name: str = "input", *, lazy: bool = False) -> Backend:
    """Return the adapter of the library that owns an array; Dask's is for callers that count by chunks (`lazy`)."""
    backend = _adapter(_owners(array))
    if backend is not None:
        backend.check_kind(array, name)
        return backend
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
    raise TypeError(_no_array(array, name))


def _adapter(owners: set[str]) -> Backend | None:
    """Return the adapter of one of the libraries that have their own, or None."""
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
    return None


def _no_array(value: object, name: str) -> str:
    """Return the sentence about a value that is no array, with the conversion that fits it."""
    owners = _owners(value)
    conversion = next((form for owner, form in CONVERSIONS.items() if owner in owners), "numpy.asarray({})")
    got = "None" if value is None else f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    remedy = "" if value is None else f" Convert it first, for example with {conversion.format(name)}."
    return f"`{name}` must be an array of NumPy, CuPy, PyTorch, JAX or another Array API library; got {got}.{remedy}"


def common_backend(*, lazy: bool = False, **arrays: Array | None) -> Backend:
    """Return the adapter that all the named arrays share; mixing libraries or devices raises."""
    for name in (next(iter(arrays)), *NEEDED):
        if name in arrays and arrays[name] is None:
            raise TypeError(_no_array(None, name))
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
                f"Move them to one device first, for example with {backend.transfer(name, first_name)}."
            )
            raise ValueError(msg)
    return backend


def host() -> Backend:
    """Return the NumPy adapter, for work that always happens in main memory."""
    return NUMPY


def is_compiling() -> bool:
    """Return whether torch.compile is tracing the caller's Python code, which takes part of the language."""
    if "torch" not in sys.modules:
        return False
    import torch

    compiling: bool = torch.compiler.is_compiling()
    return compiling
