"""Region mutual information loss."""

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
    """log det A / (2 d) of every image and class."""

    spatial: tuple[int, ...]
    radius: int
    downsample: int
    pooling: Pooling
    epsilon: float

    whole_images = True
    needs_probabilities = True

    def count(self, block: Block) -> Sums:
        xp = block.xp
        wanted, _ = self._vectors(block, block.target)
        predicted, _ = self._vectors(block, self._probabilities(block))
        vectors = xp.concat([predicted, wanted], axis=2)
        return self._root(block, vectors), block.sum(block.target, axis=2), block.amount[:, None]

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, tuple[Array, ...]]:
        xp = batch.xp
        root, target, count = sums
        size = root.shape[-1] // 2
        left = root[..., size:, size:]
        losses = xp.sum(xp.log(xp.abs(xp.linalg.diagonal(left))), axis=-1) / size
        chosen = self._chosen(target, batch)
        weight, counts = self._weight(target, xp.broadcast_to(count, target.shape), chosen, batch)
        zero = xp.zeros_like(losses)
        losses = xp.where(counts, losses * weight, zero) * factor
        if self.reduction == "none":
            return self._unreduced(losses, xp), ()
        # From the blocks of the root, K = L21 L11^-1 and A = L22 L22'.
        estimate = xp.matrix_transpose(
            xp.linalg.solve(xp.matrix_transpose(root[..., :size, :size]), xp.matrix_transpose(root[..., size:, :size]))
        )
        by_residual = -xp.linalg.solve(xp.matmul(left, xp.matrix_transpose(left)), estimate)
        by_residual = by_residual * xp.where(counts, weight * factor / size, zero)[:, :, None, None]
        return xp.sum(losses), (estimate, xp.matrix_transpose(by_residual))

    def pull(self, block: Block, state: tuple[Array, ...]) -> Array:
        xp = block.xp
        estimate, by_residual = (array[block.image_slice, ...] for array in state)
        wanted, _ = self._vectors(block, block.target)
        predicted, pull_vectors = self._vectors(block, self._probabilities(block))
        cotangent = xp.matmul(by_residual, wanted - xp.matmul(estimate, predicted))
        return block.pull_back(block.cast(block.where_valid(pull_vectors(cotangent))))

    def _probabilities(self, block: Block) -> Array:
        """The probabilities in the dtype of sums, with the digits of what those that are nearly 1 lack to it.

        The residual of a prediction that is nearly right is made of them.
        """
        xp, dtype = block.xp, block.batch.sum_dtype
        probabilities, complements = (xp.astype(each, dtype) for each in (block.probabilities, block.complements))
        return block.where_valid(xp.where(probabilities > 0.5, 1 - complements, probabilities))

    def _root(self, block: Block, vectors: Array) -> Array:
        """The triangular root L of the covariance of vectors (prediction, target) plus e I, `(B, C, 2 d, 2 d)`.

        In float64 it is made of the covariance. That squares the condition number, which float32 cannot afford: there
        it is made of the vectors themselves, whose orthogonal factor is left out.
        """
        xp, size = block.xp, vectors.shape[2]
        unit = xp.eye(size, dtype=vectors.dtype, device=block.device)
        unknown = xp.sum(vectors - vectors, axis=(2, 3), keepdims=True)  # 0, or NaN, which a decomposition may refuse
        vectors = xp.where(xp.isnan(unknown), xp.zeros_like(vectors), vectors)
        if vectors.dtype == xp.float64:
            covariance = xp.matmul(vectors, xp.matrix_transpose(vectors))
            root = xp.linalg.cholesky(covariance + self.epsilon * unit)
        else:
            ridge = xp.broadcast_to(self.epsilon**0.5 * unit, (*vectors.shape[:2], size, size))
            _, upper = xp.linalg.qr(xp.matrix_transpose(xp.concat([vectors, ridge], axis=-1)))
            root = xp.matrix_transpose(upper)
        return root + unknown

    def _vectors(self, block: Block, maps: Array) -> Primitive:
        """The vectors of maps `(B, C, P)` about their means, `(B, C, d, vectors)`, in the dtype of sums."""
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
    """How many windows of `downsample` elements there are, the edge padded by half of one."""
    return (length + 2 * (downsample // 2) - downsample) // downsample + 1


def _pooled(maps: Array, downsample: int, pooling: Pooling, xp: Namespace) -> Primitive:
    """Maps `(B, C, *spatial)` by windows that do not overlap, padded with 0; an axis of one element stays as it is."""
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
            # Those that tie share the gradient, as in the libraries' own `max`.
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
    """The windows of `radius` elements along every axis longer than one, as vectors `(B, C, d, windows)`."""
    lengths = [length - radius + 1 if length > 1 else 1 for length in maps.shape[2:]]
    starts = product(*(range(radius if length > 1 else 1) for length in maps.shape[2:]))
    places = [box(corner, lengths) for corner in starts]
    batch = maps.shape[:2]
    value = xp.stack([xp.reshape(maps[place], (*batch, prod(lengths))) for place in places], axis=2)

    def pull(cotangent: Array) -> Array:
        result = xp.zeros_like(maps)
        for number, place in enumerate(places):
            result[place] += xp.reshape(cotangent[:, :, number, :], (*batch, *lengths))
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
    r"""Region mutual information (RMI) loss: what of the target's neighbourhoods the prediction's do not explain.

    .. math:: \ell = \frac{1}{2 d} \log \det \left(\Sigma_t - \Sigma_{tp} (\Sigma_p + \epsilon I)^{-1} \Sigma_{pt}
       + \epsilon I\right)

    with the covariances (sums of products about the means) of the vectors of the d values in the windows of target and
    prediction, `radius` pixels wide, after both were pooled; in float64 where the device has it.

    Parameters
    ----------
    {input_spatial}
    {target}
    radius : int, default 3
        How many pixels wide a window is, at least 1; d is its power of the number of spatial axes.
    downsample : int, default 3
        The width of the pooling windows, which do not overlap, at least 1, which leaves all as it is. The edge is
        padded with half a window of 0.
    pooling : {"max", "average"}, default "max"
        How both maps are pooled.
    epsilon : float, default 5e-4
        What is added to the diagonals, more than 0.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or with ``reduction="none"`` an array (N, C).

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit; if an image has fewer pixels than a window.

    Notes
    -----
    The authors' code has ``activation="sigmoid"``, takes the sum over the classes (C times this mean), adds 1e-8 to the
    roots of the determinant, and averages the loss with binary cross entropy. The loss may be negative. Axes of
    one element are left out of the windows.

    Where the library has no float64, as JAX unless `jax_enable_x64` is set, the gradient of a nearly right prediction
    has few digits: at margins of 12 logits it is 3e-4 off with "softmax" and 4e-3 with "sigmoid".

    References
    ----------
    Zhao et al., "Region mutual information loss for semantic segmentation" (2019), https://arxiv.org/abs/1910.12037.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import region_mutual_information
    >>> checkers = np.indices((1, 12, 12)).sum(axis=0) // 3 % 2
    >>> options = {"class_axis": None, "activation": None, "downsample": 1}
    >>> right, grey = (0.8 * checkers + 0.1, 0.0 * checkers + 0.5)
    >>> [round(float(region_mutual_information(p, checkers, **options)), 4) for p in (right, grey)]
    [-3.6436, -1.8432]
    """
    radius = check_index("radius", radius, 1)
    downsample = check_index("downsample", downsample, 1)
    check_choice("pooling", pooling, Pooling)
    epsilon = check_number("epsilon", epsilon, 0, above=True)  # with 0 some covariances would have no inverse
    shared = RegionOptions(**options)
    layout, batch = prepare(input, target, shared)
    spatial = layout.rows_shape[1:]
    if 0 in spatial or any(length > 1 and pooled_length(length, downsample) < radius for length in spatial):
        msg = (
            f"A window of radius={radius} pixels does not fit an image of shape {spatial} that is pooled by "
            f"downsample={downsample}. Choose smaller ones."
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
