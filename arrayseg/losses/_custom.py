"""Pixel losses from a user's own formula."""

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
from arrayseg.losses._composed import FormulaLoss
from arrayseg.losses._cross_entropy import pixel_plan
from arrayseg.losses._options import PixelOptions

__all__ = ["pixel_loss"]


@raises_here
def pixel_loss(formula: Callable[..., tuple[Array, Array]]) -> Callable[..., Array]:
    r"""Make a pixel loss from a formula of the log-probability.

    The formula φ defines the loss of a pixel: φ(log p_y) for class y, and sum_c t_c φ(log p_c) for a soft target t.
    With "sigmoid" the loss of each class is t φ(log p) + (1 - t) φ(log(1 - p)).

    The loss has every option that pixel losses share (see `cross_entropy`), runs on every backend and has gradients on
    each. On NumPy, CuPy and eager PyTorch they come from the derivative that the formula returns. On JAX and under
    compilers they come from automatic differentiation of the formula's first result.

    Parameters
    ----------
    formula : callable
        ``(log_probability, xp) -> (value, derivative)``.

        `log_probability` is an array of any shape with values of at most 0, and `xp` is the namespace of its library.
        The results have the same shape: φ and its derivative with respect to the log-probability. Keyword-only
        parameters of the formula become options of the loss.

    Returns
    -------
    callable
        The loss, ``(input, target, **options) -> array``, with the name and the docstring of `formula`.

    Raises
    ------
    TypeError
        If the formula has a parameter with the name of an option that all pixel losses have. On the call, if an
        argument has the wrong type or comes from a different array library.
    ValueError
        On the call, if shapes or devices do not match, an option is invalid, or a label is out of range.

    See Also
    --------
    region_loss : Make a region loss from the formula of a score of overlap.

    Notes
    -----
    Log-probabilities range from 0 down to -200 and below. Use ``xp.expm1(l)`` for p - 1, and powers of p instead of
    quotients. Guard a division by a possible 0 with ``where`` on both sides. `arrayseg.testing.assert_gradient`
    compares the derivative with finite differences.

    Examples
    --------
    The squared error of the target's probability is (1 - p)². The exponent becomes an option of the loss:

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
    repeated = set(names) & ({field.name for field in fields(PixelOptions)} | {"input", "target"})
    if repeated:
        msg = f"`{min(repeated)}` is an option of every pixel loss. Rename that parameter of the formula."
        raise TypeError(msg)

    def plan(input: Array, target: Array, **options: Any) -> Plan:
        chosen = {name: options.pop(name) for name in names if name in options}
        return pixel_plan(input, target, partial(formula, **chosen) if chosen else formula, PixelOptions(**options))

    arguments = [p for p in signature(plan).parameters.values() if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    shared = Parameter("options", Parameter.VAR_KEYWORD)
    vars(plan)["__signature__"] = Signature([*arguments, *own, shared])
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(plan, name, getattr(formula, name, None) or getattr(plan, name))
    return FormulaLoss(formula, pixel_loss, loss(PixelOptions)(plan))
