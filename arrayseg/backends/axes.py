"""Orders, slices, windows and shifts of axes."""

from __future__ import annotations

from arrayseg._typing import Array, Namespace

__all__ = ["move_axis", "neighbors", "shift", "slice_axis", "window"]


def move_axis(array: Array, source: int, destination: int, xp: Namespace) -> Array:
    """Return a view with one axis moved, the others in order.

    It is a permutation because torch.func.vmap has no rule for `moveaxis`.
    """
    source, destination = source % array.ndim, destination % array.ndim
    order = [axis for axis in range(array.ndim) if axis != source]
    order.insert(destination, source)
    return xp.permute_dims(array, tuple(order))


def slice_axis(array: Array, axis: int, start: int, stop: int) -> Array:
    """Return a view of the elements from `start` up to `stop` along an axis, which is counted from the first."""
    return array[(slice(None),) * axis + (slice(start, stop), ...)]


def shift(array: Array, axis: int, step: int, xp: Namespace, *, fill: float | None = 0) -> Array:
    """Return the array moved by `step` along an axis; new elements are `fill`, or with None the element at the edge."""
    length = array.shape[axis]
    return window(array, axis, -max(-length, min(step, length)), length, xp, fill=fill)


def neighbors(array: Array, axis: int, step: int, xp: Namespace, *, fill: float | None = 0) -> tuple[Array, Array]:
    """Return for each element the one `step` before it and the one `step` after it along an axis.

    Beyond the edge these are `fill`, or with None the element at the edge. Both are views of one padded array: they
    take one copy where two shifts take two.
    """
    length = array.shape[axis]
    step = min(step, length)  # what lies farther away is beyond the edge as well
    wide = window(array, axis, -step, length + 2 * step, xp, fill=fill)
    return slice_axis(wide, axis, 0, length), slice_axis(wide, axis, 2 * step, length + 2 * step)


def window(array: Array, axis: int, start: int, length: int, xp: Namespace, *, fill: float | None = 0) -> Array:
    """Return `length` elements along an axis, from `start` on; the window reaches or touches the array.

    Elements outside the array are `fill`, or with None equal to the element at the edge.
    """
    size, stop = array.shape[axis], start + length

    def layers(edge: int, count: int) -> Array:
        layer = slice_axis(array, axis, edge, edge + 1)
        if fill is not None:
            # From the array itself, so that the layers are on its device under every compiler.
            layer = xp.full_like(layer, fill)
        return layer if count == 1 else xp.broadcast_to(layer, (*array.shape[:axis], count, *array.shape[axis + 1 :]))

    parts = [slice_axis(array, axis, max(start, 0), min(stop, size))]
    if start < 0:
        parts.insert(0, layers(0, -start))
    if stop > size:
        parts.append(layers(size - 1, stop - size))
    return xp.concat(parts, axis=axis) if len(parts) > 1 else parts[0]
