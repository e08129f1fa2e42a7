"""Check scores of pixels, such as probabilities, together with the label map that they are compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, prod
from typing import Any

from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, common_backend
from arrayseg.backends.axes import move_axis
from arrayseg.backends.labels import equals, to_signed
from arrayseg.metrics._inputs import check_class_axis, read_label_maps, refuse_out_of_range

__all__ = ["ScoreMaps", "read_scores"]


@dataclass(frozen=True)
class ScoreMaps:
    """Scores `(N, C, S)` of N images and C classes, at least float32, and the labels of their S pixels."""

    backend: Backend
    scores: Array
    #: The labels of the target, `(N, S)`.
    labels: Array
    #: Whether a pixel counts, `(N, S)`.
    counted: Array
    #: Whether the target is the class of the score, `(N, C, S)`.
    truth: Array

    @property
    def valid(self) -> Array:
        """Whether a pixel counts, `(N, C, S)`."""
        return self.backend.xp.broadcast_to(self.counted[:, None, :], self.scores.shape)

    def on_host(self) -> ScoreMaps:
        """Return the same maps in the library that counts concrete arrays of this memory fastest."""
        backend, parts = self.backend.shared_view(self.scores, self.labels, self.counted, self.truth)
        return ScoreMaps(backend, *parts)

    def bins(self, scores: Array, number: int, *, side: str = "right") -> Array:
        """Return the bin of equal width from 0 to 1 of each score; `side` chooses between two bins at their edge."""
        xp = self.backend.xp
        edges = xp.arange(1, number, dtype=scores.dtype, device=self.backend.device(scores)) / number
        return xp.reshape(xp.searchsorted(edges, xp.reshape(scores, (-1,)), side=side), scores.shape)

    def histogram(self, position: Array, valid: Array, bins: int, values: Array | None = None) -> Array:
        """Return the sums of the values of valid pixels in the bins of each image and class, `(N, C, B)`.

        Boolean values are counted where they are True. Without values the pixels are counted.
        """
        backend, xp = self.backend, self.backend.xp
        images, classes, _ = position.shape
        rows, dtype = images * classes, backend.count_dtype(position)
        row = xp.reshape(xp.arange(rows, dtype=dtype, device=backend.device(position)), (images, classes, 1))
        # The last slot is for pixels that do not count.
        slot = row * bins + xp.astype(position, dtype)
        slot = xp.where(valid, slot, xp.full_like(slot, rows * bins))
        if values is not None:
            is_boolean = xp.isdtype(values.dtype, "bool")
            values = xp.reshape(xp.astype(values, dtype if is_boolean else backend.sum_dtype(values)), (-1,))
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
    """Return checked scores; without a class axis they are scores of class 1, and the labels are 0 and 1.

    Call it inside `Backend.enable_64_bits`.
    """
    backend = common_backend(**{name: scores, "target": target, "mask": mask})
    xp, shape = backend.xp, tuple(scores.shape)
    if not xp.isdtype(scores.dtype, "real floating"):
        msg = f"`{name}` must be floating; got {scores.dtype}. Cast them."
        raise TypeError(msg)
    axis = None if class_axis is None else check_class_axis(class_axis, name, scores)
    pixels_shape = tuple(length for place, length in enumerate(shape) if place != axis)
    if pixels_shape != tuple(target.shape) or axis == 0 or target.ndim == 0:
        msg = (
            f"`{name}` of shape {shape}, without its class axis {class_axis}, must have the shape "
            f"(N, *spatial) of `target`, {tuple(target.shape)}. Pass the `class_axis`, or None if there is none."
        )
        raise ValueError(msg)
    score_classes = 1 if axis is None else shape[axis]
    num_classes = max(2, score_classes)
    if num_classes > 2 and xp.isdtype(target.dtype, "bool"):
        target = xp.astype(target, xp.uint8)  # label maps of more than two classes must not be boolean
    options: dict[str, Any] = {"ignore_index": ignore_index, "mask": mask, "per_image": True, "class_axis": None}
    maps = read_label_maps(target, target, num_classes=num_classes, **options)
    labels = to_signed(backend, maps.target)
    valid = xp.ones_like(labels, dtype=xp.bool) if maps.mask is None else maps.mask
    if maps.ignore_index is not None:
        valid = valid & ~equals(backend, maps.target, maps.ignore_index)
    counted = valid & (labels >= 0) & (labels < num_classes)
    refuse_out_of_range(maps, xp.sum(xp.astype(valid & ~counted, backend.count_dtype(labels))))
    rows = _as_rows(xp, scores, axis)
    rows = xp.astype(rows, xp.float32) if xp.finfo(rows.dtype).bits < 32 else rows
    first = 1 if axis is None else 0
    classes = xp.arange(first, first + score_classes, dtype=labels.dtype, device=backend.device(labels))
    result = ScoreMaps(backend, rows, labels, counted, labels[:, None, :] == classes[None, :, None])
    outside = result.valid & ~((rows >= limits[0]) & (rows <= limits[1]))
    if not maps.is_concrete or not backend.is_concrete(scores):
        return replace(result, counted=counted & ~xp.any(outside, axis=1))
    if bool(xp.any(outside)):
        remedy = "Apply a softmax or a sigmoid." if limits != (-inf, inf) else "Leave such pixels out with a `mask`."
        msg = f"`{name}` must be from {limits[0]} to {limits[1]}; some are not, or are nan. {remedy}"
        raise ValueError(msg)
    return result


def _as_rows(xp: Namespace, scores: Array, axis: int | None) -> Array:
    """Return scores as `(N, C, S)`; a view if the classes are the first or the last axis after the images."""
    images, *rest = scores.shape
    if axis is None or axis == 1:
        return xp.reshape(scores, (images, 1, prod(rest)) if axis is None else (images, rest[0], prod(rest[1:])))
    last = move_axis(scores, axis, -1, xp)
    return xp.permute_dims(xp.reshape(last, (images, prod(last.shape[1:-1]), last.shape[-1])), (0, 2, 1))
