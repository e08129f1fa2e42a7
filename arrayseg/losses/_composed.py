"""The base class of objects built from losses, which can be printed, compared, copied and pickled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, fields
from functools import partial
from typing import Any, ClassVar, cast

__all__ = ["Composed", "method_of", "shown"]


class Composed:
    """The base class of frozen dataclasses built from losses by a public function, whose arguments are their fields."""

    #: The name of the public function.
    made_by: ClassVar[str]

    def __repr__(self) -> str:
        arguments = [(each, getattr(self, each.name)) for each in self._arguments()]
        keywords = [f"{each.name}={shown(value)}" for each, value in arguments[1:] if value != each.default]
        return f"{self.made_by}({', '.join([shown(arguments[0][1]), *keywords])})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, each.name) for each in self._arguments())

    def _arguments(self) -> list[Field[Any]]:
        return [each for each in fields(cast(Any, self)) if each.init]

    def _key(self) -> Any:
        return _comparable([getattr(self, each.name) for each in self._arguments()])


def shown(value: Any) -> str:
    """Return the source expression of an argument. A loss is shown by its name, without its address."""
    if isinstance(value, partial):
        arguments = [*map(shown, value.args), *(f"{name}={shown(option)}" for name, option in value.keywords.items())]
        return f"partial({', '.join([shown(value.func), *arguments])})"
    if callable(value) and not isinstance(value, Composed) and hasattr(value, "__name__"):
        return str(value.__name__)
    return repr(value)


def method_of(function: Callable[..., Any], name: str) -> Callable[..., Any] | None:
    """Return a method of a loss or of a `functools.partial` of one, or None if it has no such method."""
    if isinstance(function, partial):
        inner = method_of(function.func, name)
        return None if inner is None else partial(inner, *function.args, **function.keywords)
    method: Callable[..., Any] | None = getattr(function, name, None)
    return method


def _comparable(value: Any) -> Any:
    """Return a value that is equal for equal arguments. Partials compare by content, arrays by identity."""
    if isinstance(value, partial):
        return _comparable((value.func, value.args, value.keywords))
    if isinstance(value, dict):
        return tuple((name, _comparable(option)) for name, option in sorted(value.items()))
    if isinstance(value, tuple | list):
        return tuple(_comparable(each) for each in value)
    return id(value) if hasattr(value, "ndim") else value
