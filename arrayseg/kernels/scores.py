"""Scores: what region losses make of their sums, each with its derivatives.

I = sum p t, P = sum p and T = sum t stand in arrays of one row per image (or one for the batch) and one column per
class. A score gives the loss of each of them, or one per row if it puts the classes together itself, and its
derivatives in I and P. Only the loss is differentiated by JAX and compilers, so every guard is a `where` on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any, NamedTuple

from arrayseg._typing import Array

__all__ = [
    "Outer",
    "Overlap",
    "Score",
    "chain",
    "focused",
    "generalized_dice",
    "generalized_wasserstein",
    "log_cosh",
    "log_tversky",
    "matthews",
    "penalized",
    "power",
    "sensitivity_specificity",
    "tversky",
]


class Overlap(NamedTuple):
    """The sums that a region loss is a function of; arrays of one shape."""

    intersection: Array
    """I, the sum of p t."""
    prediction: Array
    """P, the sum of p."""
    target: Array
    """T, the sum of t."""
    pixels: Array
    """The weight of the pixels that took part; of every class, where classes are pooled."""


Score = Callable[[Overlap, Any], tuple[Array, Array, Array]]
"""From the sums and the namespace to the loss and its derivatives in the intersection and the prediction."""

Outer = Callable[[Array, Any], tuple[Array, Array]]
"""A function of a loss: from it and the namespace to the value and the slope."""


def tversky(alpha: float, beta: float, smooth: tuple[float, float], factor: int) -> Score:
    """1 - (f I + s) / (f (I + alpha FP + beta FN) + s'), FP = P - I and FN = T - I; Dice and Jaccard with f = 2 or 1.

    Two empty sets agree: 0 / 0 counts as a score of 1.
    """
    above, below = smooth

    def score(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        hit, predicted, wanted, _ = overlap
        numerator = factor * hit + above
        denominator = factor * ((1 - alpha - beta) * hit + alpha * predicted + beta * wanted) + below
        loss, by_numerator, by_denominator = _one_less(numerator, denominator, xp)
        by_hit = factor * (by_numerator + by_denominator * (1 - alpha - beta))
        return loss, by_hit, factor * alpha * by_denominator

    return score


def log_tversky(alpha: float, beta: float, smooth: tuple[float, float], factor: int, floor: float) -> Score:
    """-log(max(score, floor)) of the same score; not of one minus its loss, which loses the digits of a small score."""
    above, below = smooth

    def score(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        hit, predicted, wanted, _ = overlap
        numerator = factor * hit + above
        mistakes = factor * (alpha * (predicted - hit) + beta * (wanted - hit)) + (below - above)
        denominator = numerator + mistakes
        inside = numerator > floor * denominator
        one, zero = xp.ones_like(numerator), xp.zeros_like(numerator)
        safe = xp.where(inside, numerator, one)
        low = xp.where(denominator > 0, xp.full_like(numerator, -log(floor)), zero)
        loss = xp.where(inside, xp.log1p(xp.where(inside, mistakes, zero) / safe), low)
        by_numerator = xp.where(inside, -1 / safe, zero)
        by_denominator = xp.where(inside, _inverse(denominator, xp), zero)
        by_hit = factor * (by_numerator + by_denominator * (1 - alpha - beta))
        return loss, by_hit, factor * alpha * by_denominator

    return score


def generalized_dice(power: int, smooth: tuple[float, float], *, keep_absent: bool) -> Score:
    """Dice of sums over classes, weighted by T ** -power; one loss for all classes.

    A class without target pixels has the greatest weight of its row, or none.
    """
    above, below = smooth

    def score(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        hit, predicted, wanted, _ = overlap
        present, one, zero = wanted > 0, xp.ones_like(wanted), xp.zeros_like(wanted)
        weights = xp.where(present, xp.where(present, wanted, one) ** -power, zero)
        if keep_absent:
            greatest = xp.max(weights, axis=1, keepdims=True) if power else one
            weights = xp.where(present, weights, greatest)
        numerator = 2 * xp.sum(weights * hit, axis=1, keepdims=True) + above
        denominator = xp.sum(weights * (predicted + wanted), axis=1, keepdims=True) + below
        loss, by_numerator, by_denominator = _one_less(numerator, denominator, xp)
        return loss, 2 * weights * by_numerator, weights * by_denominator

    return score


def generalized_wasserstein(smooth: tuple[float, float], *, by_volume: bool) -> Score:
    """The generalised Wasserstein Dice of D, the sum of t times its distance to the prediction, in the place of I.

    A pixel of label l is right by a_l (1 - distance), with a = 1 / (T + 1) by volume, else 1 for all but class 0.
    """
    above, below = smooth

    def score(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        distance, _, wanted, _ = overlap
        if by_volume:
            share = 1 / (wanted + 1)
            error_share = share
        else:
            error_share = xp.ones_like(wanted)
            share = _foreground(wanted, xp)
        right = xp.sum(share * (wanted - distance), axis=1, keepdims=True)
        error = xp.sum(error_share * distance, axis=1, keepdims=True)
        loss, by_numerator, by_denominator = _one_less(2 * right + above, 2 * right + error + below, xp)
        by_distance = -2 * share * (by_numerator + by_denominator) + error_share * by_denominator
        return loss, by_distance, xp.zeros_like(by_distance)

    return score


def matthews(smooth: tuple[float, float], cell_smooth: float) -> Score:
    """1 - (N I - P T + s) / sqrt(P T (N - P) (N - T) + s'), the correlation of prediction and target.

    N I - P T is TP TN - FP FN. `cell_smooth` is added to each of the four. Without an error there is no loss.
    """
    above, below = smooth

    def score(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        hit, predicted, wanted, count = overlap
        right = (predicted == hit) & (wanted == hit)
        hit, predicted, wanted, count = (
            amount + times * cell_smooth for amount, times in zip(overlap, (1, 2, 2, 4), strict=True)
        )
        outside = wanted * (count - wanted)
        square = predicted * (count - predicted) * outside + below
        defined = (square > 0) & ~right
        zero, one = xp.zeros_like(square), xp.ones_like(square)
        inverse = 1 / xp.sqrt(xp.where(defined, square, one))
        numerator = count * hit - predicted * wanted + above
        loss = xp.where(right, zero, xp.where(defined, 1 - numerator * inverse, one))
        by_predicted = wanted * inverse + numerator * outside * (count - 2 * predicted) / 2 * inverse**3
        return loss, xp.where(defined, -count * inverse, zero), xp.where(defined, by_predicted, zero)

    return score


def sensitivity_specificity(sensitivity_weight: float, smooth: float) -> Score:
    """The mean squared error of the target and that of the rest, weighed: of E t and E in the place of I and P.

    E is the squared difference of p and t; an empty side has no error.
    """

    def score(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        missed, error, wanted, count = overlap
        inside = sensitivity_weight * _inverse(wanted + smooth, xp)
        outside = (1 - sensitivity_weight) * _inverse(count - wanted + smooth, xp)
        return inside * missed + outside * (error - missed), inside - outside, outside

    return score


def focused(score: Score, outer: Outer, *, background: bool) -> Score:
    """A function of a score's losses; the loss of class 0 is left as it is unless `background`."""
    outer_score = chain(score, outer)
    if background:
        return outer_score

    def of_foreground(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        foreground = _foreground(overlap.target, xp) > 0
        pairs = zip(score(overlap, xp), outer_score(overlap, xp), strict=True)
        loss, by_hit, by_predicted = (xp.where(foreground, other, plain) for plain, other in pairs)
        return loss, by_hit, by_predicted

    return of_foreground


def chain(score: Score, outer: Outer) -> Score:
    """A function of a score's losses."""

    def chained(overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        loss, by_hit, by_predicted = score(overlap, xp)
        value, slope = outer(loss, xp)
        return value, slope * by_hit, slope * by_predicted

    return chained


def power(exponent: float) -> Outer:
    """x ** exponent; 0 with slope 0 where there is no loss, as the slope may be infinite there."""

    def outer(loss: Array, xp: Any) -> tuple[Array, Array]:
        if exponent == 1:
            return loss, xp.ones_like(loss)
        inside = loss > 0
        safe, zero = xp.where(inside, loss, xp.ones_like(loss)), xp.zeros_like(loss)
        value = safe**exponent
        return xp.where(inside, value, zero), xp.where(inside, exponent * value / safe, zero)

    return outer


def log_cosh(loss: Array, xp: Any) -> tuple[Array, Array]:
    """log(cosh(x)), of losses that are small enough for the exponential."""
    return xp.log(xp.cosh(loss)), xp.tanh(loss)


def penalized(penalty: float) -> Outer:
    """x / (1 + k (1 - x))."""

    def outer(loss: Array, xp: Any) -> tuple[Array, Array]:
        inverse = 1 / (1 + penalty * (1 - loss))
        return loss * inverse, (1 + penalty) * inverse**2

    return outer


def _one_less(numerator: Array, denominator: Array, xp: Any) -> tuple[Array, Array, Array]:
    """1 - numerator / denominator and its derivatives in both; 0 of nothing."""
    inverse = _inverse(denominator, xp)
    ratio = numerator * inverse
    return xp.where(denominator > 0, 1 - ratio, xp.zeros_like(ratio)), -inverse, ratio * inverse


def _foreground(like: Array, xp: Any) -> Array:
    """1 for every class but the first, 0 for that."""
    return xp.concat([xp.zeros_like(like[:, :1]), xp.ones_like(like[:, 1:])], axis=1)


def _inverse(array: Array, xp: Any) -> Array:
    """1 / x, and 0 where there is nothing."""
    defined = array > 0
    return xp.where(defined, 1 / xp.where(defined, array, xp.ones_like(array)), xp.zeros_like(array))
