"""Soft skeletons: the center line of a bar, in bytes as in numbers, and the gradient."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from arrayseg.imaging.skeletons import pull_soft_skeleton, soft_skeleton
from arrayseg.testing import finite_differences

GENERATOR = np.random.default_rng(7)


def test_skeleton_of_a_bar_is_its_center_line():
    bar = np.zeros((1, 1, 7, 12), dtype=np.uint8)
    bar[..., 2:5, 1:11] = 1
    skeleton = soft_skeleton(bar, 3, (2, 3), np)
    assert skeleton.dtype == np.uint8
    assert skeleton[0, 0, 3, 2:10].all()
    assert skeleton[0, 0, 2, 3:9].sum() == skeleton[0, 0, 4, 3:9].sum() == 0


def test_skeleton_in_bytes_is_that_in_numbers():
    mask = GENERATOR.integers(0, 2, size=(1, 2, 9, 8))
    skeletons = [soft_skeleton(mask.astype(dtype), 2, (2, 3), np) for dtype in (np.uint8, np.float64)]
    assert_allclose(*skeletons)


@pytest.mark.parametrize("shape", [(1, 1, 6, 5), (1, 1, 3, 4, 5)])
def test_pull_back_of_the_skeleton(shape):
    values, cotangent = GENERATOR.random(shape), GENERATOR.normal(size=shape)
    axes = range(2, len(shape))
    expected = finite_differences(lambda array: (cotangent * soft_skeleton(array, 2, axes, np)).sum(), values)
    assert_allclose(pull_soft_skeleton(values, cotangent, 2, axes, np), expected, atol=1e-8)
