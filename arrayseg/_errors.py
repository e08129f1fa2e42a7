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
    """Return whether a `raise` of this library made the error, without a function of the caller in between."""
    trace, operation = error.__traceback__, None
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        if module.partition(".")[0] != "arrayseg":
            return False
        operation = trace.tb_frame.f_code.co_code[trace.tb_lasti]
        trace = trace.tb_next
    return operation == dis.opmap["RAISE_VARARGS"]
