"""Jaccard and Dice losses that are 0 where prediction and soft target are equal, and their fine-grained means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Unpack

from arrayseg._checks import check_number, check_numbers
from arrayseg._typing import Array, Pool, SmoothForm, SoftTruePositive
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
    r"""Compute the Jaccard metric loss, a soft Jaccard loss that is 0 where prediction and soft target are equal.

    .. math:: \ell = 1 - \frac{TP + s}{|p|_1 + |t|_1 - TP + s'}, \qquad TP = \frac{|p|_1 + |t|_1 - |p - t|_1}{2}

    Parameters
    ----------
    {input}
    {target}
    {smooth_metric}
    {smooth_form_metric}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The loss equals `jaccard` with ``soft_tp="l1"``, and for hard targets it equals `jaccard`. Where p and t are equal,
    the derivative is the mean of the left and the right derivative.

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
    r"""Compute the Dice semimetric loss, a soft Dice loss that is 0 where prediction and soft target are equal.

    .. math:: \ell = 1 - \frac{TP + s}{(|p|_1 + |t|_1) / 2 + s'}, \qquad TP = \frac{|p|_1 + |t|_1 - |p - t|_1}{2}

    Parameters
    ----------
    {input}
    {target}
    {smooth_metric}
    {smooth_form_metric}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The loss equals `dice` with ``soft_tp="l1"``, and for hard targets it equals `dice`. ``segmentation_models_pytorch``
    computes this loss since 0.4, and MONAI with ``soft_label=True``.

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
    r"""Compute the loss of the fine-grained mean IoU over batch, images and classes (JDT loss).

    .. math:: \ell = w_D \frac{1}{C} \sum_c \ell_c + w_I \frac{1}{N} \sum_n \frac{1}{C_n} \sum_c \ell_{nc}
       + w_C \frac{1}{C} \sum_c \frac{1}{N_c} \sum_n \ell_{nc}

    Here ℓ_nc is the Jaccard loss of class c in image n, and ℓ_c its Jaccard loss in the batch. The sums run over the
    classes that occur in the target: C in the batch and C_n in image n. N_c images contain class c.

    Parameters
    ----------
    {input}
    {target}
    weights : sequence of three floats, default (1/3, 1/3, 1/3)
        The weights w_D of the mean over the batch, w_I over images and w_C over classes, at least 0.
    alpha : float, default 1
        The weight of false positives, at least 0. Set both `alpha` and `beta` to 1 for Jaccard or to 1/2 for Dice.
    beta : float, default 1
        The weight of false negatives, at least 0.
    exponent : float, default 1
        The exponent of each ℓ, greater than 0.
    {smooth_metric}
    smooth_form : {"double", "tp"}, default "tp"
        "tp" smooths TP and TP + alpha FP + beta FN. "double" doubles both before smoothing.
    soft_tp : {"l1", "product", "l2"}, default "l1"
        The true positive of probability p and target t, as for `dice`. For hard targets "l1" and "product" are equal.
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    The authors' JDTLoss has weights (1, 0, 0) by default. Other values of `alpha` and `beta` than 1 and 1/2 give the
    Tversky form.

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
        msg = f"`weights` must be three numbers, for the batch, the images and the classes; got {weights!r}."
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
    """Return a function that creates the term of the weighted sum of the three means of a score."""
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
