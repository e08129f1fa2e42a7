"""Gradients checked against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from arrayseg._typing import Array
from arrayseg.losses._api import value_and_grad
from arrayseg.testing._parity import relative_difference

__all__ = ["assert_gradient", "finite_differences"]


def finite_differences(function: Callable[[Array], Array], array: Array, *, step: float = 1e-6) -> Array:
    """The gradient of a scalar function of a NumPy array, by central differences.

    Parameters
    ----------
    function : callable
        From an array to a number.
    array : numpy.ndarray
        Where to differentiate, float64.
    step : float, default 1e-6
        Half the distance of the two values.

    Returns
    -------
    numpy.ndarray
        Of the array's shape, right to about 1e-9 for values of order 1.

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
            moved = array.copy()
            moved[index] += sign * step
            values.append(float(function(moved)))
        gradient[index] = (values[0] - values[1]) / (2 * step)
    return gradient


def assert_gradient(
    loss: Callable[..., Array], input: Array, target: Array, *, tolerance: float = 1e-6, **options: Any
) -> None:
    """Assert that a loss's closed-form gradient is that of central differences.

    Parameters
    ----------
    loss : callable
        A loss of arrayseg.
    input, target : numpy.ndarray
        Its arguments; the input float64 and small, as every element is moved twice.
    tolerance : float, default 1e-6
        The largest relative difference.
    **options
        The options of the loss.

    Raises
    ------
    AssertionError
        If the two differ by more.

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
        msg = f"The gradient of {loss!r} is off central differences by {difference:.1e}; {tolerance:.0e} is allowed."
        raise AssertionError(msg)
