"""What holds for every region, ranking and compound loss: ignored pixels, extremes, layouts, transforms, compilers."""

from functools import partial

import numpy as np
import pytest
from scenes import one_hot
from tolerances import FLOAT64, FLOAT64_GRADIENT, SUMS

import arrayseg
from arrayseg import losses
from arrayseg.losses import compound
from arrayseg.testing import assert_gradient, relative_difference, to_numpy

DISTANCES = ((0.0, 1.0, 1.0), (1.0, 0.0, 0.4), (1.0, 0.6, 0.0))
LOSSES = {
    "dice": losses.dice,
    "dice, l2": partial(losses.dice, soft_tp="l2", pool="batch", absent="exclude"),
    "jaccard": partial(losses.jaccard, pool="micro"),
    "tversky": partial(losses.tversky, alpha=0.3, beta=0.7, pool="all"),
    "focal_tversky": losses.focal_tversky,
    "focal_tversky, mean": partial(losses.focal_tversky, power_of="mean", exponent=1.3),
    "asymmetric_f_beta": losses.asymmetric_f_beta,
    "log_dice": losses.log_dice,
    "log_jaccard": losses.log_jaccard,
    "log_cosh_dice": losses.log_cosh_dice,
    "generalized_dice": losses.generalized_dice,
    "generalized_dice, simple": partial(losses.generalized_dice, weighting="simple", absent="exclude", pool="batch"),
    "penalty_generalized_dice": losses.penalty_generalized_dice,
    "generalized_wasserstein_dice": partial(losses.generalized_wasserstein_dice, distances=DISTANCES),
    "generalized_wasserstein_dice, gdl": partial(
        losses.generalized_wasserstein_dice, distances=DISTANCES, weighting="gdl"
    ),
    "matthews_corrcoef": losses.matthews_corrcoef,
    "matthews_corrcoef, cells": partial(losses.matthews_corrcoef, cell_smooth=0.1, smooth=0, pool="batch"),
    "sensitivity_specificity": losses.sensitivity_specificity,
    "jaccard_metric": losses.jaccard_metric,
    "fine_grained_jaccard": losses.fine_grained_jaccard,
    "lovasz_softmax": losses.lovasz_softmax,
    "lovasz_softmax, image": partial(losses.lovasz_softmax, pool="image", classes="all"),
    "lovasz_hinge": losses.lovasz_hinge,
    "dice_cross_entropy": losses.dice_cross_entropy,
    "dice_focal": losses.dice_focal,
    "generalized_dice_focal": losses.generalized_dice_focal,
    "combo": partial(losses.combo, beta=0.7),
    "exponential_logarithmic": losses.exponential_logarithmic,
    "unified_focal": losses.unified_focal,
    "unified_focal, asymmetric": partial(losses.unified_focal, asymmetric=True),
    "compound": compound({losses.dice: 1.0, losses.cross_entropy: 0.5, losses.lovasz_softmax: 0.5}),
}
GENERATOR = np.random.default_rng(21)
LOGITS = 2 * GENERATOR.normal(size=(2, 3, 5, 4))
IDS = GENERATOR.integers(0, 3, size=(2, 5, 4))
VOID = np.where(GENERATOR.random(IDS.shape) < 0.25, 255, IDS)


@pytest.fixture(params=list(LOSSES))
def loss(request):
    return LOSSES[request.param]


def wide_jax():
    jax = pytest.importorskip("jax")
    if not jax.config.jax_enable_x64:
        pytest.skip("JAX without 64-bit numbers")
    return jax


def test_gradient_is_that_of_finite_differences(loss):
    assert_gradient(loss, LOGITS, IDS)
    assert_gradient(loss, LOGITS, VOID, ignore_index=255)


def test_ignored_pixels_have_no_influence(loss):
    void = np.broadcast_to((VOID == 255)[:, None], LOGITS.shape)
    value, gradient = arrayseg.value_and_grad(loss)(LOGITS, VOID, ignore_index=255)
    for filling in (GENERATOR.normal(size=LOGITS.shape), np.nan, np.inf):
        again, slope = arrayseg.value_and_grad(loss)(np.where(void, filling, LOGITS), VOID, ignore_index=255)
        assert again == value
        np.testing.assert_array_equal(slope, gradient)
    assert not gradient[void].any()
    masked, slope = arrayseg.value_and_grad(loss)(LOGITS, IDS, mask=VOID != 255)
    assert masked == value
    np.testing.assert_array_equal(slope, gradient)


def test_ignored_pixels_do_not_leak_through_autodiff(loss):
    jax = wide_jax()
    void = np.broadcast_to((VOID == 255)[:, None], LOGITS.shape)
    gradient = arrayseg.grad(loss)(
        jax.numpy.asarray(np.where(void, np.nan, LOGITS)), jax.numpy.asarray(VOID), ignore_index=255
    )
    expected = arrayseg.grad(loss)(LOGITS, VOID, ignore_index=255)
    assert relative_difference(gradient, expected) < FLOAT64_GRADIENT


@pytest.mark.parametrize("shape", [(2, 3, 0, 4), (0, 3, 2, 4), (0, 3)], ids=str)
def test_nothing_is_no_loss(loss, shape):
    value, gradient = arrayseg.value_and_grad(loss)(np.zeros(shape), np.zeros((shape[0], *shape[2:]), dtype=np.int64))
    assert value == 0
    assert gradient.shape == shape


