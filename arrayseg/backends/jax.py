"""The JAX adapter: plain expressions, differentiated and compiled by JAX itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from arrayseg._typing import Array, DType
from arrayseg.backends.base import PlanLike, Result
from arrayseg.backends.blocks import Blocks, MakeSums
from arrayseg.backends.functions import Functions, log_sum_exp
from arrayseg.backends.shared_memory import SharingBackend, SharingCounts, SharingMasks

__all__ = ["JAX", "JaxBackend"]


#: From this number of images on, XLA reduces over an axis in the middle in parallel on a CPU.
MANY_IMAGES = 4


class JaxFunctions(Functions):
    """Elementary functions on JAX, with derivatives of their own."""

    has_softmax = True

    def softmax(self, scores: Array, /, *, axis: int) -> Array:
        return _softmax(scores, axis)

    def log_softmax(self, scores: Array, /, *, axis: int) -> Array:
        return _log_softmax(scores, axis)

    def subtract_max(self, scores: Array, /, *, axis: int) -> Array:
        # A derivative of the maximum would double the time of the gradient.
        return scores - jax.lax.stop_gradient(jnp.max(scores, axis=axis, keepdims=True))

    def sigmoid(self, scores: Array, /) -> Array:
        return _sigmoid(scores)

    def log_sigmoid(self, scores: Array, /) -> Array:
        return -_softplus(-scores)


class JaxBlocks(Blocks):
    """Blocks of JAX arrays."""

    # XLA moves a reshape through the operations after it. On a CPU it then sums the long rows of a single class one
    # number at a time, and copies them to another layout. Dice of 4 million binary logits took 54 ms instead of 17.
    # A barrier after the reshape prevents it.

    def as_block(self, array: Array, dtype: DType, /) -> Array:
        return jax.lax.optimization_barrier(array).astype(dtype)

    def over_classes(self, function: Callable[..., Array], /, *arrays: Array, last: bool) -> Array:
        # XLA reduces over the last axis in parallel, over an axis in the middle only from 4 images on. With fewer, such
        # as volumes, Dice took twice the time: 350 ms instead of 190 for two volumes of 128^3 voxels and 4 classes.
        if jax.default_backend() != "cpu" or not (last or arrays[0].shape[0] < MANY_IMAGES):
            return function(*arrays, axis=1)
        return jnp.moveaxis(function(*(jnp.moveaxis(array, 1, -1) for array in arrays), axis=-1), -1, 1)

    def sum_pixels(self, array: Array, /) -> Array:
        *lead, length = array.shape
        if lead[-1:] != [1]:
            return super().sum_pixels(array)
        rows = max((count for count in range(1, isqrt(length) + 1) if length % count == 0), default=1)
        matrix = jax.lax.optimization_barrier(jnp.reshape(array, (*lead, rows, length // rows)))
        return jnp.sum(matrix, axis=(-2, -1), dtype=self.adapter.sum_dtype(array))

    def with_digits(self, quick: MakeSums, is_lost: Callable[[list[Array]], Array], exact: MakeSums) -> list[Array]:
        # XLA computes each sum in a loop of its own. Dice of 19 classes took 44 ms with the exact sums, and takes 13.
        sums = quick()
        fixed = [jax.lax.stop_gradient(each) for each in sums]
        found = jax.lax.cond(is_lost(fixed), exact, lambda: fixed)
        return [each + jax.lax.stop_gradient(right - each) for each, right in zip(sums, found, strict=True)]


class JaxCounts(SharingCounts):
    """Counting on JAX, by NumPy in main memory."""

    def are_ids(self, ids: Array, high: int, /) -> bool:
        with self.adapter.reading():
            return super().are_ids(ids, high)

    def bincount(self, index: Array, /, *, length: int, weights: Array | None = None) -> Array:
        flat = None if weights is None else jnp.reshape(weights, (-1,))
        counts = jnp.bincount(jnp.reshape(index, (-1,)), weights=flat, length=length)
        return counts.astype(self.adapter.count_dtype(index)) if weights is None else counts


class JaxBackend(SharingBackend):
    """JAX on any device, eagerly or under its transforms."""

    has_autodiff = True

    def __init__(self) -> None:
        super().__init__(jnp)
        self.name = "JAX"
        self.functions = JaxFunctions(self)
        self.blocks = JaxBlocks(self)
        self.counts = JaxCounts(self)
        self.masks = SharingMasks(self)

    def device(self, array: Array, /) -> Any:
        # The device of an array on several devices is its sharding, which need not fit the shape of a small constant.
        # JAX moves an array that was created without a device to where it is needed.
        device = super().device(array)
        return None if isinstance(device, jax.sharding.Sharding) and self.is_concrete(array) else device

    def device_key(self, array: Array, /) -> Hashable | None:
        return frozenset(array.devices()) if self.is_concrete(array) else None

    def is_concrete(self, *arrays: Array | None) -> bool:
        return not any(isinstance(array, jax.core.Tracer) for array in arrays)

    def check_kind(self, array: Array, name: str, /) -> None:
        if not isinstance(array, jax.Array):
            remedy = f" Pass {name}.todense()." if hasattr(array, "todense") else ""
            msg = f"`{name}` must be a jax.Array; got {type(array).__module__}.{type(array).__qualname__}.{remedy}"
            raise TypeError(msg)

    def reading(self) -> AbstractContextManager[object]:
        context: AbstractContextManager[object] = jax.ensure_compile_time_eval()
        return context

    def conversion(self, name: str, like: str, /) -> str:
        return f"jax.numpy.asarray({name}, device={like}.sharding)"

    def asarray(self, values: Any, /, *, dtype: DType, like: Array) -> Array:
        return jnp.asarray(values, dtype=dtype)

    def to_numpy(self, array: Array, /) -> np.ndarray[Any, Any]:
        return np.asarray(array)

    def numpy_views(self, *arrays: Array | None) -> tuple[np.ndarray[Any, Any] | None, ...] | None:
        given = [array for array in arrays if array is not None]
        if any(device.platform != "cpu" for array in given for device in array.devices()):
            return None
        return tuple(None if array is None else np.asarray(array) for array in arrays)

    def from_numpy(self, array: np.ndarray[Any, Any], like: Array) -> Array:
        # Counts have another shape than the pixels, which the sharding of the pixels need not divide.
        same = array.shape == like.shape
        return jax.device_put(array, like.sharding if same else min(like.devices(), key=lambda device: device.id))

    def sum_dtype(self, array: Array, /) -> DType:
        return jnp.float64 if jax.config.jax_enable_x64 else jnp.float32

    def count_dtype(self, array: Array, /) -> DType:
        return jnp.int64 if jax.config.jax_enable_x64 else jnp.int32

    def enable_64_bits(self, *arrays: Array | None) -> AbstractContextManager[object]:
        # An int64 array created inside stays int64 outside, and adds exactly there.
        return jax.enable_x64(True) if self.is_concrete(*arrays) else nullcontext()

    def fixed_point(self, function: Callable[[Array], Array], value: Array, /) -> Array:
        def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
            following = function(state[0])
            return following, jnp.any(following != state[0])

        result: Array = jax.lax.while_loop(lambda state: state[1], step, (value, jnp.asarray(True)))[0]
        return result

    def stop_gradient(self, array: Array, /) -> Array:
        return jax.lax.stop_gradient(array)

    def uses_closed_form(self, *arrays: Array) -> bool:
        return False

    def attach(self, plan: PlanLike, /) -> Array:
        return plan.plain()

    def value_and_gradient(
        self, plan: PlanLike, function: Callable[[Array], Array], input: Array, /
    ) -> tuple[Array, Array]:
        return self.differentiate(function, input)

    def differentiate(self, function: Callable[[Array], Array], array: Array, /) -> tuple[Array, Array]:
        value, gradient = jax.value_and_grad(function)(array)
        return value, gradient

    def synchronize(self, *arrays: Array) -> None:
        jax.block_until_ready(arrays)

    def measure_peak(self, function: Callable[[], Result], /) -> tuple[Result, int | None]:
        # The allocators of devices keep statistics, the one of the CPU keeps none. The peak cannot be reset, so its
        # growth is measured.
        device = jax.devices()[0]
        before = device.memory_stats()
        result = jax.block_until_ready(function())
        after = device.memory_stats()
        if before is None or after is None:
            return result, None
        return result, max(0, after["peak_bytes_in_use"] - before["bytes_in_use"])


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(scores: Array, axis: int) -> Array:
    """Return the softmax along an axis; its derivative sums to 0 along the axis."""
    exponentials = jnp.exp(scores - jnp.max(scores, axis=axis, keepdims=True))
    return exponentials / jnp.sum(exponentials, axis=axis, keepdims=True)


@_softmax.defjvp
def _(axis: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    probabilities, (tangent,) = _softmax(*primals, axis), tangents
    step = probabilities * (tangent - jnp.sum(probabilities * tangent, axis=axis, keepdims=True))
    return probabilities, step - probabilities * jnp.sum(step, axis=axis, keepdims=True)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _log_softmax(scores: Array, axis: int) -> Array:
    """Return the logarithm of the softmax; its derivative is corrected like the derivative of `_softmax`."""
    shifted = scores - jnp.max(scores, axis=axis, keepdims=True)
    return shifted - log_sum_exp(jnp, shifted, axis=axis)


@_log_softmax.defjvp
def _(axis: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    logarithms, (step,) = _log_softmax(*primals, axis), tangents
    probabilities = jnp.exp(logarithms)
    for _ in range(2):
        step = step - jnp.sum(probabilities * step, axis=axis, keepdims=True)
    return logarithms, step


@jax.custom_jvp
def _sigmoid(scores: Array) -> Array:
    """Return 1 / (1 + exp(-z)). JAX's own derivative, s (1 - s), loses all digits if s is close to 1."""
    return jax.nn.sigmoid(scores)


_sigmoid.defjvps(lambda tangent, probability, scores: tangent * (probability * _sigmoid(-scores)))


@jax.custom_jvp
def _softplus(scores: Array) -> Array:
    """Return log(1 + exp(z)). Autodiff through its four steps would take twice the time."""
    return jnp.maximum(scores, 0) + jnp.log1p(jnp.exp(-jnp.abs(scores)))


_softplus.defjvps(lambda tangent, _, scores: tangent * _sigmoid(scores))


JAX = JaxBackend()
