"""Pixel losses of two distributions, the probabilities and a target that may be soft.

The loss of a pixel is sum_c d(log p_c, t_c). With d' the derivative in log p, its gradient in logit k is, for
exclusive classes, d'_k - p_k sum_c d'_c. Independent classes are distributions of two outcomes each: the loss is
d(log s(z), t) + d(log s(-z), 1 - t).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from arrayseg._checks import is_exactly
from arrayseg._typing import Array, Namespace
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_formulas import guarded_power
from arrayseg.engine.pixel_term import MeanTerm, limited, safe_log

__all__ = ["Divergence", "DivergenceTerm", "dual_focal", "jensen_shannon", "kullback_leibler", "quality_focal"]

Divergence = Callable[[Array, Array, Namespace], tuple[Array, Array]]
"""From log p, the target t and the namespace to the loss and its derivative in log p."""


def kullback_leibler(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """t log(t / p)."""
    log_target = xp.log(_positive(target, xp))
    return target * (log_target - log_probability), -target


def jensen_shannon(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """(t log(t / m) + p log(p / m)) / 2 with m = (p + t) / 2, whose derivative in p is log(p / m) / 2."""
    probability = xp.exp(log_probability)
    likely = target > 0.5
    # What both lack to 1: the logarithm of a mean that is nearly 1 has its digits.
    lacking = xp.where(likely, (xp.expm1(log_probability) + (target - 1)) / 2, xp.zeros_like(target))
    middle = xp.where(likely, xp.ones_like(target), (probability + target) / 2)
    log_middle = xp.log(_positive(middle, xp)) + xp.log1p(lacking)
    log_target = xp.log(_positive(target, xp))
    slope = probability * (limited(log_probability, xp) - log_middle) / 2
    return slope + target * (log_target - log_middle) / 2, slope


def _difference(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """The probability and what it has more than the target, with its digits where both are nearly 1."""
    probability = xp.exp(log_probability)
    difference = xp.where(target > 0.5, xp.expm1(log_probability) + (1 - target), probability - target)
    return probability, difference


def _positive(shares: Array, xp: Namespace) -> Array:
    """Return the shares, with 1 for 0: nothing is multiplied with the logarithm of 0."""
    return xp.where(shares <= 0, xp.ones_like(shares), shares)


def dual_focal(epsilon: float) -> Divergence:
    """-log(epsilon + 1 - (p - t)^2)."""

    def divergence(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
        probability, difference = _difference(log_probability, target, xp)
        # 1 - (p - t)^2 as a product: next to 1 the square would cancel, and next to 0 the logarithm
        inside = epsilon + (target - xp.expm1(log_probability)) * (probability + (1 - target))
        near = xp.abs(difference) < 0.5
        one, zero = xp.ones_like(inside), xp.zeros_like(inside)
        close = xp.log1p(xp.where(near, epsilon - difference**2, zero))
        return -close - xp.log(xp.where(near, one, inside)), 2 * probability * difference / inside

    return divergence


def quality_focal(beta: float) -> Divergence:
    """-|t - p|^beta t log p."""

    def divergence(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
        if is_exactly(beta, 0):
            return -target * log_probability, -target
        probability, difference = _difference(log_probability, target, xp)
        sign = 2 * xp.astype(difference >= 0, difference.dtype) - 1
        size = difference * sign
        power, by_size = guarded_power(size, beta, xp)
        slope = power + by_size * sign * probability * limited(log_probability, xp)
        return -target * power * log_probability, -target * slope

    return divergence


@dataclass(frozen=True)
class DivergenceTerm(MeanTerm):
    """The mean of a divergence, of distributions that are softened by a temperature."""

    divergence: Divergence
    temperature: float = 1.0
    """What logits are divided by; the result is multiplied by its square."""
    target_logits: bool = False
    """The target holds logits, which get the activation and the temperature of the input."""

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        block = self._softened(block)
        losses, gradient = (self._independent if block.pixels.binary else self._exclusive)(block, scale)
        if is_exactly(self.temperature, 1):
            return losses, gradient
        return losses * self.temperature**2, None if gradient is None else gradient * self.temperature

    def _softened(self, block: Block) -> Block:
        """The block with logits divided by the temperature and, where they are logits too, targets made of them."""
        pixels = block.pixels
        if self.target_logits:
            logits = Block(replace(pixels, scores=block.target / self.temperature), block.rows)
            pixels = replace(pixels, target=logits.probabilities)
        if not is_exactly(self.temperature, 1):
            pixels = replace(pixels, scores=block.scores / self.temperature)
        return block if pixels is block.pixels else Block(pixels, block.rows)

    def _exclusive(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp = block.xp
        if block.pixels.activation is None:
            log_p, inner = safe_log(block.scores, xp)
        else:
            log_p, inner = block.log_softmax, None
        value, slope = self.divergence(block.backend.shared(log_p, block.target), block.target, xp)
        losses = self._weigh(block, xp.sum(value, axis=1))
        if scale is None:
            return losses, None
        steps = slope * (self._weigh(block, xp.ones_like(losses)) * scale)[:, None, :]
        if inner is not None:
            return losses, steps * inner
        return losses, block.pull_back_log(steps)

    def _independent(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp = block.xp
        if block.pixels.activation is None:
            log_p, inner = safe_log(block.scores, xp)
            log_q, outer = safe_log(1 - block.scores, xp)
        else:
            log_p, log_q = block.log_sigmoids
            inner, outer = None, None
        other, shared = 1 - block.target, block.backend.shared
        on, on_slope = self.divergence(shared(log_p, block.target), block.target, xp)
        off, off_slope = self.divergence(shared(log_q, other), other, xp)
        losses = xp.sum(self._weigh(block, on + off), axis=1)
        if scale is None:
            return losses, None
        if inner is None:
            inner, outer = block.complements, block.probabilities
        return losses, self._weigh(block, on_slope * inner - off_slope * outer) * scale
