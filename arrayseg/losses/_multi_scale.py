"""A loss of the same logits at several resolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.losses._compound import deep_supervision
from arrayseg.losses._evaluate import value_and_grad
from arrayseg.losses._prepare import layout_of

__all__ = ["multi_scale"]


def multi_scale(
    loss: Callable[..., Array], /, scales: Sequence[int] = (1, 2, 4), weights: Sequence[float] | None = None
) -> Callable[..., Array]:
    r"""The weighted mean of a loss over resolutions of the same logits, made by averaging.

    .. math:: \ell = \sum_k w_k\, \ell(A_{s_k} z, y_{s_k})

    with A the average over boxes of s pixels a side and y the target resized by nearest neighbours.

    Parameters
    ----------
    loss : callable
        A loss of `arrayseg.losses`, a `functools.partial` of one or a compound, with a scalar result.
    scales : sequence of int, default (1, 2, 4)
        The sides of the boxes in pixels; 1 is the input as it is. A box that the edge cuts averages what is inside.
    weights : sequence of float, optional
        One for each scale; equal ones that add up to 1 if not given.

    Returns
    -------
    callable
        ``(input, target, **options) -> array``, with the options of `loss`; `arrayseg.value_and_grad` takes it.

    Raises
    ------
    ValueError
        If a scale is less than 1, or there is not one weight for each.

    Notes
    -----
    It differs from `deep_supervision`, whose inputs are the outputs of several layers. PaddleSeg builds the pyramid by
    bilinear interpolation.

    References
    ----------
    Eigen and Fergus, "Predicting depth, surface normals and semantic labels with a common multi-scale convolutional
    architecture" (2015), https://arxiv.org/abs/1411.4734.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayseg
    >>> from arrayseg.losses import dice, multi_scale
    >>> logits, ids = np.zeros((1, 2, 4, 6)), np.eye(4, 6, dtype=np.int64)[None]
    >>> value, gradient = arrayseg.value_and_grad(multi_scale(dice, (1, 2)))(logits, ids)
    >>> round(float(value), 4), gradient.shape
    (0.5384, (1, 2, 4, 6))
    """
    if any(scale < 1 for scale in scales) or not scales:
        msg = f"`scales` must be whole numbers of at least 1, at least one; got {list(scales)}."
        raise ValueError(msg)
    if weights is not None and len(weights) != len(scales):
        msg = f"There must be one weight for each of the {len(scales)} scales; got {len(weights)}."
        raise ValueError(msg)
    shares = [1 / len(scales)] * len(scales) if weights is None else list(weights)
    supervised = deep_supervision(loss, shares)

    def scaled(input: Array, target: Array, **options: Any) -> Array:
        axes = _spatial_axes(input, options.get("class_axis", 1))
        return supervised([_averaged(input, scale, axes) for scale in scales], target, **options)

    def scaled_value_and_grad(input: Array, target: Array, **options: Any) -> tuple[Array, Array]:
        axes = _spatial_axes(input, options.get("class_axis", 1))
        pyramid = [_averaged(input, scale, axes) for scale in scales]
        value, gradients = value_and_grad(supervised)(pyramid, target, **options)
        parts = [_spread(part, scale, axes, input) for part, scale in zip(gradients, scales, strict=True)]
        return value, sum(parts[1:], start=parts[0])

    scaled.value_and_grad = scaled_value_and_grad  # type: ignore[attr-defined]
    return scaled


def _spatial_axes(input: Array, class_axis: int | None) -> list[int]:
    layout = layout_of(input, class_axis)
    return [axis for axis in range(1, input.ndim) if axis != layout.class_axis]


def _averaged(array: Array, scale: int, axes: Sequence[int]) -> Array:
    """The averages over boxes; those at the edge are of what is inside."""
    backend = backend_of(array)
    xp = backend.xp
    if scale == 1:
        return array
    for axis in axes:
        shape = array.shape
        boxes = ceil(shape[axis] / scale)
        rest = xp.zeros(
            (*shape[:axis], boxes * scale - shape[axis], *shape[axis + 1 :]),
            dtype=array.dtype,
            device=backend.device(array),
        )
        boxed = xp.reshape(xp.concat([array, rest], axis=axis), (*shape[:axis], boxes, scale, *shape[axis + 1 :]))
        array = xp.sum(boxed, axis=axis + 1, dtype=array.dtype) * _share(array, shape[axis], scale, axis)
    return array


def _spread(gradient: Array, scale: int, axes: Sequence[int], input: Array) -> Array:
    """The pull-back of the averages: each pixel has its share of the gradient of its box."""
    xp = backend_of(input).xp
    if scale == 1:
        return gradient
    for axis in axes:
        length = input.shape[axis]
        whole = xp.repeat(gradient * _share(gradient, length, scale, axis), scale, axis=axis)
        gradient = whole[(*[slice(None)] * axis, slice(0, length), ...)]
    return gradient


def _share(like: Array, length: int, scale: int, axis: int) -> Array:
    """1 over the pixels of each box along an axis, to be multiplied with an array of boxes."""
    boxes = ceil(length / scale)
    sizes = [min(scale, length - scale * box) for box in range(boxes)]
    shares = backend_of(like).asarray([1 / size for size in sizes], dtype=like.dtype, like=like)
    return shares[(*[None] * axis, slice(None), *[None] * (like.ndim - axis - 1))]
