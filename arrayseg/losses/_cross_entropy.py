"""Cross entropy, and the plans of all losses that are a mean over pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Unpack

from arrayseg._checks import check_choice
from arrayseg._typing import Activation, Array, Weights
from arrayseg.engine import pixel_formulas
from arrayseg.engine.pixel_formulas import Formula
from arrayseg.engine.pixel_term import MeanTerm, PixelTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sweep
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import class_numbers, prepare
from arrayseg.losses._options import ActivatedPixelKeywords, MeanOptions, PixelKeywords, PixelOptions

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "mean_plan",
    "nll",
    "pixel_plan",
]


def pixel_plan(
    input: Array,
    target: Array,
    formula: Formula,
    options: PixelOptions,
    make: Callable[..., MeanTerm] = PixelTerm,
    *,
    negative_formula: Formula | None = None,
    positive_weights: float | Weights | None = None,
    negative_weights: float | Weights | None = None,
    log_input: bool = False,
    binary: bool | None = None,
) -> Sweep:
    """Return the plan of a loss that is the mean over pixels of a formula of the log-probability."""
    layout, batch = prepare(input, target, options, binary=binary, log_input=log_input)
    term = make(
        formula,
        negative_formula,
        label_smoothing=options.label_smoothing,
        positive_weights=class_numbers("pos_weight", positive_weights, layout.classes, input, batch.backend),
        negative_weights=class_numbers("1 - alpha", negative_weights, layout.classes, input, batch.backend),
        reduction=options.reduction,
        denominator=options.denominator,
    )
    return Sweep(input, layout, batch, [term], [1.0])


def mean_plan(
    input: Array,
    target: Array,
    term: MeanTerm,
    options: MeanOptions,
    *,
    binary: bool | None = None,
    bounded_target: bool = True,
) -> Sweep:
    """Return the plan of a loss that is the mean of `term` over pixels."""
    layout, batch = prepare(input, target, options, binary=binary, bounded_target=bounded_target)
    term = replace(term, reduction=options.reduction, denominator=options.denominator)
    return Sweep(input, layout, batch, [term], [1.0])


@loss(PixelOptions)
def cross_entropy(input: Array, target: Array, **options: Unpack[ActivatedPixelKeywords]) -> Plan:
    r"""Compute the cross entropy of logits or probabilities and a target of class ids or distributions.

    .. math:: \ell = -\frac{\sum_i w_{y_i} \log p_{i, y_i}}{\sum_i w_{y_i}},
       \qquad \frac{\partial \ell_i}{\partial z_{ik}} \propto p_{ik} - [k = y_i]

    Parameters
    ----------
    {input}
    {target_probability}
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults match ``torch.nn.functional.cross_entropy``, with two differences. `ignore_index` has no default, and
    the loss is 0, not NaN, if every pixel is ignored. As in PyTorch, the mean for distributions divides by the number
    of pixels, not by the sum of the class weights. segmentation-models-pytorch includes ignored pixels in the mean
    (``denominator="all"``), as mmsegmentation does by default.

    References
    ----------
    Bishop, *Pattern Recognition and Machine Learning* (2006), section 4.3.4; label smoothing: Szegedy et al.,
    "Rethinking the Inception architecture" (2015), https://arxiv.org/abs/1512.00567.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import cross_entropy
    >>> logits = np.array([[[[0.3164, -0.1922]], [[0.6873, 0.6838]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 1]]])  # (N, H, W)
    >>> round(float(cross_entropy(logits, target)), 4)
    0.6219
    """
    return pixel_plan(input, target, pixel_formulas.cross_entropy, PixelOptions(**options))


@loss(PixelOptions, without=("activation",))
def nll(input: Array, target: Array, **options: Unpack[PixelKeywords]) -> Plan:
    r"""Compute the negative log-likelihood, which is the cross entropy of log-probabilities.

    .. math:: \ell = -\frac{\sum_i w_{y_i} x_{i, y_i}}{\sum_i w_{y_i}}

    Parameters
    ----------
    input : array
        Log-probabilities. Floating, shape (N, C, \*spatial). They are neither normalized nor checked. Positive values,
        such as logits passed by mistake, give a negative loss.
    {target_probability}
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    For class ids, ``torch.nn.functional.nll_loss`` gives the same value, except NaN if every pixel is ignored.

    References
    ----------
    Bishop, *Pattern Recognition and Machine Learning* (2006), section 4.3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import nll
    >>> log_probabilities = np.log(np.array([[[[0.2, 0.6]], [[0.8, 0.4]]]]))  # (N, C, H, W)
    >>> target = np.array([[[1, 0]]])  # (N, H, W)
    >>> round(float(nll(log_probabilities, target)), 4)
    0.367
    """
    return pixel_plan(
        input,
        target,
        pixel_formulas.cross_entropy,
        PixelOptions(activation=None, **options),
        binary=False,
        log_input=True,
    )


@loss(PixelOptions)
def binary_cross_entropy(
    input: Array,
    target: Array,
    *,
    activation: Activation = "sigmoid",
    pos_weight: float | Weights | None = None,
    **options: Unpack[PixelKeywords],
) -> Plan:
    r"""Compute the binary cross entropy of each class against all others.

    .. math:: \ell = -\frac{1}{NC} \sum_{i,c} w_c \left[ a_c t_{ic} \log p_{ic} + (1 - t_{ic}) \log(1 - p_{ic}) \right]

    Parameters
    ----------
    {input}
    {target_binary}
    activation : {"sigmoid"} or None, default "sigmoid"
        None if `input` contains probabilities. Their logarithms are then at least -100, as in PyTorch.
    pos_weight : float, array or sequence of float, optional
        The weight of positive targets: a number, or one number per class, shape (C,).
    {options}

    Returns
    -------
    {returns_pixels}
        The loss of a pixel is the sum over its classes.

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults match ``torch.nn.functional.binary_cross_entropy_with_logits``. Label smoothing e replaces a target t
    by ``t (1 - e) + e / 2``, as in Keras.

    References
    ----------
    Bishop, *Pattern Recognition and Machine Learning* (2006), section 4.3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import binary_cross_entropy
    >>> logits = np.array([[[[0.43, -0.25], [-0.32, 0.69]]], [[[-0.29, 0.37], [0.54, -0.72]]]])
    >>> mask = np.array([[[[0, 0], [0, 1]]], [[[0, 0], [1, 1]]]])
    >>> round(float(binary_cross_entropy(logits, mask)), 4)
    0.6861
    """
    check_choice("activation", activation, ("sigmoid", None))
    return pixel_plan(
        input,
        target,
        pixel_formulas.cross_entropy,
        PixelOptions(activation=activation, **options),
        binary=True,
        positive_weights=pos_weight,
    )
