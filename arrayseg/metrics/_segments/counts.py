"""What panoptic and instance metrics count: matched and unmatched segments, and the scores of the matched ones."""

from __future__ import annotations

from typing import Any, NamedTuple

from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of, common_backend

__all__ = ["SegmentCounts", "check_segment_maps", "put"]


class SegmentCounts(NamedTuple):
    """Matched and unmatched segments, of each class or at each threshold; they add with `arrayseg.metrics.add`.

    Parameters
    ----------
    score_sum
        Floating array, the sum of the scores (IoU) of the matched segments.
    true_positives
        Integers of its shape, the matched segments.
    false_positives
        Segments of the prediction without a match.
    false_negatives
        Segments of the target without a match.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.SegmentCounts(np.asarray(1.5), np.asarray(2), np.asarray(1), np.asarray(0))
    >>> metrics.add(counts, counts).true_positives
    np.int64(4)
    """

    score_sum: Array
    true_positives: Array
    false_positives: Array
    false_negatives: Array


def check_segment_maps(**maps: Any) -> Backend:
    """The adapter of label maps of one image, which must share library, device and shape."""
    backend = common_backend(**maps)
    given = {name: array for name, array in maps.items() if array is not None}
    first_name, first = next(iter(given.items()))
    for name, array in given.items():
        if not backend.xp.isdtype(array.dtype, ("integral", "bool")):
            msg = f"`{name}` must hold labels of an integer or boolean dtype; got {array.dtype}. Cast it."
            raise TypeError(msg)
        if tuple(array.shape) != tuple(first.shape):
            msg = (
                f"`{name}` has shape {tuple(array.shape)} and `{first_name}` has {tuple(first.shape)}; "
                "they must be maps of one image and equal in shape."
            )
            raise ValueError(msg)
    return backend


def put(backend: Backend, values: Any, like: Array) -> Array:
    """Return host counts as an array on the device of `like`: int64, uint64, or the widest floating dtype."""
    table = backend_of(values)
    with backend.enable_64_bits():
        if values.dtype == table.xp.uint64:
            dtype = backend.xp.uint64  # labels above 2^63
        elif table.xp.isdtype(values.dtype, "real floating"):
            dtype = backend.sum_dtype(like)
        else:
            dtype = backend.count_dtype(like)
        return backend.asarray(values, dtype=dtype, like=like)
