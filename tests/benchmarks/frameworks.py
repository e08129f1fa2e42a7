"""Compare losses to the framework's own function, or to the plain form that its users write."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from benchmarks.comparison import Build, Comparison
from benchmarks.inputs import (
    HALVES,
    Call,
    Inputs,
    available,
    jax_array,
    one_hot,
    torch_array,
    torch_logits,
    torch_step,
)
from benchmarks.own import value_and_gradient

LOSSES = ("cross_entropy", "focal", "dice", "tversky")


def comparisons(inputs: Inputs) -> Iterator[Comparison]:
    """Yield the comparisons with the frameworks that are installed for the device."""
    for name in LOSSES:
        for backend in available(inputs.device):
            own, peers = partial(value_and_gradient, name, backend), _peers(name, backend, inputs)
            yield Comparison(name, backend, own, peers, device=inputs.device)


def _peers(name: str, backend: str, inputs: Inputs) -> dict[str, Build]:
    """Return what users of a framework would otherwise call."""
    if backend == "numpy":
        return {"one-shot NumPy": partial(_one_shot, name)}
    if backend == "jax":
        return {"plain jax.jit": partial(_plain_jax, name)}
    if backend == "cupy":  # nobody else has gradients for CuPy
        has_torch = "torch" in available(inputs.device)
        return {"arrayseg, torch": partial(value_and_gradient, name, "torch")} if has_torch else {}
    framework = "F.binary_cross_entropy_with_logits" if inputs.binary else "F.cross_entropy"
    peers: dict[str, Build] = {framework if name == "cross_entropy" else "plain torch": partial(_plain_torch, name)}
    if inputs.device != "cpu":
        peers["torch.compile"] = partial(_plain_torch, name, compiled=True)
    return peers


def _one_shot(name: str, inputs: Inputs) -> Call:
    """Return whole-array NumPy with a one-hot target; float16 is computed in float32, because sums would overflow."""
    wide = np.promote_types(inputs.logits.dtype, np.float32)

    def step() -> tuple[Any, Any]:
        logits, t = (array.astype(wide, copy=False) for array in (inputs.logits, one_hot(inputs)))
        if inputs.binary:
            p = 1 / (1 + np.exp(-logits))
        else:
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            p = exponentials / exponentials.sum(axis=1, keepdims=True)
        form = _one_shot_pixel if name in ("cross_entropy", "focal") else _one_shot_region
        value, gradient = form(name, p, t, inputs)
        return value, gradient.astype(inputs.logits.dtype, copy=False)

    return step


def _one_shot_pixel(name: str, p: Any, t: Any, inputs: Inputs) -> tuple[Any, Any]:
    count = p.size if inputs.binary else inputs.ids.size
    at = np.where(t > 0, p, 1 - p) if inputs.binary else (p * t).sum(axis=1, keepdims=True)
    at = np.maximum(at, np.finfo(p.dtype).tiny)
    gamma = 0.0 if name == "cross_entropy" else 2.0
    value = -((1 - at) ** gamma * np.log(at)).sum() / count
    slope = (gamma * (1 - at) ** max(gamma - 1, 0) * at * np.log(at) if gamma else 0) - (1 - at) ** gamma
    return value, slope * (t - p) / count


def _one_shot_region(name: str, p: Any, t: Any, inputs: Inputs) -> tuple[Any, Any]:
    axes = tuple(range(2, p.ndim))
    hit, predicted, positive = (a.sum(axis=axes, keepdims=True) for a in (p * t, p, t))
    numerator, denominator = 2 * hit + 1e-5, predicted + positive + 1e-5
    value = 1 - (numerator / denominator).mean()
    slope = (numerator / denominator**2 - 2 * t / denominator) / hit.size
    share = p * slope
    return value, share * (1 - p) if inputs.binary else share - p * share.sum(axis=1, keepdims=True)


def _plain_torch(name: str, inputs: Inputs, *, compiled: bool = False) -> Call:
    import torch
    from torch.nn import functional

    classes = inputs.logits.shape[1]

    def hot_of(ids: Any) -> Any:
        hot = ids[:, None] if inputs.binary else functional.one_hot(ids, classes).movedim(-1, 1)
        return hot.to(getattr(torch, inputs.dtype))

    def cross_entropy(logits: Any, ids: Any) -> Any:
        if inputs.binary:
            return functional.binary_cross_entropy_with_logits(logits, hot_of(ids))
        return functional.cross_entropy(logits, ids)

    def focal(logits: Any, ids: Any) -> Any:
        if inputs.binary:
            losses_ = functional.binary_cross_entropy_with_logits(logits, hot_of(ids), reduction="none")
        else:
            losses_ = functional.cross_entropy(logits, ids, reduction="none")
        return ((1 - torch.exp(-losses_)) ** 2 * losses_).mean()

    def dice(logits: Any, ids: Any) -> Any:
        if inputs.dtype in HALVES:  # as torch.autocast does
            logits = logits.float()
        p = logits.sigmoid() if inputs.binary else logits.softmax(1)
        t = hot_of(ids).to(p.dtype)
        axes = tuple(range(2, p.ndim))
        return 1 - ((2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)).mean()

    forms = {"cross_entropy": cross_entropy, "focal": focal, "dice": dice, "tversky": dice}
    form = torch.compile(forms[name]) if compiled else forms[name]
    return torch_step(form, torch_logits(inputs), torch_array(inputs.ids, inputs.device))


def _plain_jax(name: str, inputs: Inputs) -> Call:
    import jax
    from jax import numpy as jnp

    classes = inputs.logits.shape[1]

    def pixel(logits: Any, ids: Any) -> Any:
        if inputs.binary:
            at = jax.nn.log_sigmoid(jnp.where(ids[:, None] > 0, logits, -logits))
        else:
            at = jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), ids[:, None], axis=1)
        return -((1 - jnp.exp(at)) ** 2 * at).mean() if name == "focal" else -at.mean()

    def region(logits: Any, ids: Any) -> Any:
        if inputs.dtype in HALVES:
            logits = logits.astype(jnp.float32)
        p = jax.nn.sigmoid(logits) if inputs.binary else jax.nn.softmax(logits, axis=1)
        t = ids[:, None].astype(p.dtype) if inputs.binary else jax.nn.one_hot(ids, classes, axis=1, dtype=p.dtype)
        axes = tuple(range(2, p.ndim))
        return 1 - ((2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)).mean()

    step = jax.jit(jax.value_and_grad(pixel if name in ("cross_entropy", "focal") else region))
    return partial(step, jax_array(inputs.logits, inputs.device, inputs.dtype), jax_array(inputs.ids, inputs.device))
