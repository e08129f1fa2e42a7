"""The focal loss and its variants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Unpack

from arrayseg._checks import check_choice, check_number, is_exactly
from arrayseg._typing import Activation, Array, Namespace, Weights
from arrayseg.backends import backend_of
from arrayseg.engine import pixel_formulas
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_formulas import Formula, guarded_power, limited
from arrayseg.engine.pixel_term import MeanTerm, PixelTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sums
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import mean_plan, pixel_plan
from arrayseg.losses._divergence import DivergenceTerm, dual_focal_formula, quality_focal_formula
from arrayseg.losses._inputs import class_numbers, layout_of
from arrayseg.losses._options import ActivatedPixelKeywords, MeanKeywords, MeanOptions, PixelKeywords, PixelOptions

__all__ = [
    "FocalCosineTerm",
    "NormalizedTerm",
    "asymmetric",
    "dual_focal",
    "focal",
    "focal_cosine",
    "normalized_focal",
    "quality_focal",
    "reduced_focal",
]


@dataclass(frozen=True, kw_only=True)
class NormalizedTerm(PixelTerm):
    """A ratio A / B of two sums over the batch, each with its own formula. Its gradient is (dA - A / B dB) / B."""

    weight: Formula
    """The formula of B. Class weights do not multiply it."""
    constant_weight: bool = False
    """Whether to treat B as a constant in the gradient."""

    is_sum_of_losses = False

    def count(self, block: Block) -> Sums:
        losses, _ = self.losses(block, None)
        weights, _ = self._weight_term.losses(_without_class_weights(block), None)
        return block.sum(losses, axis=1), block.sum(weights, axis=1)

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, tuple[Array, Array]]:
        xp = batch.xp
        numerator, denominator = xp.sum(sums[0]), xp.sum(sums[1])
        if self.constant_weight:
            denominator = batch.backend.stop_gradient(denominator)
        defined = denominator > 0  # otherwise no pixel is valid or every prediction is exact, and the loss is 0
        divisor = xp.where(defined, denominator, xp.ones_like(denominator))
        inverse = xp.where(defined, 1 / divisor, xp.zeros_like(denominator))
        value = numerator * inverse
        return value * factor, (inverse * factor, value * inverse * factor)

    def pull(self, block: Block, state: tuple[Array, Array]) -> Array:
        by_numerator, by_denominator = (block.xp.astype(scale, block.dtype) for scale in state)
        _, gradient = self.losses(block, by_numerator)
        if not self.constant_weight:
            _, weight_gradient = self._weight_term.losses(_without_class_weights(block), by_denominator)
            gradient = block.xp.subtract(gradient, weight_gradient)
        return gradient

    @property
    def _weight_term(self) -> PixelTerm:
        return PixelTerm(self.weight)


def _without_class_weights(block: Block) -> Block:
    return block.changed(class_weights=None)


@dataclass(frozen=True)
class FocalCosineTerm(MeanTerm):
    """The mean over pixels of 1 - u . t / |t| + w sum_c t_c phi(log softmax(u)_c), with u = z / |z|."""

    formula: Formula
    """phi."""
    focal_weight: float
    """w."""

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp, target = block.xp, block.target
        unit, inverse = _unit(block.logits, xp)
        direction, _ = _unit(target, xp)
        exponentials = xp.exp(unit)  # cannot overflow, because |unit| <= 1
        total = xp.sum(exponentials, axis=1, keepdims=True)
        value, slope = self.formula(unit - xp.log(total), xp)
        focal = xp.sum(target * value, axis=1)
        losses = self._weigh(block, 1 - xp.sum(unit * direction, axis=1) + self.focal_weight * focal)
        if scale is None:
            return losses, None
        steps = self.focal_weight * target * slope
        by_unit = steps - exponentials / total * xp.sum(steps, axis=1, keepdims=True) - direction
        tangential = by_unit - unit * xp.sum(unit * by_unit, axis=1, keepdims=True)
        weight = self._weigh(block, xp.ones_like(losses)) * scale
        return losses, tangential * (inverse * weight[:, None, :])


def _unit(vectors: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the unit vectors along axis 1 and the inverse lengths. Both are 0 for a zero vector."""
    square = xp.sum(vectors**2, axis=1, keepdims=True)
    nonzero = square > 0
    inverse = xp.where(nonzero, 1 / xp.sqrt(xp.where(nonzero, square, xp.ones_like(square))), xp.zeros_like(square))
    return vectors * inverse, inverse


