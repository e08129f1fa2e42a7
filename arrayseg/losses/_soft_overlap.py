"""Region losses that are 0 at any equal pair of distributions, and their means over batch, images and classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Unpack

from arrayseg._checks import check_number, check_numbers
from arrayseg._typing import (
    Array,
    Pool,
    SmoothForm,
    SoftTruePositive,
)
from arrayseg.engine import region_scores
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_term import RegionBlend, RegionTerm
from arrayseg.engine.sweep import Term
from arrayseg.losses._api import loss
from arrayseg.losses._dice import Smooth, ratio, region_plan
from arrayseg.losses._options import RegionKeywords, RegionOptions

__all__ = ["dice_semimetric", "fine_grained_jaccard", "jaccard_metric"]


@loss(RegionOptions, without=("soft_tp",))
def jaccard_metric(
    input: Array,
    target: Array,
    *,
    smooth: Smooth = 1e-3,
    smooth_form: SmoothForm = "tp",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Jaccard metric loss: soft Jaccard that is 0 where prediction and soft target are equal.

    .. math:: \ell = 1 - \frac{TP + s}{|p|_1 + |t|_1 - TP + s'}, \qquad TP = \frac{|p|_1 + |t|_1 - |p - t|_1}{2}

    Parameters
    ----------
    {input}
    target : array
        The value of every class, of the input's shape; or class ids of shape (N, \*spatial), integer.
    smooth : float or (float, float), default 1e-3
        s of the numerator and s' of the denominator, at least 0.
    smooth_form : {"double", "tp"}, default "tp"
        As in the formula, or with both doubled before smoothing.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    It is `jaccard` with ``soft_tp="l1"``, and for hard targets `jaccard` itself. Where p and t are equal the
    derivative is the mean of those on both sides.

    References
    ----------
    Wang et al., "Jaccard metric losses: optimizing the Jaccard index with soft labels" (2023),
    https://arxiv.org/abs/2302.05666.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import jaccard, jaccard_metric
    >>> soft = np.array([[[0.8, 0.3], [0.2, 0.7]]])
    >>> float(jaccard_metric(soft, soft, activation=None))
    0.0
    >>> round(float(jaccard(soft, soft, activation=None)), 4)
    0.543
    """
    return region_plan(
        input, target, ratio(1.0, 1.0, smooth, smooth_form), replace(RegionOptions(**options), soft_tp="l1")
    )


