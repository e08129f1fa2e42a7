"""Pixel losses of the user's own formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from inspect import Parameter, Signature, signature
from typing import Any

from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.engine.plan import Plan
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import pixel_plan
from arrayseg.losses._options import PixelOptions

__all__ = ["pixel_loss"]


@raises_here
def pixel_loss(formula: Callable[..., tuple[Array, Array]]) -> Callable[..., Array]:
    r"""A pixel loss of your own, from a formula of the log-probability.

    The loss of a pixel of class y is phi(log p_y); with a soft target t it is sum_c t_c phi(log p_c), and with sigmoid
    t phi(log p) + (1 - t) phi(log(1 - p)) for each class. It has every option that pixel losses share (see
    `cross_entropy`), runs on every backend, and has gradients there: from the derivative that the formula gives on
    NumPy, CuPy and eager PyTorch, and by automatic differentiation of its first result on JAX and under compilers.

    Parameters
    ----------
    formula : callable
        ``(log_probability, xp) -> (value, derivative)``: an array of log-probabilities, of any shape and at most 0, and
        the namespace of its library; the value of the loss there and its derivative in the log-probability, of the same
        shape. Keyword-only parameters of the formula become options of the loss.

    Returns
    -------
    callable
        ``(input, target, **options) -> array``, with the name and the docstring of the formula.

    Raises
    ------
    TypeError
        If the formula has an option that all pixel losses have already.

    See Also
    --------
    region_loss : The same for scores of overlap.

    Notes
    -----
    Log-probabilities go down to -200 and further, and up to 0: take ``xp.expm1(l)`` for p - 1, and powers rather than
    quotients of p. Guard a division that may be by 0 with ``where`` on both sides. `arrayseg.testing.assert_gradient`
    compares the derivative with finite differences.

    Examples
    --------
    The mean squared error of the probability of the target, (1 - p)^2, as an option to a power:

    >>> import numpy as np
    >>> import arrayseg
    >>> from arrayseg.losses import pixel_loss
    >>> from arrayseg.testing import assert_gradient
    >>> @pixel_loss
    ... def missing_probability(log_probability, xp, *, power=2):
    ...     missing = -xp.expm1(log_probability)
    ...     return missing**power, -power * missing ** (power - 1) * (1 - missing)
    >>> logits, ids = np.array([[0.0, 0.0], [0.0, 3.0]]), np.array([1, 0])
    >>> round(float(missing_probability(logits, ids)), 4)
    0.5787
    >>> assert_gradient(missing_probability, logits, ids, power=3, class_weights=(1, 2))
    >>> value, gradient = arrayseg.value_and_grad(missing_probability)(logits, ids, ignore_index=0)
    >>> gradient[0].tolist(), bool((gradient[1] == 0).all())
    ([0.25, -0.25], True)
    """
    own = [p for p in signature(formula).parameters.values() if p.kind is Parameter.KEYWORD_ONLY]
    names = [parameter.name for parameter in own]
    taken = set(names) & ({field.name for field in fields(PixelOptions)} | {"input", "target"})
    if taken:
        msg = f"`{min(taken)}` is an option of every pixel loss; give that of the formula another name."
        raise TypeError(msg)

    def plan(input: Array, target: Array, **options: Any) -> Plan:
        chosen = {name: options.pop(name) for name in names if name in options}
        return pixel_plan(input, target, partial(formula, **chosen) if chosen else formula, PixelOptions(**options))

    arguments = [p for p in signature(plan).parameters.values() if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    rest = Parameter("options", Parameter.VAR_KEYWORD)
    vars(plan)["__signature__"] = Signature([*arguments, *own, rest])
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(plan, name, getattr(formula, name, None) or getattr(plan, name))
    return loss(PixelOptions)(plan)
