"""Terms of pixel losses: a formula of the log-probability of the target, weighted and averaged over pixels.

With t the target and phi the formula, the loss of a pixel is, for exclusive classes, sum_c t_c phi(log p_c), whose
gradient in logit k is t_k phi'_k - p_k sum_c t_c phi'_c. For independent ones it is t phi(log s(z)) +
(1 - t) phi(log s(-z)).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from arrayseg._checks import is_exactly
from arrayseg._typing import Array, Denominator, Reduction
from arrayseg.engine.activations import SoftmaxBlock
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_formulas import Formula, cross_entropy
from arrayseg.engine.sweep import Sums, Term

__all__ = ["MeanTerm", "PixelTerm"]


@dataclass(frozen=True, kw_only=True)
class MeanTerm(Term):
    """The mean of a loss over pixels: `count` the denominator, sum the losses, pull back their gradient."""

    reduction: Reduction = "mean"
    denominator: Denominator = "weights"
    of_nothing: float = 0.0
    """The mean if no pixel counts."""

    is_sum_of_losses = True

    @abstractmethod
    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Return the losses of a block, `(B, P)`, and the gradient of `scale` times their sum in the logits.

        The losses are 0 where a pixel is not valid. The gradient is `(B, C, P)`, or None if there is no scale.
        """

    def count(self, block: Block) -> Sums:
        xp = block.xp
        kind = self.denominator if self.reduction == "mean" else "all"
        batch = block.batch
        # The weights of the classes count as torch counts them: for ids of exclusive classes alone.
        by_id = batch.has_ids and not batch.binary and batch.class_weights is not None
        if kind == "all":
            amount = xp.full((block.images,), float(block.pixels), dtype=batch.sum_dtype, device=block.device)
        elif kind == "positives":
            positives = block.target if batch.binary else block.target[:, 1:, :]
            amount = block.sum(positives, axis=(1, 2))
        elif kind == "weights" and by_id:
            amount = block.sum(block.where_valid(block.weighted(block.at_id(self._class_weights(block)))), axis=1)
        else:
            amount = block.amount if kind == "weights" else block.valid_amount
        if kind == "elements" or (kind == "weights" and batch.binary):
            amount = amount * block.classes
        return (amount,)

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, Array]:
        xp = batch.xp
        total = xp.sum(sums[0])
        value = xp.zeros_like(total)
        if self.reduction == "sum":
            scale = xp.ones_like(total) * factor
        else:
            some = xp.astype(total > 0, total.dtype)
            scale = some * factor / (total + (1 - some))
            if self.of_nothing != 0:
                value = xp.where(total > 0, value, xp.full_like(total, self.of_nothing))
        if len(sums) > 1:
            value = value + xp.sum(sums[1]) * scale
        return value, scale

    def pull(self, block: Block, state: Array) -> Array:
        _, gradient = self.losses(block, block.cast(state))
        return gradient

    def pull_with_value(self, block: Block, state: Array) -> tuple[Array, Array]:
        losses, gradient = self.losses(block, block.cast(state))
        return block.xp.sum(block.sum(losses, axis=1)) * state, gradient

    def pixel_losses(self, block: Block) -> Array:
        losses, _ = self.losses(block, None)
        return losses

    def _weigh(self, block: Block, losses: Array) -> Array:
        """Return losses `(B, P)`, or of independent classes `(B, C, P)`, times their weights; 0 where not valid."""
        if block.batch.class_weights is None:
            return block.weighted(block.where_valid(losses))
        if losses.ndim == 3:
            return block.weighted(block.where_valid(self._scale_classes(block, losses)))
        if block.batch.has_ids:
            of_target = block.at_id(self._class_weights(block))
        else:
            of_target = block.xp.sum(self._scale_classes(block, block.target), axis=1)
        return block.weighted(block.where_valid(losses * of_target))

    def _class_weights(self, block: Block) -> Array:
        return block.xp.astype(block.batch.class_weights, block.dtype, copy=False)

    def _scale_classes(self, block: Block, shares: Array, extra: Array | None = None) -> Array:
        """Return the share of each class, `(B, C, P)`, times the weights of the classes, `(C,)` or `(N, C)`."""
        for weights in (block.batch.class_weights, extra):
            if weights is not None:
                of_rows = weights if weights.ndim == 1 else weights[block.image_slice, :]
                shares = shares * block.xp.astype(of_rows, block.dtype, copy=False)[..., :, None]
        return shares


