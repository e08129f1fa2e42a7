"""Selected pixel losses: the mean over the pixels that are hardest."""

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
    "Hardest",
    "above_or_largest",
    "above_or_largest_of_image",
    "bootstrapped_cross_entropy",
    "largest_share",
    "ohem_cross_entropy",
    "top_k_cross_entropy",
]


Choose = Callable[[Array, Array, Backend], Array]
"""From the losses `(N, S)`, the valid pixels `(N, S)` and the adapter to the weights `(N, S)` of what is kept."""


@dataclass(frozen=True)
class Hardest(DerivedPlan):
    """A pixel loss over the pixels that `choose` keeps: one sweep for the losses, then the loss with new weights."""

    of: Sweep
    choose: Choose

    def plain(self) -> Array:
        return self._chosen().plain()

    def value(self) -> Array:
        return self._chosen().value()

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        return self._chosen().value_and_gradient(wide=wide)

    def _chosen(self) -> Sweep:
        """The loss with the choice as pixel weights; the choice is a constant of the derivative."""
        batch, backend = self.of.batch, self.of.batch.backend
        xp = batch.xp
        bare = replace(batch, logits=backend.stop_gradient(batch.logits), pixel_weights=None, class_weights=None)
        losses = replace(self.of, batch=bare).losses()
        # A loss that is not a number is the hardest: left out, a network that diverged would have a good loss.
        losses = xp.where(xp.isnan(losses), xp.full_like(losses, inf), losses)
        valid = whole_block(bare).valid
        kept = self.choose(losses, xp.ones_like(losses, dtype=xp.bool) if valid is None else valid, backend)
        if batch.pixel_weights is not None:
            kept = kept * xp.astype(batch.pixel_weights, kept.dtype)
        return replace(self.of, batch=replace(batch, pixel_weights=kept))


def above_or_largest(threshold: float, at_least: int) -> Choose:
    """Keep the losses above a threshold, or the `at_least` largest where these are fewer."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        row, where = xp.reshape(losses, (1, -1)), xp.reshape(valid, (1, -1))
        return xp.reshape(_above_or_largest(row, where, threshold, at_least, backend), losses.shape)

    return choose


def above_or_largest_of_image(threshold: float, at_least: int, *, mean_of_images: bool) -> Choose:
    """The same image by image; the weights of an image together are 1 where the mean is to be one of images' means."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        kept = _above_or_largest(losses, valid, threshold, at_least, backend)
        if not mean_of_images:
            return kept
        total = xp.sum(kept, axis=1, keepdims=True)
        return kept / xp.where(total > 0, total, xp.ones_like(total))

    return choose


def largest_share(share: float) -> Choose:
    """Keep a share of the valid pixels, those with the largest losses, at least one."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        row, where = xp.reshape(losses, (1, -1)), xp.reshape(valid, (1, -1))
        total = xp.sum(xp.astype(where, backend.sum_dtype(losses)), axis=1, keepdims=True)
        count = xp.where(total > 0, xp.floor(xp.where(total * share < 1, xp.ones_like(total), total * share)), total)
        return xp.reshape(largest(row, where, xp.astype(count, backend.count_dtype(losses)), xp), losses.shape)

    return choose


def _above_or_largest(losses: Array, valid: Array, threshold: float, at_least: int, backend: Backend) -> Array:
    xp, (rows, length) = backend.xp, losses.shape
    hard = valid & (losses > threshold)
    dtype, device = backend.count_dtype(losses), backend.device(losses)
    count = xp.full((rows, 1), min(at_least, length), dtype=dtype, device=device)
    enough = xp.sum(xp.astype(hard, dtype), axis=1, keepdims=True) >= at_least
    return xp.where(enough, xp.astype(hard, losses.dtype), largest(losses, valid, count, xp))


def largest(losses: Array, valid: Array, count: Array, xp: Namespace) -> Array:
    """1 for the `count` largest losses of each row's valid pixels, 0 for others; ties share the last places.

    So the mean over what is kept is that of the `count` largest, and no order of the pixels matters. The count is
    `(rows, 1)`, at most the length of a row.
    """
    if 0 in losses.shape:
        return xp.zeros_like(losses)
    ordered = xp.sort(xp.where(valid, losses, xp.full_like(losses, -1.0)), axis=1, descending=True)
    some = count > 0
    last = xp.take_along_axis(ordered, xp.where(some, count - 1, count), axis=1)
    over, level = (some & valid & chosen for chosen in (losses > last, losses == last))
    missing, tied = (xp.sum(xp.astype(chosen, count.dtype), axis=1, keepdims=True) for chosen in (over, level))
    missing = xp.astype(count - missing, losses.dtype)
    tied = xp.astype(xp.where(tied > 0, tied, xp.ones_like(tied)), losses.dtype)
    return xp.astype(over, losses.dtype) + xp.astype(level, losses.dtype) * (missing / tied)


@loss(PixelOptions)
def ohem_cross_entropy(
    input: Array,
    target: Array,
    *,
    threshold: float = 0.7,
    min_kept: int = 100_000,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Cross entropy of the hard pixels of a batch: online hard example mining.

    Pixels whose loss exceeds ``-log(threshold)`` are kept; where these are fewer than `min_kept`, the `min_kept`
    largest are. The result is the mean over the pixels that are kept.

    .. math:: \ell = \frac{\sum_i k_i \ell_i}{\sum_i k_i}, \qquad
       k_i = [\ell_i > -\log \theta] \text{ or } [\ell_i \text{ is among the } n \text{ largest}]

    Parameters
    ----------
    {input}
    {target_probability}
    threshold : float, default 0.7
        A probability in (0, 1]: pixels whose class has less are hard.
    min_kept : int, default 100000
        How many pixels of the batch are kept at least; all valid ones where there are fewer.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or (N, \*spatial) with ``reduction="none"``, 0 where
        not kept.

    Raises
    ------
    {raises}

    Notes
    -----
    Hardness is the loss before class and pixel weights. Pixels that tie for the last places share them evenly, so
    that the value is that of the `min_kept` largest and no order of the pixels matters. mmsegmentation counts
    `min_kept` per image and divides by all pixels (``denominator="all"``); detectron2 and nnU-Net keep a share of the
    pixels instead.

    References
    ----------
    Shrivastava et al., "Training region-based object detectors with online hard example mining" (2016),
    https://arxiv.org/abs/1604.03540.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import ohem_cross_entropy
    >>> probabilities = np.array([[[0.9, 0.6, 0.2], [0.1, 0.4, 0.8]]])
    >>> ids = np.array([[0, 0, 0]])
    >>> loss = ohem_cross_entropy(probabilities, ids, threshold=0.7, min_kept=1, activation=None)
    >>> round(float(loss), 4), round(float(-np.log(0.6 * 0.2) / 2), 4)
    (1.0601, 1.0601)
    """
    threshold = check_number("threshold", threshold, 0, 1)
    min_kept = check_index("min_kept", min_kept, 0)
    if is_traced(threshold):
        hardness = -backend_of(threshold).xp.log(threshold)
    else:
        hardness = -log(threshold) if threshold > 0 else inf
    return Hardest(
        pixel_plan(input, target, pixel_formulas.cross_entropy, PixelOptions(**options)),
        above_or_largest(hardness, min_kept),
    )


