"""Move label maps to the backend and device that the user names."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np

from arrayseg._typing import Array

__all__ = ["BackendName", "Placer", "placer"]

Placer = Callable[[np.ndarray[Any, Any]], Array]


class BackendName(StrEnum):
    """The libraries that can count pixels."""

    NUMPY = "numpy"
    TORCH = "torch"
    JAX = "jax"
    CUPY = "cupy"


def placer(backend: BackendName, device: str | None) -> Placer:
    """Return a function that moves a NumPy array to a device (`cpu`, `cuda`, `cuda:1`, ...) of a backend.

    Raise the library's own error if the library is not installed or lacks the device.
    """
    kind, _, index = (device or "").partition(":")
    match backend:
        case BackendName.NUMPY:
            if device not in (None, "cpu"):
                msg = f"NumPy works only on the CPU, not on {device!r}; choose --backend torch, jax or cupy."
                raise ValueError(msg)
            return np.asarray
        case BackendName.TORCH:
            import torch

            torch.empty(0, device=device)
            return partial(torch.asarray, device=device)
        case BackendName.JAX:
            import jax

            chosen = jax.devices(kind)[int(index or 0)] if device else None
            return partial(jax.device_put, device=chosen)
        case BackendName.CUPY:
            import cupy

            cupy.cuda.Device(int(index or 0)).use()
            return partial(cupy.asarray)
