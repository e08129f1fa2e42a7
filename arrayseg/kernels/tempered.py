"""The bi-tempered logistic loss: a heavy-tailed softmax and a bounded logarithm.

exp_t(x) = (1 + (1 - t) x)^(1 / (1 - t)) and log_t(x) = (x^(1 - t) - 1) / (1 - t) are exp and log for t = 1. The
tempered softmax is p = exp_t2(z - m) with the m for which the sum is 1; its derivative dp_i/dz_j is p_i^t2 ([i = j] -
e_j) with the escort distribution e = p^t2 / sum p^t2. All is computed from log p, which is finite where p underflows.
"""

from __future__ import annotations

from dataclasses import dataclass

from arrayseg._checks import is_exactly, is_traced
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_formulas import expm1_ratio
from arrayseg.engine.pixel_term import MeanTerm

__all__ = ["BiTemperedTerm"]

# Newton steps before the two that are differentiated; with those, the sum was 1 to 1e-12 for t from 1 to 10 and 2 to
# 1000 classes, whatever the spread of the scores.
STEPS = 5


def log_tempered_softmax(scores: Array, t: float, backend: Backend) -> Array:
    """The logarithm of the tempered softmax over axis 1, of which autodiff finds the right first two derivatives.

    The first steps are constants of the derivative. Each of the last two is not, and so adds an order to what is right.
    """
    xp = backend.xp
    constants = backend.stop_gradient(scores)
    normalizer = xp.max(constants, axis=1, keepdims=True)
    for _ in range(STEPS):
        normalizer = newton_step(constants, normalizer, t, xp)
    for _ in range(2):
        normalizer = newton_step(scores, normalizer, t, xp)
    return log_exp_t(scores - normalizer, t, xp)


def newton_step(scores: Array, normalizer: Array, t: float, xp: Namespace) -> Array:
    """A step towards a sum Z of 1, on Z^(1 - t) - 1: concave in m, and linear where all scores are equal."""
    logarithms = log_exp_t(scores - normalizer, t, xp)
    total = xp.sum(xp.exp(logarithms), axis=1, keepdims=True)
    escort = xp.sum(xp.exp(t * logarithms), axis=1, keepdims=True)
    return normalizer + log_t(xp.log(total), 2 - t, xp) * total / escort


def log_exp_t(scores: Array, t: float, xp: Namespace) -> Array:
    """The logarithm of the tempered exponential, of scores that are at most 0."""
    if is_exactly(t, 1):
        return scores
    logarithm = xp.log1p((1 - t) * scores)
    return scores / expm1_ratio(logarithm, xp) if is_traced(t) else logarithm / (1 - t)


def log_t(logarithm: Array, t: float, xp: Namespace) -> Array:
    """The tempered logarithm of a number whose logarithm is given; bounded below for t < 1."""
    if is_exactly(t, 1):
        return logarithm
    steps = (1 - t) * logarithm
    return logarithm * expm1_ratio(steps, xp) if is_traced(t) else xp.expm1(steps) / (1 - t)


@dataclass(frozen=True)
class BiTemperedTerm(MeanTerm):
    """The mean over pixels of sum_c t (log_t1 t - log_t1 p) - (t^(2 - t1) - p^(2 - t1)) / (2 - t1)."""

    t1: float
    t2: float
    label_smoothing: float = 0.0

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp, scores, target = block.xp, block.scores, block.target
        if block.pixels.binary:  # distributions of two outcomes, with the scores z and 0, or 0 and -z
            zero = xp.zeros_like(scores)
            scores = xp.stack([xp.minimum(scores, zero), -xp.maximum(scores, zero)], axis=1)
            target = xp.stack([target, 1 - target], axis=1)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / target.shape[1]
        log_p = block.backend.shared(log_tempered_softmax(scores, self.t2, block.backend), target)
        losses = self._weigh(block, xp.sum(self._divergence(log_p, target, xp), axis=1))
        if block.pixels.binary:
            losses = xp.sum(losses, axis=1)
        if scale is None:
            return losses, None
        steps = (xp.exp(log_p) - target) * xp.exp((self.t2 - self.t1) * log_p)
        escort = xp.exp(self.t2 * log_p)
        escort = escort / xp.sum(escort, axis=1, keepdims=True)
        gradient = steps - escort * xp.sum(steps, axis=1, keepdims=True)
        if block.pixels.binary:
            return losses, self._weigh(block, gradient[:, 0, ...]) * scale
        return losses, gradient * (self._weigh(block, xp.ones_like(gradient[:, 0, :])) * scale)[:, None, :]

    def _divergence(self, log_p: Array, target: Array, xp: Namespace) -> Array:
        power = 2 - self.t1
        least = float(xp.finfo(target.dtype).smallest_normal)  # times 0 it is 0; its logarithm is in the derivative
        log_target = xp.log(xp.maximum(target, xp.full_like(target, least)))
        match = target * (log_t(log_target, self.t1, xp) - log_t(log_p, self.t1, xp))
        return match - (target**power - xp.exp(power * log_p)) / power
