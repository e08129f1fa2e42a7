"""The memory that the closed form of a loss may overwrite."""

from __future__ import annotations

from dataclasses import dataclass

from arrayseg._typing import Array
from arrayseg.backends import Backend

__all__ = ["Workspace"]


@dataclass(frozen=True)
class Workspace:
    """What a block may overwrite while one sweep passes over it.

    Products are written over a factor or into the gradient: a block with three arrays of the size of the logits next
    to the gradient takes half as long again as a block with one. The expression that autodiff differentiates never
    comes here, because its graph holds on to the arrays.
    """

    backend: Backend
    gradient: Array | None = None
    """The block's part of the gradient, `(B, C, P)`, if it is laid out as the block and nothing else is kept in it."""
    has_gradient: bool = False
    """Whether a gradient will be asked for, so that a sigmoid is best computed together with its complement."""
    is_last_use: bool = False
    """Whether no other term reads the block afterwards, so that even its cached arrays may be overwritten."""

    def multiply(self, array: Array, factor: Array) -> Array:
        """Multiply in place, or into the gradient if there is one."""
        if self.gradient is not None:
            return self.backend.blocks.multiply_into(array, factor, self.gradient)
        array *= factor
        return array

    def product(self, one: Array, two: Array) -> Array:
        """Return the product of two arrays that stay as they are, in the gradient if there is one."""
        return one * two if self.gradient is None else self.backend.blocks.multiply_into(one, two, self.gradient)
