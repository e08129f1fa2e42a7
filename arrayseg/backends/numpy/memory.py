"""The effect of the package on the allocator of the process."""

from __future__ import annotations

import os

import numpy as np

__all__ = ["keep_freed_memory"]


def keep_freed_memory() -> None:
    """Make glibc keep up to 64 MB of freed memory per thread, unless ARRAYSEG_KEEP_MEMORY is 0.

    glibc returns freed memory to the system beyond twice the largest mapping that it has seen freed, counting mappings
    up to 32 MB. Without this call, every block page-faults its temporaries again. The confusion matrix of 16.8 million
    pixels with an ignored id then takes 45 to 63 ms of processor time instead of 32 to 40, as
    tests/benchmarks/kept_memory.py prints. Nothing is ever written to the array freed here. Other allocators are not
    affected.
    """
    chosen = os.environ.get("ARRAYSEG_KEEP_MEMORY", "1")
    if chosen not in ("0", "1"):
        msg = (
            f"The environment variable ARRAYSEG_KEEP_MEMORY must be 1 or 0; got {chosen!r}. "
            "Unset it, or set it to 0 to leave the allocator of the process as it is."
        )
        raise ValueError(msg)
    if chosen == "1":
        np.empty(2**25 - 2**16, dtype=np.uint8)
