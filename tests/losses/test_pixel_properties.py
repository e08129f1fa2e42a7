"""What holds for every loss of the pixel catalogue: gradients, ignored pixels, extremes, layouts, transforms."""

from functools import partial

import numpy as np
import pytest
from scenes import scene, softmax
from tolerances import FLOAT64, FLOAT64_GRADIENT, LAST_BITS, SUMS

from arrayseg import grad, value_and_grad
from arrayseg.losses import (
    asymmetric,
    balanced_binary_cross_entropy,
    bi_tempered,
    bootstrapped_cross_entropy,
    distance_weighted_cross_entropy,
    dual_focal,
    focal_cosine,
    generalized_cross_entropy,
    jensen_shannon,
    kl_divergence,
    neighbor_aware_cross_entropy,
    normalized_focal,
    point_sampled_cross_entropy,
    poly,
    quality_focal,
    reduced_focal,
    symmetric_cross_entropy,
    top_k_cross_entropy,
)
from arrayseg.testing import assert_gradient, relative_difference, to_numpy

LOSSES = {
    "asymmetric": asymmetric,
    "asymmetric without margin": partial(asymmetric, margin=0.0, gamma_negative=1.5),
    "balanced": balanced_binary_cross_entropy,
    "balanced, micro": partial(balanced_binary_cross_entropy, pool="micro"),
    "bi-tempered": partial(bi_tempered, t1=0.3, t2=2.5),
    "bi-tempered sigmoid": partial(bi_tempered, activation="sigmoid"),
    "bi-tempered logistic": partial(bi_tempered, t1=1.0, t2=1.0),
    "bootstrapped": partial(bootstrapped_cross_entropy, loss_threshold=1.5, min_kept=4),
    "dual focal": dual_focal,
    "dual focal sigmoid": partial(dual_focal, activation="sigmoid"),
    "focal cosine": focal_cosine,
    "generalized": generalized_cross_entropy,
    "Jensen-Shannon": jensen_shannon,
    "Jensen-Shannon, warm": partial(jensen_shannon, temperature=3.0, activation="sigmoid"),
    "Kullback-Leibler": kl_divergence,
    "Kullback-Leibler, warm": partial(kl_divergence, temperature=3.0),
    "neighbors": neighbor_aware_cross_entropy,
    "neighbors, l2": partial(neighbor_aware_cross_entropy, distance="l2", kernel_size=5, activation="sigmoid"),
    "normalized focal": normalized_focal,
    "normalized focal sigmoid": partial(normalized_focal, activation="sigmoid", alpha=0.25, gamma=0.5),
    "poly": poly,
    "quality focal": quality_focal,
    "quality focal 1.5": partial(quality_focal, beta=1.5),
    "reduced focal": partial(reduced_focal, threshold=0.3),
    "reduced focal sigmoid": partial(reduced_focal, activation="sigmoid", continuous=False),
    "symmetric": symmetric_cross_entropy,
    "top k": partial(top_k_cross_entropy, share=0.3),
}
#: Those whose every pixel counts by itself, so that an image may be a list of pixels.
OF_PIXELS = {name: loss for name, loss in LOSSES.items() if not name.startswith("neighbors")}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def takes(loss, option):
    return option in getattr(loss, "func", loss).__signature__.parameters


@every_loss
def test_gradient_is_that_of_central_differences(loss):
    logits, ids = scene(shape=(3, 2))
    generator = np.random.default_rng(1)
    weights = generator.random(ids.shape) + 0.1
    assert_gradient(loss, logits, ids, ignore_index=255)
    options = {"mask": generator.random(ids.shape) < 0.8, "pixel_weights": weights, "class_weights": (1, 2, 3, 4)}
    assert_gradient(loss, logits, ids, ignore_index=255, **options)
    if takes(loss, "reduction"):
        assert_gradient(loss, logits, ids, ignore_index=255, reduction="sum")
    if takes(loss, "label_smoothing"):
        assert_gradient(loss, logits, ids, ignore_index=255, label_smoothing=0.2, class_weights=(1, 2, 3, 4))
    soft = np.moveaxis(generator.dirichlet(np.ones(4), size=ids.shape), -1, 1).copy()
    assert_gradient(loss, logits, soft, class_weights=(1, 2, 3, 4))


