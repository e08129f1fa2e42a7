"""Scores on entry: probabilities or rankings of the pixels beside the label map that they are judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

from arrayseg._typing import Array
from arrayseg.backends import Backend, common_backend
from arrayseg.backends.labels import equals, to_signed
from arrayseg.engine.batch import Layout
from arrayseg.metrics._inputs import check_class_axis, read_label_maps, refuse_out_of_range

__all__ = ["ScoreMaps", "read_scores"]


@dataclass(frozen=True)
class ScoreMaps:
    """Scores `(N, C, S)` of N images and C classes, at least float32, and what is known of their S pixels."""

    backend: Backend
    scores: Array
    #: `(N, S)` the target's labels, and whether the pixel counts.
    labels: Array
    counted: Array
    #: `(N, C, S)`, whether the target is the class of the score.
    truth: Array

    @property
    def valid(self) -> Array:
        """`(N, C, S)`, whether the pixel counts."""
        return self.backend.xp.broadcast_to(self.counted[:, None, :], self.scores.shape)

    def shared(self) -> ScoreMaps:
        """The same in the library that counts concrete arrays of this memory fastest."""
        backend, parts = self.backend.shared_view(self.scores, self.labels, self.counted, self.truth)
        return ScoreMaps(backend, *parts)

    def bins(self, scores: Array, number: int, *, side: str = "right") -> Array:
        """The bin of equal width from 0 to 1 of each score; of two bins that meet in it, the one on a side."""
        xp = self.backend.xp
        edges = xp.arange(1, number, dtype=scores.dtype, device=self.backend.device(scores)) / number
        return xp.reshape(xp.searchsorted(edges, xp.reshape(scores, (-1,)), side=side), scores.shape)

    def histogram(self, position: Array, valid: Array, bins: int, values: Array | None = None) -> Array:
        """`(N, C, B)` sums of the values, or of True ones, or the valid pixels, in bins of each image and class."""
        backend, xp = self.backend, self.backend.xp
        images, classes, _ = position.shape
        rows, dtype = images * classes, backend.count_dtype(position)
        row = xp.reshape(xp.arange(rows, dtype=dtype, device=backend.device(position)), (images, classes, 1))
        # The last slot takes the pixels that do not count.
        slot = row * bins + xp.astype(position, dtype)
        slot = xp.where(valid, slot, xp.full_like(slot, rows * bins))
        if values is not None:
            boolean = xp.isdtype(values.dtype, "bool")
            values = xp.reshape(xp.astype(values, dtype if boolean else backend.sum_dtype(values)), (-1,))
        sums = backend.counts.bincount(xp.reshape(slot, (-1,)), length=rows * bins + 1, weights=values)
        return xp.reshape(sums[:-1], (images, classes, bins))


def read_scores(
    name: str,
    scores: Array,
    target: Array,
    *,
    class_axis: int | None,
    ignore_index: int | None,
    mask: Array | None,
    limits: tuple[float, float] = (-inf, inf),
) -> ScoreMaps:
    """Checked scores; without a class axis they are of class 1 of 0 and 1. To be called where integers are wide."""
    backend = common_backend(**{name: scores, "target": target, "mask": mask})
    xp = backend.xp
    if not xp.isdtype(scores.dtype, "real floating"):
        msg = f"`{name}` must be floating; got {scores.dtype}. Cast them."
        raise TypeError(msg)
    axis = None if class_axis is None else check_class_axis(class_axis, name, scores)
    layout = Layout(tuple(scores.shape), axis)
    if layout.rows_shape != tuple(target.shape) or axis == 0 or target.ndim == 0:
        msg = (
            f"`{name}` of shape {layout.shape}, without its class axis {class_axis}, must have the shape "
            f"(N, *spatial) of `target`, {tuple(target.shape)}. Pass the `class_axis`, or None where there is none."
        )
        raise ValueError(msg)
    number = max(2, layout.classes)
    if number > 2 and xp.isdtype(target.dtype, "bool"):
        target = xp.astype(target, xp.uint8)  # label maps of more than two classes are not boolean
    options: dict[str, Any] = {"ignore_index": ignore_index, "mask": mask, "per_image": True, "class_axis": None}
    maps = read_label_maps(target, target, num_classes=number, **options)
    labels = to_signed(backend, maps.target)
    wanted = xp.ones_like(labels, dtype=xp.bool) if maps.mask is None else maps.mask
    if maps.ignore_index is not None:
        wanted = wanted & ~equals(backend, maps.target, maps.ignore_index)
    counted = wanted & (labels >= 0) & (labels < number)
    refuse_out_of_range(maps, xp.sum(xp.astype(wanted & ~counted, backend.count_dtype(labels))))
    flat = layout.canonical(scores, xp)
    flat = xp.astype(flat, xp.float32) if xp.finfo(flat.dtype).bits < 32 else flat
    first = 1 if class_axis is None else 0
    classes = xp.arange(first, first + layout.classes, dtype=labels.dtype, device=backend.device(labels))
    result = ScoreMaps(backend, flat, labels, counted, labels[:, None, :] == classes[None, :, None])
    outside = result.valid & ~((flat >= limits[0]) & (flat <= limits[1]))
    if not maps.is_concrete or not backend.is_concrete(scores):
        return replace(result, counted=counted & ~xp.any(outside, axis=1))
    if bool(xp.any(outside)):
        remedy = "Apply a softmax or a sigmoid." if limits != (-inf, inf) else "Leave such pixels out with a `mask`."
        msg = f"`{name}` must be from {limits[0]} to {limits[1]}; found others, or nan. {remedy}"
        raise ValueError(msg)
    return result
