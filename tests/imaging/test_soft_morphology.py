"""Soft erosion and dilation: the extreme of three neighbors, and the gradient, with ties shared evenly."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from arrayseg.imaging.soft_morphology import dilate, erode, max_pool, min_pool
from arrayseg.testing import finite_differences

GENERATOR = np.random.default_rng(7)


@pytest.mark.parametrize("pool", [min_pool, max_pool])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 6])
def test_pool_is_the_extreme_of_three_neighbors(pool, length):
    values = GENERATOR.normal(size=(2, length, 3))
    found, _ = pool(values, 1, np)
    extreme = np.min if pool is min_pool else np.max
    expected = [extreme(values[:, max(0, i - 1) : i + 2], axis=1) for i in range(length)]
    assert_allclose(found, np.stack(expected, axis=1) if length else values)


@pytest.mark.parametrize("morphology", [erode, dilate])
@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 6), (1, 5)])
def test_pull_back_of_morphology(morphology, shape):
    values = GENERATOR.normal(size=(1, *shape))
    cotangent = GENERATOR.normal(size=values.shape)
    axes = range(1, values.ndim)
    _, pull = morphology(values, axes, np)
    expected = finite_differences(lambda array: (cotangent * morphology(array, axes, np)[0]).sum(), values)
    assert_allclose(pull(cotangent), expected, atol=1e-8)


def test_ties_share_the_gradient_evenly_whatever_differentiates():
    torch = pytest.importorskip("torch")
    values = GENERATOR.integers(0, 2, size=(1, 6, 7)).astype(float)
    cotangent = GENERATOR.normal(size=values.shape)
    from array_api_compat import torch as xp

    for morphology in (erode, dilate):
        _, pull = morphology(values, (1, 2), np)
        tensor = torch.tensor(values, requires_grad=True)
        morphology(tensor, (1, 2), xp)[0].backward(torch.tensor(cotangent))
        assert_allclose(pull(cotangent), tensor.grad, atol=1e-14)
        assert_allclose(pull(cotangent).sum(), cotangent.sum())
