"""NaN in what any loss takes: it shows in value and gradient where it is read, and does nothing where it is not."""

from functools import partial

import numpy as np
import pytest

import arrayseg
from arrayseg.testing import loss_cases, to_numpy

GENERATOR = np.random.default_rng(0)
SHAPE = (2, 4, 5, 7)
ROWS = (2, 5, 7)
#: The pixel with NaN, in arrays with and without classes.
CUBE, ROW = (0, 1, 2, 3), (0, 2, 3)
SHARES = np.moveaxis(GENERATOR.dirichlet(np.ones(4), size=ROWS), -1, 1).copy()
CENTERS = np.stack(np.meshgrid((np.arange(5) + 0.5) / 5, (np.arange(7) + 0.5) / 7, indexing="ij"), -1).reshape(1, -1, 2)

#: Arrays that losses take as options, of pixels and of classes.
OF_PIXELS = {
    "pixel_weights": GENERATOR.random(ROWS),
    "distance": GENERATOR.random(ROWS),
    "field": GENERATOR.random(SHAPE),
    "skeleton_map": GENERATOR.random(SHAPE),
}
OF_CLASSES = ("alpha", "class_weights", "pos_weight")

SIGMOID_ONLY = ("asymmetric", "balanced_binary_cross_entropy", "binary_cross_entropy", "quality_focal")
CASES = {case.name: case for case in loss_cases() if "," not in case.name}


def calls(case):
    """The case with each array that it takes in turn: what it is called, all arguments, and where NaN belongs."""
    parameters = case.function.__signature__.parameters
    options = dict(case.options)
    if "points" in options:
        options["points"] = np.repeat(CENTERS, 2, axis=0)
    for activation in ("softmax", "sigmoid") if "activation" in parameters else (None,):
        if activation is not None:
            options["activation"] = activation
        if case.name in SIGMOID_ONLY and activation == "softmax":
            continue
        yield "input", {"input": case.input, "target": case.target, **options}, CUBE
        yield "target", {"input": case.input, "target": SHARES, **options}, CUBE
        for name, array in OF_PIXELS.items():
            if name not in parameters or isinstance(parameters[name].default, int | str):
                continue
            own = options.get(name, array)
            yield (
                name,
                {"input": case.input, "target": case.target, **options, name: own},
                CUBE if own.ndim == 4 else ROW,
            )
        for name in OF_CLASSES:
            if name in parameters and "Weights" in str(parameters[name].annotation):
                yield name, {"input": case.input, "target": case.target, **options, name: np.arange(1.0, 5.0)}, 1


def spoiled(arguments, name, place, number):
    array = arguments[name].copy()
    array[place] = number
    return {**arguments, name: array}


def evaluated(library, function, arguments):
    """The value alone, the value beside the gradient, and the gradient."""
    arrays = {key: library.asarray(each) if isinstance(each, np.ndarray) else each for key, each in arguments.items()}
    input, target = arrays.pop("input"), arrays.pop("target")
    value, gradient = arrayseg.value_and_grad(partial(function, **arrays))(input, target)
    return float(function(input, target, **arrays)), float(value), to_numpy(gradient)


@pytest.mark.parametrize("name", CASES)
def test_nan_in_is_nan_out(library, name):
    for what, arguments, place in calls(CASES[name]):
        alone, value, gradient = evaluated(library, CASES[name].function, spoiled(arguments, what, place, np.nan))
        assert np.isnan(alone), what
        assert np.isnan(value), what
        # Of a loss that is linear in its input the derivative reads no input.
        assert np.isnan(gradient).any() or (name, what) == ("nll", "input"), what


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if "mask" in case.function.__signature__.parameters]
)
def test_nan_does_nothing_where_nothing_counts(library, name):
    mask = np.ones(ROWS, dtype=bool)
    mask[ROW] = False
    for what, arguments, place in calls(CASES[name]):
        if place == 1 or (name, what) == ("point_sampled_cross_entropy", "input"):
            continue  # a class counts everywhere; points are interpolated between masked pixels too
        arguments["mask"] = mask
        unknown = evaluated(library, CASES[name].function, spoiled(arguments, what, place, np.nan))
        known = evaluated(library, CASES[name].function, spoiled(arguments, what, place, 0.5))
        for found, expected in zip(unknown, known, strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=what)
