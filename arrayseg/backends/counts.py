"""Counts of labels: histograms and the range of ids."""

from __future__ import annotations

from arrayseg._typing import Array
from arrayseg.backends.labels import equals, to_signed
from arrayseg.backends.part import Adapter, Part

__all__ = ["Counts", "count_each_image", "countable"]


class Counts(Part):
    """Counting in one library, written in functions of the Array API standard."""

    def are_ids(self, ids: Array, high: int, /) -> bool:
        """Return whether every id is in 0 to `high`; the ids are concrete, and there is at least one."""
        # One boolean is read: each reading waits for a device.
        return bool((self.xp.min(ids) >= 0) & (self.xp.max(ids) <= high))

    def as_bits(self, values: Array, /) -> Array | None:
        """Return the values as compact 0/1 integers, or None if any value is neither 0 nor 1."""
        return values if self.are_ids(values, 1) else None

    def bincount(self, index: Array, /, *, length: int, weights: Array | None = None) -> Array:
        """Count each of 0 .. length - 1, or sum the weights at each, as an array `(length,)`.

        Every index must be in range. Counts have the dtype `count_dtype`, sums the dtype of the weights.
        """
        xp, adapter = self.xp, self.adapter
        classes = xp.arange(length, dtype=index.dtype, device=adapter.device(index))
        hits = classes[:, None] == xp.reshape(index, (1, -1))
        if weights is None:
            return xp.sum(xp.astype(hits, adapter.count_dtype(index)), axis=1)
        nothing = xp.zeros((), dtype=weights.dtype, device=adapter.device(weights))
        return xp.sum(xp.where(hits, xp.reshape(weights, (1, -1)), nothing), axis=1)

    def joint_histogram(
        self,
        prediction: Array,
        target: Array,
        /,
        *,
        num_classes: int,
        ignore_index: int | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, Array]:
        """Count each pair of labels in each of N images.

        Prediction, target and the boolean mask are `(N, P)`. The result is a pair: `(N, C, C)` counts in `count_dtype`,
        with a row for each target class; and `()`, the number of pixels that should count but have a label out of
        range.
        """
        xp, images = self.xp, target.shape[0]
        prediction, target, counted, uncounted = countable(
            self.adapter, prediction, target, num_classes, ignore_index, mask
        )
        dtype = xp.int32 if num_classes**2 < 2**31 else self.adapter.count_dtype(target)
        joint = xp.astype(target, dtype) * num_classes + xp.astype(prediction, dtype)
        counts = count_each_image(self, joint, counted, num_classes**2)
        return xp.reshape(counts, (images, num_classes, num_classes)), uncounted


def countable(
    adapter: Adapter, prediction: Array, target: Array, num_classes: int, ignore_index: int | None, mask: Array | None
) -> tuple[Array, Array, Array, Array]:
    """Return signed labels, where they count, and the number of pixels that should count but are out of range."""
    xp = adapter.xp
    wanted = xp.ones(target.shape, dtype=xp.bool, device=adapter.device(target)) if mask is None else mask
    if ignore_index is not None:
        wanted = wanted & ~equals(adapter, target, ignore_index)
    prediction, target = to_signed(adapter, prediction), to_signed(adapter, target)
    counted = wanted & (target >= 0) & (target < num_classes) & (prediction >= 0) & (prediction < num_classes)
    return prediction, target, counted, xp.sum(xp.astype(wanted & ~counted, adapter.count_dtype(target)))


def count_each_image(counts: Counts, labels: Array, counted: Array, length: int) -> Array:
    """Count each label of 0 .. length - 1 in each image, at the pixels that count, as `(N, length)`."""
    xp, images = counts.xp, labels.shape[0]
    bins = images * length
    labels = xp.astype(labels, xp.int32 if bins < 2**31 else counts.adapter.count_dtype(labels), copy=False)
    image = xp.arange(images, dtype=labels.dtype, device=counts.adapter.device(labels))[:, None]
    # Pixels that do not count go to an extra slot at the end. Selecting by a mask instead would make the shape depend
    # on values, which compilers refuse.
    index = xp.where(counted, image * length + labels, xp.full_like(labels, bins))
    return xp.reshape(counts.bincount(xp.reshape(index, (-1,)), length=bins + 1)[:-1], (images, length))
