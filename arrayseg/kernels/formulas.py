"""Formulas of pixel losses: from the log-probability l of the target to the loss and its derivative in l."""

from __future__ import annotations

from functools import reduce
from operator import mul

from arrayseg._typing import Array, Namespace
from arrayseg.kernels.pixel import Formula, cross_entropy, focal

__all__ = [
    "asymmetric_negative",
    "focal_weight",
    "generalized_cross_entropy",
    "poly",
    "reduced_focal",
    "symmetric_cross_entropy",
]


def poly(epsilon: float) -> Formula:
    """-l + epsilon (1 - e^l)."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        value = -log_probability - epsilon * xp.expm1(log_probability)
        return value, -1 - epsilon * xp.exp(log_probability)

    return formula


def generalized_cross_entropy(q: float) -> Formula:
    """(1 - e^(q l)) / q, which is -l for q = 0."""
    if q == 0:
        return cross_entropy

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        return xp.expm1(q * log_probability) / -q, -xp.exp(q * log_probability)

    return formula


def symmetric_cross_entropy(alpha: float, beta: float, log_zero: float) -> Formula:
    """-alpha l - beta A (1 - e^l): with A for log 0, the second part is the cross entropy of the swapped arguments."""
    reverse = beta * log_zero

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        value = reverse * xp.expm1(log_probability) - alpha * log_probability
        return value, reverse * xp.exp(log_probability) - alpha

    return formula


def focal_weight(gamma: float) -> Formula:
    """(1 - e^l)^gamma, the weight of the focal loss on its own."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        if gamma == 0:
            return xp.ones_like(log_probability), xp.zeros_like(log_probability)
        rest = -xp.expm1(log_probability)
        value, slope = guarded_power(rest, gamma, rest > 0, xp)
        return value, slope * (rest - 1)

    return formula


def reduced_focal(gamma: float, threshold: float, divisor: float) -> Formula:
    """-l where e^l is at most the threshold, -((1 - e^l) / divisor)^gamma l above."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        rest = -xp.expm1(log_probability)
        easy = rest < 1 - threshold
        one, zero = xp.ones_like(rest), xp.zeros_like(rest)
        power, by_rest = guarded_power(rest / divisor, gamma, easy & (rest > 0), xp)
        weight = xp.where(easy, power, one)
        slope = xp.where(easy, by_rest * (rest - 1) / divisor, zero)
        return -weight * log_probability, -weight - slope * log_probability

    return formula


def asymmetric_negative(gamma: float, margin: float) -> Formula:
    """-r^gamma log(1 - r), r = max(1 - e^l - margin, 0): negatives with a probability below the margin are let go."""
    if margin == 0:
        return focal(gamma)

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        excess = -xp.expm1(log_probability) - margin
        inside = excess > 0
        zero = xp.zeros_like(excess)
        excess = xp.where(inside, excess, zero)
        power, by_excess = guarded_power(excess, gamma, inside, xp)
        log_rest = xp.log1p(-excess)  # at least the logarithm of the margin
        slope = (by_excess * log_rest - power / (1 - excess)) * xp.exp(log_probability)
        return xp.where(inside, -power * log_rest, zero), xp.where(inside, slope, zero)

    return formula


def guarded_power(base: Array, exponent: float, inside: Array, xp: Namespace) -> tuple[Array, Array]:
    """The power and its derivative where `inside`, 0 elsewhere: a derivative at 0 may be infinite."""
    one, zero = xp.ones_like(base), xp.zeros_like(base)
    safe = xp.where(inside, base, one)
    is_small_whole = exponent in (1, 2, 3, 4, 5)  # products, which take a tenth of the time of a power
    lower = reduce(mul, [safe] * (int(exponent) - 1), one) if is_small_whole else safe ** (exponent - 1)
    return xp.where(inside, lower * safe, zero), xp.where(inside, exponent * lower, zero)
