"""Compute the errors of saliency maps: one soft mask for each image, compared at every threshold."""

from __future__ import annotations

from math import inf
from typing import Any, Literal, NamedTuple

from arrayseg._checks import check_choice, check_flag, check_index, check_number
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, common_backend
from arrayseg.metrics._compute import AbsentScore, Score, compute, computed_from, divide, ratio
from arrayseg.metrics._inputs import check_per_image
from arrayseg.metrics._paragraphs import LABEL_MAPS
from arrayseg.metrics._probability.inputs import ScoreMaps, read_scores

__all__ = ["SaliencySums", "saliency_f_measure", "saliency_mae", "saliency_sums"]


class SaliencySums(NamedTuple):
    """Sums over images of the scores of each image; add them with `arrayseg.metrics.add`.

    Parameters
    ----------
    images : array of int
        The number of images. Shape `()`.
    absolute_error : array
        The sum of their mean absolute errors. Shape `()`.
    adaptive_f : array
        The sum of their F measures at twice the mean of the map. Shape `()`.
    f_curve : array
        The sums of their F measures at K thresholds. Shape `(K,)`.

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


#: Decorates the functions of `SaliencySums`.
saliency_score = computed_from(
    "saliency_sums(prediction, target)",
    SaliencySums,
    paragraphs={
        "sums": """
            sums : SaliencySums
                The sums, from `saliency_sums`.
        """,
        "absent": """
            absent : {"skip", "nan"} or float, default "skip"
                The score if there is no image: nan for ``"skip"`` and ``"nan"``, or this number.
        """,
    },
)


@raises_here
@documented(LABEL_MAPS)
def saliency_sums(
    prediction: Array,
    target: Array,
    *,
    beta_squared: float = 0.3,
    thresholds: int = 256,
    normalize: bool = True,
    mask: Array | None = None,
) -> SaliencySums:
    r"""Sum the absolute errors and F measures of the saliency maps of a batch.

    .. math:: MAE = \frac{1}{S} \sum_i |p_i - t_i|, \quad
        F_\tau = \frac{(1 + \beta^2) P_\tau R_\tau}{\beta^2 P_\tau + R_\tau}

    where P and R are precision and recall of the pixels with :math:`p_i \geq \tau`.

    Parameters
    ----------
    prediction : array
        Floating saliency maps in [0, 1]. Shape `(N, *spatial)`.
    target : array of bool or int
        Masks, as booleans or integers 0 and 1, of the shape of `prediction`.
    beta_squared : float, default 0.3
        The weight of recall.
    thresholds : int, default 256
        The number of thresholds of the curve, K: 0, 1 / (K - 1), ..., 1.
    normalize : bool, default True
        Whether to stretch each map to the range from 0 to 1, unless it is constant.
    {mask}

    Returns
    -------
    SaliencySums
        The sums over the images. Add batches with `arrayseg.metrics.add`.

    Raises
    ------
    ValueError
        If shapes do not match, or a value is out of range.
    TypeError
        If libraries are mixed, or a dtype is wrong.

    Notes
    -----
    The definitions are those of PySODMetrics with K = 256. It rounds maps to bytes first: round yours to get its
    numbers. An F measure without a correct pixel is 0. Any compiler can trace the function.

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
            scores = _stretch(maps)
        scores = xp.where(counted, scores, xp.zeros_like(scores))  # a pixel that does not count may be nan
        truth = counted & maps.truth
        hits, above = _counts_at_thresholds(maps, scores, truth, thresholds)
        pixels, positives = above[..., 0], hits[..., 0]
        curve = _f_measure(xp, hits, above, positives[..., None], beta_squared)

        wide = backend.sum_dtype(scores)
        exact = xp.astype(scores, wide, copy=False)
        errors = ratio(xp, xp.sum(xp.abs(exact - xp.astype(truth, wide)), axis=-1), pixels, 0.0)
        # Twice the mean, but at most 1, the largest value of a pixel.
        adaptive = 2 * ratio(xp, xp.sum(exact, axis=-1), pixels, 0.0)
        adaptive = xp.where(adaptive > 1, xp.ones_like(adaptive), adaptive)[..., None]
        salient = counted & (exact >= adaptive)
        salient_hits, salient_pixels = (xp.sum(xp.astype(part, wide), axis=-1) for part in (salient & truth, salient))
        adaptive_f = _f_measure(xp, salient_hits, salient_pixels, positives, beta_squared)

        has_pixels = pixels > 0
        parts = (errors, adaptive_f, xp.moveaxis(curve, -1, 0))
        sums = (xp.sum(xp.where(has_pixels, part, xp.zeros_like(part)), axis=(-2, -1)) for part in parts)
        return SaliencySums(xp.sum(xp.astype(has_pixels, backend.count_dtype(scores))), *sums)


