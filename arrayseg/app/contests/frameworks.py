"""What `arrayseg bench` compares: each function beside the form that its users would otherwise call.

A contest names a function, a backend and its rivals. Every entry takes a `Scene`, makes its arrays, and returns the
call to be timed, so that making the arrays costs nobody anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from arrayseg import losses, metrics, value_and_grad
from arrayseg._typing import Array

__all__ = ["SIZES", "Contest", "Scene", "contests"]

Call = Callable[[], Any]
Entry = Callable[["Scene"], Call]

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

    @classmethod
    def draw(cls, shape: tuple[int, ...], dtype: str = "float32", *, blocky: bool = True, seed: int = 0) -> Scene:
        """A scene of logits `shape` and ids without the class axis."""
        generator = np.random.default_rng(seed)
        images, classes, *spatial = shape
        side = 16 if blocky else 1
        ids = generator.integers(0, max(classes, 2), size=(images, *(-(-length // side) for length in spatial)))
        for axis, length in enumerate(spatial, start=1):
            ids = np.repeat(ids, side, axis=axis).take(range(length), axis=axis)
        return cls(generator.normal(size=shape).astype(dtype), ids)

    @property
    def binary(self) -> bool:
        """Whether there is a single channel."""
        return bool(self.logits.shape[1] == 1)


@dataclass(frozen=True)
class Contest:
    """A function on a backend, and its rivals by name."""

    name: str
    backend: str
    ours: Entry
    rivals: dict[str, Entry]


def contests() -> Iterator[Contest]:
    """The contests that the installed libraries allow."""
    for name in ("cross_entropy", "focal", "dice", "tversky"):
        yield Contest(name, "numpy", partial(_ours_numpy, name), {"one-shot NumPy": partial(_one_shot, name)})
        if find_spec("torch"):
            rival = "F.cross_entropy" if name == "cross_entropy" else "plain torch"
            yield Contest(name, "torch", partial(_ours_torch, name), {rival: partial(_plain_torch, name)})
        if find_spec("jax"):
            yield Contest(name, "jax", partial(_ours_jax, name), {"plain jax.jit": partial(_plain_jax, name)})
    rivals: dict[str, Entry] = {"np.bincount": _bincount}
    if find_spec("sklearn"):
        rivals["scikit-learn"] = _scikit_learn
    yield Contest("confusion_matrix", "numpy", _ours_confusion, rivals)


def _options(scene: Scene) -> dict[str, Any]:
    return {"activation": "sigmoid"} if scene.binary else {}


# Ours.


def _ours_numpy(name: str, scene: Scene) -> Call:
    return partial(value_and_grad(getattr(losses, name)), scene.logits, scene.ids, **_options(scene))


def _ours_torch(name: str, scene: Scene) -> Call:
    loss = partial(getattr(losses, name), **_options(scene))
    return _torch_step(loss, scene)


def _ours_jax(name: str, scene: Scene) -> Call:
    import jax

    step = jax.jit(partial(value_and_grad(getattr(losses, name)), **_options(scene)))
    return partial(step, jax.numpy.asarray(scene.logits), jax.numpy.asarray(scene.ids))


def _torch_step(loss: Callable[[Any, Any], Any], scene: Scene) -> Call:
    """Forward and backward, the gradient new each time as after `zero_grad`."""
    import torch

    logits, ids = torch.from_numpy(scene.logits).requires_grad_(), torch.from_numpy(scene.ids)

    def step() -> Any:
        logits.grad = None
        loss(logits, ids).backward()
        return logits.grad

    return step


# Theirs: the framework's own, or what its users write.


def _one_shot(name: str, scene: Scene) -> Call:
    """Whole-array NumPy with a one-hot target."""
    hot_of = partial(_numpy_hot, scene)

    def step() -> tuple[Any, Any]:
        logits = scene.logits
        if scene.binary:
            p = 1 / (1 + np.exp(-logits))
            t = hot_of()
        else:
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            p = exponentials / exponentials.sum(axis=1, keepdims=True)
            t = hot_of()
        if name in ("cross_entropy", "focal"):
            return _one_shot_pixel(name, p, t, scene)
        return _one_shot_region(name, p, t, scene)

    return step


def _numpy_hot(scene: Scene) -> np.ndarray[Any, Any]:
    if scene.binary:
        return scene.ids[:, None].astype(scene.logits.dtype)
    return np.moveaxis(np.eye(scene.logits.shape[1], dtype=scene.logits.dtype)[scene.ids], -1, 1)


def _one_shot_pixel(name: str, p: Array, t: Array, scene: Scene) -> tuple[Any, Any]:
    count = p.size if scene.binary else scene.ids.size
    at = np.where(t > 0, p, 1 - p) if scene.binary else (p * t).sum(axis=1, keepdims=True)
    at = np.maximum(at, np.finfo(p.dtype).tiny)
    gamma = 0.0 if name == "cross_entropy" else 2.0
    value = -((1 - at) ** gamma * np.log(at)).sum() / count
    slope = (gamma * (1 - at) ** max(gamma - 1, 0) * at * np.log(at) if gamma else 0) - (1 - at) ** gamma
    return value, slope * (t - p) / count


def _one_shot_region(name: str, p: Array, t: Array, scene: Scene) -> tuple[Any, Any]:
    axes = tuple(range(2, p.ndim))
    hit, predicted, wanted = ((a).sum(axis=axes, keepdims=True) for a in (p * t, p, t))
    numerator, denominator = 2 * hit + 1e-5, predicted + wanted + 1e-5
    value = 1 - (numerator / denominator).mean()
    slope = (numerator / denominator**2 - 2 * t / denominator) / hit.size
    share = p * slope
    return value, share * (1 - p) if scene.binary else share - p * share.sum(axis=1, keepdims=True)


def _plain_torch(name: str, scene: Scene) -> Call:
    import torch
    from torch.nn import functional

    classes = scene.logits.shape[1]

    def hot_of(ids: Any) -> Any:
        return ids[:, None].float() if scene.binary else functional.one_hot(ids, classes).movedim(-1, 1).float()

    def cross_entropy(logits: Any, ids: Any) -> Any:
        if scene.binary:
            return functional.binary_cross_entropy_with_logits(logits, hot_of(ids))
        return functional.cross_entropy(logits, ids)

    def focal(logits: Any, ids: Any) -> Any:
        if scene.binary:
            losses_ = functional.binary_cross_entropy_with_logits(logits, hot_of(ids), reduction="none")
        else:
            losses_ = functional.cross_entropy(logits, ids, reduction="none")
        return ((1 - torch.exp(-losses_)) ** 2 * losses_).mean()

    def dice(logits: Any, ids: Any) -> Any:
        p = logits.sigmoid() if scene.binary else logits.softmax(1)
        t = hot_of(ids)
        axes = tuple(range(2, p.ndim))
        return 1 - ((2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)).mean()

    forms = {"cross_entropy": cross_entropy, "focal": focal, "dice": dice, "tversky": dice}
    return _torch_step(forms[name], scene)


def _plain_jax(name: str, scene: Scene) -> Call:
    import jax
    from jax import numpy as jnp

    classes = scene.logits.shape[1]

    def pixel(logits: Any, ids: Any) -> Any:
        if scene.binary:
            at = jax.nn.log_sigmoid(jnp.where(ids[:, None] > 0, logits, -logits))
        else:
            at = jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), ids[:, None], axis=1)
        return -((1 - jnp.exp(at)) ** 2 * at).mean() if name == "focal" else -at.mean()

    def region(logits: Any, ids: Any) -> Any:
        p = jax.nn.sigmoid(logits) if scene.binary else jax.nn.softmax(logits, axis=1)
        t = ids[:, None].astype(p.dtype) if scene.binary else jax.nn.one_hot(ids, classes, axis=1, dtype=p.dtype)
        axes = tuple(range(2, p.ndim))
        return 1 - ((2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)).mean()

    step = jax.jit(jax.value_and_grad(pixel if name in ("cross_entropy", "focal") else region))
    return partial(step, jnp.asarray(scene.logits), jnp.asarray(scene.ids))


# The confusion matrix: 16.8 million pixels of uint8, 19 classes, whatever the scene.


def _maps() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(0)
    target = generator.integers(0, 19, size=(8, 64, 128), dtype=np.uint8).repeat(16, axis=1).repeat(16, axis=2)
    noise = generator.random(target.shape, dtype=np.float32) < 0.1
    return np.where(noise, (target + 1) % 19, target).astype(np.uint8), target


def _ours_confusion(scene: Scene) -> Call:
    prediction, target = _maps()
    return partial(metrics.confusion_matrix, prediction, target, num_classes=19)


def _bincount(scene: Scene) -> Call:
    prediction, target = _maps()

    def step() -> Any:
        joint = target.astype(np.int64) * 19 + prediction
        return np.bincount(joint.reshape(-1), minlength=361).reshape(19, 19)

    return step


def _scikit_learn(scene: Scene) -> Call:
    from sklearn.metrics import confusion_matrix

    prediction, target = _maps()
    return partial(confusion_matrix, target.reshape(-1), prediction.reshape(-1), labels=range(19))
