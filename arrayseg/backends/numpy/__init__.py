"""The NumPy adapter: cache-sized blocks on threads, because ufuncs release the interpreter lock."""

from __future__ import annotations

import os
import tracemalloc
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from arrayseg._typing import Array, DType, Namespace
from arrayseg.backends.base import EXP_LIMIT, Backend, Item, MakeSums, Result, slowest_first
from arrayseg.backends.numpy.nearest import nearest_distances
from arrayseg.backends.numpy.runs import joined_runs

__all__ = ["NUMPY", "NumpyBackend"]


def thread_count() -> int:
    """The threads that work on blocks: ARRAYSEG_NUM_THREADS, or the processors this process may use."""
    chosen = os.environ.get("ARRAYSEG_NUM_THREADS")
    if chosen is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not (chosen.isascii() and chosen.isdecimal()) or int(chosen) < 1:
        msg = (
            f"The environment variable ARRAYSEG_NUM_THREADS must be a whole number of at least 1; got {chosen!r}. "
            "Unset it to use every processor of the process."
        )
        raise ValueError(msg)
    return int(chosen)


# glibc returns freed memory to the system beyond twice the largest mapping that it has seen freed (it counts up to 32
# MB), so that the temporaries of every block would be faulted in anew: Dice and its gradient of 20 million logits took
# 600 ms of processor time where 120 are enough. This array is one such mapping; nothing is ever written to it.
np.empty(2**25 - 2**16, dtype=np.uint8)


