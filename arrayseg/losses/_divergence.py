"""Divergences of the prediction from a target distribution, as distillation needs them."""

from __future__ import annotations

from typing import Unpack

from arrayseg._checks import check_number, is_exactly
from arrayseg._typing import Activation, Array
from arrayseg.backends.base import Evaluation
from arrayseg.kernels.divergence import Divergence, DivergenceTerm, jensen_shannon as js, kullback_leibler
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import PRIVATE, MeanOptions, mean_evaluation, pixel_evaluation

__all__ = ["jensen_shannon", "kl_divergence"]


@loss(pixel_evaluation, without=(*PRIVATE, "label_smoothing"))
def kl_divergence(
    input: Array,
    target: Array,
    *,
    temperature: float = 1.0,
    target_logits: bool = False,
    activation: Activation = "softmax",
    **options: Unpack[MeanOptions],
) -> Evaluation:
    r"""Kullback-Leibler divergence of the prediction from the target: the distillation loss.

    .. math:: \ell = \frac{T^2}{N} \sum_{i,c} t_{ic} \log \frac{t_{ic}}{p_{ic}},
       \qquad p = \mathrm{softmax}(z / T)

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
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
        input, target, kullback_leibler, temperature, target_logits=target_logits, activation=activation, **options
    )


@loss(pixel_evaluation, without=(*PRIVATE, "label_smoothing"))
def jensen_shannon(
    input: Array,
    target: Array,
    *,
    temperature: float = 1.0,
    target_logits: bool = False,
    activation: Activation = "softmax",
    **options: Unpack[MeanOptions],
) -> Evaluation:
    r"""Jensen-Shannon divergence of prediction and target: symmetric, and at most log 2.

    .. math:: \ell = \frac{T^2}{2N} \sum_{i,c} t_{ic} \log \frac{t_{ic}}{m_{ic}} + p_{ic} \log \frac{p_{ic}}{m_{ic}},
       \qquad m = \frac{p + t}{2}, \quad p = \mathrm{softmax}(z / T)

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
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
    return _divergence(input, target, js, temperature, target_logits=target_logits, activation=activation, **options)


def _divergence(
    input: Array,
    target: Array,
    divergence: Divergence,
    temperature: float,
    *,
    target_logits: bool,
    activation: Activation,
    **options: Unpack[MeanOptions],
) -> Evaluation:
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
    return mean_evaluation(input, target, term, activation=activation, has_shares=not target_logits, **options)
