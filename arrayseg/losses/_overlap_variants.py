"""Losses that transform a Dice, Jaccard or Tversky score: powers, logarithms, log-cosh and F-beta."""

from __future__ import annotations

from typing import Literal, Unpack

from arrayseg._checks import check_choice, check_number
from arrayseg._typing import Array, SmoothForm
from arrayseg.engine import region_scores
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_scores import Score
from arrayseg.losses._api import loss
from arrayseg.losses._dice import Smooth, ratio, region_plan, smoothing
from arrayseg.losses._options import RegionKeywords, RegionOptions

__all__ = ["asymmetric_f_beta", "focal_tversky", "log_cosh_dice", "log_dice", "log_jaccard", "log_ratio"]


@loss(RegionOptions)
def focal_tversky(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    exponent: float = 0.75,
    power_of: Literal["score", "mean"] = "score",
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "tp",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the focal Tversky loss, a power of the Tversky loss.

    .. math:: \ell = \left(1 - \frac{TP + s}{TP + \alpha FP + \beta FN + s'}\right)^{\gamma}

    Parameters
    ----------
    {input}
    {target}
    alpha : float, default 0.3
        The weight of false positives, at least 0.
    beta : float, default 0.7
        The weight of false negatives, at least 0.
    exponent : float, default 0.75
        The exponent, the γ of the formula, greater than 0. The paper writes it as 1 / gamma, with gamma = 4/3.
    power_of : {"score", "mean"}, default "score"
        Whether to raise the loss of each score to the power, or the reduced loss.
    {smooth}
    {smooth_form_tp}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    In the paper and in its authors' code, alpha = 0.7 is the weight of false negatives. segmentation-models-pytorch and
    SegLossOdyssey raise the mean to the power (``power_of="mean"``). For an exponent below 1 the gradient grows without
    bound as the prediction approaches the target. Where the loss is 0, its gradient is defined as 0.

    References
    ----------
    Abraham and Khan, "A novel focal Tversky loss function with improved attention U-Net for lesion segmentation"
    (2018), https://arxiv.org/abs/1810.07842.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import focal_tversky
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(focal_tversky(probabilities, ids, activation=None)), 4)
    0.354
    """
    exponent = check_number("exponent", exponent, 0, above=True)
    check_choice("power_of", power_of, ("score", "mean"))
    score, power = ratio(alpha, beta, smooth, smooth_form), region_scores.power(exponent)
    if power_of == "mean":
        return region_plan(input, target, score, RegionOptions(**options), outer=power)
    return region_plan(input, target, region_scores.chain(score, power), RegionOptions(**options))


@loss(RegionOptions)
def asymmetric_f_beta(
    input: Array,
    target: Array,
    *,
    beta: float = 1.5,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "tp",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the asymmetric similarity loss, one minus the F-beta score.

    .. math:: \ell = 1 - \frac{TP + s}{TP + \frac{\beta^2}{1 + \beta^2} FN + \frac{1}{1 + \beta^2} FP + s'}

    Parameters
    ----------
    {input}
    {target}
    beta : float, default 1.5
        The importance of recall relative to precision, at least 0. With 1 the loss equals Dice.
    {smooth}
    {smooth_form_tp}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The loss equals `tversky` with ``alpha = 1 / (1 + beta**2)`` and ``beta = beta**2 / (1 + beta**2)``. SegLossOdyssey
    smooths with 1 and returns the score.

    References
    ----------
    Hashemi et al., "Asymmetric loss functions and deep densely-connected networks for highly-imbalanced medical image
    segmentation" (2018), https://doi.org/10.1109/ACCESS.2018.2886371.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import asymmetric_f_beta
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(asymmetric_f_beta(probabilities, ids, activation=None)), 4)
    0.2508
    """
    beta = check_number("beta", beta, 0)
    recall = beta**2 / (1 + beta**2)
    return region_plan(input, target, ratio(1 - recall, recall, smooth, smooth_form), RegionOptions(**options))


@loss(RegionOptions)
def log_dice(
    input: Array,
    target: Array,
    *,
    floor: float = 1e-7,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the logarithmic Dice loss.

    .. math:: \ell = -\log \max\left(\frac{2 I + s}{P + T + s'}, \epsilon\right)

    Parameters
    ----------
    {input}
    {target}
    {floor}
    {smooth}
    {smooth_form_dice}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The formula is that of ``segmentation_models_pytorch.losses.DiceLoss(log_loss=True)``, which pools the batch.

    References
    ----------
    Wong et al., "3D segmentation with exponential logarithmic loss for highly unbalanced object sizes" (2018),
    https://arxiv.org/abs/1809.00076.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import log_dice
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(log_dice(probabilities, ids, activation=None)), 4)
    0.2887
    """
    return region_plan(input, target, log_ratio(0.5, smooth, smooth_form, floor), RegionOptions(**options))


@loss(RegionOptions)
def log_jaccard(
    input: Array,
    target: Array,
    *,
    floor: float = 1e-7,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the logarithmic Jaccard loss.

    .. math:: \ell = -\log \max\left(\frac{2 I + s}{2 (P + T - I) + s'}, \epsilon\right)

    Parameters
    ----------
    {input}
    {target}
    {floor}
    {smooth}
    {smooth_form_jaccard}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The formula is that of ``segmentation_models_pytorch.losses.JaccardLoss(log_loss=True)``, which pools the batch and
    smooths as ``smooth_form="tp"`` does.

    References
    ----------
    Rahman and Wang, "Optimizing intersection-over-union in deep neural networks for image segmentation" (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import log_jaccard
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(log_jaccard(probabilities, ids, activation=None)), 4)
    0.5122
    """
    return region_plan(input, target, log_ratio(1.0, smooth, smooth_form, floor), RegionOptions(**options))


@loss(RegionOptions)
def log_cosh_dice(
    input: Array,
    target: Array,
    *,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the log-cosh Dice loss, which is smoother than Dice near its minimum.

    .. math:: \ell = \log \cosh \left(1 - \frac{2 I + s}{P + T + s'}\right)

    Parameters
    ----------
    {input}
    {target}
    {smooth}
    {smooth_form_dice}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The author's code pools all images and classes (``pool="all"``) and smooths with 1.

    References
    ----------
    Jadon, "A survey of loss functions for semantic segmentation" (2020), https://arxiv.org/abs/2006.14822.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import log_cosh_dice
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(log_cosh_dice(probabilities, ids, activation=None)), 4)
    0.0312
    """
    return region_plan(
        input,
        target,
        region_scores.chain(ratio(0.5, 0.5, smooth, smooth_form), region_scores.log_cosh),
        RegionOptions(**options),
    )


def log_ratio(weight: float, smooth: Smooth, smooth_form: SmoothForm, floor: float) -> Score:
    """Check the arguments and return the score of log-Dice (`weight` 1/2) or log-Jaccard (`weight` 1)."""
    check_choice("smooth_form", smooth_form, SmoothForm)
    floor = check_number("floor", floor, 0, 1, above=True, below=True)
    return region_scores.log_tversky(weight, weight, smoothing(smooth), 2 if smooth_form == "double" else 1, floor)
