"""Divergences between the prediction and a target distribution, used for distillation."""

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
"""A function of log p, the target t and the namespace. It returns the loss and its derivative with respect to log p."""


def kullback_leibler_formula(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return t log(t / p) and its derivative."""
    log_target = xp.log(_one_for_zero(target, xp))
    return target * (log_target - log_probability), -target


def jensen_shannon_formula(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return (t log(t / m) + p log(p / m)) / 2 with m = (p + t) / 2, and its derivative.

    The derivative with respect to p is log(p / m) / 2.
    """
    probability = xp.exp(log_probability)
    likely = target > 0.5
    # If m is close to 1, log m is computed from m - 1, which keeps its precision.
    mean_minus_one = xp.where(likely, (xp.expm1(log_probability) + (target - 1)) / 2, xp.zeros_like(target))
    mean = xp.where(likely, xp.ones_like(target), (probability + target) / 2)
    log_mean = xp.log(_one_for_zero(mean, xp)) + xp.log1p(mean_minus_one)
    log_target = xp.log(_one_for_zero(target, xp))
    slope = probability * (limited(log_probability, xp) - log_mean) / 2
    return slope + target * (log_target - log_mean) / 2, slope


def _difference(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return p and p - t. The difference stays precise if both are close to 1."""
    probability = xp.exp(log_probability)
    difference = xp.where(target > 0.5, xp.expm1(log_probability) + (1 - target), probability - target)
    return probability, difference


def _one_for_zero(probability: Array, xp: Namespace) -> Array:
    """Return the probabilities with 1 instead of 0, whose logarithm is finite."""
    return xp.where(probability <= 0, xp.ones_like(probability), probability)


def dual_focal_formula(epsilon: float) -> Divergence:
    """Return the divergence -log(1 + epsilon - (p - t)^2)."""

    def divergence(log_probability: Array, target: Array, xp: Namespace) -> tuple[Array, Array]:
        probability, difference = _difference(log_probability, target, xp)
        # 1 - (p - t)^2 as a product, because a square close to 1 would cancel. If the square is close to 0, log1p of
        # the square is more precise.
        inside = epsilon + (target - xp.expm1(log_probability)) * (probability + (1 - target))
        small = xp.abs(difference) < 0.5
        one, zero = xp.ones_like(inside), xp.zeros_like(inside)
        log_if_small = xp.log1p(xp.where(small, epsilon - difference**2, zero))
        return -log_if_small - xp.log(xp.where(small, one, inside)), 2 * probability * difference / inside

    return divergence


def quality_focal_formula(beta: float) -> Divergence:
    """Return the divergence -|t - p|^beta t log p."""

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
    """The mean over pixels of a divergence between distributions that are softened by a temperature."""

    divergence: Divergence
    temperature: float = 1.0
    """The divisor of the logits. The loss is multiplied by its square."""
    target_logits: bool = False
    """Whether the target contains logits. They get the same activation and temperature as the input."""

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        block = self._softened(block)
        losses, gradient = (self._independent if block.batch.binary else self._exclusive)(block, scale)
        if is_exactly(self.temperature, 1):
            return losses, gradient
        return losses * self.temperature**2, None if gradient is None else gradient * self.temperature

    def _softened(self, block: Block) -> Block:
        """Return the block with logits divided by the temperature and with target logits turned into probabilities."""
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
        complement, finite_where_zero = 1 - block.target, block.backend.functions.finite_where_zero
        positive, positive_slope = self.divergence(finite_where_zero(log_p, block.target), block.target, xp)
        negative, negative_slope = self.divergence(finite_where_zero(log_q, complement), complement, xp)
        losses = xp.sum(self._weigh(block, positive + negative), axis=1)
        if scale is None:
            return losses, None
        by_positive, by_negative = block.slopes_of_sides
        return losses, self._weigh(block, positive_slope * by_positive - negative_slope * by_negative) * scale


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
    r"""Compute the Kullback-Leibler divergence of the prediction from the target, the usual distillation loss.

    .. math:: \ell = \frac{T^2}{N} \sum_{i,c} t_{ic} \log \frac{t_{ic}}{p_{ic}},
       \qquad p = \mathrm{softmax}(z / T)

    Parameters
    ----------
    {input}
    {target_teacher}
    {temperature}
    {target_logits}
    {activation_divergence}
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The target has no gradient. The mean divides by the number of pixels.
    ``torch.nn.functional.kl_div(p.log(), t, reduction="batchmean")`` divides by the batch size instead, and its "mean"
    by pixels times classes (``denominator="elements"``). mmsegmentation passes probabilities to that function, which
    expects logarithms, so its value for equal distributions is negative. With softmax, the class weight of a pixel is
    the weight of its target class. With ``activation=None``, a probability of 0 has the logarithm -100 and no gradient,
    as in ``torch.nn.functional.binary_cross_entropy``; SciPy's divergence is infinite there. It contributes 0 if the
    target is 0 as well.

    References
    ----------
    Hinton et al., "Distilling the knowledge in a neural network" (2015), https://arxiv.org/abs/1503.02531.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import kl_divergence
    >>> student = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # logits, (N, C, H, W)
    >>> teacher = np.array([[[[3.0, -2.0]], [[0.0, 1.0]]]])  # logits, (N, C, H, W)
    >>> round(float(kl_divergence(student, teacher, target_logits=True, temperature=2.0)), 4)
    0.0825
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
    r"""Compute the Jensen-Shannon divergence of prediction and target, which is symmetric and at most log 2.

    .. math:: \ell = \frac{T^2}{2N} \sum_{i,c} t_{ic} \log \frac{t_{ic}}{m_{ic}} + p_{ic} \log \frac{p_{ic}}{m_{ic}},
       \qquad m = \frac{p + t}{2}, \quad p = \mathrm{softmax}(z / T)

    Parameters
    ----------
    {input}
    {target_teacher}
    {temperature}
    {target_logits}
    {activation_divergence}
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The target has no gradient. timm and AugMix define the divergence of several predictions from their mean. For two
    predictions, it equals this loss. With softmax, the class weight of a pixel is the weight of its target class.

    References
    ----------
    Lin, "Divergence measures based on the Shannon entropy" (1991), https://doi.org/10.1109/18.61115; as a consistency
    loss: Hendrycks et al., "AugMix" (2020), https://arxiv.org/abs/1912.02781.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import jensen_shannon
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[[0.8, 0.1]], [[0.2, 0.9]]]])  # probabilities, (N, C, H, W)
    >>> round(float(jensen_shannon(logits, target)), 4)
    0.0033
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
    """Check the options of a divergence loss and return its plan."""
    temperature = check_number("temperature", temperature, 0, above=True)
    if activation is None and (target_logits or not is_exactly(temperature, 1)):
        msg = (
            "`temperature` and `target_logits` need logits, but with activation=None `input` contains probabilities. "
            "Pass logits and activation='softmax' or 'sigmoid'."
        )
        raise ValueError(msg)
    if target_logits and tuple(target.shape) != tuple(input.shape):
        msg = (
            f"With target_logits=True, `target` must have the shape of `input`, {tuple(input.shape)}; got "
            f"{tuple(target.shape)}. For class ids, leave out `target_logits`."
        )
        raise ValueError(msg)
    term = DivergenceTerm(divergence, temperature, target_logits)
    return mean_plan(
        input, target, term, MeanOptions(activation=activation, **options), bounded_target=not target_logits
    )