def test_all_ignored_is_no_loss(loss, library):
    logits, ids = library.asarray(LOGITS, "float32"), library.asarray(np.full_like(IDS, 255))
    value, gradient = arrayseg.value_and_grad(loss)(logits, ids, ignore_index=255)
    assert float(value) == 0
    assert not to_numpy(gradient).any()


def test_extreme_logits_are_finite(loss):
    right = 200.0 * (2 * one_hot(IDS, 3) - 1)
    found = []
    for logits in (right, -right):
        value, gradient = arrayseg.value_and_grad(loss)(logits, IDS)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        found.append(float(value))
    assert found[0] == pytest.approx(0, abs=2e-2)
    assert found[1] > 0.1


def test_layouts_agree(loss):
    value, gradient = arrayseg.value_and_grad(loss)(LOGITS, IDS)
    last, slope = arrayseg.value_and_grad(loss)(np.moveaxis(LOGITS, 1, -1).copy(), IDS, class_axis=-1)
    assert float(last) == pytest.approx(float(value), rel=SUMS)
    np.testing.assert_allclose(np.moveaxis(slope, -1, 1), gradient, rtol=FLOAT64_GRADIENT, atol=1e-15)
    for shape in ((20,), (5, 4, 1), (5, 2, 2)):
        again = loss(LOGITS.reshape(2, 3, *shape), IDS.reshape(2, *shape))
        assert float(again) == pytest.approx(float(value), rel=SUMS)
    pixels = np.moveaxis(LOGITS, 1, -1).reshape(-1, 3)
    assert np.isfinite(loss(pixels, IDS.reshape(-1)))


def test_float16_is_right_to_a_thousandth(loss):
    generator = np.random.default_rng(2)
    logits = generator.normal(size=(1, 3, 130, 127)).astype(np.float16)
    ids = generator.integers(0, 3, size=(1, 130, 127))
    found, exact = loss(logits, ids), loss(logits.astype(np.float64), ids)
    assert found.dtype == np.float32
    assert abs(float(found) - float(exact)) < 1e-3 * max(1.0, abs(float(exact)))


def test_blocks_make_no_difference(loss, monkeypatch):
    from arrayseg.backends.numpy import NumpyBackend

    value, gradient = arrayseg.value_and_grad(loss)(LOGITS, VOID, ignore_index=255)
    monkeypatch.setattr(NumpyBackend, "block_bytes", lambda self, array: 200)
    again, slope = arrayseg.value_and_grad(loss)(LOGITS, VOID, ignore_index=255)
    assert float(again) == pytest.approx(float(value), rel=SUMS)
    np.testing.assert_allclose(slope, gradient, rtol=FLOAT64_GRADIENT, atol=1e-15)


def test_torch_derivatives(loss):
    torch = pytest.importorskip("torch")
    small, ids = torch.asarray(LOGITS[:1, :, :2, :3], requires_grad=True), torch.asarray(IDS[:1, :2, :3])

    def of_input(logits):
        return loss(logits, ids)

    assert torch.autograd.gradcheck(of_input, small)
    assert torch.autograd.gradgradcheck(of_input, small)
    of_transform = torch.func.grad(of_input)(small.detach())
    assert (
        relative_difference(of_transform, arrayseg.grad(loss)(LOGITS[:1, :, :2, :3], IDS[:1, :2, :3]))
        < FLOAT64_GRADIENT
    )


@pytest.mark.compile
def test_torch_compile(loss):
    torch = pytest.importorskip("torch")
    torch.compiler.reset()
    compiled = torch.compile(partial(loss, ignore_index=255), fullgraph=True, backend="aot_eager")
    logits = torch.asarray(LOGITS, requires_grad=True)
    value = compiled(logits, torch.asarray(VOID))
    value.backward()
    expected, gradient = arrayseg.value_and_grad(loss)(LOGITS, VOID, ignore_index=255)
    assert float(value.detach()) == pytest.approx(float(expected), rel=FLOAT64)
    assert relative_difference(logits.grad, gradient) < FLOAT64_GRADIENT


@pytest.mark.compile
def test_jax_jit(loss):
    jax = wide_jax()
    compiled = jax.jit(jax.value_and_grad(partial(loss, ignore_index=255)))
    value, slope = compiled(jax.numpy.asarray(LOGITS), jax.numpy.asarray(VOID))
    expected, gradient = arrayseg.value_and_grad(loss)(LOGITS, VOID, ignore_index=255)
    assert float(value) == pytest.approx(float(expected), rel=FLOAT64)
    assert relative_difference(slope, gradient) < FLOAT64_GRADIENT
    batched = jax.vmap(lambda logits, ids: loss(logits[None], ids[None]))(
        jax.numpy.asarray(LOGITS), jax.numpy.asarray(IDS)
    )
    for found, logits, ids in zip(batched, LOGITS, IDS, strict=True):
        assert float(found) == pytest.approx(float(loss(logits[None], ids[None])), rel=FLOAT64)


def test_distances_of_another_library_raise(library):
    if library.name == "numpy":
        pytest.skip("the other library is NumPy")
    logits, ids = library.asarray(np.zeros((1, 3, 4)), "float32"), library.asarray(np.zeros((1, 4), dtype=np.int64))
    with pytest.raises(TypeError, match="Convert `distances` first"):
        losses.generalized_wasserstein_dice(logits, ids, distances=1 - np.eye(3))
