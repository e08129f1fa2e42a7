"""Active boundary loss: move each predicted boundary pixel towards the boundary of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, Unpack

from arrayseg._checks import check_number, check_static
from arrayseg._typing import Array
from arrayseg.backends import Backend, common_backend
from arrayseg.engine.activations import whole_block
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sums, Sweep, Term
from arrayseg.imaging.distance_fields import boundary_distances
from arrayseg.imaging.shifts import neighbors_at
from arrayseg.imaging.soft_morphology import dilate
from arrayseg.losses._affinity import WITHOUT_WEIGHTS
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import prepare
from arrayseg.losses._options import PairKeywords, PairOptions

__all__ = ["ActiveBoundaryTerm", "active_boundary", "boundary_distance", "directions", "predicted_boundary"]


@dataclass(frozen=True, kw_only=True)
class ActiveBoundaryTerm(Term):
    """The cross entropy of the direction to move in, with smoothed labels, over the pixels with a weight."""

    spatial: tuple[int, ...]
    direction: Array
    """The index of the neighbor to move to, `(N, S)`."""
    pixel_weight: Array
    """The weight of each pixel, 0 except on the part of a predicted boundary that should move, `(N, S)`."""
    amount: Array
    """The number of pixels that should move."""
    smoothing: float
    reduction: Literal["mean", "sum"] = "mean"

    whole_images = True

    def count(self, block: Block) -> Sums:
        xp = block.xp
        divergences = xp.stack([self._divergence(block, neighbor) for neighbor in self._neighbors(block)], axis=1)
        losses = -xp.sum(self._smoothed_direction(block) * _log_softmax(divergences, block), axis=1)
        return (block.sum(losses * self.pixel_weight[block.image_slice, ...], axis=1),)

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, Array]:
        xp = batch.xp
        total = xp.sum(sums[0])
        scale = xp.ones_like(total) * factor
        if self.reduction == "mean":
            amount = xp.astype(self.amount, total.dtype, copy=False)
            scale = scale / xp.where(amount > 0, amount, xp.ones_like(amount))
        return total * scale, scale

    def pull(self, block: Block, state: Array) -> Array:
        xp = block.xp
        neighbors = self._neighbors(block)
        divergences = xp.stack([self._divergence(block, neighbor) for neighbor in neighbors], axis=1)
        slope = xp.exp(_log_softmax(divergences, block)) - self._smoothed_direction(block)
        weight = self.pixel_weight[block.image_slice, ...] * xp.astype(state, block.dtype, copy=False)
        slope = slope * weight[:, None, :]
        # The slopes of a pixel sum to 0, so its own probabilities cancel.
        result = xp.zeros_like(block.logits)
        for number, (probability, _) in enumerate(neighbors):
            result = result - slope[:, number : number + 1, :] * probability
        return block.where_valid(result)

    def _neighbors(self, block: Block) -> list[tuple[Array, Array]]:
        """Return the probabilities of the neighbor in each direction and their logarithms, without a gradient."""
        xp, stop_gradient = block.xp, block.backend.stop_gradient
        maps = [stop_gradient(block.probabilities), stop_gradient(block.finite_log_probabilities)]
        shape = (block.images, block.classes, *self.spatial)
        neighbors = []
        for offset in directions(self.spatial):
            shifted = [neighbors_at(xp.reshape(array, shape), offset, xp, fill=None) for array in maps]
            neighbors.append((xp.reshape(shifted[0], maps[0].shape), xp.reshape(shifted[1], maps[1].shape)))
        return neighbors

    def _divergence(self, block: Block, neighbor: tuple[Array, Array]) -> Array:
        """Return KL(neighbor, pixel), `(B, P)`."""
        probability, logarithm = neighbor
        return block.xp.sum(probability * (logarithm - block.finite_log_probabilities), axis=1)

    def _smoothed_direction(self, block: Block) -> Array:
        """Return the one-hot directions with label smoothing, `(B, directions, P)`."""
        xp = block.xp
        count = len(directions(self.spatial))
        numbers = xp.arange(count, dtype=self.direction.dtype, device=block.device)
        one_hot = xp.astype(self.direction[block.image_slice, ...][:, None, :] == numbers[None, :, None], block.dtype)
        return (1 - self.smoothing) * one_hot + self.smoothing / count


def _log_softmax(scores: Array, block: Block) -> Array:
    xp = block.xp
    scores = scores - block.backend.stop_gradient(xp.max(scores, axis=1, keepdims=True))
    return scores - xp.log(xp.sum(xp.exp(scores), axis=1, keepdims=True))


def directions(spatial: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the offsets to all neighbors, those along fewer axes first.

    A pixel has no neighbors along an axis of one element.
    """
    offsets = [offset for offset in product(*((-1, 0, 1) if length > 1 else (0,) for length in spatial)) if any(offset)]
    return sorted(offsets, key=lambda offset: sum(step != 0 for step in offset))


