"""Restore the spatial axes of label maps, for metrics of neighborhoods and distances."""

from __future__ import annotations

from typing import NamedTuple

from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.backends.labels import equals, to_signed
from arrayseg.metrics._inputs import LabelMaps, check_per_image, refuse_out_of_range

__all__ = ["SpatialMaps", "spatial_maps"]


class SpatialMaps(NamedTuple):
    """Labels `(N, *spatial)` in a signed dtype, and a mask of the known pixels, or None if all are known."""

    worker: Backend
    prediction: Array
    target: Array
    valid: Array | None


def spatial_maps(maps: LabelMaps, target: Array) -> SpatialMaps:
    """Return checked label maps in the shape of `target`, and raise for a label that counts and is out of range."""
    check_per_image(target, signals=False)  # in a column, all pixels of a signal are at the edge
    shape = tuple(target.shape)
    if len(shape) > 4:
        msg = f"`target` must have a batch axis and 2 or 3 spatial axes, (N, *spatial); got shape {shape}."
        raise ValueError(msg)
    worker = maps.backend
    arrays = (maps.prediction, maps.target) if maps.mask is None else (maps.prediction, maps.target, maps.mask)
    if maps.is_concrete:
        worker, arrays = worker.shared_view(*arrays)
    xp = worker.xp
    prediction, target, *masks = (xp.reshape(array, shape) for array in arrays)
    valid = masks[0] if masks else None
    if maps.ignore_index is not None:
        known = ~equals(worker, target, maps.ignore_index)
        valid = known if valid is None else valid & known
    prediction, target = to_signed(worker, prediction), to_signed(worker, target)
    outside = (prediction < 0) | (prediction >= maps.num_classes) | (target < 0) | (target >= maps.num_classes)
    counted = outside if valid is None else outside & valid
    refuse_out_of_range(maps, xp.sum(xp.astype(counted, worker.count_dtype(target))))
    return SpatialMaps(worker, prediction, target, valid)
