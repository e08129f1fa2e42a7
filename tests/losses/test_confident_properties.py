"""Confident pixels in float32 against float64: a loss near 0 keeps its digits, and its gradient too."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scenes import one_hot
from tolerances import FLOAT32, FLOAT32_GRADIENT

import arrayseg
from arrayseg import losses
from arrayseg.testing import relative_difference, to_numpy

CLASSES, SHAPE = 3, (2, 3, 16, 16)


def scenes(seed):
    """Logits of a wide range, nearly right ones, and confident ones that are wrong once in a hundred."""
    generator = np.random.default_rng(seed)
    ids, noise = generator.integers(0, CLASSES, size=(2, 16, 16)), generator.normal(size=SHAPE)
    mistaken = np.where(generator.random(ids.shape) < 0.01, (ids + 1) % CLASSES, ids)
    return {
        "wide": (10 * noise, ids),
        "nearly right": (12 * one_hot(ids, CLASSES) + noise, ids),
        "right": (20 * one_hot(ids, CLASSES) + noise, ids),
        "some wrong": (12 * one_hot(mistaken, CLASSES) + noise, ids),
        "one class": (12 * one_hot(np.zeros_like(ids), CLASSES) + noise, np.zeros_like(ids)),
    }


def target_of(ids, kind):
    """Ids, or as many float32 values: one-hot, or with a share of the other classes."""
    if kind == "ids":
        return ids
    share = {"one-hot": 0.0, "soft": 0.05}[kind]
    return (one_hot(ids, CLASSES) * (1 - share * CLASSES) + share).astype(np.float32)


def check(name, scene, kind, library, *, seed=0, autodiff=True, **options):
    loss = partial(getattr(losses, name), **options)
    logits, ids = scenes(seed)[scene]
    logits, target = logits.astype(np.float32), target_of(ids, kind)
    wide = target if kind == "ids" else target.astype(np.float64)
    expected, slope = arrayseg.value_and_grad(loss)(logits.astype(np.float64), wide)
    given_logits, given_target = library.asarray(logits), library.asarray(target)
    found, gradient = arrayseg.value_and_grad(loss)(given_logits, given_target)
    assert relative_difference(found, expected) < FLOAT32
    assert relative_difference(loss(given_logits, given_target), expected) < FLOAT32
    if autodiff or library.name != "jax":
        assert relative_difference(gradient, slope) < FLOAT32_GRADIENT
    if autodiff and "torch" in library.name:  # its own derivative of the plain expression
        by_autodiff = library.xp.func.grad(partial(loss, target=given_target))(given_logits)
        assert relative_difference(by_autodiff, slope) < FLOAT32_GRADIENT


@pytest.mark.parametrize("kind", ["ids", "one-hot"])
def test_cross_entropy_of_each_pixel_is_the_logarithm_of_one_and_the_others(kind, library):
    """log(1 + sum of exp(z_k - z_id)), whose derivatives are the others' probabilities, and minus their sum."""
    margins = np.array([0.0, 1e-3, 1.0, 5.0, 8.0, 16.0, 20.0, 28.0, -5.0, -28.0])
    logits = np.stack([margins, np.zeros(10), np.full(10, -1.0)])[None].astype(np.float32)
    ids = np.zeros((1, 10), dtype=np.int64)
    target = ids if kind == "ids" else one_hot(ids, 3, np.float32)
    given_logits, given_target = library.asarray(logits), library.asarray(target)
    found = to_numpy(losses.cross_entropy(given_logits, given_target, reduction="none"))
    ratios = np.exp(logits[:, 1:].astype(np.float64) - logits[:, :1])
    others = ratios.sum(axis=1)
    np.testing.assert_allclose(found, np.log1p(others), rtol=FLOAT32)
    gradient = arrayseg.grad(losses.cross_entropy)(given_logits, given_target, reduction="sum")
    expected = np.concatenate([-others[:, None], ratios], axis=1) / (1 + others[:, None])
    np.testing.assert_allclose(to_numpy(gradient), expected, rtol=FLOAT32)


@pytest.mark.parametrize("kind", ["ids", "one-hot", "soft"])
@pytest.mark.parametrize("scene", ["wide", "nearly right", "right", "some wrong"])
@pytest.mark.parametrize("name", ["cross_entropy", "focal", "kl_divergence", "symmetric_cross_entropy"])
def test_pixel_losses(name, scene, kind, library):
    check(name, scene, kind, library)


@pytest.mark.parametrize("scene", ["wide", "nearly right", "right", "some wrong", "one class"])
@pytest.mark.parametrize(
    "name", ["bootstrapped_cross_entropy", "normalized_focal", "ohem_cross_entropy", "poly", "reduced_focal"]
)
def test_pixel_losses_of_ids(name, scene, library):
    options = {"threshold": 0.9, "min_kept": 20} if name == "ohem_cross_entropy" else {}
    check(name, scene, "ids", library, **options)


@pytest.mark.parametrize("kind", ["ids", "one-hot", "soft"])
@pytest.mark.parametrize("scene", ["wide", "nearly right", "right", "some wrong", "one class"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["dual_focal", "jensen_shannon", "quality_focal"])
def test_divergences(name, activation, scene, kind, library):
    if name == "quality_focal" and activation == "softmax":
        pytest.skip("is of independent classes")
    # Autodiff differentiates its logarithm of the mean, though that adds to nothing: 1e-4 of the largest slope.
    check(name, scene, kind, library, activation=activation, autodiff=name != "jensen_shannon")


@pytest.mark.parametrize("kind", ["ids", "soft"])
@pytest.mark.parametrize("scene", ["wide", "nearly right", "right", "some wrong", "one class"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["affinity_field", "context_prior_affinity"])
def test_affinities(name, activation, scene, kind, library):
    """Neighbors that are surely of one class, or surely not, have affinities near 1 and near 0."""
    options = {"window": 2} if name == "context_prior_affinity" else {}
    check(name, scene, kind, library, activation=activation, **options)


@pytest.mark.parametrize("scene", ["wide", "nearly right", "some wrong", "one class"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["dice", "dice_semimetric", "jaccard", "log_dice", "combo", "unified_focal"])
def test_scores_of_one_hot_values(name, activation, scene, library):
    """The cells of a nearly right prediction are counted, where they would be differences of large sums."""
    check(name, scene, "one-hot", library, activation=activation)


@pytest.mark.parametrize("scene", ["wide", "nearly right", "right", "one class"])
@pytest.mark.parametrize("name", ["combo", "dice_cross_entropy", "exponential_logarithmic", "unified_focal"])
def test_compounds(name, scene, library):
    check(name, scene, "ids", library)


@pytest.mark.parametrize("name", ["cross_entropy", "exponential_logarithmic", "focal", "unified_focal"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), scene=st.sampled_from(["wide", "nearly right", "right"]))
def test_drawn_logits(name, seed, scene, library):
    check(name, scene, "ids", library, seed=seed)


@pytest.mark.parametrize("scene", ["wide", "nearly right", "some wrong", "one class"])
@pytest.mark.parametrize("name", ["lovasz_hinge", "lovasz_softmax"])
def test_rankings(name, scene, library):
    check(name, scene, "ids", library)


@pytest.mark.parametrize("kind", ["ids", "one-hot", "soft"])
@pytest.mark.parametrize("scene", ["wide", "nearly right", "right", "some wrong", "one class"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_region_mutual_information(activation, scene, kind, library):
    """What a linear estimate leaves of the target of a nearly right prediction is small."""
    if "float64" not in library.dtypes:
        pytest.skip("has no float64 here, as the loss says")
    check("region_mutual_information", scene, kind, library, activation=activation)
