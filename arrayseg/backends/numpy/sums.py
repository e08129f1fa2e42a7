"""Layout of NumPy blocks of pixels, and their sums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arrayseg._typing import Array, DType
from arrayseg.backends.blocks import Blocks, MakeSums

__all__ = ["NumpyBlocks"]

#: Numbers that are transposed at a time, whose cache lines stay in the first-level cache. For a megapixel of 19
#: classes, 19 to 23 ms with 5,000 to 40,000 numbers, 24 with 1,000.
TILE = 10_000

#: Pixels that are summed in float32. With 64 to 4,096 a sum takes a third of the time of a sum in float64. It differs
#: from that by 2e-9 of the sum of the magnitudes with 256, and by 6e-9 with 4,096.
RUN = 256


class NumpyBlocks(Blocks):
    """Blocks that fit the second-level cache."""

    gathers_ids = True

    def as_block(self, array: Array, dtype: DType, /) -> Array:
        # If the class axis is last, the block is copied while it is in cache. Reductions over the middle axis are
        # vectorized over the pixels if the block is contiguous, but not if it is strided: 45 instead of 77 ms for 19
        # classes of a megapixel. Arrays computed from a block have its memory order, and are indexed as if flat.
        images, classes, pixels = array.strides
        if pixels == array.itemsize and (images >= classes or array.shape[0] == 1):
            return array.astype(dtype, copy=False)
        block = np.empty(array.shape, dtype=dtype)
        step = max(256, TILE // array.shape[1])
        for start in range(0, array.shape[-1], step):
            block[..., start : start + step] = array[..., start : start + step]
        return block

    def flat(self, array: Array, /) -> tuple[Array, int, int]:
        # A part of the pixels of an image is not copied either: the view spans its first number to its last.
        images, classes, pixels = array.strides
        if array.flags.c_contiguous or pixels != array.itemsize or min(images, classes) < 0:
            return super().flat(array)
        steps = images // pixels, classes // pixels
        last = sum((length - 1) * step for length, step in zip(array.shape, (*steps, 1), strict=True))
        return np.lib.stride_tricks.as_strided(array, (last + 1,), (pixels,)), *steps

    def multiply_into(self, array: Array, factor: Array, out: Array, /) -> Array:
        return np.multiply(array, factor, out=out)

    def sum_pixels(self, array: Array, /) -> Array:
        # Runs of pixels are summed in float32, and the sums of runs in float64. A matrix product would not do: OpenBLAS
        # spreads it over threads of its own.
        *lead, length = array.shape
        whole = length - length % RUN
        if array.dtype != np.float32 or whole == 0:
            return np.sum(array, axis=-1, dtype=np.float64)
        runs = np.einsum("...r->...", array[..., :whole].reshape(*lead, whole // RUN, RUN))
        sums = np.sum(runs, axis=-1, dtype=np.float64)
        return sums if whole == length else sums + np.sum(array[..., whole:], axis=-1, dtype=np.float64)

    def sum_products(self, one: Array, two: Array, /) -> Array:
        # As in `sum_pixels`, without storing the products.
        length = one.shape[-1]
        whole = length - length % RUN
        if whole == 0:
            return np.einsum("...r,...r->...", one, two, dtype=np.float64)
        runs = (array[..., :whole].reshape(*array.shape[:-1], whole // RUN, RUN) for array in (one, two))
        sums = np.sum(np.vecdot(*runs), axis=-1, dtype=np.float64)
        if whole == length:
            return sums
        return sums + np.einsum("...r,...r->...", one[..., whole:], two[..., whole:], dtype=np.float64)

    def sum_class_products(self, one: Array, two: Array, /) -> Array:
        # Products that are not stored take two thirds of the time.
        return np.einsum("bcp,bcp->bp", one, two)[:, None, :]

    def with_digits(self, quick: MakeSums, is_lost: Callable[[list[Array]], Array], exact: MakeSums) -> list[Array]:
        sums = quick()
        return exact() if is_lost(sums) else sums
