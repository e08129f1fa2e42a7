"""The Dask adapter: the adapter of the chunks' library counts each chunk, and Dask sums the counts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import array_api_compat.dask.array
import dask.array
import numpy as np

from arrayseg._typing import Array
from arrayseg.backends._dask_private import sample_of
from arrayseg.backends.base import Backend
from arrayseg.backends.counts import Counts
from arrayseg.backends.registry import adapter_of

__all__ = ["DASK", "DaskBackend"]


class DaskCounts(Counts):
    """Counts of chunks, and scores of matrices in chunks."""

    def sum_of_chunks(self, function: Callable[..., Array], /, *arrays: Array | None, batch_axes: int) -> Array:
        axes = tuple(range(next(array.ndim for array in arrays if array is not None)))
        # Counts of no pixels tell the library, dtype and last axes.
        sample = _of_chunks(function, *(None if array is None else sample_of(array) for array in arrays))
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

    def map_matrices(self, function: Callable[..., Array], matrices: Array, /) -> Array:
        leading = matrices.ndim - 2
        # The scores of one matrix of zeros tell the library, dtype and shape.
        sample = _of_chunks(function, np.zeros_like(sample_of(matrices), shape=(1,) * leading + matrices.shape[-2:]))
        scores = sample.shape[leading:]
        return dask.array.apply_gufunc(
            partial(_of_chunks, function),
            "(i,j)->(k)" if scores else "(i,j)->()",
            matrices,
            output_sizes={"k": scores[0]} if scores else None,
            meta=np.asanyarray(sample, like=sample_of(matrices)),
            allow_rechunk=True,
        )


class DaskBackend(Backend):
    """Dask arrays whose chunks belong to any library; nothing is computed here."""

    def __init__(self) -> None:
        super().__init__(array_api_compat.dask.array)
        self.name = "Dask"
        self.counts = DaskCounts(self)

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


def _of_chunks(function: Callable[..., Array], *chunks: Array | None) -> Array:
    """Call a function with the adapter of the chunks' library and the chunks."""
    return function(adapter_of(next(chunk for chunk in chunks if chunk is not None)), *chunks)


def _count_chunk(function: Callable[..., Array], batch_axes: int, *chunks: Array | None) -> Array:
    """Count a chunk, with axes of length 1 for the axes that Dask sums over."""
    counts = _of_chunks(function, *chunks)
    summed = next(chunk.ndim for chunk in chunks if chunk is not None) - batch_axes
    return counts.reshape(counts.shape[:batch_axes] + (1,) * summed + counts.shape[batch_axes:])


DASK = DaskBackend()
