"""Calibration: whether a probability of p is right in a share p of the pixels."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Literal, NamedTuple

from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, common_backend
from arrayseg.kernels.layout import Layout
from arrayseg.metrics.labels import read_label_maps, refuse_out_of_range
from arrayseg.metrics.outcomes import Absent, check_absent, ratio, settle, square_root

__all__ = [
    "CalibrationBins",
    "brier_score",
    "calibration_bins",
    "expected_calibration_error",
    "maximum_calibration_error",
    "negative_log_likelihood",
]


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
        If shapes or options do not fit, or if a label that counts is out of range (under a compiler such pixels count
        nowhere).
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
    if index(bins) < 1 or mode not in _MODES or closed not in _SIDES:
        msg = f"`bins` must be at least 1, `mode` one of {_MODES}, `closed` one of {tuple(_SIDES)}; "
        msg += f"got {bins}, {mode!r}, {closed!r}."
        raise ValueError(msg)
    backend = common_backend(probabilities=probabilities, target=target, mask=mask)
    xp = backend.xp
    layout = _layout(backend, probabilities, target, class_axis)
    maps = read_label_maps(
        target,
        target,
        num_classes=max(2, layout.classes),
        ignore_index=ignore_index,
        mask=mask,
        per_image=True,
        class_axis=None,
    )
    with backend.wide(probabilities, target, mask):
        shares = layout.scores(probabilities, xp)
        shares = xp.astype(shares, _wider(xp, shares), copy=False)
        labels = backend.widen(maps.target)
        wanted = xp.ones_like(labels, dtype=xp.bool) if maps.mask is None else maps.mask
        if maps.ignore_index is not None:
            wanted = wanted & (labels != maps.ignore_index)
        counted = wanted & (labels >= 0) & (labels < maps.num_classes)
        refuse_out_of_range(maps, xp.sum(xp.astype(wanted & ~counted, backend.count_dtype(labels))))
        first = 1 if class_axis is None else 0
        classes = xp.arange(first, first + layout.classes, dtype=labels.dtype, device=backend.device(labels))
        truth = labels[:, None, :] == classes[None, :, None]
        if mode == "top_label" and class_axis is not None:
            confidence, right = xp.max(shares, axis=1, keepdims=True), (labels == _top(xp, shares, labels))[:, None, :]
        else:
            confidence, right = shares, truth
        interior = xp.arange(1, bins, dtype=confidence.dtype, device=backend.device(confidence)) / bins
        position = xp.reshape(
            xp.searchsorted(interior, xp.reshape(confidence, (-1,)), side=_SIDES[closed]), right.shape
        )
        valid = xp.broadcast_to(counted[:, None, :], right.shape)
        histogram = _Histogram(backend, position, valid, bins)
        table = [histogram.of(None), histogram.of(right), histogram.of(confidence)]
        if mode == "top_label" or class_axis is None:
            table = [part[:, 0, :] for part in table]
        sums = _sums(backend, shares, truth, counted, class_axis is None, clip)
        parts = (*table, *sums)
        return CalibrationBins(*(parts if per_image else (xp.sum(part, axis=0) for part in parts)))


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
    if norm not in _NORMS:
        msg = f"`norm` must be one of {', '.join(_NORMS)}; got {norm!r}."
        raise ValueError(msg)

    def error(xp: Namespace, table: CalibrationBins) -> Array:
        gap = xp.abs(ratio(xp, table.hits - table.confidence_sum, table.counts))
        gap = xp.where(table.counts == 0, xp.zeros_like(gap), gap)
        weight = ratio(xp, table.counts, xp.sum(table.counts, axis=-1, keepdims=True))
        if norm == "max":
            return xp.where(xp.sum(table.counts, axis=-1) == 0, xp.sum(weight, axis=-1), xp.max(gap, axis=-1))
        if norm == "l1":
            return xp.sum(weight * gap, axis=-1)
        return square_root(xp, xp.sum(weight * gap**2, axis=-1))

    return _evaluate(bins, error, absent)


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
    return _evaluate(bins, lambda xp, table: ratio(xp, table.squared_error, table.pixels), absent)


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
    return _evaluate(bins, lambda xp, table: ratio(xp, table.log_loss, table.pixels), absent)


_MODES = ("top_label", "class_wise")
# On which side of an equal inner edge a probability goes.
_SIDES = {"left": "right", "right": "left"}
_NORMS = ("l1", "l2", "max")


class _Histogram:
    """Sums over the pixels that count, in bins of each image and class: `(N, C, B)` of arrays `(N, C, S)`."""

    def __init__(self, backend: Backend, position: Array, valid: Array, bins: int) -> None:
        xp = backend.xp
        images, classes, _ = position.shape
        dtype = backend.count_dtype(position)
        row = xp.arange(images * classes, dtype=dtype, device=backend.device(position))
        slot = xp.reshape(row, (images, classes, 1)) * bins + xp.astype(position, dtype)
        self.shape, self.backend = (images, classes, bins), backend
        # The last slot takes the pixels that do not count.
        self.slot = xp.reshape(xp.where(valid, slot, xp.full_like(slot, images * classes * bins)), (-1,))

    def of(self, values: Array | None) -> Array:
        """The sums of the values, or of True ones, or the pixels."""
        xp, images, classes, bins = self.backend.xp, *self.shape
        length = images * classes * bins + 1
        if values is not None:
            boolean = xp.isdtype(values.dtype, "bool")
            dtype = self.backend.count_dtype(values) if boolean else self.backend.sum_dtype(values)
            values = xp.reshape(xp.astype(values, dtype, copy=False), (-1,))
        return xp.reshape(self.backend.bincount(self.slot, length=length, weights=values)[:-1], self.shape)


def _layout(backend: Backend, probabilities: Array, target: Array, class_axis: int | None) -> Layout:
    """The checked layout of the probabilities."""
    if not backend.xp.isdtype(probabilities.dtype, "real floating"):
        msg = f"`probabilities` must be floating, from 0 to 1; got {probabilities.dtype}."
        raise TypeError(msg)
    if target.ndim == 0 or (class_axis is not None and not -probabilities.ndim <= class_axis < probabilities.ndim):
        msg = f"`class_axis` is {class_axis}, but `probabilities` has shape {tuple(probabilities.shape)}."
        raise ValueError(msg)
    axis = None if class_axis is None else class_axis % probabilities.ndim
    layout = Layout(tuple(probabilities.shape), axis)
    if layout.rows_shape != tuple(target.shape) or axis == 0:
        msg = (
            f"`probabilities` of shape {layout.shape}, without its class axis {class_axis}, must have the shape "
            f"(N, *spatial) of `target`, {tuple(target.shape)}. Pass the `class_axis`, or None where there is none."
        )
        raise ValueError(msg)
    return layout


def _top(xp: Namespace, shares: Array, labels: Array) -> Array:
    return xp.astype(xp.argmax(shares, axis=1), labels.dtype, copy=False)


def _wider(xp: Namespace, array: Array) -> object:
    """The dtype itself, but float32 for half precision."""
    return xp.float32 if xp.finfo(array.dtype).bits < 32 else array.dtype


def _sums(
    backend: Backend, shares: Array, truth: Array, counted: Array, binary: bool, clip: float | None
) -> tuple[Array, Array, Array]:
    """Of each image `(N,)`: the pixels, their squared errors, and their negative log probabilities of the target."""
    xp, wide = backend.xp, backend.sum_dtype(shares)
    least = xp.finfo(shares.dtype).eps if clip is None else clip
    ones, zeros = xp.ones_like(shares), xp.zeros_like(shares)
    squares = xp.sum((shares - xp.where(truth, ones, zeros)) ** 2, axis=1)
    of_target = xp.where(truth, shares, 1 - shares if binary else zeros)
    likelihood = xp.sum(of_target, axis=1)
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
    xp, dtype = backend.xp, backend.sum_dtype(bins.confidence_sum)
    with backend.wide(*bins):
        wide = backend.sum_dtype(bins.confidence_sum)
        table = CalibrationBins(*(xp.astype(part, wide, copy=False) for part in bins))
        return xp.astype(settle(xp, formula(xp, table), absent), dtype, copy=False)
