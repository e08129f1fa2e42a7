"""Connected components have one numbering on every backend, with SciPy and without, and under jit."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from arrayseg.backends import Backend, backend_of
from arrayseg.testing import to_numpy

ndimage = pytest.importorskip("scipy.ndimage")


def by_scipy(mask, connectivity):
    return ndimage.label(mask, structure=ndimage.generate_binary_structure(mask.ndim, connectivity))[0]


def spiral(side):
    """One path of many turns."""
    mask, position, direction = np.zeros((side, side), bool), (0, 0), (0, 1)
    for length in [side - 1] + [n for n in range(side - 1, 1, -2) for _ in range(2)]:
        for _ in range(length):
            mask[position] = True
            position = position[0] + direction[0], position[1] + direction[1]
        direction = direction[1], -direction[0]
    return mask


MASKS = {
    "noise": np.random.default_rng(0).random((13, 29)) < 0.6,
    "volume": np.random.default_rng(1).random((5, 8, 11)) < 0.35,
    "line": np.random.default_rng(2).random(17) < 0.5,
    "spiral": spiral(21),
    "full": np.ones((3, 4), bool),
    "nothing": np.zeros((3, 4), bool),
    "empty": np.zeros((0, 4), bool),
}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", MASKS)
def test_components_of_every_connectivity(library, name, native):
    if not native and "jax" in library.name:
        pytest.skip("compiled as a whole in test_components_under_jit")
    mask = MASKS[name]
    array = library.asarray(mask)
    backend = backend_of(array)
    for connectivity in range(1, mask.ndim + 1):
        labels = (backend if native else Backend(backend.xp)).masks.connected_components(
            array, connectivity=connectivity
        )
        assert "int32" in str(labels.dtype)
        np.testing.assert_array_equal(to_numpy(labels), by_scipy(mask, connectivity) if mask.size else mask)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9)), st.integers(1, 2))
def test_numbers_follow_the_first_elements(mask, connectivity):
    labels = backend_of(mask).masks.connected_components(mask, connectivity=connectivity)
    _, first = np.unique(labels.ravel()[labels.ravel() > 0], return_index=True)
    assert np.all(np.diff(first) > 0)
    np.testing.assert_array_equal(
        Backend(backend_of(mask).xp).masks.connected_components(mask, connectivity=connectivity), labels
    )


@pytest.mark.compile
def test_components_under_jit():
    jax = pytest.importorskip("jax")
    backend = backend_of(jax.numpy.ones(1))
    label = jax.jit(lambda mask: backend.masks.connected_components(mask, connectivity=2))
    np.testing.assert_array_equal(label(MASKS["volume"]), by_scipy(MASKS["volume"], 2))
