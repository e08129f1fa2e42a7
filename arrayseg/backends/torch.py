"""The PyTorch adapter: an autograd function around the closed form, or the plain expression for compilers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.torch
import numpy as np
import torch

from arrayseg._typing import Array, DType
from arrayseg.backends._torch_private import is_fake, is_forward_ad_active, is_transformed, memory_changes
from arrayseg.backends.base import PlanLike, Result, slowest_first
from arrayseg.backends.blocks import Blocks
from arrayseg.backends.functions import Functions
from arrayseg.backends.numpy import NUMPY
from arrayseg.backends.shared_memory import SharingBackend, SharingCounts, SharingMasks
from arrayseg.backends.sorting import Sorting

__all__ = ["TORCH", "TorchBackend"]


class TorchFunctions(Functions):
    """Elementary functions on PyTorch."""

    def sigmoid(self, scores: Array, /) -> Array:
        if self.adapter.is_concrete(scores) and not scores.requires_grad:
            return torch.sigmoid(scores)
        # The derivative of torch.sigmoid is s (1 - s), which loses all digits if s is close to 1. This one keeps them.
        positive = scores >= 0
        less = torch.sigmoid(torch.where(positive, -scores, scores))
        return torch.where(positive, 1 - less, less)


class TorchBlocks(Blocks):
    """Blocks of PyTorch tensors."""

    def multiply_into(self, array: Array, factor: Array, out: Array, /) -> Array:
        return torch.mul(array, factor, out=out)


class TorchCounts(SharingCounts):
    """Counting on PyTorch, by NumPy in main memory."""

    def are_ids(self, ids: Array, high: int, /) -> bool:
        # One pass of NumPy over int64 takes half the time of two passes of torch.
        if _is_on_host(ids):
            return NUMPY.counts.are_ids(ids.numpy(), high)
        return super().are_ids(ids.to(torch.int64) if ids.dtype in UNSIGNED else ids, high)

    def as_bits(self, values: Array, /) -> Array | None:
        if not _is_on_host(values):
            return super().as_bits(values)
        bits = NUMPY.counts.as_bits(values.numpy())
        return None if bits is None else torch.from_numpy(bits)

    def bincount(self, index: Array, /, *, length: int, weights: Array | None = None) -> Array:
        # The shape of torch.bincount depends on the data, so transforms get scatter_add.
        flat = torch.reshape(index, (-1,))
        if weights is None and self.adapter.is_concrete(index):
            return torch.bincount(flat, minlength=length)
        ones = torch.ones_like(flat, dtype=torch.int64) if weights is None else torch.reshape(weights, (-1,))
        return torch.zeros(length, dtype=ones.dtype, device=flat.device).scatter_add(0, flat.to(torch.int64), ones)


class TorchSorting(Sorting):
    """Sorting on PyTorch."""

    def place(self, values: Array, order: Array, /) -> Array:
        return torch.empty_like(values).scatter_(-1, order, values)


class TorchBackend(SharingBackend):
    """PyTorch on any device, eagerly, under torch.compile and under torch.func."""

    has_autodiff = True

    def __init__(self) -> None:
        super().__init__(array_api_compat.torch)
        self.name = "PyTorch"
        self.functions = TorchFunctions(self)
        self.blocks = TorchBlocks(self)
        self.counts = TorchCounts(self)
        self.sorting = TorchSorting(self)
        self.masks = SharingMasks(self)

    def device(self, array: Array, /) -> torch.device:
        device: torch.device = array.device
        return device

    def is_concrete(self, *arrays: Array | None) -> bool:
        if torch.compiler.is_compiling() or is_transformed(torch) or torch.jit.is_tracing():
            return False
        return all(map(_is_read, arrays))

    def check_kind(self, array: Array, name: str, /) -> None:
        if torch.compiler.is_compiling():
            return
        if not isinstance(array, torch.Tensor):
            msg = f"`{name}` must be a tensor; got {type(array).__module__}.{type(array).__qualname__}."
            raise TypeError(msg)
        remedy = None
        if isinstance(array, torch.masked.MaskedTensor):
            remedy = f"Pass {name}.get_data(), and the pixels that count as mask={name}.get_mask()"
        elif array.is_nested:
            remedy = f"Pass torch.nested.to_padded_tensor({name}, 0), and the pixels that count as `mask`"
        elif array.is_quantized:
            remedy = f"Pass {name}.dequantize()"
        elif array.layout is not torch.strided:
            remedy = f"Pass {name}.to_dense()"
        if remedy is not None:
            msg = f"`{name}` is a masked, nested, quantized or sparse tensor, not a plain one. {remedy}."
            raise TypeError(msg)

    def unwrap(self, array: Array, /) -> Array:
        if torch.compiler.is_compiling() or type(array) in PLAIN_TYPES or not _is_read(array):
            return array
        return array.as_subclass(torch.Tensor)

    def conversion(self, name: str, like: str, /) -> str:
        return f"torch.asarray({name}, device={like}.device)"

    def asarray(self, values: Any, /, *, dtype: DType, like: Array) -> Array:
        return torch.asarray(values, dtype=dtype, device=like.device)

    def to_numpy(self, array: Array, /) -> np.ndarray[Any, Any]:
        on_host = array.detach().cpu()
        if on_host.dtype == torch.bfloat16:  # NumPy has no such dtype; float32 holds the same values
            on_host = on_host.float()
        host: np.ndarray[Any, Any] = on_host.numpy()
        return host

    def numpy_views(self, *arrays: Array | None) -> tuple[np.ndarray[Any, Any] | None, ...] | None:
        if not _is_on_host(*(array for array in arrays if array is not None)):
            return None
        return tuple(None if array is None else array.detach().numpy() for array in arrays)

    def from_numpy(self, array: np.ndarray[Any, Any], like: Array) -> Array:
        return torch.from_numpy(array)

    def memory_order(self, array: Array, /) -> tuple[int, ...]:
        return slowest_first(array.stride())

    def sum_dtype(self, array: Array, /) -> DType:
        return torch.float32 if array.device.type == "mps" else torch.float64

    def count_dtype(self, array: Array, /) -> DType:
        return torch.int64

    def stop_gradient(self, array: Array, /) -> Array:
        return array.detach()

    def uses_closed_form(self, *arrays: Array) -> bool:
        return self.is_concrete(*arrays) and not (is_forward_ad_active(torch) and any(map(_has_tangent, arrays)))

    def attach(self, plan: PlanLike, /) -> Array:
        arrays = plan.arrays
        if not self.uses_closed_form(*arrays):
            return plan.plain()
        is_differentiated, *others = [array.requires_grad for array in arrays]
        if not torch.is_grad_enabled() or not (is_differentiated or any(others)):
            return _value(plan)
        if plan.is_scalar and not any(others):
            return _ClosedForm.apply(arrays[0], plan)
        return plan.plain()

    def value_and_gradient(
        self, plan: PlanLike, function: Callable[[Array], Array], input: Array, /
    ) -> tuple[Array, Array]:
        closed = self.uses_closed_form(*plan.arrays)
        return _value_and_gradient(plan) if closed else self.differentiate(function, input)

    def block_bytes(self, array: Array, /) -> int:
        return 256_000_000 if array.is_cuda else 1_700_000

    def differentiate(self, function: Callable[[Array], Array], array: Array, /) -> tuple[Array, Array]:
        gradient, value = torch.func.grad_and_value(function)(array)
        return value, gradient

    def synchronize(self, *arrays: Array) -> None:
        if any(array.is_cuda for array in arrays):
            torch.cuda.synchronize()

    def measure_peak(self, function: Callable[[], Result], /) -> tuple[Result, int | None]:
        if not torch.cuda.is_available():
            return _cpu_peak(function)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = function()
        torch.cuda.synchronize()
        return result, torch.cuda.max_memory_allocated() - before


PLAIN_TYPES = (torch.Tensor, torch.nn.Parameter)

#: PyTorch has no minimum of these dtypes on a GPU. A number that int64 cannot hold becomes negative.
UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)

#: NumPy has no bfloat16, and converts float16 one number at a time.
HALVES = (torch.float16, torch.bfloat16)


def _is_on_host(*arrays: torch.Tensor) -> bool:
    """Return whether NumPy can read the memory of the tensors: on the CPU, and none wraps others."""
    return all(array.is_cpu and type(array) in PLAIN_TYPES for array in arrays)


def _is_read(array: torch.Tensor | None) -> bool:
    """Return whether a tensor, if there is one, has values. Tracers and meta tensors have none."""
    if array is None:
        return True
    if array.is_meta:
        return False
    if type(array).__torch_dispatch__ is torch.Tensor.__torch_dispatch__:
        return True
    return not is_fake(array)


def _shared_with_numpy(plan: PlanLike) -> PlanLike | None:
    """Return the plan for NumPy views of the same memory; None if NumPy cannot read it.

    On a CPU, NumPy works on several blocks at a time, while torch spreads each small operation over the processors: 47
    instead of 82 ms for the cross entropy of 19 classes of a megapixel on 2 cores.
    """
    arrays = plan.arrays
    if _is_on_host(*arrays) and all(array.dtype not in HALVES for array in arrays):
        return plan.converted(NUMPY, lambda array: array.detach().numpy())
    return None


def _value(plan: PlanLike) -> Array:
    """Return the value of a plan, computed by NumPy if it can read the memory."""
    shared = _shared_with_numpy(plan)
    with torch.no_grad():
        return plan.value() if shared is None else torch.as_tensor(shared.value())


def _value_and_gradient(plan: PlanLike, *, wide: bool = False) -> tuple[Array, Array]:
    """Return the value and gradient of a plan, computed by NumPy if it can read the memory."""
    shared = _shared_with_numpy(plan)
    with torch.no_grad():
        if shared is None:
            return plan.value_and_gradient(wide=wide)
        value, gradient = shared.value_and_gradient(wide=wide)
        return torch.as_tensor(value), torch.from_numpy(gradient)


def _has_tangent(array: Array) -> bool:
    """Return whether forward-mode AD, which is active, differentiates a tensor."""
    return torch.autograd.forward_ad.unpack_dual(array).tangent is not None


def _cpu_peak(function: Callable[[], Result]) -> tuple[Result, int]:
    """Return the result of a call, and the sum of the peaks of the CPU allocators of PyTorch and NumPy.

    The two peaks need not coincide, so the sum may exceed the true peak, but never falls below it.
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        result, shared = NUMPY.measure_peak(function)
    held = peak = 0
    for change in memory_changes(profiler):
        held += change
        peak = max(peak, held)
    return result, peak + (shared or 0)


