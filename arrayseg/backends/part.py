"""What an adapter offers its parts, and the base class of the parts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from arrayseg._typing import Array, DType, Namespace

__all__ = ["Adapter", "Part"]


class Adapter(Protocol):
    """The methods of `Backend` that the modules below it call; `Backend` documents them."""

    @property
    def xp(self) -> Namespace: ...

    def device(self, array: Array, /) -> Any: ...

    def is_concrete(self, *arrays: Array | None) -> bool: ...

    def reading(self) -> AbstractContextManager[object]: ...

    def enable_64_bits(self, *arrays: Array | None) -> AbstractContextManager[object]: ...

    def asarray(self, values: Any, /, *, dtype: DType, like: Array) -> Array: ...

    def to_numpy(self, array: Array, /) -> np.ndarray[Any, Any]: ...

    def sum_dtype(self, array: Array, /) -> DType: ...

    def count_dtype(self, array: Array, /) -> DType: ...

    def fixed_point(self, function: Callable[[Array], Array], value: Array, /) -> Array: ...


class Part:
    """The methods of an adapter on one topic, such as its sums.

    Parameters
    ----------
    adapter : Adapter
        The adapter that the part belongs to.
    """

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter

    @property
    def xp(self) -> Namespace:
        """The Array API namespace of the library."""
        return self.adapter.xp
