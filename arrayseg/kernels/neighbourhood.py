"""Distance of the logits from the shares of the classes among a pixel's neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Literal

from arrayseg._typing import Array, Namespace
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_term import MeanTerm
from arrayseg.engine.sweep import Sums

__all__ = ["NeighborTerm"]


@dataclass(frozen=True, kw_only=True)
class NeighborTerm(MeanTerm):
    """The mean over pixels and classes of |z - n| or (z - n)^2, n the share of the class among the valid neighbours."""

    spatial: tuple[int, ...]
    size: int
    """The side of the neighbourhood, odd."""
    distance: Literal["l1", "l2"]

    whole_images = True

    def count(self, block: Block) -> Sums:
        # The weights of classes belong to the cross entropy beside this.
        return super().count(Block(replace(block.pixels, class_weights=None), block.rows))

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp = block.xp
        difference = block.scores - self._neighbors(block)
        if self.distance == "l2":
            distance, slope = difference**2, 2 * difference
        else:
            slope = xp.astype(difference > 0, block.dtype) - xp.astype(difference < 0, block.dtype)
            distance = difference * slope
        share = 1 / block.classes
        losses = block.weighted(block.keep(xp.sum(distance, axis=1) * share))
        if scale is None:
            return losses, None
        return losses, block.weighted(block.keep(slope)) * (scale * share)

    def _neighbors(self, block: Block) -> Array:
        """The share of every class among the neighbours, `(B, C, P)`; 0 where none is valid."""
        xp = block.xp
        valid = block.keep(xp.ones((block.images, block.count), dtype=block.dtype, device=block.device))[:, None, :]
        hits, count = (self._box_sum(array, xp) for array in (block.target, valid))
        return hits / xp.where(count > 0, count, xp.ones_like(count))

    def _box_sum(self, array: Array, xp: Namespace) -> Array:
        """The sum over the neighbourhood of every pixel, an axis at a time; nothing lies outside."""
        shape = array.shape
        if 0 in shape:
            return array
        array = xp.reshape(array, (*shape[:2], *self.spatial))
        for axis, length in enumerate(self.spatial, start=2):

            def part(array: Array, start: int, stop: int, axis: int = axis) -> Array:
                return array[(*[slice(None)] * axis, slice(start, stop), ...)]

            outside = [xp.zeros_like(part(array, 0, 1))] * (self.size // 2)
            padded = xp.concat([*outside, array, *outside], axis=axis)
            array = reduce(add, (part(padded, shift, shift + length) for shift in range(self.size)))
        return xp.reshape(array, shape)
