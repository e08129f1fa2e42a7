"""Hard-pixel mining: the mean of a pixel loss over the hardest pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, log
from typing import Unpack

from arrayseg._checks import check_index, check_number, is_traced
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, backend_of
from arrayseg.engine import pixel_formulas
from arrayseg.engine.activations import whole_block
from arrayseg.engine.plan import DerivedPlan, Plan
from arrayseg.engine.sweep import Sweep
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import pixel_plan
from arrayseg.losses._options import ActivatedPixelKeywords, PixelOptions

__all__ = [
    "Choose",
    "HardPixelPlan",
    "above_or_largest",
    "above_or_largest_of_image",
    "bootstrapped_cross_entropy",
    "largest_share",
    "ohem_cross_entropy",
    "top_k_cross_entropy",
]


Choose = Callable[[Array, Array, Backend], Array]
"""A function of the losses, the valid pixels and the backend. It returns the weight of each pixel. All `(N, S)`."""


@dataclass(frozen=True)
class HardPixelPlan(DerivedPlan):
    """A pixel loss over the pixels that `choose` selects.

    A first sweep computes the losses. The loss is then evaluated with the selection as pixel weights.
    """

    of: Sweep
    choose: Choose

    def plain(self) -> Array:
        return self._weighted().plain()

    def value(self) -> Array:
        return self._weighted().value()

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        return self._weighted().value_and_gradient(wide=wide)

    def _weighted(self) -> Sweep:
        """Return the loss with the selection as pixel weights. The selection is a constant in the gradient."""
        batch, backend = self.of.batch, self.of.batch.backend
        xp = batch.xp
        unweighted = replace(batch, logits=backend.stop_gradient(batch.logits), pixel_weights=None, class_weights=None)
        losses = replace(self.of, batch=unweighted).losses()
        # NaN counts as the hardest loss. Otherwise a diverged network would have a small loss.
        losses = xp.where(xp.isnan(losses), xp.full_like(losses, inf), losses)
        valid = whole_block(unweighted).valid
        weights = self.choose(losses, xp.ones_like(losses, dtype=xp.bool) if valid is None else valid, backend)
        if batch.pixel_weights is not None:
            weights = weights * xp.astype(batch.pixel_weights, weights.dtype)
        return replace(self.of, batch=replace(batch, pixel_weights=weights))


def above_or_largest(threshold: float, at_least: int) -> Choose:
    """Select the losses of a batch above a threshold, or the `at_least` largest losses if fewer are above it."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        flat_losses, flat_valid = xp.reshape(losses, (1, -1)), xp.reshape(valid, (1, -1))
        return xp.reshape(_above_or_largest(flat_losses, flat_valid, threshold, at_least, backend), losses.shape)

    return choose


def above_or_largest_of_image(threshold: float, at_least: int, *, mean_of_images: bool) -> Choose:
    """Select the losses of each image as `above_or_largest` does for a batch.

    With `mean_of_images`, the weights of each image sum to 1, so that the weighted mean is a mean of image means.
    """

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        weights = _above_or_largest(losses, valid, threshold, at_least, backend)
        if not mean_of_images:
            return weights
        total = xp.sum(weights, axis=1, keepdims=True)
        return weights / xp.where(total > 0, total, xp.ones_like(total))

    return choose


