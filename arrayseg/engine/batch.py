"""The validated arrays of a call, and the way between the caller's shape and `(N, C, S)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from arrayseg._typing import Activation, Array, DType, Namespace
from arrayseg.backends import Backend
from arrayseg.backends.axes import move_axis

__all__ = ["Batch", "Layout"]


@dataclass(frozen=True)
class Layout:
    """The shape of an input and the position of its class axis."""

    shape: tuple[int, ...]
    class_axis: int | None
    """None for one binary channel without a class axis."""
    classes: int = field(init=False, repr=False, compare=False)
    """The number of classes, C."""
    rows_shape: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """`(N, *spatial)`."""
    is_canonical: bool = field(init=False, repr=False, compare=False)
    """Whether the classes come before the pixels, as they do in `(N, C, S)`."""

    def __post_init__(self) -> None:
        """Derive the other fields once: a call asks for them a dozen times."""
        axis, shape = self.class_axis, self.shape
        derived = object.__setattr__
        derived(self, "classes", 1 if axis is None else shape[axis])
        derived(self, "rows_shape", shape if axis is None else (*shape[:axis], *shape[axis + 1 :]))
        derived(self, "is_canonical", axis is None or axis == 1)

    def canonical(self, array: Array, xp: Namespace) -> Array:
        """Return an array of the input's shape as `(N, C, S)`, a view if the strides allow one."""
        images, pixels = self.shape[0], prod(self.rows_shape[1:])
        if self.class_axis is None or self.class_axis == 1:
            return xp.reshape(array, (images, self.classes, pixels))
        last = xp.reshape(move_axis(array, self.class_axis, -1, xp), (images, pixels, self.classes))
        return xp.permute_dims(last, (0, 2, 1))

    def rows(self, array: Array, xp: Namespace) -> Array:
        """Return an array `(N, *spatial)` as `(N, S)`."""
        return xp.reshape(array, (self.shape[0], prod(self.rows_shape[1:])))

    def restore_rows(self, rows: Array, xp: Namespace) -> Array:
        """Return an array `(N, S)` as `(N, *spatial)`."""
        return xp.reshape(rows, self.rows_shape)

    def empty(self, xp: Namespace, dtype: DType, device: Any) -> tuple[Array, Array]:
        """Return a new array of the input's shape, and a view `(N, C, S)` to write it through."""
        images, *spatial = self.rows_shape
        pixels = prod(spatial)
        if self.class_axis is None or self.class_axis == 1:
            view = xp.empty((images, self.classes, pixels), dtype=dtype, device=device)
            return xp.reshape(view, self.shape), view
        last = xp.empty((images, pixels, self.classes), dtype=dtype, device=device)
        whole = move_axis(xp.reshape(last, (images, *spatial, self.classes)), -1, self.class_axis, xp)
        return whole, xp.permute_dims(last, (0, 2, 1))


@dataclass(frozen=True)
class Batch:
    """The checked arrays of a call, and what they mean.

    The logits are `(N, C, S)`, a view of the caller's input if its strides allow one. They are probabilities, or their
    logarithms, if there is no activation. The target holds ids `(N, S)` or values `(N, C, S)`. The other arrays are
    `(N, S)`, except `class_weights`, `(C,)`.
    """

    backend: Backend
    logits: Array
    target: Array
    activation: Activation
    binary: bool
    """Whether the classes are independent of each other (sigmoid), not exclusive (softmax)."""
    log_input: bool = False
    """Whether an input without activation holds log-probabilities."""
    classes_last: bool = False
    """Whether the class axis of the input comes after a spatial axis."""
    ignore_index: int | None = None
    mask: Array | None = None
    pixel_weights: Array | None = None
    class_weights: Array | None = None

    xp: Namespace = field(init=False, repr=False, compare=False)
    device: Any = field(init=False, repr=False, compare=False)
    shape: tuple[int, int, int] = field(init=False, repr=False, compare=False)
    """N, C, S."""
    has_ids: bool = field(init=False, repr=False, compare=False)
    """Whether the target holds ids."""
    compute_dtype: DType = field(init=False, repr=False, compare=False)
    """The dtype of the arithmetic and of the loss: the input's, but float32 for half precision."""

    sum_dtype: DType = field(init=False, repr=False, compare=False)
    """The dtype of sums over pixels, the widest of the device."""

    def __post_init__(self) -> None:
        """Derive the other fields once: a call asks for them dozens of times."""
        xp, dtype = self.backend.xp, self.logits.dtype
        derived = object.__setattr__
        derived(self, "xp", xp)
        derived(self, "device", self.backend.device(self.logits))
        derived(self, "shape", tuple(self.logits.shape))
        derived(self, "has_ids", self.target.ndim == 2)
        derived(self, "sum_dtype", self.backend.sum_dtype(self.logits))
        derived(self, "compute_dtype", dtype if dtype in (xp.float32, xp.float64) else xp.float32)

    @property
    def constants(self) -> list[Array]:
        """The arrays of the batch other than the logits."""
        arrays = (self.target, self.mask, self.pixel_weights, self.class_weights)
        return [array for array in arrays if array is not None]

    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> Batch:
        """Return the same batch as arrays of another library, each converted by a function."""
        arrays = {
            name: convert(array)
            for name in ("logits", "target", "mask", "pixel_weights", "class_weights")
            if (array := getattr(self, name)) is not None
        }
        return replace(self, backend=backend, **arrays)

    def with_unknown_targets(self) -> Batch:
        """Return the batch with a logit of NaN where the target is NaN, for losses that only compare targets."""
        xp, target = self.xp, self.target
        if xp.isdtype(target.dtype, ("bool", "integral")):
            return self
        unknown = xp.where(xp.isnan(target), target, xp.zeros_like(target))
        return replace(self, logits=self.logits + xp.astype(unknown, self.logits.dtype))

    def part(self, images: slice, pixels: slice) -> Batch:
        """Return the batch of some images and pixels, as views."""
        row = (images, pixels)
        cube = (images, slice(None), pixels)
        return replace(
            self,
            logits=self.logits[cube],
            target=self.target[row] if self.has_ids else self.target[cube],
            mask=None if self.mask is None else self.mask[row],
            pixel_weights=None if self.pixel_weights is None else self.pixel_weights[row],
        )
