"""Region losses: a score of sums over pixels, per image, class, batch or all of them.

With p the probabilities and t the target, I = sum p t, P = sum p, T = sum t. A score gives a loss of these and its
derivatives in I and P; the gradient in p is then dI t + dP, pulled back through the activation. Other terms count
other amounts in the place of p t and p, and pull their own derivatives back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Literal

from arrayseg._typing import Absent, Array, Pool, Reduction, SoftTruePositive, WeightNorm
from arrayseg.kernels.pixels import Block, Pixels
from arrayseg.kernels.scores import Outer, Overlap, Score
from arrayseg.kernels.sweep import Sums, Term

__all__ = ["CostTerm", "ErrorTerm", "Overlap", "RegionBlend", "RegionTerm"]

State = tuple[Array, Array]
"""The derivatives in the first two sums, `(N, C, 1)`."""


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
    average: Literal["scores", "images", "classes"] = "scores"
    """What "mean" gives the same weight: every score that counts, every image with one, or every class with one."""
    outer: Outer | None = None
    """What becomes of the reduced loss."""

    sums = 4

    def count(self, block: Block) -> Sums:
        if self._goes_by_id(block):
            hits, weight = block.probability_at_id, block.weight
            hit = block.sum_by_id(hits if weight is None else hits * weight)
            predicted = block.sum(block.weighted(block.probabilities), axis=2)
            return hit, predicted, block.sum_by_id(weight), block.amount[:, None]
        amounts = self.amounts(block)
        if block.pixels.pixel_weights is not None:
            amounts = tuple(block.weighted(amount) for amount in amounts)
        overlap = [block.sum(amount, axis=2) for amount in amounts]
        return *overlap, block.amount[:, None]

    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, State]:
        xp = pixels.xp
        shape = sums[0].shape
        chosen = self._chosen(sums[0], pixels)
        overlap = Overlap(*(self._pool(xp.broadcast_to(amount, shape), chosen, xp) for amount in sums))
        losses, by_hit, by_predicted = self.score(overlap, xp)
        together = losses.shape != overlap.target.shape
        weight = self._weight(overlap, chosen, pixels, together=together)
        # A batch of which every pixel is ignored has a loss of 0, whatever the smoothing makes of empty sets.
        weight = xp.where(xp.any(overlap.pixels > 0), weight, xp.zeros_like(weight))
        losses = losses * weight
        value = self._unreduced(losses, xp, together=together) if self.reduction == "none" else xp.sum(losses)
        scale = weight * factor
        if self.outer is not None:
            value, slope = self.outer(value, xp)
            scale = scale if self.reduction == "none" else scale * slope
        by_hit, by_predicted = (xp.broadcast_to(by * scale, shape) * chosen for by in (by_hit, by_predicted))
        return value * factor, (by_hit[:, :, None], by_predicted[:, :, None])

    def pull(self, block: Block, state: State, *, gradient: bool) -> tuple[None, Array | None]:
        if not gradient:
            return None, None
        by_hit, by_predicted = (block.xp.astype(by, block.dtype, copy=False)[block.rows, ...] for by in state)
        if self._goes_by_id(block) and not self._cancels(by_hit, by_predicted, block.xp):
            return None, block.weighted(block.pull_back_by_id(by_predicted, by_hit))
        return None, block.pull_back(block.weighted(self.derivative(block, by_hit, by_predicted)))

    def pulls_probabilities(self, pixels: Pixels) -> bool:
        return True

    def _goes_by_id(self, block: Block) -> bool:
        """Whether the amounts are p t, p and t of ids, of which gathers are faster than products."""
        is_overlap = type(self).amounts is RegionTerm.amounts and self.soft_tp != "l2"
        return is_overlap and block.pixels.has_ids and block.backend.gathers_ids

    @staticmethod
    def _cancels(by_hit: Array, by_predicted: Array, xp: Any) -> bool:
        """Whether the derivatives of a class cancel where it is the target.

        Those of the Matthews coefficient of one class do. Their sum is then made before it is multiplied with anything.
        """
        return bool(xp.any(xp.abs(by_hit + by_predicted) < 0.1 * xp.abs(by_hit)))

    def amounts(self, block: Block) -> tuple[Array, Array, Array]:
        """What the first three sums run over, `(B, C, P)`; 0 where a pixel is not valid."""
        probability, target = block.keep(block.probabilities), block.target
        if self.soft_tp == "l2":
            return probability * target, probability**2, target**2
        if self.soft_tp == "l1" and not block.pixels.has_ids:
            # (|p| + |t| - |p - t|) / 2, without the kink that libraries disagree on
            return block.xp.minimum(probability, target), probability, target
        return probability * target, probability, target

    def derivative(self, block: Block, by_hit: Array, by_predicted: Array) -> Array:
        """The gradient in the probabilities, `(B, C, P)`, from those in the sums, `(B, C, 1)`."""
        xp = block.xp
        if self.soft_tp == "l2":
            return by_hit * block.target + 2 * by_predicted * block.probabilities
        if self.soft_tp == "l1" and not block.pixels.has_ids:
            below, level = block.probabilities < block.target, block.probabilities == block.target
            zero = xp.zeros_like(by_hit)
            return by_predicted + xp.where(below, by_hit, xp.where(level, by_hit / 2, zero))
        gradient = by_hit * block.target
        gradient += by_predicted
        return gradient

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

    def _weight(self, overlap: Overlap, chosen: Array, pixels: Pixels, *, together: bool = False) -> Array:
        """What each loss counts in the result: of the sums' shape, or one a row for classes that are `together`."""
        xp = pixels.xp
        counted = xp.ones_like(overlap.target[:, :1] if together else overlap.target)
        weight = counted
        if not together:
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
        axis = {"scores": (0, 1), "images": 1, "classes": 0}[self.average]
        total = xp.sum(counted, axis=axis, keepdims=True)
        counts = total > 0
        groups = xp.sum(xp.astype(counts, total.dtype))
        return xp.where(counts, weight / xp.where(counts, total * groups, xp.ones_like(total)), xp.zeros_like(weight))

    def _unreduced(self, losses: Array, xp: Any, *, together: bool = False) -> Array:
        """`(N, C)`, `(C,)`, `(N,)` or `()`, as `pool` says; of the classes that enter, if they are not `together`."""
        together = together or self.pool in ("micro", "all")
        if together:
            losses = losses[:, 0]
        elif self.classes is not None:
            losses = xp.stack([losses[:, index] for index in self.classes], axis=1)
        return losses[0, ...] if self.pool in ("batch", "all") else losses


