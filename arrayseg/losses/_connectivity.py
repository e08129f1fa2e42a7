"""Semantic connectivity loss: of connected components."""

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
    """A constant, plus the weighted intersections over unions of components, plus the weighted misses of classes."""

    cells: Array
    """`(N, C, S)`, each pixel's place in the table of its image and class."""
    sizes: Array
    """`(N, C, 1, columns)`, the pixels of the target's components."""
    weights: Array
    """`(N, C, rows, columns)`, of the intersections over unions; 0 for those that do not count."""
    missed: Array
    """`(N, C)`, of the target's pixels times what their probability lacks to 1."""
    constant: Array
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
        by_shared, by_lacking = (xp.astype(each, block.dtype, copy=False)[block.image_slice, ...] for each in state)
        rows, columns = self.weights.shape[2:]
        table = xp.reshape(by_shared, (block.images, block.classes, rows * columns))
        cells = xp.astype(self.cells[block.image_slice, ...], block.backend.count_dtype(self.cells), copy=False)
        derivative = xp.take_along_axis(table, cells, axis=2) - by_lacking[:, :, None] * block.target
        return block.pull_back(block.where_valid(derivative))


def matched_components(
    predicted: Array, wanted: Array, *, connectivity: int, most: int, mean: bool, backend: Backend
) -> dict[str, Any]:
    """The fields of a `ConnectivityTerm`, from boolean masks `(N, C, *spatial)` of known values."""
    xp, device = backend.xp, backend.device(wanted)
    images, classes, *spatial = wanted.shape
    dtype = backend.sum_dtype(wanted)
    places = [(image, number) for image in range(images) for number in range(classes)]
    pairs = [
        _components(predicted[(*place, ...)], wanted[(*place, ...)], connectivity, most, backend) for place in places
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
    wanted_parts = _number(sizes[:, :, :, 1:] > 0, 3, dtype, xp)
    predicted_parts = xp.sum(counts, axis=3, keepdims=True)[:, :, 1:, :] > 0
    alone = _number(predicted_parts & ~xp.any(touch, axis=3, keepdims=True), 2, dtype, xp)
    # Every class that the target has counts alike, in every image.
    of_class = xp.astype(wanted_parts[:, :, 0, 0] > 0, dtype)
    if mean:
        of_class = of_class / (_at_least_one(xp.sum(of_class, axis=1, keepdims=True), xp) * max(images, 1))
    shared = _at_least_one(_number(touch, 2, dtype, xp), xp) * _at_least_one(wanted_parts + alone, xp)
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


def _number(mask: Array, axis: int, dtype: DType, xp: Namespace) -> Array:
    return xp.sum(xp.astype(mask, dtype), axis=axis, keepdims=True)


def _at_least_one(counts: Array, xp: Namespace) -> Array:
    return xp.where(counts > 1, counts, xp.ones_like(counts))


def _components(predicted: Array, wanted: Array, connectivity: int, most: int, backend: Backend) -> tuple[Array, Array]:
    """The components of both masks; the first few of the prediction where it has more than twice as many."""
    xp = backend.xp
    first, second = (
        backend.masks.connected_components(mask, connectivity=connectivity) for mask in (predicted, wanted)
    )
    if _greatest(first, xp) > max(most, 2 * _greatest(second, xp)):
        first = xp.where(first <= most, first, xp.zeros_like(first))
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
    r"""Semantic connectivity-aware loss: how well connected components of prediction and target match.

    .. math:: \ell_c = 1 - \frac{1}{|T| + |P_0|} \sum_{t \in T} \frac{1}{|P_t|} \sum_{p \in P_t} \mathrm{IoU}(p, t),
       \qquad \mathrm{IoU}(p, t) = \frac{\sum_{p \cap t} q}{\sum_p q + |t| - \sum_{p \cap t} q}

    for every class that an image has, with T the components of the target, P_t the predicted ones that share a pixel
    with t, P_0 those that share none with any, and q the probabilities. Where the class is predicted nowhere, the loss
    is :math:`1 + \frac{1}{|\Omega|} \sum t (1 - q)`.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape: of the class where
        it is more than a half.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make: of exclusive classes, of which the most probable is predicted, or of
        independent ones, which are predicted where they are more than a half. With None the input holds probabilities.
    class_axis : int or None, default 1
        The axis of the classes; -1 for channels-last. None for one binary channel without such an axis.
    ignore_index : int, optional
        An id, of a class or not, whose pixels are in no component, with zero gradient.
    mask : array of bool, optional
        Shape (N, \*spatial), true where a pixel counts.
    connectivity : int, optional
        In how many coordinates neighbours may differ: 1 (4 neighbours in the plane, 6 in space) to the number of
        spatial axes (8, 26), the default.
    max_components : int, default 9
        How many predicted components of a class count, in the order of their first pixels, where it has more than
        twice as many as the target; at least 1. Matching takes memory for all pairs of components.
    reduction : {"mean", "sum"}, default "mean"
        The mean over the classes of an image and then over the images, or the sum.

    Returns
    -------
    array
        The loss, a number of the input's dtype, at least float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input; under a compiler or a transform that
        hides values, as components are found from known ones.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    Components are found on the host from the values of the prediction, and are constants of the derivative; the
    gradient in the probabilities is exact. The defaults are those of PaddleSeg, whose code multiplies the predicted ids
    where this loss has probabilities: the value is the same where these are 0 and 1, of a binary target. JAX finds the
    components inside of ``jax.grad``, not of ``jax.jit`` and ``jax.vmap``.

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
            "semantic_connectivity finds connected components from known values, which compilers and transforms hide; "
            "call it outside of them (jax.grad and torch.autograd are fine)."
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
    wanted = block.one_hot if batch.has_ids else block.target > 0.5
    shape = (*batch.shape[:2], *spatial) if spatial else (*batch.shape[:2], 1)
    found = matched_components(
        xp.reshape(predicted, shape),
        xp.reshape(wanted, shape),
        connectivity=len(shape) - 2 if connectivity is None else connectivity,
        most=int(max_components),
        mean=shared.reduction == "mean",
        backend=backend,
    )
    return Sweep(input, layout, batch, [ConnectivityTerm(**found, reduction=shared.reduction)], [1.0])
