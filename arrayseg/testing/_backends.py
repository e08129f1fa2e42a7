"""Find the installed array libraries, and convert their arrays from and to NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from arrayseg._typing import Array, Namespace
from arrayseg.backends import backend_of
from arrayseg.backends.names import BACKENDS

__all__ = ["Library", "asarray", "installed", "to_numpy"]


@dataclass(frozen=True)
class Library:
    """An array library on one of its devices.

    Parameters
    ----------
    name : str
        The name on the command line and in tests: ``"numpy"``, ``"torch"``, ``"torch-cuda"``, ...
    xp : module
        The Array API namespace.
    device : object or None
        The device of the arrays; None means the library's default device.
    dtypes : tuple of str
        The floating dtypes of the library on the device.

    Examples
    --------
    >>> from arrayseg.testing import installed
    >>> installed(["numpy"])["numpy"].dtypes
    ('float64', 'float32', 'float16')
    """

    name: str
    xp: Namespace
    device: Any
    dtypes: tuple[str, ...]

    def asarray(self, values: Any, dtype: str | None = None) -> Array:
        """Return an array of this library, on its device."""
        return asarray(self.xp, values, dtype, device=self.device)


def asarray(xp: Namespace, values: Any, dtype: str | None = None, *, device: Any = None) -> Array:
    """Convert values to an array of a namespace.

    Parameters
    ----------
    xp : module
        The Array API namespace.
    values : array_like
        Anything that NumPy can read.
    dtype : str, optional
        The name of the dtype, such as ``"float16"`` or ``"bfloat16"``; by default the dtype of the values.
    device : object, optional
        A device of the library; by default the library's default device.

    Returns
    -------
    array
        A copy of the values, of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.testing import asarray
    >>> asarray(np, [[1, 2]], "float32")
    array([[1., 2.]], dtype=float32)
    """
    host = np.array(values)
    target = getattr(xp, host.dtype.name if dtype is None else dtype)
    array = xp.asarray(host) if device is None else xp.asarray(host, device=device)
    return xp.astype(array, target) if hasattr(xp, "astype") else array.astype(target)


def to_numpy(array: Array) -> np.ndarray[Any, Any]:
    """Copy an array of any library to NumPy; bfloat16, which NumPy lacks, becomes float32.

    Parameters
    ----------
    array : array
        An array on any device, with or without a graph.

    Returns
    -------
    numpy.ndarray
        The same values and shape.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.testing import to_numpy
    >>> to_numpy(np.float64(0.5))
    array(0.5)
    """
    backend = backend_of(array, "array")
    if "bfloat16" in str(array.dtype):
        array = backend.xp.astype(array, backend.xp.float32)
    return np.array(backend.to_numpy(array))


def installed(names: list[str] | tuple[str, ...] | None = None) -> dict[str, Library]:
    """Return the array libraries that this machine can run, by name.

    Parameters
    ----------
    names : sequence of str, optional
        Any of ``"numpy"``, ``"strict"``, ``"torch"``, ``"jax"``, ``"cupy"``, ``"torch-cuda"`` and ``"jax-cuda"``; by
        default all that are installed, except ``"strict"``.

    Returns
    -------
    dict of str to Library
        The libraries, in the order of the names.

    Raises
    ------
    ValueError
        If a name is none of these.
    ImportError
        If a named library is not installed, or has no device here.

    Examples
    --------
    >>> from arrayseg.testing import installed
    >>> list(installed(["numpy"]))
    ['numpy']
    """
    libraries = {}
    for name in names if names is not None else [name for name in BACKENDS if name != "strict"]:
        if name not in BACKENDS:
            msg = f"Unknown backend {name!r}. Choose one of: {', '.join(BACKENDS)}."
            raise ValueError(msg)
        library = _MAKERS[name]()
        if library is not None:
            libraries[name] = library
        elif names is not None:
            msg = f"Backend {name!r} cannot run here: the library is not installed, or it finds no device."
            raise ImportError(msg)
    return libraries


def _numpy() -> Library:
    import array_api_compat.numpy as xp

    return Library("numpy", xp, None, ("float64", "float32", "float16"))


def _strict() -> Library | None:
    if find_spec("array_api_strict") is None:
        return None
    import array_api_strict as xp

    # On devices other than its CPU, strict refuses implicit conversions to NumPy, as CuPy does.
    return Library("strict", xp, xp.Device("device1"), ("float64", "float32"))


def _torch() -> Library | None:
    if find_spec("torch") is None:
        return None
    import array_api_compat.torch as xp

    return Library("torch", xp, "cpu", ("float64", "float32", "float16", "bfloat16"))


def _torch_cuda() -> Library | None:
    if find_spec("torch") is None:
        return None
    import array_api_compat.torch as xp
    import torch

    if not torch.cuda.is_available():
        return None
    return Library("torch-cuda", xp, torch.device("cuda"), ("float64", "float32", "float16", "bfloat16"))


def _jax_on(platform: str, name: str) -> Library | None:
    if find_spec("jax") is None:
        return None
    import jax

    try:
        device = jax.devices(platform)[0]
    except RuntimeError:
        return None
    wide = ("float64",) if jax.config.jax_enable_x64 else ()
    return Library(name, jax.numpy, device, (*wide, "float32", "float16", "bfloat16"))


def _cupy() -> Library | None:
    if find_spec("cupy") is None:
        return None
    import cupy

    if not cupy.is_available():
        return None
    import array_api_compat.cupy as xp

    return Library("cupy", xp, None, ("float64", "float32", "float16"))


#: Functions that create each of `BACKENDS`.
_MAKERS: dict[str, Callable[[], Library | None]] = {
    "numpy": _numpy,
    "strict": _strict,
    "torch": _torch,
    "jax": lambda: _jax_on("cpu", "jax"),
    "cupy": _cupy,
    "torch-cuda": _torch_cuda,
    "jax-cuda": lambda: _jax_on("gpu", "jax-cuda"),
}
