"""The Dask adapter, and the two functions that work through chunks: one counts label maps, one scores matrices."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import array_api_compat.dask.array
import dask.array
import numpy as np

from arrayseg._typing import Array
from arrayseg.backends._dask_private import sample_of
from arrayseg.backends.base import Backend
from arrayseg.backends.registry import adapter_of

__all__ = ["DASK", "DaskBackend", "map_matrices", "sum_of_chunks"]


class DaskBackend(Backend):
    """The adapter of Dask arrays, whose chunks are arrays of any library that has an adapter; it computes nothing."""

    has_chunks = True

    def __init__(self) -> None:
        super().__init__(array_api_compat.dask.array)
        self.name = "Dask"

    def device_key(self, array: Array, /) -> Hashable | None:
        chunks = adapter_of(sample_of(array))
        return chunks.name, chunks.device_key(sample_of(array))

    def is_concrete(self, *arrays: Array | None) -> bool:
        return False

    def conversion(self, name: str, like: str, /) -> str:
        return f"dask.array.from_array({name}, chunks={like}.chunks)"

    def to_numpy(self, array: Array, /) -> np.ndarray[Any, Any]:
        values = array.compute()
        return adapter_of(values).to_numpy(values)


DASK = DaskBackend()


def sum_of_chunks(function: Callable[..., Array], /, *arrays: Array | None, batch_axes: int) -> Array:
    """Return the lazy sum of `function(*chunks)` over the chunks of arrays of one shape.

    The sum runs over all axes except the first `batch_axes`, which the function keeps.
    """
    axes = tuple(range(next(array.ndim for array in arrays if array is not None)))
    # Counting no pixels shows the library, the dtype and the last axes of the counts.
    sample = function(*(None if array is None else sample_of(array) for array in arrays))
    last = {len(axes) + place: size for place, size in enumerate(sample.shape[batch_axes:])}
    # Dask aligns chunks that differ.
    counts = dask.array.blockwise(
        _count_chunk,
        (*axes, *last),
        function,
        None,
        batch_axes,
        None,
        *(item for array in arrays for item in (array, None if array is None else axes)),
        new_axes=last,
        adjust_chunks=dict.fromkeys(axes[batch_axes:], 1),
        meta=sample,
    )
    return counts.sum(axis=axes[batch_axes:]) if axes[batch_axes:] else counts


def _count_chunk(function: Callable[..., Array], batch_axes: int, *chunks: Array | None) -> Array:
    """Return the counts of a chunk, with an axis of length 1 for each axis that is summed later."""
    counts = function(*chunks)
    summed = next(chunk.ndim for chunk in chunks if chunk is not None) - batch_axes
    return counts.reshape(counts.shape[:batch_axes] + (1,) * summed + counts.shape[batch_axes:])


def map_matrices(function: Callable[[Array], Array], matrices: Array, /) -> Array:
    """Return `function` of matrices `(..., C, C)`, lazily; its results have shape `(...)` or `(..., K)`.

    Chunks are made to hold whole matrices.
    """
    leading = matrices.ndim - 2
    # A matrix of zeros shows the library, the dtype and the shape of the scores.
    sample = function(np.zeros_like(sample_of(matrices), shape=(1,) * leading + matrices.shape[-2:]))
    scores = sample.shape[leading:]
    return dask.array.apply_gufunc(
        function,
        "(i,j)->(k)" if scores else "(i,j)->()",
        matrices,
        output_sizes={"k": scores[0]} if scores else None,
        meta=np.asanyarray(sample, like=sample_of(matrices)),
        allow_rechunk=True,
    )
