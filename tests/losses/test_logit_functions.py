"""Functions of logits in the backends are correct to a few units in the last place over the whole range."""

from decimal import Decimal, localcontext
from functools import partial

import numpy as np
import pytest

import arrayseg
from arrayseg import losses
from arrayseg.backends import backend_of
from arrayseg.testing import Library, to_numpy

#: Errors that are allowed, in units of the last place.
PLACES = 4

POINTS = [
    0.0,
    -0.0,
    *(sign * size for sign in (-1, 1) for size in (1e-30, 1e-9, 1e-3, 0.3, 1.0, 2.77, 4.96, 9.0, 11.3)),
]
POINTS += [sign * size for sign in (-1, 1) for size in (16.7, 17.5, 20.0, 37.5, 60.0, 79.9, 80.0, 80.3, 87.0)]
RANGES = {"float32": [-88.5, -95.0, -103.0, 88.0, 89.0, 200.0, 1e30], "float64": [-100.0, -700.0, -720.0, 700.0, 720.0]}


def exact(points):
    """The sigmoid, its derivative and log(1 + exp(z)) at every point."""
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 60, -(10**6), 10**6
        rows = []
        for point in points:
            z = Decimal(float(point))
            small = (-abs(z)).exp() if abs(z) < 10**5 else Decimal(0)
            lower, upper = small / (1 + small), 1 / (1 + small)
            series = small - small**2 / 2 if small < Decimal("1e-20") else (1 + small).ln()
            rows.append((lower if z < 0 else upper, lower * upper, max(z, Decimal(0)) + series))
        return [np.array([np.longdouble(str(value)) for value in column]) for column in zip(*rows, strict=True)]


def places(found, expected, dtype, flushed):
    """Return the greatest error in units of the last place; 0 may stand for a subnormal number where `flushed`."""
    found = to_numpy(found).astype(np.longdouble)
    unit = np.spacing(np.abs(expected).astype(dtype)).astype(np.longdouble)
    error = np.abs(found - expected) / unit
    below = np.abs(expected) < np.finfo(dtype).smallest_normal
    return float(np.max(np.where(below & flushed & (np.abs(found) <= np.finfo(dtype).smallest_normal), 0, error)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", ["sigmoid", "sigmoids", "softplus", "log_sigmoid"])
def test_functions_of_logits_are_exact_over_the_whole_range(library: Library, function, dtype):
    if dtype not in library.dtypes:
        pytest.skip(f"{library.name} has no {dtype}")
    points = np.array(POINTS + RANGES[dtype], dtype=dtype)
    points = points[np.abs(points) < np.inf]
    sigmoid, _, softplus = exact(points)
    # XLA makes 0 of numbers below the normal ones, as do torch's own sigmoid and its derivative.
    flushed = "jax" in library.name or ("torch" in library.name and "sigmoid" in function)
    for chosen in (points >= -np.inf, points < 79):  # with and without the numbers whose exponentials are large
        scores = library.asarray(points[chosen], dtype)
        backend = backend_of(scores)
        if function == "softplus":
            value, by_score = backend.functions.softplus(library.asarray(points[chosen], dtype))
            assert places(value, softplus[chosen], dtype, flushed) < PLACES
            assert places(by_score, sigmoid[chosen], dtype, flushed) < PLACES
        elif function == "log_sigmoid":
            assert places(backend.functions.log_sigmoid(-scores), -softplus[chosen], dtype, flushed) < PLACES
        elif function == "sigmoids":
            probability, complement = backend.functions.sigmoids(scores)
            assert places(probability, sigmoid[chosen], dtype, flushed) < PLACES
            assert places(complement, exact(-points)[0][chosen], dtype, flushed) < PLACES
        else:
            assert places(backend.functions.sigmoid(scores), sigmoid[chosen], dtype, flushed) < PLACES


@pytest.mark.parametrize("function", ["sigmoid", "softplus", "log_sigmoid"])
def test_functions_of_infinite_and_undefined_logits(library: Library, function):
    points = library.asarray(np.array([-np.inf, np.inf, np.nan]), library.dtypes[0])
    found = getattr(backend_of(points).functions, function)(points)
    expected = {"sigmoid": [[0, 1]], "softplus": [[0, np.inf], [0, 1]], "log_sigmoid": [[-np.inf, 0]]}[function]
    for array, wanted in zip(found if function == "softplus" else [found], expected, strict=True):
        assert to_numpy(array).tolist()[:2] == wanted
        assert np.isnan(to_numpy(array)[2])


@pytest.mark.parametrize("kind", ["hard", "float"])
def test_binary_losses_keep_their_digits(library: Library, kind):
    """The losses of confident background and foreground, right and wrong, and their derivatives."""
    points = np.array([-80.0, -60.0, -17.5, -9.0, -1e-6, 1e-6, 9.0, 17.5, 60.0, 80.0], dtype=np.float32)
    for label in (0, 1):
        target = library.asarray(np.full((1, 1, points.size), label), "float32" if kind == "float" else None)
        logits = library.asarray(points[None, None], "float32")
        side = points if label == 0 else -points
        sigmoid, _, softplus = exact(side)
        map_of_losses = losses.cross_entropy(logits, target, activation="sigmoid", class_axis=1, reduction="none")
        assert places(map_of_losses[0, :], softplus, "float32", True) < PLACES
        call = {"activation": "sigmoid", "class_axis": 1, "reduction": "sum"}
        gradients = [arrayseg.grad(losses.cross_entropy)(logits, target, **call)]
        if "torch" in library.name:
            by_autodiff = library.xp.func.grad(partial(losses.cross_entropy, target=target, **call))
            gradients.append(by_autodiff(logits))
        for gradient in gradients:
            assert places(gradient[0, 0, :], (1 - 2 * label) * sigmoid, "float32", True) < 2 * PLACES


def test_regions_of_confident_logits_have_their_gradient(library: Library):
    """Dice of nothing, with the background at -20 and at -60: 1 - s / (P + s), and its derivative."""
    for logit in (-20.0, -60.0):
        logits = library.asarray(np.full((1, 1, 64, 64), logit), "float32")
        target = library.asarray(np.zeros((1, 1, 64, 64), dtype=np.uint8))
        p, smooth = np.exp(logit), 1e-8
        amount = 64 * 64 * p
        value, gradient = arrayseg.value_and_grad(losses.dice)(logits, target, activation="sigmoid", smooth=smooth)
        assert float(value) == pytest.approx(amount / (amount + smooth), rel=1e-5, abs=1e-7)
        expected = np.full((1, 1, 64, 64), p * smooth / (amount + smooth) ** 2)
        np.testing.assert_allclose(to_numpy(gradient), expected, rtol=1e-5)
    # Foreground that is sure and right: p is 1 to the last digit, its derivative is not 0.
    logits = library.asarray(np.full((1, 1, 64, 64), 20.0), "float32")
    target = library.asarray(np.zeros((1, 1, 64, 64), dtype=np.uint8))
    _, gradient = arrayseg.value_and_grad(losses.dice)(logits, target, activation="sigmoid", smooth=1.0)
    expected = np.full((1, 1, 64, 64), np.exp(-20.0) / (64 * 64 + 1.0) ** 2)
    np.testing.assert_allclose(to_numpy(gradient), expected, rtol=1e-5)
