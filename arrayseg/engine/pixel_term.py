"""Pixel losses: a scalar function of the log-probability of a class, weighted and averaged over pixels.

With t the target and phi the formula, the loss of a pixel is, for exclusive classes, sum_c t_c phi(log p_c), whose
gradient in logit k is t_k phi'_k - p_k sum_c t_c phi'_c. For independent ones it is t phi(log s(z)) +
(1 - t) phi(log s(-z)).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from arrayseg._checks import is_exactly
from arrayseg._typing import Array, Denominator, Reduction
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_formulas import Formula, cross_entropy, safe_log
from arrayseg.engine.sweep import Sums, Term

__all__ = ["MeanTerm", "PixelTerm"]


@dataclass(frozen=True, kw_only=True)
class MeanTerm(Term):
    """A mean over pixels in the steps of the block driver: count the denominator, pull value and gradient."""

    reduction: Reduction = "mean"
    denominator: Denominator = "weights"
    of_nothing: float = 0.0
    """The mean where nothing took part."""

    sums = 1
    value_in_pull = True

    @abstractmethod
    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """The losses of a block, `(B, P)`, 0 where a pixel is not valid, and the gradient of `scale` times their sum.

        The gradient is `(B, C, P)`, in the scores; None where there is no scale.
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
            return value, xp.ones_like(total) * factor
        some = xp.astype(total > 0, total.dtype)
        if self.of_nothing != 0:
            value = xp.where(total > 0, value, xp.full_like(total, self.of_nothing))
        return value, some * factor / (total + (1 - some))

    def pull(self, block: Block, scale: Array, *, gradient: bool) -> tuple[Array, Array | None]:
        losses, pulled = self.losses(block, block.xp.astype(scale, block.dtype) if gradient else None)
        return block.xp.sum(block.sum(losses, axis=1)) * scale, pulled

    def map(self, block: Block) -> Array:
        losses, _ = self.losses(block, None)
        return losses

    def _weigh(self, block: Block, losses: Array) -> Array:
        """Losses of pixels, `(B, P)`, or of independent classes, `(B, C, P)`, with their weights; 0 where not valid."""
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
        """What each class adds, `(B, C, P)`, times the weights of the classes, `(C,)` or one row an image, `(N, C)`."""
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
    """Of what is not the target, where that differs; only independent classes have such a term."""
    label_smoothing: float = 0.0
    positive_weights: Array | None = None
    """`(C,)`, or one row an image: multiplies the loss of a class where it is the target; no denominator counts it."""
    negative_weights: Array | None = None
    """Likewise where it is not; only independent classes have such a term."""
    log_input: bool = False
    """The scores are log-probabilities already."""

    def pulls_probabilities(self, batch: Batch) -> bool:
        by_id = batch.has_ids and not batch.binary and is_exactly(self.label_smoothing, 0)
        return by_id and self.formula is cross_entropy and batch.activation == "softmax" and not self.log_input

    def pull(self, block: Block, scale: Array, *, gradient: bool) -> tuple[Array | None, Array | None]:
        if not block.only_probabilities:
            return super().pull(block, scale, gradient=gradient)
        weights = self._weights_of_ids(block)
        slope = -block.xp.astype(scale, block.dtype)
        return None, block.pull_back_log_at_id(slope if weights is None else slope * weights)

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        if block.batch.binary:
            is_hard = is_exactly(self.label_smoothing, 0) and block.xp.isdtype(
                block.batch.target.dtype, ("bool", "integral")
            )
            if is_hard:
                return self._independent_hard(block, scale)
            plain = self._is_unweighted_cross_entropy(block) and block.batch.activation == "sigmoid"
            return self._independent_cross_entropy(block, scale) if plain else self._independent(block, scale)
        if block.batch.has_ids and is_exactly(self.label_smoothing, 0):
            return self._of_ids(block, scale)
        if self.formula is cross_entropy and block.batch.activation == "softmax" and not self.log_input:
            return self._cross_entropy_of_distributions(block, scale)
        return self._of_distributions(block, scale)

    def _of_ids(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Exclusive classes, one id a pixel: one gather, no one-hot values."""
        xp = block.xp
        if self.log_input or block.batch.activation is None:
            log_p, inner = self._log_of_input(block, block.at_id(block.logits))
        else:
            log_p, inner = block.log_softmax_at_id, None
        weights = self._weights_of_ids(block)
        value, slope = self.formula(
            log_p if weights is None else block.backend.functions.finite_where_zero(log_p, weights), xp
        )
        losses = value if weights is None else value * weights
        if scale is None:
            return losses, None
        slope = slope * scale if weights is None else slope * weights * scale
        if block.batch.activation is None:
            slope = slope if inner is None else slope * inner
            return losses, block.target * (slope[:, None, :] if slope.ndim else slope)
        return losses, block.pull_back_log_at_id(slope)

    def _of_distributions(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Exclusive classes, a distribution a pixel: soft targets and smoothed ids."""
        xp = block.xp
        if self.log_input or block.batch.activation is None:
            log_p, inner = self._log_of_input(block, block.logits)
        else:
            log_p, inner = block.log_softmax, None
        shares = block.weighted(self._shares(block))
        log_p = block.backend.functions.finite_where_zero(log_p, shares)
        if scale is None:

            def of_classes(shares: Array, log_p: Array, *, axis: int) -> Array:
                return xp.sum(shares * self.formula(log_p, xp)[0], axis=axis, keepdims=True)

            return block.where_valid(block.over_classes(of_classes, shares, log_p)[:, 0, :]), None
        value, slope = self.formula(log_p, xp)
        losses = xp.sum(block.where_valid(shares * value), axis=1)
        steps = block.where_valid(shares * slope) * scale
        if block.batch.activation is None:
            return losses, steps if inner is None else steps * inner
        return losses, block.pull_back_log(steps)

    def _cross_entropy_of_distributions(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """The same for -l."""
        shares = block.weighted(self._shares(block))
        losses = block.cross_entropy(shares)
        if scale is None:
            return losses, None
        # Of smoothed ids a difference of p and t is 0 for no p that is nearly 1.
        return losses, block.pull_back_log(shares * -scale, cancels=not block.batch.has_ids)

    def _independent(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Independent classes: each is the target or is not."""
        xp, shared = block.xp, block.backend.functions.finite_where_zero
        if block.batch.activation is None:
            log_p, inner = self._log_of_input(block, block.logits)
            log_q, outer = self._log_of_input(block, 1 - block.logits)
        else:
            log_p, log_q = block.log_sigmoids
            inner, outer = None, None
        target = self._smoothed(block)
        positive = self._scale_classes(block, target, self.positive_weights)
        negative = self._scale_classes(block, 1 - target, self.negative_weights)
        on, on_slope = self.formula(shared(log_p, positive), xp)
        off, off_slope = (self.negative_formula or self.formula)(shared(log_q, negative), xp)
        losses = xp.sum(block.weighted(positive * on + negative * off), axis=1)
        if scale is None:
            return losses, None
        if block.batch.activation == "sigmoid":
            inner, outer = block.complements, block.probabilities
        steps = positive * on_slope * inner - negative * off_slope * outer
        return losses, block.weighted(steps) * scale

    def _independent_cross_entropy(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """The same for -l without weights of classes: u |z| + log(1 + exp(-|z|)), u the share of the side z is not on.

        Nothing cancels in it, nor in its derivative in |z|, which is u - s(-|z|).
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
        return block.sum_classes(block.weighted(losses)), block.product(block.weighted(slope), scale)

    def _independent_hard(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        """Independent classes of hard targets: the formula is evaluated once, on the side the target is on."""
        xp, backend = block.xp, block.backend
        if block.batch.activation is None:
            log_p, inner = self._log_of_input(block, (1 - block.target) - block.signs * block.logits)
        elif scale is None:
            log_p, inner = backend.functions.log_sigmoid(-block.signs * block.logits), None
        else:
            loss, inner = backend.functions.softplus(block.signs * block.logits)
            if self._is_unweighted_cross_entropy(block):
                pulled = block.product(inner, block.weighted(block.signs * scale))
                return block.sum_classes(block.weighted(loss)), pulled
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
        steps = block.weighted(steps)
        return losses, steps if inner is None else block.product(steps, inner)

    def _is_unweighted_cross_entropy(self, block: Block) -> bool:
        weights = (self.positive_weights, self.negative_weights, block.batch.class_weights)
        no_others = self.negative_formula is None and all(each is None for each in weights)
        return self.formula is cross_entropy and no_others and not self.log_input

    def _smoothed(self, block: Block) -> Array:
        """The target of independent classes, `(B, C, P)`."""
        if is_exactly(self.label_smoothing, 0):
            return block.target
        return block.target * (1 - self.label_smoothing) + self.label_smoothing / 2

    def _log_of_input(self, block: Block, probability: Array) -> tuple[Array, Array | None]:
        """The log-probability of an input that has no activation, and its derivative; None for 1."""
        if self.log_input:
            return probability, None
        return safe_log(probability, block.xp)

    def _weights_of_ids(self, block: Block) -> Array | None:
        """The weight of each pixel, `(B, P)`; None for 1."""
        weights = block.weight
        for of_class in (block.batch.class_weights, self.positive_weights):
            if of_class is not None:
                found = block.at_id(block.xp.astype(of_class, block.dtype, copy=False))
                weights = found if weights is None else weights * found
        return weights

    def _shares_of_sides(self, block: Block) -> Array | None:
        """What multiplies the loss of each class, `(B, C, P)`, by whether it is the target; None for 1."""
        if self.positive_weights is None and self.negative_weights is None and block.batch.class_weights is None:
            return None
        return self._scale_classes(block, block.target, self.positive_weights) + self._scale_classes(
            block, 1 - block.target, self.negative_weights
        )

    def _shares(self, block: Block) -> Array:
        """The weighted share of each class in a pixel's target, `(B, C, P)`."""
        target = block.target
        if not is_exactly(self.label_smoothing, 0):
            target = target * (1 - self.label_smoothing) + self.label_smoothing / block.classes
        return self._scale_classes(block, target, self.positive_weights)
