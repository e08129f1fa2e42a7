"""The adapter protocol: what the library needs that the Array API standard lacks.

`Backend` is the protocol and, at the same time, the fallback in functions of the standard alone. An adapter for a
library overrides what that library does better, keeps every signature, and is never asked for its name by the
mathematics. array-api-strict runs on this class as it stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf, nan
from typing import Any, Protocol, TypeAlias, TypeVar

import array_api_compat
import numpy as np

from arrayseg._typing import Array, DType, Namespace
from arrayseg.backends.fallbacks.components import propagated_components
from arrayseg.backends.fallbacks.distance import separable_distance_transform

__all__ = ["EXP_LIMIT", "Backend", "PlanLike", "slowest_first"]

Result = TypeVar("Result")
Item = TypeVar("Item")
MakeSums: TypeAlias = Callable[[], list[Array]]

#: Scores from which on 1 + exp(z) is exp(z) to the last digit, whose exponential is still finite in float32.
EXP_LIMIT = 80.0


class PlanLike(Protocol):
    """What an adapter uses of a plan; `arrayseg.engine.plan.Plan` has the meanings."""

    @property
    def arrays(self) -> tuple[Array, ...]: ...

    @property
    def is_scalar(self) -> bool: ...

    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> PlanLike: ...

    def plain(self) -> Array: ...

    def value(self) -> Array: ...

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]: ...


class Backend:
    """The adapter of one array library.

    Parameters
    ----------
    namespace : module
        The Array API namespace of the library, `xp` in the code.
    """

    #: How error messages name the library.
    name = "the Array API standard"
    #: Whether the library differentiates native expressions.
    has_autodiff = False
    #: Whether `softmax` and `log_softmax` have their own derivatives: those of the steps are slow, or lose digits.
    has_softmax = False
    #: Whether picking the entries of ids out of `(B, C, P)` is faster than products with one-hot values.
    gathers_ids = False

    def __init__(self, namespace: Namespace) -> None:
        self.xp = namespace
        self.name = getattr(namespace, "__name__", self.name)

    # Where an array lives, and whether its values can be read.

    def device(self, array: Array, /) -> Any:
        """The device of an array, as the creation functions take it."""
        return array_api_compat.device(array)

    def device_key(self, array: Array, /) -> Hashable | None:
        """The device of an array, comparable with `==`; None where a compiler hides it."""
        key: Hashable = self.device(array)
        return key

    def is_concrete(self, *arrays: Array | None) -> bool:
        """Whether Python may read the values now: no compiler or transform is tracing the arrays."""
        return True

    def check_kind(self, array: Array, name: str, /) -> None:
        """Raise on an array of the library that does not behave as its plain arrays do."""

    def plain(self, array: Array, /) -> Array:
        """Return an array of a subclass as a plain array of the library, of the same memory and graph."""
        return array

    def reading(self) -> AbstractContextManager[object]:
        """A context in which concrete arrays give concrete results, even where a compiler traces others."""
        return nullcontext()

    def conversion(self, name: str, like: str, /) -> str:
        """Return the expression that makes an array of another library one of this, for error messages."""
        return f"xp.asarray({name}, device={like}.device)"

    def transfer(self, name: str, like: str, /) -> str:
        """Return the expression that moves an array of this library to the device of another, for error messages."""
        return self.conversion(name, like)

    def asarray(self, values: Any, /, *, dtype: DType, like: Array) -> Array:
        """An array of a dtype, on the device of another."""
        return self.xp.asarray(values, dtype=dtype, device=self.device(like))

    def to_numpy(self, array: Array, /) -> np.ndarray[Any, Any]:
        """A NumPy copy or view of an array."""
        host = self.xp.__array_namespace_info__().default_device()
        return np.asarray(array_api_compat.to_device(array, host))

    def shared_view(self, *arrays: Array) -> tuple[Backend, tuple[Array, ...]]:
        """The adapter and arrays in which concrete arrays are counted fastest when shapes depend on their values.

        NumPy's, of the same memory, where the arrays are in it; else this adapter and the arrays themselves.
        """
        return self, arrays

    def memory_order(self, array: Array, /) -> tuple[int, ...]:
        """Return the axes of a concrete array from the slowest to the fastest in memory."""
        return tuple(range(array.ndim))

    def sum_dtype(self, array: Array, /) -> DType:
        """The dtype in which sums over pixels are accumulated: float64 where the device has it."""
        info = self.xp.__array_namespace_info__()
        dtypes = info.dtypes(device=self.device(array), kind="real floating")
        return dtypes.get("float64", self.xp.float32)

    def count_dtype(self, array: Array, /) -> DType:
        """The widest integer dtype that the device has, in which pixels are counted."""
        info = self.xp.__array_namespace_info__()
        dtypes = info.dtypes(device=self.device(array), kind="signed integer")
        return dtypes.get("int64", self.xp.int32)

    def extremes(self, array: Array, /) -> tuple[float, float]:
        """Return the least and the greatest number of a concrete array that has at least one."""
        with self.reading():
            array = self.stop_gradient(array)
            return float(self.xp.min(array)), float(self.xp.max(array))

    def are_ids(self, ids: Array, high: int, /) -> bool:
        """Whether every id, of which there is at least one, is in 0 to `high`; the ids are concrete."""
        return bool(self.xp.min(ids) >= 0) and bool(self.xp.max(ids) <= high)

    def holds(self, labels: Array, number: int, /) -> bool:
        """Return whether the dtype of labels, integer or boolean, can hold a whole number."""
        if self.xp.isdtype(labels.dtype, "bool"):
            return number in (0, 1)
        limits = self.xp.iinfo(labels.dtype)
        return bool(limits.min <= number <= limits.max)

    def equals(self, labels: Array, number: int, /) -> Array:
        """Return where labels, integer or boolean, are a whole number: nowhere if their dtype cannot hold it.

        Libraries disagree on that case: uint8 compared with -1 is an error, true for 255, or false.
        """
        xp = self.xp
        if not self.holds(labels, number):
            return xp.zeros(labels.shape, dtype=xp.bool, device=self.device(labels))
        return labels == (bool(number) if xp.isdtype(labels.dtype, "bool") else number)

    def as_bits(self, values: Array, /) -> Array | None:
        """Integers of which each is 0 or 1, in the dtype that is read fastest; None if one is neither."""
        return values if self.are_ids(values, 1) else None

    # Functions that the standard lacks.

    def bincount(self, index: Array, /, *, length: int, weights: Array | None = None) -> Array:
        """Occurrences of 0 .. length - 1, or the sum of the weights at each, as an array `(length,)`.

        Every index must be in range. Counts come in `count_dtype`, sums in the dtype of the weights.
        """
        xp = self.xp
        classes = xp.arange(length, dtype=index.dtype, device=self.device(index))
        hits = classes[:, None] == xp.reshape(index, (1, -1))
        if weights is None:
            return xp.sum(xp.astype(hits, self.count_dtype(index)), axis=1)
        nothing = xp.zeros((), dtype=weights.dtype, device=self.device(weights))
        return xp.sum(xp.where(hits, xp.reshape(weights, (1, -1)), nothing), axis=1)

    def wide(self, *arrays: Array | None) -> AbstractContextManager[object]:
        """A context in which integers of 64 bits exist and stay exact, for arrays whose values are known."""
        return nullcontext()

    def widen(self, labels: Array, /) -> Array:
        """Labels of any integer dtype, or boolean as 0 and 1, in a signed dtype that holds them all."""
        xp = self.xp
        small = xp.isdtype(labels.dtype, "bool") or xp.iinfo(labels.dtype).max < 2**31
        return xp.astype(labels, xp.int32 if small else self.count_dtype(labels), copy=False)

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
        """How often each pair of labels occurs in each of N images.

        Prediction, target and the boolean mask are `(N, P)`. Returns `(N, C, C)` counts in `count_dtype`, the rows
        being the target, and `()`: the pixels that were to be counted and could not be, a label being out of range.
        """
        xp, images = self.xp, target.shape[0]
        prediction, target, counted, uncounted = self._select(prediction, target, num_classes, ignore_index, mask)
        dtype = xp.int32 if num_classes**2 < 2**31 else self.count_dtype(target)
        joint = xp.astype(target, dtype) * num_classes + xp.astype(prediction, dtype)
        counts = self._count_images(joint, counted, num_classes**2)
        return xp.reshape(counts, (images, num_classes, num_classes)), uncounted

    def label_overlap(
        self,
        prediction: Array,
        target: Array,
        /,
        *,
        num_classes: int,
        ignore_index: int | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, Array, Array, Array]:
        """How often each label occurs in both, in the prediction and in the target of each of N images.

        As `joint_histogram`, without its C^2: returns three times `(N, C)`, and the pixels with a label out of range.
        """
        prediction, target, counted, uncounted = self._select(prediction, target, num_classes, ignore_index, mask)
        hits = self._count_images(target, counted & (prediction == target), num_classes)
        predicted = self._count_images(prediction, counted, num_classes)
        return hits, predicted, self._count_images(target, counted, num_classes), uncounted

    def _select(
        self, prediction: Array, target: Array, num_classes: int, ignore_index: int | None, mask: Array | None
    ) -> tuple[Array, Array, Array, Array]:
        """Widened labels, where they count, and the number of pixels that should and cannot."""
        xp = self.xp
        wanted = xp.ones(target.shape, dtype=xp.bool, device=self.device(target)) if mask is None else mask
        if ignore_index is not None:
            wanted = wanted & ~self.equals(target, ignore_index)
        prediction, target = self.widen(prediction), self.widen(target)
        counted = wanted & (target >= 0) & (target < num_classes) & (prediction >= 0) & (prediction < num_classes)
        return prediction, target, counted, xp.sum(xp.astype(wanted & ~counted, self.count_dtype(target)))

    def _count_images(self, labels: Array, counted: Array, length: int) -> Array:
        """`(N, length)` occurrences of each label in each image, where they count."""
        xp, images = self.xp, labels.shape[0]
        bins = images * length
        labels = xp.astype(labels, xp.int32 if bins < 2**31 else self.count_dtype(labels), copy=False)
        image = xp.arange(images, dtype=labels.dtype, device=self.device(labels))[:, None]
        # A slot at the end takes what is not counted: a boolean selection would have a shape that depends on values.
        index = xp.where(counted, image * length + labels, xp.full_like(labels, bins))
        return xp.reshape(self.bincount(xp.reshape(index, (-1,)), length=bins + 1)[:-1], (images, length))

    def argsort_descending(self, array: Array, /) -> Array:
        """The stable descending order along the last axis: ties keep their positions."""
        return self.xp.argsort(array, axis=-1, descending=True, stable=True)

    def cumulative_count(self, mask: Array, /) -> Array:
        """How many elements of a boolean array are true up to each place of the last axis, int32."""
        xp = self.xp
        return xp.cumulative_sum(xp.astype(mask, xp.int32), axis=-1, dtype=xp.int32)

    def place(self, values: Array, order: Array, /) -> Array:
        """Values that stand in an order of the last axis, back in their places: element k at position order[k]."""
        return self.xp.take_along_axis(values, self.xp.argsort(order, axis=-1), axis=-1)

    def distance_transform(self, mask: Array, /, *, spacing: Sequence[float]) -> Array:
        """The exact Euclidean distance of each True element to the nearest False one; 0 at False ones.

        `spacing` has the distance between neighbours along each of the last axes; axes before them are a batch. Where
        nothing is False the distance is inf. It comes in `sum_dtype`.
        """
        return separable_distance_transform(self, mask, spacing)

    def select(self, array: Array, mask: Array, /) -> Array:
        """The elements at which a mask is True, in row-major order.

        Where a shape may not depend on values, under a compiler, all of them, and nan at which the mask is False.
        """
        xp = self.xp
        if self.is_concrete(array, mask) and xp.__array_namespace_info__().capabilities()["boolean indexing"]:
            return array[mask]
        return xp.reshape(xp.where(mask, array, xp.full_like(array, nan)), (-1,))

    def nearest_distances(self, points: Array, surface: Array, /, *, spacing: Sequence[float]) -> Array:
        """The Euclidean distance of each True element of `points` to the nearest True one of `surface`, as `select`."""
        return self.select(self.distance_transform(~surface, spacing=spacing), points)

    def connected_components(self, mask: Array, /, *, connectivity: int) -> Array:
        """The number of each True element's component, from 1 in the order of their first elements; 0 at False ones.

        Elements are neighbours if they differ by at most 1 in at most `connectivity` coordinates: 1 (4 neighbours in
        the plane, 6 in space) to the number of axes (8, 26). The numbers come as int32.
        """
        return propagated_components(self, mask, connectivity)

    def label_components(self, labels: Array, /, *, connectivity: int) -> Array:
        """`connected_components` of every label but 0, in ascending order, of a map whose values are known."""
        xp = self.xp
        numbers = xp.zeros(labels.shape, dtype=xp.int32, device=self.device(labels))
        for value in self.to_numpy(xp.unique_values(labels)).tolist():
            if value != 0:
                part = self.connected_components(self.equals(labels, value), connectivity=connectivity)
                numbers = xp.where(part > 0, part + xp.max(numbers), numbers)
        return numbers

    def fixed_point(self, function: Callable[[Array], Array], value: Array, /) -> Array:
        """`function` of the value, of the result, and so on, until it changes nothing."""
        while True:
            following = function(value)
            if not bool(self.xp.any(following != value)):
                return following
            value = following

    def assign(self, rows: Array, columns: Array, scores: Array, /) -> Array:
        """Which of the pairs (row, column), none twice, to take for the largest sum of their scores, of 0 or more.

        No two pairs that are taken share a row or a column. The pairs are on the host, and SciPy chooses; time and
        memory grow with the pairs, not with all possible ones.
        """
        try:
            from scipy.sparse import coo_array
            from scipy.sparse.csgraph import min_weight_full_bipartite_matching
        except ImportError as error:
            msg = 'One-to-one assignment needs SciPy: pip install "arrayseg[geometry]", or match greedily.'
            raise ImportError(msg) from error
        if not rows.size:
            return np.zeros(0, dtype=bool)
        # SciPy finds a column for every row. A row that stays alone takes one of its own for a score of 0; all scores
        # are raised by one, as a sparse matrix drops zeros, and the number of rows makes of that a constant.
        height, width = int(rows.max()) + 1, int(columns.max()) + 1
        own = np.arange(height)
        # SciPy before 1.15 takes no wider indices; so many pairs fit no memory.
        indices = [np.concatenate(pair).astype(np.int32) for pair in ((rows, own), (columns, width + own))]
        values = np.concatenate([1 + scores, np.ones(height)])
        matrix = coo_array((values, tuple(indices)), shape=(height, width + height))
        taken = min_weight_full_bipartite_matching(matrix.tocsr(), maximize=True)[1]
        return taken[rows] == columns

    def exp_in_place(self, array: Array, /) -> Array:
        """The exponentials of an array, which may be written in."""
        return self.xp.exp(array)

    def moderate_exp(self, scores: Array, /) -> tuple[Array, Array] | None:
        """The exponentials of scores `(B, C, P)` and the sums over classes; None if digits may be lost in them."""
        return None

    def softplus(self, scores: Array, /) -> tuple[Array, Array]:
        """log(1 + exp(z)), which is -log s(-z), and its derivative s(z); the scores may be written in."""
        limit = self._limit(scores)
        exponentials = self.xp.exp(self.xp.minimum(scores, limit))
        value = self.xp.log1p(exponentials) + (self.xp.maximum(scores, limit) - limit)
        return value, exponentials / (exponentials + 1)

    def multiply_into(self, array: Array, factor: Array, out: Array, /) -> Array:
        """The product, written into `out` and returned as it."""
        out[...] = array * factor
        return out

    def over_classes(self, function: Callable[..., Array], /, *arrays: Array, last: bool) -> Array:
        """`function(*arrays, axis=1)` of arrays `(B, C, P)`, of as many axes; or of the same with the classes last.

        `last` says that the classes are last in the caller's arrays, where a compiler might not see it.
        """
        return function(*arrays, axis=1)

    def softmax(self, scores: Array, /, *, axis: int) -> Array:
        """The softmax along an axis, where it has a derivative of its own."""
        raise NotImplementedError

    def log_softmax(self, scores: Array, /, *, axis: int) -> Array:
        """The logarithm of `softmax`, with its digits where that is nearly 1."""
        raise NotImplementedError

    def less_greatest(self, scores: Array, /, *, axis: int) -> Array:
        """The scores less the greatest along an axis, of which no loss of exclusive classes depends on the choice.

        It has a derivative all the same: that makes the derivative of a loss in the greatest score the negative sum of
        the others', and not the difference of its target and a probability that is nearly 1.
        """
        return scores - self.xp.max(scores, axis=axis, keepdims=True)

    def log_of_sum(self, shifted: Array, /, *, axis: int) -> Array:
        """log(sum_k exp(z_k)) of scores less the greatest, with its digits where that is nearly log(1)."""
        exponentials = self.xp.exp(shifted)
        # 1 for the greatest, 0 below a half; continuous, as compilers may round the scores of each sum in another way.
        ones = self.xp.maximum(2 * exponentials - 1, self.xp.zeros_like(shifted))
        others, equals = (self.xp.sum(each, axis=axis, keepdims=True) for each in (exponentials - ones, ones))
        return self.xp.log1p(others + (equals - 1))

    def sum_pixels(self, array: Array, /) -> Array:
        """The sums over the last axis, in `sum_dtype`."""
        return self.xp.sum(array, axis=-1, dtype=self.sum_dtype(array))

    def sum_products(self, one: Array, two: Array, /) -> Array:
        """The sums over the last axis of the products of two arrays of as many axes, in `sum_dtype`."""
        return self.sum_pixels(one * two)

    def with_digits(self, quick: MakeSums, is_lost: Callable[[list[Array]], Array], exact: MakeSums) -> list[Array]:
        """Return sums in two ways: `quick()`, or `exact()` where the digits of those are lost.

        Adapters that can choose do so; the derivatives may be those of the quick ones.
        """
        return exact()

    def sum_class_products(self, one: Array, two: Array, /) -> Array:
        """The sums over the classes of the products of two arrays `(B, C, P)`, `(B, 1, P)`."""
        return self.xp.sum(one * two, axis=1, keepdims=True)

    def flat(self, array: Array, /) -> tuple[Array, int, int]:
        """A view of an array `(B, C, P)` in one axis, and the steps in it between images and between classes."""
        _, classes, pixels = array.shape
        return self.xp.reshape(array, (-1,)), classes * pixels, pixels

    def sigmoids(self, scores: Array, out: Array | None = None, /) -> tuple[Array, Array]:
        """1 / (1 + exp(-z)) and 1 / (1 + exp(z)); the second may be written into `out`."""
        return self.sigmoid(scores), self.sigmoid(-scores)

    def sigmoid(self, scores: Array, /) -> Array:
        """1 / (1 + exp(-z)) = exp(z) / (1 + exp(z)), exact to the digits of exp(z)."""
        exponentials = self.xp.exp(self.xp.minimum(scores, self._limit(scores)))
        return exponentials / (exponentials + 1)

    def log_sigmoid(self, scores: Array, /) -> Array:
        """log(1 / (1 + exp(-z))) = min(z, 0) - log(1 + exp(-|z|)), which cannot overflow."""
        return self.xp.where(scores >= 0, self.xp.zeros_like(scores), scores) - self.log_rest(scores)

    def log_sigmoids(self, scores: Array, /) -> tuple[Array, Array]:
        """`log_sigmoid` of the scores and of their negatives."""
        return self.log_sigmoid(scores), self.log_sigmoid(-scores)

    def log_rest(self, scores: Array, /) -> Array:
        """log(1 + exp(-|z|)).

        |z| as a product with the sign, which is 1 at 0: libraries disagree on the derivative of `abs` there, and one of
        0, which `maximum` has, would make the second derivative of this 0 instead of -1/4.
        """
        sign = 1 - 2 * self.xp.astype(scores >= 0, scores.dtype)
        return self.xp.log1p(self.xp.exp(sign * scores))

    def shared(self, values: Array, shares: Array, /) -> Array:
        """Values that shares will multiply: finite where the share is 0, because 0 log 0 = 0.

        In the place of an infinite one comes a finite logarithm whose exponential is 0.
        """
        is_nothing = self.xp.isinf(values) & (shares == 0)
        return self.xp.where(is_nothing, self.xp.full_like(values, -1000.0), values)

    def _limit(self, scores: Array) -> Array:
        return self.xp.full((), EXP_LIMIT, dtype=scores.dtype, device=self.device(scores))

    def stop_gradient(self, array: Array, /) -> Array:
        """The same values, of which no derivative is taken."""
        return array

    # Gradients.

    def uses_closed_form(self, *arrays: Array) -> bool:
        """Whether gradients of these arrays are made by the closed form, in blocks; else by the library's autodiff."""
        return True

    def attach(self, plan: PlanLike, /) -> Array:
        """Return the value of a plan, with its gradient attached if the library differentiates."""
        return plan.value()

    def value_and_gradient(self, plan: PlanLike, /) -> tuple[Array, Array]:
        """Return the value of a plan and its gradient with respect to the input."""
        return plan.value_and_gradient()

    def differentiate(self, function: Callable[[Array], Array], array: Array, /) -> tuple[Array, Array]:
        """The value and gradient of any scalar function by the library's own autodiff."""
        msg = (
            f"{self.name} has no automatic differentiation, so only arrayseg's own losses, functools.partial of them "
            f"and arrayseg.losses.compound have gradients there; got {function!r}."
        )
        raise TypeError(msg)

    # The block driver.

    def block_bytes(self, array: Array, /) -> int | None:
        """Bytes of one block of pixels in the compute dtype; None works the whole array at once."""
        return None

    def block_array(self, array: Array, dtype: DType, /) -> Array:
        """A block of pixels in the compute dtype, laid out as the kernels read it fastest."""
        return self.xp.astype(array, dtype, copy=False)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
        """`function` of every item, in order; adapters may work several at a time."""
        return [function(item) for item in items]

    # Arrays in chunks.

    def sum_of_chunks(self, function: Callable[..., Array], /, *arrays: Array | None, batch_axes: int) -> Array:
        """`function(backend, *arrays)` of arrays of one shape; of arrays in chunks, the sum of those of the chunks.

        They are summed over all axes but the first `batch_axes`, which the function keeps.
        """
        return function(self, *arrays)

    def map_matrices(self, function: Callable[[Backend, Array], Array], matrices: Array, /) -> Array:
        """`function(backend, matrices)` of `(..., C, C)`, of shape `(...)` or `(..., K)`; a chunk holds whole ones."""
        return function(self, matrices)

    # Measurement.

    def synchronize(self, *arrays: Array) -> None:
        """Wait until the device has finished the work that makes the arrays."""

    def measure_peak(self, function: Callable[[], Result], /) -> tuple[Result, int | None]:
        """The result of a call and the peak of the bytes it allocated; None where the library cannot tell."""
        return function(), None

    @staticmethod
    def clock() -> float:
        """Seconds of a monotonic clock."""
        return time.perf_counter()


def slowest_first(strides: Sequence[int]) -> tuple[int, ...]:
    """Return the axes from the slowest to the fastest in memory; a repeated axis, of stride 0, counts as slow."""
    return tuple(sorted(range(len(strides)), key=lambda axis: -(abs(strides[axis]) or inf)))
