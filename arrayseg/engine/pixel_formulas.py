"""Formulas of pixel losses: from the log-probability l of the target to the loss and its derivative in l."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import exp
from operator import mul
from typing import Any

from arrayseg._checks import is_exactly, is_traced
from arrayseg._typing import Array, Namespace

__all__ = [
    "Formula",
    "asymmetric_negative",
    "cross_entropy",
    "expm1_ratio",
    "focal",
    "focal_weight",
    "generalized_cross_entropy",
    "guarded_power",
    "limited",
    "poly",
    "reduced_focal",
    "safe_log",
    "symmetric_cross_entropy",
]


#: Below this exponent (1 - p^q) / q is -log p in every digit, and q log p may be 0.
LEAST_EXPONENT = 1e-20

#: Exponents whose powers are products, which take a tenth of the time of a power.
SMALL_POWERS = (1, 2, 3, 4, 5)

#: Of all numbers below 1 this power is 0; greater ones would overflow float32.
GREATEST_POWER = 1e30

#: A finite logarithm of numbers that are 0 in float64.
LEAST_LOGARITHM = -1000.0

Formula = Callable[[Array, Any], tuple[Array, Any]]
"""From the log-probability and the namespace to the loss and its derivative in the log-probability.

A derivative that is the same everywhere may be a number.
"""


def cross_entropy(log_probability: Array, xp: Namespace) -> tuple[Array, float]:
    """-l."""
    return -log_probability, -1.0


def focal(gamma: float) -> Formula:
    """-(1 - e^l)^gamma l."""
    if is_exactly(gamma, 0):
        return cross_entropy
    if is_exactly(gamma, *SMALL_POWERS):
        return _whole_focal(int(gamma))
    if not is_traced(gamma):
        gamma = min(gamma, GREATEST_POWER)

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        # 1 - e^l without cancellation. Where it is next to nothing so are value and derivative, whatever gamma; the
        # derivative of a power would be infinite there for gamma < 1. A comparison that is false for NaN lets it pass.
        rest = -xp.expm1(log_probability)
        outside = rest <= float(xp.finfo(rest.dtype).smallest_normal)
        rest = xp.where(outside, xp.ones_like(rest), rest)
        power = rest**gamma
        zero = xp.zeros_like(rest)
        value = xp.where(outside, zero, -power * log_probability)
        slope = power * (gamma * ((1 - rest) * limited(log_probability, xp) / rest) - 1)
        return value, xp.where(outside, zero, slope)

    return formula


def _whole_focal(gamma: int) -> Formula:
    """Return the focal formula for a small whole gamma: its powers are products, with derivatives everywhere."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        less = xp.expm1(log_probability)  # e^l - 1, without cancellation
        power = reduce(mul, [-less] * (gamma - 1) or [1.0])
        value = power * less * log_probability
        return value, power * (gamma * ((less + 1) * limited(log_probability, xp)) + less)

    return formula


def limited(log_probability: Array, xp: Namespace) -> Array:
    """Return a finite log-probability: its product with a probability of 0 is 0."""
    return xp.maximum(log_probability, xp.full_like(log_probability, LEAST_LOGARITHM))


def poly(epsilon: float) -> Formula:
    """-l + epsilon (1 - e^l)."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        value = -log_probability - epsilon * xp.expm1(log_probability)
        return value, -1 - epsilon * xp.exp(log_probability)

    return formula


def generalized_cross_entropy(q: float) -> Formula:
    """(1 - e^(q l)) / q, which is -l for q = 0."""
    traced = is_traced(q)
    if not traced and q < LEAST_EXPONENT:
        return cross_entropy

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        steps = q * log_probability
        value = -log_probability * expm1_ratio(steps, xp) if traced else xp.expm1(steps) / -q
        return value, -xp.exp(steps)

    return formula


def symmetric_cross_entropy(alpha: float, beta: float, log_zero: float) -> Formula:
    """-alpha l - beta A (1 - e^l): with A for log 0, the second part is the cross entropy of the swapped arguments."""
    reverse = beta * log_zero

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        value = reverse * xp.expm1(log_probability)
        if not is_exactly(alpha, 0):  # 0 times an infinite logarithm would be NaN
            value = value - alpha * log_probability
        return value, reverse * xp.exp(log_probability) - alpha

    return formula


def focal_weight(gamma: float) -> Formula:
    """(1 - e^l)^gamma, the weight of the focal loss on its own."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        rest = -xp.expm1(log_probability)
        if is_exactly(gamma, 0):
            return rest * 0 + 1, rest * 0  # NaN stays NaN
        value, slope = guarded_power(rest, gamma, xp)
        return value, slope * (rest - 1)

    return formula


