"""Errors of the caller end in the caller's line."""

from __future__ import annotations

import dis
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from arrayseg.backends import is_compiling

__all__ = ["raises_here"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def raises_here(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function raise what it refuses as its own error, without the frames of the checks inside.

    Whatever else goes wrong keeps its whole traceback, because it is a fault of the library.
    """

    @wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            if is_compiling() or not _is_refusal(error):
                raise
            raise error.with_traceback(None) from None

    return call


def _is_refusal(error: Exception) -> bool:
    """Return whether a `raise` of this library made the error, not an operation that failed."""
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "")
    operation = trace.tb_frame.f_code.co_code[trace.tb_lasti]
    return module.partition(".")[0] == "arrayseg" and operation == dis.opmap["RAISE_VARARGS"]
