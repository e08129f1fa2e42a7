"""Pixel losses: averages over pixels of a function of the log-probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Unpack

from arrayseg._checks import check_choice, check_number
from arrayseg._typing import Activation, Array, Weights
from arrayseg.backends import backend_of
from arrayseg.engine import pixel_formulas
from arrayseg.engine.pixel_formulas import Formula
from arrayseg.engine.pixel_term import MeanTerm, PixelTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sweep
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import class_numbers, layout_of, prepare
from arrayseg.losses._options import ActivatedPixelKeywords, MeanOptions, PixelKeywords, PixelOptions

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "focal",
    "focal_alphas",
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
    """Return the plan of a pixel loss with a formula: every function of this module calls it."""
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
    has_shares: bool = True,
) -> Sweep:
    """Return the plan of the mean of a term over pixels."""
    layout, batch = prepare(input, target, options, binary=binary, has_shares=has_shares)
    term = replace(term, reduction=options.reduction, denominator=options.denominator)
    return Sweep(input, layout, batch, [term], [1.0])


@loss(PixelOptions)
def cross_entropy(input: Array, target: Array, **options: Unpack[ActivatedPixelKeywords]) -> Plan:
    r"""Cross entropy of logits or probabilities with class ids or distributions.

    .. math:: \ell = -\frac{\sum_i w_{y_i} \log p_{i, y_i}}{\sum_i w_{y_i}},
       \qquad \frac{\partial \ell_i}{\partial z_{ik}} \propto p_{ik} - [k = y_i]

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or the share of every class, of the input's shape.
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
    The defaults give the numbers of ``torch.nn.functional.cross_entropy``, with two differences: there is no default
    ``ignore_index``, and where every pixel is ignored the loss is 0, not NaN. As in torch, distributions are averaged
    over pixels and not over class weights. segmentation-models-pytorch counts ignored pixels in the mean
    (``denominator="all"``), as mmsegmentation does unless told otherwise.

    References
    ----------
    Bishop, *Pattern Recognition and Machine Learning* (2006), section 4.3.4; label smoothing: Szegedy et al.,
    "Rethinking the Inception architecture" (2015), https://arxiv.org/abs/1512.00567.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import cross_entropy
    >>> logits = np.array([[[[0.3164, -0.1922]], [[0.6873, 0.6838]]]])
    >>> round(float(cross_entropy(logits, np.array([[[0, 1]]]))), 4)
    0.6219
    """
    return pixel_plan(input, target, pixel_formulas.cross_entropy, PixelOptions(**options))


@loss(PixelOptions, without=("activation",))
def nll(input: Array, target: Array, **options: Unpack[PixelKeywords]) -> Plan:
    r"""Negative log-likelihood: cross entropy of log-probabilities.

    .. math:: \ell = -\frac{\sum_i w_{y_i} x_{i, y_i}}{\sum_i w_{y_i}}

    Parameters
    ----------
    input : array
        Log-probabilities, shape (N, C, \*spatial), floating. They are neither normalised nor checked: the loss is
        linear in them, and negative where they are positive, as logits given by mistake may be.
    target : array
        Class ids of shape (N, \*spatial), integer; or the share of every class, of the input's shape.
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
    ``torch.nn.functional.nll_loss`` is the same for ids, but NaN where every pixel is ignored.

    References
    ----------
    Bishop, *Pattern Recognition and Machine Learning* (2006), section 4.3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import nll
    >>> round(float(nll(np.log([[0.2, 0.8]]), np.array([1]))), 4)
    0.2231
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
    r"""Binary cross entropy of each class with everything else.

    .. math:: \ell = -\frac{1}{NC} \sum_{i,c} w_c \left[ a_c t_{ic} \log p_{ic} + (1 - t_{ic}) \log(1 - p_{ic}) \right]

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        For each class 0 or 1, or a share between, of the input's shape; or class ids of shape (N, \*spatial), each
        class against the rest. With one channel its axis may be absent.
    activation : {"sigmoid"} or None, default "sigmoid"
        None if the input holds probabilities; their logarithm is then bounded by -100 as in torch.
    pos_weight : float, array or sequence of float, optional
        A number, or shape (C,): multiplies the loss of positive targets.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or (N, \*spatial) with ``reduction="none"``, summed
        over classes.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    The defaults give the numbers of ``torch.nn.functional.binary_cross_entropy_with_logits``. Label smoothing moves a
    target to ``t (1 - e) + e / 2``, as in Keras.

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


@loss(PixelOptions)
def focal(
    input: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    alpha: float | Weights | None = None,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Focal loss: cross entropy in which pixels that are right already weigh less.

    .. math:: \ell = -\frac{1}{N} \sum_i \alpha_{y_i} (1 - p_{i, y_i})^\gamma \log p_{i, y_i}

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape.
    gamma : float, default 2
        The focusing exponent, at least 0; 0 gives cross entropy.
    alpha : float, array or sequence of float, optional
        A number in [0, 1] weighs what is not background: positive targets by alpha and negative ones by 1 - alpha
        with sigmoid, classes from 1 on by alpha and class 0 by 1 - alpha with softmax. Shape (C,) weighs each class;
        with sigmoid negative targets by 1 - alpha. No denominator counts it.
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
    With softmax the mean is over pixels; MONAI and kornia divide by C too (``denominator="elements"``). torchvision
    has alpha = 0.25 by default and does not reduce. segmentation-models-pytorch applies the sigmoid form to each
    class even where classes exclude each other. In RetinaNet the sum is divided by the positives
    (``denominator="positives"``).

    References
    ----------
    Lin et al., "Focal loss for dense object detection" (2017), https://arxiv.org/abs/1708.02002.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import focal
    >>> round(float(focal(np.array([[0.0, 0.0]]), np.array([1]))), 4)
    0.1733
    """
    gamma = check_number("gamma", gamma, 0)
    shared = PixelOptions(**options)
    positive, negative = focal_alphas(alpha, input, shared)
    return pixel_plan(
        input, target, pixel_formulas.focal(gamma), shared, positive_weights=positive, negative_weights=negative
    )


def focal_alphas(
    alpha: float | Weights | None, input: Array, options: PixelOptions
) -> tuple[float | Weights | None, float | Weights | None]:
    """Return the weights of positive and of negative targets."""
    if alpha is None:
        return None, None
    classes = layout_of(input, options.class_axis, backend_of(input)).classes
    binary = options.activation == "sigmoid" or classes == 1
    if isinstance(alpha, int | float) or getattr(alpha, "shape", None) == ():
        alpha = check_number("alpha", alpha, 0, 1)
        return (alpha, 1 - alpha) if binary else ((1 - alpha, *[alpha] * (classes - 1)), None)
    numbers = class_numbers("alpha", alpha, classes, input, backend_of(input))
    assert numbers is not None  # alpha is not
    return numbers, 1 - numbers if binary else None
