"""Scores of region losses: functions of sums over pixels, with their derivatives.

The sums of a prediction p and a target t are the four cells of a confusion matrix: the hits sum p t, the false alarms
sum p (1 - t), the misses sum (1 - p) t, and the rest sum (1 - p) (1 - t). Each is counted by itself, and the scores
only add them: a difference of two large sums, such as N I - P T or P - I, would lose all digits where a prediction is
nearly right, or where a class covers no pixel or all pixels.

The sums are arrays with one row per image (or one for the batch) and one column per class. A score gives the loss of
each of them, or one per row if it combines the classes itself, and its derivative in each sum that is counted.
Only the loss is differentiated by JAX and compilers, so every guard is a `where` on both sides. A guard asks
whether a number is 0, never whether it is not, so that NaN passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from arrayseg._checks import is_exactly
from arrayseg._typing import Array

__all__ = [
    "Cells",
    "Derivatives",
    "Outer",
    "Overlap",
    "OverlapScore",
    "Score",
    "chain",
    "focused",
    "generalized_dice",
    "generalized_wasserstein",
    "inverse_of",
    "log_cosh",
    "log_tversky",
    "matthews",
    "of_overlap",
    "penalized",
    "power",
    "sensitivity_specificity",
    "tversky",
]


class Cells(NamedTuple):
    """The sums that a region loss is a function of: arrays of one shape. A term counts those that its score needs."""

    target: Array
    """The sum of t."""
    pixels: Array
    """The sum of the pixel weights, once for every pooled class."""
    hit: Array
    """The sum of p t, or of what the term counts instead."""
    alarm: Array = None
    """The sum of p (1 - t)."""
    miss: Array = None
    """The sum of (1 - p) t."""
    rest: Array = None
    """The sum of (1 - p) (1 - t)."""


class Overlap(NamedTuple):
    """The sums that a user's score is a function of: arrays of one shape."""

    intersection: Array
    """I, the sum of p t."""
    prediction: Array
    """P, the sum of p."""
    target: Array
    """T, the sum of t."""
    pixels: Array
    """The sum of the pixel weights, once for every pooled class."""


Derivatives = tuple[Array, ...]
"""The derivatives of a loss in the sums that were counted: hit, alarm, miss and rest, or the first few of them."""

Score = Callable[[Cells, Any], tuple[Array, Derivatives]]
"""From the sums and the namespace to the loss and its derivatives in those that were counted."""

OverlapScore = Callable[[Overlap, Any], tuple[Array, Array, Array]]
"""From the overlap and the namespace to the loss and its derivatives in I and P."""

Outer = Callable[[Array, Any], tuple[Array, Array]]
"""A function of a loss: from it and the namespace to the value and the slope."""