@pytest.mark.parametrize("name", ["asymmetric", "dual focal", "Jensen-Shannon", "generalized", "poly", "quality focal"])
def test_gradient_in_probabilities_is_that_of_central_differences(name):
    logits, ids = scene(shape=(3, 2))
    probabilities = softmax(logits)
    assert_gradient(partial(LOSSES[name], activation=None), probabilities, ids, ignore_index=255)


@every_loss
@pytest.mark.parametrize("place", [np.nan, np.inf, 0.0])
def test_ignored_pixels_have_no_effect(loss, place):
    logits, ids = scene()
    ids[0, 0, 0] = 255
    mask = np.random.default_rng(0).random(ids.shape) < 0.7
    void = (ids == 255) | ~mask
    value, gradient = value_and_grad(loss)(logits, ids, ignore_index=255, mask=mask)
    other, other_gradient = value_and_grad(loss)(
        np.where(void[:, None], place, logits), np.where(mask, ids, 255), ignore_index=255, mask=mask
    )
    assert value == other
    assert value > 0
    np.testing.assert_array_equal(gradient, other_gradient)
    assert (np.where(void[:, None], gradient, 0) == 0).all()


@every_loss
def test_nan_of_ignored_pixels_stays_out(library, loss):
    logits, ids = scene()
    ids[0, 0, 0] = 255
    logits[0, :, 0, 0] = np.nan
    value, gradient = value_and_grad(loss)(library.asarray(logits), library.asarray(ids), ignore_index=255)
    assert np.isfinite(float(value))
    assert np.isfinite(to_numpy(gradient)).all()


@every_loss
def test_all_ignored_and_empty_give_zero(library, loss):
    logits, ids = library.asarray(np.ones((2, 3, 4, 5))), library.asarray(np.full((2, 4, 5), 255))
    value, gradient = value_and_grad(loss)(logits, ids, ignore_index=255)
    assert float(value) == 0
    assert (to_numpy(gradient) == 0).all()
    for shape in ((0, 3, 4, 5), (2, 3, 0, 5)):
        rows = np.zeros((shape[0], *shape[2:]), dtype=int)
        value, gradient = value_and_grad(loss)(library.asarray(np.zeros(shape)), library.asarray(rows))
        assert float(value) == 0
        assert tuple(gradient.shape) == shape


@every_loss
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_extreme_logits_are_finite(library, loss, dtype):
    if dtype not in library.dtypes:
        pytest.skip(f"{library.name} has no {dtype}")
    logits, ids = scene(void=0)
    for size in (200, 0):
        value, gradient = value_and_grad(loss)(library.asarray(size * np.sign(logits), dtype), library.asarray(ids))
        assert np.isfinite(float(value))
        assert np.isfinite(to_numpy(gradient)).all()


@every_loss
def test_half_precision_is_right_to_1e_3(loss):
    logits, ids = scene(shape=(64, 70))
    expected = float(loss(logits.astype(np.float16).astype(float), ids, ignore_index=255))
    assert abs(float(loss(logits.astype(np.float16), ids, ignore_index=255)) / expected - 1) < 1e-3


@every_loss
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 5)])
def test_channels_last_and_any_number_of_axes(loss, shape):
    logits, ids = scene(shape=shape, images=4)
    ids.reshape(-1)[0] = 1
    value, gradient = value_and_grad(loss)(logits, ids, ignore_index=255)
    last, gradient_last = value_and_grad(loss)(
        np.ascontiguousarray(np.moveaxis(logits, 1, -1)), ids, ignore_index=255, class_axis=-1
    )
    assert relative_difference(last, value) < LAST_BITS
    assert relative_difference(np.moveaxis(gradient_last, -1, 1), gradient) < SUMS


@pytest.mark.parametrize("loss", OF_PIXELS.values(), ids=OF_PIXELS)
def test_pixels_count_by_themselves(loss):
    logits, ids = scene(shape=(3, 5))
    value = loss(logits, ids, ignore_index=255)
    assert abs(value / loss(logits.reshape(2, 4, -1), ids.reshape(2, -1), ignore_index=255) - 1) < LAST_BITS


