"""Pixel losses: averages over pixels of a function of the log-probability."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict, Unpack

from arrayseg._checks import check_choice, check_number
from arrayseg._typing import Activation, Array, Denominator, Reduction, Weights
from arrayseg.backends import backend_of
from arrayseg.engine import pixel_formulas
from arrayseg.engine.pixel_formulas import Formula
from arrayseg.engine.pixel_term import MeanTerm, PixelTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sweep
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import class_numbers, layout_of, prepare

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "focal",
    "focal_alphas",
    "mean_plan",
    "nll",
    "pixel_plan",
]


#: Parameters of `pixel_plan` that each loss sets itself.
PRIVATE = ("negative_formula", "positive_weights", "negative_weights", "log_input", "binary")


class MeanOptions(TypedDict, total=False):
    """The options that means over pixels share, for type checkers; `pixel_plan` has the defaults and meanings."""

    class_axis: int | None
    ignore_index: int | None
    mask: Array | None
    pixel_weights: Array | None
    class_weights: Weights | None
    reduction: Reduction
    denominator: Denominator


class PixelOptions(MeanOptions, total=False):
    """The same with label smoothing."""

    label_smoothing: float


class ActivatedPixelOptions(PixelOptions, total=False):
    """The same with the choice of activation."""

    activation: Activation


def pixel_plan(
    input: Array,
    target: Array,
    formula: Formula,
    *,
    activation: Activation = "softmax",
    class_axis: int | None = 1,
    ignore_index: int | None = None,
    mask: Array | None = None,
    pixel_weights: Array | None = None,
    class_weights: Weights | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    denominator: Denominator = "weights",
    negative_formula: Formula | None = None,
    positive_weights: float | Weights | None = None,
    negative_weights: float | Weights | None = None,
    log_input: bool = False,
    binary: bool | None = None,
) -> Sweep:
    r"""A pixel loss of a formula: what every function of this module calls.

    Parameters
    ----------
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make: of exclusive classes, or of independent ones. With None the input holds
        probabilities.
    class_axis : int or None, default 1
        The axis of the classes; -1 for channels-last, which costs no copy. None for one binary channel without such
        an axis.
    ignore_index : int, optional
        An id, of a class or not, whose pixels count nowhere: not in the value, not in what it is divided by, and
        with zero gradient.
    mask : array of bool, optional
        Shape (N, \*spatial), true where a pixel counts.
    pixel_weights : array, optional
        Shape (N, \*spatial), non-negative; multiplies the loss of each pixel.
    class_weights : array or sequence of float, optional
        Shape (C,); multiplies the loss of each class.
    label_smoothing : float, default 0
        In [0, 1): the share of the target that is spread evenly over the classes.
    reduction : {"mean", "sum", "none"}, default "mean"
        What is returned: a number, or with "none" the losses of all pixels, 0 where they are ignored.
    denominator : {"weights", "valid", "all", "elements", "positives"}, default "weights"
        What "mean" divides by: the weights that took part (pixel weights and, for ids of exclusive classes, the class
        weights; times C for independent classes, as each is a loss), the valid pixels, all pixels (ignored ones
        too), the valid pixels times C, or the positive targets (for exclusive classes: pixels that are not class 0).
    """
    label_smoothing = check_number("label_smoothing", label_smoothing, 0, 1, below=True)
    classes, backend = layout_of(input, class_axis).classes, backend_of(input)
    term = PixelTerm(
        formula,
        negative_formula,
        label_smoothing=label_smoothing,
        positive_weights=class_numbers("pos_weight", positive_weights, classes, input, backend),
        negative_weights=class_numbers("1 - alpha", negative_weights, classes, input, backend),
    )
    return mean_plan(
        input,
        target,
        term,
        activation=activation,
        class_axis=class_axis,
        ignore_index=ignore_index,
        mask=mask,
        pixel_weights=pixel_weights,
        class_weights=class_weights,
        reduction=reduction,
        denominator=denominator,
        binary=binary,
        log_input=log_input,
    )


def mean_plan(
    input: Array,
    target: Array,
    term: MeanTerm,
    *,
    activation: Activation = "softmax",
    class_axis: int | None = 1,
    ignore_index: int | None = None,
    mask: Array | None = None,
    pixel_weights: Array | None = None,
    class_weights: Weights | None = None,
    reduction: Reduction = "mean",
    denominator: Denominator = "weights",
    binary: bool | None = None,
    has_shares: bool = True,
    log_input: bool = False,
) -> Sweep:
    """The mean of any term over pixels; the options are those of `pixel_plan`."""
    check_choice("reduction", reduction, Reduction)
    check_choice("denominator", denominator, Denominator)
    layout, pixels = prepare(
        input,
        target,
        activation=activation,
        class_axis=class_axis,
        ignore_index=ignore_index,
        mask=mask,
        pixel_weights=pixel_weights,
        class_weights=class_weights,
        binary=binary,
        has_shares=has_shares,
        log_input=log_input,
    )
    return Sweep(input, layout, pixels, [replace(term, reduction=reduction, denominator=denominator)], [1.0])


@loss(pixel_plan, without=PRIVATE)
def cross_entropy(input: Array, target: Array, **options: Unpack[ActivatedPixelOptions]) -> Plan:
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
    return pixel_plan(input, target, pixel_formulas.cross_entropy, **options)


@loss(pixel_plan, without=(*PRIVATE, "activation"))
def nll(input: Array, target: Array, **options: Unpack[PixelOptions]) -> Plan:
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
        input, target, pixel_formulas.cross_entropy, activation=None, binary=False, log_input=True, **options
    )


@loss(pixel_plan, without=PRIVATE)
def binary_cross_entropy(
    input: Array,
    target: Array,
    *,
    activation: Activation = "sigmoid",
    pos_weight: float | Weights | None = None,
    **options: Unpack[PixelOptions],
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
        activation=activation,
        binary=True,
        positive_weights=pos_weight,
        **options,
    )


@loss(pixel_plan, without=PRIVATE)
def focal(
    input: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    alpha: float | Weights | None = None,
    **options: Unpack[ActivatedPixelOptions],
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
    positive, negative = focal_alphas(alpha, input, options)
    return pixel_plan(
        input, target, pixel_formulas.focal(gamma), positive_weights=positive, negative_weights=negative, **options
    )


def focal_alphas(
    alpha: float | Weights | None, input: Array, options: ActivatedPixelOptions
) -> tuple[float | Weights | None, float | Weights | None]:
    """What multiplies positive and negative targets."""
    if alpha is None:
        return None, None
    classes = layout_of(input, options.get("class_axis", 1)).classes
    binary = options.get("activation", "softmax") == "sigmoid" or classes == 1
    if isinstance(alpha, int | float) or getattr(alpha, "shape", None) == ():
        alpha = check_number("alpha", alpha, 0, 1)
        return (alpha, 1 - alpha) if binary else ((1 - alpha, *[alpha] * (classes - 1)), None)
    numbers = class_numbers("alpha", alpha, classes, input, backend_of(input))
    assert numbers is not None  # alpha is not
    return numbers, 1 - numbers if binary else None
