"""Dice, Jaccard and Tversky losses, and region losses from a user's own score."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Unpack

from arrayseg._checks import check_choice, check_number, check_numbers
from arrayseg._errors import raises_here
from arrayseg._typing import Array, SmoothForm
from arrayseg.engine import region_scores
from arrayseg.engine.batch import Layout
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_scores import OverlapScore, Score
from arrayseg.engine.region_term import RegionTerm
from arrayseg.engine.sweep import Sweep, Term
from arrayseg.losses._api import loss
from arrayseg.losses._composed import FormulaLoss
from arrayseg.losses._inputs import entering_classes, prepare
from arrayseg.losses._options import RegionKeywords, RegionOptions

__all__ = ["dice", "jaccard", "ratio", "region_loss", "region_plan", "smoothing", "tversky"]

Smooth = float | tuple[float, float]
"""What is added to both the numerator and the denominator of a score, or to each of them."""


def region_plan(
    input: Array,
    target: Array,
    score: Score,
    options: RegionOptions,
    make: Callable[..., Term] = RegionTerm,
    **own: Any,
) -> Sweep:
    """Return the plan of a region loss with this score. `make` creates the term; `own` are further fields of it."""
    layout, batch = prepare(input, target, options)
    return Sweep(input, layout, batch, [region_term(options, layout, make, score=score, **own)], [1.0])


def region_term(options: RegionOptions, layout: Layout, make: Callable[..., Term] = RegionTerm, **own: Any) -> Term:
    """Create a term with `make` from the shared options and from `own`, its other fields."""
    return make(
        reduction=options.reduction,
        pool=options.pool,
        absent=options.absent,
        soft_tp=options.soft_tp,
        classes=entering_classes(options.classes, options.exclude_background, layout.classes),
        weight_norm=options.weight_norm,
        **own,
    )


def smoothing(smooth: Smooth) -> tuple[float, float]:
    """Return the two numbers to add, to the numerator and to the denominator."""
    if isinstance(smooth, str) or not isinstance(smooth, Iterable) or getattr(smooth, "shape", None) == ():
        number = check_number("smooth", smooth, 0)
        return number, number
    numbers = check_numbers("smooth", smooth, 0)
    if len(numbers) != 2:
        msg = f"`smooth` must be a number or (numerator, denominator); got {smooth!r}."
        raise ValueError(msg)
    return numbers[0], numbers[1]


def ratio(alpha: float, beta: float, smooth: Smooth, smooth_form: SmoothForm) -> Score:
    """Check the arguments and return the score of Dice, Jaccard and Tversky losses."""
    check_choice("smooth_form", smooth_form, SmoothForm)
    alpha = check_number("alpha", alpha, 0)
    beta = check_number("beta", beta, 0)
    return region_scores.tversky(alpha, beta, smoothing(smooth), 2 if smooth_form == "double" else 1)


@raises_here
def region_loss(score: OverlapScore) -> Callable[..., Array]:
    r"""Make a region loss from the formula of its score.

    The loss has every option that region losses share (see `dice`), runs on every backend and has gradients on each.
    On NumPy, CuPy and eager PyTorch they come from the derivatives that the formula returns. On JAX and under
    compilers they come from automatic differentiation of the formula's first result.

    Parameters
    ----------
    score : callable
        ``(overlap, xp) -> (loss, by_intersection, by_prediction)``.

        `overlap` is a named tuple of four arrays of one shape, (N, C) unless `pool` says otherwise: `intersection`
        I = sum p t, `prediction` P = sum p, `target` T = sum t, and `pixels`, the sum of the pixel weights. `xp` is
        the namespace of their library.

        The results are the loss for each element and its derivatives with respect to I and P, of the same shape. The
        loss may have a single column, which is then the loss of all classes together.

    Returns
    -------
    callable
        The loss, ``(input, target, **options) -> array``, with the name and the docstring of `score`.

    Raises
    ------
    TypeError
        On the call, if an argument has the wrong type or comes from a different array library.
    ValueError
        On the call, if shapes or devices do not match, an option is invalid, or a label is out of range.

    See Also
    --------
    pixel_loss : Make a pixel loss from a formula of the log-probability.

    Notes
    -----
    Guard a division by a possible 0 with ``where`` on both sides, as in
    ``xp.where(x > 0, 1 / xp.where(x > 0, x, one), zero)``. Otherwise automatic differentiation returns NaN.
    `arrayseg.testing.assert_gradient` compares the derivatives with finite differences.

    Examples
    --------
    The Kulczynski loss is one minus the mean of precision and recall:

    >>> import numpy as np
    >>> from arrayseg.losses import region_loss
    >>> from arrayseg.testing import assert_gradient
    >>> @region_loss
    ... def kulczynski(overlap, xp):
    ...     intersection, predicted, target = overlap.intersection, overlap.prediction + 1e-5, overlap.target + 1e-5
    ...     precision, recall = intersection / predicted, intersection / target
    ...     loss = 1 - (precision + recall) / 2
    ...     return loss, -(1 / predicted + 1 / target) / 2, precision / predicted / 2
    >>> probabilities, ids = np.array([[[0.8, 0.3], [0.2, 0.7]]]), np.array([[0, 1]])
    >>> round(float(kulczynski(probabilities, ids, activation=None)), 4)
    0.2487
    >>> assert_gradient(kulczynski, probabilities, ids, pool="batch")
    """

    @wraps(score)
    def plan(input: Array, target: Array, **options: Unpack[RegionKeywords]) -> Plan:
        return region_plan(input, target, region_scores.of_overlap(score), RegionOptions(**options))

    del plan.__wrapped__  # so that `inspect.signature` sees the parameters of `plan`, not of the score
    return FormulaLoss(score, region_loss, loss(RegionOptions)(plan))


@loss(RegionOptions)
def dice(
    input: Array,
    target: Array,
    *,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the soft Dice loss.

    .. math:: \ell = 1 - \frac{2 I + s}{P + T + s'}, \quad I = \sum p t,\; P = \sum p,\; T = \sum t

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
    The defaults give the numbers of ``monai.losses.DiceLoss(softmax=True, to_onehot_y=True)`` 1.6.
    segmentation-models-pytorch pools the batch, nnU-Net returns the negative score, and kornia pools the classes.
    optax smooths with 1, Keras with 1e-7. Without smoothing the loss of two empty sets is 0.

    ``soft_tp="l2"`` squares both sums of the denominator, as in the paper.

    References
    ----------
    Milletari et al., "V-Net: fully convolutional neural networks for volumetric medical image segmentation" (2016),
    https://arxiv.org/abs/1606.04797.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import dice
    >>> probabilities = np.array([[[0.8, 0.3], [0.2, 0.7]]])
    >>> round(float(dice(probabilities, np.array([[0, 1]]), activation=None)), 4)
    0.2506
    """
    return region_plan(input, target, ratio(0.5, 0.5, smooth, smooth_form), RegionOptions(**options))


