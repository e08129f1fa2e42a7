"""The normalised focal loss: a weighted mean of the cross entropy whose weights depend on the input."""

from __future__ import annotations

from dataclasses import dataclass, replace

from arrayseg._typing import Array
from arrayseg.engine.block import Block, Pixels
from arrayseg.engine.pixel_term import Formula, PixelTerm
from arrayseg.engine.sweep import Sums

__all__ = ["NormalizedTerm"]


@dataclass(frozen=True, kw_only=True)
class NormalizedTerm(PixelTerm):
    """The sum A of a formula over the sum B of another, for the batch; its gradient is (dA - A / B dB) / B."""

    weight: Formula
    """The formula of B, which no weights of classes multiply."""
    constant_weight: bool = False
    """B is a constant of the derivative."""

    sums = 2
    value_in_pull = False

    def count(self, block: Block) -> Sums:
        losses, _ = self.losses(block, None)
        weights, _ = self._weights.losses(self._bare(block), None)
        return block.sum(losses, axis=1), block.sum(weights, axis=1)

    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, tuple[Array, Array]]:
        xp = pixels.xp
        above, below = xp.sum(sums[0]), xp.sum(sums[1])
        if self.constant_weight:
            below = pixels.backend.stop_gradient(below)
        defined = below > 0  # every pixel is right, or none is valid: the loss is 0
        inverse = xp.where(defined, 1 / xp.where(defined, below, xp.ones_like(below)), xp.zeros_like(below))
        value = above * inverse
        return value * factor, (inverse * factor, value * inverse * factor)

    def pull(self, block: Block, state: tuple[Array, Array], *, gradient: bool) -> tuple[None, Array | None]:
        if not gradient:
            return None, None
        by_above, by_below = (block.xp.astype(scale, block.dtype) for scale in state)
        _, pulled = self.losses(block, by_above)
        if not self.constant_weight:
            _, by_weight = self._weights.losses(self._bare(block), by_below)
            pulled = block.xp.subtract(pulled, by_weight)
        return None, pulled

    @property
    def _weights(self) -> PixelTerm:
        return PixelTerm(self.weight)

    def _bare(self, block: Block) -> Block:
        return Block(replace(block.pixels, class_weights=None), block.rows)
