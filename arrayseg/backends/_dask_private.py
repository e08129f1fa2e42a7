"""The private interfaces of Dask that the package uses, tried with Dask 2026.8."""

from __future__ import annotations

from arrayseg._typing import Array

__all__ = ["sample_of"]


def sample_of(array: Array) -> Array:
    """Return an array without pixels, of the library, device and dtype of the chunks.

    Dask documents `_meta` for authors of collections; there is no public name for it.
    """
    return array._meta
