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
    "cross_entropy",
    "expm1_ratio",
    "focal",
    "guarded_power",
    "limited",
    "safe_log",
]


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
        # 1 - e^l without cancellation. Where it is almost 0, so are value and derivative for every gamma. The
        # derivative of the power would be infinite there for gamma < 1. The comparison is false for NaN, which passes.
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

    The true derivative at 0 may be infinite. The comparison is false for NaN, which passes.
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
    """Return log p and its derivative, clamped like in torch.

    Where p is 0 or too small for 1 / p to be finite, the value is -100 and the derivative 0.
    """
    floor = max(exp(-100.0), float(xp.finfo(probability.dtype).smallest_normal))
    outside = probability <= floor  # false for NaN, which stays
    safe = xp.where(outside, xp.ones_like(probability), probability)
    low = xp.full_like(probability, -100.0)
    return xp.where(outside, low, xp.log(safe)), xp.where(outside, xp.zeros_like(probability), 1 / safe)