@every_loss
def test_permuted_classes_give_the_same(loss):
    logits, ids = scene(void=0)
    order = np.array([2, 0, 3, 1])
    if isinstance(loss, partial) and "alpha" in loss.keywords:
        pytest.skip("alpha tells background from the rest")
    value, gradient = value_and_grad(loss)(logits, ids, class_weights=(1, 2, 3, 4))
    other, permuted = value_and_grad(loss)(
        logits[:, order], np.argsort(order)[ids], class_weights=np.array([1.0, 2, 3, 4])[order]
    )
    assert abs(value / other - 1) < SUMS
    assert relative_difference(permuted, gradient[:, order]) < FLOAT64


@every_loss
def test_a_map_adds_up_to_the_sum(loss):
    if not takes(loss, "reduction"):
        pytest.skip("a ratio of sums has no map")
    logits, ids = scene()
    losses = loss(logits, ids, ignore_index=255, reduction="none")
    assert losses.shape == ids.shape
    assert (losses[ids == 255] == 0).all()
    assert abs(losses.sum() / loss(logits, ids, ignore_index=255, reduction="sum") - 1) < SUMS


@every_loss
def test_torch_first_and_second_order(loss):
    torch = pytest.importorskip("torch")
    logits, ids = (torch.from_numpy(array) for array in scene(shape=(3, 2), images=1))
    function = partial(loss, target=ids, ignore_index=255)
    expected = grad(loss)(logits, ids, ignore_index=255)
    assert relative_difference(torch.func.grad(function)(logits), expected.numpy()) < FLOAT64_GRADIENT
    logits.requires_grad_()
    assert torch.autograd.gradcheck(function, (logits,))
    assert torch.autograd.gradgradcheck(function, (logits,))


@pytest.mark.compile
@every_loss
def test_torch_compiles_in_one_graph(loss):
    torch = pytest.importorskip("torch")
    torch._dynamo.reset()
    logits, ids = (torch.from_numpy(array) for array in scene())
    expected, slope = value_and_grad(loss)(logits, ids, ignore_index=255)
    logits.requires_grad_()
    compiled = torch.compile(lambda x, y: loss(x, y, ignore_index=255), fullgraph=True, backend="aot_eager")
    value = compiled(logits, ids)
    value.backward()
    assert relative_difference(value.detach(), expected.numpy()) < FLOAT64
    assert relative_difference(logits.grad, slope.numpy()) < FLOAT64_GRADIENT


@pytest.mark.compile
@every_loss
def test_jax_jit_and_jvp(loss):
    jax = pytest.importorskip("jax")
    if not jax.config.jax_enable_x64:
        pytest.skip("JAX without 64-bit numbers")
    logits, ids = scene(shape=(3, 2))
    expected, slope = value_and_grad(loss)(logits, ids, ignore_index=255)
    given_logits, given_ids = jax.numpy.asarray(logits), jax.numpy.asarray(ids)
    function = partial(loss, target=given_ids, ignore_index=255)
    value, gradient = jax.jit(jax.value_and_grad(function))(given_logits)
    assert relative_difference(value, expected) < FLOAT64
    assert relative_difference(gradient, slope) < FLOAT64_GRADIENT
    direction = np.random.default_rng(2).normal(size=logits.shape)
    _, tangent = jax.jvp(function, (given_logits,), (jax.numpy.asarray(direction),))
    assert relative_difference(tangent, np.sum(slope * direction)) < FLOAT64_GRADIENT


# Two losses take an array of their own.


def test_distance_weighted_and_point_sampled_under_transforms():
    torch = pytest.importorskip("torch")
    logits, ids = scene(void=0)
    distance, points = np.random.default_rng(0).random((2, 5, 7)), np.random.default_rng(1).random((2, 9, 2))
    for loss, name, array in (
        (distance_weighted_cross_entropy, "distance", distance),
        (point_sampled_cross_entropy, "points", points),
    ):
        assert_gradient(loss, logits[:, :, :2, :2], ids[:, :2, :2], **{name: array[:, :2, :2]})
        function = partial(loss, target=torch.from_numpy(ids), **{name: torch.from_numpy(array)})
        given = torch.from_numpy(logits).requires_grad_()
        assert torch.autograd.gradcheck(function, (given,))
        assert torch.autograd.gradgradcheck(function, (given[:, :, :1, :1] * torch.ones(1, 1, 5, 7),))
