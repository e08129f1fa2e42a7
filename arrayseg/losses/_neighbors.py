"""Losses that compare a pixel with its neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Unpack

from arrayseg._checks import check_choice, check_index, check_number
from arrayseg._typing import Activation, Array
from arrayseg.backends.base import Evaluation
from arrayseg.engine import pixel_term
from arrayseg.kernels.neighbourhood import NeighborTerm
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import PRIVATE, PixelOptions, pixel_evaluation

__all__ = ["neighbor_aware_cross_entropy"]


@loss(pixel_evaluation, without=PRIVATE)
def neighbor_aware_cross_entropy(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.1,
    kernel_size: int = 3,
    distance: Literal["l1", "l2"] = "l1",
    activation: Activation = "softmax",
    **options: Unpack[PixelOptions],
) -> Evaluation:
    r"""Neighbour-aware calibration (NACL): cross entropy, and logits close to the labels of the neighbourhood.

    .. math:: \ell = \frac{1}{N} \sum_i -\log p_{i, y_i} + \frac{\alpha}{C} \sum_c |z_{ic} - n_{ic}|

    with :math:`n_{ic}` the share of class c among the targets of the pixels around i, itself among them.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or the share of every class, of the input's shape.
    alpha : float, default 0.1
        The weight of the distance, at least 0; 0 gives cross entropy.
    kernel_size : int, default 3
        The side of the neighbourhood along every spatial axis, odd.
    distance : {"l1", "l2"}, default "l1"
        The absolute difference or its square.
    activation : {"softmax", "sigmoid"}, default "softmax"
        Which probabilities the logits make; the input always holds logits.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or (N, \*spatial) with ``reduction="none"``.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    Shares are among the valid neighbours inside the image; the authors' code counts what lies outside as class 0. Class
    weights and label smoothing are those of the cross entropy alone. Where a logit equals the share the derivative of
    its distance is 0.

    References
    ----------
    Murugesan et al., "Trust your neighbours: penalty-based constraints for model calibration" (2023),
    https://arxiv.org/abs/2303.06268.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import neighbor_aware_cross_entropy
    >>> round(float(neighbor_aware_cross_entropy(np.zeros((1, 2, 4)), np.array([[0, 0, 1, 1]]))), 4)
    0.7431
    """
    check_choice("activation", activation, ("softmax", "sigmoid"))
    check_choice("distance", distance, ("l1", "l2"))
    alpha = check_number("alpha", alpha, 0)
    kernel_size = check_index("kernel_size", kernel_size)
    if kernel_size < 1 or kernel_size % 2 == 0:
        msg = f"`kernel_size` must be odd, so that the neighbourhood has a middle; got {kernel_size!r}."
        raise ValueError(msg)
    sweep = pixel_evaluation(input, target, pixel_term.cross_entropy, activation=activation, **options)
    (term,) = sweep.terms
    neighbors = NeighborTerm(
        reduction=term.reduction,
        denominator=options.get("denominator", "weights"),
        spatial=sweep.layout.rows_shape[1:],
        size=kernel_size,
        distance=distance,
    )
    return replace(sweep, terms=[term, neighbors], factors=[1.0, alpha])