@lru_cache(maxsize=1)
def thread_pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One pool per process: the threads of a parent do not survive a fork, hence the process in the key."""
    return ThreadPoolExecutor(threads, thread_name_prefix="arrayseg")


# Pixels of a block of label maps, and the most bins of its histogram of pairs of pixels (8 bytes each: it should fit
# the second-level cache). Measured on 2 cores with 1 MB of it each, 16.8 million pixels of 19 classes.
HISTOGRAM_PIXELS = 2**21
LEAST_HISTOGRAM_PIXELS = 2**18
PAIR_BINS = 2**19

#: What a subclass of ndarray may not replace: matrices and arrays with units do, arrays with attributes do not.
OWN = ("__array_ufunc__", "__array_function__", "__getitem__", "__eq__", "__add__", "__mul__", "sum")

#: Pixels of which the steps between runs are counted first, and the most steps a pixel for which runs are made.
RUN_SAMPLE = 2**13
MOST_STEPS = 0.1

#: Pixels whose ids are checked at a time.
ID_PIXELS = 2**18

#: Numbers that are transposed at a time: their lines stay in the first-level cache.
TILE = 10_000

#: Sums of exponentials whose terms, down to 1e-25 of them, and inverses are normal numbers of float32.
MODERATE = 1e-12, 1e37

#: Pixels that are summed in float32.
RUN = 256


class NumpyBackend(Backend):
    """NumPy on the CPU."""

    name = "NumPy"
    gathers_ids = True

    def __init__(self) -> None:
        """Leave the namespace to its first use."""

    @cached_property
    def xp(self) -> Namespace:
        """The namespace; its import takes as long as that of NumPy, of which it imports every submodule."""
        import array_api_compat.numpy

        return array_api_compat.numpy

    def device(self, array: Array, /) -> str:
        return "cpu"

    def check_kind(self, array: Array, name: str, /) -> None:
        kind = type(array)
        if kind not in (np.ndarray, np.memmap) and not issubclass(kind, np.generic):
            _check_subclass(array, name)
        if array.dtype.kind in "OSUMm":  # objects, text and dates
            msg = f"`{name}` must hold numbers or booleans; got dtype {array.dtype}. Cast it with astype."
            raise TypeError(msg)

    def plain(self, array: Array, /) -> Array:
        return np.asarray(array) if isinstance(array, np.ndarray) else array

    def conversion(self, name: str, like: str, /) -> str:
        return f"numpy.asarray({name})"

    def asarray(self, values: Any, /, *, dtype: DType, like: Array) -> Array:
        return np.asarray(values, dtype=dtype)

    def to_numpy(self, array: Array, /) -> np.ndarray[Any, Any]:
        return np.asarray(array)

    def memory_order(self, array: Array, /) -> tuple[int, ...]:
        return slowest_first(array.strides)

    def sum_dtype(self, array: Array, /) -> DType:
        return np.float64

    def count_dtype(self, array: Array, /) -> DType:
        return np.int64

    def are_ids(self, ids: Array, high: int, /) -> bool:
        if not ids.dtype.isnative:
            return super().are_ids(ids, high)
        # A negative id read as unsigned is greater than any class: one pass instead of two.
        unsigned = ids.view(f"u{ids.itemsize}").reshape(-1)
        return all(self.map(lambda part: bool(unsigned[part].max() <= high), _parts(unsigned.size)))

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

        return bits.reshape(values.shape) if all(self.map(narrow, _parts(flat.size))) else None

    def bincount(self, index: Array, /, *, length: int, weights: Array | None = None) -> Array:
        counts = np.bincount(
            np.reshape(index, (-1,)),
            weights=None if weights is None else np.reshape(weights, (-1,)),
            minlength=length,
        )
        return counts if weights is None else counts.astype(weights.dtype, copy=False)

    def argsort_descending(self, array: Array, /) -> Array:
        if array.dtype != np.float32 or array.shape[-1] >= 2**32:
            return super().argsort_descending(array)
        # The bits of a number, turned so that greater ones come first, and its place below them: one sort of integers
        # is stable, and takes 12 ms a million where a stable argsort takes 145. Adding 0 makes one zero of two.
        bits = (array + np.float32(0)).view(np.int32)
        keys = np.where(bits < 0, bits, 0x7FFFFFFF - bits).view(np.uint32).astype(np.uint64)
        keys <<= 32
        keys |= np.arange(array.shape[-1], dtype=np.uint64)
        keys.sort(axis=-1)
        keys &= 0xFFFFFFFF
        return keys.view(np.int64)

    def place(self, values: Array, order: Array, /) -> Array:
        placed = np.empty_like(values)
        np.put_along_axis(placed, order, values, axis=-1)
        return placed

    def distance_transform(self, mask: Array, /, *, spacing: Sequence[float]) -> Array:
        try:
            from scipy import ndimage
        except ImportError:
            return super().distance_transform(mask, spacing=spacing)
        distances = np.full(mask.shape, np.inf)
        # SciPy has no meaning for a mask without a False element, and no batch.
        for image in np.ndindex(mask.shape[: mask.ndim - len(spacing)]):
            if not mask[image].all():
                distances[image] = ndimage.distance_transform_edt(mask[image], sampling=spacing)
        return distances

    def nearest_distances(self, points: Array, surface: Array, /, *, spacing: Sequence[float]) -> Array:
        return nearest_distances(points, surface, spacing, lambda mask: self.distance_transform(mask, spacing=spacing))

    def connected_components(self, mask: Array, /, *, connectivity: int) -> Array:
        try:
            from scipy import ndimage
        except ImportError:
            return super().connected_components(mask, connectivity=connectivity)
        if mask.size == 0:
            return np.zeros(mask.shape, dtype=np.int32)
        neighbours = ndimage.generate_binary_structure(mask.ndim, connectivity)
        labels: Array = ndimage.label(mask, structure=neighbours, output=np.int32)[0]
        return labels

    def label_components(self, labels: Array, /, *, connectivity: int) -> Array:
        return joined_runs(labels, connectivity)

    def exp_in_place(self, array: Array, /) -> Array:
        return np.exp(array, out=array)

    def moderate_exp(self, scores: Array, /) -> tuple[Array, Array] | None:
        # Taking the greatest score of each pixel off first would be an eighth of the time of Dice.
        with np.errstate(over="ignore"):
            exponentials = np.exp(scores)
            totals = np.matmul(np.ones((1, scores.shape[1]), dtype=scores.dtype), exponentials)
        least, most = MODERATE
        is_moderate = np.min(totals, initial=1) > least and np.max(totals, initial=1) < most
        return (exponentials, totals) if is_moderate else None

    def with_digits(self, quick: MakeSums, is_lost: Callable[[list[Array]], Array], exact: MakeSums) -> list[Array]:
        sums = quick()
        return exact() if is_lost(sums) else sums

    # The same formulas, each step written over the last: a third of the arrays of a block.

    def sigmoid(self, scores: Array, /) -> Array:
        probabilities = _finite_exp(scores)
        if probabilities is None:
            probabilities = np.exp(np.minimum(scores, EXP_LIMIT))
        probabilities /= probabilities + 1
        return probabilities

    def sigmoids(self, scores: Array, out: Array | None = None, /) -> tuple[Array, Array]:
        # By one exponential, where it is finite.
        probabilities = _finite_exp(scores)
        if probabilities is None:
            return super().sigmoids(scores)
        complements = np.add(probabilities, 1, out=out)
        np.divide(1, complements, out=complements)  # in half the time of a reciprocal
        probabilities *= complements
        return probabilities, complements

    def softplus(self, scores: Array, /) -> tuple[Array, Array]:
        beyond = None
        if not np.max(scores, initial=0) < EXP_LIMIT:
            beyond = np.maximum(scores, EXP_LIMIT)
            beyond -= EXP_LIMIT
            np.minimum(scores, EXP_LIMIT, out=scores)
        slope = np.exp(scores, out=scores)
        value = np.log1p(slope)
        slope /= slope + 1
        if beyond is not None:
            value += beyond
        return value, slope

    def log_sigmoid(self, scores: Array, /) -> Array:
        below = _least(scores)
        below -= self.log_rest(scores)
        return below

    def log_sigmoids(self, scores: Array, /) -> tuple[Array, Array]:
        rest, below, above = self.log_rest(scores), _least(scores), _least(-scores)
        below -= rest
        above -= rest
        return below, above

    def log_rest(self, scores: Array, /) -> Array:
        rest = np.abs(scores)
        np.exp(np.negative(rest, out=rest), out=rest)
        return np.log1p(rest, out=rest)

    def shared(self, values: Array, shares: Array, /) -> Array:
        # A sum, which is finite if they all are, takes a twentieth of the time of choosing numbers by a mask.
        return values if np.isfinite(np.einsum(values, range(values.ndim), [])) else super().shared(values, shares)

    def multiply_into(self, array: Array, factor: Array, out: Array, /) -> Array:
        return np.multiply(array, factor, out=out)

    def sum_pixels(self, array: Array, /) -> Array:
        # Runs in float32, and those in float64: a quarter of the time of a sum in float64, and as good as that to 1e-8
        # of the sum of the magnitudes, a sixth of the rounding of one element. Not by matrix product, which OpenBLAS
        # would spread over threads of its own.
        *lead, length = array.shape
        whole = length - length % RUN
        if array.dtype != np.float32 or whole == 0:
            return np.sum(array, axis=-1, dtype=np.float64)
        runs = np.einsum("...r->...", array[..., :whole].reshape(*lead, whole // RUN, RUN))
        sums = np.sum(runs, axis=-1, dtype=np.float64)
        return sums if whole == length else sums + np.sum(array[..., whole:], axis=-1, dtype=np.float64)

    def sum_products(self, one: Array, two: Array, /) -> Array:
        # As in `sum_pixels`, without an array of the products.
        length = one.shape[-1]
        whole = length - length % RUN
        if whole == 0:
            return np.einsum("...r,...r->...", one, two, dtype=np.float64)
        runs = (array[..., :whole].reshape(*array.shape[:-1], whole // RUN, RUN) for array in (one, two))
        sums = np.sum(np.vecdot(*runs), axis=-1, dtype=np.float64)
        if whole == length:
            return sums
        return sums + np.einsum("...r,...r->...", one[..., whole:], two[..., whole:], dtype=np.float64)

    def sum_class_products(self, one: Array, two: Array, /) -> Array:
        # Without an array of the products, in two thirds of the time.
        return np.einsum("bcp,bcp->bp", one, two)[:, None, :]

    def flat(self, array: Array, /) -> tuple[Array, int, int]:
        # Of a part of the pixels of an image too, without a copy: the memory from its first number to its last.
        images, classes, pixels = array.strides
        if array.flags.c_contiguous or pixels != array.itemsize or min(images, classes) < 0:
            return super().flat(array)
        steps = images // pixels, classes // pixels
        last = sum((length - 1) * step for length, step in zip(array.shape, (*steps, 1), strict=True))
        return np.lib.stride_tricks.as_strided(array, (last + 1,), (pixels,)), *steps

    def block_bytes(self, array: Array, /) -> int:
        # 19 classes of 22,000 float32 pixels. Measured on 2 cores with 1 MB of second-level cache each: a third of it
        # took 1.6 times as long (the interpreter's share grows). From 460,000 numbers on OpenBLAS would spread each
        # product of a matrix and a vector over threads of its own, which get in the way of ours: 1.3 times.
        return 1_700_000

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
        for (image, _), (histogram, missed) in zip(blocks, self.map(count, blocks), strict=True):
            counts[image] += histogram
            uncounted += missed
        return counts, np.asarray(uncounted)

    def block_array(self, array: Array, dtype: DType, /) -> Array:
        # A copy in cache when the class axis is last: reductions over the middle axis of a contiguous block are
        # vectorised over the pixels, over a strided one they are not (45 against 77 ms for 19 classes of a megapixel).
        # What is made of a block has its order, and is indexed as if flat.
        images, classes, pixels = array.strides
        if pixels == array.itemsize and (images >= classes or array.shape[0] == 1):
            return array.astype(dtype, copy=False)
        block = np.empty(array.shape, dtype=dtype)
        step = max(256, TILE // array.shape[1])
        for start in range(0, array.shape[-1], step):
            block[..., start : start + step] = array[..., start : start + step]
        return block

    def map(self, function: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
        if len(items) < 2 or (threads := min(thread_count(), len(items))) < 2:
            return [function(item) for item in items]
        return _shared_out(function, items, threads)

    def measure_peak(self, function: Callable[[], Result], /) -> tuple[Result, int | None]:
        # NumPy reports its buffers to tracemalloc.
        already = tracemalloc.is_tracing()
        if not already:
            tracemalloc.start()
        try:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            result = function()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            if not already:
                tracemalloc.stop()
        return result, peak - before


def _shared_out(function: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """`function` of every item, in order, by the caller and by as many helpers of the pool as are free.

    The caller needs none of them: it works too, and waits only for helpers that have begun. So a function that comes
    back here from a helper ends, and so does a call while the interpreter shuts down, when no thread can be started.
    """
    places = deque(range(len(items)))
    results: dict[int, Result] = {}

    def work() -> None:
        while True:
            try:
                place = places.popleft()
            except IndexError:
                return
            try:
                results[place] = function(items[place])
            except BaseException:
                places.clear()  # nobody begins another item
                raise

    helpers = _helpers(work, threads - 1)
    try:
        work()
    finally:
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in filter(None, errors):
        raise error
    return [results[place] for place in range(len(items))]


def _helpers(work: Callable[[], None], count: int) -> list[Future[None]]:
    """Calls of `work` by threads of the pool, each in the context of the caller: `numpy.errstate` holds there too."""
    pool, helpers = thread_pool(thread_count(), os.getpid()), []
    for _ in range(count):
        try:
            helpers.append(pool.submit(copy_context().run, work))
        except RuntimeError:  # no thread can be started: the interpreter shuts down, or the system has no more
            break
    return helpers


def _check_subclass(array: Array, name: str) -> None:
    """Raise for what is no array, or one whose operations may differ from those of a plain array."""
    kind = type(array)
    if isinstance(array, np.ma.MaskedArray):
        msg = (
            f"`{name}` is a masked array, of which the mask would be lost. Pass {name}.data, and the pixels that "
            f"count as mask=~numpy.ma.getmaskarray({name}); or fill it with {name}.filled(255), an id to ignore."
        )
        raise TypeError(msg)
    called = f"{kind.__module__}.{kind.__qualname__}"
    if not issubclass(kind, np.ndarray):
        msg = f"`{name}` must be an array; got {called}."
        raise TypeError(msg)
    if any(getattr(kind, each) is not getattr(np.ndarray, each) for each in OWN):
        msg = (
            f"`{name}` is of {called}, whose operations may differ from those of a plain array. "
            f"Convert it first, for example with numpy.asarray({name})."
        )
        raise TypeError(msg)


def _finite_exp(scores: Array) -> Array | None:
    """exp(z); None if one is infinite. Reading the greatest takes a sixth of the time of a minimum of all."""
    with np.errstate(over="ignore"):
        exponentials = np.exp(scores)
    return exponentials if np.isfinite(np.max(exponentials, initial=0)) else None


def _least(scores: Array) -> Array:
    """min(z, 0) as a minimum of arrays, a third of the time of that of an array and a number."""
    return np.minimum(scores, np.zeros(scores.shape[-1], dtype=scores.dtype))


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


NUMPY = NumpyBackend()
