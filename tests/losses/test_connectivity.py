"""Semantic connectivity: what its number means."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tolerances import FLOAT64

import arrayseg
from arrayseg import losses
from arrayseg.testing import assert_gradient

GENERATOR = np.random.default_rng(13)
BINARY = {"class_axis": None, "activation": None}


def mask(*rows):
    return np.array([[[int(letter == "#") for letter in row] for row in rows]])


TARGET = mask("##..##", "##..##", "......", ".####.")


def published(probabilities, target):
    """The formula for one image and class, by pairs of SciPy's components."""
    ndimage = pytest.importorskip("scipy.ndimage")
    eight = np.ones((3, 3))
    predicted, n_predicted = ndimage.label(probabilities > 0.5, structure=eight)
    wanted, n_wanted = ndimage.label(target, structure=eight)
    total, alone = 0.0, set(range(1, n_predicted + 1))
    for t in range(1, n_wanted + 1):
        scores = []
        for p in range(1, n_predicted + 1):
            both = (predicted == p) & (wanted == t)
            if both.any():
                shared = probabilities[both].sum()
                scores.append(shared / (probabilities[predicted == p].sum() + (wanted == t).sum() - shared))
                alone.discard(p)
        total += np.mean(scores) if scores else 0.0
    return 1 - total / (n_wanted + len(alone))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_published_one(seed):
    probabilities = np.random.default_rng(seed).random(TARGET.shape)
    found = losses.semantic_connectivity(probabilities, TARGET, max_components=50, **BINARY)
    assert_allclose(found, published(probabilities[0], TARGET[0]), rtol=FLOAT64)


def test_perfect_and_missing():
    assert_allclose(losses.semantic_connectivity(TARGET.astype(float), TARGET, **BINARY), 0, atol=FLOAT64)
    assert_allclose(losses.semantic_connectivity(0.0 * TARGET, TARGET, **BINARY), 1 + TARGET.mean())


def test_a_class_that_the_target_lacks_does_not_count():
    assert losses.semantic_connectivity(GENERATOR.random(TARGET.shape), 0 * TARGET, **BINARY) == 0


def test_a_component_of_its_own_costs():
    clean = mask("##....", "##....", "......", "......")
    noisy = mask("##....", "##....", "......", ".....#").astype(float)
    assert_allclose(losses.semantic_connectivity(noisy, clean, **BINARY), 0.5)


def test_neighbors_by_edge_or_by_corner():
    target = mask("#.", ".#")
    probabilities = np.array([[[0.9, 0.2], [0.1, 0.9]]])
    for connectivity, parts in ((1, 2), (2, 1)):
        found = losses.semantic_connectivity(probabilities, target, connectivity=connectivity, **BINARY)
        assert_allclose(found, 1 - (1.8 / 2 if parts == 1 else 0.9), rtol=FLOAT64)


def test_only_the_first_of_many_components_count():
    target = mask("##########")
    probabilities = np.array([[[0.9, 0.1] * 5]])
    one = losses.semantic_connectivity(probabilities, target, max_components=1, **BINARY)
    assert_allclose(one, 1 - 0.9 / 10)
    gradient = arrayseg.grad(losses.semantic_connectivity)(probabilities, target, max_components=1, **BINARY)
    assert_allclose(np.flatnonzero(gradient), [0])


def test_gradient_where_the_class_is_missed():
    assert_gradient(losses.semantic_connectivity, 0.4 * GENERATOR.random(TARGET.shape), TARGET, **BINARY)


def test_compilers_are_refused_in_words():
    jax = pytest.importorskip("jax")
    step = jax.jit(losses.semantic_connectivity)
    with pytest.raises(TypeError, match="needs the values"):
        step(jax.numpy.zeros((1, 2, 3, 4)), jax.numpy.zeros((1, 3, 4), dtype=int))