@loss(PixelOptions)
def top_k_cross_entropy(
    input: Array, target: Array, *, share: float = 0.1, **options: Unpack[ActivatedPixelKeywords]
) -> Plan:
    r"""Cross entropy of a share of the pixels of a batch: those with the largest losses.

    .. math:: \ell = \frac{\sum_i k_i \ell_i}{\sum_i k_i}, \qquad
       k_i = [\ell_i \text{ is among the } \lfloor \kappa N \rfloor \text{ largest}]

    Parameters
    ----------
    {input}
    {target_probability}
    share : float, default 0.1
        In (0, 1]: how many of the valid pixels of the batch are kept, rounded down, but at least one; 1 gives cross
        entropy.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or (N, \*spatial) with ``reduction="none"``, 0 where
        not kept.

    Raises
    ------
    {raises}

    Notes
    -----
    nnU-Net and SegLossOdyssey name the share in percent (10) and take it of all pixels, ignored ones too; detectron2
    and Paddle as a fraction. Hardness is the loss before class and pixel weights; pixels that tie for the last places
    share them evenly.

    References
    ----------
    Wu et al., "Bridging category-level and instance-level semantic image segmentation" (2016),
    https://arxiv.org/abs/1605.06885.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import top_k_cross_entropy
    >>> probabilities = np.array([[[0.9, 0.6, 0.2, 0.7], [0.1, 0.4, 0.8, 0.3]]])
    >>> loss = top_k_cross_entropy(probabilities, np.array([[0, 0, 0, 0]]), share=0.5, activation=None)
    >>> round(float(loss), 4), round(float(-np.log(0.6 * 0.2) / 2), 4)
    (1.0601, 1.0601)
    """
    share = check_number("share", share, 0, 1, above=True)
    return Hardest(
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
    r"""Bootstrapped cross entropy: the mean over images of the mean over their hard pixels.

    Pixels whose loss exceeds `loss_threshold` are kept; in an image where these are fewer than `min_kept`, the
    `min_kept` largest are.

    .. math:: \ell = \frac{1}{N} \sum_n \frac{\sum_i k_{ni} \ell_{ni}}{\sum_i k_{ni}}, \qquad
       k_{ni} = [\ell_{ni} > \lambda] \text{ or } [\ell_{ni} \text{ is among the } K \text{ largest of its image}]

    Parameters
    ----------
    {input}
    {target_probability}
    loss_threshold : float, default 0.3
        At least 0: pixels with a greater loss are hard.
    min_kept : int, default 4096
        How many pixels of each image are kept at least; all valid ones where there are fewer.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or (N, \*spatial) with ``reduction="none"``, 0 where
        not kept.

    Raises
    ------
    {raises}

    Notes
    -----
    As Paddle has it, without defaults. `ohem_cross_entropy` differs in that it keeps pixels of the batch, by a
    probability. Images without a valid pixel do not count in the mean. With ``reduction="sum"`` or ``"none"`` the kept
    losses are not divided by their number.

    References
    ----------
    Wu et al., "Bridging category-level and instance-level semantic image segmentation" (2016),
    https://arxiv.org/abs/1605.06885.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import bootstrapped_cross_entropy
    >>> probabilities = np.array([[[0.9, 0.6, 0.2], [0.1, 0.4, 0.8]], [[0.9, 0.9, 0.8], [0.1, 0.1, 0.2]]])
    >>> ids = np.zeros((2, 3), dtype=int)
    >>> loss = bootstrapped_cross_entropy(probabilities, ids, loss_threshold=0.3, min_kept=1, activation=None)
    >>> round(float(loss), 4), round(float(-(np.log(0.6 * 0.2) / 2 + np.log(0.8)) / 2), 4)
    (0.6416, 0.6416)
    """
    loss_threshold = check_number("loss_threshold", loss_threshold, 0)
    min_kept = check_index("min_kept", min_kept, 0)
    shared = PixelOptions(**options)
    choose = above_or_largest_of_image(loss_threshold, min_kept, mean_of_images=shared.reduction == "mean")
    return Hardest(pixel_plan(input, target, pixel_formulas.cross_entropy, shared), choose)
