"""The inputs of the benchmark: random logits with labels, and their arrays on each backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from arrayseg.testing import installed

Array = Any
Call = Callable[[], Any]
HALVES = ("float16", "bfloat16")
#: Shapes of the logits (N, C, *spatial), by name.
SIZES: dict[str, tuple[int, ...]] = {
    "2-D": (4, 19, 512, 512),
    "classes": (2, 150, 512, 512),
    "binary": (16, 1, 512, 512),
    "3-D": (2, 4, 128, 128, 128),
    "small": (1, 4, 64, 64),
}


@dataclass(frozen=True)
class Inputs:
    """Random logits, and labels in blocks as large as objects are, or pixel by pixel."""

    logits: np.ndarray[Any, Any]
    ids: np.ndarray[Any, Any]
    dtype: str
    device: str = "cpu"
    """The device of the arrays that are made of them: `cpu` or `cuda`."""

    @classmethod
    def draw(
        cls, shape: tuple[int, ...], dtype: str = "float32", *, blocky: bool = True, device: str = "cpu"
    ) -> Inputs:
        """Return inputs with logits of a shape and ids without the class axis."""
        generator = np.random.default_rng(0)
        images, classes, *spatial = shape
        side = 16 if blocky else 1
        ids = generator.integers(0, max(classes, 2), size=(images, *(-(-length // side) for length in spatial)))
        for axis, length in enumerate(spatial, start=1):
            ids = np.repeat(ids, side, axis=axis).take(range(length), axis=axis)
        logits = generator.standard_normal(shape, dtype=np.float64 if dtype == "float64" else np.float32)
        # NumPy has no bfloat16; the libraries that have it convert float32.
        return cls(logits.astype("float16") if dtype == "float16" else logits, ids, dtype, device)

    @property
    def binary(self) -> bool:
        """Whether there is a single channel."""
        return bool(self.logits.shape[1] == 1)

    @property
    def input_bytes(self) -> int:
        """The bytes of the logits in the dtype of the run."""
        return self.logits.size * {"float64": 8, "float32": 4}.get(self.dtype, 2)

    @property
    def limit_bytes(self) -> int:
        """The bytes that value and gradient must read and write: the logits, the ids, the gradient."""
        return 2 * self.input_bytes + self.ids.nbytes

    def corner(self) -> Inputs:
        """Return a corner of one image, for peers that take minutes on the whole batch."""
        spatial = tuple(slice(min(length, 128 if self.ids.ndim == 3 else 32)) for length in self.ids.shape[1:])
        logits, ids = self.logits[(slice(1), slice(None), *spatial)], self.ids[(slice(1), *spatial)]
        return replace(self, logits=np.ascontiguousarray(logits), ids=np.ascontiguousarray(ids))

    def two_classes(self) -> Inputs:
        """Return the first two channels, for peers that take only two."""
        return replace(self, logits=np.ascontiguousarray(self.logits[:, :2]), ids=self.ids % 2)


@lru_cache
def available(device: str) -> tuple[str, ...]:
    """Return the backends that can compute on a device."""
    if device == "cpu":
        return tuple(name for name in ("numpy", "torch", "jax") if find_spec(name))
    names = {"torch-cuda": "torch", "jax-cuda": "jax", "cupy": "cupy"}
    return tuple(names[name] for name in installed() if name in names)


def has_dtype(backend: str, dtype: str) -> bool:
    """Return whether a backend has a dtype."""
    return not (backend in ("numpy", "cupy") and dtype == "bfloat16")


def one_hot(inputs: Inputs) -> np.ndarray[Any, Any]:
    """Return the ids as ones and zeros, in the shape and dtype of the logits."""
    if inputs.binary:
        return inputs.ids[:, None].astype(inputs.logits.dtype)
    return np.moveaxis(np.eye(inputs.logits.shape[1], dtype=inputs.logits.dtype)[inputs.ids], -1, 1)


def torch_array(array: np.ndarray[Any, Any], device: str = "cpu") -> Array:
    """Return an array as a tensor on a device."""
    import torch

    return torch.from_numpy(array).to(device)


def jax_array(array: np.ndarray[Any, Any], device: str = "cpu", dtype: str | None = None) -> Array:
    """Return an array as a JAX array on a device."""
    import jax

    host = array if dtype is None else array.astype(jax.numpy.dtype(dtype))
    return jax.device_put(host, jax.devices(device)[0])


def torch_logits(inputs: Inputs) -> Array:
    """Return the logits as a leaf tensor that requires a gradient."""
    import torch

    return torch_array(inputs.logits, inputs.device).to(getattr(torch, inputs.dtype)).requires_grad_()


def torch_step(loss: Callable[[Any, Any], Any], logits: Any, target: Any) -> Call:
    """Return a call of the forward and backward pass, with a new gradient each time as after `zero_grad`."""

    def step() -> tuple[Any, Any]:
        logits.grad = None
        value = loss(logits, target)
        value.backward()
        return value.detach(), logits.grad

    return step
