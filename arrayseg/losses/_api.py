"""The `loss` decorator, which builds public losses from their plans, and `value_and_grad` and `grad`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, NoReturn, ParamSpec, Protocol, cast

from arrayseg._checks import check_flag
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of
from arrayseg.engine.plan import Plan
from arrayseg.losses._composed import Composed, method_of
from arrayseg.losses._inputs import check_axis_is_clear, plain
from arrayseg.losses._option_names import raise_unknown
from arrayseg.losses._options import Options, described
from arrayseg.losses._paragraphs import LOSS

__all__ = ["LossFunction", "grad", "loss", "plan_of", "value_and_grad"]

Parameters = ParamSpec("Parameters")


class LossFunction(Protocol[Parameters]):
    """A loss: a function or a frozen dataclass of `(input, target, **options)`."""

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Array:
        """Return the loss."""

    def plan(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Plan:
        """Check the arguments and return the plan of the call, which has not computed anything yet."""


def loss(
    family: type[Options], *, without: tuple[str, ...] = ()
) -> Callable[[Callable[Parameters, Plan]], LossFunction[Parameters]]:
    """Decorate a function that returns the plan of a call, and return the loss.

    The `**options` of the function are the fields of the dataclass `family`, except those named in `without` and those
    that are parameters of the function. The signature of the loss shows them. In its docstring, a line `{options}`
    becomes their descriptions, and a line such as `{input}` a paragraph of `arrayseg.losses._paragraphs`.
    """

    def decorate(build: Callable[Parameters, Plan]) -> LossFunction[Parameters]:
        own = [each for each in inspect.signature(build).parameters.values() if each.kind is not each.VAR_KEYWORD]
        excluded = {*without, *(each.name for each in own)}
        shared = [
            inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
            for each in fields(cast(Any, family))
            if each.name not in excluded
        ]
        signature = inspect.Signature([*own, *shared], return_annotation="Array")
        names = frozenset(signature.parameters)
        flags = frozenset(each.name for each in signature.parameters.values() if isinstance(each.default, bool))
        positional = [each.name for each in own if each.kind is not each.KEYWORD_ONLY]
        has_class_axis = "class_axis" in names

        @wraps(build)
        def plan(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Plan:
            if not kwargs.keys() <= names:
                raise_unknown(build.__name__, kwargs.keys() - names, names)
            if len(args) > len(positional):
                _raise_positional(build.__name__, len(args), signature)
            if has_class_axis and "class_axis" not in kwargs and len(args) == len(positional):
                check_axis_is_clear(*args)
            for name in flags & kwargs.keys():
                check_flag(name, kwargs[name])
            return build(*map(plain, positional, args), **{name: plain(name, kwargs[name]) for name in kwargs})

        @raises_here
        @wraps(build)
        def function(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Array:
            call = plan(*args, **kwargs)
            return call.backend.attach(call)

        vars(function).update(plan=plan, __signature__=signature)
        options = described(family, [each.name for each in shared])
        return cast(LossFunction[Parameters], documented({**LOSS, "options": options})(function))

    return decorate


def _raise_positional(name: str, count: int, signature: inspect.Signature) -> NoReturn:
    options = [each.name for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY]
    msg = (
        f"{name} takes `input` and `target` by position; got {count} arguments. Pass options by keyword, as in "
        f"{name}(input, target, {options[0]}=...)."
    )
    raise TypeError(msg)


def plan_of(function: Callable[..., Array]) -> Callable[..., Plan] | None:
    """Return the `plan` method of a loss or of a `functools.partial` of one, or None for any other function."""
    return method_of(function, "plan")


def value_and_grad(function: Callable[..., Array], /) -> Callable[..., tuple[Array, Array]]:
    """Return a function of the same arguments that returns the loss and its gradient with respect to the input.

    On NumPy, CuPy and eager PyTorch, arrayseg computes value and closed-form gradient together, in two sweeps over
    blocks of pixels and without a graph. On JAX and under compilers, the library differentiates the same expression.

    Parameters
    ----------
    function : callable
        A loss of `arrayseg.losses` or `arrayseg.compat`, a `functools.partial` of one, or a compound. If the library
        has automatic differentiation, any function `(input, target, **options)` with a scalar result.

    Returns
    -------
    callable
        `(input, target, **options) -> (value, gradient)`. The gradient has the shape, dtype and device of the input.

    Raises
    ------
    ValueError
        When called with ``reduction="none"``, because only a scalar has a gradient.
    TypeError
        When called, if the function is not a loss of arrayseg and the library has no automatic differentiation.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayseg
    >>> logits = np.zeros((1, 2, 1, 2))  # (N, C, H, W)
    >>> target = np.array([[[0, 1]]])  # (N, H, W)
    >>> value, gradient = arrayseg.value_and_grad(arrayseg.losses.cross_entropy)(logits, target)
    >>> round(float(value), 4), gradient[0, :, 0, :].tolist()
    (0.6931, [[-0.25, 0.25], [0.25, -0.25]])
    """
    return ValueAndGrad(function)


@dataclass(frozen=True, eq=False, repr=False)
class ValueAndGrad(Composed):
    """The function that `value_and_grad` returns: `(input, target, **options) -> (value, gradient)`."""

    loss: Callable[..., Array]

    made_by = "value_and_grad"

    @raises_here
    def __call__(self, input: Array, target: Array, **options: Any) -> tuple[Array, Array]:
        method = method_of(self.loss, "value_and_grad")
        if method is not None:  # a loss with deep supervision, whose input is several arrays
            value, gradients = method(input, target, **options)
            return value, gradients
        build = method_of(self.loss, "plan")
        if build is None:
            return backend_of(input).differentiate(lambda array: self.loss(array, target, **options), input)
        plan = build(input, target, **options)
        if not plan.is_scalar:
            msg = (
                "Cannot differentiate a loss with reduction='none', because the result is not a scalar. Use "
                "reduction='mean' or 'sum'. To weight pixels, pass `pixel_weights`."
            )
            raise ValueError(msg)
        backend: Backend = plan.backend
        return backend.value_and_gradient(plan, lambda array: build(array, target, **options).plain(), input)


def grad(function: Callable[..., Array], /) -> Callable[..., Array]:
    """Return a function of the same arguments that returns the gradient of the loss with respect to the input.

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
        When called with ``reduction="none"``, because only a scalar has a gradient.
    TypeError
        When called, if the function is not a loss of arrayseg and the library has no automatic differentiation.

    See Also
    --------
    value_and_grad : Return the value as well, in the same time.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayseg
    >>> logits = np.zeros((1, 2, 1, 2))  # (N, C, H, W)
    >>> target = np.array([[[0, 1]]])  # (N, H, W)
    >>> arrayseg.grad(arrayseg.losses.cross_entropy)(logits, target)[0, :, 0, :].tolist()
    [[-0.25, 0.25], [0.25, -0.25]]
    """
    return Grad(function)


@dataclass(frozen=True, eq=False, repr=False)
class Grad(Composed):
    """The function that `grad` returns: `(input, target, **options) -> gradient`."""

    loss: Callable[..., Array]

    made_by = "grad"

    @raises_here
    def __call__(self, input: Array, target: Array, **options: Any) -> Array:
        _, gradient = ValueAndGrad(self.loss)(input, target, **options)
        return gradient
