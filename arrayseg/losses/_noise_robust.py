"""Pixel losses that are robust to wrong labels, and poly loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

from arrayseg._checks import check_choice, check_number, is_exactly, is_traced
from arrayseg._typing import Activation, Array, Namespace
from arrayseg.backends import Backend
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_formulas import Formula, cross_entropy, expm1_ratio
from arrayseg.engine.pixel_term import MeanTerm
from arrayseg.engine.plan import Plan
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import mean_plan, pixel_plan
from arrayseg.losses._options import ActivatedPixelKeywords, MeanKeywords, MeanOptions, PixelOptions

__all__ = ["BiTemperedTerm", "bi_tempered", "generalized_cross_entropy", "poly", "symmetric_cross_entropy"]


@loss(PixelOptions)
def poly(input: Array, target: Array, *, epsilon: float = 1.0, **options: Unpack[ActivatedPixelKeywords]) -> Plan:
    r"""Compute the poly-1 loss: cross entropy plus a multiple of 1 - p.

    .. math:: \ell = \frac{1}{N} \sum_i -\log p_{i, y_i} + \epsilon (1 - p_{i, y_i})

    Parameters
    ----------
    {input}
    {target_probability}
    epsilon : float, default 1
        The amount added to the first coefficient of the series of cross entropy in 1 - p. At least -1; 0 gives cross
        entropy.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The paper recommends 1 for image classification and other values for other tasks. The default of optax is 2.

    References
    ----------
    Leng et al., "PolyLoss: a polynomial expansion perspective of classification loss functions" (2022),
    https://arxiv.org/abs/2204.12511.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import poly
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(poly(logits, target)), 4)
    1.6269
    """
    epsilon = check_number("epsilon", epsilon, -1)
    return pixel_plan(input, target, poly_formula(epsilon), PixelOptions(**options))


def poly_formula(epsilon: float) -> Formula:
    """-l + epsilon (1 - e^l)."""

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        value = -log_probability - epsilon * xp.expm1(log_probability)
        return value, -1 - epsilon * xp.exp(log_probability)

    return formula


# The number of Newton steps before the two differentiated ones. With all seven, the probabilities summed to 1 within
# 1e-12 for t from 1 to 10 and 2 to 1000 classes, for any spread of the scores.
STEPS = 5


def log_tempered_softmax(scores: Array, t: float, backend: Backend) -> Array:
    """Return the logarithm of the tempered softmax over axis 1. Automatic differentiation is exact up to second order.

    The first steps are constants in the derivative. The last two steps are differentiated, and each of them makes one
    more order of the derivatives exact.
    """
    xp = backend.xp
    constants = backend.stop_gradient(scores)
    normalizer = xp.max(constants, axis=1, keepdims=True)
    for _ in range(STEPS):
        normalizer = newton_step(constants, normalizer, t, xp)
    for _ in range(2):
        normalizer = newton_step(scores, normalizer, t, xp)
    return log_exp_t(scores - normalizer, t, xp)


def newton_step(scores: Array, normalizer: Array, t: float, xp: Namespace) -> Array:
    """Return the normalizer m after one Newton step for Z^(1 - t) = 1, where Z is the sum of the probabilities.

    The left side is concave in m, and linear if all scores are equal.
    """
    logarithms = log_exp_t(scores - normalizer, t, xp)
    total = xp.sum(xp.exp(logarithms), axis=1, keepdims=True)
    escort = xp.sum(xp.exp(t * logarithms), axis=1, keepdims=True)
    return normalizer + log_t(xp.log(total), 2 - t, xp) * total / escort


def log_exp_t(scores: Array, t: float, xp: Namespace) -> Array:
    """Return the logarithm of the tempered exponential of scores that are at most 0."""
    if is_exactly(t, 1):
        return scores
    logarithm = xp.log1p((1 - t) * scores)
    return scores / expm1_ratio(logarithm, xp) if is_traced(t) else logarithm / (1 - t)


def log_t(logarithm: Array, t: float, xp: Namespace) -> Array:
    """Return the tempered logarithm of a number, given its natural logarithm. It is bounded below for t < 1."""
    if is_exactly(t, 1):
        return logarithm
    steps = (1 - t) * logarithm
    return logarithm * expm1_ratio(steps, xp) if is_traced(t) else xp.expm1(steps) / (1 - t)


@dataclass(frozen=True)
class BiTemperedTerm(MeanTerm):
    """The mean over pixels of sum_c t (log_t1 t - log_t1 p) - (t^(2 - t1) - p^(2 - t1)) / (2 - t1).

    p is the tempered softmax with temperature `t2`.
    """

    t1: float
    t2: float
    label_smoothing: float = 0.0

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp, scores, target = block.xp, block.logits, block.target
        if block.batch.binary:  # each class is a distribution of two outcomes, with scores (z, 0), shifted to be <= 0
            zero = xp.zeros_like(scores)
            scores = xp.stack([xp.minimum(scores, zero), -xp.maximum(scores, zero)], axis=1)
            target = xp.stack([target, 1 - target], axis=1)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / target.shape[1]
        log_p = block.backend.functions.finite_where_zero(log_tempered_softmax(scores, self.t2, block.backend), target)
        losses = self._weigh(block, xp.sum(self._divergence(log_p, target, xp), axis=1))
        if block.batch.binary:
            losses = xp.sum(losses, axis=1)
        if scale is None:
            return losses, None
        steps = (xp.exp(log_p) - target) * xp.exp((self.t2 - self.t1) * log_p)
        escort = xp.exp(self.t2 * log_p)
        escort = escort / xp.sum(escort, axis=1, keepdims=True)
        gradient = steps - escort * xp.sum(steps, axis=1, keepdims=True)
        if block.batch.binary:
            return losses, self._weigh(block, gradient[:, 0, ...]) * scale
        return losses, gradient * (self._weigh(block, xp.ones_like(gradient[:, 0, :])) * scale)[:, None, :]

    def _divergence(self, log_p: Array, target: Array, xp: Namespace) -> Array:
        power = 2 - self.t1
        # A lower bound keeps the logarithm finite. It is multiplied by the target, so a target of 0 still adds 0.
        least = float(xp.finfo(target.dtype).smallest_normal)
        log_target = xp.log(xp.maximum(target, xp.full_like(target, least)))
        match = target * (log_t(log_target, self.t1, xp) - log_t(log_p, self.t1, xp))
        return match - (target**power - xp.exp(power * log_p)) / power


@loss(PixelOptions)
def generalized_cross_entropy(
    input: Array, target: Array, *, q: float = 0.7, **options: Unpack[ActivatedPixelKeywords]
) -> Plan:
    r"""Compute the generalized cross entropy, which lies between cross entropy and the mean absolute error.

    .. math:: \ell = \frac{1}{N} \sum_i \frac{1 - p_{i, y_i}^q}{q}

    Parameters
    ----------
    {input}
    {target_probability}
    q : float, default 0.7
        In [0, 1]. 0 gives cross entropy; 1 gives 1 - p, half the absolute error. The loss is at most 1 / q.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The paper recommends the default. Keras uses 0.5.

    References
    ----------
    Zhang and Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels" (2018),
    https://arxiv.org/abs/1805.07836.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import generalized_cross_entropy
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(generalized_cross_entropy(logits, target)), 4)
    0.6138
    """
    q = check_number("q", q, 0, 1)
    return pixel_plan(input, target, generalized_cross_entropy_formula(q), PixelOptions(**options))


#: Below this exponent (1 - p^q) / q is -log p in every digit, and q log p may be 0.
LEAST_EXPONENT = 1e-20


def generalized_cross_entropy_formula(q: float) -> Formula:
    """(1 - e^(q l)) / q, which is -l for q = 0."""
    traced = is_traced(q)
    if not traced and q < LEAST_EXPONENT:
        return cross_entropy

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        steps = q * log_probability
        value = -log_probability * expm1_ratio(steps, xp) if traced else xp.expm1(steps) / -q
        return value, -xp.exp(steps)

    return formula


@loss(PixelOptions)
def symmetric_cross_entropy(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Compute the symmetric cross entropy: cross entropy plus reverse cross entropy.

    .. math:: \ell = \frac{1}{N} \sum_i -\alpha \log p_{i, y_i} - \beta A (1 - p_{i, y_i})

    The second part is the cross entropy with swapped arguments, :math:`-\sum_c p_c \log t_c`, where A replaces the
    logarithm of 0.

    Parameters
    ----------
    {input}
    {target_probability}
    alpha : float, default 0.1
        The weight of the cross entropy, at least 0.
    beta : float, default 1
        The weight of the reverse cross entropy, at least 0.
    log_zero : float, default -4
        A, the value that replaces the logarithm of 0, at most 0. -2 turns the reverse part into the mean absolute
        error.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The paper uses the defaults for CIFAR-10. Implementations that clamp the target at 1e-4 correspond to
    ``log_zero=-9.2103``. For a soft target, the loss is the mean of the losses of the class ids, weighted by their
    probabilities, as in all pixel losses of arrayseg. The formula does not use log t.

    References
    ----------
    Wang et al., "Symmetric cross entropy for robust learning with noisy labels" (2019),
    https://arxiv.org/abs/1908.06112.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import symmetric_cross_entropy
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(symmetric_cross_entropy(logits, target)), 4)
    2.1127
    """
    alpha = check_number("alpha", alpha, 0)
    beta = check_number("beta", beta, 0)
    log_zero = check_number("log_zero", log_zero, -float("inf"), 0)
    return pixel_plan(input, target, symmetric_cross_entropy_formula(alpha, beta, log_zero), PixelOptions(**options))