def boundary_distance(target: Array, valid: Array | None, backend: Backend) -> Array:
    """Return the distance to the boundary of the target minus one, at least 0, `(N, 1, *spatial)`.

    A pixel lies on the boundary if it differs from the next pixel along an axis and both are valid. `target` has shape
    `(N, C, *spatial)`.
    """
    xp = backend.xp
    boundary = xp.zeros((target.shape[0], 1, *target.shape[2:]), dtype=xp.bool, device=backend.device(target))
    axes = target.ndim - 2
    for axis in range(axes):
        offset = tuple(int(number == axis) for number in range(axes))
        differs = xp.any(target != neighbors_at(target, offset, xp, fill=None), axis=1, keepdims=True)
        boundary = boundary | (
            differs if valid is None else differs & valid & neighbors_at(valid, offset, xp, fill=None)
        )
    _, distance = boundary_distances(boundary, (1.0,) * axes, backend)
    return xp.where(distance > 1, distance - 1, xp.zeros_like(distance))


def predicted_boundary(block: Block, spatial: tuple[int, ...], share: float) -> Array:
    """Return the mask of the predicted boundary, boolean `(N, 1, *spatial)`.

    It holds the pixels that diverge most from the next pixels, at most a share of each image, and their neighbors.
    """
    xp = block.xp
    shape = (block.images, block.classes, *spatial)
    logarithm, probability = (xp.reshape(each, shape) for each in (block.finite_log_probabilities, block.probabilities))
    valid = None if block.valid is None else xp.reshape(block.valid, (block.images, 1, *spatial))
    divergence: Any = xp.zeros((block.images, 1, *spatial), dtype=block.dtype, device=block.device)
    for axis in range(len(spatial)):
        offset = tuple(int(number == axis) for number in range(len(spatial)))
        each = xp.sum(probability * (logarithm - neighbors_at(logarithm, offset, xp, fill=None)), axis=1, keepdims=True)
        if valid is not None:
            each = xp.where(valid & neighbors_at(valid, offset, xp, fill=None), each, xp.zeros_like(each))
        divergence = divergence + each
    flat = xp.reshape(divergence, (block.images, block.pixels))
    rank = min(int(share * block.pixels), block.pixels - 1)
    if block.pixels == 0:
        return divergence > 0
    level = xp.sort(flat, axis=1, descending=True)[:, rank : rank + 1]
    level = xp.where(level > 1e-5, level, xp.full_like(level, 1e-5))
    strong = xp.reshape(xp.astype(flat > level, xp.uint8), (block.images, 1, *spatial))
    grown, _ = dilate(strong, range(2, 2 + len(spatial)), xp)
    return (grown > 0) if valid is None else (grown > 0) & valid


