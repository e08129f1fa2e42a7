"""The mean of a loss over several resolutions of the same logits."""

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
    r"""Make a loss that is the weighted sum of one loss over several resolutions of the same logits.

    .. math:: \ell = \sum_k w_k\, \ell(A_{s_k} z, y_{s_k})

    A_s averages the logits over boxes of s pixels a side, and y_s is the target, resized by nearest neighbors.

    Parameters
    ----------
    loss : callable
        A loss of `arrayseg.losses`, a `functools.partial` of one, or a compound, with a scalar result.
    scales : sequence of int, default (1, 2, 4)
        The side length of the boxes in pixels, for each resolution. 1 is the input itself. A box at the edge averages
        the pixels inside the image.
    weights : sequence of float, optional
        The weight w of each scale, of the same kind as a weight of `compound`. The default weights are equal and add up
        to 1.

    Returns
    -------
    callable
        The loss, ``(input, target, **options) -> array``, with the options of `loss`. `arrayseg.value_and_grad` accepts
        it like any other loss. The `repr` is the call that made the loss. Losses made with equal arguments are equal,
        and they pickle if `loss` does.

    Raises
    ------
    TypeError
        If a scale is not a whole number, or a weight is not a number or is a tensor that requires a gradient.
    ValueError
        If a scale is less than 1, or the numbers of scales and weights differ. On the call, if ``reduction="none"``
        gives losses of different shapes.

    See Also
    --------
    deep_supervision : Sum a loss over outputs of several layers, which have different resolutions.

    Notes
    -----
    PaddleSeg resizes the logits by bilinear interpolation instead.

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
    sizes = tuple(check_index("scales", scale) for scale in check_numbers("scales", scales, 1))
    numbers = None if weights is None else check_numbers("weights", weights)
    if numbers is not None and len(numbers) != len(sizes):
        msg = f"There must be one weight for each of the {len(sizes)} scales; got {len(numbers)} weights."
        raise ValueError(msg)
    return MultiScale(loss, sizes, numbers)


@dataclass(frozen=True, eq=False, repr=False)
class MultiScale(Composed):
    """A weighted sum of one loss over averages of the logits: `(input, target, **options) -> array`."""

    loss: Callable[..., Array]
    scales: tuple[int, ...] = (1, 2, 4)
    weights: tuple[float, ...] | None = None
    of_levels: DeepSupervision = field(init=False)
    """The weighted sum of the loss over a list of logits."""

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
        """Return the value and the gradient with respect to the input."""
        pyramid, axes = self._pyramid(input, options)
        value, gradients = self.of_levels.value_and_grad(pyramid, target, **options)
        parts = [_pull_back(part, scale, axes, input) for part, scale in zip(gradients, self.scales, strict=True)]
        return value, backend_of(input).xp.astype(sum(parts[1:], start=parts[0]), input.dtype, copy=False)

    def _pyramid(self, input: Array, options: dict[str, Any]) -> tuple[list[Array], list[int]]:
        """Return the averaged logits of each scale and the spatial axes. Half precision becomes float32."""
        layout = layout_of(input, options.get("class_axis", self.of_levels.class_axis), backend_of(input))
        axes = [axis for axis in range(1, input.ndim) if axis != layout.class_axis]
        xp = backend_of(input).xp
        array = xp.astype(input, xp.float32) if input.dtype in half_dtypes(xp) else input
        return [_averaged(array, scale, axes) for scale in self.scales], axes


def _averaged(array: Array, scale: int, axes: Sequence[int]) -> Array:
    """Return the averages over boxes. A box at the edge averages the elements inside the array."""
    backend = backend_of(array)
    xp = backend.xp
    if scale == 1:
        return array
    for axis in axes:
        shape = array.shape
        boxes = ceil(shape[axis] / scale)
        padding = xp.zeros(
            (*shape[:axis], boxes * scale - shape[axis], *shape[axis + 1 :]),
            dtype=array.dtype,
            device=backend.device(array),
        )
        boxed = xp.reshape(xp.concat([array, padding], axis=axis), (*shape[:axis], boxes, scale, *shape[axis + 1 :]))
        array = xp.sum(boxed, axis=axis + 1, dtype=array.dtype) * _inverse_sizes(array, shape[axis], scale, axis)
    return array


def _pull_back(gradient: Array, scale: int, axes: Sequence[int], input: Array) -> Array:
    """Return the gradient with respect to the input, given the gradient with respect to its averages."""
    xp = backend_of(input).xp
    if scale == 1:
        return gradient
    for axis in axes:
        length = input.shape[axis]
        padded = xp.repeat(gradient * _inverse_sizes(gradient, length, scale, axis), scale, axis=axis)
        gradient = padded[(*[slice(None)] * axis, slice(0, length), ...)]
    return gradient


def _inverse_sizes(like: Array, length: int, scale: int, axis: int) -> Array:
    """Return 1 / size for each box along an axis, in a shape that broadcasts against an array of boxes."""
    boxes = ceil(length / scale)
    sizes = [min(scale, length - scale * box) for box in range(boxes)]
    inverse = backend_of(like).asarray([1 / size for size in sizes], dtype=like.dtype, like=like)
    return inverse[(*[None] * axis, slice(None), *[None] * (like.ndim - axis - 1))]
