"""The base class of the adapters: what the package needs from a library that the Array API standard lacks.

`Backend` is written in functions of the standard alone, and array-api-strict runs on it unchanged. An adapter overrides
what its library does better and keeps every signature. The engine never branches on the library.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any, Protocol, TypeVar

import array_api_compat
import numpy as np

from arrayseg._typing import Array, DType, Namespace
from arrayseg.backends.blocks import Blocks
from arrayseg.backends.counts import Counts
from arrayseg.backends.functions import Functions
from arrayseg.backends.masks import Masks
from arrayseg.backends.sorting import Sorting

__all__ = ["Backend", "Item", "PlanLike", "Result", "slowest_first"]

Result = TypeVar("Result")
Item = TypeVar("Item")


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

    Methods on one topic are in a part of the adapter; the others are here.

    Parameters
    ----------
    namespace : module
        The Array API namespace of the library, `xp` in the code.

    Attributes
    ----------
    functions : Functions
        Elementary functions that keep their digits, such as sigmoids.
    blocks : Blocks
        Layout of blocks of pixels, and sums over their pixels and classes.
    counts : Counts
        Histograms and the range of labels.
    sorting : Sorting
        Stable descending order, and counts along it.
    masks : Masks
        Distances and connected components.
    """

    #: How error messages name the library.
    name = "the Array API standard"
    #: Whether the library differentiates native expressions.
    has_autodiff = False
    #: Whether its arrays are lazy and come in chunks, as in Dask.
    has_chunks = False

    def __init__(self, namespace: Namespace) -> None:
        self.xp = namespace
        self.name = getattr(namespace, "__name__", self.name)
        self.functions: Functions = Functions(self)
        self.blocks: Blocks = Blocks(self)
        self.counts: Counts = Counts(self)
        self.sorting: Sorting = Sorting(self)
        self.masks: Masks = Masks(self)

    # Arrays: their kind, their device, and whether their values can be read.

    def check_kind(self, array: Array, name: str, /) -> None:
        """Raise for an array of the library that does not behave as its plain arrays do."""

    def unwrap(self, array: Array, /) -> Array:
        """Return an array of a subclass as a plain array of the library, with the same memory and graph."""
        return array

    def is_concrete(self, *arrays: Array | None) -> bool:
        """Return whether Python may read the values now: no compiler or transform is tracing the arrays."""
        return True

    def reading(self) -> AbstractContextManager[object]:
        """Return a context in which concrete arrays give concrete results, even while a compiler traces others."""
        return nullcontext()

    def device(self, array: Array, /) -> Any:
        """Return the device of an array, as the creation functions take it."""
        return array_api_compat.device(array)

    def device_key(self, array: Array, /) -> Hashable | None:
        """Return the device of an array, comparable with `==`, or None if a compiler hides it."""
        key: Hashable = self.device(array)
        return key

    def memory_order(self, array: Array, /) -> tuple[int, ...]:
        """Return the axes of a concrete array from the slowest to the fastest in memory."""
        return tuple(range(array.ndim))

    def asarray(self, values: Any, /, *, dtype: DType, like: Array) -> Array:
        """Return an array with a dtype, on the device of another array."""
        return self.xp.asarray(values, dtype=dtype, device=self.device(like))

    def conversion(self, name: str, like: str, /) -> str:
        """Return the expression that brings an array to this library and to the device of another, for errors."""
        return f"xp.asarray({name}, device={like}.device)"

    def to_numpy(self, array: Array, /) -> np.ndarray[Any, Any]:
        """Return a NumPy copy or view of an array."""
        host = self.xp.__array_namespace_info__().default_device()
        return np.asarray(array_api_compat.to_device(array, host))

    def shared_view(self, *arrays: Array) -> tuple[Backend, tuple[Array, ...]]:
        """Return an adapter and views of concrete arrays for work whose shapes depend on values.

        They are NumPy's if the arrays are in main memory, otherwise this adapter and the arrays themselves.
        """
        return self, arrays

    # Precision.

    def sum_dtype(self, array: Array, /) -> DType:
        """Return the dtype in which sums over pixels accumulate: float64 if the device has it."""
        info = self.xp.__array_namespace_info__()
        dtypes = info.dtypes(device=self.device(array), kind="real floating")
        return dtypes.get("float64", self.xp.float32)

    def count_dtype(self, array: Array, /) -> DType:
        """Return the widest integer dtype of the device, in which pixels are counted."""
        info = self.xp.__array_namespace_info__()
        dtypes = info.dtypes(device=self.device(array), kind="signed integer")
        return dtypes.get("int64", self.xp.int32)

    def enable_64_bits(self, *arrays: Array | None) -> AbstractContextManager[object]:
        """Return a context in which concrete arrays may have dtypes of 64 bits."""
        return nullcontext()

    # Gradients and compilers.

    def stop_gradient(self, array: Array, /) -> Array:
        """Return the same values, which autodiff treats as constants."""
        return array

    def uses_closed_form(self, *arrays: Array) -> bool:
        """Return whether the closed form computes the gradients of these arrays, not the library's autodiff."""
        return True

    def attach(self, plan: PlanLike, /) -> Array:
        """Return the value of a plan, with its gradient attached if the library differentiates."""
        return plan.value()

    def value_and_gradient(
        self, plan: PlanLike, function: Callable[[Array], Array], input: Array, /
    ) -> tuple[Array, Array]:
        """Return the value of a plan and its gradient with respect to the input.

        `function` returns the value for any input, for libraries whose own autodiff has to differentiate it.
        """
        return plan.value_and_gradient()

    def differentiate(self, function: Callable[[Array], Array], array: Array, /) -> tuple[Array, Array]:
        """Return the value and gradient of any scalar function, by the library's own autodiff."""
        msg = (
            f"{self.name} has no automatic differentiation, so only losses of arrayseg.losses and arrayseg.compat, and "
            f"functools.partial or compounds of them, have gradients there; got {function!r}."
        )
        raise TypeError(msg)

    def fixed_point(self, function: Callable[[Array], Array], value: Array, /) -> Array:
        """Apply a function to the value, to the result, and so on, until nothing changes."""
        while True:
            following = function(value)
            if not bool(self.xp.any(following != value)):
                return following
            value = following

    # The block driver.

    def block_bytes(self, array: Array, /) -> int | None:
        """Return the bytes of one block of pixels in the compute dtype; None means the whole array is one block."""
        return None

    def parallel_map(self, function: Callable[[Item], Result], items: Sequence[Item], /) -> list[Result]:
        """Return the results of a function for all items, in order; adapters may use several threads."""
        return [function(item) for item in items]

    # Measurement.

    def synchronize(self, *arrays: Array) -> None:
        """Wait until the device has computed the arrays."""

    def measure_peak(self, function: Callable[[], Result], /) -> tuple[Result, int | None]:
        """Return the result of a call and its peak memory in bytes, or None if the library keeps no record."""
        return function(), None


def slowest_first(strides: Sequence[int]) -> tuple[int, ...]:
    """Return the axes from the slowest to the fastest in memory; a repeated axis, with stride 0, is slow."""
    return tuple(sorted(range(len(strides)), key=lambda axis: -(abs(strides[axis]) or inf)))
