"""Orders of axes."""

from __future__ import annotations

from arrayseg._typing import Array, Namespace

__all__ = ["move_axis"]


def move_axis(array: Array, source: int, destination: int, xp: Namespace) -> Array:
    """Return a view with an axis at another place, the others in order.

    By a permutation: torch.func.vmap has no rule for `moveaxis`.
    """
    source, destination = source % array.ndim, destination % array.ndim
    order = [axis for axis in range(array.ndim) if axis != source]
    order.insert(destination, source)
    return xp.permute_dims(array, tuple(order))