def largest_share(share: float) -> Choose:
    """Select a fraction of the valid pixels, at least one: those with the largest losses."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        flat_losses, flat_valid = xp.reshape(losses, (1, -1)), xp.reshape(valid, (1, -1))
        total = xp.sum(xp.astype(flat_valid, backend.sum_dtype(losses)), axis=1, keepdims=True)
        count = xp.where(total > 0, xp.floor(xp.where(total * share < 1, xp.ones_like(total), total * share)), total)
        count = xp.astype(count, backend.count_dtype(losses))
        return xp.reshape(largest(flat_losses, flat_valid, count, xp), losses.shape)

    return choose


def _above_or_largest(losses: Array, valid: Array, threshold: float, at_least: int, backend: Backend) -> Array:
    """Return weights of 1 for the valid losses of each row above a threshold, or for the `at_least` largest."""
    xp, (rows, length) = backend.xp, losses.shape
    above = valid & (losses > threshold)
    dtype, device = backend.count_dtype(losses), backend.device(losses)
    count = xp.full((rows, 1), min(at_least, length), dtype=dtype, device=device)
    has_enough = xp.sum(xp.astype(above, dtype), axis=1, keepdims=True) >= at_least
    return xp.where(has_enough, xp.astype(above, losses.dtype), largest(losses, valid, count, xp))


def largest(losses: Array, valid: Array, count: Array, xp: Namespace) -> Array:
    """Return weights of 1 for the `count` largest valid losses of each row, and 0 for the others.

    Pixels that tie for the last places share their weight evenly. So the weighted mean is the mean of the `count`
    largest losses, and the order of the pixels does not matter. The count has the shape `(rows, 1)` and is at most the
    length of a row.
    """
    if 0 in losses.shape:
        return xp.zeros_like(losses)
    ordered = xp.sort(xp.where(valid, losses, xp.full_like(losses, -1.0)), axis=1, descending=True)
    positive = count > 0
    last = xp.take_along_axis(ordered, xp.where(positive, count - 1, count), axis=1)
    above, tied = (positive & valid & selected for selected in (losses > last, losses == last))
    above_count, tied_count = (xp.sum(xp.astype(each, count.dtype), axis=1, keepdims=True) for each in (above, tied))
    places = xp.astype(count - above_count, losses.dtype)
    tied_count = xp.astype(xp.where(tied_count > 0, tied_count, xp.ones_like(tied_count)), losses.dtype)
    return xp.astype(above, losses.dtype) + xp.astype(tied, losses.dtype) * (places / tied_count)


@loss(PixelOptions)
def ohem_cross_entropy(
    input: Array,
    target: Array,
    *,
    threshold: float = 0.7,
    min_kept: int = 100_000,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Compute the cross entropy of the hard pixels of a batch (online hard example mining, OHEM).

    The hard pixels are those whose loss exceeds ``-log(threshold)``. If fewer than `min_kept` do, the `min_kept` pixels
    with the largest losses are used instead. The result is the mean over these pixels.

    .. math:: \ell = \frac{\sum_i k_i \ell_i}{\sum_i k_i}, \qquad
       k_i = [\ell_i > -\log \theta] \text{ or } [\ell_i \text{ is among the } n \text{ largest}]

    Parameters
    ----------
    {input}
    {target_probability}
    threshold : float, default 0.7
        In (0, 1]. A pixel is hard if the probability of its class is below the threshold.
    min_kept : int, default 100000
        The minimum number of pixels of the batch to keep. All valid pixels are kept if there are fewer.
    {options}

    Returns
    -------
    {returns_pixels}
        Pixels that are not selected have a loss of 0.

    Raises
    ------
    {raises}

    Notes
    -----
    Pixels are ranked by their loss before class and pixel weights. Pixels that tie for the last places share their
    weight evenly, so the order of the pixels does not matter. mmsegmentation counts `min_kept` per image and divides by
    all pixels (``denominator="all"``). detectron2 and nnU-Net keep a fraction of the pixels instead, as
    `top_k_cross_entropy` does.

    References
    ----------
    Shrivastava et al., "Training region-based object detectors with online hard example mining" (2016),
    https://arxiv.org/abs/1604.03540.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import ohem_cross_entropy
    >>> probabilities = np.array([[[[0.9, 0.6, 0.2]], [[0.1, 0.4, 0.8]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0, 0]]])  # (N, H, W)
    >>> loss = ohem_cross_entropy(probabilities, target, threshold=0.7, min_kept=1, activation=None)
    >>> round(float(loss), 4), round(float(-np.log(0.6 * 0.2) / 2), 4)
    (1.0601, 1.0601)
    """
    threshold = check_number("threshold", threshold, 0, 1)
    min_kept = check_index("min_kept", min_kept, 0)
    if is_traced(threshold):
        hardness = -backend_of(threshold).xp.log(threshold)
    else:
        hardness = -log(threshold) if threshold > 0 else inf
    return HardPixelPlan(
        pixel_plan(input, target, pixel_formulas.cross_entropy, PixelOptions(**options)),
        above_or_largest(hardness, min_kept),
    )


