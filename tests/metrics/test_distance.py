"""The distance transform is exact on every backend, compiled or not, with or without SciPy."""

import sys
from itertools import product

import numpy as np
import pytest

from arrayseg.backends import backend_of
from arrayseg.backends.fallbacks.distance import separable_distance_transform
from arrayseg.testing import to_numpy

SHAPES = {(17,): (0.7,), (9, 14): (2.0, 0.75), (5, 8, 7): (2.5, 0.8, 1.1)}


def brute_force(mask, spacing):
    """The definition: the least of the distances to all the False elements."""
    outside = np.argwhere(~mask) * spacing
    distances = np.zeros(mask.shape)
    for position in product(*map(range, mask.shape)):
        if mask[position]:
            offsets = outside - np.multiply(position, spacing)
            distances[position] = np.sqrt(np.sum(offsets**2, axis=1)).min(initial=np.inf)
    return distances


def tolerance(dtype):
    return 1e-12 if "float64" in str(dtype) else 2e-6


@pytest.mark.parametrize(("shape", "spacing"), SHAPES.items(), ids=["1d", "2d", "3d"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.97, 1.0])
def test_equals_the_definition(library, shape, spacing, share):
    mask = np.random.default_rng(0).random(shape) < share
    array = library.asarray(mask)
    backend = backend_of(array)
    expected = brute_force(mask, spacing)
    for distances in (
        backend.masks.distance_transform(array, spacing=spacing),
        separable_distance_transform(backend, array, spacing),
    ):
        assert distances.dtype == backend.sum_dtype(array)
        np.testing.assert_allclose(to_numpy(distances), expected, rtol=tolerance(distances.dtype))


def test_batches_are_images_apart(library):
    masks = np.random.default_rng(1).random((2, 3, 6, 11)) < 0.9
    masks[1, 2] = True
    masks[0, 1] = False
    array = library.asarray(masks)
    distances = to_numpy(backend_of(array).masks.distance_transform(array, spacing=(1.0, 3.0)))
    expected = np.array([[brute_force(mask, (1.0, 3.0)) for mask in row] for row in masks])
    np.testing.assert_allclose(distances, expected, rtol=tolerance(distances.dtype))
    assert np.all(distances[1, 2] == np.inf)


def test_strips_change_nothing(monkeypatch):
    mask = np.random.default_rng(2).random((13, 10)) < 0.95
    backend = backend_of(mask)
    whole = separable_distance_transform(backend, mask, (1.0, 1.5))
    monkeypatch.setattr("arrayseg.backends.fallbacks.distance.STRIP_SIZE", 300)
    np.testing.assert_array_equal(separable_distance_transform(backend, mask, (1.0, 1.5)), whole)


def test_no_element_no_distance(library):
    array = library.asarray(np.zeros((0, 4), dtype=bool))
    assert tuple(backend_of(array).masks.distance_transform(array, spacing=(1.0, 1.0)).shape) == (0, 4)
    array = library.asarray(np.zeros((3, 0), dtype=bool))
    assert tuple(separable_distance_transform(backend_of(array), array, (1.0, 1.0)).shape) == (3, 0)


def test_numpy_does_without_scipy(monkeypatch):
    mask = np.random.default_rng(3).random((8, 5)) < 0.8
    monkeypatch.setitem(sys.modules, "scipy", None)
    distances = backend_of(mask).masks.distance_transform(mask, spacing=(1.0, 2.0))
    np.testing.assert_allclose(distances, brute_force(mask, (1.0, 2.0)), rtol=1e-12)


@pytest.mark.compile
@pytest.mark.parametrize("spacing", [(1.0, 2.0), (1.0, 2.0, 0.5)], ids=["batch", "volume"])
def test_jax_jit(spacing):
    jax = pytest.importorskip("jax")
    masks = np.random.default_rng(4).random((3, 7, 12)) < 0.9
    backend = backend_of(jax.numpy.asarray(masks))
    compiled = jax.jit(lambda mask: backend.masks.distance_transform(mask, spacing=spacing))
    expected = backend_of(masks).masks.distance_transform(masks, spacing=spacing)
    np.testing.assert_allclose(compiled(masks), expected, rtol=tolerance(compiled(masks).dtype))


@pytest.mark.compile
def test_torch_compile():
    torch = pytest.importorskip("torch")
    masks = torch.from_numpy(np.random.default_rng(5).random((2, 6, 9)) < 0.8)
    backend = backend_of(masks)
    compiled = torch.compile(lambda mask: backend.masks.distance_transform(mask, spacing=(1.0, 2.0)), fullgraph=True)
    expected = backend.masks.distance_transform(masks, spacing=(1.0, 2.0))
    np.testing.assert_allclose(compiled(masks), expected, rtol=1e-12)