def symmetric_cross_entropy_formula(alpha: float, beta: float, log_zero: float) -> Formula:
    """-alpha l - beta A (1 - e^l): with A for log 0, the second part is the cross entropy of the swapped arguments."""
    reverse = beta * log_zero

    def formula(log_probability: Array, xp: Namespace) -> tuple[Array, Array]:
        value = reverse * xp.expm1(log_probability)
        if not is_exactly(alpha, 0):  # 0 times an infinite logarithm would be NaN
            value = value - alpha * log_probability
        return value, reverse * xp.exp(log_probability) - alpha

    return formula


@loss(PixelOptions, without=("activation",))
def bi_tempered(
    input: Array,
    target: Array,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
    activation: Activation = "softmax",
    label_smoothing: float = 0.0,
    **options: Unpack[MeanKeywords],
) -> Plan:
    r"""Compute the bi-tempered logistic loss: a bounded logarithm of a heavy-tailed softmax.

    .. math:: \ell = \frac{1}{N} \sum_{i,c} t_{ic} (\log_{t_1} t_{ic} - \log_{t_1} p_{ic})
       - \frac{t_{ic}^{2 - t_1} - p_{ic}^{2 - t_1}}{2 - t_1}, \quad
       \log_t x = \frac{x^{1 - t} - 1}{1 - t}, \quad p = \exp_{t_2}(z - \lambda(z))

    where :math:`\exp_t` is the inverse of :math:`\log_t` and :math:`\lambda` makes the probabilities sum to 1.

    Parameters
    ----------
    {input}
    {target_probability}
    t1 : float, default 0.8
        The temperature of the logarithm, in [0, 1]. Below 1, the loss is bounded.
    t2 : float, default 1.2
        The temperature of the exponential, at least 1. Above 1, the tails are heavy. ``t1=1`` and ``t2=1`` give the
        Kullback-Leibler divergence from the target, which for class ids is cross entropy.
    activation : {"softmax", "sigmoid"}, default "softmax"
        "softmax" for mutually exclusive classes, "sigmoid" for independent ones, each with the scores z and 0.
        `input` always contains logits.
    label_smoothing : float, default 0
        In [0, 1). The fraction of the target that is spread evenly over the classes.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    Newton's method finds the normalizer to machine precision, and the gradient differentiates the exact solution. Other
    libraries stop after five fixed-point iterations and differentiate these. The class weight of a pixel is the weight
    of its target class, as in `cross_entropy`. At ``label_smoothing=0``, the derivative with respect to
    `label_smoothing` is one-sided. For ``t1=1`` it is infinite, and arrayseg returns a large number.

    References
    ----------
    Amid et al., "Robust bi-tempered logistic loss based on Bregman divergences" (2019),
    https://arxiv.org/abs/1906.03361.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import bi_tempered
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(bi_tempered(logits, target)), 4)
    0.7814
    """
    check_choice("activation", activation, ("softmax", "sigmoid"))
    t1 = check_number("t1", t1, 0, 1)
    t2 = check_number("t2", t2, 1)
    label_smoothing = check_number("label_smoothing", label_smoothing, 0, 1, below=True)
    term = BiTemperedTerm(t1, t2, label_smoothing)
    return mean_plan(input, target, term, MeanOptions(activation=activation, **options))