@loss(PixelOptions)
def focal(
    input: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    alpha: float | Weights | None = None,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Compute the focal loss: cross entropy that gives less weight to pixels that are already classified well.

    .. math:: \ell = -\frac{1}{N} \sum_i \alpha_{y_i} (1 - p_{i, y_i})^\gamma \log p_{i, y_i}

    Parameters
    ----------
    {input}
    {target}
    {gamma}
    alpha : float, array or sequence of float, optional
        A number in [0, 1]: the weight of foreground targets; background targets get 1 - alpha. With softmax, class 0
        is the background. With sigmoid, it is every negative target. An array of shape (C,) holds the weight of each
        class; with sigmoid, its negative targets get 1 - alpha. alpha does not enter the denominator of the mean.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    With softmax the mean is over pixels. MONAI and kornia also divide by C (``denominator="elements"``). torchvision
    uses alpha = 0.25 by default and does not reduce. segmentation-models-pytorch applies the sigmoid form to each
    class, even for mutually exclusive classes. RetinaNet divides the sum by the number of positive targets
    (``denominator="positives"``).

    References
    ----------
    Lin et al., "Focal loss for dense object detection" (2017), https://arxiv.org/abs/1708.02002.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import focal
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(focal(logits, target)), 4)
    0.8259
    """
    gamma = check_number("gamma", gamma, 0)
    shared = PixelOptions(**options)
    positive, negative = _focal_alphas(alpha, input, shared)
    return pixel_plan(
        input, target, pixel_formulas.focal(gamma), shared, positive_weights=positive, negative_weights=negative
    )


def _focal_alphas(
    alpha: float | Weights | None, input: Array, options: PixelOptions
) -> tuple[float | Weights | None, float | Weights | None]:
    """Return the weights of positive and negative targets."""
    if alpha is None:
        return None, None
    classes = layout_of(input, options.class_axis, backend_of(input)).classes
    binary = options.activation == "sigmoid" or classes == 1
    if isinstance(alpha, int | float) or getattr(alpha, "shape", None) == ():
        alpha = check_number("alpha", alpha, 0, 1)
        return (alpha, 1 - alpha) if binary else ((1 - alpha, *[alpha] * (classes - 1)), None)
    numbers = class_numbers("alpha", alpha, classes, input, backend_of(input))
    assert numbers is not None  # `alpha` is not None
    return numbers, 1 - numbers if binary else None


@loss(PixelOptions)
def asymmetric(
    input: Array,
    target: Array,
    *,
    gamma_positive: float = 1.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
    activation: Activation = "sigmoid",
    **options: Unpack[PixelKeywords],
) -> Plan:
    r"""Compute the asymmetric loss (ASL): a focal loss with separate exponents for positive and negative targets.

    .. math:: \ell = -\frac{1}{NC} \sum_{i,c} t_{ic} (1 - p_{ic})^{\gamma_+} \log p_{ic}
       + (1 - t_{ic})\, q_{ic}^{\gamma_-} \log(1 - q_{ic}), \qquad q = \max(p - m, 0)

    Parameters
    ----------
    {input}
    {target_binary}
    gamma_positive : float, default 1
        The focusing exponent for positive targets, at least 0.
    gamma_negative : float, default 4
        The focusing exponent for negative targets, at least 0.
    margin : float, default 0.05
        m, in [0, 1). Negative targets with a probability below m contribute nothing.
    {activation_sigmoid}
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The authors' code and timm return the sum (``reduction="sum"``). They can exclude the focusing weights from the
    gradient; arrayseg always differentiates them. Equal exponents and ``margin=0`` give the focal loss.

    References
    ----------
    Ridnik et al., "Asymmetric loss for multi-label classification" (2021), https://arxiv.org/abs/2009.14119.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import asymmetric
    >>> logits = np.array([[[[0.5, -1.0]]]])  # (N, 1, H, W)
    >>> target = np.array([[[[1, 0]]]])
    >>> round(float(asymmetric(logits, target)), 4)
    0.0898
    """
    check_choice("activation", activation, ("sigmoid", None))
    gamma_positive = check_number("gamma_positive", gamma_positive, 0)
    gamma_negative = check_number("gamma_negative", gamma_negative, 0)
    margin = check_number("margin", margin, 0, 1, below=True)
    return pixel_plan(
        input,
        target,
        pixel_formulas.focal(gamma_positive),
        PixelOptions(activation=activation, **options),
        negative_formula=asymmetric_negative(gamma_negative, margin),
        binary=True,
    )


def asymmetric_negative(gamma: float, margin: float) -> Formula:
    """-r^gamma log(1 - r), r = max(1 - e^l - margin, 0): negatives with a probability below the margin are dropped."""
    if is_exactly(margin, 0):
        return pixel_formulas.focal(gamma)

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        excess = -xp.expm1(log_probability) - margin
        outside = excess <= 0
        zero = xp.zeros_like(excess)
        excess = xp.where(outside, zero, excess)
        power, by_excess = guarded_power(excess, gamma, xp)
        rest = xp.where(excess > 0.5, xp.exp(log_probability) + margin, 1 - excess)  # at least the margin
        log_rest = xp.where(excess > 0.5, xp.log(rest), xp.log1p(-xp.where(excess > 0.5, zero, excess)))
        slope = (by_excess * log_rest - power / rest) * xp.exp(log_probability)
        return xp.where(outside, zero, -power * log_rest), xp.where(outside, zero, slope)

    return formula


@loss(PixelOptions, without=("reduction", "denominator"))
def normalized_focal(
    input: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    alpha: float | Weights | None = None,
    constant_weight: bool = False,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Compute the normalized focal loss: the mean of the cross entropy with focal weights.

    .. math:: \ell = -\frac{\sum_i (1 - p_{i, y_i})^\gamma \log p_{i, y_i}}{\sum_i (1 - p_{i, y_i})^\gamma}

    Parameters
    ----------
    {input}
    {target}
    {gamma}
    alpha : float, array or sequence of float, optional
        As for `focal`. Neither alpha nor `class_weights` enter the denominator.
    constant_weight : bool, default False
        Whether to treat the denominator as a constant in the gradient.
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    The sums are over the batch. The authors' code sums over each image and uses ``constant_weight=True``.
    segmentation-models-pytorch and pytorch-toolbelt differentiate the denominator. With the mean as reduction, they
    also divide by the number of pixels. The loss is 0 if all focal weights round to 0.

    References
    ----------
    Sofiiuk et al., "AdaptIS: adaptive instance selection network" (2019), https://arxiv.org/abs/1909.07829.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import normalized_focal
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(normalized_focal(logits, target)), 4)
    2.091
    """
    gamma = check_number("gamma", gamma, 0)
    shared = PixelOptions(**options)
    positive, negative = _focal_alphas(alpha, input, shared)
    make = partial(NormalizedTerm, weight=focal_weight(gamma), constant_weight=constant_weight)
    return pixel_plan(
        input, target, pixel_formulas.focal(gamma), shared, make, positive_weights=positive, negative_weights=negative
    )


