"""Region losses: a score of sums over pixels, per image, class, batch or all of them.

With p the probabilities and t the target, a term sums p t, p (1 - t), (1 - p) t and, where the score needs it,
(1 - p) (1 - t). A score gives a loss of these and its derivative in each, h, a, m and r. The gradient in p is then
(h - m) t + (a - r) (1 - t), pulled back through the activation. Other terms count other amounts and pull back their
own derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial, reduce
from math import prod
from operator import add
from typing import Any, Literal

from arrayseg._typing import AbsentTarget, Array, Pool, Reduction, SoftTruePositive, WeightNorm
from arrayseg.engine.activations import SoftmaxById
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.region_scores import Cells, Outer, Score
from arrayseg.engine.sweep import Sums, Term

__all__ = ["CellsTerm", "CostTerm", "ErrorTerm", "RegionBlend", "RegionTerm"]

#: The share of a sum below which a difference of two such sums is right to fewer than six digits.
NEARLY_RIGHT = 0.03

State = tuple[Array, ...]
"""The derivatives in the sums of amounts, `(N, C, 1)`."""


def unscored(cells: Cells, xp: Any) -> Any:
    """Stand for the score of a term that has its own `solve`."""
    raise NotImplementedError


@dataclass(frozen=True)
class RegionTerm(Term):
    """A region loss: `count` the cells, `solve` the score, `pull` its derivatives back."""

    score: Score = unscored
    reduction: Reduction = "mean"
    pool: Pool = "image"
    absent: AbsentTarget = "keep"
    soft_tp: SoftTruePositive = "product"
    classes: Sequence[int] | None = None
    """The classes that enter, or None if all do."""
    weight_norm: WeightNorm = None
    average: Literal["scores", "images", "classes"] = "scores"
    """What has equal weight in a mean: scores that count, images with such a score, or classes with such a score."""
    outer: Outer | None = None
    """A function of the reduced loss, if any."""

    #: How many cells of a confusion matrix are counted.
    cells = 3
    #: Whether a subclass counts other `amounts` instead of cells.
    has_own_amounts = False
    #: Whether `derivative` needs the probabilities themselves, not only their slopes.
    needs_probabilities = False

    def count(self, block: Block) -> Sums:
        if isinstance(block, SoftmaxById) and self._is_product(block.batch):
            sums = self._sums_of_ids(block)
        elif self.cells == 3 and not self.has_own_amounts:
            # Under a compiler each way is a branch. No branch can use the arrays of another, so each has its own block.
            own = copy(block) if block.backend.has_autodiff else block
            quick, exact = partial(self._sums_of_overlap, block), partial(self._sums_of_cells, own)
            sums = block.backend.blocks.with_digits(quick, partial(self._cancels, xp=block.xp), exact)
        else:
            sums = self._sums_of_cells(block)
        return *sums, block.amount[:, None]

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, State]:
        xp = batch.xp
        chosen = self._chosen(sums[0], batch)
        *amounts, target, count = self._pooled(sums, chosen, xp)
        losses, derivatives = self.score(Cells(target, count, *amounts), xp)
        together = losses.shape != target.shape
        weight, counted = self._weight(target, count, chosen, batch, together=together)
        losses = xp.where(counted, losses * weight, 0.0)  # a class that does not count adds 0, even if NaN
        value = self._unreduced(losses, xp, together=together) if self.reduction == "none" else xp.sum(losses)
        scale = weight * factor
        if self.outer is not None:
            value, slope = self.outer(value, xp)
            scale = scale if self.reduction == "none" else scale * slope
        takes_part, zero = counted if chosen is None else counted & chosen, xp.zeros_like(sums[0])
        # The zeros spread what is pooled over all images and classes again.
        return value * factor, tuple([xp.where(takes_part, by * scale, zero)[:, :, None] for by in derivatives])

    def pull(self, block: Block, state: State) -> Array:
        by = [derivative[block.image_slice, ...] for derivative in state]
        if isinstance(block, SoftmaxById) and self._is_product(block.batch):
            return block.weighted(self._pull_back_by_id(block, by))
        return block.pull_back(block.weighted(self.derivative(block, *by)))

    def pulls_from_kept(self, batch: Batch) -> bool:
        # Of independent classes the slopes p (1 - p) are kept, which the probabilities are too coarse for.
        needs = self.needs_probabilities or not self._is_product(batch)
        return not needs or batch.activation != "sigmoid"

    # The cells of products.

    def _is_product(self, batch: Batch) -> bool:
        """Return whether the amounts are products of p and t or of their complements."""
        is_product = self.soft_tp == "product" or (self.soft_tp == "l1" and batch.has_ids)
        return is_product and not self.has_own_amounts

    def _sums_of_ids(self, block: SoftmaxById) -> list[Array]:
        """Return the sums of the cells and of the target, given ids: three histograms and one sum."""
        weight = block.weight
        hits, misses, alarm = block.probabilities_by_id()
        if weight is not None:
            hits, misses = hits * weight, misses * weight
        hit, miss, target = block.sum_by_id(hits), block.sum_by_id(misses), block.sum_by_id(weight)
        if self.cells == 3:
            return [hit, alarm, miss, target]
        # The sum over the other classes is exactly 0 if every pixel belongs to this class.
        return [hit, alarm, miss, block.xp.sum(target, axis=1, keepdims=True) - target - alarm, target]

    def _sums_of_cells(self, block: Block) -> list[Array]:
        """Return the sums of the cells and of the target. None of them is a difference."""
        if not self._is_product(block.batch):
            cells = [block.sum(block.weighted(amount), axis=2) for amount in self.amounts(block)]
            return [*cells, block.sum(block.weighted(block.target), axis=2)]
        inside, outside = block.weighted(block.target), block.weighted(block.outside)
        complement, probability = block.where_valid(block.complements), block.where_valid(block.probabilities)
        pairs = [(probability, inside), (probability, outside), (complement, inside), (complement, outside)]
        cells = [block.sum_products(*pair) for pair in pairs[: self.cells]]
        return [*cells, block.sum(inside, axis=2)]

    def _sums_of_overlap(self, block: Block) -> list[Array]:
        """Return the sums of three cells and of the target, in fewer passes: two are differences with the hits."""
        probability, target = block.where_valid(block.probabilities), block.target
        inside, predicted = block.weighted(target), block.weighted(probability)
        wanted = block.sum(inside, axis=2)
        if self.soft_tp == "l2":
            hit = block.sum_products(probability, inside)
            squares = block.sum_products(probability, predicted), block.sum_products(target, inside)
            return [hit, *(square - hit for square in squares), wanted]
        if self._is_product(block.batch):
            hit = block.sum_products(probability, inside)
        else:
            # (|p| + |t| - |p - t|) / 2, without the kink that libraries disagree on
            hit = block.sum(block.weighted(block.xp.minimum(probability, target)), axis=2)
        return [hit, block.sum(predicted, axis=2) - hit, wanted - hit, wanted]

    @staticmethod
    def _cancels(sums: Sequence[Array], xp: Any) -> Array:
        """Return whether a difference of sums has lost its digits, `()`, because the prediction is nearly right."""
        hit, alarm, miss, _ = sums
        least = NEARLY_RIGHT * hit
        return xp.any((alarm < least) | (miss < least))

    def amounts(self, block: Block) -> tuple[Array, ...]:
        """Return the arrays `(B, C, P)` whose sums the score is a function of, 0 where a pixel is not valid."""
        xp, target, outside = block.xp, block.target, block.outside
        probability, complement = block.where_valid(block.probabilities), block.where_valid(block.complements)
        difference = block.where_valid(block.errors)
        if self.soft_tp == "l2":
            both = complement * outside + probability * complement + target * outside
            cells = probability * target, probability * difference, -target * difference, both
        else:
            # (|p| + |t| - |p - t|) / 2, without the kink that libraries disagree on
            zero = xp.zeros_like(target)
            above, below = xp.maximum(difference, zero), xp.maximum(-difference, zero)
            cells = xp.minimum(probability, target), above, below, xp.minimum(complement, outside)
        return cells[: self.cells]

    def derivative(self, block: Block, *by: Array) -> Array:
        """Return the gradient in the probabilities, `(B, C, P)`, given the derivatives in the sums, `(B, C, 1)`."""
        xp, target = block.xp, block.target
        by_hit, by_alarm, by_miss, *by_rest = by
        by_alarm = by_alarm - by_rest[0] if by_rest else by_alarm
        inside, outside = by_hit - by_miss, block.cast(by_alarm)
        if self._is_product(block.batch) or self.soft_tp == "l2":
            gradient = block.cast(inside - by_alarm) * target
            gradient += outside if self.soft_tp != "l2" else 2 * outside * block.probabilities
            return gradient
        # `inside` where p is below t, `outside` where it is above.
        below = (xp.sign(target - block.probabilities) + 1) / 2
        gradient = below * block.cast(inside)
        gradient += (1 - below) * block.cast(by_alarm)
        return gradient

    def _pull_back_by_id(self, block: SoftmaxById, by: Sequence[Array]) -> Array:
        by_hit, by_alarm, by_miss, *by_rest = by
        outside = block.cast(by_alarm - by_rest[0] if by_rest else by_alarm)
        return block.pull_back_by_id(block.cast(by_hit - by_miss), outside)

    def _chosen(self, like: Array, batch: Batch) -> Array | None:
        """Return whether each class enters, boolean `(1, C)`, or None if all do."""
        if self.classes is None:
            return None
        row = [index in self.classes for index in range(like.shape[1])]
        return batch.backend.asarray([row], dtype=batch.xp.bool, like=like)

    def _pooled(self, sums: Sums, chosen: Array | None, xp: Any) -> list[Array]:
        """Return the sums over what is scored together, each `(N, C)`, `(1, C)`, `(N, 1)` or `(1, 1)`."""
        shape = sums[0].shape
        pooled = [amount if amount.shape == shape else xp.broadcast_to(amount, shape) for amount in sums]
        if chosen is not None and shape[1] > 1:
            pooled = [xp.where(chosen, amount, xp.zeros_like(amount)) for amount in pooled]
        if self.pool in ("micro", "all"):
            pooled = [xp.sum(amount, axis=1, keepdims=True) for amount in pooled]
        if self.pool in ("batch", "all"):
            pooled = [xp.sum(amount, axis=0, keepdims=True) for amount in pooled]
        return pooled

    def _weight(
        self, target: Array, count: Array, chosen: Array | None, batch: Batch, *, together: bool = False
    ) -> tuple[Array, Array]:
        """Return the weight of each loss in the result, and whether the loss counts at all.

        The weight has the shape of the sums, or one column if the score combines the classes (`together`). The
        second array can be broadcast to that shape.
        """
        xp = batch.xp
        like = target[:, :1] if together else target
        one = xp.ones_like(like)
        # A batch with only ignored pixels has a loss of 0, independent of the smoothing of empty sets.
        counts = xp.any(count != 0)
        weight = counted = one
        if not together:
            if chosen is not None and self.pool in ("image", "batch"):
                counts = counts & chosen
                counted = xp.where(chosen, one, 0.0)
            if self.absent != "keep":
                counts = counts & (target != 0)
            if self.absent == "exclude":
                counted = xp.where(counts, counted, 0.0)
            if batch.class_weights is not None:
                weight = one * xp.astype(batch.class_weights, one.dtype, copy=False)[None, :]
                counted = counted * weight if self.weight_norm == "sum" else counted
        if self.reduction == "mean" and counted is one:  # the mean of all scores, which has no empty group
            weight = weight / prod(one.shape)
        elif self.reduction == "mean":
            axis = {"scores": (0, 1), "images": 1, "classes": 0}[self.average]
            total = xp.sum(counted, axis=axis, keepdims=True)
            empty = total == 0
            groups = xp.sum(xp.astype(~empty, total.dtype))
            weight = xp.where(empty, 0.0, weight / xp.where(empty, 1.0, total * groups))
        return xp.where(counts, weight, 0.0), counts

    def _unreduced(self, losses: Array, xp: Any, *, together: bool = False) -> Array:
        """Return the unreduced losses, `(N, C)`, `(C,)`, `(N,)` or `()`, according to `pool`."""
        together = together or self.pool in ("micro", "all")
        if together:
            losses = losses[:, 0]
        elif self.classes is not None:
            losses = xp.stack([losses[:, index] for index in self.classes], axis=1)
        return losses[0, ...] if self.pool in ("batch", "all") else losses


@dataclass(frozen=True)
class CellsTerm(RegionTerm):
    """A region loss of all four cells."""

    cells = 4


@dataclass(frozen=True)
class ErrorTerm(RegionTerm):
    """A region loss of squared errors: they are misses inside the target and false alarms outside."""

    cells = 4
    needs_probabilities = True

    def _is_product(self, batch: Batch) -> bool:
        return True

    def _sums_of_ids(self, block: SoftmaxById) -> list[Array]:
        _, misses, alarm = block.probabilities_by_id(squared=True)
        miss, target = block.sum_by_id(block.weighted(misses**2)), block.sum_by_id(block.weight)
        return [target, alarm, miss, block.xp.sum(target, axis=1, keepdims=True) - target, target]

    def _pull_back_by_id(self, block: SoftmaxById, by: Sequence[Array]) -> Array:
        _, by_alarm, by_miss, _ = (block.cast(2 * each) for each in by)
        return block.pull_back_by_id(by_miss, by_alarm, errors=True)

    def count(self, block: Block) -> Sums:
        if isinstance(block, SoftmaxById):
            return *self._sums_of_ids(block), block.amount[:, None]
        error = block.where_valid(block.errors)
        square, inside, outside = error * error, block.weighted(block.target), block.weighted(block.outside)
        target, rest = (block.sum(side, axis=2) for side in (inside, outside))
        alarm, miss = (block.sum_products(square, side) for side in (outside, inside))
        return target, alarm, miss, rest, target, block.amount[:, None]

    def derivative(self, block: Block, *by: Array) -> Array:
        _, by_alarm, by_miss, _ = (block.cast(2 * each) for each in by)
        gradient = by_miss * block.target
        gradient += by_alarm * block.outside
        gradient *= block.errors
        return gradient


@dataclass(frozen=True, kw_only=True)
class CostTerm(RegionTerm):
    """A region loss of the cost of each class, given the prediction: costs are misses, gains are hits."""

    costs: Array
    """`(C, C)`: what a prediction of the class of the column costs where the class of the row is right."""

    has_own_amounts = True

    def amounts(self, block: Block) -> tuple[Array, ...]:
        xp = block.xp
        probability, (gains, costs) = block.where_valid(block.probabilities), self._matrices(block)
        cost = xp.matmul(costs, probability)
        gain = xp.matmul(gains, probability) if self._adds_to_one(block) else 1 - cost
        return gain * block.target, xp.zeros_like(cost), cost * block.target

    def derivative(self, block: Block, *by: Array) -> Array:
        xp = block.xp
        by_hit, _, by_miss = (block.cast(each) * block.target for each in by)
        gains, costs = (xp.matrix_transpose(matrix) for matrix in self._matrices(block))
        gradient = xp.matmul(costs, by_miss)
        gradient += xp.matmul(gains if self._adds_to_one(block) else -costs, by_hit)
        return gradient

    def _matrices(self, block: Block) -> tuple[Array, Array]:
        """Return what a prediction of each class gains and costs, from 0 to 1."""
        costs = block.xp.astype(self.costs, block.dtype, copy=False)
        return 1 - costs, costs

    def _adds_to_one(self, block: Block) -> bool:
        """Return whether the probabilities of a pixel add to 1, so that gain and cost do too."""
        return block.batch.activation == "softmax"


@dataclass(frozen=True)
class RegionBlend(Term):
    """The weighted sum of region losses of the same amounts, which are counted and pulled back once."""

    terms: Sequence[RegionTerm]
    factors: Sequence[float]
    reduction: Reduction = "mean"

    def pulls_from_kept(self, batch: Batch) -> bool:
        return self.terms[0].pulls_from_kept(batch)

    def count(self, block: Block) -> Sums:
        return self.terms[0].count(block)

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, State]:
        pairs = zip(self.terms, self.factors, strict=True)
        values, states = zip(*(term.solve(sums, batch, factor * share) for term, share in pairs), strict=True)
        return reduce(add, values), tuple(reduce(add, parts) for parts in zip(*states, strict=True))

    def pull(self, block: Block, state: State) -> Array:
        return self.terms[0].pull(block, state)