@loss(PairOptions, without=(*WITHOUT_WEIGHTS, "activation"))
def active_boundary(
    input: Array,
    target: Array,
    *,
    field: Array | None = None,
    share: float = 0.01,
    label_smoothing: float = 0.2,
    max_distance: float = 20.0,
    **options: Unpack[PairKeywords],
) -> Plan:
    r"""Compute the active boundary loss: move predicted boundaries to the neighbor closest to the target boundary.

    .. math:: \ell = \frac{1}{|B|} \sum_{i \in B} \frac{\min(d_i, m)}{m}\,
       \mathrm{CE}_\epsilon\left(\mathrm{softmax}_k\, \mathrm{KL}(p_{i + k} \,\|\, p_i),\; \arg\min_k d_{i + k}\right)

    k runs over the directions to all neighbors (8 in 2D). d is the distance to the target boundary minus one. The
    predicted boundary consists of the pixels whose probabilities diverge most from the next pixels, and their
    neighbors. B is the part of the predicted boundary where a neighbor is closer to the target boundary.

    Parameters
    ----------
    input : array
        Logits of at least two classes, shape (N, C, \*spatial), floating.
    {target}
    field : array, optional
        Precomputed d, shape (N, \*spatial). By default it is computed here.
    share : float, default 0.01
        Largest share of the pixels of an image that the predicted boundary covers without its neighbors, from 0 to 1.
    label_smoothing : float, default 0.2
        Share of the target that is spread evenly over all directions, in [0, 1).
    max_distance : float, default 20.0
        m, the distance beyond which all pixels have the same weight, greater than 0.
    class_axis : int, default 1
        The axis of the classes; -1 for channels-last.
    ignore_index : int, optional
        Label to ignore. Its pixels are never part of a boundary and have no gradient. The label may lie outside the
        range of the classes.
    {mask}
    reduction : {"mean", "sum"}, default "mean"
        Return the mean over the pixels of B or their sum.

    Returns
    -------
    {returns_number}
        It is 0 if no boundary should move.

    Raises
    ------
    {raises}
        Also if all spatial axes have a length of 1.

    Notes
    -----
    As in the authors' code, only the logits of the pixel itself have a gradient. Its neighbors, the boundaries and the
    directions are constants. Their code differs in three ways. It selects the share from the whole batch by raising a
    threshold in steps. It treats ignored pixels as boundary. Its smoothed labels do not sum to 1. Add this loss to
    cross entropy and Lovasz-softmax.

    References
    ----------
    Wang et al., "Active boundary loss for semantic segmentation" (2022), https://arxiv.org/abs/2102.02696.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import active_boundary
    >>> target = np.zeros((1, 8, 12), dtype=int)
    >>> target[..., 6:] = 1
    >>> sides = np.where(np.arange(12) < np.array([[6], [2]]), 1.0, -1.0)
    >>> near, far = (np.broadcast_to(np.stack([row, -row])[None, :, None], (1, 2, 8, 12)) for row in sides)
    >>> near, far = (float(active_boundary(logits, target, share=0.2)) for logits in (near, far))
    >>> near, round(far, 4)
    (0.0, 0.3125)
    """
    check_static("share", share)
    share = check_number("share", share, 0, 1)
    label_smoothing = check_number("label_smoothing", label_smoothing, 0, 1, below=True)
    max_distance = check_number("max_distance", max_distance, 0, above=True)
    shared = PairOptions(activation="softmax", **options)
    layout, batch = prepare(input, target, shared, binary=False)
    batch = batch.with_unknown_targets()
    backend, spatial = batch.backend, layout.rows_shape[1:]
    xp = backend.xp
    if not directions(spatial):
        msg = f"active_boundary needs at least one spatial axis longer than 1; got shape {spatial}."
        raise ValueError(msg)
    block = whole_block(replace(batch, logits=backend.stop_gradient(batch.logits)))
    plane = (block.images, 1, *spatial)
    valid = None if block.valid is None else xp.reshape(block.valid, plane)
    if field is None:
        labels = block.ids[:, None, :] if batch.has_ids else block.target
        distance = boundary_distance(xp.reshape(labels, (*labels.shape[:2], *spatial)), valid, backend)
    else:
        common_backend(input=input, field=field)
        if tuple(field.shape) != layout.rows_shape:
            msg = f"`field` must have the shape (N, *spatial) = {layout.rows_shape}; got {tuple(field.shape)}."
            raise ValueError(msg)
        distance = xp.reshape(field, plane)
    distance = backend.stop_gradient(xp.astype(distance, batch.compute_dtype, copy=False))
    # At the edge a pixel replaces its missing neighbor. The pixel itself comes last, so ties go to the neighbors.
    outside = distance if valid is None else xp.where(valid, distance, xp.full_like(distance, float("inf")))
    around = [neighbors_at(outside, offset, xp, fill=None) for offset in directions(spatial)]
    choice = xp.argmin(xp.concat([*around, outside], axis=1), axis=1, keepdims=True)
    moving = predicted_boundary(block, spatial, share) & (choice < len(around))
    nearness = xp.where(distance < max_distance, distance / max_distance, xp.ones_like(distance))
    unknown = xp.where(xp.isnan(outside), outside, xp.zeros_like(outside))  # keeps NaN of the field
    weight = xp.where(moving, nearness, xp.zeros_like(nearness)) + unknown
    term = ActiveBoundaryTerm(
        spatial=spatial,
        direction=xp.reshape(choice, (block.images, block.pixels)),
        pixel_weight=xp.reshape(weight, (block.images, block.pixels)),
        amount=xp.sum(xp.astype(moving, block.dtype)),
        smoothing=label_smoothing,
        reduction=shared.reduction,
    )
    return Sweep(input, layout, batch, [term], [1.0])
