"""Compute how well probabilities agree with how often the class is right."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from arrayseg._checks import check_choice, check_flag, check_index, check_number, check_static
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, common_backend
from arrayseg.metrics._compute import (
    AbsentScore,
    Score,
    compute,
    computed_from,
    divide,
    nonzero,
    ratio,
    square_root,
    to_device,
)
from arrayseg.metrics._inputs import check_per_image
from arrayseg.metrics._paragraphs import LABEL_MAPS
from arrayseg.metrics._probability.inputs import ScoreMaps, read_scores

__all__ = [
    "CalibrationBins",
    "brier_score",
    "calibration_bins",
    "expected_calibration_error",
    "maximum_calibration_error",
    "negative_log_likelihood",
]


class CalibrationBins(NamedTuple):
    """Counts of pixels in bins of their probability, and sums over all pixels; add them with `arrayseg.metrics.add`.

    Parameters
    ----------
    counts : array of int
        The pixels in each of B bins. Shape `(..., B)`.
    hits : array of int
        The pixels in each bin whose class is right. Shape `(..., B)`.
    confidence_sum : array
        The sum of the probabilities in each bin. Shape `(..., B)`.
    pixels : array of int
        All pixels that count. Shape `(...)`.
    squared_error : array
        The sum of the squared errors of all pixels and classes. Shape `(...)`.
    log_loss : array
        The sum of the negative log-probabilities of the target. Shape `(...)`.

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


#: Decorates the functions of `CalibrationBins`.
calibration_score = computed_from(
    "calibration_bins(probabilities, target)",
    CalibrationBins,
    paragraphs={
        "bins": """
            bins : CalibrationBins
                The counts, from `calibration_bins`.
        """,
        "absent": """
            absent : {"skip", "nan"} or float, default "skip"
                The score if no pixel counts: nan for ``"skip"`` and ``"nan"``, or this number.
        """,
    },
)


@raises_here
@documented(LABEL_MAPS)
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
    r"""Count the pixels in bins of their probability, and how often the class was right.

    .. math:: n_b = \#\{i : p_i \in b\}, \quad a_b = \#\{i : p_i \in b, \ \text{class}_i = \text{target}_i\}, \quad
        s_b = \sum_{i : p_i \in b} p_i

    Parameters
    ----------
    probabilities : array
        Probabilities from 0 to 1 that sum to 1 along the class axis. Shape `(N, C, *spatial)`.
    target : array of int
        Class ids of any integer dtype or boolean. Shape `(N, *spatial)`.
    bins : int, default 15
        The number of bins of equal width from 0 to 1, B.
    mode : {"top_label", "class_wise"}, default "top_label"
        ``"top_label"`` counts each pixel once, by the probability of its most probable class. ``"class_wise"`` counts
        it once for each class against the rest, in the bins of that class.
    closed : {"left", "right"}, default "left"
        Which edge of a bin belongs to it. In both cases 0 is in the first bin and 1 in the last.
    class_axis : int or None, default 1
        The axis of the classes in `probabilities`; -1 for channels last. With None, `probabilities` has the shape of
        `target` and holds the probability of class 1, in whose bins the pixels are counted. The classes are 0 and 1.
    {ignore_index}
    {mask}
    per_image : bool, default False
        Whether each image of the batch (axis 0) has its own bins and sums.
    clip : float, optional
        The smallest probability that enters the log loss. By default the machine epsilon of the dtype. 0 gives infinity
        for a target of probability 0.

    Returns
    -------
    CalibrationBins
        The counts and sums. In their shapes, `...` is `N` if `per_image`, otherwise nothing. The arrays with bins have
        an axis `C` after it for ``"class_wise"``.

    Raises
    ------
    ValueError
        If shapes or options do not fit, or if a probability or label that counts is out of range. Under a compiler
        values cannot be read, and pixels with such labels count nowhere.
    TypeError
        If libraries are mixed, probabilities are not floating, ids are not integers, or the mask is not boolean.

    Notes
    -----
    The size of the statistic does not depend on the number of pixels, whereas torchmetrics keeps every probability. Any
    compiler can trace it. Sums are in float64 where the device has it.

    Torchmetrics has 15 bins closed on the left, and one more for 1. MONAI has 20, class-wise and per image. The curves
    of scikit-learn and the code of Guo et al. have bins closed on the right.

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
            maps = maps.on_host()
        confidence, right, valid = maps.scores, maps.truth, maps.valid
        if mode == "top_label" and class_axis is not None:
            confidence, right = _top_label(maps)
            valid = maps.counted[:, None, :]
        position = maps.bins(confidence, bins, side=side)
        histograms = [maps.histogram(position, valid, bins, values) for values in (None, right, confidence)]
        if mode == "top_label" or class_axis is None:
            histograms = [histogram[:, 0, :] for histogram in histograms]
        parts = [*histograms, *_sums(maps, class_axis is None, clip)]
        if not per_image:
            parts = [maps.backend.xp.sum(part, axis=0) for part in parts]
        if maps.backend is not backend:
            parts = [to_device(backend, part, probabilities) for part in parts]
        return CalibrationBins(*parts)


@calibration_score
def expected_calibration_error(
    bins: CalibrationBins, *, norm: Literal["l1", "l2", "max"] = "l1", absent: AbsentScore = "skip"
) -> Array:
    r"""Return the expected calibration error: the distance of probabilities from the fraction of right pixels.

    .. math:: \sum_b \frac{n_b}{n} \left| \frac{a_b}{n_b} - \frac{s_b}{n_b} \right|

    Parameters
    ----------
    {bins}
    norm : {"l1", "l2", "max"}, default "l1"
        How to average the errors of the bins: as above (``"l1"``), by the square root of the weighted mean of squares
        (``"l2"``), or by the largest distance (``"max"``), as `maximum_calibration_error`.
    {absent}

    Returns
    -------
    array
        The error, of the shape of the bins without their last axis: `()`, or for example `(C,)`. For class-wise bins,
        the mean over the classes is the static calibration error.

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

    def error(backend: Backend, bins: CalibrationBins) -> Score:
        xp = backend.xp
        gap = xp.abs(ratio(xp, bins.hits - bins.confidence_sum, bins.counts, 0.0))
        total = xp.sum(bins.counts, axis=-1)
        weight = ratio(xp, bins.counts, total[..., None], 0.0)
        if norm == "max":
            value = xp.max(gap, axis=-1)
        elif norm == "l1":
            value = xp.sum(weight * gap, axis=-1)
        else:
            value = square_root(xp, xp.sum(weight * gap**2, axis=-1))
        return Score(value, total == 0)

    return compute(bins, error, name="bins", absent=absent)


