"""Active boundary loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from arrayseg._checks import check_choice, check_number, check_static
from arrayseg._typing import Array
from arrayseg.backends import common_backend
from arrayseg.backends.base import Evaluation
from arrayseg.engine.sweep import Sweep
from arrayseg.kernels.active_boundary import (
    ActiveBoundaryTerm,
    boundary_distance,
    directions,
    predicted_boundary,
    shifted,
)
from arrayseg.losses._affinity import pair_evaluation
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import prepare

__all__ = ["active_boundary"]


@loss(pair_evaluation)
def active_boundary(
    input: Array,
    target: Array,
    *,
    field: Array | None = None,
    share: float = 0.01,
    label_smoothing: float = 0.2,
    max_distance: float = 20.0,
    class_axis: int = 1,
    ignore_index: int | None = None,
    mask: Array | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> Evaluation:
    r"""Active boundary loss: predicted boundaries move to the neighbour that is nearest to the target's boundary.

    .. math:: \ell = \frac{1}{|B|} \sum_{i \in B} \frac{\min(d_i, m)}{m}\,
       \mathrm{CE}_\epsilon\left(\mathrm{softmax}_k\, \mathrm{KL}(p_{i + k} \,\|\, p_i),\; \arg\min_k d_{i + k}\right)

    with k the directions to all neighbours (8 in the plane), d the distance to the target's boundary less one, and B
    the pixels of the predicted boundary of which a neighbour is nearer to the target's. The predicted boundary are the
    pixels whose probabilities diverge most from the next ones, and their neighbours.

    Parameters
    ----------
    input : array
        Logits of two classes or more, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape.
    field : array, optional
        d, shape (N, \*spatial), as a data loader may make it; made here if not given.
    share : float, default 0.01
        At most this share of each image's pixels are the predicted boundary, before their neighbours join; from 0 to 1.
    label_smoothing : float, default 0.2
        How much of the target is spread over all directions, in [0, 1).
    max_distance : float, default 20.0
        m, the distance from which on pixels weigh alike, more than 0.
    class_axis : int, default 1
        The axis of the classes; -1 for channels-last.
    ignore_index : int, optional
        An id, of a class or not, whose pixels are no boundary, with zero gradient.
    mask : array of bool, optional
        Shape (N, \*spatial), true where a pixel counts.
    reduction : {"mean", "sum"}, default "mean"
        The mean over the pixels of B, or the sum.

    Returns
    -------
    array
        The loss, a number of the input's dtype, at least float32; 0 where there is no boundary to move.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit; if pixels have no neighbours.

    Notes
    -----
    The gradient is in the pixel's own logits: those of its neighbours, the boundaries and the directions are constants
    of the derivative, as in the authors' code. That code takes the share of the whole batch by raising a threshold in
    steps, makes ignored pixels boundary, and smooths to 1 - e + e/8 less than this one, whose shares add to 1. Meant
    to be added to cross entropy and Lovasz-softmax.

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
    check_choice("reduction", reduction, ("mean", "sum"))
    check_static("share", share)
    share = check_number("share", share, 0, 1)
    label_smoothing = check_number("label_smoothing", label_smoothing, 0, 1, below=True)
    max_distance = check_number("max_distance", max_distance, 0, above=True)
    layout, pixels = prepare(
        input, target, activation="softmax", class_axis=class_axis, ignore_index=ignore_index, mask=mask
    )
    pixels = pixels.with_unknown_targets()
    backend, spatial = pixels.backend, layout.rows_shape[1:]
    xp = backend.xp
    if not directions(spatial):
        msg = f"active_boundary is of neighbours, of which images of shape {spatial} have none."
        raise ValueError(msg)
    block = replace(pixels, scores=backend.stop_gradient(pixels.scores)).whole()
    plane = (block.images, 1, *spatial)
    valid = None if block.valid is None else xp.reshape(block.valid, plane)
    if field is None:
        labels = block.ids[:, None, :] if pixels.has_ids else block.target
        distance = boundary_distance(xp.reshape(labels, (*labels.shape[:2], *spatial)), valid, backend)
    else:
        common_backend(input=input, field=field)
        if tuple(field.shape) != layout.rows_shape:
            msg = f"`field` must have the shape (N, *spatial) = {layout.rows_shape}; got {tuple(field.shape)}."
            raise ValueError(msg)
        distance = xp.reshape(field, plane)
    distance = backend.stop_gradient(xp.astype(distance, pixels.compute_dtype, copy=False))
    # Beyond the edge a pixel stands for its neighbour, and ties go to the neighbours: the pixel itself comes last.
    outside = distance if valid is None else xp.where(valid, distance, xp.full_like(distance, float("inf")))
    around = [shifted(outside, offset, xp) for offset in directions(spatial)]
    choice = xp.argmin(xp.concat([*around, outside], axis=1), axis=1, keepdims=True)
    moving = predicted_boundary(block, spatial, share) & (choice < len(around))
    nearness = xp.where(distance < max_distance, distance / max_distance, xp.ones_like(distance))
    unknown = xp.where(xp.isnan(outside), outside, xp.zeros_like(outside))  # NaN in the field is not lost
    weight = xp.where(moving, nearness, xp.zeros_like(nearness)) + unknown
    term = ActiveBoundaryTerm(
        spatial=spatial,
        direction=xp.reshape(choice, (block.images, block.count)),
        pixel_weight=xp.reshape(weight, (block.images, block.count)),
        amount=xp.sum(xp.astype(moving, block.dtype)),
        smoothing=label_smoothing,
        reduction=reduction,
    )
    return Sweep(input, layout, pixels, [term], [1.0])
