"""Saliency maps: one soft mask for each image, judged at every threshold."""

from __future__ import annotations

from math import inf
from typing import Any, Literal, NamedTuple

from arrayseg._checks import check_choice, check_flag, check_index, check_number
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import common_backend
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import Absent, check_absent, check_counts, ratio
from arrayseg.metrics._inputs import check_per_image
from arrayseg.metrics._probability.inputs import ScoreMaps, read_scores

__all__ = ["SaliencySums", "saliency_f_measure", "saliency_mae", "saliency_sums"]

#: The call that counts, as error messages show it.
COUNTING = "saliency_sums(prediction, target)"


class SaliencySums(NamedTuple):
    """Sums over images of what is scored image by image; they add with `arrayseg.metrics.add`.

    Parameters
    ----------
    images
        Integer `()`, the images.
    absolute_error
        Floating `()`, the sum of their mean absolute errors.
    adaptive_f
        Floating `()`, the sum of their F measures at twice the mean of the map.
    f_curve
        Floating `(K,)`, the sums of their F measures at K thresholds.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> prediction, target = np.asarray([[[0.0, 0.25, 1.0]]]), np.asarray([[[0, 0, 1]]])
    >>> float(metrics.saliency_sums(prediction, target).adaptive_f)
    1.0
    """

    images: Array
    absolute_error: Array
    adaptive_f: Array
    f_curve: Array


@raises_here
def saliency_sums(
    prediction: Array,
    target: Array,
    *,
    beta_squared: float = 0.3,
    thresholds: int = 256,
    normalize: bool = True,
    mask: Array | None = None,
) -> SaliencySums:
    r"""Absolute errors and F measures of the saliency maps of a batch.

    .. math:: MAE = \frac{1}{S} \sum_i |p_i - t_i|, \quad
        F_\tau = \frac{(1 + \beta^2) P_\tau R_\tau}{\beta^2 P_\tau + R_\tau}

    with precision and recall of the pixels where :math:`p_i \geq \tau`.

    Parameters
    ----------
    prediction
        Floating array `(N, *spatial)`, in [0, 1].
    target
        Boolean array of its shape, or integers 0 and 1.
    beta_squared
        The weight of recall, 0.3 by default.
    thresholds
        K: the curve is taken at 0, 1 / (K - 1), ..., 1; 256 by default.
    normalize
        Whether each map is stretched to have a least value of 0 and a largest one of 1 (unless it is constant).
    mask
        Boolean array of the same shape, True where a pixel counts.

    Returns
    -------
    SaliencySums
        Sums over the images; add batches with `arrayseg.metrics.add`.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is out of range.
    TypeError
        If libraries are mixed, or dtypes do not fit.

    Notes
    -----
    As PySODMetrics, whose maps are first rounded to bytes, and taken at K = 256: round yours for its numbers. An F
    measure without a right pixel is 0. It may be traced by any compiler.

    References
    ----------
    Achanta, Hemami, Estrada and Süsstrunk, "Frequency-tuned salient region detection", CVPR (2009).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> prediction, target = np.asarray([[[0.0, 0.25, 1.0]]]), np.asarray([[[0, 0, 1]]])
    >>> round(float(metrics.saliency_mae(metrics.saliency_sums(prediction, target))), 6)
    0.083333
    """
    thresholds, beta_squared = check_index("thresholds", thresholds, 2), check_number("beta_squared", beta_squared, 0)
    backend = common_backend(prediction=prediction, target=target, mask=mask)
    check_per_image(target)
    xp = backend.xp
    with backend.enable_64_bits(prediction, target, mask):
        options: dict[str, Any] = {"class_axis": None, "ignore_index": None, "mask": mask}
        maps = read_scores("prediction", prediction, target, limits=(0, 1), **options)
        scores, counted = maps.scores, maps.valid
        if check_flag("normalize", normalize):
            scores = _stretched(maps)
        wide = backend.sum_dtype(scores)
        scores = xp.where(counted, scores, xp.zeros_like(scores))  # what does not count may be nan
        truth = counted & maps.truth

        # Thresholds reached by each pixel: from the histogram, summed from the top. The product may be off by rounding,
        # the comparisons are not (the levels are of the host: compilers divide by multiplying); a binary search takes
        # five times as long.
        levels = [level / (thresholds - 1) for level in range(thresholds)] + [inf]
        table = backend.asarray(levels, dtype=scores.dtype, like=scores)
        below = xp.astype(scores * (thresholds - 1), xp.int32)
        reached = below
        for level in (below, below + 1):
            passed = xp.reshape(xp.take(table, xp.reshape(level, (-1,))), scores.shape) <= scores
            reached = reached + xp.astype(passed, xp.int32)
        slots = reached + (thresholds + 1) * xp.astype(truth, reached.dtype)  # those of the object behind the others
        histogram = maps.histogram(slots, counted, 2 * (thresholds + 1))
        histogram = xp.flip(xp.reshape(histogram, (*histogram.shape[:-1], 2, thresholds + 1)), axis=-1)
        curves = xp.flip(xp.cumulative_sum(histogram, axis=-1)[..., :-1], axis=-1)
        hits, found = (xp.astype(curve, wide) for curve in (curves[..., 1, :], xp.sum(curves, axis=-2)))
        pixels, positives = found[..., 0], hits[..., 0]
        curve = _f(xp, hits, found, positives[..., None], beta_squared)

        exact = xp.astype(scores, wide, copy=False)
        errors = ratio(xp, xp.sum(xp.abs(exact - xp.astype(truth, wide)), axis=-1), pixels, 0.0)
        # Twice the mean, but no more than a pixel can reach.
        adaptive = 2 * ratio(xp, xp.sum(exact, axis=-1), pixels, 0.0)
        adaptive = xp.where(adaptive > 1, xp.ones_like(adaptive), adaptive)[..., None]
        chosen = counted & (exact >= adaptive)
        chosen_hits, chosen_pixels = (xp.sum(xp.astype(each, wide), axis=-1) for each in (chosen & truth, chosen))
        adaptive_f = _f(xp, chosen_hits, chosen_pixels, positives, beta_squared)

        there = pixels > 0
        parts = (errors, adaptive_f, xp.moveaxis(curve, -1, 0))
        sums = (xp.sum(xp.where(there, part, xp.zeros_like(part)), axis=(-2, -1)) for part in parts)
        return SaliencySums(xp.sum(xp.astype(there, backend.count_dtype(scores))), *sums)


