"""Semantic connectivity loss: compare the connected components of prediction and target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, Unpack

from arrayseg._checks import check_index
from arrayseg._typing import Activation, Array, DType, Namespace
from arrayseg.backends import Backend
from arrayseg.engine.activations import whole_block
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sums, Sweep, Term
from arrayseg.losses._affinity import WITHOUT_WEIGHTS
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import prepare
from arrayseg.losses._options import PairKeywords, PairOptions

__all__ = ["ConnectivityTerm", "matched_components", "semantic_connectivity"]


@dataclass(frozen=True, kw_only=True)
class ConnectivityTerm(Term):
    """A constant plus the weighted IoU of pairs of components plus the weighted misses of unpredicted classes."""

    cells: Array
    """The index of each pixel in the component table of its image and class, `(N, C, S)`."""
    sizes: Array
    """The number of pixels of each component of the target, `(N, C, 1, columns)`."""
    weights: Array
    """The weight of the IoU of each pair of components, 0 for pairs that do not count, `(N, C, rows, columns)`."""
    missed: Array
    """The weight of the sum of 1 - p over the target pixels of each class, `(N, C)`."""
    constant: Array
    """The sum of the weights of all classes: the value if nothing overlaps."""
    reduction: Literal["mean", "sum"] = "mean"

    whole_images = True

    def count(self, block: Block) -> Sums:
        xp, backend = block.xp, block.backend
        rows, columns = self.weights.shape[2:]
        table = rows * columns
        probability = block.where_valid(block.probabilities)
        planes = xp.arange(block.images * block.classes, dtype=self.cells.dtype, device=block.device)
        index = self.cells[block.image_slice, ...] + xp.reshape(planes, (block.images, block.classes, 1)) * table
        wide = xp.astype(probability, block.batch.sum_dtype, copy=False)
        length = block.images * block.classes * table
        counted = backend.counts.bincount(xp.reshape(index, (-1,)), length=length, weights=xp.reshape(wide, (-1,)))
        lacking = block.sum(block.target * (1 - probability), axis=2)
        return xp.reshape(counted, (block.images, block.classes, rows, columns)), lacking

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, tuple[Array, Array]]:
        xp = batch.xp
        shared, lacking = sums
        weights, missed = (xp.astype(each, shared.dtype, copy=False) for each in (self.weights, self.missed))
        predicted = xp.sum(shared, axis=3, keepdims=True)
        union = predicted + xp.astype(self.sizes, shared.dtype, copy=False) - shared
        inverse = 1 / xp.where(union > 0, union, xp.ones_like(union))
        overlap = shared * inverse
        constant = xp.astype(self.constant, shared.dtype, copy=False)
        value = constant + xp.sum(weights * overlap) + xp.sum(missed * lacking)
        by_predicted = xp.sum(-weights * overlap * inverse, axis=3, keepdims=True)
        by_shared = weights * (1 + overlap) * inverse + by_predicted
        return value * factor, (by_shared * factor, missed * factor)

    def pull(self, block: Block, state: tuple[Array, Array]) -> Array:
        xp = block.xp
        by_shared, by_lacking = (block.cast(each)[block.image_slice, ...] for each in state)
        rows, columns = self.weights.shape[2:]
        table = xp.reshape(by_shared, (block.images, block.classes, rows * columns))
        cells = xp.astype(self.cells[block.image_slice, ...], block.backend.count_dtype(self.cells), copy=False)
        derivative = xp.take_along_axis(table, cells, axis=2) - by_lacking[:, :, None] * block.target
        return block.pull_back(block.where_valid(derivative))


def matched_components(
    predicted: Array, target: Array, *, connectivity: int, max_components: int, mean: bool, backend: Backend
) -> dict[str, Any]:
    """Return the fields of a `ConnectivityTerm`, from concrete boolean masks `(N, C, *spatial)`."""
    xp, device = backend.xp, backend.device(target)
    images, classes, *spatial = target.shape
    dtype = backend.sum_dtype(target)
    pairs = [
        _components(predicted[image, number, ...], target[image, number, ...], connectivity, max_components, backend)
        for image in range(images)
        for number in range(classes)
    ]
    rows, columns = (1 + max((_greatest(pair[which], xp) for pair in pairs), default=0) for which in (0, 1))
    cells = xp.zeros((images, classes, prod(spatial)), dtype=xp.int32, device=device)
    counts = xp.zeros((images, classes, rows, columns), dtype=dtype, device=device)
    if pairs:
        flat = [xp.reshape(first * columns + second, (-1,)) for first, second in pairs]
        cells = xp.reshape(xp.stack(flat), cells.shape)
        tables = [backend.counts.bincount(cell, length=rows * columns) for cell in flat]
        counts = xp.astype(xp.reshape(xp.stack(tables), counts.shape), dtype)
    sizes = xp.sum(counts, axis=2, keepdims=True)
    touch = counts[:, :, 1:, 1:] > 0
    target_parts = _count(sizes[:, :, :, 1:] > 0, 3, dtype, xp)
    predicted_parts = xp.sum(counts, axis=3, keepdims=True)[:, :, 1:, :] > 0
    alone = _count(predicted_parts & ~xp.any(touch, axis=3, keepdims=True), 2, dtype, xp)
    # Every class that occurs in the target of an image has the same weight.
    of_class = xp.astype(target_parts[:, :, 0, 0] > 0, dtype)
    if mean:
        of_class = of_class / (_at_least_one(xp.sum(of_class, axis=1, keepdims=True), xp) * max(images, 1))
    shared = _at_least_one(_count(touch, 2, dtype, xp), xp) * _at_least_one(target_parts + alone, xp)
    weights = -xp.astype(touch, dtype) * of_class[:, :, None, None] / shared
    weights = xp.concat([xp.zeros_like(counts[:, :, :1, 1:]), weights], axis=2)
    nowhere = ~xp.any(predicted_parts, axis=(2, 3))
    return {
        "cells": cells,
        "sizes": sizes,
        "weights": xp.concat([xp.zeros_like(counts[:, :, :, :1]), weights], axis=3),
        "missed": of_class * xp.astype(nowhere, dtype) / max(prod(spatial), 1),
        "constant": xp.sum(of_class),
    }


def _greatest(numbers: Array, xp: Namespace) -> int:
    return 0 if 0 in numbers.shape else int(xp.max(numbers))


def _count(mask: Array, axis: int, dtype: DType, xp: Namespace) -> Array:
    return xp.sum(xp.astype(mask, dtype), axis=axis, keepdims=True)


def _at_least_one(counts: Array, xp: Namespace) -> Array:
    return xp.where(counts > 1, counts, xp.ones_like(counts))


def _components(
    predicted: Array, target: Array, connectivity: int, max_components: int, backend: Backend
) -> tuple[Array, Array]:
    """Label the components of both masks.

    If the prediction has more than twice as many components as the target, only its first `max_components` are kept.
    """
    xp = backend.xp
    first, second = (
        backend.masks.connected_components(mask, connectivity=connectivity) for mask in (predicted, target)
    )
    if _greatest(first, xp) > max(max_components, 2 * _greatest(second, xp)):
        first = xp.where(first <= max_components, first, xp.zeros_like(first))
    return first, second


@loss(PairOptions, without=WITHOUT_WEIGHTS)
def semantic_connectivity(
    input: Array,
    target: Array,
    *,
    activation: Activation = "softmax",
    connectivity: int | None = None,
    max_components: int = 9,
    **options: Unpack[PairKeywords],
) -> Plan:
    r"""Compute the semantic connectivity-aware loss: how well the components of prediction and target match.

    .. math:: \ell_c = 1 - \frac{1}{|T| + |P_0|} \sum_{t \in T} \frac{1}{|P_t|} \sum_{p \in P_t} \mathrm{IoU}(p, t),
       \qquad \mathrm{IoU}(p, t) = \frac{\sum_{p \cap t} q}{\sum_p q + |t| - \sum_{p \cap t} q}

    The loss runs over every class that occurs in the target of an image. T are the components of the target. P_t are
    the predicted components that share a pixel with t, P_0 the predicted components that overlap no target component.
    q are the probabilities. If a class is not predicted anywhere, its loss is
    :math:`1 + \frac{1}{|\Omega|} \sum t (1 - q)`.

    Parameters
    ----------
    {input_spatial}
    {target_mask}
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        How to turn `input` into probabilities: "softmax" for mutually exclusive classes, "sigmoid" for independent
        ones, None if `input` already contains probabilities. The most probable of exclusive classes is predicted.
        Independent classes are predicted where their probability exceeds 0.5.
    class_axis : int or None, default 1
        The axis of the classes; -1 for channels-last. None for one binary channel without such an axis.
    ignore_index : int, optional
        Label to ignore. Its pixels belong to no component and have no gradient. The label may lie outside the range of
        the classes.
    {mask}
    connectivity : int, optional
        Number of coordinates in which neighbors may differ, from 1 (4 neighbors in 2D, 6 in 3D) to the number of
        spatial axes (8 neighbors in 2D, 26 in 3D). The default is the number of spatial axes.
    max_components : int, default 9
        Number of predicted components of a class that count, at least 1. The limit applies only if there are more than
        twice as many as in the target, and keeps the components whose first pixels come first. Matching needs memory
        for all pairs of components.
    reduction : {"mean", "sum"}, default "mean"
        Return the mean over the classes of an image and then over the images, or the sum.

    Returns
    -------
    {returns_number}

    Raises
    ------
    TypeError
        If an argument has the wrong type or comes from a different array library. Also under a compiler or transform
        that hides the values of arrays, because finding components needs them.
    ValueError
        If shapes or devices do not match, an option is invalid, or a label is out of range.

    Notes
    -----
    Components are found on the host from the values of the prediction and have no gradient. The gradient with respect
    to the probabilities is exact. The defaults follow PaddleSeg, whose code uses predicted labels in place of the
    probabilities. Both agree for a binary target if the probabilities are 0 and 1. In JAX, the loss works inside
    ``jax.grad`` but not inside ``jax.jit`` or ``jax.vmap``.

    References
    ----------
    Chu et al., "PP-HumanSeg: connectivity-aware portrait segmentation with a large-scale teleconferencing video
    dataset" (2022), https://arxiv.org/abs/2112.07146.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import semantic_connectivity
    >>> target = np.array([[0, 1, 1, 1, 1, 0]])
    >>> whole, broken = np.array([[0.0, 1, 1, 1, 1, 0], [0, 1, 0, 1, 1, 0]])[:, None]
    >>> [float(semantic_connectivity(p, target, class_axis=None, activation=None)) for p in (whole, broken)]
    [0.0, 0.625]
    """
    max_components = check_index("max_components", max_components, 1)
    shared = PairOptions(activation=activation, **options)
    layout, batch = prepare(input, target, shared)
    batch = batch.with_unknown_targets()
    backend, spatial = batch.backend, layout.rows_shape[1:]
    xp = backend.xp
    if connectivity is not None:
        connectivity = check_index("connectivity", connectivity, 1, len(spatial))
    constant = replace(batch, logits=backend.stop_gradient(batch.logits))
    if not backend.is_concrete(constant.logits, *constant.constants):
        msg = (
            "semantic_connectivity needs the values of its arrays to find connected components, but a compiler or "
            "transform hides them. Call it outside jax.jit, jax.vmap and torch.compile. It works with jax.grad and "
            "torch.autograd."
        )
        raise TypeError(msg)
    block = whole_block(constant)
    if batch.binary:
        predicted = block.probabilities > 0.5
    else:
        classes = xp.arange(block.classes, dtype=backend.count_dtype(batch.logits), device=block.device)
        best = xp.astype(xp.argmax(block.logits, axis=1, keepdims=True), classes.dtype)
        predicted = best == classes[None, :, None]
    predicted = predicted if block.valid is None else predicted & block.valid[:, None, :]
    target_masks = block.one_hot if batch.has_ids else block.target > 0.5
    shape = (*batch.shape[:2], *spatial) if spatial else (*batch.shape[:2], 1)
    components = matched_components(
        xp.reshape(predicted, shape),
        xp.reshape(target_masks, shape),
        connectivity=len(shape) - 2 if connectivity is None else connectivity,
        max_components=max_components,
        mean=shared.reduction == "mean",
        backend=backend,
    )
    return Sweep(input, layout, batch, [ConnectivityTerm(**components, reduction=shared.reduction)], [1.0])