def _counts_at_thresholds(maps: ScoreMaps, scores: Array, truth: Array, thresholds: int) -> tuple[Array, Array]:
    """Return the true positives, and all pixels, at or above each threshold, `(N, C, K)` each."""
    backend, xp = maps.backend, maps.backend.xp
    # The number of thresholds that a pixel reaches goes into a histogram, which is summed from the top. The product may
    # be off by rounding, so the two candidates are compared with the levels. These are computed on the host, because
    # compilers replace a division by a product. A binary search takes five times as long.
    levels = [level / (thresholds - 1) for level in range(thresholds)] + [inf]
    table = backend.asarray(levels, dtype=scores.dtype, like=scores)
    below = xp.astype(scores * (thresholds - 1), xp.int32)
    reached = below
    for level in (below, below + 1):
        passed = xp.reshape(xp.take(table, xp.reshape(level, (-1,))), scores.shape) <= scores
        reached = reached + xp.astype(passed, xp.int32)
    slots = reached + (thresholds + 1) * xp.astype(truth, reached.dtype)  # background first, then the object
    histogram = maps.histogram(slots, maps.valid, 2 * (thresholds + 1))
    histogram = xp.flip(xp.reshape(histogram, (*histogram.shape[:-1], 2, thresholds + 1)), axis=-1)
    sums = xp.flip(xp.cumulative_sum(histogram, axis=-1)[..., :-1], axis=-1)
    wide = backend.sum_dtype(scores)
    return xp.astype(sums[..., 1, :], wide), xp.astype(xp.sum(sums, axis=-2), wide)


@saliency_score
def saliency_mae(sums: SaliencySums, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the mean absolute error of saliency maps, averaged over images.

    .. math:: \frac{1}{N} \sum_n \frac{1}{S_n} \sum_i |p_{ni} - t_{ni}|

    Parameters
    ----------
    {sums}
    {absent}

    Returns
    -------
    array
        The error. Shape `()`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> prediction, target = np.asarray([[[0.0, 0.5, 1.0]]]), np.asarray([[[0, 1, 1]]])
    >>> round(float(metrics.saliency_mae(metrics.saliency_sums(prediction, target))), 6)
    0.166667
    """

    def mean(backend: Backend, sums: SaliencySums) -> Score:
        return divide(backend.xp, sums.absolute_error, sums.images)

    return compute(sums, mean, name="sums", absent=absent)


@saliency_score
def saliency_f_measure(
    sums: SaliencySums, *, threshold: Literal["adaptive", "max", "mean", "curve"] = "max", absent: AbsentScore = "skip"
) -> Array:
    r"""Return the F measure of saliency maps, averaged over images.

    .. math:: \max_\tau \frac{1}{N} \sum_n F_{n\tau}, \quad \frac{1}{K} \sum_\tau \frac{1}{N} \sum_n F_{n\tau}, \quad
        \frac{1}{N} \sum_n F_{n, 2 \bar p_n}

    Parameters
    ----------
    {sums}
    threshold : {"adaptive", "max", "mean", "curve"}, default "max"
        ``"max"`` uses the threshold that is best for all images together, and ``"mean"`` averages over the thresholds.
        ``"adaptive"`` uses twice the mean of the map of each image. ``"curve"`` returns all thresholds.
    {absent}

    Returns
    -------
    array
        The score. Shape `()`, or `(K,)` for ``"curve"``.

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

    def f_measure(backend: Backend, sums: SaliencySums) -> Score:
        xp, values = backend.xp, sums.adaptive_f if threshold == "adaptive" else sums.f_curve
        mean, _ = divide(xp, values, xp.broadcast_to(sums.images, values.shape))
        mean = xp.max(mean) if threshold == "max" else xp.mean(mean) if threshold == "mean" else mean
        return Score(mean, sums.images == 0)

    return compute(sums, f_measure, name="sums", absent=absent)


def _stretch(maps: ScoreMaps) -> Array:
    """Return the scores, stretched to the range from 0 to 1 over the pixels of an image that count, unless constant."""
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


def _f_measure(xp: Namespace, hits: Array, above: Array, positives: Array, beta_squared: float) -> Array:
    """Return (1 + b) P R / (b P + R), as (1 + b) TP / (b T + A) with A pixels above the threshold; 0 for 0 / 0."""
    return ratio(xp, (1 + beta_squared) * hits, beta_squared * positives + above, 0.0)