def focal_weight(gamma: float) -> Formula:
    """(1 - e^l)^gamma, the weight of the focal loss on its own."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        rest = -xp.expm1(log_probability)
        if is_exactly(gamma, 0):
            return rest * 0 + 1, rest * 0  # NaN stays NaN
        value, slope = guarded_power(rest, gamma, xp)
        return value, slope * (rest - 1)

    return formula


@loss(PixelOptions)
def reduced_focal(
    input: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    threshold: float = 0.5,
    continuous: bool = True,
    alpha: float | Weights | None = None,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Compute the reduced focal loss: cross entropy for hard pixels, focal loss for easy pixels.

    .. math:: \ell = -\frac{1}{N} \sum_i w_i \log p_{i, y_i}, \qquad
       w_i = 1 \text{ if } p_{i, y_i} \le \theta \text{ else } \left(\frac{1 - p_{i, y_i}}{1 - \theta}\right)^\gamma

    Parameters
    ----------
    {input}
    {target}
    {gamma}
    threshold : float, default 0.5
        In (0, 1). A pixel is hard if the probability of its class is at most the threshold.
    continuous : bool, default True
        Whether the weight is continuous at the threshold. False gives the weight of the paper,
        ((1 - p) / threshold)^gamma above the threshold, which jumps unless the threshold is 0.5.
    alpha : float, array or sequence of float, optional
        As for `focal`.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    segmentation-models-pytorch uses the form of the paper, pytorch-toolbelt the continuous form. At the threshold, the
    weight is treated as constant.

    References
    ----------
    Sergievskiy and Ponamarev, "Reduced focal loss: 1st place solution to xView object detection in satellite imagery"
    (2019), https://arxiv.org/abs/1903.01347.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import reduced_focal
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(reduced_focal(logits, target)), 4)
    1.0671
    """
    gamma = check_number("gamma", gamma, 0)
    threshold = check_number("threshold", threshold, 0, 1, above=True, below=True)
    formula = reduced_focal_formula(gamma, threshold, 1 - threshold if continuous else threshold)
    shared = PixelOptions(**options)
    positive, negative = _focal_alphas(alpha, input, shared)
    return pixel_plan(input, target, formula, shared, positive_weights=positive, negative_weights=negative)