@loss(RegionOptions)
def jaccard(
    input: Array,
    target: Array,
    *,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "double",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the soft Jaccard loss, also called IoU loss.

    .. math:: \ell = 1 - \frac{2 I + s}{2 (P + T - I) + s'}, \quad I = \sum p t,\; P = \sum p,\; T = \sum t

    Parameters
    ----------
    {input}
    {target}
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
    The defaults give the numbers of ``monai.losses.DiceLoss(jaccard=True, softmax=True, to_onehot_y=True)`` 1.6. The
    same `smooth` has twice the effect with ``smooth_form="tp"``, the form of segmentation-models-pytorch.

    References
    ----------
    Rahman and Wang, "Optimizing intersection-over-union in deep neural networks for image segmentation" (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import jaccard
    >>> probabilities = np.array([[[0.8, 0.3], [0.2, 0.7]]])
    >>> round(float(jaccard(probabilities, np.array([[0, 1]]), activation=None)), 4)
    0.4006
    """
    return region_plan(input, target, ratio(1.0, 1.0, smooth, smooth_form), RegionOptions(**options))


@loss(RegionOptions)
def tversky(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: Smooth = 1e-5,
    smooth_form: SmoothForm = "tp",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the Tversky loss: Dice with separate weights for false positives and false negatives.

    .. math:: \ell = 1 - \frac{TP + s}{TP + \alpha FP + \beta FN + s'},
       \quad TP = \sum p t,\; FP = \sum p (1 - t),\; FN = \sum (1 - p) t

    Parameters
    ----------
    {input}
    {target}
    alpha : float, default 0.5
        The weight of false positives, at least 0.
    beta : float, default 0.5
        The weight of false negatives, at least 0.
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
    The defaults give the numbers of ``monai.losses.TverskyLoss(softmax=True, to_onehot_y=True)`` 1.6. In Keras up
    to 3.15, and in the papers on `focal_tversky` and `unified_focal`, alpha (or delta) weights false negatives.

    References
    ----------
    Salehi et al., "Tversky loss function for image segmentation using 3D fully convolutional deep networks" (2017),
    https://arxiv.org/abs/1706.05721.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import tversky
    >>> probabilities = np.array([[[0.8, 0.3], [0.2, 0.7]]])
    >>> round(float(tversky(probabilities, np.array([[0, 1]]), alpha=0.9, beta=0.1, activation=None)), 4)
    0.2484
    """
    return region_plan(input, target, ratio(alpha, beta, smooth, smooth_form), RegionOptions(**options))
