"""Generalized Dice losses, which have one score for all classes together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

from arrayseg._checks import check_choice, check_number, check_numbers, is_several
from arrayseg._typing import AbsentTarget, Array, Pool
from arrayseg.backends import backend_of, common_backend
from arrayseg.engine import region_scores
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_scores import Score
from arrayseg.engine.region_term import CostTerm
from arrayseg.losses._api import loss
from arrayseg.losses._dice import Smooth, region_plan, smoothing
from arrayseg.losses._inputs import extremes, is_array
from arrayseg.losses._options import JointKeywords, RegionOptions

__all__ = ["generalized", "generalized_dice", "generalized_wasserstein_dice", "penalty_generalized_dice"]

Weighting = Literal["square", "simple", "uniform"]

#: Options of region losses that have no meaning if one score covers all classes.
TOGETHER = ("class_weights", "weight_norm")


@loss(RegionOptions, without=TOGETHER)
def generalized_dice(
    input: Array,
    target: Array,
    *,
    weighting: Weighting = "square",
    absent: AbsentTarget = "keep",
    pool: Pool = "image",
    smooth: Smooth = 1e-5,
    **options: Unpack[JointKeywords],
) -> Plan:
    r"""Compute the generalized Dice loss: one Dice score of all classes, each weighted by the size of its target.

    .. math:: \ell = 1 - \frac{2 \sum_c w_c I_c + s}{\sum_c w_c (P_c + T_c) + s'}, \qquad w_c = 1 / T_c^2

    Parameters
    ----------
    {input}
    {target}
    {weighting}
    {absent_joint}
    {pool_joint}
    {smooth}
    {options}

    Returns
    -------
    {returns_joint}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults give the numbers of ``monai.losses.GeneralizedDiceLoss(softmax=True, to_onehot_y=True)`` since 1.3.
    The weights of large structures are small, so s matters: for 300 pixels, 1 / T² is about 1e-5.
    ``optax.losses.multiclass_generalized_dice_loss`` weights the Dice score of each class instead.

    References
    ----------
    Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations"
    (2017), https://arxiv.org/abs/1707.03237.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import generalized_dice
    >>> probabilities, ids = np.array([[[0.8, 0.3, 0.6], [0.2, 0.7, 0.4]]]), np.array([[0, 1, 0]])
    >>> round(float(generalized_dice(probabilities, ids, activation=None)), 4)
    0.3488
    """
    score = generalized(weighting, absent, pool, smooth)
    return region_plan(input, target, score, RegionOptions(pool=pool, **options))


@loss(RegionOptions, without=TOGETHER)
def penalty_generalized_dice(
    input: Array,
    target: Array,
    *,
    penalty: float = 2.5,
    weighting: Weighting = "square",
    absent: AbsentTarget = "keep",
    pool: Pool = "image",
    smooth: Smooth = 1e-5,
    **options: Unpack[JointKeywords],
) -> Plan:
    r"""Compute the penalized generalized Dice loss, which is steeper for a bad prediction.

    .. math:: \ell = \frac{g}{1 + k (1 - g)}, \qquad g = \text{the generalized Dice loss}

    Parameters
    ----------
    {input}
    {target}
    penalty : float, default 2.5
        The strength k of the penalty, at least 0. With 0 the loss equals `generalized_dice`.
    {weighting}
    {absent_joint}
    {pool_joint}
    smooth : float or (float, float), default 1e-5
        Smoothing: the numbers to add to the numerator and the denominator of g, at least 0. A single number sets both.
    {options}

    Returns
    -------
    {returns_joint}

    Raises
    ------
    {raises}

    Notes
    -----
    SegLossOdyssey uses the negative score instead of g, which is a different loss.

    References
    ----------
    Yang et al., "Major vessel segmentation on X-ray coronary angiography using deep networks with a novel penalty
    loss function" (2019), https://openreview.net/forum?id=H1lTh8unKN.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import penalty_generalized_dice
    >>> probabilities, ids = np.array([[[0.8, 0.3, 0.6], [0.2, 0.7, 0.4]]]), np.array([[0, 1, 0]])
    >>> round(float(penalty_generalized_dice(probabilities, ids, activation=None)), 4)
    0.1327
    """
    penalty = check_number("penalty", penalty, 0)
    score = region_scores.chain(generalized(weighting, absent, pool, smooth), region_scores.penalized(penalty))
    return region_plan(input, target, score, RegionOptions(pool=pool, **options))


@loss(RegionOptions, without=(*TOGETHER, "absent", "soft_tp", "classes", "exclude_background"))
def generalized_wasserstein_dice(
    input: Array,
    target: Array,
    *,
    distances: Array | Sequence[Sequence[float]],
    weighting: Literal["default", "gdl"] = "default",
    pool: Pool = "image",
    smooth: Smooth = 1e-5,
    **options: Unpack[JointKeywords],
) -> Plan:
    r"""Compute the generalized Wasserstein Dice loss, in which some mistakes cost more than others.

    .. math:: \ell = 1 - \frac{2 \sum_i \alpha_{y_i} (1 - W_i) + s}{2 \sum_i \alpha_{y_i} (1 - W_i) + \sum_i W_i + s'},
       \qquad W_i = \sum_c M_{y_i c} \, p_{ic}

    Parameters
    ----------
    {input}
    {target_probability}
    distances : array or nested sequence of float
        The matrix M of costs in [0, 1], shape (C, C). The row is the target class and the column the predicted class.
        The diagonal is 0.
    weighting : {"default", "gdl"}, default "default"
        The class weights α. "default": 0 for class 0 and 1 for the others. "gdl": 1 / (T + 1), as in generalized Dice;
        they then also weight the denominator.
    {pool_joint}
    {smooth}
    {options}

    Returns
    -------
    {returns_joint}

    Raises
    ------
    {raises}
        Also if `distances` is not a matrix of shape (C, C) with values from 0 to 1.

    Notes
    -----
    The defaults give the numbers of ``monai.losses.GeneralizedWassersteinDiceLoss`` since 1.6, which divides the matrix
    by its largest entry. Up to 1.5 it mixed the images of a batch. For two classes at a distance of 1, the loss is the
    Dice loss of the foreground.

    References
    ----------
    Fidon et al., "Generalised Wasserstein Dice score for imbalanced multi-class segmentation using holistic
    convolutional networks" (2017), https://arxiv.org/abs/1707.00478.

    Examples
    --------
    To predict edema (1) for a tumor core (2) costs half as much as to predict healthy tissue (0):

    >>> import numpy as np
    >>> from arrayseg.losses import generalized_wasserstein_dice
    >>> distances = [[0, 1, 1], [1, 0, 0.5], [1, 0.5, 0]]
    >>> ids = np.array([[2]])
    >>> edema, healthy = np.array([[[0.0], [1.0], [0.0]]]), np.array([[[1.0], [0.0], [0.0]]])
    >>> for probabilities in (edema, healthy):
    ...     loss = generalized_wasserstein_dice(probabilities, ids, distances=distances, activation=None)
    ...     print(round(float(loss), 4))
    0.3333
    1.0
    """
    check_choice("weighting", weighting, ("default", "gdl"))
    check_together(pool)
    score = region_scores.generalized_wasserstein(smoothing(smooth), by_volume=weighting == "gdl")
    costs = _cost_matrix(distances, input)
    sweep = region_plan(input, target, score, RegionOptions(pool=pool, **options), CostTerm, costs=costs)
    classes, shape = sweep.layout.classes, tuple(costs.shape)
    if shape != (classes, classes):
        msg = f"`distances` must have a row and a column for each of the {classes} classes; got shape {shape}."
        raise ValueError(msg)
    return sweep


def generalized(weighting: Weighting, absent: AbsentTarget, pool: Pool, smooth: Smooth) -> Score:
    """Check the arguments and return the score of generalized Dice."""
    check_choice("weighting", weighting, Weighting)
    check_choice("absent", absent, AbsentTarget)
    check_together(pool)
    power = {"square": 2, "simple": 1, "uniform": 0}[weighting]
    return region_scores.generalized_dice(power, smoothing(smooth), keep_absent=absent == "keep")


def check_together(pool: Pool) -> None:
    """Check that `pool` is one that a score of all classes has."""
    if isinstance(pool, str) and pool in ("micro", "all"):
        msg = f"pool={pool!r} puts the classes together before they can be weighted. Use pool='image' or 'batch'."
        raise ValueError(msg)
    check_choice("pool", pool, ("image", "batch"))


def _cost_matrix(distances: Array | Sequence[Sequence[float]], input: Array) -> Array:
    """Check the values of the distances and return them as an array on the device of `input`."""
    backend = backend_of(input)
    xp = backend.xp
    if is_array(distances):
        common_backend(input=input, distances=distances)
    else:
        if not is_several(distances):
            msg = f"`distances` must be an array of shape (C, C) or C rows of C numbers; got {distances!r}."
            raise TypeError(msg)
        rows = [check_numbers("distances", row) for row in distances]
        if len({len(row) for row in rows}) > 1:
            msg = f"`distances` has rows of different lengths: {rows}. Give C rows of C numbers."
            raise ValueError(msg)
        dtype = xp.float64 if input.dtype == xp.float64 else xp.float32
        distances = backend.asarray(rows, dtype=dtype, like=input)
    if backend.is_concrete(distances) and 0 not in distances.shape:
        least, greatest = extremes(backend, distances)
        if not 0 <= least <= greatest <= 1:
            msg = f"`distances` must be from 0 to 1; got {least} to {greatest}. Divide them by the largest."
            raise ValueError(msg)
    return distances