@dataclass(frozen=True)
class ErrorTerm(RegionTerm):
    """The squared error in the place of p, and that of the target in the place of p t."""

    def amounts(self, block: Block) -> tuple[Array, Array, Array]:
        target = block.target
        error = block.keep((block.probabilities - target) ** 2)
        return error * target, error, target

    def derivative(self, block: Block, by_hit: Array, by_predicted: Array) -> Array:
        return 2 * (block.probabilities - block.target) * (by_hit * block.target + by_predicted)


@dataclass(frozen=True, kw_only=True)
class CostTerm(RegionTerm):
    """The cost of each class, given the prediction, in the place of p."""

    costs: Array
    """`(C, C)`: what a prediction of the class of the column costs where that of the row is right."""

    def amounts(self, block: Block) -> tuple[Array, Array, Array]:
        cost = block.keep(block.xp.matmul(self._costs(block), block.probabilities))
        return cost * block.target, cost, block.target

    def derivative(self, block: Block, by_hit: Array, by_predicted: Array) -> Array:
        by_cost = by_hit * block.target + by_predicted
        return block.xp.matmul(block.xp.matrix_transpose(self._costs(block)), by_cost)

    def _costs(self, block: Block) -> Array:
        return block.xp.astype(self.costs, block.dtype, copy=False)


@dataclass(frozen=True)
class RegionBlend(Term):
    """The weighted sum of region losses of the same amounts, which are counted and pulled back once."""

    terms: Sequence[RegionTerm]
    factors: Sequence[float]
    reduction: Reduction = "mean"

    sums = 4

    def pulls_probabilities(self, pixels: Pixels) -> bool:
        return True

    def count(self, block: Block) -> Sums:
        return self.terms[0].count(block)

    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, State]:
        pairs = zip(self.terms, self.factors, strict=True)
        values, states = zip(*(term.solve(sums, pixels, factor * share) for term, share in pairs), strict=True)
        by_hit, by_predicted = (reduce(add, parts) for parts in zip(*states, strict=True))
        return reduce(add, values), (by_hit, by_predicted)

    def pull(self, block: Block, state: State, *, gradient: bool) -> tuple[None, Array | None]:
        return self.terms[0].pull(block, state, gradient=gradient)
