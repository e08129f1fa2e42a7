"""How many of the pixels are positive, counted in the target: what class-balanced losses weigh by."""

from __future__ import annotations

from arrayseg._typing import Array, Pool
from arrayseg.engine.block import Block, Pixels
from arrayseg.engine.sweep import Sums, sum_over_blocks

__all__ = ["positive_share"]

POOLED_AXES = {"image": (), "batch": (0,), "micro": (1,), "all": (0, 1)}


def positive_share(pixels: Pixels, pool: Pool) -> Array:
    """The share of positive targets among the valid pixels, `(N, C)`; 0 where there are none."""
    xp, backend = pixels.xp, pixels.backend

    def count(block: Block) -> Sums:
        positives = block.sum(block.target, axis=2)
        return positives, xp.broadcast_to(block.valid_amount[:, None], positives.shape)

    in_blocks = backend.uses_closed_form(pixels.scores, *pixels.constants)
    sums = sum_over_blocks(pixels, count) if in_blocks else count(pixels.whole())
    positives, total = (_pooled(amount, pool, pixels) for amount in sums)
    defined = total > 0
    return xp.where(defined, positives / xp.where(defined, total, xp.ones_like(total)), xp.zeros_like(total))


def _pooled(amount: Array, pool: Pool, pixels: Pixels) -> Array:
    """The sums over what is pooled, in the place of every image and class."""
    axes = POOLED_AXES[pool]
    return pixels.xp.broadcast_to(pixels.xp.sum(amount, axis=axes, keepdims=True), amount.shape) if axes else amount
