"""Histograms of NumPy label maps, and the range of their ids."""

from __future__ import annotations

import numpy as np

from arrayseg._typing import Array
from arrayseg.backends.counts import Counts
from arrayseg.backends.numpy.threads import parallel_map, thread_count

__all__ = ["NumpyCounts"]

# The times are processor time, on 2 cores with 1 MB of second-level cache each, for 16.8 million pixels of 19 classes
# unless another size is given.

#: Pixels of a block of label maps: 27 to 29 ms with 2**18 and 2**21, 32 with 2**17, 41 with 2**23.
HISTOGRAM_PIXELS = 2**21
#: Smallest block that is worth a thread: 0.48 ms for 2**18 pixels in one block, 0.51 in four.
LEAST_HISTOGRAM_PIXELS = 2**18
#: Largest histogram of pairs of pixels, in bins of 8 bytes. Pairs take 29 ms instead of 34 with 130,000 bins (19
#: classes), as long as single pixels with 460,000 (26 classes), and 50 instead of 36 with a million (32 classes).
PAIR_BINS = 2**19
#: Largest share of pixels that differ from the one before for which runs are counted instead of pixels: 12 ms instead
#: of 26 with a share of 0.05, 17 instead of 24 with 0.1, 29 instead of 25 with 0.2.
MOST_STEPS = 0.1
#: Pixels that are looked at first to estimate this share: 1 in 256 of the largest block.
RUN_SAMPLE = 2**13
#: Ids that are checked at a time: 0.27 ms for 2 million int64 ids with 2**18 to 2**20, 0.50 with 2**14.
ID_PIXELS = 2**18


class NumpyCounts(Counts):
    """Counting on the CPU, in blocks on threads."""

    def are_ids(self, ids: Array, high: int, /) -> bool:
        if not ids.dtype.isnative:
            return super().are_ids(ids, high)
        # A negative id read as unsigned is greater than any class, so that one pass is enough.
        unsigned = ids.view(f"u{ids.itemsize}").reshape(-1)
        starts = range(0, unsigned.size, ID_PIXELS)
        return all(parallel_map(lambda start: bool(unsigned[start : start + ID_PIXELS].max() <= high), starts))

    def as_bits(self, values: Array, /) -> Array | None:
        # int64 is read once instead of three times, and both sweeps then read an eighth of its bytes.
        if values.itemsize == 1:
            return super().as_bits(values)
        flat = values.reshape(-1)
        bits = np.empty(flat.size, dtype=np.uint8)

        def narrow(start: int) -> bool:
            part = slice(start, start + ID_PIXELS)
            known = _as_bytes(flat[part], 2)
            if known is not None:
                bits[part] = known
            return known is not None

        return bits.reshape(values.shape) if all(parallel_map(narrow, range(0, flat.size, ID_PIXELS))) else None

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
        # Enough blocks for the threads, each with several times as many pixels as the histogram has bins.
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


def _block_histogram(
    prediction: Array, target: Array, mask: Array | None, num_classes: int, ignore_index: int | None
) -> tuple[Array, int]:
    """Count the pairs of labels of a block, `(C, C)`, and the pixels with a label out of range."""
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
    """Count the pairs of two masks, `(C, C)`, by three counts of True."""
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    predicted, wanted, both = (np.count_nonzero(each) for each in (prediction, target, prediction & target))
    counts[:2, :2] = [[target.size - predicted - wanted + both, predicted - both], [wanted - both, both]]
    return counts


def _run_starts(maps: list[Array]) -> Array | None:
    """Return where runs of pixels that are equal in all maps begin, or None if runs are short.

    Objects lie in runs of tens of pixels, and a run is counted once. Each map is `(P,)`.
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
    """Return whether each pixel except the first differs from the one before it in one of the maps."""
    steps: Array = maps[0][1:] != maps[0][:-1]
    for labels in maps[1:]:
        steps |= labels[1:] != labels[:-1]
    return steps


def _as_bytes(labels: Array, num_classes: int) -> Array | None:
    """Return labels as contiguous bytes, or None if a label is out of range."""
    if not labels.dtype.isnative:
        return None
    if labels.dtype.kind == "i":
        labels = labels.view(f"u{labels.itemsize}")  # a negative label is then greater than any class
    if labels.max(initial=0) >= num_classes:
        return None
    return np.ascontiguousarray(labels, dtype=np.uint8)


def _slots(labels: Array, num_classes: int) -> Array:
    """Return label + 1, and 0 for a label out of range.

    The arithmetic is vectorized; a minimum of uint8 is not, and takes five times as long.
    """
    inside = labels < num_classes
    if labels.dtype.kind == "i":
        inside &= labels >= 0
    slots = labels.astype(np.uint8 if num_classes < 256 else np.int64)
    slots += 1
    slots *= inside.view(np.uint8)
    return slots


def _joint_bincount(rows: Array, columns: Array, slots: int, lengths: Array | None = None) -> Array:
    """Count the pairs (row, column), `(slots, slots)`; each counts as often as its length says, by default once.

    Without lengths and with few slots, two neighboring pixels become one index into a histogram with slots**4 bins.
    The sum of its two margins is the result. That halves the increments, which take most of the time of a bincount.
    """
    if lengths is not None:  # sums in float64 are exact up to 2**53
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
    """Return low + base * high of each two neighboring bytes, as uint16.

    Two bytes read as one uint16 are low + 256 * high. The arithmetic wraps to the right value.
    """
    words = octets.view(np.uint16)
    high = words >> 8
    high *= np.uint16((base - 256) % 2**16)
    high += words
    return high