def of_overlap(score: OverlapScore) -> Score:
    """Return a score of cells, given a score of I, P and T with derivatives in I and P."""

    def of_cells(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        overlap = Overlap(cells.hit, cells.hit + cells.alarm, cells.target, cells.pixels)
        loss, by_intersection, by_prediction = score(overlap, xp)
        return loss, (by_intersection + by_prediction, by_prediction, xp.zeros_like(by_prediction))

    return of_cells


def _weighted_sides(
    cells: Cells, alpha: float, beta: float, smooth: tuple[float, float], factor: int
) -> tuple[Array, Array]:
    """Return the numerator of a smoothed score, and its denominator minus the numerator."""
    above, below = smooth
    right = factor * cells.hit + above
    return right, factor * (alpha * cells.alarm + beta * cells.miss) + (below - above)


def tversky(alpha: float, beta: float, smooth: tuple[float, float], factor: int) -> Score:
    """1 - (f I + s) / (f (I + alpha FP + beta FN) + s'); Dice and Jaccard with f = 2 or 1.

    Two empty sets agree: 0 / 0 counts as a score of 1.
    """

    def score(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        right, wrong = _weighted_sides(cells, alpha, beta, smooth, factor)
        loss, by_right, by_wrong = _share(wrong, right, xp)
        by_wrong = factor * by_wrong
        return loss, (factor * by_right, alpha * by_wrong, beta * by_wrong)

    return score


def log_tversky(alpha: float, beta: float, smooth: tuple[float, float], factor: int, floor: float) -> Score:
    """-log(max(score, floor)) of the same score; not of one minus its loss, which loses the digits of a small score."""

    def score(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        right, wrong = _weighted_sides(cells, alpha, beta, smooth, factor)
        whole = right + wrong
        outside = right <= floor * whole
        one, zero = xp.ones_like(right), xp.zeros_like(right)
        safe = xp.where(outside, one, right)
        low = xp.where(whole == 0, zero, -xp.log(floor * one))
        ratio = xp.where(outside, zero, wrong) / safe
        loss = xp.where(outside, low, xp.log1p(ratio))
        by_wrong = xp.where(outside, zero, inverse_of(whole, xp))
        by_right = -ratio * by_wrong
        by_wrong = factor * by_wrong
        return loss, (factor * by_right, alpha * by_wrong, beta * by_wrong)

    return score


def generalized_dice(power: int, smooth: tuple[float, float], *, keep_absent: bool) -> Score:
    """Dice of sums over classes, weighted by T ** -power; one loss for all classes.

    A class without target pixels has the greatest weight of its row, or none.
    """
    above, below = smooth

    def score(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        wanted = cells.target
        absent, one, zero = wanted == 0, xp.ones_like(wanted), xp.zeros_like(wanted)
        weights = xp.where(absent, zero, xp.where(absent, one, wanted) ** -power)
        if keep_absent:
            greatest = xp.max(weights, axis=1, keepdims=True) if power else one
            weights = xp.where(absent, greatest, weights)
        right = 2 * xp.sum(weights * cells.hit, axis=1, keepdims=True) + above
        wrong = xp.sum(weights * (cells.alarm + cells.miss), axis=1, keepdims=True) + (below - above)
        loss, by_right, by_wrong = _share(wrong, right, xp)
        by_wrong = weights * by_wrong
        return loss, (2 * weights * by_right, by_wrong, by_wrong)

    return score


def generalized_wasserstein(smooth: tuple[float, float], *, by_volume: bool) -> Score:
    """Return the generalized Wasserstein Dice of D, the sum of t times its distance to the prediction, and of T - D.

    D stands for the misses and T - D for the hits. A pixel of label l is right by a_l (1 - distance), with
    a = 1 / (T + 1) by volume, else 1 for every class except class 0.
    """
    above, below = smooth

    def score(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        wanted = cells.target
        if by_volume:
            share = 1 / (wanted + 1)
            error_share = share
        else:
            error_share = xp.ones_like(wanted)
            share = _foreground(wanted, xp)
        right = 2 * xp.sum(share * cells.hit, axis=1, keepdims=True) + above
        wrong = xp.sum(error_share * cells.miss, axis=1, keepdims=True) + (below - above)
        loss, by_right, by_wrong = _share(wrong, right, xp)
        return loss, (2 * share * by_right, xp.zeros_like(share), error_share * by_wrong)

    return score


def matthews(smooth: tuple[float, float], cell_smooth: float) -> Score:
    """1 - (TP TN - FP FN + s) / sqrt(P T (N - P) (N - T) + s'), the correlation of prediction and target.

    `cell_smooth` is added to each of the four. Without an error there is no loss.
    """
    above, below = smooth

    def score(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        hit, alarm, miss, rest = (amount + cell_smooth for amount in cells[2:])
        perfect = (alarm == 0) & (miss == 0)
        predicted, inside, others, outside = hit + alarm, hit + miss, miss + rest, alarm + rest
        both = inside * outside
        square = predicted * others * both + below
        undefined = (square <= 0) | perfect
        zero, one = xp.zeros_like(square), xp.ones_like(square)
        root = xp.sqrt(xp.where(undefined, one, square))
        covariance = hit * rest - alarm * miss + above
        # 1 - c / r is (r^2 - c^2) / (r (r + c)), in which nothing cancels where c is nearly r: without smoothing
        # r^2 - c^2 = N ((FP + FN) TP TN + FP FN (TP + TN)).
        right, wrong = hit + rest, alarm + miss
        gap = (right + wrong) * (wrong * hit * rest + alarm * miss * right) + (below - above * (2 * covariance - above))
        related = covariance > 0
        sum_of_roots = root + xp.where(related, covariance, zero)
        near = xp.where(related, gap, zero) / root / sum_of_roots
        loss = xp.where(related, near, 1 - covariance / root)
        loss = xp.where(perfect, zero, xp.where(undefined, one, loss))
        slope = covariance / 2 / root / root / root
        by = (
            -rest / root + slope * both * others + slope * predicted * others * outside,
            miss / root + slope * both * others + slope * predicted * others * inside,
            alarm / root + slope * both * predicted + slope * predicted * others * outside,
            -hit / root + slope * both * predicted + slope * predicted * others * inside,
        )
        return loss, tuple(xp.where(undefined, zero, each) for each in by)

    return score


def sensitivity_specificity(sensitivity_weight: float, smooth: float) -> Score:
    """Return the weighted mean of the squared errors in the target and outside.

    The hits and the rest are the sizes of the target and of what is outside; the misses and the false alarms are the
    squared errors in both. An empty side has no error.
    """

    def score(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        inside = sensitivity_weight * inverse_of(cells.hit + smooth, xp)
        outside = (1 - sensitivity_weight) * inverse_of(cells.rest + smooth, xp)
        zero = xp.zeros_like(inside)
        return inside * cells.miss + outside * cells.alarm, (zero, outside, inside, zero)

    return score


def focused(score: Score, outer: Outer, *, background: bool) -> Score:
    """Apply a function to a score's losses, except to the loss of class 0 unless `background` is set."""
    outer_score = chain(score, outer)
    if background:
        return outer_score

    def of_foreground(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        foreground = _foreground(cells.target, xp) > 0
        (plain, by_plain), (other, by_other) = score(cells, xp), outer_score(cells, xp)
        by = tuple(xp.where(foreground, *pair) for pair in zip(by_other, by_plain, strict=True))
        return xp.where(foreground, other, plain), by

    return of_foreground


def chain(score: Score, outer: Outer) -> Score:
    """Apply a function to a score's losses."""

    def chained(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        loss, by = score(cells, xp)
        value, slope = outer(loss, xp)
        return value, tuple(slope * each for each in by)

    return chained


def power(exponent: float) -> Outer:
    """Return the function x ** exponent. At a loss of 0 its derivative, which may be infinite, is set to 0."""

    def outer(loss: Array, xp: Any) -> tuple[Array, Array]:
        if is_exactly(exponent, 1):
            return loss, xp.ones_like(loss)
        none = loss <= float(xp.finfo(loss.dtype).smallest_normal)  # x ** e / x is finite from there on
        safe, zero = xp.where(none, xp.ones_like(loss), loss), xp.zeros_like(loss)
        value = safe**exponent
        return xp.where(none, zero, value), xp.where(none, zero, exponent * value / safe)

    return outer


def log_cosh(loss: Array, xp: Any) -> tuple[Array, Array]:
    """Return log(cosh(x)) as log1p(2 sinh(x / 2)^2) and its derivative, for x small enough for the exponential."""
    return xp.log1p(2 * xp.sinh(loss / 2) ** 2), xp.tanh(loss)


def penalized(penalty: float) -> Outer:
    """Return the function x / (1 + k (1 - x))."""

    def outer(loss: Array, xp: Any) -> tuple[Array, Array]:
        inverse = 1 / (1 + penalty * (1 - loss))
        return loss * inverse, (1 + penalty) * inverse**2

    return outer


def inverse_of(array: Array, xp: Any) -> Array:
    """Return 1 / x, or 0 where x is 0."""
    nothing = xp.astype(array == 0, array.dtype)
    return (1 - nothing) / (array + nothing)


def _share(wrong: Array, right: Array, xp: Any) -> tuple[Array, Array, Array]:
    """Return wrong / (right + wrong), or 0 if both are 0, and its derivatives with respect to right and wrong."""
    inverse = inverse_of(right + wrong, xp)
    share = wrong * inverse
    return share, -share * inverse, right * inverse * inverse


def _foreground(like: Array, xp: Any) -> Array:
    """Return 1 for every class except the first, and 0 for the first."""
    return xp.concat([xp.zeros_like(like[:, :1]), xp.ones_like(like[:, 1:])], axis=1)