@computed_from(COUNTING, SaliencySums)
def saliency_mae(sums: SaliencySums, *, absent: Absent = "skip") -> Array:
    r"""Mean absolute error of saliency maps, averaged over images.

    .. math:: \frac{1}{N} \sum_n \frac{1}{S_n} \sum_i |p_{ni} - t_{ni}|

    Parameters
    ----------
    sums
        From `saliency_sums`.
    absent
        The error without an image: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    Array
        Floating array `()`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> prediction, target = np.asarray([[[0.0, 0.5, 1.0]]]), np.asarray([[[0, 1, 1]]])
    >>> round(float(metrics.saliency_mae(metrics.saliency_sums(prediction, target))), 6)
    0.166667
    """
    return _mean(sums, sums.absolute_error, "curve", absent)


@computed_from(COUNTING, SaliencySums)
def saliency_f_measure(
    sums: SaliencySums, *, threshold: Literal["adaptive", "max", "mean", "curve"] = "max", absent: Absent = "skip"
) -> Array:
    r"""F measure of saliency maps, averaged over images.

    .. math:: \max_\tau \frac{1}{N} \sum_n F_{n\tau}, \quad \frac{1}{K} \sum_\tau \frac{1}{N} \sum_n F_{n\tau}, \quad
        \frac{1}{N} \sum_n F_{n, 2 \bar p_n}

    Parameters
    ----------
    sums
        From `saliency_sums`.
    threshold
        ``"max"`` (default): the threshold that is best for all images together; ``"mean"``: the mean over the
        thresholds; ``"adaptive"``: of each image, twice the mean of its map; ``"curve"``: every threshold.
    absent
        The score without an image: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    Array
        Floating array `()`, or `(K,)` for ``"curve"``.

    References
    ----------
    Achanta, Hemami, Estrada and Süsstrunk, "Frequency-tuned salient region detection", CVPR (2009).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> prediction, target = np.asarray([[[0.0, 0.5, 1.0]]]), np.asarray([[[0, 1, 1]]])
    >>> float(metrics.saliency_f_measure(metrics.saliency_sums(prediction, target)))
    1.0
    """
    check_choice("threshold", threshold, ("adaptive", "max", "mean", "curve"))
    return _mean(sums, sums.adaptive_f if threshold == "adaptive" else sums.f_curve, threshold, absent)


def _stretched(maps: ScoreMaps) -> Array:
    """The scores, those of each image from 0 to 1 where its pixels count, unless they are equal."""
    xp, scores = maps.backend.xp, maps.scores
    if scores.shape[-1] == 0:
        return scores
    least, most = (
        reduce(xp.where(maps.valid, scores, xp.full_like(scores, neutral)), axis=-1, keepdims=True)
        for reduce, neutral in ((xp.min, 1.0), (xp.max, 0.0))
    )
    span = most - least
    flat = span <= 0
    return xp.where(flat, scores, (scores - least) / xp.where(flat, xp.ones_like(span), span))


def _f(xp: Namespace, hits: Array, found: Array, positives: Array, beta_squared: float) -> Array:
    """(1 + b) P R / (b P + R) = (1 + b) TP / (b T + F), 0 where nothing is found or there."""
    denominator = beta_squared * positives + found
    return ratio(xp, (1 + beta_squared) * hits, denominator, 0.0)


def _mean(sums: SaliencySums, values: Array, threshold: str, absent: Absent) -> Array:
    check_absent(absent)
    backend = common_backend(**sums._asdict())
    check_counts(backend, "sums", *sums)
    xp, dtype = backend.xp, backend.sum_dtype(values)
    with backend.enable_64_bits(*sums):
        wide = backend.sum_dtype(values)
        images = xp.broadcast_to(xp.astype(sums.images, wide), values.shape)
        mean = ratio(xp, xp.astype(values, wide, copy=False), images, absent)
        mean = xp.max(mean) if threshold == "max" else xp.mean(mean) if threshold == "mean" else mean
        return xp.astype(mean, dtype, copy=False)
