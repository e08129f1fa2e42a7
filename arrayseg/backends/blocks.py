"""Layout of blocks of pixels `(B, C, P)`, and sums over their pixels and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from arrayseg._typing import Array, DType
from arrayseg.backends.part import Part

__all__ = ["Blocks", "MakeSums"]

MakeSums: TypeAlias = Callable[[], list[Array]]


class Blocks(Part):
    """The arithmetic of blocks in one library, written in functions of the Array API standard."""

    #: Whether picking the entries of the target ids out of `(B, C, P)` is faster than products with one-hot values.
    gathers_ids = False

    def as_block(self, array: Array, dtype: DType, /) -> Array:
        """Return pixels in the compute dtype, laid out as the engine reads them fastest."""
        return self.xp.astype(array, dtype, copy=False)

    def flat(self, array: Array, /) -> tuple[Array, int, int]:
        """Return a 1-D view of an array `(B, C, P)`, and the steps in it between images and between classes."""
        _, classes, pixels = array.shape
        return self.xp.reshape(array, (-1,)), classes * pixels, pixels

    def multiply_into(self, array: Array, factor: Array, out: Array, /) -> Array:
        """Write the product into `out` and return it."""
        out[...] = array * factor
        return out

    def over_classes(self, function: Callable[..., Array], /, *arrays: Array, last: bool) -> Array:
        """Return `function(*arrays, axis=1)` of arrays `(B, C, P)`, which keeps the number of axes.

        An adapter may call the function with the classes moved to the last axis. `last` says that the classes are last
        in the caller's arrays, where a compiler might not see it.
        """
        return function(*arrays, axis=1)

    def sum_pixels(self, array: Array, /) -> Array:
        """Return the sums over the last axis, in `sum_dtype`."""
        return self.xp.sum(array, axis=-1, dtype=self.adapter.sum_dtype(array))

    def sum_products(self, one: Array, two: Array, /) -> Array:
        """Return the sums over the last axis of the products of two arrays, in `sum_dtype`."""
        return self.sum_pixels(one * two)

    def sum_class_products(self, one: Array, two: Array, /) -> Array:
        """Return the sums over the classes of the products of two arrays `(B, C, P)`, as `(B, 1, P)`."""
        return self.xp.sum(one * two, axis=1, keepdims=True)

    def with_digits(self, quick: MakeSums, is_lost: Callable[[list[Array]], Array], exact: MakeSums) -> list[Array]:
        """Return the sums `quick()`, or `exact()` if `is_lost` finds that the quick sums have lost their digits.

        Libraries that cannot branch on values always return the exact sums. The derivatives may be those of the quick
        sums.
        """
        return exact()
