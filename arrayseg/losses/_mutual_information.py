"""The region mutual information loss."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal, Unpack

from arrayseg._checks import check_choice, check_index, check_number
from arrayseg._typing import Array, Namespace
from arrayseg.backends.axes import window
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_term import RegionTerm
from arrayseg.engine.sweep import Sums, Sweep
from arrayseg.imaging.shifts import box
from arrayseg.imaging.soft_morphology import Primitive
from arrayseg.losses._api import loss
from arrayseg.losses._dice import region_term
from arrayseg.losses._inputs import prepare
from arrayseg.losses._options import RegionKeywords, RegionOptions

__all__ = ["InformationTerm", "Pooling", "pooled_length", "region_mutual_information"]

Pooling = Literal["max", "average"]


@dataclass(frozen=True, kw_only=True)
class InformationTerm(RegionTerm):
    """The term of the loss: log det A / (2 d) for every image and class.

    A is the covariance of the d values in a window of the target, given the prediction.
    """

    spatial: tuple[int, ...]
    radius: int
    downsample: int
    pooling: Pooling
    epsilon: float

    whole_images = True
    needs_probabilities = True

    def count(self, block: Block) -> Sums:
        xp = block.xp
        target, _ = self._vectors(block, block.target)
        predicted, _ = self._vectors(block, self._probabilities(block))
        vectors = xp.concat([predicted, target], axis=2)
        return self._root(block, vectors), block.sum(block.target, axis=2), block.amount[:, None]

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, tuple[Array, ...]]:
        xp = batch.xp
        root, target, count = sums
        size = root.shape[-1] // 2
        residual_root = root[..., size:, size:]
        losses = xp.sum(xp.log(xp.abs(xp.linalg.diagonal(residual_root))), axis=-1) / size
        chosen = self._chosen(target, batch)
        weight, counts = self._weight(target, xp.broadcast_to(count, target.shape), chosen, batch)
        zero = xp.zeros_like(losses)
        losses = xp.where(counts, losses * weight, zero) * factor
        if self.reduction == "none":
            return self._unreduced(losses, xp), ()
        # The blocks of the root L give the regression K = L21 L11^-1 and the covariance A = L22 L22'.
        estimate = xp.matrix_transpose(
            xp.linalg.solve(xp.matrix_transpose(root[..., :size, :size]), xp.matrix_transpose(root[..., size:, :size]))
        )
        covariance = xp.matmul(residual_root, xp.matrix_transpose(residual_root))
        by_residual = -xp.linalg.solve(covariance, estimate)
        by_residual = by_residual * xp.where(counts, weight * factor / size, zero)[:, :, None, None]
        return xp.sum(losses), (estimate, xp.matrix_transpose(by_residual))

    def pull(self, block: Block, state: tuple[Array, ...]) -> Array:
        xp = block.xp
        estimate, by_residual = (array[block.image_slice, ...] for array in state)
        target, _ = self._vectors(block, block.target)
        predicted, pull_vectors = self._vectors(block, self._probabilities(block))
        cotangent = xp.matmul(by_residual, target - xp.matmul(estimate, predicted))
        return block.pull_back(block.cast(block.where_valid(pull_vectors(cotangent))))

    def _probabilities(self, block: Block) -> Array:
        """Return the probabilities in the dtype of sums, with the digits of the complements where they are near 1.

        The residual of a nearly right prediction depends on these digits.
        """
        xp, dtype = block.xp, block.batch.sum_dtype
        probabilities, complements = xp.astype(block.probabilities, dtype), xp.astype(block.complements, dtype)
        return block.where_valid(xp.where(probabilities > 0.5, 1 - complements, probabilities))

    def _root(self, block: Block, vectors: Array) -> Array:
        """Return the triangular root L of the covariance of vectors (prediction, target) plus e I.

        In float64 it is the Cholesky factor of the covariance, whose condition number is the square of the vectors'.
        That costs float32 too many digits, so there it is the triangular factor of the vectors.

        The shape is `(B, C, 2 d, 2 d)`.
        """
        xp, size = block.xp, vectors.shape[2]
        identity = xp.eye(size, dtype=vectors.dtype, device=block.device)
        # Decompositions may refuse NaN: replace it, and add it to the result.
        unknown = xp.sum(vectors - vectors, axis=(2, 3), keepdims=True)  # 0 or NaN
        vectors = xp.where(xp.isnan(unknown), xp.zeros_like(vectors), vectors)
        if vectors.dtype == xp.float64:
            covariance = xp.matmul(vectors, xp.matrix_transpose(vectors))
            root = xp.linalg.cholesky(covariance + self.epsilon * identity)
        else:
            ridge = xp.broadcast_to(self.epsilon**0.5 * identity, (*vectors.shape[:2], size, size))
            _, upper = xp.linalg.qr(xp.matrix_transpose(xp.concat([vectors, ridge], axis=-1)))
            root = xp.matrix_transpose(upper)
        return root + unknown

    def _vectors(self, block: Block, maps: Array) -> Primitive:
        """Return the values in the windows of maps `(B, C, P)`, minus their means.

        The shape is `(B, C, d, windows)`, the dtype that of sums.
        """
        xp = block.xp
        shaped = xp.reshape(maps, (block.images, block.classes, *self.spatial))
        small, pull_pool = _pooled(shaped, self.downsample, self.pooling, xp)
        vectors, pull_windows = _windows(small, self.radius, xp)
        wide = xp.astype(vectors, block.batch.sum_dtype, copy=False)

        def pull(cotangent: Array) -> Array:
            narrow = xp.astype(cotangent, maps.dtype, copy=False)
            return xp.reshape(pull_pool(pull_windows(narrow)), maps.shape)

        return wide - xp.mean(wide, axis=-1, keepdims=True), pull


def pooled_length(length: int, downsample: int) -> int:
    """Return the number of windows of `downsample` elements along an axis that is padded by half a window."""
    return (length + 2 * (downsample // 2) - downsample) // downsample + 1


def _pooled(maps: Array, downsample: int, pooling: Pooling, xp: Namespace) -> Primitive:
    """Pool maps `(B, C, *spatial)` over windows that do not overlap, padded with 0.

    An axis of one element is not pooled.
    """
    batch, spatial = maps.shape[:2], maps.shape[2:]
    steps = [downsample if length > 1 else 1 for length in spatial]
    if all(step == 1 for step in steps):
        return maps, lambda cotangent: cotangent
    counts = [pooled_length(length, step) for length, step in zip(spatial, steps, strict=True)]
    padded = maps
    for axis, (count, step) in enumerate(zip(counts, steps, strict=True), start=2):
        padded = window(padded, axis, -(step // 2), count * step, xp)
    pairs = [length for pair in zip(counts, steps, strict=True) for length in pair]
    windows = xp.reshape(padded, (*batch, *pairs))
    inner = tuple(range(3, 2 + len(pairs), 2))
    value = (xp.max if pooling == "max" else xp.mean)(windows, axis=inner, keepdims=True)

    def pull(cotangent: Array) -> Array:
        cotangent = xp.reshape(cotangent, value.shape)
        if pooling == "max":
            # Tied maxima share the gradient, as in the `max` of the libraries.
            ties = xp.astype(windows == value, cotangent.dtype)
            share = ties * (cotangent / xp.sum(ties, axis=inner, keepdims=True))
        else:
            share = xp.broadcast_to(cotangent / prod(steps), windows.shape)
        result = xp.reshape(share, padded.shape)
        for axis, (length, step) in enumerate(zip(spatial, steps, strict=True), start=2):
            result = window(result, axis, step // 2, length, xp)
        return result

    return xp.reshape(value, (*batch, *counts)), pull


def _windows(maps: Array, radius: int, xp: Namespace) -> Primitive:
    """Return the windows of `radius` elements along every axis longer than one, as columns of `(B, C, d, windows)`.

    d is the number of values in a window.
    """
    lengths = [length - radius + 1 if length > 1 else 1 for length in maps.shape[2:]]
    starts = product(*(range(radius if length > 1 else 1) for length in maps.shape[2:]))
    boxes = [box(corner, lengths) for corner in starts]
    batch = maps.shape[:2]
    value = xp.stack([xp.reshape(maps[index], (*batch, prod(lengths))) for index in boxes], axis=2)

    def pull(cotangent: Array) -> Array:
        result = xp.zeros_like(maps)
        for number, index in enumerate(boxes):
            result[index] += xp.reshape(cotangent[:, :, number, :], (*batch, *lengths))
        return result

    return value, pull


@loss(RegionOptions, without=("soft_tp", "pool", "pixel_weights"))
def region_mutual_information(
    input: Array,
    target: Array,
    *,
    radius: int = 3,
    downsample: int = 3,
    pooling: Pooling = "max",
    epsilon: float = 5e-4,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the region mutual information (RMI) loss between the neighborhoods of prediction and target.

    .. math:: \ell = \frac{1}{2 d} \log \det \left(\Sigma_t - \Sigma_{tp} (\Sigma_p + \epsilon I)^{-1} \Sigma_{pt}
       + \epsilon I\right)

    Both maps are pooled first. Then the d values in every window, `radius` pixels wide, form a vector. The Σ are the
    sums of products of these vectors about their means, for the target t and the prediction p. The loss is smaller the
    more of the target's vectors the prediction's vectors explain. The computation is in float64 where the device has
    it.

    Parameters
    ----------
    {input_spatial}
    {target}
    radius : int, default 3
        The width of a window in pixels, at least 1. With k spatial axes, d is ``radius**k``.
    downsample : int, default 3
        The width of the pooling windows, at least 1. They do not overlap, and 1 means no pooling. The edge is padded
        with zeros by half a window.
    pooling : {"max", "average"}, default "max"
        How to pool both maps.
    epsilon : float, default 5e-4
        The number ε to add to the diagonals, greater than 0.
    {options}

    Returns
    -------
    array
        The loss: a number, or with ``reduction="none"`` an array of shape (N, C). It has the dtype of `input`, at
        least float32.

    Raises
    ------
    {raises}
        Also if a window does not fit into the pooled image.

    Notes
    -----
    The authors' code uses ``activation="sigmoid"``, takes the sum over the classes (C times this mean), adds 1e-8 to
    the roots of the determinant, and averages the loss with binary cross entropy. The loss may be negative. Windows
    have a width of 1 along axes of one element.

    Without float64 (JAX unless `jax_enable_x64` is set) the gradient of a nearly right prediction is less exact. At
    margins of 12 logits its error is 3e-4 with "softmax" and 4e-3 with "sigmoid".

    References
    ----------
    Zhao et al., "Region mutual information loss for semantic segmentation" (2019), https://arxiv.org/abs/1910.12037.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import region_mutual_information
    >>> checkers = np.indices((1, 12, 12)).sum(axis=0) // 3 % 2
    >>> options = {"class_axis": None, "activation": None, "downsample": 1}
    >>> right, gray = 0.8 * checkers + 0.1, 0.0 * checkers + 0.5
    >>> [round(float(region_mutual_information(p, checkers, **options)), 4) for p in (right, gray)]
    [-3.6436, -1.8432]
    """
    radius = check_index("radius", radius, 1)
    downsample = check_index("downsample", downsample, 1)
    check_choice("pooling", pooling, Pooling)
    epsilon = check_number("epsilon", epsilon, 0, above=True)  # with 0 a covariance may be singular
    shared = RegionOptions(**options)
    layout, batch = prepare(input, target, shared)
    spatial = layout.rows_shape[1:]
    if 0 in spatial or any(length > 1 and pooled_length(length, downsample) < radius for length in spatial):
        msg = (
            f"A window of radius={radius} pixels does not fit into an image of shape {spatial} after pooling with "
            f"downsample={downsample}. Choose a smaller radius or downsample."
        )
        raise ValueError(msg)
    term = region_term(
        shared,
        layout,
        InformationTerm,
        spatial=spatial,
        radius=radius,
        downsample=downsample,
        pooling=pooling,
        epsilon=epsilon,
    )
    return Sweep(input, layout, batch, [term], [1.0])
