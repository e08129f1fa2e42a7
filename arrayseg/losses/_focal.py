"""Focal losses beside the focal loss itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Unpack

from arrayseg._checks import check_choice, check_number, is_exactly
from arrayseg._typing import Activation, Array, Namespace, Weights
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_formulas import Formula, focal, guarded_power, limited
from arrayseg.engine.pixel_term import MeanTerm, PixelTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sums
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import focal_alphas, mean_plan, pixel_plan
from arrayseg.losses._divergence import DivergenceTerm, dual_focal_formula, quality_focal_formula
from arrayseg.losses._options import ActivatedPixelKeywords, MeanKeywords, MeanOptions, PixelKeywords, PixelOptions

__all__ = [
    "FocalCosineTerm",
    "NormalizedTerm",
    "asymmetric",
    "dual_focal",
    "focal_cosine",
    "normalized_focal",
    "quality_focal",
    "reduced_focal",
]


@dataclass(frozen=True, kw_only=True)
class NormalizedTerm(PixelTerm):
    """The sum A of a formula over the sum B of another, for the batch; its gradient is (dA - A / B dB) / B."""

    weight: Formula
    """The formula of B, which no weights of classes multiply."""
    constant_weight: bool = False
    """B is a constant of the derivative."""

    is_sum_of_losses = False

    def count(self, block: Block) -> Sums:
        losses, _ = self.losses(block, None)
        weights, _ = self._weights.losses(self._bare(block), None)
        return block.sum(losses, axis=1), block.sum(weights, axis=1)

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, tuple[Array, Array]]:
        xp = batch.xp
        above, below = xp.sum(sums[0]), xp.sum(sums[1])
        if self.constant_weight:
            below = batch.backend.stop_gradient(below)
        defined = below > 0  # every pixel is right, or none is valid: the loss is 0
        inverse = xp.where(defined, 1 / xp.where(defined, below, xp.ones_like(below)), xp.zeros_like(below))
        value = above * inverse
        return value * factor, (inverse * factor, value * inverse * factor)

    def pull(self, block: Block, state: tuple[Array, Array]) -> Array:
        by_above, by_below = (block.xp.astype(scale, block.dtype) for scale in state)
        _, pulled = self.losses(block, by_above)
        if not self.constant_weight:
            _, by_weight = self._weights.losses(self._bare(block), by_below)
            pulled = block.xp.subtract(pulled, by_weight)
        return pulled

    @property
    def _weights(self) -> PixelTerm:
        return PixelTerm(self.weight)

    def _bare(self, block: Block) -> Block:
        return block.changed(class_weights=None)


@dataclass(frozen=True)
class FocalCosineTerm(MeanTerm):
    """The mean over pixels of 1 - u . t / |t| + weight phi(log softmax(u) at the target), u = z / |z|."""

    formula: Formula
    focal_weight: float

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp, target = block.xp, block.target
        unit, inverse = _unit(block.logits, xp)
        direction, _ = _unit(target, xp)
        exponentials = xp.exp(unit)  # of at most 1: nothing overflows
        total = xp.sum(exponentials, axis=1, keepdims=True)
        value, slope = self.formula(unit - xp.log(total), xp)
        focal = xp.sum(target * value, axis=1)
        losses = self._weigh(block, 1 - xp.sum(unit * direction, axis=1) + self.focal_weight * focal)
        if scale is None:
            return losses, None
        steps = self.focal_weight * target * slope
        by_unit = steps - exponentials / total * xp.sum(steps, axis=1, keepdims=True) - direction
        across = by_unit - unit * xp.sum(unit * by_unit, axis=1, keepdims=True)
        weight = self._weigh(block, xp.ones_like(losses)) * scale
        return losses, across * (inverse * weight[:, None, :])


def _unit(vectors: Array, xp: Namespace) -> tuple[Array, Array]:
    """Vectors along axis 1 of length 1, and the inverses of their lengths; both 0 for a vector of 0."""
    square = xp.sum(vectors**2, axis=1, keepdims=True)
    some = square > 0
    inverse = xp.where(some, 1 / xp.sqrt(xp.where(some, square, xp.ones_like(square))), xp.zeros_like(square))
    return vectors * inverse, inverse


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
    r"""Asymmetric loss (ASL): a focal loss whose easy negatives weigh less than its easy positives, or nothing.

    .. math:: \ell = -\frac{1}{NC} \sum_{i,c} t_{ic} (1 - p_{ic})^{\gamma_+} \log p_{ic}
       + (1 - t_{ic})\, q_{ic}^{\gamma_-} \log(1 - q_{ic}), \qquad q = \max(p - m, 0)

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        For each class 0 or 1, or a share between, of the input's shape; or class ids of shape (N, \*spatial), each
        class against the rest. With one channel its axis may be absent.
    gamma_positive : float, default 1
        The focusing exponent of positive targets, at least 0.
    gamma_negative : float, default 4
        That of negative ones.
    margin : float, default 0.05
        In [0, 1): negatives with a probability below it add nothing.
    activation : {"sigmoid"} or None, default "sigmoid"
        None if the input holds probabilities.
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
    The authors' code and timm sum instead (``reduction="sum"``), and let no gradient through the focusing weights where
    asked to; here they are differentiated. Equal exponents and no margin give the focal loss.

    References
    ----------
    Ridnik et al., "Asymmetric loss for multi-label classification" (2021), https://arxiv.org/abs/2009.14119.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import asymmetric
    >>> round(float(asymmetric(np.array([[0.0, 0.0]]), np.array([1]))), 4)
    0.1855
    """
    check_choice("activation", activation, ("sigmoid", None))
    gamma_positive = check_number("gamma_positive", gamma_positive, 0)
    gamma_negative = check_number("gamma_negative", gamma_negative, 0)
    margin = check_number("margin", margin, 0, 1, below=True)
    return pixel_plan(
        input,
        target,
        focal(gamma_positive),
        PixelOptions(activation=activation, **options),
        negative_formula=asymmetric_negative(gamma_negative, margin),
        binary=True,
    )


def asymmetric_negative(gamma: float, margin: float) -> Formula:
    """-r^gamma log(1 - r), r = max(1 - e^l - margin, 0): negatives with a probability below the margin are let go."""
    if is_exactly(margin, 0):
        return focal(gamma)

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
    r"""Normalised focal loss: the mean of the cross entropy with the focal weights.

    .. math:: \ell = -\frac{\sum_i (1 - p_{i, y_i})^\gamma \log p_{i, y_i}}{\sum_i (1 - p_{i, y_i})^\gamma}

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape.
    gamma : float, default 2
        The focusing exponent, at least 0; 0 gives cross entropy.
    alpha : float, array or sequence of float, optional
        As for `focal`; the sum of the weights does not count it, nor `class_weights`.
    constant_weight : bool, default False
        Take no derivative of the sum of the weights, so that the gradient only grows.
    {options}

    Returns
    -------
    array
        The loss, a number of the input's dtype, at least float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    The sums are over the batch. The authors' code has ``constant_weight=True`` and sums over each image;
    segmentation-models-pytorch and pytorch-toolbelt differentiate the weights, and divide by the number of pixels once
    more where they reduce to the mean. Where every pixel is right beyond precision the loss is 0.

    References
    ----------
    Sofiiuk et al., "AdaptIS: adaptive instance selection network" (2019), https://arxiv.org/abs/1909.07829.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import normalized_focal
    >>> round(float(normalized_focal(np.array([[0.0, 0.0]]), np.array([1]))), 4)
    0.6931
    """
    gamma = check_number("gamma", gamma, 0)
    shared = PixelOptions(**options)
    positive, negative = focal_alphas(alpha, input, shared)
    make = partial(NormalizedTerm, weight=focal_weight(gamma), constant_weight=constant_weight)
    return pixel_plan(input, target, focal(gamma), shared, make, positive_weights=positive, negative_weights=negative)


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
    r"""Reduced focal loss: cross entropy of hard pixels, focal loss of easy ones.

    .. math:: \ell = -\frac{1}{N} \sum_i w_i \log p_{i, y_i}, \qquad
       w_i = 1 \text{ if } p_{i, y_i} \le \theta \text{ else } \left(\frac{1 - p_{i, y_i}}{1 - \theta}\right)^\gamma

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape.
    gamma : float, default 2
        The focusing exponent, at least 0; 0 gives cross entropy.
    threshold : float, default 0.5
        In (0, 1): the probability up to which a pixel is hard.
    continuous : bool, default True
        Whether the weight is 1 at the threshold from both sides. Without, it is ((1 - p) / threshold)^gamma above the
        threshold, as in the paper, which jumps unless the threshold is 0.5.
    alpha : float, array or sequence of float, optional
        As for `focal`.
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
    segmentation-models-pytorch has the paper's form, pytorch-toolbelt the continuous one. At the threshold the weight
    counts as constant.

    References
    ----------
    Sergievskiy and Ponamarev, "Reduced focal loss: 1st place solution to xView object detection in satellite imagery"
    (2019), https://arxiv.org/abs/1903.01347.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import reduced_focal
    >>> round(float(reduced_focal(np.array([[0.0, 1.0]]), np.array([1]))), 4)
    0.0906
    """
    gamma = check_number("gamma", gamma, 0)
    threshold = check_number("threshold", threshold, 0, 1, above=True, below=True)
    formula = reduced_focal_formula(gamma, threshold, 1 - threshold if continuous else threshold)
    shared = PixelOptions(**options)
    positive, negative = focal_alphas(alpha, input, shared)
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
    r"""Quality focal loss: binary cross entropy of soft targets, weighted by the distance from them.

    .. math:: \ell = -\frac{1}{NC} \sum_{i,c} |t_{ic} - p_{ic}|^\beta
       \left[ t_{ic} \log p_{ic} + (1 - t_{ic}) \log(1 - p_{ic}) \right]

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        For each class 0 or 1, or a share between, of the input's shape; or class ids of shape (N, \*spatial), each
        class against the rest. With one channel its axis may be absent.
    beta : float, default 2
        The focusing exponent, at least 0; 0 gives binary cross entropy.
    activation : {"sigmoid"} or None, default "sigmoid"
        None if the input holds probabilities.
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
    With hard targets it is the sigmoid focal loss. Where p = t the derivative counts as 0 for any beta above 0.

    References
    ----------
    Li et al., "Generalized focal loss: learning qualified and distributed bounding boxes for dense object detection"
    (2020), https://arxiv.org/abs/2006.04388.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import quality_focal
    >>> round(float(quality_focal(np.array([[0.0, 0.0]]), np.array([[0.9, 0.1]]))), 4)
    0.1109
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
    r"""Dual focal loss: every class, not only the target's, by the square of its error.

    .. math:: \ell = -\frac{1}{N} \sum_{i,c} \log\left(1 + \epsilon - (p_{ic} - t_{ic})^2\right)

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or the share of every class, of the input's shape.
    epsilon : float, default 1e-5
        Bounds the loss of an error of 1; above 0.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make; independent classes are distributions of two outcomes, of which both
        count. With None the input holds probabilities.
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
    With epsilon above 0 a perfect prediction has a loss just below 0, -log(1 + epsilon) for each class. Weights of
    exclusive classes are those of a pixel's target, as for ids in cross entropy.

    References
    ----------
    Hossain et al., "Dual focal loss to address class imbalance in semantic segmentation" (2021),
    https://arxiv.org/abs/1909.11932.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import dual_focal
    >>> round(float(dual_focal(np.array([[0.0, 0.0]]), np.array([1]))), 4)
    0.5753
    """
    epsilon = check_number("epsilon", epsilon, 0, above=True)  # with 0 an error of 1 would be infinite
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
    r"""Focal cosine loss: the angle between logits and target, and a focal loss of the logits' direction.

    .. math:: \ell = \frac{1}{N} \sum_i 1 - \frac{u_i \cdot t_i}{|t_i|}
       - w \alpha (1 - p_{i, y_i})^\gamma \log p_{i, y_i}, \qquad u = \frac{z}{|z|}, \quad p = \mathrm{softmax}(u)

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or the share of every class, of the input's shape.
    gamma : float, default 2
        The focusing exponent, at least 0.
    alpha : float, default 1
        A factor of the focal loss, at least 0.
    focal_weight : float, default 0.1
        w, the weight of the focal loss, at least 0.
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
    The loss does not depend on the length of the logits; where they are all 0 the cosine counts as 0 and has no
    gradient. pytorch-toolbelt calls the weight ``xent_weight``. Weights of classes are those of a pixel's target.

    References
    ----------
    Kim et al., "Data-efficient deep learning method for image classification using data augmentation, focal cosine
    loss, and ensemble" (2020), https://arxiv.org/abs/2007.07805.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import focal_cosine
    >>> round(float(focal_cosine(np.array([[0.0, 3.0]]), np.array([1]))), 4)
    0.0023
    """
    gamma = check_number("gamma", gamma, 0)
    alpha = check_number("alpha", alpha, 0)
    focal_weight = check_number("focal_weight", focal_weight, 0)
    term = FocalCosineTerm(focal(gamma), focal_weight * alpha)
    return mean_plan(input, target, term, MeanOptions(activation="softmax", **options), binary=False)
