"""What the entries of a contest are given, and what they hand back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from arrayseg._typing import Array
from arrayseg.testing import installed

__all__ = [
    "HALVES",
    "SIZES",
    "Call",
    "Contest",
    "Entry",
    "Scene",
    "available",
    "jax_array",
    "one_hot",
    "torch_array",
    "torch_logits",
    "torch_step",
]

Call = Callable[[], Any]
Entry = Callable[[Any], Call]
"""From a scene, which those with inputs of their own do not look at, to the call."""

HALVES = ("float16", "bfloat16")
#: (N, C, *spatial) by name.
SIZES: dict[str, tuple[int, ...]] = {
    "2-D": (4, 19, 512, 512),
    "classes": (2, 150, 512, 512),
    "binary": (16, 1, 512, 512),
    "3-D": (2, 4, 128, 128, 128),
    "small": (1, 4, 64, 64),
}


@dataclass(frozen=True)
class Scene:
    """Random logits, and labels in blocks as large as objects are, or pixel by pixel."""

    logits: np.ndarray[Any, Any]
    ids: np.ndarray[Any, Any]
    dtype: str
    device: str = "cpu"
    """Where the entries put their arrays: `cpu` or `cuda`."""

    @classmethod
    def draw(cls, shape: tuple[int, ...], dtype: str = "float32", *, blocky: bool = True, device: str = "cpu") -> Scene:
        """A scene of logits `shape` and ids without the class axis."""
        generator = np.random.default_rng(0)
        images, classes, *spatial = shape
        side = 16 if blocky else 1
        ids = generator.integers(0, max(classes, 2), size=(images, *(-(-length // side) for length in spatial)))
        for axis, length in enumerate(spatial, start=1):
            ids = np.repeat(ids, side, axis=axis).take(range(length), axis=axis)
        logits = generator.standard_normal(shape, dtype=np.float64 if dtype == "float64" else np.float32)
        # NumPy has no bfloat16; the libraries that do convert float32.
        return cls(logits.astype("float16") if dtype == "float16" else logits, ids, dtype, device)

    @property
    def binary(self) -> bool:
        """Whether there is a single channel."""
        return bool(self.logits.shape[1] == 1)

    @property
    def input_bytes(self) -> int:
        """Of the logits, in the dtype of the contest."""
        return self.logits.size * {"float64": 8, "float32": 4}.get(self.dtype, 2)

    @property
    def limit_bytes(self) -> int:
        """What value and gradient must read and write: the logits, the ids, the gradient."""
        return 2 * self.input_bytes + self.ids.nbytes

    def corner(self) -> Scene:
        """A corner of one image, for peers that take minutes on the whole batch."""
        spatial = tuple(slice(min(length, 128 if self.ids.ndim == 3 else 32)) for length in self.ids.shape[1:])
        logits, ids = self.logits[(slice(1), slice(None), *spatial)], self.ids[(slice(1), *spatial)]
        return replace(self, logits=np.ascontiguousarray(logits), ids=np.ascontiguousarray(ids))

    def two_classes(self) -> Scene:
        """The first two channels, for peers that take no more."""
        return replace(self, logits=np.ascontiguousarray(self.logits[:, :2]), ids=self.ids % 2)


@dataclass(frozen=True)
class Contest:
    """A function on a backend, and its rivals by name."""

    name: str
    backend: str
    ours: Entry
    rivals: dict[str, Entry]
    own_size: str | None = None
    """What it is measured on, where that is not the scene."""
    limit_bytes: int | None = None
    """Of its own inputs and results; None for those of the scene."""
    part: Literal["corner", "two classes"] | None = None
    """Of the scene, where the rival takes minutes on the whole, or cannot."""
    has_peak: bool = True
    """Whether memory is measured; torch's record of a rival's million small operations takes gigabytes itself."""
    tolerance: float | None = None
    """How far the results may be apart, relatively; None for what the dtype allows."""
    classes_last: bool = False
    """Whether the rivals, and not ours, give the gradient with its classes last."""
    device: str = "cpu"


@lru_cache
def available(device: str) -> tuple[str, ...]:
    """The backends that can compute on a device."""
    if device == "cpu":
        return tuple(name for name in ("numpy", "torch", "jax") if find_spec(name))
    names = {"torch-cuda": "torch", "jax-cuda": "jax", "cupy": "cupy"}
    return tuple(names[name] for name in installed() if name in names)


def one_hot(scene: Scene) -> np.ndarray[Any, Any]:
    """The ids as ones and zeros, in the shape and dtype of the logits."""
    if scene.binary:
        return scene.ids[:, None].astype(scene.logits.dtype)
    return np.moveaxis(np.eye(scene.logits.shape[1], dtype=scene.logits.dtype)[scene.ids], -1, 1)


def torch_array(array: np.ndarray[Any, Any], device: str = "cpu") -> Array:
    """An array as torch has it, on a device."""
    import torch

    return torch.from_numpy(array).to(device)


def jax_array(array: np.ndarray[Any, Any], device: str = "cpu", dtype: str | None = None) -> Array:
    """An array as JAX has it, on a device."""
    import jax

    host = array if dtype is None else array.astype(jax.numpy.dtype(dtype))
    return jax.device_put(host, jax.devices(device)[0])


def torch_logits(scene: Scene, *, classes_last: bool = False) -> Array:
    """The logits as a leaf of torch's graph."""
    import torch

    logits = np.ascontiguousarray(np.moveaxis(scene.logits, 1, -1)) if classes_last else scene.logits
    return torch_array(logits, scene.device).to(getattr(torch, scene.dtype)).requires_grad_()


def torch_step(loss: Callable[[Any, Any], Any], logits: Any, target: Any) -> Call:
    """Forward and backward, the gradient new each time as after `zero_grad`."""

    def step() -> tuple[Any, Any]:
        logits.grad = None
        value = loss(logits, target)
        value.backward()
        return value.detach(), logits.grad

    return step
