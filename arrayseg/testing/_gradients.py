"""Check gradients against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from arrayseg._typing import Array
from arrayseg.losses._api import value_and_grad
from arrayseg.testing._parity import relative_difference

__all__ = ["assert_gradient", "finite_differences"]


def finite_differences(function: Callable[[Array], Array], array: Array, *, step: float = 1e-6) -> Array:
    """Compute the gradient of a scalar function of a NumPy array by central differences.

    Parameters
    ----------
    function : callable
        A function from an array to a number.
    array : numpy.ndarray
        The point at which to differentiate, float64.
    step : float, default 1e-6
        Half the distance between the two points of a difference.

    Returns
    -------
    numpy.ndarray
        The gradient, accurate to about 1e-9 for values of order 1, in the shape of `array`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.testing import finite_differences
    >>> finite_differences(lambda x: (x**2).sum(), np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    """
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        values = []
        for sign in (1, -1):
            shifted = array.copy()
            shifted[index] += sign * step
            values.append(float(function(shifted)))
        gradient[index] = (values[0] - values[1]) / (2 * step)
    return gradient


def assert_gradient(
    loss: Callable[..., Array], input: Array, target: Array, *, tolerance: float = 1e-6, **options: Any
) -> None:
    """Assert that the closed-form gradient of a loss agrees with central differences.

    Parameters
    ----------
    loss : callable
        A loss of arrayseg.
    input, target : numpy.ndarray
        The arguments of the loss. The input is float64 and small, because the loss is evaluated twice per element.
    tolerance : float, default 1e-6
        The largest allowed relative difference.
    **options : object
        The options of the loss.

    Raises
    ------
    AssertionError
        If the gradients differ by more than `tolerance`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import dice
    >>> from arrayseg.testing import assert_gradient
    >>> assert_gradient(dice, np.array([[[0.1, -0.4], [0.3, 0.8]]]), np.array([[0, 1]]))
    """
    _, gradient = value_and_grad(loss)(input, target, **options)
    difference = relative_difference(gradient, finite_differences(lambda x: loss(x, target, **options), input))
    if difference > tolerance:
        msg = (
            f"The gradient of {loss!r} differs from central differences by {difference:.1e}, relative; "
            f"{tolerance:.0e} is allowed."
        )
        raise AssertionError(msg)
