"""A loss of the same logits at several resolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from arrayseg._checks import check_index, check_numbers
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.losses._composed import Composed
from arrayseg.losses._compound import DeepSupervision
from arrayseg.losses._inputs import half_dtypes, layout_of

__all__ = ["multi_scale"]


@raises_here
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
        One for each scale; equal ones that add up to 1 if not given. As those of `compound`.

    Returns
    -------
    callable
        ``(input, target, **options) -> array``, with the options of `loss`; `arrayseg.value_and_grad` takes it. It
        prints as the call that made it, compares by its arguments, and pickles.

    Raises
    ------
    TypeError
        If a scale is not a whole number, or a weight not a number, or a tensor that requires a gradient.
    ValueError
        If a scale is less than 1, or there is not one weight for each; on the call, if maps of several resolutions
        would be added, with ``reduction="none"``.

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
    sides = tuple(check_index("scales", scale) for scale in check_numbers("scales", scales, 1))
    shares = None if weights is None else check_numbers("weights", weights)
    if shares is not None and len(shares) != len(sides):
        msg = f"There must be one weight for each of the {len(sides)} scales; got {len(shares)}."
        raise ValueError(msg)
    return MultiScale(loss, sides, shares)


@dataclass(frozen=True, eq=False, repr=False)
class MultiScale(Composed):
    """The weighted mean of a loss over averages of one input: `(input, target, **options) -> array`."""

    loss: Callable[..., Array]
    scales: tuple[int, ...] = (1, 2, 4)
    weights: tuple[float, ...] | None = None
    of_levels: DeepSupervision = field(init=False)
    """The weighted sum over the averages."""

    made_by = "multi_scale"

    def __post_init__(self) -> None:
        weights = (1 / len(self.scales),) * len(self.scales) if self.weights is None else self.weights
        object.__setattr__(self, "of_levels", DeepSupervision(self.loss, weights))

    @raises_here
    def __call__(self, input: Array, target: Array, **options: Any) -> Array:
        pyramid, _ = self._pyramid(input, options)
        return self.of_levels(pyramid, target, **options)

    @raises_here
    def value_and_grad(self, input: Array, target: Array, **options: Any) -> tuple[Array, Array]:
        """Return the value and the gradient in the input."""
        pyramid, axes = self._pyramid(input, options)
        value, gradients = self.of_levels.value_and_grad(pyramid, target, **options)
        parts = [_spread(part, scale, axes, input) for part, scale in zip(gradients, self.scales, strict=True)]
        return value, backend_of(input).xp.astype(sum(parts[1:], start=parts[0]), input.dtype, copy=False)

    def _pyramid(self, input: Array, options: dict[str, Any]) -> tuple[list[Array], list[int]]:
        """Return the averages, of half precision in float32, and the spatial axes."""
        layout = layout_of(input, options.get("class_axis", self.of_levels.class_axis), backend_of(input))
        axes = [axis for axis in range(1, input.ndim) if axis != layout.class_axis]
        xp = backend_of(input).xp
        array = xp.astype(input, xp.float32) if input.dtype in half_dtypes(xp) else input
        return [_averaged(array, scale, axes) for scale in self.scales], axes


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
