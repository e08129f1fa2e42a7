"""Poly-1: cross entropy with its leading polynomial term moved."""

from __future__ import annotations

from typing import Unpack

from arrayseg._checks import check_number
from arrayseg._typing import Array
from arrayseg.backends.base import Evaluation
from arrayseg.engine import pixel_formulas
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import PRIVATE, ActivatedPixelOptions, pixel_evaluation

__all__ = ["poly"]


@loss(pixel_evaluation, without=PRIVATE)
def poly(input: Array, target: Array, *, epsilon: float = 1.0, **options: Unpack[ActivatedPixelOptions]) -> Evaluation:
    r"""Poly-1 loss: cross entropy plus a multiple of the probability that is missing.

    .. math:: \ell = \frac{1}{N} \sum_i -\log p_{i, y_i} + \epsilon (1 - p_{i, y_i})

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or the share of every class, of the input's shape.
    epsilon : float, default 1
        What is added to the first coefficient of the cross entropy's series in 1 - p, at least -1; 0 gives cross
        entropy.
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
    The paper finds 1 for images and lower values for others; optax has 2 by default.

    References
    ----------
    Leng et al., "PolyLoss: a polynomial expansion perspective of classification loss functions" (2022),
    https://arxiv.org/abs/2204.12511.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import poly
    >>> round(float(poly(np.array([[0.0, 0.0]]), np.array([1]))), 4)
    1.1931
    """
    epsilon = check_number("epsilon", epsilon, -1)
    return pixel_evaluation(input, target, pixel_formulas.poly(epsilon), **options)
