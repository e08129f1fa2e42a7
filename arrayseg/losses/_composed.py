"""The base class of objects built from losses, which can be printed, compared, copied and pickled."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from functools import partial
from types import MethodType
from typing import Any, ClassVar, cast

from arrayseg._errors import raises_here

__all__ = ["Composed", "FormulaLoss", "method_of", "shown"]


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


@dataclass(frozen=True, eq=False, repr=False)
class FormulaLoss(Composed):
    """A loss of a user's formula, with the name, docstring and signature of the function that computes it."""

    formula: Callable[..., Any]
    maker: Callable[..., Callable[..., Any]]
    """The public function that made the loss, `pixel_loss` or `region_loss`."""
    function: Callable[..., Any]

    def __post_init__(self) -> None:
        names = ("__name__", "__qualname__", "__module__", "__doc__", "__signature__", "plan")
        vars(self).update({name: getattr(self.function, name) for name in names})

    @raises_here
    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.function(*args, **options)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind like a function, so that `help` shows the signature as for a function."""
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"{self.maker.__name__}({shown(self.formula)})"

    def __reduce__(self) -> Any:
        """Return the name of a decorated loss, which hides the formula of that name, or else the call that made it."""
        path: str = vars(self)["__qualname__"]
        named: object = sys.modules.get(vars(self)["__module__"])
        for name in path.split("."):
            named = getattr(named, name, None)
        return path if named is self else (self.maker, (self.formula,))

    def _key(self) -> Any:
        return _comparable((self.maker, self.formula))


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
