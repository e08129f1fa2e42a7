"""Losses that weigh pixels by what is counted or measured in the target."""

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

__all__ = ["balanced_binary_cross_entropy", "distance_weighted_cross_entropy", "positive_share"]


POOLED_AXES = {"image": (), "batch": (0,), "micro": (1,), "all": (0, 1)}


def positive_share(batch: Batch, pool: Pool) -> Array:
    """The share of positive targets among the valid pixels, `(N, C)`; 0 where there are none."""
    xp, backend = batch.xp, batch.backend

    def count(block: Block) -> Sums:
        positives = block.sum(block.target, axis=2)
        return positives, xp.broadcast_to(block.valid_amount[:, None], positives.shape)

    in_blocks = backend.uses_closed_form(batch.logits, *batch.constants)
    sums = BatchBlocks(batch).sum(lambda block: [count(block)])[0] if in_blocks else count(whole_block(batch))
    positives, total = (_pooled(amount, pool, batch) for amount in sums)
    defined = total > 0
    return xp.where(defined, positives / xp.where(defined, total, xp.ones_like(total)), xp.zeros_like(total))


def _pooled(amount: Array, pool: Pool, batch: Batch) -> Array:
    """The sums over what is pooled, in the place of every image and class."""
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
    r"""Class-balanced binary cross entropy (HED): positives and negatives weigh the same together.

    .. math:: \ell = -\frac{1}{NC} \sum_{i,c} \beta\, t_{ic} \log p_{ic} + (1 - \beta) (1 - t_{ic}) \log(1 - p_{ic}),
       \qquad \beta = \frac{\text{negatives}}{\text{all}}

    Parameters
    ----------
    {input}
    {target_binary}
    pool : {"image", "batch", "micro", "all"}, default "image"
        Where positives and negatives are counted: in each image and class, each class of the batch, each image with
        its classes together, or all there is.
    activation : {"sigmoid"} or None, default "sigmoid"
        None if the input holds probabilities.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    HED counts in each image and sums (``reduction="sum"``); mmsegmentation's boundary loss and pytorch-toolbelt count
    in the batch (``pool="all"``); Paddle's dynamic weights are twice these. Ignored pixels are not counted. A target
    without positives, or without negatives, has a loss of 0.

    References
    ----------
    Xie and Tu, "Holistically-nested edge detection" (2015), https://arxiv.org/abs/1504.06375.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import balanced_binary_cross_entropy
    >>> target = np.array([[[1, 0, 0, 0]]])
    >>> round(float(balanced_binary_cross_entropy(np.zeros((1, 1, 4)), target, class_axis=1)), 4)
    0.2599
    """
    check_choice("activation", activation, ("sigmoid", None))
    check_choice("pool", pool, Pool)
    sweep = pixel_plan(
        input, target, pixel_formulas.cross_entropy, PixelOptions(activation=activation, **options), binary=True
    )
    share = positive_share(sweep.batch, pool)
    (term,) = sweep.terms
    assert isinstance(term, PixelTerm)
    return replace(sweep, terms=[replace(term, positive_weights=1 - share, negative_weights=share)])


@loss(PixelOptions)
def distance_weighted_cross_entropy(
    input: Array,
    target: Array,
    *,
    distance: Array,
    denominator: Denominator = "valid",
    **options: Any,
) -> Plan:
    r"""Cross entropy whose pixels weigh by a map of distances.

    .. math:: \ell = -\frac{1}{N} \sum_i (1 + d_i) \log p_{i, y_i}

    Parameters
    ----------
    {input}
    {target_probability}
    distance : array
        Shape (N, \*spatial), non-negative: for example distances to the boundaries of the target, of
        `arrayseg.distance_maps.distance_map`, which a data loader can make.
    denominator : {"valid", "weights", "all", "elements", "positives"}, default "valid"
        What "mean" divides by, as for `cross_entropy`; "weights" are those of the distances too.
    {options}

    Returns
    -------
    {returns_pixels}

    Raises
    ------
    {raises}

    Notes
    -----
    The paper multiplies the losses and takes their mean over pixels, hence the default of `denominator`. In
    SegLossOdyssey the product is lost and the mean is that of the cross entropy. `pixel_weights` multiply as well.

    References
    ----------
    Caliva et al., "Distance map loss penalty term for semantic segmentation" (2019), https://arxiv.org/abs/1908.03679.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import distance_weighted_cross_entropy
    >>> loss = distance_weighted_cross_entropy(np.zeros((1, 2, 2)), np.array([[0, 1]]), distance=np.array([[0.0, 2.0]]))
    >>> round(float(loss), 4)
    1.3863
    """
    shared = PixelOptions(denominator=denominator, **options)
    backend = common_backend(input=input, distance=distance, pixel_weights=shared.pixel_weights)
    xp = backend.xp
    layout = layout_of(input, shared.class_axis, backend)
    rows = layout.rows_shape
    if tuple(distance.shape) != rows:
        msg = f"`distance` must have the shape (N, *spatial) = {rows}; got {tuple(distance.shape)}."
        raise ValueError(msg)
    if 0 not in rows and backend.is_concrete(distance):
        least, _ = extremes(backend, distance)
        if least < 0:
            msg = f"`distance` must not be negative; got {least}. Of a signed map take the absolute value."
            raise ValueError(msg)
    weights = 1 + xp.astype(distance, backend.sum_dtype(input))
    others = options.get("pixel_weights")
    if others is not None:
        check_rows("pixel_weights", others, layout, backend)
    options["pixel_weights"] = weights if others is None else weights * xp.astype(others, weights.dtype)
    return pixel_plan(input, target, pixel_formulas.cross_entropy, PixelOptions(denominator=denominator, **options))
