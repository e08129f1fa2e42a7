"""The focal cosine loss: the angle between the logits and the target, and a focal loss of the unit vector of logits."""

from __future__ import annotations

from dataclasses import dataclass

from arrayseg._typing import Array, Namespace
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_term import Formula, MeanTerm

__all__ = ["FocalCosineTerm"]


@dataclass(frozen=True)
class FocalCosineTerm(MeanTerm):
    """The mean over pixels of 1 - u . t / |t| + weight phi(log softmax(u) at the target), u = z / |z|."""

    formula: Formula
    focal_weight: float

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp, target = block.xp, block.target
        unit, inverse = _unit(block.scores, xp)
        direction, _ = _unit(target, xp)
        exponentials = xp.exp(unit)  # of at most 1: nothing overflows
        total = xp.sum(exponentials, axis=1, keepdims=True)
        value, slope = self.formula(unit - xp.log(total), xp)
        focal = xp.sum(target * value, axis=1)
        losses = self._weigh(block, 1 - xp.sum(unit * direction, axis=1) + self.focal_weight * focal)
        if scale is None:
            return losses, None
        steps = self.focal_weight * target * slope
        by_unit = steps - exponentials / total * xp.sum(steps, axis=1, keepdims=True) - direction
        across = by_unit - unit * xp.sum(unit * by_unit, axis=1, keepdims=True)
        weight = self._weigh(block, xp.ones_like(losses)) * scale
        return losses, across * (inverse * weight[:, None, :])


def _unit(vectors: Array, xp: Namespace) -> tuple[Array, Array]:
    """Vectors along axis 1 of length 1, and the inverses of their lengths; both 0 for a vector of 0."""
    square = xp.sum(vectors**2, axis=1, keepdims=True)
    some = square > 0
    inverse = xp.where(some, 1 / xp.sqrt(xp.where(some, square, xp.ones_like(square))), xp.zeros_like(square))
    return vectors * inverse, inverse
