"""Losses that compare a pixel with its neighbors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Literal, Unpack

from arrayseg._checks import check_choice, check_index, check_number
from arrayseg._typing import Activation, Array, Namespace
from arrayseg.backends.axes import slice_axis, window
from arrayseg.engine import pixel_formulas
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_term import MeanTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sums
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import pixel_plan
from arrayseg.losses._options import PixelKeywords, PixelOptions

__all__ = ["NeighborTerm", "neighbor_aware_cross_entropy"]


@dataclass(frozen=True, kw_only=True)
class NeighborTerm(MeanTerm):
    """The mean over pixels and classes of |z - n| or (z - n)^2.

    n is the frequency of the class among the targets of the valid neighbors.
    """

    spatial: tuple[int, ...]
    size: int
    """The side length of the neighborhood, odd."""
    distance: Literal["l1", "l2"]

    whole_images = True

    def count(self, block: Block) -> Sums:
        # The class weights apply only to the cross entropy.
        return super().count(block.changed(class_weights=None))

    def losses(self, block: Block, scale: Array | None) -> tuple[Array, Array | None]:
        xp = block.xp
        difference = block.logits - self._class_frequency(block)
        if self.distance == "l2":
            distance, slope = difference**2, 2 * difference
        else:
            slope = xp.astype(difference > 0, block.dtype) - xp.astype(difference < 0, block.dtype)
            distance = difference * slope
        factor = 1 / block.classes
        losses = block.weighted(block.where_valid(xp.sum(distance, axis=1) * factor))
        if scale is None:
            return losses, None
        return losses, block.weighted(block.where_valid(slope)) * (scale * factor)

    def _class_frequency(self, block: Block) -> Array:
        """Return the frequency of every class among the valid neighbors, or 0 without them. Shape `(B, C, P)`."""
        xp = block.xp
        valid = block.where_valid(xp.ones((block.images, 1, block.pixels), dtype=block.dtype, device=block.device))
        sums, count = (self._box_sum(array, xp) for array in (block.target, valid))
        return sums / xp.where(count > 0, count, xp.ones_like(count))

    def _box_sum(self, array: Array, xp: Namespace) -> Array:
        """Return the sum over the neighborhood of every pixel, with zeros outside the image. Sum axis by axis."""
        shape = array.shape
        if 0 in shape:
            return array
        array = xp.reshape(array, (*shape[:2], *self.spatial))
        for axis, length in enumerate(self.spatial, start=2):
            padded = window(array, axis, -(self.size // 2), length + self.size - 1, xp)
            array = reduce(add, (slice_axis(padded, axis, start, start + length) for start in range(self.size)))
        return xp.reshape(array, shape)


@loss(PixelOptions)
def neighbor_aware_cross_entropy(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.1,
    kernel_size: int = 3,
    distance: Literal["l1", "l2"] = "l1",
    activation: Activation = "softmax",
    **options: Unpack[PixelKeywords],
) -> Plan:
    r"""Compute the neighbor-aware cross entropy (NACL), which pulls logits towards the labels of the neighborhood.

    .. math:: \ell = \frac{1}{N} \sum_i -\log p_{i, y_i} + \frac{\alpha}{C} \sum_c |z_{ic} - n_{ic}|

    where :math:`n_{ic}` is the frequency of class c among the targets of pixel i and its neighbors.

    Parameters
    ----------
    {input}
    {target_probability}
    alpha : float, default 0.1
        The weight of the distance, at least 0; 0 gives cross entropy.
    kernel_size : int, default 3
        The side length of the neighborhood along every spatial axis, odd.
    distance : {"l1", "l2"}, default "l1"
        The absolute difference or its square.
    activation : {"softmax", "sigmoid"}, default "softmax"
        How to turn logits into probabilities. `input` always contains logits.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    Only valid neighbors inside the image are counted. The authors' code counts pixels outside the image as class 0.
    Class weights and label smoothing apply only to the cross entropy. If a logit equals the frequency, the derivative
    of its distance is 0.

    References
    ----------
    Murugesan et al., "Trust your neighbours: penalty-based constraints for model calibration" (2023),
    https://arxiv.org/abs/2303.06268.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import neighbor_aware_cross_entropy
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> round(float(neighbor_aware_cross_entropy(logits, target)), 4)
    1.2269
    """
    check_choice("activation", activation, ("softmax", "sigmoid"))
    check_choice("distance", distance, ("l1", "l2"))
    alpha = check_number("alpha", alpha, 0)
    kernel_size = check_index("kernel_size", kernel_size)
    if kernel_size < 1 or kernel_size % 2 == 0:
        msg = f"`kernel_size` must be odd and positive; got {kernel_size!r}."
        raise ValueError(msg)
    shared = PixelOptions(activation=activation, **options)
    sweep = pixel_plan(input, target, pixel_formulas.cross_entropy, shared)
    neighbors = NeighborTerm(
        reduction=shared.reduction,
        denominator=shared.denominator,
        spatial=sweep.layout.rows_shape[1:],
        size=kernel_size,
        distance=distance,
    )
    return replace(sweep, terms=[*sweep.terms, neighbors], factors=[1.0, alpha])
