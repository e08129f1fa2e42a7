"""Convert arrays and options from the forms that peers accept."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from arrayseg._typing import Array
from arrayseg.backends import backend_of

__all__ = ["channels", "class_ids", "is_number", "without_channel"]


def without_channel(input: Array, target: Array) -> Array:
    """Return class ids without the channel of length one that some peers require; leave other targets alone."""
    return target[:, 0, ...] if target.ndim == input.ndim and target.shape[1] == 1 else target


def channels(input: Array, options: Mapping[str, Any] = {}) -> int:
    """Return the number of channels of the input, whose axis an option may name."""
    axis = options.get("class_axis", 1)
    return 1 if axis is None else int(input.shape[axis])


def class_ids(input: Array, target: Array) -> Array:
    """Return class ids as integers without a channel; the peer accepts any dtype, with or without a channel."""
    backend = backend_of(target, "target")
    ids = without_channel(input, target)
    if ids.ndim == input.ndim or backend.xp.isdtype(ids.dtype, ("integral", "bool")):
        return ids
    whole = backend.xp.astype(ids, backend.count_dtype(ids))
    if backend.is_concrete(ids) and bool(backend.xp.any(backend.xp.astype(whole, ids.dtype) != ids)):
        msg = (
            f"`target` must hold class ids, whole numbers, of any dtype; got {ids.dtype} values with fractions. "
            "Round the ids if they were resampled, or give a value for every class."
        )
        raise ValueError(msg)
    return whole


def is_number(value: object) -> bool:
    """Return whether an option is one number instead of one for each class."""
    return isinstance(value, Real) or getattr(value, "ndim", None) == 0