class _ClosedForm(torch.autograd.Function):
    """The closed form as an autograd function.

    The forward pass computes the gradient. The first backward pass takes this buffer, any later one computes it again.
    Handing the buffer out twice, or scaling it while it is kept, would give wrong gradients. A backward pass that is
    itself differentiated (grad mode is on inside it) uses the plain expression, because the buffer has no second
    derivatives. The gradient of a half-precision input is rounded only after it is scaled, so that gradient scaling
    works as intended.
    """

    @staticmethod
    def forward(ctx: Any, input: Array, plan: PlanLike) -> Array:
        value, ctx.gradient = _value_and_gradient(plan, wide=True)
        ctx.plan = plan
        # PyTorch raises if one of these arrays is overwritten before the gradient is computed.
        ctx.save_for_backward(*plan.arrays)
        return value

    @staticmethod
    def backward(ctx: Any, cotangent: Array) -> tuple[Array, None]:
        input, *_ = ctx.saved_tensors
        if torch.is_grad_enabled():
            (gradient,) = torch.autograd.grad(ctx.plan.plain(), input, cotangent, create_graph=True)
            return gradient, None
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            _, gradient = _value_and_gradient(ctx.plan, wide=True)
        # On a CPU, reading one number saves a pass over the gradient. On a GPU it would wait for the device.
        if cotangent.device.type == "cpu" and cotangent.item() == 1:
            return gradient.to(input.dtype), None
        return gradient.mul_(cotangent).to(input.dtype), None


TORCH = TorchBackend()