def reduced_focal_formula(gamma: float, threshold: float, divisor: float) -> Formula:
    """-l where e^l is at most the threshold, -((1 - e^l) / divisor)^gamma l above."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        rest = -xp.expm1(log_probability)
        easy = rest < 1 - threshold
        one, zero = xp.ones_like(rest), xp.zeros_like(rest)
        power, by_rest = guarded_power(xp.where(easy, rest / divisor, one), gamma, xp)
        weight = xp.where(easy, power, one)
        slope = xp.where(easy, by_rest * (rest - 1) / divisor, zero)
        return -weight * log_probability, -weight - slope * limited(log_probability, xp)

    return formula


@loss(MeanOptions)
def quality_focal(
    input: Array,
    target: Array,
    *,
    beta: float = 2.0,
    activation: Activation = "sigmoid",
    **options: Unpack[MeanKeywords],
) -> Plan:
    r"""Compute the quality focal loss: binary cross entropy weighted by the distance between prediction and target.

    .. math:: \ell = -\frac{1}{NC} \sum_{i,c} |t_{ic} - p_{ic}|^\beta
       \left[ t_{ic} \log p_{ic} + (1 - t_{ic}) \log(1 - p_{ic}) \right]

    Parameters
    ----------
    {input}
    {target_binary}
    beta : float, default 2
        The focusing exponent, at least 0; 0 gives binary cross entropy.
    {activation_sigmoid}
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    For targets of 0 and 1 this is the sigmoid focal loss. If p = t and beta > 0, the derivative is 0.

    References
    ----------
    Li et al., "Generalized focal loss: learning qualified and distributed bounding boxes for dense object detection"
    (2020), https://arxiv.org/abs/2006.04388.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import quality_focal
    >>> logits = np.array([[[[2.0, -1.0]]]])  # (N, 1, H, W)
    >>> target = np.array([[[[0.9, 0.0]]]])  # the quality of each prediction
    >>> round(float(quality_focal(logits, target)), 4)
    0.0114
    """
    check_choice("activation", activation, ("sigmoid", None))
    beta = check_number("beta", beta, 0)
    term = DivergenceTerm(quality_focal_formula(beta))
    return mean_plan(input, target, term, MeanOptions(activation=activation, **options), binary=True)


@loss(MeanOptions)
def dual_focal(
    input: Array,
    target: Array,
    *,
    epsilon: float = 1e-5,
    activation: Activation = "softmax",
    **options: Unpack[MeanKeywords],
) -> Plan:
    r"""Compute the dual focal loss, which penalizes the squared error of every class, not only of the target class.

    .. math:: \ell = -\frac{1}{N} \sum_{i,c} \log\left(1 + \epsilon - (p_{ic} - t_{ic})^2\right)

    Parameters
    ----------
    {input}
    {target_probability}
    epsilon : float, default 1e-5
        Above 0. The loss of an error of 1 is -log(epsilon).
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        How to turn `input` into probabilities. With "sigmoid", each class is a distribution of two outcomes, and both
        contribute to the loss. None if `input` already contains probabilities.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    A perfect prediction has a loss just below 0, -log(1 + epsilon) for each class. With softmax, the class weight of a
    pixel is the weight of its target class, as in `cross_entropy`.

    References
    ----------
    Hossain et al., "Dual focal loss to address class imbalance in semantic segmentation" (2021),
    https://arxiv.org/abs/1909.11932.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import dual_focal
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(dual_focal(logits, target)), 4)
    1.5095
    """
    epsilon = check_number("epsilon", epsilon, 0, above=True)  # 0 would give an infinite loss for an error of 1
    term = DivergenceTerm(dual_focal_formula(epsilon))
    return mean_plan(input, target, term, MeanOptions(activation=activation, **options))


@loss(MeanOptions, without=("activation",))
def focal_cosine(
    input: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    alpha: float = 1.0,
    focal_weight: float = 0.1,
    **options: Unpack[MeanKeywords],
) -> Plan:
    r"""Compute the focal cosine loss: cosine distance between logits and target, plus a focal loss of unit logits.

    .. math:: \ell = \frac{1}{N} \sum_i 1 - \frac{u_i \cdot t_i}{|t_i|}
       - w \alpha (1 - p_{i, y_i})^\gamma \log p_{i, y_i}, \qquad u = \frac{z}{|z|}, \quad p = \mathrm{softmax}(u)

    Parameters
    ----------
    {input}
    {target_probability}
    gamma : float, default 2
        The focusing exponent, at least 0.
    alpha : float, default 1
        The factor of the focal loss, at least 0.
    focal_weight : float, default 0.1
        w, the weight of the focal loss, at least 0.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The loss does not depend on the length of the logit vector. If all logits of a pixel are 0, the cosine and its
    gradient are 0. pytorch-toolbelt calls the weight ``xent_weight``. The class weight of a pixel is the weight of its
    target class.

    References
    ----------
    Kim et al., "Data-efficient deep learning method for image classification using data augmentation, focal cosine
    loss, and ensemble" (2020), https://arxiv.org/abs/2007.07805.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import focal_cosine
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(focal_cosine(logits, target)), 4)
    0.9075
    """
    gamma = check_number("gamma", gamma, 0)
    alpha = check_number("alpha", alpha, 0)
    focal_weight = check_number("focal_weight", focal_weight, 0)
    term = FocalCosineTerm(pixel_formulas.focal(gamma), focal_weight * alpha)
    return mean_plan(input, target, term, MeanOptions(activation="softmax", **options), binary=False)