@loss(PixelOptions)
def top_k_cross_entropy(
    input: Array, target: Array, *, share: float = 0.1, **options: Unpack[ActivatedPixelKeywords]
) -> Plan:
    r"""Compute the cross entropy of the pixels with the largest losses, a given fraction of the batch.

    .. math:: \ell = \frac{\sum_i k_i \ell_i}{\sum_i k_i}, \qquad
       k_i = [\ell_i \text{ is among the } \lfloor \kappa N \rfloor \text{ largest}]

    Parameters
    ----------
    {input}
    {target_probability}
    share : float, default 0.1
        The fraction of the valid pixels of the batch to keep, in (0, 1]. Their number is rounded down, but at least 1.
        ``share=1`` gives cross entropy.
    {options}

    Returns
    -------
    {returns_pixels}
        Pixels that are not selected have a loss of 0.

    Raises
    ------
    {raises}

    Notes
    -----
    nnU-Net and SegLossOdyssey give the fraction in percent (10), relative to all pixels including ignored ones.
    detectron2 and Paddle give a fraction. Pixels are ranked by their loss before class and pixel weights. Pixels that
    tie for the last places share their weight evenly.

    References
    ----------
    Wu et al., "Bridging category-level and instance-level semantic image segmentation" (2016),
    https://arxiv.org/abs/1605.06885.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import top_k_cross_entropy
    >>> probabilities = np.array([[[[0.9, 0.6, 0.2, 0.7]], [[0.1, 0.4, 0.8, 0.3]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0, 0, 0]]])  # (N, H, W)
    >>> loss = top_k_cross_entropy(probabilities, target, share=0.5, activation=None)
    >>> round(float(loss), 4), round(float(-np.log(0.6 * 0.2) / 2), 4)
    (1.0601, 1.0601)
    """
    share = check_number("share", share, 0, 1, above=True)
    return HardPixelPlan(
        pixel_plan(input, target, pixel_formulas.cross_entropy, PixelOptions(**options)), largest_share(share)
    )


@loss(PixelOptions)
def bootstrapped_cross_entropy(
    input: Array,
    target: Array,
    *,
    loss_threshold: float = 0.3,
    min_kept: int = 4096,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Compute the bootstrapped cross entropy: the mean over images of the mean over their hard pixels.

    The hard pixels of an image are those whose loss exceeds `loss_threshold`. If fewer than `min_kept` do, the
    `min_kept` pixels with the largest losses are used instead.

    .. math:: \ell = \frac{1}{N} \sum_n \frac{\sum_i k_{ni} \ell_{ni}}{\sum_i k_{ni}}, \qquad
       k_{ni} = [\ell_{ni} > \lambda] \text{ or } [\ell_{ni} \text{ is among the } K \text{ largest of its image}]

    Parameters
    ----------
    {input}
    {target_probability}
    loss_threshold : float, default 0.3
        Pixels with a greater loss are hard. At least 0.
    min_kept : int, default 4096
        The minimum number of pixels of each image to keep. All valid pixels are kept if there are fewer.
    {options}

    Returns
    -------
    {returns_pixels}
        Pixels that are not selected have a loss of 0.

    Raises
    ------
    {raises}

    Notes
    -----
    Paddle computes the same loss, without default options. `ohem_cross_entropy` selects pixels over the whole batch, by
    a probability. Images without a valid pixel do not enter the mean. With ``reduction="sum"`` or ``"none"``, the
    selected losses are not divided by their number.

    References
    ----------
    Wu et al., "Bridging category-level and instance-level semantic image segmentation" (2016),
    https://arxiv.org/abs/1605.06885.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import bootstrapped_cross_entropy
    >>> foreground = np.array([[[[0.1, 0.4, 0.8]]], [[[0.1, 0.1, 0.2]]]])
    >>> probabilities = np.concatenate([1 - foreground, foreground], axis=1)  # (N, C, H, W)
    >>> target = np.zeros((2, 1, 3), dtype=int)  # (N, H, W)
    >>> loss = bootstrapped_cross_entropy(probabilities, target, loss_threshold=0.3, min_kept=1, activation=None)
    >>> round(float(loss), 4), round(float(-(np.log(0.6 * 0.2) / 2 + np.log(0.8)) / 2), 4)
    (0.6416, 0.6416)
    """
    loss_threshold = check_number("loss_threshold", loss_threshold, 0)
    min_kept = check_index("min_kept", min_kept, 0)
    shared = PixelOptions(**options)
    choose = above_or_largest_of_image(loss_threshold, min_kept, mean_of_images=shared.reduction == "mean")
    return HardPixelPlan(pixel_plan(input, target, pixel_formulas.cross_entropy, shared), choose)
