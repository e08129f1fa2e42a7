"""Shorten tracebacks of refused arguments, so that they end in the line of the caller."""

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
    """Decorate a function, so that its refusals of arguments hide the frames of its internal checks.

    Any other error keeps its whole traceback, because it is a bug of the library.
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
    """Return whether a `raise` of this library caused the error, with no function of the caller in between."""
    trace, operation = error.__traceback__, None
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        if module.partition(".")[0] != "arrayseg":
            return False
        operation = trace.tb_frame.f_code.co_code[trace.tb_lasti]
        trace = trace.tb_next
    return operation == dis.opmap["RAISE_VARARGS"]
