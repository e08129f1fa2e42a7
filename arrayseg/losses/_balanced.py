"""Cross entropy with pixel weights computed from the target: class balance or distances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

from arrayseg._checks import check_choice
from arrayseg._typing import Activation, Array, Denominator, Pool
from arrayseg.backends import common_backend
from arrayseg.engine import pixel_formulas
from arrayseg.engine.activations import whole_block
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.pixel_term import PixelTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import BatchBlocks, Sums
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import pixel_plan
from arrayseg.losses._inputs import check_rows, extremes, layout_of
from arrayseg.losses._options import PixelKeywords, PixelOptions

__all__ = ["balanced_binary_cross_entropy", "distance_weighted_cross_entropy", "positive_fraction"]


POOLED_AXES = {"image": (), "batch": (0,), "micro": (1,), "all": (0, 1)}


def positive_fraction(batch: Batch, pool: Pool) -> Array:
    """Return the fraction of positive targets among the valid pixels, or 0 without valid pixels. Shape `(N, C)`."""
    xp, backend = batch.xp, batch.backend

    def count(block: Block) -> Sums:
        positives = block.sum(block.target, axis=2)
        return positives, xp.broadcast_to(block.valid_amount[:, None], positives.shape)

    in_blocks = backend.uses_closed_form(batch.logits, *batch.constants)
    sums = BatchBlocks(batch).sum(lambda block: [count(block)])[0] if in_blocks else count(whole_block(batch))
    positives, total = (_pool_sums(amount, pool, batch) for amount in sums)
    defined = total > 0
    return xp.where(defined, positives / xp.where(defined, total, xp.ones_like(total)), xp.zeros_like(total))


def _pool_sums(amount: Array, pool: Pool, batch: Batch) -> Array:
    """Sum over the pooled axes and broadcast the result to every image and class."""
    axes = POOLED_AXES[pool]
    return batch.xp.broadcast_to(batch.xp.sum(amount, axis=axes, keepdims=True), amount.shape) if axes else amount


@loss(PixelOptions)
def balanced_binary_cross_entropy(
    input: Array,
    target: Array,
    *,
    pool: Pool = "image",
    activation: Activation = "sigmoid",
    **options: Unpack[PixelKeywords],
) -> Plan:
    r"""Compute the class-balanced binary cross entropy (HED): positives and negatives have the same total weight.

    .. math:: \ell = -\frac{1}{NC} \sum_{i,c} \beta\, t_{ic} \log p_{ic} + (1 - \beta) (1 - t_{ic}) \log(1 - p_{ic}),
       \qquad \beta = \frac{\text{negatives}}{\text{valid}}

    Parameters
    ----------
    {input}
    {target_binary}
    pool : {"image", "batch", "micro", "all"}, default "image"
        Where to count positives and negatives: in each class of each image, in each class of the batch, over all
        classes of each image, or over everything.
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
    HED counts in each image and returns the sum (``reduction="sum"``). The boundary loss of mmsegmentation and
    pytorch-toolbelt count over the batch (``pool="all"``). The dynamic weights of Paddle are twice as large. Ignored
    pixels are not counted. The loss is 0 if the target has no positives or no negatives.

    References
    ----------
    Xie and Tu, "Holistically-nested edge detection" (2015), https://arxiv.org/abs/1504.06375.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import balanced_binary_cross_entropy
    >>> logits = np.array([[[[2.0, -1.0, 0.5, -3.0]]]])  # (N, 1, H, W)
    >>> edges = np.array([[[[1, 0, 0, 0]]]])
    >>> round(float(balanced_binary_cross_entropy(logits, edges)), 4)
    0.1073
    """
    check_choice("activation", activation, ("sigmoid", None))
    check_choice("pool", pool, Pool)
    sweep = pixel_plan(
        input, target, pixel_formulas.cross_entropy, PixelOptions(activation=activation, **options), binary=True
    )
    fraction = positive_fraction(sweep.batch, pool)
    (term,) = sweep.terms
    assert isinstance(term, PixelTerm)
    return replace(sweep, terms=[replace(term, positive_weights=1 - fraction, negative_weights=fraction)])


@loss(PixelOptions)
def distance_weighted_cross_entropy(
    input: Array,
    target: Array,
    *,
    distance: Array,
    denominator: Denominator = "valid",
    **options: Any,
) -> Plan:
    r"""Compute the cross entropy weighted by a distance map.

    .. math:: \ell = -\frac{1}{N} \sum_i (1 + d_i) \log p_{i, y_i}

    Parameters
    ----------
    {input}
    {target_probability}
    distance : array
        d, at least 0. For example, the distances to the boundaries of the target, which a data loader can compute with
        `arrayseg.distance_maps.distance_map`. Shape (N, \*spatial).
    denominator : {"valid", "weights", "all", "elements", "positives"}, default "valid"
        The divisor of "mean", as for `cross_entropy`. "weights" includes the weights 1 + d.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The default of `denominator` follows the paper, which takes the mean over pixels. SegLossOdyssey discards the
    product and returns the mean of the cross entropy. `pixel_weights` multiply the weights 1 + d.

    References
    ----------
    Caliva et al., "Distance map loss penalty term for semantic segmentation" (2019), https://arxiv.org/abs/1908.03679.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import distance_weighted_cross_entropy
    >>> logits = np.array([[[[2.0, -1.0]], [[0.0, 1.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 0]]])  # (N, H, W)
    >>> distance = np.array([[[0.0, 2.0]]])  # (N, H, W)
    >>> round(float(distance_weighted_cross_entropy(logits, target, distance=distance)), 4)
    3.2539
    """
    shared = PixelOptions(denominator=denominator, **options)
    backend = common_backend(input=input, distance=distance, pixel_weights=shared.pixel_weights)
    xp = backend.xp
    layout = layout_of(input, shared.class_axis, backend)
    shape = layout.rows_shape
    if tuple(distance.shape) != shape:
        msg = f"`distance` must have the shape (N, *spatial) = {shape}; got {tuple(distance.shape)}."
        raise ValueError(msg)
    if 0 not in shape and backend.is_concrete(distance):
        least, _ = extremes(backend, distance)
        if least < 0:
            msg = f"`distance` must not be negative; got {least}. Pass the absolute value of a signed map."
            raise ValueError(msg)
    weights = 1 + xp.astype(distance, backend.sum_dtype(input))
    if shared.pixel_weights is not None:
        check_rows("pixel_weights", shared.pixel_weights, layout, backend)
        weights = weights * xp.astype(shared.pixel_weights, weights.dtype)
    return pixel_plan(input, target, pixel_formulas.cross_entropy, replace(shared, pixel_weights=weights))
