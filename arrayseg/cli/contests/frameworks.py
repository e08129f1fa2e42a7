"""The losses beside the framework's own, or the form that its users write."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from arrayseg._typing import Array
from arrayseg.cli.contests.ours import value_and_gradient
from arrayseg.cli.contests.scene import (
    HALVES,
    Call,
    Contest,
    Entry,
    Scene,
    available,
    jax_array,
    one_hot,
    torch_array,
    torch_logits,
    torch_step,
)

__all__ = ["contests"]


LOSSES = ("cross_entropy", "focal", "dice", "tversky")


def contests(scene: Scene) -> Iterator[Contest]:
    """The contests that the installed frameworks allow on the scene's device."""
    for name in LOSSES:
        for backend in available(scene.device):
            ours, rivals = partial(value_and_gradient, name, backend), _rivals(name, backend, scene)
            yield Contest(name, backend, ours, rivals, device=scene.device)


def _rivals(name: str, backend: str, scene: Scene) -> dict[str, Entry]:
    """What the users of a framework would otherwise call there."""
    if backend == "numpy":
        return {"one-shot NumPy": partial(_one_shot, name)}
    if backend == "jax":
        return {"plain jax.jit": partial(_plain_jax, name)}
    if backend == "cupy":  # nobody else has gradients for CuPy
        has_torch = "torch" in available(scene.device)
        return {"arrayseg, torch": partial(value_and_gradient, name, "torch")} if has_torch else {}
    framework = "F.binary_cross_entropy_with_logits" if scene.binary else "F.cross_entropy"
    rivals: dict[str, Entry] = {framework if name == "cross_entropy" else "plain torch": partial(_plain_torch, name)}
    if scene.device != "cpu":
        rivals["torch.compile"] = partial(_plain_torch, name, compiled=True)
    return rivals


def _one_shot(name: str, scene: Scene) -> Call:
    """Whole-array NumPy with a one-hot target; of float16 in float32, as its sums would overflow."""
    wide = np.promote_types(scene.logits.dtype, np.float32)

    def step() -> tuple[Any, Any]:
        logits, t = (array.astype(wide, copy=False) for array in (scene.logits, one_hot(scene)))
        if scene.binary:
            p = 1 / (1 + np.exp(-logits))
        else:
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            p = exponentials / exponentials.sum(axis=1, keepdims=True)
        form = _one_shot_pixel if name in ("cross_entropy", "focal") else _one_shot_region
        value, gradient = form(name, p, t, scene)
        return value, gradient.astype(scene.logits.dtype, copy=False)

    return step


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


def _plain_torch(name: str, scene: Scene, *, compiled: bool = False) -> Call:
    import torch
    from torch.nn import functional

    classes = scene.logits.shape[1]

    def hot_of(ids: Any) -> Any:
        hot = ids[:, None] if scene.binary else functional.one_hot(ids, classes).movedim(-1, 1)
        return hot.to(getattr(torch, scene.dtype))

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
        if scene.dtype in HALVES:  # as torch.autocast has it
            logits = logits.float()
        p = logits.sigmoid() if scene.binary else logits.softmax(1)
        t = hot_of(ids).to(p.dtype)
        axes = tuple(range(2, p.ndim))
        return 1 - ((2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)).mean()

    forms = {"cross_entropy": cross_entropy, "focal": focal, "dice": dice, "tversky": dice}
    form = torch.compile(forms[name]) if compiled else forms[name]
    return torch_step(form, torch_logits(scene), torch_array(scene.ids, scene.device))


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
        if scene.dtype in HALVES:
            logits = logits.astype(jnp.float32)
        p = jax.nn.sigmoid(logits) if scene.binary else jax.nn.softmax(logits, axis=1)
        t = ids[:, None].astype(p.dtype) if scene.binary else jax.nn.one_hot(ids, classes, axis=1, dtype=p.dtype)
        axes = tuple(range(2, p.ndim))
        return 1 - ((2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)).mean()

    step = jax.jit(jax.value_and_grad(pixel if name in ("cross_entropy", "focal") else region))
    return partial(step, jax_array(scene.logits, scene.device, scene.dtype), jax_array(scene.ids, scene.device))
