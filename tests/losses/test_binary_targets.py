"""Hard targets of independent classes: packed bits in the adapters, and scores of any size."""

import numpy as np
import pytest
from tolerances import FLOAT64, FLOAT64_GRADIENT

from arrayseg import value_and_grad
from arrayseg.backends import backend_of
from arrayseg.losses import binary_cross_entropy, dice
from arrayseg.testing import relative_difference, to_numpy

GENERATOR = np.random.default_rng(2)
LOGITS = GENERATOR.normal(size=(3, 1, 5, 7))
BITS = GENERATOR.integers(0, 2, size=(3, 5, 7))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reach", [1.0, 79.0, 81.0, 1e4])
def test_softplus_and_its_slope(library, dtype, reach):
    # Relative to each number, on both sides of where exponentials overflow; numbers too small for the dtype may be 0.
    scores = (np.linspace(-1, 1, 41) * reach).astype(dtype)
    tiny = np.finfo(dtype).smallest_normal
    functions = backend_of(library.asarray(scores)).functions
    exact = scores.astype(np.longdouble)
    value, slope = (to_numpy(array) for array in functions.softplus(library.asarray(scores)))
    log_probability = to_numpy(functions.log_sigmoid(library.asarray(-scores)))
    with np.errstate(over="ignore"):
        softplus, sigmoid = np.logaddexp(exact, 0), 1 / (1 + np.exp(-exact))
    tolerance = 20 * np.finfo(dtype).eps
    for found, expected in ((value, softplus), (-log_probability, softplus), (slope, sigmoid)):
        assert found.dtype == scores.dtype
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tiny)


@pytest.mark.parametrize("loss", [binary_cross_entropy, dice])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int32", "uint32", "int64", "uint64"])
def test_targets_of_any_integer_dtype(library, loss, dtype):
    options = {"activation": "sigmoid"} if loss is dice else {}
    expected = value_and_grad(loss)(LOGITS, BITS.astype(np.float64)[:, None], **options)
    target = library.asarray(BITS.astype(dtype))
    for found, wanted in zip(value_and_grad(loss)(library.asarray(LOGITS), target, **options), expected, strict=True):
        assert relative_difference(to_numpy(found), wanted) < FLOAT64_GRADIENT


@pytest.mark.parametrize("lay", [np.asfortranarray, lambda a: a.astype(">i8"), lambda a: np.repeat(a, 2, 0)[::2]])
def test_targets_of_any_strides_and_byte_order(lay):
    expected = value_and_grad(binary_cross_entropy)(LOGITS, BITS)
    for found, wanted in zip(value_and_grad(binary_cross_entropy)(LOGITS, lay(BITS)), expected, strict=True):
        assert relative_difference(found, wanted) < FLOAT64


@pytest.mark.parametrize("wrong", [2, 256, -1, -255, 2**32])
def test_no_label_becomes_another_one(library, wrong):
    # 256 has the low byte of 0, and -255 that of 1.
    target = BITS.copy()
    target[1, 2, 3] = wrong
    with pytest.raises(ValueError, match="must hold 0 and 1"):
        binary_cross_entropy(library.asarray(LOGITS), library.asarray(target))
    target = library.asarray(target)
    value = binary_cross_entropy(library.asarray(LOGITS), target, mask=(target == 0) | (target == 1))
    keep = np.ones(BITS.shape, dtype=bool)
    keep[1, 2, 3] = False
    assert relative_difference(to_numpy(value), binary_cross_entropy(LOGITS, BITS, mask=keep)) < FLOAT64
