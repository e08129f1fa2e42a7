"""The calls of arrayseg that a user makes on each backend."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from benchmarks.inputs import Call, Inputs, jax_array, torch_array, torch_logits, torch_step

from arrayseg import losses, metrics, value_and_grad


def value_and_gradient(name: str, backend: str, inputs: Inputs, *, classes_last: bool = False) -> Call:
    """Return the call of a loss with its gradient: compiled in JAX, forward and backward in torch."""
    options: dict[str, Any] = {"activation": "sigmoid"} if inputs.binary else {}
    if classes_last:
        options["class_axis"] = -1
        inputs = replace(inputs, logits=np.ascontiguousarray(np.moveaxis(inputs.logits, 1, -1)))
    loss = partial(getattr(losses, name), **options)
    if backend == "torch":
        return torch_step(loss, torch_logits(inputs), torch_array(inputs.ids, inputs.device))
    step = value_and_grad(loss)
    if backend == "jax":
        import jax

        arrays = jax_array(inputs.logits, inputs.device, inputs.dtype), jax_array(inputs.ids, inputs.device)
        return partial(jax.jit(step), *arrays)
    if backend == "cupy":
        import cupy

        return partial(step, cupy.asarray(inputs.logits), cupy.asarray(inputs.ids))
    return partial(step, inputs.logits, inputs.ids)


def confusion_matrix(backend: str, inputs: Inputs) -> Call:
    """Return the call that counts the labels, as bytes, against the class of the largest logit."""
    target = inputs.ids.astype(np.uint8)
    prediction = inputs.logits.argmax(axis=1).astype(np.uint8)
    count = partial(metrics.confusion_matrix, num_classes=inputs.logits.shape[1])
    if backend == "torch":
        return partial(count, torch_array(prediction, inputs.device), torch_array(target, inputs.device))
    if backend == "jax":
        import jax

        return partial(jax.jit(count), jax_array(prediction, inputs.device), jax_array(target, inputs.device))
    if backend == "cupy":
        import cupy

        return partial(count, cupy.asarray(prediction), cupy.asarray(target))
    return partial(count, prediction, target)
