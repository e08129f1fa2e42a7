"""Named sums of a region loss and pixel losses, which share one softmax and one sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from arrayseg._checks import check_number
from arrayseg._typing import AbsentTarget, Array, Pool, Reduction, SmoothForm
from arrayseg.engine import pixel_formulas, region_scores
from arrayseg.engine.pixel_formulas import Formula
from arrayseg.engine.pixel_term import PixelTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sweep
from arrayseg.losses._api import loss
from arrayseg.losses._compound import outer_formula
from arrayseg.losses._dice import Smooth, ratio, region_plan
from arrayseg.losses._generalized_dice import TOGETHER, Weighting, generalized
from arrayseg.losses._options import CompoundOptions, JointKeywords, RegionKeywords
from arrayseg.losses._overlap_variants import log_ratio

__all__ = [
    "combo",
    "dice_cross_entropy",
    "dice_focal",
    "exponential_logarithmic",
    "generalized_dice_focal",
    "unified_focal",
]


@loss(CompoundOptions)
def dice_cross_entropy(
    input: Array,
    target: Array,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    label_smoothing: float = 0.0,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the sum of the Dice loss and cross entropy.

    .. math:: \ell = \lambda_D \left(1 - \frac{2 I + s}{P + T + s'}\right) + \lambda_C \, \text{CE}

    Parameters
    ----------
    {input}
    {target}
    {dice_weight}
    cross_entropy_weight : float, default 1
        The weight λ_C of the cross entropy, at least 0.
    label_smoothing : float, default 0
        The part of the target that cross entropy spreads evenly over the classes, in [0, 1).
    {smooth_dice}
    {smooth_form_dice}
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults give the numbers of ``monai.losses.DiceCELoss(softmax=True, to_onehot_y=True)`` 1.6. With
    ``pool="batch", exclude_background=True`` the loss is that of nnU-Net, up to a constant.

    `class_weights` multiply both parts. As in PyTorch, the sum of the weights over the pixels divides the cross
    entropy. `classes` and `exclude_background` affect only the Dice part. With "sigmoid" the cross entropy is binary
    and is averaged over classes too. MONAI instead uses softmax cross entropy for more than one channel.

    References
    ----------
    Isensee et al., "nnU-Net" (2021), https://doi.org/10.1038/s41592-020-01008-z.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import dice_cross_entropy
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(dice_cross_entropy(probabilities, ids, activation=None)), 4)
    0.5405
    """
    label_smoothing = check_number("label_smoothing", label_smoothing, 0, 1, below=True)
    shared = CompoundOptions(**options)
    sweep = region_plan(input, target, ratio(0.5, 0.5, smooth, smooth_form), shared)
    term = PixelTerm(formula=pixel_formulas.cross_entropy, reduction=shared.reduction, label_smoothing=label_smoothing)
    return _with_terms(sweep, dice_weight, [(term, cross_entropy_weight)])


