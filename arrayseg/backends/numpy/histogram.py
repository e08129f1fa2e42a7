"""Histograms of NumPy label maps, and the range of their ids."""

from __future__ import annotations

import numpy as np

from arrayseg._typing import Array
from arrayseg.backends.counts import Counts
from arrayseg.backends.numpy.threads import parallel_map, thread_count

__all__ = ["NumpyCounts"]

# Pixels of a block of label maps, and the most bins of its histogram of pairs of pixels (8 bytes each: it should fit
# the second-level cache). Measured on 2 cores with 1 MB of it each, 16.8 million pixels of 19 classes.
HISTOGRAM_PIXELS = 2**21
LEAST_HISTOGRAM_PIXELS = 2**18
PAIR_BINS = 2**19

#: Pixels of which the steps between runs are counted first, and the most steps a pixel for which runs are made.
RUN_SAMPLE = 2**13
MOST_STEPS = 0.1

#: Pixels whose ids are checked at a time.
ID_PIXELS = 2**18


class NumpyCounts(Counts):
    """Counting on the CPU, in blocks on threads."""

    def are_ids(self, ids: Array, high: int, /) -> bool:
        if not ids.dtype.isnative:
            return super().are_ids(ids, high)
        # A negative id read as unsigned is greater than any class: one pass instead of two.
        unsigned = ids.view(f"u{ids.itemsize}").reshape(-1)
        return all(parallel_map(lambda part: bool(unsigned[part].max() <= high), _parts(unsigned.size)))

    def as_bits(self, values: Array, /) -> Array | None:
        # One reading of int64 from memory instead of three, and an eighth of its bytes in both sweeps.
        if values.itemsize == 1:
            return super().as_bits(values)
        flat = values.reshape(-1)
        bits = np.empty(flat.size, dtype=np.uint8)

        def narrow(part: slice) -> bool:
            known = _as_bytes(flat[part], 2)
            if known is not None:
                bits[part] = known
            return known is not None

        return bits.reshape(values.shape) if all(parallel_map(narrow, _parts(flat.size))) else None

    def bincount(self, index: Array, /, *, length: int, weights: Array | None = None) -> Array:
        counts = np.bincount(
            np.reshape(index, (-1,)),
            weights=None if weights is None else np.reshape(weights, (-1,)),
            minlength=length,
        )
        return counts if weights is None else counts.astype(weights.dtype, copy=False)

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
        images, pixels = target.shape
        # Enough blocks for the threads, of several times the pixels that the histogram has bins.
        share = -(-images * pixels // thread_count())
        length = max(min(share, HISTOGRAM_PIXELS), LEAST_HISTOGRAM_PIXELS, 4 * num_classes**2)
        blocks = [
            (image, slice(start, start + length)) for image in range(images) for start in range(0, pixels, length)
        ]

        def count(block: tuple[int, slice]) -> tuple[Array, int]:
            wanted = None if mask is None else mask[block]
            return _block_histogram(prediction[block], target[block], wanted, num_classes, ignore_index)

        counts = np.zeros((images, num_classes, num_classes), dtype=np.int64)
        uncounted = 0
        for (image, _), (histogram, missed) in zip(blocks, parallel_map(count, blocks), strict=True):
            counts[image] += histogram
            uncounted += missed
        return counts, np.asarray(uncounted)


def _parts(size: int) -> list[slice]:
    return [slice(start, start + ID_PIXELS) for start in range(0, size, ID_PIXELS)]


def _block_histogram(
    prediction: Array, target: Array, mask: Array | None, num_classes: int, ignore_index: int | None
) -> tuple[Array, int]:
    """`(C, C)` counts of the pairs of labels of a block, and the number of pixels with a label out of range."""
    if mask is None and ignore_index is None and prediction.dtype == target.dtype == np.bool_ and num_classes > 1:
        return _boolean_histogram(prediction, target, num_classes), 0
    lengths = None
    starts = _run_starts([labels for labels in (prediction, target, mask) if labels is not None])
    if starts is not None:
        lengths = np.diff(starts, append=target.size)
        prediction, target = prediction[starts], target[starts]
        mask = None if mask is None else mask[starts]
    if mask is None and ignore_index is None and num_classes < 256:
        known = _as_bytes(target, num_classes), _as_bytes(prediction, num_classes)
        if known[0] is not None and known[1] is not None:
            return _joint_bincount(*known, num_classes, lengths), 0
    rows, columns = _slots(target, num_classes), _slots(prediction, num_classes)
    wanted = mask
    if ignore_index is not None:
        kept = target != ignore_index
        wanted = kept if mask is None else kept & mask
    if wanted is not None:
        rows *= wanted.view(np.uint8)
    counts = _joint_bincount(rows, columns, num_classes + 1, lengths)[1:, 1:]
    if lengths is not None:
        to_count = int(lengths.sum() if wanted is None else lengths[wanted].sum())
    else:
        to_count = target.size if wanted is None else int(np.count_nonzero(wanted))
    return counts, to_count - int(counts.sum())


def _boolean_histogram(prediction: Array, target: Array, num_classes: int) -> Array:
    """`(C, C)` counts of two masks, by three counts of True."""
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    predicted, wanted, both = (np.count_nonzero(each) for each in (prediction, target, prediction & target))
    counts[:2, :2] = [[target.size - predicted - wanted + both, predicted - both], [wanted - both, both]]
    return counts


def _run_starts(maps: list[Array]) -> Array | None:
    """Where a run of pixels begins that are alike in all maps, `(P,)` each; None where runs are short.

    Objects lie in runs of tens of pixels, and a run is counted once: half the time where both maps' are 32 long.
    """
    size = maps[0].size
    if (
        size < 2 * RUN_SAMPLE
        or np.count_nonzero(_steps([labels[:RUN_SAMPLE] for labels in maps])) > MOST_STEPS * RUN_SAMPLE
    ):
        return None
    steps = _steps(maps)
    if np.count_nonzero(steps) > MOST_STEPS * size:
        return None
    starts = np.flatnonzero(steps)
    starts += 1
    return np.concatenate([[0], starts])


def _steps(maps: list[Array]) -> Array:
    """Whether each pixel but the first differs from the one before it in one of the maps."""
    steps: Array = maps[0][1:] != maps[0][:-1]
    for labels in maps[1:]:
        steps |= labels[1:] != labels[:-1]
    return steps


def _as_bytes(labels: Array, num_classes: int) -> Array | None:
    """Labels as bytes in a row, where each is of a class; None where one is not. Bytes are counted as they lie."""
    if not labels.dtype.isnative:
        return None
    if labels.dtype.kind == "i":
        labels = labels.view(f"u{labels.itemsize}")  # a negative label is then greater than any class
    if labels.max(initial=0) >= num_classes:
        return None
    return np.ascontiguousarray(labels, dtype=np.uint8)


def _slots(labels: Array, num_classes: int) -> Array:
    """Label + 1, and 0 for a label out of range: vectorised where a minimum of uint8 is not, a fifth of its time."""
    inside = labels < num_classes
    if labels.dtype.kind == "i":
        inside &= labels >= 0
    slots = labels.astype(np.uint8 if num_classes < 256 else np.int64)
    slots += 1
    slots *= inside.view(np.uint8)
    return slots


def _joint_bincount(rows: Array, columns: Array, slots: int, lengths: Array | None = None) -> Array:
    """`(slots, slots)` occurrences of the pairs (row, column), each as often as its length says.

    Without lengths, by fewer and longer steps where the slots are few:

    Two neighbouring pixels are one index into a histogram with slots**4 bins, of which both margins are the answer:
    half the increments, which are what a bincount spends its time on. Two bytes read as one uint16 are low + 256 high.
    """
    if lengths is not None:  # summed in float64, which is exact up to 2**53
        joint = np.multiply(rows, slots, dtype=np.int64)
        joint += columns
        return np.bincount(joint, weights=lengths, minlength=slots**2).astype(np.int64).reshape(slots, slots)
    if rows.dtype != np.uint8:
        joint = rows * slots + columns
        return np.bincount(joint, minlength=slots**2).reshape(slots, slots)
    if slots**4 > PAIR_BINS or rows.size < slots**4:
        joint = np.multiply(rows, slots, dtype=np.uint16)
        joint += columns
        return np.bincount(joint, minlength=slots**2).reshape(slots, slots)
    pairs = slots**2
    even = rows.size - rows.size % 2
    index = np.multiply(_rebased(rows[:even], pairs), slots, dtype=np.uint32)
    index += _rebased(columns[:even], pairs)
    histogram = np.bincount(index, minlength=pairs**2).reshape(pairs, pairs)
    counts: Array = (histogram.sum(axis=0) + histogram.sum(axis=1)).reshape(slots, slots)
    if even < rows.size:
        counts[rows[-1], columns[-1]] += 1
    return counts


def _rebased(octets: Array, base: int) -> Array:
    """low + base * high of each two neighbouring bytes, as uint16 (the arithmetic wraps to the right value)."""
    words = octets.view(np.uint16)
    high = words >> 8
    high *= np.uint16((base - 256) % 2**16)
    high += words
    return high