@dataclass(frozen=True)
class PixelTerm(MeanTerm):
    """The mean of a formula of the log-probability of the target."""

    formula: Formula
    negative_formula: Formula | None = None
    """The formula of what is not the target, if it differs. Only independent classes have such a term."""
    label_smoothing: float = 0.0
    positive_weights: Array | None = None
    """Factors of the loss of a class where it is the target. No denominator counts them.

    Their shape is `(C,)` or, for independent classes alone, `(N, C)`.
    """
    negative_weights: Array | None = None
    """The same where it is not the target. Only independent classes have such a term."""

    def pulls_from_kept(self, batch: Batch) -> bool:
        return self.formula is cross_entropy and self._is_by_id(batch) and batch.activation == "softmax"

    def _is_by_id(self, batch: Batch) -> bool:
        """Return whether the target of each pixel is one of the exclusive classes."""
        return batch.has_ids and not batch.binary and is_exactly(self.label_smoothing, 0)

    def pull(self, block: Block, state: Array) -> Array:
        if not self.pulls_from_kept(block.batch):
            return super().pull(block, state)
        weights, slope = self._weights_of_ids(block), -block.cast(state)
        return block.pull_back_log_at_id(slope if weights is None else slope * weights)

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        batch = block.batch
        if batch.binary:
            is_integral = block.xp.isdtype(batch.target.dtype, ("bool", "integral"))
            if is_integral and is_exactly(self.label_smoothing, 0):
                return self._independent_hard(block, scale)
            if batch.activation == "sigmoid" and self._is_unweighted_cross_entropy(batch):
                return self._independent_cross_entropy(block, scale)
            return self._independent(block, scale)
        if self._is_by_id(batch):
            return self._of_ids(block, scale)
        if isinstance(block, SoftmaxBlock) and self.formula is cross_entropy:
            return self._cross_entropy_of_distributions(block, scale)
        return self._of_distributions(block, scale)

    def _of_ids(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Return the losses of exclusive classes with one id a pixel, from the log-probability of the id."""
        log_p, weights = block.log_probability_at_id, self._weights_of_ids(block)
        if weights is None:
            losses, slope = self.formula(log_p, block.xp)
        else:
            losses, slope = self.formula(block.backend.functions.finite_where_zero(log_p, weights), block.xp)
            losses = losses * weights
        if scale is None:
            return losses, None
        slope = slope * scale if weights is None else slope * weights * scale
        return losses, block.pull_back_log_at_id(slope)

    def _of_distributions(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Return the losses of exclusive classes with a distribution a pixel: soft targets and smoothed ids."""
        xp = block.xp
        log_p, shares = block.log_probabilities, block.weighted(self._shares(block))
        log_p = block.backend.functions.finite_where_zero(log_p, shares)
        if scale is None:

            def of_classes(shares: Array, log_p: Array, *, axis: int) -> Array:
                return xp.sum(shares * self.formula(log_p, xp)[0], axis=axis, keepdims=True)

            return block.where_valid(block.over_classes(of_classes, shares, log_p)[:, 0, :]), None
        value, slope = self.formula(log_p, xp)
        losses = xp.sum(block.where_valid(shares * value), axis=1)
        return losses, block.pull_back_log(block.where_valid(shares * slope) * scale)

    def _cross_entropy_of_distributions(self, block: SoftmaxBlock, scale: Array | None) -> tuple[Array, Array | None]:
        """Return the same for the cross entropy."""
        shares = block.weighted(self._shares(block))
        losses = block.cross_entropy(shares)
        if scale is None:
            return losses, None
        # With smoothed ids, no difference of p and t is 0 for a p that is nearly 1.
        return losses, block.pull_back_log(shares * -scale, cancels=not block.batch.has_ids)

    def _independent(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Return the losses of independent classes, with any target from 0 to 1."""
        xp, shared = block.xp, block.backend.functions.finite_where_zero
        log_p, log_q = block.log_of_sides
        target = self._smoothed(block)
        positive = self._scale_classes(block, target, self.positive_weights)
        negative = self._scale_classes(block, 1 - target, self.negative_weights)
        on, on_slope = self.formula(shared(log_p, positive), xp)
        off, off_slope = (self.negative_formula or self.formula)(shared(log_q, negative), xp)
        losses = xp.sum(block.weighted(positive * on + negative * off), axis=1)
        if scale is None:
            return losses, None
        inner, outer = block.slopes_of_sides
        steps = positive * on_slope * inner - negative * off_slope * outer
        return losses, block.weighted(steps) * scale

    def _independent_cross_entropy(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Return the same for the unweighted cross entropy of logits.

        It is u |z| + log(1 + exp(-|z|)), with u the share of the side that z is not on. Nothing cancels in it, nor in
        its derivative in |z|, u - s(-|z|).
        """
        xp, backend = block.xp, block.backend
        sign = xp.astype(block.logits >= 0, block.dtype)
        wrong = sign - self._smoothed(block)  # u with the sign of z
        losses = wrong * backend.functions.finite_where_zero(block.logits, wrong)
        if scale is None:
            return block.sum_classes(block.weighted(losses + backend.functions.log_rest(block.logits))), None
        sign *= -2
        sign += 1
        slope = backend.functions.exp_in_place(sign * block.logits)
        losses += xp.log1p(slope)
        slope /= slope + 1
        slope *= sign
        slope += wrong
        return block.sum_classes(block.weighted(losses)), block.workspace.multiply(block.weighted(slope), scale)

    def _independent_hard(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Return the losses of independent classes with hard targets: one logarithm, of the side of the target."""
        xp, backend = block.xp, block.backend
        if scale is None:
            log_p = block.log_of_side
        else:
            loss, inner = block.loss_of_side()
            if self._is_unweighted_cross_entropy(block.batch):
                gradient = block.workspace.multiply(inner, block.weighted(block.signs * scale))
                return block.sum_classes(block.weighted(loss)), gradient
            log_p = -loss
        shares = self._shares_of_sides(block)
        log_p = log_p if shares is None else backend.functions.finite_where_zero(log_p, shares)
        if self.negative_formula is None:
            value, slope = self.formula(log_p, xp)
        else:
            on, on_slope = self.formula(backend.functions.finite_where_zero(log_p, block.target), xp)
            off, off_slope = self.negative_formula(backend.functions.finite_where_zero(log_p, 1 - block.target), xp)
            value, slope = (off + block.target * (on - off) for on, off in ((on, off), (on_slope, off_slope)))
        losses = block.sum_classes(block.weighted(value if shares is None else value * shares))
        if scale is None:
            return losses, None
        steps = block.signs * (slope * -scale)
        steps = steps if shares is None else steps * shares
        return losses, block.workspace.multiply(block.weighted(steps), inner)

    def _is_unweighted_cross_entropy(self, batch: Batch) -> bool:
        weights = (self.positive_weights, self.negative_weights, batch.class_weights)
        return self.formula is cross_entropy and self.negative_formula is None and all(w is None for w in weights)

    def _smoothed(self, block: Block) -> Array:
        """Return the target of independent classes, `(B, C, P)`."""
        if is_exactly(self.label_smoothing, 0):
            return block.target
        return block.target * (1 - self.label_smoothing) + self.label_smoothing / 2

    def _weights_of_ids(self, block: Block) -> Array | None:
        """Return the weight of each pixel and its class, `(B, P)`, or None if all are 1."""
        weights = block.weight
        for of_class in (block.batch.class_weights, self.positive_weights):
            if of_class is not None:
                at_id = block.at_id(block.xp.astype(of_class, block.dtype, copy=False))
                weights = at_id if weights is None else weights * at_id
        return weights

    def _shares_of_sides(self, block: Block) -> Array | None:
        """Return the factor of the loss of each class, `(B, C, P)`, on the side of its target; None if all are 1."""
        if self.positive_weights is None and self.negative_weights is None and block.batch.class_weights is None:
            return None
        return self._scale_classes(block, block.target, self.positive_weights) + self._scale_classes(
            block, 1 - block.target, self.negative_weights
        )

    def _shares(self, block: Block) -> Array:
        """Return the weighted share of each class in a pixel's target, `(B, C, P)`."""
        target = block.target
        if not is_exactly(self.label_smoothing, 0):
            target = target * (1 - self.label_smoothing) + self.label_smoothing / block.classes
        return self._scale_classes(block, target, self.positive_weights)
