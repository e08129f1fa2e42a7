"""The CuPy adapter: closed forms on the device, in large blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import array_api_compat.cupy
import cupy
import numpy as np

from arrayseg._typing import Array, DType
from arrayseg.backends.base import Backend, Result, slowest_first
from arrayseg.backends.counts import Counts
from arrayseg.backends.masks import Masks
from arrayseg.backends.sorting import Sorting

__all__ = ["CUPY", "CupyBackend"]


class CupyCounts(Counts):
    """Counting on CuPy."""

    def bincount(self, index: Array, /, *, length: int, weights: Array | None = None) -> Array:
        if index.size == 0:  # before CuPy 14, bincount raises for an empty array
            return cupy.zeros(length, dtype=cupy.int64 if weights is None else weights.dtype)
        counts = cupy.bincount(
            cupy.reshape(index, (-1,)),
            weights=None if weights is None else cupy.reshape(weights, (-1,)),
            minlength=length,
        )
        return counts.astype(cupy.int64 if weights is None else weights.dtype, copy=False)


class CupySorting(Sorting):
    """Sorting on CuPy."""

    def place(self, values: Array, order: Array, /) -> Array:
        # `put_along_axis` exists from CuPy 14 on.
        rows = cupy.reshape(order, (prod(order.shape[:-1]), order.shape[-1]))  # also for no pixels
        placed = cupy.empty(rows.shape, dtype=values.dtype)
        placed[cupy.arange(rows.shape[0])[:, None], rows] = cupy.reshape(values, rows.shape)
        return cupy.reshape(placed, values.shape)


class CupyMasks(Masks):
    """Operations on masks by cupyx."""

    def distance_transform(self, mask: Array, /, *, spacing: Sequence[float]) -> Array:
        from cupyx.scipy import ndimage

        if len(spacing) not in {2, 3}:
            return super().distance_transform(mask, spacing=spacing)
        distances = cupy.full(mask.shape, cupy.inf)
        # The parallel banding algorithm defines no distance if nothing is False, and has no batch axes.
        for image in np.ndindex(mask.shape[: mask.ndim - len(spacing)]):
            if not mask[image].all():
                distances[image] = ndimage.distance_transform_edt(
                    mask[image], sampling=tuple(spacing), float64_distances=True
                )
        return distances

    def connected_components(self, mask: Array, /, *, connectivity: int) -> Array:
        from cupyx.scipy import ndimage

        if mask.size == 0:
            return cupy.zeros(mask.shape, dtype=cupy.int32)
        neighbors = ndimage.generate_binary_structure(mask.ndim, connectivity)
        return ndimage.label(mask, structure=neighbors)[0].astype(cupy.int32, copy=False)


class CupyBackend(Backend):
    """CuPy on a CUDA or ROCm device."""

    def __init__(self) -> None:
        super().__init__(array_api_compat.cupy)
        self.name = "CuPy"
        self.counts = CupyCounts(self)
        self.sorting = CupySorting(self)
        self.masks = CupyMasks(self)

    def device(self, array: Array, /) -> cupy.cuda.Device:
        return array.device

    def device_key(self, array: Array, /) -> int:
        number: int = array.device.id
        return number

    def conversion(self, name: str, like: str, /) -> str:
        return f"cupy.asarray({name})"

    def asarray(self, values: Any, /, *, dtype: DType, like: Array) -> Array:
        with like.device:
            return cupy.asarray(values, dtype=dtype)

    def to_numpy(self, array: Array, /) -> np.ndarray[Any, Any]:
        host: np.ndarray[Any, Any] = cupy.asnumpy(array)
        return host

    def memory_order(self, array: Array, /) -> tuple[int, ...]:
        return slowest_first(array.strides)

    def sum_dtype(self, array: Array, /) -> DType:
        return cupy.float64

    def count_dtype(self, array: Array, /) -> DType:
        return cupy.int64

    def block_bytes(self, array: Array, /) -> int:
        # Large enough that launches do not matter, and small enough that the temporaries of a block stay a fraction of
        # the gradient of a training batch.
        return 256_000_000

    def synchronize(self, *arrays: Array) -> None:
        cupy.cuda.get_current_stream().synchronize()

    def measure_peak(self, function: Callable[[], Result], /) -> tuple[Result, int | None]:
        # The default memory pool grows to the peak and stays there. It is emptied first, so its growth is the peak.
        pool = cupy.get_default_memory_pool()
        self.synchronize()
        pool.free_all_blocks()
        before = pool.total_bytes()
        result = function()
        self.synchronize()
        return result, pool.total_bytes() - before


CUPY = CupyBackend()
