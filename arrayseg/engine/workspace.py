"""The memory that the closed form of a loss may overwrite."""

from __future__ import annotations

from dataclasses import dataclass

from arrayseg._typing import Array
from arrayseg.backends import Backend

__all__ = ["Workspace"]


@dataclass(frozen=True)
class Workspace:
    """What a block may overwrite while one sweep passes over it.

    Products are written over a factor or into the gradient. A block with three arrays of the size of the logits next to
    the gradient takes 1.5 times as long as a block with one. The expression that autodiff differentiates never writes
    products here, because its graph keeps the arrays.
    """

    backend: Backend
    gradient: Array | None = None
    """The block's part of the gradient, `(B, C, P)`, if its layout is that of the block and it holds nothing else."""
    has_gradient: bool = False
    """Whether the gradient will be computed too. A sigmoid is then best computed together with its complement."""
    is_last_use: bool = False
    """Whether no other term reads the block afterwards, so that even its cached arrays may be overwritten."""

    def multiply(self, array: Array, factor: Array) -> Array:
        """Multiply in place, or into the gradient if there is one."""
        if self.gradient is not None:
            return self.backend.blocks.multiply_into(array, factor, self.gradient)
        array *= factor
        return array

    def product(self, one: Array, two: Array) -> Array:
        """Return the product of two arrays, in the gradient if there is one. The arrays stay as they are."""
        return one * two if self.gradient is None else self.backend.blocks.multiply_into(one, two, self.gradient)
