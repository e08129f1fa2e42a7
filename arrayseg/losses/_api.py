"""From a call of a loss to its value and gradient, by the way that fits the arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, NoReturn, ParamSpec

from arrayseg._checks import check_flag
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.engine.plan import Plan
from arrayseg.losses._composed import Composed, method_of
from arrayseg.losses._inputs import check_axis_is_clear, plain
from arrayseg.losses._option_names import raise_unknown

__all__ = ["grad", "loss", "plan_of", "value_and_grad"]

Parameters = ParamSpec("Parameters")


def loss(
    family: Callable[..., Plan], *, without: tuple[str, ...] = ()
) -> Callable[[Callable[Parameters, Plan]], Callable[Parameters, Array]]:
    """Make a loss of a function that hands its `**options` to a family and returns the family's `Plan`.

    The loss shows the options of the family in its signature, and their descriptions in its docstring in the place
    of `{options}`, so that each is written once. `without` names those that the loss does not take.
    """

    def decorate(build: Callable[Parameters, Plan]) -> Callable[Parameters, Array]:
        signature = _merged_signature(build, family, without)
        options = frozenset(signature.parameters)
        flags = frozenset(name for name, each in signature.parameters.items() if isinstance(each.default, bool))
        places = sum(parameter.kind is not parameter.KEYWORD_ONLY for parameter in signature.parameters.values())

        @raises_here
        @wraps(build)
        def function(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Array:
            plan = checked(*args, **kwargs)
            return plan.backend.attach(plan)

        @wraps(build)
        def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Plan:
            if not kwargs.keys() <= options:
                raise_unknown(build.__name__, kwargs.keys() - options, options)
            if len(args) > places:
                _raise_positional(build.__name__, len(args), signature)
            if "class_axis" in options and "class_axis" not in kwargs and len(args) == places:
                check_axis_is_clear(*args)
            for name, value in kwargs.items():
                if name in flags:
                    check_flag(name, value)
            return build(*[plain(value) for value in args], **{name: plain(value) for name, value in kwargs.items()})

        function.plan = checked  # type: ignore[attr-defined]
        function.__signature__ = signature  # type: ignore[attr-defined]
        function.__doc__ = _merged_docstring(build, family, signature)
        return function

    return decorate


def _merged_signature(
    build: Callable[..., Any], family: Callable[..., Any], without: tuple[str, ...]
) -> inspect.Signature:
    own = [p for p in inspect.signature(build).parameters.values() if p.kind is not p.VAR_KEYWORD]
    taken = {parameter.name for parameter in own} | set(without)
    shared = [p for p in inspect.signature(family).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return inspect.Signature([*own, *(p for p in shared if p.name not in taken)], return_annotation="Array")


def _merged_docstring(
    build: Callable[..., Any], family: Callable[..., Any], signature: inspect.Signature
) -> str | None:
    if build.__doc__ is None or family.__doc__ is None:  # python -OO
        return None
    own = {name for name, p in inspect.signature(build).parameters.items() if p.kind is not p.VAR_KEYWORD}
    lines = inspect.cleandoc(family.__doc__).splitlines()
    entries: dict[str, list[str]] = {}
    for line in lines[lines.index("Parameters") + 2 :]:
        if line and not line.startswith(" "):
            entries[line.partition(" :")[0]] = []
        if entries:
            entries[next(reversed(entries))].append(line)
    shared = [
        line for name, entry in entries.items() if name in signature.parameters and name not in own for line in entry
    ]
    return inspect.cleandoc(build.__doc__).replace("{options}", "\n".join(shared).rstrip())


def _raise_positional(name: str, count: int, signature: inspect.Signature) -> NoReturn:
    named = [each.name for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY]
    msg = (
        f"{name} takes `input` and `target` by position; got {count} arguments. Name the options, as in "
        f"{name}(input, target, {named[0]}=...)."
    )
    raise TypeError(msg)


def plan_of(function: Callable[..., Array]) -> Callable[..., Plan] | None:
    """What a loss evaluates, seen through functools.partial; None for a function that is not one of ours."""
    return method_of(function, "plan")


def value_and_grad(function: Callable[..., Array], /) -> Callable[..., tuple[Array, Array]]:
    """A function of the same arguments that returns the loss and its gradient in the input.

    On NumPy, CuPy and eager PyTorch the gradient is the closed form, made with the value in two sweeps over blocks of
    pixels and without a graph; on JAX and under compilers it is the library's own derivative of the same expression.

    Parameters
    ----------
    function : callable
        A loss of `arrayseg.losses` or `arrayseg.compat`, a `functools.partial` of one, a compound, or, where the
        library has automatic differentiation, any function `(input, target, **options)` with a scalar result.

    Returns
    -------
    callable
        `(input, target, **options) -> (value, gradient)`, the gradient with the shape, dtype and device of the input.

    Raises
    ------
    ValueError
        On the call, if the reduction is `"none"`: a gradient is of a number.
    TypeError
        On the call, if the function is not a loss of arrayseg and the library has no automatic differentiation.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayseg
    >>> logits = np.zeros((1, 2, 1, 2))
    >>> value, gradient = arrayseg.value_and_grad(arrayseg.losses.cross_entropy)(logits, np.array([[[0, 1]]]))
    >>> round(float(value), 4), gradient[0, :, 0, :].tolist()
    (0.6931, [[-0.25, 0.25], [0.25, -0.25]])
    """
    return ValueAndGrad(function)


@dataclass(frozen=True, eq=False, repr=False)
class ValueAndGrad(Composed):
    """The value of a loss and its gradient in the input: `(input, target, **options) -> (value, gradient)`."""

    loss: Callable[..., Array]

    made_by = "value_and_grad"

    @raises_here
    def __call__(self, input: Array, target: Array, **options: Any) -> tuple[Array, Array]:
        own = method_of(self.loss, "value_and_grad")
        if own is not None:  # deep supervision, whose input is several arrays
            value, gradients = own(input, target, **options)
            return value, gradients
        backend = backend_of(input)
        build = plan_of(self.loss)
        if build is None:
            return backend.differentiate(lambda array: self.loss(array, target, **options), input)
        plan = build(input, target, **options)
        if not plan.is_scalar:
            msg = (
                "A gradient is of one number, but reduction='none' gives one for every pixel, image or class. "
                "Use reduction='mean' or 'sum'; to weigh pixels yourself, pass pixel_weights."
            )
            raise ValueError(msg)
        if backend.uses_closed_form(*plan.arrays):
            return backend.value_and_gradient(plan)
        return backend.differentiate(lambda array: build(array, target, **options).plain(), input)


def grad(function: Callable[..., Array], /) -> Callable[..., Array]:
    """A function of the same arguments that returns the gradient of the loss in the input.

    Parameters
    ----------
    function : callable
        As for `value_and_grad`.

    Returns
    -------
    callable
        `(input, target, **options) -> gradient`, with the shape, dtype and device of the input.

    Raises
    ------
    ValueError
        On the call, if the reduction is `"none"`.
    TypeError
        On the call, if the function is not a loss of arrayseg and the library has no automatic differentiation.

    See Also
    --------
    value_and_grad : The same with the value, in the same time.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayseg
    >>> arrayseg.grad(arrayseg.losses.cross_entropy)(np.zeros((1, 2)), np.array([1])).tolist()
    [[0.5, -0.5]]
    """
    return Grad(function)


@dataclass(frozen=True, eq=False, repr=False)
class Grad(Composed):
    """The gradient of a loss in the input: `(input, target, **options) -> gradient`."""

    loss: Callable[..., Array]

    made_by = "grad"

    @raises_here
    def __call__(self, input: Array, target: Array, **options: Any) -> Array:
        _, gradient = ValueAndGrad(self.loss)(input, target, **options)
        return gradient
