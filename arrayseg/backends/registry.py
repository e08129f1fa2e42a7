"""The adapters of the libraries, found by the class of an array."""

from __future__ import annotations

from array_api_compat import array_namespace, is_array_api_obj

from arrayseg._typing import Array
from arrayseg.backends.base import Backend
from arrayseg.backends.numpy import NUMPY

__all__ = ["adapter_of", "generic_adapter", "not_an_array", "own_adapter"]

#: The modules of array classes, for a quick answer. The bases of all other classes are searched too.
LIBRARIES = ("numpy", "torch", "jax", "jaxlib", "cupy")

#: How to convert objects of other packages to an array, by the top-level module of their class.
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


# Written so that torch.compile traces it without a graph break or a warning: names instead of isinstance with modules
# that may not be installed, literal imports inside the branches, no table of adapters and no lru_cache.
def own_adapter(array: Array, name: str) -> Backend | None:
    """Return the adapter of the array's library, or None if the library has none of its own."""
    own = type(array).__module__.partition(".")[0]
    owners = {own} if own in LIBRARIES else _owners(array)
    backend: Backend
    if "torch" in owners:
        from arrayseg.backends.torch import TORCH as backend
    elif "numpy" in owners:
        backend = NUMPY
    elif "jax" in owners or "jaxlib" in owners:
        from arrayseg.backends.jax import JAX as backend
    elif "cupy" in owners:
        from arrayseg.backends.cupy import CUPY as backend
    else:
        return None
    backend.check_kind(array, name)
    return backend


def generic_adapter(array: Array, name: str) -> Backend:
    """Return the adapter of another library that follows the Array API standard."""
    if not is_array_api_obj(array):
        raise TypeError(not_an_array(array, name))
    return Backend(array_namespace(array))


def adapter_of(array: Array, name: str = "array") -> Backend:
    """Return the adapter of the library that owns an array or a chunk."""
    return own_adapter(array, name) or generic_adapter(array, name)


def _owners(array: object) -> set[str]:
    """Return the top-level modules of an array's class and of its bases."""
    return {base.__module__.partition(".")[0] for base in type(array).__mro__}


def not_an_array(value: object, name: str) -> str:
    """Return the error message for a value that is not an array, with the conversion that fits it."""
    owners = _owners(value)
    conversion = next((form for owner, form in CONVERSIONS.items() if owner in owners), "numpy.asarray({})")
    got = "None" if value is None else f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    remedy = "" if value is None else f" Convert it first, for example with {conversion.format(name)}."
    return f"`{name}` must be an array of NumPy, CuPy, PyTorch, JAX or another Array API library; got {got}.{remedy}"
