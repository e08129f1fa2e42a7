"""NaN in what any loss takes: it shows in value and gradient where it is read, and does nothing where it is not."""

from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
from scenes import one_hot
from tolerances import FLOAT64

import arrayseg
from arrayseg import losses
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
    """Return the value alone, the value that comes with the gradient, and the gradient."""
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


def on_every_path(library, function, arguments):
    """The values and gradients in blocks, and of the expression that transforms and compilers take."""
    with np.errstate(invalid="ignore"):  # of the gradient of an infinite loss
        alone, value, gradient = evaluated(library, function, arguments)
    found = [(alone, gradient), (value, gradient)]
    if "torch" in library.name and function is not losses.semantic_connectivity:
        torch = pytest.importorskip("torch")
        arrays = {key: library.asarray(v) if isinstance(v, np.ndarray) else v for key, v in arguments.items()}
        input, target = arrays.pop("input"), arrays.pop("target")
        gradient, value = torch.func.grad_and_value(lambda scores: function(scores, target, **arrays))(input)
        found.append((float(value), to_numpy(gradient)))
    return found


#: Losses of directions of vectors and of differences of logits, which infinite logits do not have; and of no logits.
NOT_OF_INFINITE = ("active_boundary", "affinity_field", "focal_cosine", "nll")


@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_OF_INFINITE])
def test_an_infinite_binary_logit_is_the_limit_of_finite_ones(library, name):
    """Where the limit is finite so is its gradient, the same on every path."""
    case = CASES[name]
    options = dict(case.options) if name == "lovasz_hinge" else {**case.options, "activation": "sigmoid"}
    ids = np.array(case.target)
    ids[ROW] = 1
    for target in (ids, one_hot(ids, 4), SHARES):
        arguments = {"input": case.input, "target": target, **options}
        for sign in (-1, 1):
            for place in ((0, 1, 2, 3), (0, 2, 2, 3)):  # of the target's class and of another
                near, far = (
                    arrayseg.value_and_grad(case.function)(**spoiled(arguments, "input", place, sign * size))
                    for size in (1e12, 1e15)
                )
                grows = abs(far[0] - near[0]) > 1e-6 * abs(near[0])
                limit = np.sign(far[0] - near[0]) * np.inf if grows else far[0]
                infinite = spoiled(arguments, "input", place, sign * np.inf)
                for value, gradient in on_every_path(library, case.function, infinite):
                    assert value == pytest.approx(float(limit), rel=1e-8)
                    if not grows:
                        np.testing.assert_allclose(gradient, far[1], rtol=1e-6, atol=FLOAT64)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize(
    "name", [name for name in CASES if name not in ("focal_cosine", "neighbor_aware_cross_entropy")]
)
def test_a_class_that_cannot_be_changes_nothing(library, name, activation):
    """A class whose logit is -inf everywhere, and that the target lacks, is one whose logit is -1000."""
    case = CASES[name]
    options = dict(case.options)
    if "activation" in case.function.__signature__.parameters:
        options["activation"] = "sigmoid" if name in SIGMOID_ONLY else activation
    never = np.where(np.arange(4)[:, None, None] == 2, -np.inf, case.input)
    shares = np.where(np.arange(4)[:, None, None] == 2, 0, SHARES)
    for target in (np.where(case.target == 2, 0, case.target), shares / shares.sum(axis=1, keepdims=True)):
        arguments = {"input": np.maximum(never, -1000), "target": target, **options}
        expected, slope = arrayseg.value_and_grad(case.function)(**arguments)
        for value, gradient in on_every_path(library, case.function, {**arguments, "input": never}):
            assert value == pytest.approx(float(expected), rel=1e-9)
            np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=FLOAT64)


def no_nan(library):
    """A context in which NaN on the way to a result raises; that of NumPy is pytest's, which raises at warnings."""
    return pytest.importorskip("jax").debug_nans(True) if "jax" in library.name else nullcontext()


@pytest.mark.parametrize("name", CASES)
def test_finite_inputs_make_no_nan_on_the_way(library, name):
    """Nor do absent classes and images without a valid pixel."""
    case = CASES[name]
    ignores = "ignore_index" in case.function.__signature__.parameters
    options = {**case.options, "ignore_index": 255} if ignores else case.options
    for target in (case.target, case.target % 2, np.full_like(case.target, 255 if ignores else 0)):
        with no_nan(library):
            found = evaluated(library, case.function, {"input": case.input, "target": target, **options})
        assert all(np.isfinite(part).all() for part in found)
