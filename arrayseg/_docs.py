"""Share paragraphs between docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["documented"]

Function = TypeVar("Function", bound=Callable[..., object])


def documented(paragraphs: Mapping[str, str]) -> Callable[[Function], Function]:
    """Decorate a function, so that each docstring line `{name}` becomes the paragraph of that name.

    The paragraph is indented as the line is. A line that names no paragraph stays, as the docstring may be a user's.
    """

    def decorate(function: Function) -> Function:
        if function.__doc__ is not None:  # python -OO
            function.__doc__ = re.sub(
                r"^( *)\{(\w+)\}$",
                lambda line: _indented(paragraphs.get(line[2], line[0].strip()), line[1]),
                inspect.cleandoc(function.__doc__),
                flags=re.MULTILINE,
            )
        return function

    return decorate


def _indented(paragraph: str, indent: str) -> str:
    return "\n".join(f"{indent}{line}" if line else line for line in inspect.cleandoc(paragraph).splitlines())