@loss(RegionOptions, without=("soft_tp",))
def dice_semimetric(
    input: Array,
    target: Array,
    *,
    smooth: Smooth = 1e-3,
    smooth_form: SmoothForm = "tp",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Dice semimetric loss: soft Dice that is 0 where prediction and soft target are equal.

    .. math:: \ell = 1 - \frac{TP + s}{(|p|_1 + |t|_1) / 2 + s'}, \qquad TP = \frac{|p|_1 + |t|_1 - |p - t|_1}{2}

    Parameters
    ----------
    {input}
    target : array
        The value of every class, of the input's shape; or class ids of shape (N, \*spatial), integer.
    smooth : float or (float, float), default 1e-3
        s of the numerator and s' of the denominator, at least 0.
    smooth_form : {"double", "tp"}, default "tp"
        As in the formula, or with both doubled before smoothing.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    It is `dice` with ``soft_tp="l1"``, and for hard targets `dice` itself. It is what ``segmentation_models_pytorch``
    computes since 0.4 and MONAI with ``soft_label=True``.

    References
    ----------
    Wang et al., "Dice semimetric losses: optimizing the Dice score with soft labels" (2023),
    https://arxiv.org/abs/2303.16296.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import dice_semimetric
    >>> soft = np.array([[[0.8, 0.3], [0.2, 0.7]]])
    >>> float(dice_semimetric(soft, soft, activation=None))
    0.0
    """
    return region_plan(
        input, target, ratio(0.5, 0.5, smooth, smooth_form), replace(RegionOptions(**options), soft_tp="l1")
    )


@loss(RegionOptions, without=("pool", "absent", "reduction"))
def fine_grained_jaccard(
    input: Array,
    target: Array,
    *,
    weights: Sequence[float] = (1 / 3, 1 / 3, 1 / 3),
    alpha: float = 1.0,
    beta: float = 1.0,
    exponent: float = 1.0,
    smooth: Smooth = 1e-3,
    smooth_form: SmoothForm = "tp",
    soft_tp: SoftTruePositive = "l1",
    **options: Any,
) -> Plan:
    r"""Loss of the fine-grained mean IoU: of the batch, of the images and of the classes (JDT loss).

    .. math:: \ell = w_D \frac{1}{C} \sum_c \ell_c + w_I \frac{1}{N} \sum_n \frac{1}{C_n} \sum_c \ell_{nc}
       + w_C \frac{1}{C} \sum_c \frac{1}{N_c} \sum_n \ell_{nc}

    Here ℓ_nc is the Jaccard loss of class c in image n and ℓ_c that of the batch; the sums run over classes that are
    present in the target: C of the batch, C_n of an image; N_c are the images with class c.

    Parameters
    ----------
    {input}
    {target}
    weights : sequence of three floats, default (1/3, 1/3, 1/3)
        w_D of the batch's mean IoU, w_I of the images' and w_C of the classes', at least 0.
    alpha : float, default 1
        The weight of false positives, at least 0; with beta, 1 for Jaccard and 1/2 for Dice.
    beta : float, default 1
        The weight of false negatives, at least 0.
    exponent : float, default 1
        The power of each ℓ, greater than 0.
    smooth : float or (float, float), default 1e-3
        s of the numerator and s' of the denominator, at least 0.
    smooth_form : {"double", "tp"}, default "tp"
        Where smoothing is added: to TP and TP + alpha FP + beta FN, or to twice those.
    soft_tp : {"l1", "product", "l2"}, default "l1"
        What a true positive of probability p and target t is, as for `dice`; they differ for soft targets alone, but
        for "l2".
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    The JDTLoss of the authors has weights (1, 0, 0) by default. `alpha` and `beta` of 1/2 give the Dice form, others
    the Tversky form.

    References
    ----------
    Wang et al., "Revisiting evaluation metrics for semantic segmentation: optimization and evaluation of fine-grained
    intersection over union" (2023), https://arxiv.org/abs/2310.19252.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import fine_grained_jaccard
    >>> probabilities = np.array([[[0.8, 0.3], [0.2, 0.7]], [[0.9, 0.6], [0.1, 0.4]]])
    >>> ids = np.array([[0, 1], [0, 0]])
    >>> round(float(fine_grained_jaccard(probabilities, ids, activation=None, smooth=0)), 4)
    0.3793
    """
    exponent = check_number("exponent", exponent, 0, above=True)
    weights = check_numbers("weights", weights, 0)
    if len(weights) != 3:
        msg = f"`weights` must be three numbers, of the batch, the images and the classes; got {weights!r}."
        raise ValueError(msg)
    score = region_scores.chain(ratio(alpha, beta, smooth, smooth_form), region_scores.power(exponent))
    return region_plan(
        input,
        target,
        score,
        RegionOptions(soft_tp=soft_tp, absent="exclude", reduction="mean", **options),
        _blend(weights),
    )


def _blend(weights: Sequence[float]) -> Callable[..., Term]:
    """What makes the three means of a score, of which those with a weight take part."""
    means: tuple[tuple[Pool, Literal["scores", "images", "classes"]], ...] = (
        ("batch", "scores"),
        ("image", "images"),
        ("image", "classes"),
    )

    def make(**options: Any) -> Term:
        term = partial(RegionTerm, **options)
        terms = [term(pool=pool, average=average) for pool, average in means]
        return RegionBlend(terms, weights)

    return make
