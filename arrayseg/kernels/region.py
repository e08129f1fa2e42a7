"""Region losses: a score of sums over pixels, per image, class, batch or all of them.

With p the probabilities and t the target, I = sum p t, P = sum p, T = sum t. A score gives a loss of these and its
derivatives in I and P; the gradient in p is then dI t + dP, pulled back through the activation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from arrayseg._typing import Absent, Array, Pool, Reduction, SoftTruePositive, WeightNorm
from arrayseg.kernels.pixels import Block, Pixels
from arrayseg.kernels.sweep import Sums, Term

__all__ = ["Overlap", "RegionTerm", "Score", "tversky"]


class Overlap(NamedTuple):
    """The sums that a region loss is a function of; arrays of one shape."""

    intersection: Array
    """I, the sum of p t."""
    prediction: Array
    """P, the sum of p."""
    target: Array
    """T, the sum of t."""
    pixels: Array
    """The weight of the pixels that took part."""


Score = Callable[[Overlap, Any], tuple[Array, Array, Array]]
"""From the sums and the namespace to the loss and its derivatives in the intersection and the prediction."""


def tversky(alpha: float, beta: float, smooth: tuple[float, float], factor: int) -> Score:
    """1 - (f I + s) / (f (I + alpha FP + beta FN) + s'), FP = P - I and FN = T - I; Dice and Jaccard with f = 2 or 1.

    Two empty sets agree: 0 / 0 counts as a score of 1.
    """
    above, below = smooth

    def score(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        hit, predicted, wanted, _ = overlap
        numerator = factor * hit + above
        denominator = factor * ((1 - alpha - beta) * hit + alpha * predicted + beta * wanted) + below
        defined = denominator > 0
        one, zero = xp.ones_like(denominator), xp.zeros_like(denominator)
        inverse = 1 / xp.where(defined, denominator, one)
        ratio = numerator * inverse
        loss = xp.where(defined, 1 - ratio, zero)
        by_hit = factor * inverse * (ratio * (1 - alpha - beta) - 1)
        by_predicted = factor * inverse * ratio * alpha
        return loss, xp.where(defined, by_hit, zero), xp.where(defined, by_predicted, zero)

    return score


@dataclass(frozen=True)
class RegionTerm(Term):
    """A region loss in the steps of the block driver: count the overlap, solve the score, pull back its derivatives."""

    score: Score
    reduction: Reduction = "mean"
    pool: Pool = "image"
    absent: Absent = "keep"
    soft_tp: SoftTruePositive = "product"
    classes: Sequence[int] | None = None
    """The classes that enter; None for all."""
    weight_norm: WeightNorm = None

    sums = 4

    def count(self, block: Block) -> Sums:
        xp = block.xp
        probability, target = block.keep(block.probabilities), block.target
        if self.soft_tp == "l2":
            hit, predicted, wanted = probability * target, probability**2, target**2
        elif self.soft_tp == "l1" and not block.pixels.has_ids:
            # (|p| + |t| - |p - t|) / 2, without the kink that libraries disagree on
            hit, predicted, wanted = xp.minimum(probability, target), probability, target
        else:
            hit, predicted, wanted = probability * target, probability, target
        overlap = [block.sum(block.weighted(amount), axis=2) for amount in (hit, predicted, wanted)]
        ones = xp.ones((block.images, block.count), dtype=block.dtype, device=block.device)
        return *overlap, block.sum(block.weighted(block.keep(ones)), axis=1)[:, None]

    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, tuple[Array, Array]]:
        xp = pixels.xp
        chosen = self._chosen(sums[0], pixels)
        overlap = Overlap(*(self._pool(amount, chosen, xp) for amount in sums))
        loss, by_hit, by_predicted = self.score(overlap, xp)
        weight = self._weight(overlap, chosen, pixels) * factor
        # A batch of which every pixel is ignored has a loss of 0, whatever the smoothing makes of empty sets.
        weight = xp.where(xp.any(overlap.pixels > 0), weight, xp.zeros_like(weight))
        losses = loss * weight
        value = self._unreduced(losses, xp) if self.reduction == "none" else xp.sum(losses)
        by_hit, by_predicted = (xp.broadcast_to(by * weight, sums[0].shape) * chosen for by in (by_hit, by_predicted))
        return value, (by_hit[:, :, None], by_predicted[:, :, None])

    def pull(self, block: Block, state: tuple[Array, Array], *, gradient: bool) -> tuple[None, Array | None]:
        if not gradient:
            return None, None
        xp = block.xp
        by_hit, by_predicted = (xp.astype(by, block.dtype, copy=False) for by in state)
        derivative = self._derivative(block, by_hit[block.rows, ...], by_predicted[block.rows, ...])
        return None, block.pull_back(block.weighted(derivative))

    def _derivative(self, block: Block, by_hit: Array, by_predicted: Array) -> Array:
        """The gradient in the probabilities, `(B, C, P)`."""
        xp = block.xp
        if self.soft_tp == "l2":
            return by_hit * block.target + 2 * by_predicted * block.probabilities
        if block.pixels.has_ids:
            return xp.where(block.hot, by_hit + by_predicted, by_predicted)
        if self.soft_tp == "l1":
            below, level = block.probabilities < block.target, block.probabilities == block.target
            zero = xp.zeros_like(by_hit)
            return by_predicted + xp.where(below, by_hit, xp.where(level, by_hit / 2, zero))
        return by_hit * block.target + by_predicted

    def _chosen(self, like: Array, pixels: Pixels) -> Array:
        """1 for the classes that enter and 0 for others, `(1, C)`."""
        total = like.shape[1]
        entering = range(total) if self.classes is None else self.classes
        row = [1.0 if index in entering else 0.0 for index in range(total)]
        return pixels.backend.asarray([row], dtype=like.dtype, like=like)

    def _pool(self, amount: Array, chosen: Array, xp: Any) -> Array:
        """The sums over what the score is taken of: `(N, C)`, `(1, C)`, `(N, 1)` or `(1, 1)`."""
        amount = amount if amount.shape[1] == 1 else amount * chosen
        if self.pool in ("micro", "all"):
            amount = xp.sum(amount, axis=1, keepdims=True)
        if self.pool in ("batch", "all"):
            amount = xp.sum(amount, axis=0, keepdims=True)
        return amount

    def _weight(self, overlap: Overlap, chosen: Array, pixels: Pixels) -> Array:
        """What each score counts in the result, of the scores' shape."""
        xp = pixels.xp
        counted = xp.ones_like(overlap.target)
        if self.pool in ("image", "batch"):
            counted = counted * chosen
        present = xp.astype(overlap.target > 0, counted.dtype)
        if self.absent == "exclude":
            counted = counted * present
        weight = counted * present if self.absent == "zero" else counted
        if pixels.class_weights is not None:
            of_class = xp.astype(pixels.class_weights, weight.dtype, copy=False)[None, :]
            weight = weight * of_class
            counted = counted * of_class if self.weight_norm == "sum" else counted
        if self.reduction != "mean":
            return weight
        total = xp.sum(counted)
        return xp.where(total > 0, weight / xp.where(total > 0, total, xp.ones_like(total)), xp.zeros_like(weight))

    def _unreduced(self, losses: Array, xp: Any) -> Array:
        """`(N, C)`, `(C,)`, `(N,)` or `()`, as `pool` says; of the classes that enter."""
        if self.pool in ("image", "batch") and self.classes is not None:
            losses = xp.stack([losses[:, index] for index in self.classes], axis=1)
        if self.pool in ("micro", "all"):
            losses = losses[:, 0]
        return losses[0, ...] if self.pool in ("batch", "all") else losses
