"""What arrayseg's users call, on each backend, as the contests and the curves of growth time it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from arrayseg import losses, metrics, value_and_grad
from arrayseg.cli.contests.scene import Call, Scene, jax_array, torch_array, torch_logits, torch_step

__all__ = ["confusion_matrix", "value_and_gradient"]


def value_and_gradient(name: str, backend: str, scene: Scene, *, classes_last: bool = False) -> Call:
    """A loss with its gradient; in JAX compiled, in torch forward and backward."""
    options: dict[str, Any] = {"activation": "sigmoid"} if scene.binary else {}
    loss = partial(getattr(losses, name), **options, **({"class_axis": -1} if classes_last else {}))
    if backend == "torch":
        return torch_step(loss, torch_logits(scene, classes_last=classes_last), torch_array(scene.ids, scene.device))
    step = value_and_grad(loss)
    logits = np.ascontiguousarray(np.moveaxis(scene.logits, 1, -1)) if classes_last else scene.logits
    if backend == "jax":
        import jax

        arrays = jax_array(logits, scene.device, scene.dtype), jax_array(scene.ids, scene.device)
        return partial(jax.jit(step), *arrays)
    if backend == "cupy":
        import cupy

        return partial(step, cupy.asarray(logits), cupy.asarray(scene.ids))
    return partial(step, logits, scene.ids)


def confusion_matrix(backend: str, scene: Scene) -> Call:
    """The confusion matrix of the labels, as bytes, and of what the greatest logit says."""
    target = scene.ids.astype(np.uint8)
    prediction = scene.logits.argmax(axis=1).astype(np.uint8)
    count = partial(metrics.confusion_matrix, num_classes=scene.logits.shape[1])
    if backend == "torch":
        return partial(count, torch_array(prediction, scene.device), torch_array(target, scene.device))
    if backend == "jax":
        import jax

        return partial(jax.jit(count), jax_array(prediction, scene.device), jax_array(target, scene.device))
    if backend == "cupy":
        import cupy

        return partial(count, cupy.asarray(prediction), cupy.asarray(target))
    return partial(count, prediction, target)
