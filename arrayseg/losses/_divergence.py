"""Divergences of the prediction from a target distribution, as distillation needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

from arrayseg._checks import check_number, is_exactly
from arrayseg._typing import Activation, Array, Namespace
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_formulas import guarded_power, limited
from arrayseg.engine.pixel_term import MeanTerm
from arrayseg.engine.plan import Plan
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import mean_plan
from arrayseg.losses._options import MeanKeywords, MeanOptions

__all__ = [
    "Divergence",
    "DivergenceTerm",
    "dual_focal_formula",
    "jensen_shannon",
    "kl_divergence",
    "quality_focal_formula",
]


Divergence = Callable[[Array, Array, Namespace], tuple[Array, Array]]
"""From log p, the target t and the namespace to the loss and its derivative in log p."""


def kullback_leibler_formula(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """t log(t / p)."""
    log_target = xp.log(_positive(target, xp))
    return target * (log_target - log_probability), -target


def jensen_shannon_formula(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """(t log(t / m) + p log(p / m)) / 2 with m = (p + t) / 2, whose derivative in p is log(p / m) / 2."""
    probability = xp.exp(log_probability)
    likely = target > 0.5
    # What both lack to 1: the logarithm of a mean that is nearly 1 has its digits.
    lacking = xp.where(likely, (xp.expm1(log_probability) + (target - 1)) / 2, xp.zeros_like(target))
    middle = xp.where(likely, xp.ones_like(target), (probability + target) / 2)
    log_middle = xp.log(_positive(middle, xp)) + xp.log1p(lacking)
    log_target = xp.log(_positive(target, xp))
    slope = probability * (limited(log_probability, xp) - log_middle) / 2
    return slope + target * (log_target - log_middle) / 2, slope


def _difference(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """The probability and what it has more than the target, with its digits where both are nearly 1."""
    probability = xp.exp(log_probability)
    difference = xp.where(target > 0.5, xp.expm1(log_probability) + (1 - target), probability - target)
    return probability, difference


def _positive(shares: Array, xp: Namespace) -> Array:
    """Return the shares, with 1 for 0: nothing is multiplied with the logarithm of 0."""
    return xp.where(shares <= 0, xp.ones_like(shares), shares)


def dual_focal_formula(epsilon: float) -> Divergence:
    """-log(epsilon + 1 - (p - t)^2)."""

    def divergence(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
        probability, difference = _difference(log_probability, target, xp)
        # 1 - (p - t)^2 as a product: next to 1 the square would cancel, and next to 0 the logarithm
        inside = epsilon + (target - xp.expm1(log_probability)) * (probability + (1 - target))
        near = xp.abs(difference) < 0.5
        one, zero = xp.ones_like(inside), xp.zeros_like(inside)
        close = xp.log1p(xp.where(near, epsilon - difference**2, zero))
        return -close - xp.log(xp.where(near, one, inside)), 2 * probability * difference / inside

    return divergence


def quality_focal_formula(beta: float) -> Divergence:
    """-|t - p|^beta t log p."""

    def divergence(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
        if is_exactly(beta, 0):
            return -target * log_probability, -target
        probability, difference = _difference(log_probability, target, xp)
        sign = 2 * xp.astype(difference >= 0, difference.dtype) - 1
        size = difference * sign
        power, by_size = guarded_power(size, beta, xp)
        slope = power + by_size * sign * probability * limited(log_probability, xp)
        return -target * power * log_probability, -target * slope

    return divergence


@dataclass(frozen=True)
class DivergenceTerm(MeanTerm):
    """The mean of a divergence, of distributions that are softened by a temperature."""

    divergence: Divergence
    temperature: float = 1.0
    """What logits are divided by; the result is multiplied by its square."""
    target_logits: bool = False
    """The target holds logits, which get the activation and the temperature of the input."""

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        block = self._softened(block)
        losses, gradient = (self._independent if block.batch.binary else self._exclusive)(block, scale)
        if is_exactly(self.temperature, 1):
            return losses, gradient
        return losses * self.temperature**2, None if gradient is None else gradient * self.temperature

    def _softened(self, block: Block) -> Block:
        """The block with logits divided by the temperature and, where they are logits too, targets made of them."""
        changes: dict[str, Array] = {}
        if self.target_logits:
            changes["target"] = block.changed(logits=block.target / self.temperature).probabilities
        if not is_exactly(self.temperature, 1):
            changes["logits"] = block.logits / self.temperature
        return block.changed(**changes) if changes else block

    def _exclusive(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp = block.xp
        log_p = block.backend.functions.finite_where_zero(block.log_probabilities, block.target)
        value, slope = self.divergence(log_p, block.target, xp)
        losses = self._weigh(block, xp.sum(value, axis=1))
        if scale is None:
            return losses, None
        return losses, block.pull_back_log(slope * (self._weigh(block, xp.ones_like(losses)) * scale)[:, None, :])

    def _independent(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp = block.xp
        log_p, log_q = block.log_of_sides
        other, shared = 1 - block.target, block.backend.functions.finite_where_zero
        on, on_slope = self.divergence(shared(log_p, block.target), block.target, xp)
        off, off_slope = self.divergence(shared(log_q, other), other, xp)
        losses = xp.sum(self._weigh(block, on + off), axis=1)
        if scale is None:
            return losses, None
        inner, outer = block.slopes_of_sides
        return losses, self._weigh(block, on_slope * inner - off_slope * outer) * scale


@loss(MeanOptions)
def kl_divergence(
    input: Array,
    target: Array,
    *,
    temperature: float = 1.0,
    target_logits: bool = False,
    activation: Activation = "softmax",
    **options: Unpack[MeanKeywords],
) -> Plan:
    r"""Kullback-Leibler divergence of the prediction from the target: the distillation loss.

    .. math:: \ell = \frac{T^2}{N} \sum_{i,c} t_{ic} \log \frac{t_{ic}}{p_{ic}},
       \qquad p = \mathrm{softmax}(z / T)

    Parameters
    ----------
    {input}
    target : array
        The share of every class, of the input's shape; or a teacher's logits (`target_logits`); or class ids of shape
        (N, \*spatial), integer.
    temperature : float, default 1
        T, above 0: what logits are divided by.
    target_logits : bool, default False
        The target holds logits, which get the activation and the temperature of the input.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make; independent classes are distributions of two outcomes. With None the
        input holds probabilities, and no temperature applies.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    No derivative is taken in the target. ``torch.nn.functional.kl_div(p.log(), t, reduction="batchmean")`` divides by
    the batch, this by the pixels; its "mean" by pixels and classes (``denominator="elements"``). mmsegmentation gives
    probabilities where that function takes logarithms, so that its value of equal distributions is negative. Weights
    of exclusive classes are those of a pixel's target. With ``activation=None`` a probability of 0 has the logarithm
    -100 and no derivative, as in ``torch.nn.functional.binary_cross_entropy``, where SciPy's divergence is infinite; it
    adds 0 where the target is 0 too.

    References
    ----------
    Hinton et al., "Distilling the knowledge in a neural network" (2015), https://arxiv.org/abs/1503.02531.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import kl_divergence
    >>> round(float(kl_divergence(np.array([[0.0, 0.0]]), np.array([[0.2, 0.8]]))), 4)
    0.1927
    """
    return _divergence(
        input,
        target,
        kullback_leibler_formula,
        temperature,
        target_logits=target_logits,
        activation=activation,
        **options,
    )


@loss(MeanOptions)
def jensen_shannon(
    input: Array,
    target: Array,
    *,
    temperature: float = 1.0,
    target_logits: bool = False,
    activation: Activation = "softmax",
    **options: Unpack[MeanKeywords],
) -> Plan:
    r"""Jensen-Shannon divergence of prediction and target: symmetric, and at most log 2.

    .. math:: \ell = \frac{T^2}{2N} \sum_{i,c} t_{ic} \log \frac{t_{ic}}{m_{ic}} + p_{ic} \log \frac{p_{ic}}{m_{ic}},
       \qquad m = \frac{p + t}{2}, \quad p = \mathrm{softmax}(z / T)

    Parameters
    ----------
    {input}
    target : array
        The share of every class, of the input's shape; or a teacher's logits (`target_logits`); or class ids of shape
        (N, \*spatial), integer.
    temperature : float, default 1
        T, above 0: what logits are divided by.
    target_logits : bool, default False
        The target holds logits, which get the activation and the temperature of the input.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make; independent classes are distributions of two outcomes. With None the
        input holds probabilities, and no temperature applies.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    No derivative is taken in the target. timm and AugMix mean the divergence of several predictions from their mean,
    which for two is this. Weights of exclusive classes are those of a pixel's target.

    References
    ----------
    Lin, "Divergence measures based on the Shannon entropy" (1991), https://doi.org/10.1109/18.61115; as a consistency
    loss: Hendrycks et al., "AugMix" (2020), https://arxiv.org/abs/1912.02781.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import jensen_shannon
    >>> round(float(jensen_shannon(np.array([[0.0, 0.0]]), np.array([[0.2, 0.8]]))), 4)
    0.0507
    """
    return _divergence(
        input,
        target,
        jensen_shannon_formula,
        temperature,
        target_logits=target_logits,
        activation=activation,
        **options,
    )


def _divergence(
    input: Array,
    target: Array,
    divergence: Divergence,
    temperature: float,
    *,
    target_logits: bool,
    activation: Activation,
    **options: Unpack[MeanKeywords],
) -> Plan:
    temperature = check_number("temperature", temperature, 0, above=True)
    if activation is None and (target_logits or not is_exactly(temperature, 1)):
        msg = "`temperature` and `target_logits` are of logits, but with activation=None the input holds probabilities."
        raise ValueError(msg)
    if target_logits and tuple(target.shape) != tuple(input.shape):
        msg = (
            f"`target` must hold a logit for each of `input`, shape {tuple(input.shape)}; got {tuple(target.shape)}. "
            "Class ids go without `target_logits`."
        )
        raise ValueError(msg)
    term = DivergenceTerm(divergence, temperature, target_logits)
    return mean_plan(input, target, term, MeanOptions(activation=activation, **options), has_shares=not target_logits)
