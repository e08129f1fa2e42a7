"""Region losses of all four cells of the confusion matrix, true negatives included."""

from __future__ import annotations

from typing import Unpack

from arrayseg._checks import check_number
from arrayseg._typing import Array
from arrayseg.engine import region_scores
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_term import CellsTerm, ErrorTerm
from arrayseg.losses._api import loss
from arrayseg.losses._dice import Smooth, region_plan, smoothing
from arrayseg.losses._options import RegionKeywords, RegionOptions

__all__ = ["matthews_corrcoef", "sensitivity_specificity"]


@loss(RegionOptions)
def matthews_corrcoef(
    input: Array,
    target: Array,
    *,
    smooth: Smooth = (0.0, 1e-5),
    cell_smooth: float = 0.0,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the loss of the Matthews correlation coefficient, for each class against the others.

    .. math:: \ell = 1 - \frac{TP \cdot TN - FP \cdot FN + s}
       {\sqrt{(TP + FP) (TP + FN) (TN + FP) (TN + FN) + s'}}

    Parameters
    ----------
    {input}
    {target}
    smooth : float or (float, float), default (0, 1e-5)
        Smoothing: s in the numerator and s' under the root, at least 0. A single number sets both.
    cell_smooth : float, default 0
        Number to add to each of TP, FP, FN and TN, at least 0.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults give the numbers of ``monai.losses.MCCLoss(softmax=True, to_onehot_y=True)`` 1.6. If a class
    covers no pixel or every pixel, its loss is 1 and its gradient 0; the loss is 0 if the prediction has no error.
    segmentation-models-pytorch adds 1e-5 to each cell and pools the batch (``cell_smooth=1e-5, smooth=0, pool="all"``).

    References
    ----------
    Abhishek and Hamarneh, "Matthews correlation coefficient loss for deep convolutional networks: application to skin
    lesion segmentation" (2021), https://arxiv.org/abs/2010.13454.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import matthews_corrcoef
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(matthews_corrcoef(probabilities, ids, activation=None)), 4)
    0.4975
    """
    cell_smooth = check_number("cell_smooth", cell_smooth, 0)
    return region_plan(
        input, target, region_scores.matthews(smoothing(smooth), cell_smooth), RegionOptions(**options), CellsTerm
    )


@loss(RegionOptions, without=("soft_tp",))
def sensitivity_specificity(
    input: Array,
    target: Array,
    *,
    sensitivity_weight: float = 0.1,
    smooth: float = 1e-5,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the sensitivity-specificity loss, a weighted sum of the squared errors inside and outside the target.

    .. math:: \ell = r \frac{\sum (t - p)^2 t}{\sum t + s} + (1 - r) \frac{\sum (t - p)^2 (1 - t)}{\sum (1 - t) + s}

    Parameters
    ----------
    {input}
    {target}
    sensitivity_weight : float, default 0.1
        The weight r of the error inside the target, in [0, 1].
    smooth : float, default 1e-5
        Smoothing s of both denominators, at least 0. With 0, a side without pixels has an error of 0.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The paper tries r from 0.01 to 0.1 and finds 0.05 best. SegLossOdyssey uses 0.1.

    References
    ----------
    Brosch et al., "Deep convolutional encoder networks for multiple sclerosis lesion segmentation" (2015),
    https://doi.org/10.1007/978-3-319-24574-4_1.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import sensitivity_specificity
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(sensitivity_specificity(probabilities, ids, activation=None, smooth=0)), 4)
    0.065
    """
    sensitivity_weight = check_number("sensitivity_weight", sensitivity_weight, 0, 1)
    smooth = check_number("smooth", smooth, 0)
    score = region_scores.sensitivity_specificity(sensitivity_weight, smooth)
    return region_plan(input, target, score, RegionOptions(**options), ErrorTerm)
