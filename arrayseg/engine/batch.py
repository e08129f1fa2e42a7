"""Between the caller's shape and the canonical one: any number of spatial axes, the class axis anywhere or nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from arrayseg._typing import Array, DType
from arrayseg.backends.axes import move_axis

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """The shape of an input and the place of its class axis (None: one binary channel, no axis)."""

    shape: tuple[int, ...]
    class_axis: int | None

    @property
    def classes(self) -> int:
        return 1 if self.class_axis is None else self.shape[self.class_axis]

    @property
    def is_canonical(self) -> bool:
        """Whether the classes come before the pixels in memory, as they do in `(N, C, S)`."""
        return self.class_axis is None or self.class_axis == 1

    @property
    def rows_shape(self) -> tuple[int, ...]:
        """(N, *spatial)."""
        return tuple(length for axis, length in enumerate(self.shape) if axis != self.class_axis)

    def scores(self, array: Array, xp: Any) -> Array:
        """`(N, C, S)` of an array of the input's shape; a view wherever the strides allow one."""
        images, pixels = self.shape[0], prod(self.rows_shape[1:])
        if self.class_axis is None or self.class_axis == 1:
            return xp.reshape(array, (images, self.classes, pixels))
        last = xp.reshape(move_axis(array, self.class_axis, -1, xp), (images, pixels, self.classes))
        return xp.permute_dims(last, (0, 2, 1))

    def rows(self, array: Array, xp: Any) -> Array:
        """`(N, S)` of an array `(N, *spatial)`."""
        return xp.reshape(array, (self.shape[0], prod(self.rows_shape[1:])))

    def restore_rows(self, rows: Array, xp: Any) -> Array:
        """`(N, *spatial)` of an array `(N, S)`."""
        return xp.reshape(rows, self.rows_shape)

    def empty(self, xp: Any, dtype: DType, device: Any) -> tuple[Array, Array]:
        """A new array of the input's shape, and the canonical view to write it through."""
        images, *spatial = self.rows_shape
        pixels = prod(spatial)
        if self.class_axis is None or self.class_axis == 1:
            scores = xp.empty((images, self.classes, pixels), dtype=dtype, device=device)
            return xp.reshape(scores, self.shape), scores
        last = xp.empty((images, pixels, self.classes), dtype=dtype, device=device)
        whole = move_axis(xp.reshape(last, (images, *spatial, self.classes)), -1, self.class_axis, xp)
        return whole, xp.permute_dims(last, (0, 2, 1))