@calibration_score
def maximum_calibration_error(bins: CalibrationBins, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the maximum calibration error: the largest error of a bin.

    .. math:: \max_{b : n_b > 0} \left| \frac{a_b}{n_b} - \frac{s_b}{n_b} \right|

    Parameters
    ----------
    {bins}
    {absent}

    Returns
    -------
    array
        The error, of the shape of the bins without their last axis.

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


@calibration_score
def brier_score(bins: CalibrationBins, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the Brier score: the mean squared error of the probabilities.

    .. math:: \frac{1}{n} \sum_i \sum_c (p_{ic} - [c = \text{target}_i])^2

    Parameters
    ----------
    bins : CalibrationBins
        The counts, from `calibration_bins`. Any number of bins gives the same score.
    {absent}

    Returns
    -------
    array
        The score. Shape `()`, or `(N,)` for counts of each image.

    Notes
    -----
    With a class axis it is the sum over all classes, from 0 to 2 (scikit-learn: ``scale_by_half=False``). Without one
    it is the squared error of a single probability, from 0 to 1.

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

    def mean(backend: Backend, bins: CalibrationBins) -> Score:
        return divide(backend.xp, bins.squared_error, bins.pixels)

    return compute(bins, mean, name="bins", absent=absent)


@calibration_score
def negative_log_likelihood(bins: CalibrationBins, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the mean negative log-likelihood of the target, in nats (log score).

    .. math:: -\frac{1}{n} \sum_i \log p_{i, \text{target}_i}

    Parameters
    ----------
    bins : CalibrationBins
        The counts, from `calibration_bins`. Any number of bins gives the same score.
    {absent}

    Returns
    -------
    array
        The score. Shape `()`, or `(N,)` for counts of each image.

    Notes
    -----
    Probabilities are clipped when they are counted (``clip`` of `calibration_bins`), by default as in scikit-learn's
    ``log_loss``. To compute it from logits, without the rounding of a softmax, use `arrayseg.losses.cross_entropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> probabilities, target = np.asarray([[0.5, 0.5]]), np.asarray([[1, 0]])
    >>> statistic = metrics.calibration_bins(probabilities, target, class_axis=None)
    >>> round(float(metrics.negative_log_likelihood(statistic)), 6)
    0.693147
    """

    def mean(backend: Backend, bins: CalibrationBins) -> Score:
        return divide(backend.xp, bins.log_loss, bins.pixels)

    return compute(bins, mean, name="bins", absent=absent)


# The side on which to insert a probability that equals an inner edge.
_SIDES = {"left": "right", "right": "left"}


def _top_label(maps: ScoreMaps) -> tuple[Array, Array]:
    """Return the probabilities of the most probable classes, and whether these are right, `(N, 1, S)` each."""
    xp = maps.backend.xp
    # The first of equal maxima is the prediction. Comparisons find it five times as fast as argmax over this axis.
    top = xp.max(maps.scores, axis=1, keepdims=True)
    highest, labels = maps.scores == top, maps.labels[:, None, :]
    classes = xp.arange(maps.scores.shape[1], dtype=labels.dtype, device=maps.backend.device(labels))
    before = xp.any(highest & (classes[None, :, None] < labels), axis=1, keepdims=True)
    return top, xp.any(highest & maps.truth, axis=1, keepdims=True) & ~before


def _sums(maps: ScoreMaps, is_binary: bool, clip: float | None) -> tuple[Array, Array, Array]:
    """Return the pixels, squared errors and negative log-probabilities of the target of each image, `(N,)` each."""
    backend, xp, probabilities, counted = maps.backend, maps.backend.xp, maps.scores, maps.counted
    least = xp.finfo(probabilities.dtype).eps if clip is None else clip
    target = xp.astype(maps.truth, probabilities.dtype)
    squares = xp.sum((probabilities - target) ** 2, axis=1)
    likelihoods = target * probabilities
    if is_binary:
        likelihoods = likelihoods + (1 - target) * (1 - probabilities)
    likelihood = xp.sum(likelihoods, axis=1)
    likelihood = xp.where(likelihood < least, xp.full_like(likelihood, least), likelihood)
    losses = -xp.log(nonzero(xp, likelihood))
    losses = xp.where(likelihood == 0, xp.full_like(losses, xp.inf), losses)
    pixels = xp.sum(xp.astype(counted, backend.count_dtype(counted)), axis=1)
    sums = (xp.where(counted, part, xp.zeros_like(part)) for part in (squares, losses))
    wide = backend.sum_dtype(probabilities)
    squared_error, log_loss = (xp.sum(xp.astype(part, wide, copy=False), axis=1) for part in sums)
    return pixels, squared_error, log_loss