def reduced_focal(gamma: float, threshold: float, divisor: float) -> Formula:
    """-l where e^l is at most the threshold, -((1 - e^l) / divisor)^gamma l above."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        rest = -xp.expm1(log_probability)
        easy = rest < 1 - threshold
        one, zero = xp.ones_like(rest), xp.zeros_like(rest)
        power, by_rest = guarded_power(xp.where(easy, rest / divisor, one), gamma, xp)
        weight = xp.where(easy, power, one)
        slope = xp.where(easy, by_rest * (rest - 1) / divisor, zero)
        return -weight * log_probability, -weight - slope * limited(log_probability, xp)

    return formula


def asymmetric_negative(gamma: float, margin: float) -> Formula:
    """-r^gamma log(1 - r), r = max(1 - e^l - margin, 0): negatives with a probability below the margin are let go."""
    if is_exactly(margin, 0):
        return focal(gamma)

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        excess = -xp.expm1(log_probability) - margin
        outside = excess <= 0
        zero = xp.zeros_like(excess)
        excess = xp.where(outside, zero, excess)
        power, by_excess = guarded_power(excess, gamma, xp)
        rest = xp.where(excess > 0.5, xp.exp(log_probability) + margin, 1 - excess)  # at least the margin
        log_rest = xp.where(excess > 0.5, xp.log(rest), xp.log1p(-xp.where(excess > 0.5, zero, excess)))
        slope = (by_excess * log_rest - power / rest) * xp.exp(log_probability)
        return xp.where(outside, zero, -power * log_rest), xp.where(outside, zero, slope)

    return formula


def expm1_ratio(exponent: Array, xp: Namespace) -> Array:
    """(e^x - 1) / x, which is 1 at 0, with its derivatives there: near 0 it is a series."""
    near = xp.abs(exponent) < 0.1
    zero, one = xp.zeros_like(exponent), xp.ones_like(exponent)
    small = xp.where(near, exponent, zero)
    series = one
    for order in range(11, 1, -1):
        series = 1 + series * small / order
    large = xp.where(near, one, exponent)
    return xp.where(near, series, xp.expm1(large) / large)


def guarded_power(base: Array, exponent: float, xp: Namespace) -> tuple[Array, Array]:
    """Return the power of a number of at least 0, and its derivative: both 0 if the number is 0 or subnormal.

    The derivative at 0 may be infinite. A comparison that is false for NaN lets it pass.
    """
    outside = base <= float(xp.finfo(base.dtype).smallest_normal)
    one, zero = xp.ones_like(base), xp.zeros_like(base)
    safe = xp.where(outside, one, base)
    if is_exactly(exponent, *SMALL_POWERS):
        lower = reduce(mul, [safe] * (int(exponent) - 1), one)
        power = lower * safe
    else:
        exponent = exponent if is_traced(exponent) else min(exponent, GREATEST_POWER)
        power = safe**exponent
        lower = power / safe
    return xp.where(outside, zero, power), xp.where(outside, zero, exponent * lower)


def safe_log(probability: Array, xp: Namespace) -> tuple[Array, Array]:
    """log p, but -100 with derivative 0 where p is 0 or too small for 1 / p to be finite, as torch clamps it."""
    floor = max(exp(-100.0), float(xp.finfo(probability.dtype).smallest_normal))
    outside = probability <= floor  # false for NaN, which stays
    safe = xp.where(outside, xp.ones_like(probability), probability)
    low = xp.full_like(probability, -100.0)
    return xp.where(outside, low, xp.log(safe)), xp.where(outside, xp.zeros_like(probability), 1 / safe)