@loss(CompoundOptions)
def dice_focal(
    input: Array,
    target: Array,
    *,
    dice_weight: float = 1.0,
    focal_weight: float = 1.0,
    gamma: float = 2.0,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the sum of the Dice loss and the focal loss.

    .. math:: \ell = \lambda_D \left(1 - \frac{2 I + s}{P + T + s'}\right)
       - \lambda_F \, \frac{1}{N} \sum_i (1 - p_{i, y_i})^\gamma \log p_{i, y_i}

    Parameters
    ----------
    {input}
    {target}
    {dice_weight}
    {focal_weight}
    {gamma}
    {smooth_dice}
    {smooth_form_dice}
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    Both parts have the same activation. MONAI's DiceFocalLoss uses sigmoids in its focal loss even with
    ``softmax=True``, and also divides it by C.

    References
    ----------
    Zhu et al., "AnatomyNet" (2018), https://arxiv.org/abs/1808.05238. Lin et al., "Focal loss for dense object
    detection" (2017), https://arxiv.org/abs/1708.02002.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import dice_focal
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(dice_focal(probabilities, ids, activation=None)), 4)
    0.2711
    """
    gamma = check_number("gamma", gamma, 0)
    shared = CompoundOptions(**options)
    sweep = region_plan(input, target, ratio(0.5, 0.5, smooth, smooth_form), shared)
    term = PixelTerm(formula=pixel_formulas.focal(gamma), reduction=shared.reduction)
    return _with_terms(sweep, dice_weight, [(term, focal_weight)])


@loss(CompoundOptions, without=TOGETHER)
def generalized_dice_focal(
    input: Array,
    target: Array,
    *,
    dice_weight: float = 1.0,
    focal_weight: float = 1.0,
    gamma: float = 2.0,
    weighting: Weighting = "square",
    absent: AbsentTarget = "keep",
    pool: Pool = "image",
    smooth: Smooth = 1e-5,
    **options: Unpack[JointKeywords],
) -> Plan:
    r"""Compute the sum of the generalized Dice loss and the focal loss.

    .. math:: \ell = \lambda_D \left(1 - \frac{2 \sum_c w_c I_c + s}{\sum_c w_c (P_c + T_c) + s'}\right)
       - \lambda_F \, \frac{1}{N} \sum_i (1 - p_{i, y_i})^\gamma \log p_{i, y_i}

    Parameters
    ----------
    {input}
    {target}
    {dice_weight}
    {focal_weight}
    {gamma}
    {weighting}
    {absent_joint}
    {pool_joint}
    {smooth_dice}
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    MONAI's GeneralizedDiceFocalLoss uses sigmoids in its focal loss even with ``softmax=True``, and also divides it by
    C.

    References
    ----------
    Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations"
    (2017), https://arxiv.org/abs/1707.03237.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import generalized_dice_focal
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(generalized_dice_focal(probabilities, ids, activation=None)), 4)
    0.2705
    """
    gamma = check_number("gamma", gamma, 0)
    score = generalized(weighting, absent, pool, smooth)
    shared = CompoundOptions(pool=pool, **options)
    sweep = region_plan(input, target, score, shared)
    term = PixelTerm(formula=pixel_formulas.focal(gamma), reduction=shared.reduction)
    return _with_terms(sweep, dice_weight, [(term, focal_weight)])


@loss(CompoundOptions)
def combo(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the combo loss, a weighted sum of cross entropy and the Dice loss.

    .. math:: \ell = -\frac{\alpha}{N} \sum_i b_{y_i} \log p_{i, y_i}
       + (1 - \alpha) \left(1 - \frac{2 I + s}{P + T + s'}\right)

    Parameters
    ----------
    {input}
    {target}
    alpha : float, default 0.5
        The weight of the cross entropy, in [0, 1].
    beta : float, default 0.5
        The weight b of the classes from 1 on, in [0, 1]. Class 0 has the weight 1 - beta. With "sigmoid" these are the
        weights of positive and negative targets. Above 1/2, false negatives cost more.
    {smooth_dice}
    {smooth_form_dice}
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    The paper subtracts the Dice score instead of adding one minus the score. Its value is smaller by ``1 - alpha``; the
    gradient is the same.

    References
    ----------
    Taghanaki et al., "Combo loss: handling input and output imbalance in multi-organ segmentation" (2019),
    https://arxiv.org/abs/1805.02798.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import combo
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(combo(probabilities, ids, activation=None)), 4)
    0.1978
    """
    alpha = check_number("alpha", alpha, 0, 1)
    beta = check_number("beta", beta, 0, 1)
    shared = CompoundOptions(**options)
    sweep = region_plan(input, target, ratio(0.5, 0.5, smooth, smooth_form), shared)
    term = _balanced(sweep, pixel_formulas.cross_entropy, (1 - beta, beta), shared.reduction)
    return _with_terms(sweep, 1 - alpha, [(term, alpha)])


@loss(CompoundOptions)
def exponential_logarithmic(
    input: Array,
    target: Array,
    *,
    dice_weight: float = 0.8,
    cross_entropy_weight: float = 0.2,
    dice_exponent: float = 0.3,
    cross_entropy_exponent: float = 0.3,
    floor: float = 1e-7,
    smooth: Smooth = 1.0,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the exponential logarithmic loss, a sum of powers of the log-Dice loss and of cross entropy.

    .. math:: \ell = w_D \, \text{mean}_c (-\log D_c)^{\gamma_D}
       + w_C \, \frac{\sum_i w_{y_i} (-\log p_{i, y_i})^{\gamma_C}}{\sum_i w_{y_i}}, \qquad
       D = \frac{2 I + s}{P + T + s'}

    Parameters
    ----------
    {input}
    {target}
    dice_weight : float, default 0.8
        The weight w_D of the Dice part, at least 0.
    cross_entropy_weight : float, default 0.2
        The weight w_C of the cross entropy, at least 0.
    dice_exponent : float, default 0.3
        The exponent γ_D of the Dice part, greater than 0.
    cross_entropy_exponent : float, default 0.3
        The exponent γ_C of the cross entropy, greater than 0.
    floor : float, default 1e-7
        The lower bound of D, in (0, 1). Below it the gradient is 0.
    smooth : float or (float, float), default 1
        Smoothing of D: s in the numerator and s' in the denominator, at least 0. A single number sets both.
    {smooth_form_dice}
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    The paper weights the classes of the cross entropy by the inverse square root of their frequency. Here
    `class_weights` multiply both parts. SegLossOdyssey does not raise the cross entropy to a power.

    References
    ----------
    Wong et al., "3D segmentation with exponential logarithmic loss for highly unbalanced object sizes" (2018),
    https://arxiv.org/abs/1809.00076.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import exponential_logarithmic
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(exponential_logarithmic(probabilities, ids, activation=None)), 4)
    0.6174
    """
    dice_exponent = check_number("dice_exponent", dice_exponent, 0, above=True)
    cross_entropy_exponent = check_number("cross_entropy_exponent", cross_entropy_exponent, 0, above=True)
    score = region_scores.chain(log_ratio(0.5, smooth, smooth_form, floor), region_scores.power(dice_exponent))
    formula = outer_formula(pixel_formulas.cross_entropy, region_scores.power(cross_entropy_exponent))
    shared = CompoundOptions(**options)
    sweep = region_plan(input, target, score, shared)
    term = PixelTerm(formula=formula, reduction=shared.reduction)
    return _with_terms(sweep, dice_weight, [(term, cross_entropy_weight)])


@loss(CompoundOptions, without=("pool", "soft_tp"))
def unified_focal(
    input: Array,
    target: Array,
    *,
    weight: float = 0.5,
    delta: float = 0.6,
    gamma: float = 0.5,
    asymmetric: bool = False,
    smooth: Smooth = 1e-5,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the unified focal loss, a sum of a focal Tversky and a focal loss with shared parameters.

    .. math:: \ell = \lambda \, \text{mean}_c (1 - TI_c)^{1 - \gamma}
       - (1 - \lambda) \, \frac{1}{N} \sum_i d_{y_i} (1 - p_{i, y_i})^{\gamma} \log p_{i, y_i}, \qquad
       TI = \frac{TP + s}{TP + \delta FN + (1 - \delta) FP + s'}

    Parameters
    ----------
    {input}
    {target}
    weight : float, default 0.5
        The weight λ of the Tversky part, in [0, 1].
    delta : float, default 0.6
        The weight δ of false negatives and the weight d of the classes from 1 on, in [0, 1]. Class 0 has the weight
        1 - delta. With "sigmoid" these are the weights of positive and negative targets.
    gamma : float, default 0.5
        The focusing exponent γ, in [0, 1). The larger it is, the less nearly right pixels and classes count.
    asymmetric : bool, default False
        Apply γ only to the background in the focal part and only to the foreground in the Tversky part. Requires
        mutually exclusive classes.
    smooth : float or (float, float), default 1e-5
        Smoothing of the Tversky index: s in the numerator and s' in the denominator, at least 0. A single number sets
        both.
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    The authors' code has these defaults and two classes. With more classes, all except class 0 are foreground here.
    MONAI's AsymmetricUnifiedFocalLoss has delta = 0.7 and exchanges the two weights. `class_weights` multiply both
    parts.

    References
    ----------
    Yeung et al., "Unified focal loss: generalising Dice and cross entropy-based losses to handle class imbalanced
    medical image segmentation" (2022), https://arxiv.org/abs/2102.04525.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import unified_focal
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(unified_focal(probabilities, ids, activation=None)), 4)
    0.2895
    """
    weight = check_number("weight", weight, 0, 1)
    delta = check_number("delta", delta, 0, 1)
    gamma = check_number("gamma", gamma, 0, 1, below=True)
    score = region_scores.focused(
        ratio(1 - delta, delta, smooth, "tp"), region_scores.power(1 - gamma), background=not asymmetric
    )
    shared = CompoundOptions(**options)
    sweep = region_plan(input, target, score, shared)
    focal = pixel_formulas.focal(gamma)
    if not asymmetric:
        terms = [_balanced(sweep, focal, (1 - delta, delta), shared.reduction)]
    elif sweep.batch.binary:
        msg = (
            "`asymmetric` treats class 0 as the background, which independent classes do not have. Use "
            "activation='softmax'."
        )
        raise ValueError(msg)
    else:
        terms = [
            _balanced(sweep, focal, (1 - delta, 0.0), shared.reduction),
            _balanced(sweep, pixel_formulas.cross_entropy, (0.0, delta), shared.reduction),
        ]
    return _with_terms(sweep, weight, [(term, 1 - weight) for term in terms])


def _with_terms(sweep: Sweep, factor: float, terms: Sequence[tuple[PixelTerm, float]]) -> Sweep:
    """Return the sum of a region loss and pixel losses, each with its weight, in one sweep."""
    factors = [check_number("weight", weight, 0) for weight in (factor, *(weight for _, weight in terms))]
    return replace(sweep, terms=[*sweep.terms, *(term for term, _ in terms)], factors=factors)


def _balanced(sweep: Sweep, formula: Formula, weights: tuple[float, float], reduction: Reduction) -> PixelTerm:
    """Return a pixel loss with weights of the background and the foreground, by which its mean does not divide.

    The background is class 0 or, for independent classes, the negative targets.
    """
    classes, backend = sweep.layout.classes, sweep.batch.backend
    background, foreground = weights

    def row(*numbers: float) -> Array:
        """Return an array of numbers, one for each class. A compiler may trace them."""
        dtype = sweep.batch.compute_dtype
        return backend.xp.stack([backend.asarray(number, dtype=dtype, like=sweep.input) for number in numbers])

    if sweep.batch.binary:
        positive, negative = (row(*[number] * classes) for number in (foreground, background))
        return PixelTerm(formula=formula, reduction=reduction, positive_weights=positive, negative_weights=negative)
    positive = row(background, *[foreground] * (classes - 1))
    return PixelTerm(formula=formula, reduction=reduction, positive_weights=positive)
