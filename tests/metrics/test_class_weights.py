"""Class weights by their formulas; a class without pixels weighs nothing."""

from functools import partial

import numpy as np
import pytest

from arrayseg import class_weights
from arrayseg.testing import to_numpy

COUNTS = np.asarray([600, 200, 0, 150, 50])
FREQUENCIES = COUNTS / 1000
PRESENT = COUNTS > 0
FORMULAS = {
    "inverse_frequency": (class_weights.inverse_frequency, lambda f, n: 1 / f),
    "complement_frequency": (class_weights.complement_frequency, lambda f, n: (1000 - n) / 1000),
    "median_frequency": (class_weights.median_frequency, lambda f, n: np.median(f) / f),
    "log_frequency": (class_weights.log_frequency, lambda f, n: 1 / np.log(1.02 + f)),
    "effective_number": (
        partial(class_weights.effective_number, beta=0.99),
        lambda f, n: (1 - 0.99) / (1 - 0.99**n),
    ),
}


def expected(formula):
    weights = np.zeros(5)
    weights[PRESENT] = formula(FREQUENCIES[PRESENT], COUNTS[PRESENT])
    return weights


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", ["int64", "int32", "float64"])
def test_formulas(library, name, dtype):
    function, formula = FORMULAS[name]
    weights = to_numpy(function(library.asarray(COUNTS, dtype)))
    assert weights.dtype == np.float64
    np.testing.assert_allclose(weights, expected(formula), rtol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_normalization(library, name):
    function, formula = FORMULAS[name]
    weights = expected(formula)
    counts = library.asarray(COUNTS)
    np.testing.assert_allclose(to_numpy(function(counts, normalize="sum")), weights / weights.sum(), rtol=1e-12)
    mean = weights[PRESENT].mean()
    np.testing.assert_allclose(to_numpy(function(counts, normalize="mean")), weights / mean, rtol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("normalize", [None, "mean", "sum"])
def test_without_pixels_all_weights_are_zero(library, name, normalize):
    weights = FORMULAS[name][0](library.asarray(np.zeros(3, dtype=int)), normalize=normalize)
    np.testing.assert_array_equal(to_numpy(weights), 0)


def test_median_of_the_images_that_have_the_class(library):
    # Eigen and Fergus divide by the pixels of the images in which the class is; four classes have two in the middle.
    image_pixels = np.asarray([1000, 400, 0, 300, 500])
    frequencies = COUNTS[PRESENT] / image_pixels[PRESENT]
    weights = np.zeros(5)
    weights[PRESENT] = np.median(frequencies) / frequencies
    given = class_weights.median_frequency(library.asarray(COUNTS), image_pixels=library.asarray(image_pixels))
    np.testing.assert_allclose(to_numpy(given), weights, rtol=1e-12)


def test_effective_number_limits(library):
    counts = library.asarray(COUNTS)
    np.testing.assert_array_equal(to_numpy(class_weights.effective_number(counts, beta=0)), PRESENT)
    almost = class_weights.effective_number(counts, beta=1 - 1e-12, normalize="sum")
    inverse = class_weights.inverse_frequency(counts, normalize="sum")
    np.testing.assert_allclose(to_numpy(almost), to_numpy(inverse), rtol=1e-8)


def test_pixel_counts(library):
    target = np.asarray([[[0, 0, 1], [2, 255, 0]], [[2, 2, 2], [0, 255, 255]]], dtype=np.uint8)
    options = {"num_classes": 4, "ignore_index": 255}
    counts = class_weights.pixel_counts(library.asarray(target), **options)
    np.testing.assert_array_equal(to_numpy(counts), [4, 1, 4, 0])
    mask = library.asarray(target != 0)
    np.testing.assert_array_equal(
        to_numpy(class_weights.pixel_counts(library.asarray(target), mask=mask, **options)), [0, 1, 4, 0]
    )
    with pytest.raises(ValueError, match="`target` has the label 255"):
        class_weights.pixel_counts(library.asarray(target), num_classes=4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: class_weights.inverse_frequency(n, normalize="max"), "`normalize` must be"),
        (lambda n: class_weights.log_frequency(n, offset=1.0), "`offset` must be greater than 1; got 1.0"),
        (lambda n: class_weights.effective_number(n, beta=1.0), "`beta` must be from 0 to just under 1"),
        (lambda n: class_weights.inverse_frequency(n[None, :]), r"`counts` must have shape \(C,\)"),
    ],
)
def test_what_does_not_fit_raises(library, call, message):
    with pytest.raises(ValueError, match=message):
        call(library.asarray(COUNTS))


@pytest.mark.compile
def test_jit():
    jax = pytest.importorskip("jax")
    for function, formula in FORMULAS.values():
        np.testing.assert_allclose(
            np.asarray(jax.jit(function)(jax.numpy.asarray(COUNTS))), expected(formula), rtol=1e-12
        )


@pytest.mark.parametrize(
    ("function", "option", "number"),
    [(class_weights.effective_number, "beta", 0.9), (class_weights.log_frequency, "offset", 1.5)],
)
def test_numbers_may_be_traced(function, option, number):
    jax = pytest.importorskip("jax")
    counts, step = np.asarray([6, 2, 0]), 1e-6
    on_device = jax.numpy.asarray(counts)

    def total(value):
        return function(on_device, **{option: value}).sum()

    below, expected, above = (function(counts, **{option: number + move}).sum() for move in (-step, 0, step))
    tolerance = 1e-6 if jax.config.jax_enable_x64 else 1e-4
    np.testing.assert_allclose(jax.jit(total)(number), expected, rtol=tolerance)
    np.testing.assert_allclose(jax.grad(total)(number), (above - below) / (2 * step), rtol=tolerance)
