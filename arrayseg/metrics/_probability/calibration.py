"""Calibration: whether a probability of p is right in a share p of the pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from arrayseg._checks import check_choice, check_flag, check_index, check_number, check_static
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import common_backend
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import Absent, check_absent, check_counts, ratio, settle, square_root
from arrayseg.metrics._inputs import check_per_image
from arrayseg.metrics._probability.inputs import ScoreMaps, read_scores
from arrayseg.metrics._segments.counts import put

__all__ = [
    "CalibrationBins",
    "brier_score",
    "calibration_bins",
    "expected_calibration_error",
    "maximum_calibration_error",
    "negative_log_likelihood",
]

#: The call that counts, as error messages show it.
COUNTING = "calibration_bins(probabilities, target)"


class CalibrationBins(NamedTuple):
    """Pixels by their probability, and sums over all pixels; they add with `arrayseg.metrics.add`.

    Parameters
    ----------
    counts
        Integers `(..., B)`, the pixels in each of B bins.
    hits
        Integers `(..., B)`, those of them where the class is the target's.
    confidence_sum
        Floating array `(..., B)`, the sum of their probabilities.
    pixels
        Integers `(...)`, all the pixels that count.
    squared_error
        Floating array `(...)`, the sum of their squared errors, over all classes.
    log_loss
        Floating array `(...)`, the sum of their negative log probabilities of the target.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> probabilities, target = np.asarray([[0.1, 0.9, 0.8]]), np.asarray([[0, 1, 1]])
    >>> metrics.calibration_bins(probabilities, target, bins=2, class_axis=None).hits
    array([0, 2])
    """

    counts: Array
    hits: Array
    confidence_sum: Array
    pixels: Array
    squared_error: Array
    log_loss: Array


@raises_here
def calibration_bins(
    probabilities: Array,
    target: Array,
    *,
    bins: int = 15,
    mode: Literal["top_label", "class_wise"] = "top_label",
    closed: Literal["left", "right"] = "left",
    class_axis: int | None = 1,
    ignore_index: int | None = None,
    mask: Array | None = None,
    per_image: bool = False,
    clip: float | None = None,
) -> CalibrationBins:
    r"""Count the pixels by their probability, and how often the class was right.

    .. math:: n_b = \#\{i : p_i \in b\}, \quad a_b = \#\{i : p_i \in b, \ \text{class}_i = \text{target}_i\}, \quad
        s_b = \sum_{i : p_i \in b} p_i

    Parameters
    ----------
    probabilities
        Floating array `(N, C, *spatial)`, along the class axis 0 to 1 and summing to 1.
    target
        Class ids `(N, *spatial)`, of any integer dtype or boolean.
    bins
        B, the number of bins of equal width from 0 to 1.
    mode
        ``"top_label"`` (default): each pixel is counted once, by the probability of its most probable class.
        ``"class_wise"``: once for every class against the rest, in bins of that class.
    closed
        Whether a bin holds its ``"left"`` (default) or its ``"right"`` edge; 0 and 1 are in the first and the last bin.
    class_axis
        The axis of the classes in `probabilities`, 1 by default, -1 for channels last. None: `probabilities` has the
        shape of `target`, holds the probability of class 1, and is counted by it; the target's classes are 0 and 1.
    ignore_index
        The id of void pixels, which count nowhere; None: every pixel counts.
    mask
        Boolean array of `target`'s shape, True where a pixel counts.
    per_image
        Whether each image of the batch (axis 0) has its own bins and sums.
    clip
        The smallest probability that enters the log loss; None: the machine epsilon of the dtype. 0 gives infinity for
        a target of probability 0.

    Returns
    -------
    CalibrationBins
        `...` stands for nothing, or `N` if `per_image`; the first three have an axis `C` after it for ``"class_wise"``.

    Raises
    ------
    ValueError
        If shapes or options do not fit, or if a probability or label that counts is out of range (not noticed under a
        compiler, where pixels with such labels count nowhere).
    TypeError
        If libraries are mixed, probabilities are not floating, ids are not integers, or the mask is not boolean.

    Notes
    -----
    The statistic's size does not depend on the pixels, where torchmetrics keeps every probability; it may be traced by
    any compiler. Sums are in float64 where there is one.

    Torchmetrics has 15 bins closed on the left, and one more for 1; MONAI 20, class-wise, per image, and
    scikit-learn's curves and Guo's code bins closed on the right.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML (2017).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> probabilities = np.asarray([[[0.9, 0.6, 0.2], [0.1, 0.4, 0.8]]])
    >>> statistic = metrics.calibration_bins(probabilities, np.asarray([[0, 1, 1]]), bins=4)
    >>> statistic.counts, statistic.hits
    (array([0, 0, 1, 2]), array([0, 0, 0, 2]))
    >>> round(float(metrics.expected_calibration_error(statistic)), 6)
    0.3
    """
    bins = check_index("bins", bins, 1)
    check_choice("mode", mode, ("top_label", "class_wise"))
    side = _SIDES[check_choice("closed", closed, tuple(_SIDES))]
    per_image = check_flag("per_image", per_image)
    check_static("clip", clip)
    clip = clip if clip is None else check_number("clip", clip, 0, 1)
    backend = common_backend(probabilities=probabilities, target=target, mask=mask)
    if per_image:
        check_per_image(target)
    with backend.enable_64_bits(probabilities, target, mask):
        options: dict[str, Any] = {"class_axis": class_axis, "ignore_index": ignore_index, "mask": mask}
        maps = read_scores("probabilities", probabilities, target, limits=(0, 1), **options)
        if backend.is_concrete(probabilities, target, mask):
            maps = maps.shared()
        confidence, right, valid = maps.scores, maps.truth, maps.valid
        if mode == "top_label" and class_axis is not None:
            confidence, right = _top_label(maps)
            valid = maps.counted[:, None, :]
        position = maps.bins(confidence, bins, side=side)
        table = [maps.histogram(position, valid, bins, values) for values in (None, right, confidence)]
        if mode == "top_label" or class_axis is None:
            table = [part[:, 0, :] for part in table]
        parts = [*table, *_sums(maps, class_axis is None, clip)]
        if not per_image:
            parts = [maps.backend.xp.sum(part, axis=0) for part in parts]
        if maps.backend is not backend:
            parts = [put(backend, part, probabilities) for part in parts]
        return CalibrationBins(*parts)


@computed_from(COUNTING, CalibrationBins)
def expected_calibration_error(
    bins: CalibrationBins, *, norm: Literal["l1", "l2", "max"] = "l1", absent: Absent = "skip"
) -> Array:
    r"""Expected calibration error: how far the probabilities are from the shares of right pixels, over the bins.

    .. math:: \sum_b \frac{n_b}{n} \left| \frac{a_b}{n_b} - \frac{s_b}{n_b} \right|

    Parameters
    ----------
    bins
        From `calibration_bins`.
    norm
        ``"l1"`` (default) as above; ``"l2"``: the square root of the weighted mean of squares; ``"max"``: the largest
        deviation of a bin, as `maximum_calibration_error`.
    absent
        The error without a pixel: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    Array
        Floating array: the shape of the bins without their last axis, `()` or for example `(C,)`. The mean over the
        classes of class-wise bins is the static calibration error.

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI (2015).
    Static: Nixon and others, "Measuring calibration in deep learning", CVPR workshops (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> probabilities, target = np.asarray([[0.25, 0.75, 0.75]]), np.asarray([[0, 1, 1]])
    >>> statistic = metrics.calibration_bins(probabilities, target, bins=2, class_axis=None)
    >>> float(metrics.expected_calibration_error(statistic))
    0.25
    """
    check_choice("norm", norm, ("l1", "l2", "max"))

    def error(xp: Namespace, table: CalibrationBins) -> Array:
        gap = xp.abs(ratio(xp, table.hits - table.confidence_sum, table.counts, 0.0))
        total = xp.sum(table.counts, axis=-1)
        weight = ratio(xp, table.counts, total[..., None], 0.0)
        if norm == "max":
            value = xp.max(gap, axis=-1)
        elif norm == "l1":
            value = xp.sum(weight * gap, axis=-1)
        else:
            value = square_root(xp, xp.sum(weight * gap**2, axis=-1))
        return settle(xp, value, absent, where=total == 0)

    return _evaluate(bins, error, absent)


@computed_from(COUNTING, CalibrationBins)
def maximum_calibration_error(bins: CalibrationBins, *, absent: Absent = "skip") -> Array:
    r"""Maximum calibration error: the largest distance of a bin's mean probability from its share of right pixels.

    .. math:: \max_{b : n_b > 0} \left| \frac{a_b}{n_b} - \frac{s_b}{n_b} \right|

    Parameters
    ----------
    bins
        From `calibration_bins`.
    absent
        The error without a pixel: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    Array
        Floating array: the shape of the bins without their last axis.

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> probabilities, target = np.asarray([[0.25, 0.75, 0.875]]), np.asarray([[0, 1, 1]])
    >>> statistic = metrics.calibration_bins(probabilities, target, bins=2, class_axis=None)
    >>> float(metrics.maximum_calibration_error(statistic))
    0.25
    """
    return expected_calibration_error(bins, norm="max", absent=absent)


@computed_from(COUNTING, CalibrationBins)
def brier_score(bins: CalibrationBins, *, absent: Absent = "skip") -> Array:
    r"""Brier score: the mean squared error of the probabilities.

    .. math:: \frac{1}{n} \sum_i \sum_c (p_{ic} - [c = \text{target}_i])^2

    Parameters
    ----------
    bins
        From `calibration_bins`; any number of bins gives the same score.
    absent
        The score without a pixel: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    Array
        Floating array `()`, or `(N,)`.

    Notes
    -----
    With a class axis it is the sum over all classes, from 0 to 2 (scikit-learn: ``scale_by_half=False``); without one
    the square of the one probability's error, from 0 to 1.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> probabilities, target = np.asarray([[0.5, 1.0]]), np.asarray([[1, 1]])
    >>> float(metrics.brier_score(metrics.calibration_bins(probabilities, target, class_axis=None)))
    0.125
    """
    return _evaluate(bins, lambda xp, table: ratio(xp, table.squared_error, table.pixels, absent), absent)


@computed_from(COUNTING, CalibrationBins)
def negative_log_likelihood(bins: CalibrationBins, *, absent: Absent = "skip") -> Array:
    r"""Mean negative log likelihood of the target, in nats: the log score.

    .. math:: -\frac{1}{n} \sum_i \log p_{i, \text{target}_i}

    Parameters
    ----------
    bins
        From `calibration_bins`; any number of bins gives the same score.
    absent
        The score without a pixel: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    Array
        Floating array `()`, or `(N,)`.

    Notes
    -----
    Probabilities are clipped when they are counted (`calibration_bins`, ``clip``), by default as in scikit-learn's
    ``log_loss``. From logits, without the loss of precision of a softmax, it is `arrayseg.losses.cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> probabilities, target = np.asarray([[0.5, 0.5]]), np.asarray([[1, 0]])
    >>> statistic = metrics.calibration_bins(probabilities, target, class_axis=None)
    >>> round(float(metrics.negative_log_likelihood(statistic)), 6)
    0.693147
    """
    return _evaluate(bins, lambda xp, table: ratio(xp, table.log_loss, table.pixels, absent), absent)


# On which side of an equal inner edge a probability goes.
_SIDES = {"left": "right", "right": "left"}


def _top_label(maps: ScoreMaps) -> tuple[Array, Array]:
    """`(N, 1, S)` probabilities of the most probable classes, and whether they are the target's."""
    xp = maps.backend.xp
    # By comparisons: the first of equal maxima is the prediction, and argmax over this axis takes five times as long.
    top = xp.max(maps.scores, axis=1, keepdims=True)
    highest, labels = maps.scores == top, maps.labels[:, None, :]
    classes = xp.arange(maps.scores.shape[1], dtype=labels.dtype, device=maps.backend.device(labels))
    before = xp.any(highest & (classes[None, :, None] < labels), axis=1, keepdims=True)
    return top, xp.any(highest & maps.truth, axis=1, keepdims=True) & ~before


def _sums(maps: ScoreMaps, binary: bool, clip: float | None) -> tuple[Array, Array, Array]:
    """Of each image `(N,)`: the pixels, their squared errors, and their negative log probabilities of the target."""
    backend, xp, shares, truth, counted = maps.backend, maps.backend.xp, maps.scores, maps.truth, maps.counted
    wide = backend.sum_dtype(shares)
    least = xp.finfo(shares.dtype).eps if clip is None else clip
    target = xp.astype(truth, shares.dtype)
    squares = xp.sum((shares - target) ** 2, axis=1)
    of_target = target * shares
    likelihood = xp.sum(of_target + (1 - target) * (1 - shares) if binary else of_target, axis=1)
    likelihood = xp.where(likelihood < least, xp.full_like(likelihood, least), likelihood)
    zero = likelihood == 0
    losses = -xp.log(xp.where(zero, xp.ones_like(likelihood), likelihood))
    losses = xp.where(zero, xp.full_like(losses, xp.inf), losses)
    pixels = xp.sum(xp.astype(counted, backend.count_dtype(counted)), axis=1)
    sums = (xp.where(counted, part, xp.zeros_like(part)) for part in (squares, losses))
    squared_error, log_loss = (xp.sum(xp.astype(part, wide, copy=False), axis=1) for part in sums)
    return pixels, squared_error, log_loss


def _evaluate(bins: CalibrationBins, formula: Callable[[Namespace, CalibrationBins], Array], absent: Absent) -> Array:
    """A formula of the statistic as floating arrays."""
    check_absent(absent)
    backend = common_backend(**bins._asdict())
    check_counts(backend, "bins", *bins)
    xp, dtype = backend.xp, backend.sum_dtype(bins.confidence_sum)
    with backend.enable_64_bits(*bins):
        wide = backend.sum_dtype(bins.confidence_sum)
        table = CalibrationBins(*(xp.astype(part, wide, copy=False) for part in bins))
        return xp.astype(formula(xp, table), dtype, copy=False)
