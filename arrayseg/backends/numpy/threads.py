"""Work on several blocks at a time, on threads: NumPy releases the interpreter lock in its loops."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import TypeVar

__all__ = ["parallel_map", "thread_count"]

Result = TypeVar("Result")
Item = TypeVar("Item")


def thread_count() -> int:
    """Return the number of threads: ARRAYSEG_NUM_THREADS, or the processors that this process may use."""
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


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the results of a function for all items, in order, computed by several threads."""
    if len(items) < 2 or (threads := min(thread_count(), len(items))) < 2:
        return list(map(function, items))
    return _shared_out(function, items, threads)


def _shared_out(function: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """Return the results of a function for all items, computed by the caller and by free threads of the pool.

    The caller needs no helper: it works too, and waits only for helpers that have begun. So a call from inside a helper
    ends, and so does a call while the interpreter shuts down, when no thread can start.
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
                places.clear()  # no thread begins another item
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
    """Start `work` on threads of the pool, in the context of the caller, so that `numpy.errstate` holds there too."""
    pool, helpers = thread_pool(thread_count(), os.getpid()), []
    for _ in range(count):
        try:
            helpers.append(pool.submit(copy_context().run, work))
        except RuntimeError:  # no thread can start: the interpreter shuts down, or the system has no more
            break
    return helpers


@lru_cache(maxsize=1)
def thread_pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return the pool of a process. The threads of a parent do not survive a fork, hence the process in the key."""
    return ThreadPoolExecutor(threads, thread_name_prefix="arrayseg")
