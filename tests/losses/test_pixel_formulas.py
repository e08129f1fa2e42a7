"""Pixel losses against independent formulas, and the limits between them."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scenes import softmax
from tolerances import FLOAT16, FLOAT32, FLOAT64

from arrayseg import value_and_grad
from arrayseg.losses import (
    asymmetric,
    balanced_binary_cross_entropy,
    bi_tempered,
    binary_cross_entropy,
    bootstrapped_cross_entropy,
    cross_entropy,
    distance_weighted_cross_entropy,
    dual_focal,
    focal,
    focal_cosine,
    generalized_cross_entropy,
    jensen_shannon,
    kl_divergence,
    neighbor_aware_cross_entropy,
    normalized_focal,
    pixel_loss,
    point_sampled_cross_entropy,
    poly,
    quality_focal,
    reduced_focal,
    symmetric_cross_entropy,
    top_k_cross_entropy,
)
from arrayseg.testing import assert_gradient, relative_difference, to_numpy

GENERATOR = np.random.default_rng(0)
LOGITS = 2 * GENERATOR.normal(size=(2, 4, 5, 7))
IDS = GENERATOR.integers(0, 4, size=(2, 5, 7))
VOID = np.where(GENERATOR.random(IDS.shape) < 0.2, 255, IDS)
SOFT = np.moveaxis(GENERATOR.dirichlet(np.ones(4), size=IDS.shape), -1, 1).copy()
HARD = np.eye(4)[IDS].transpose(0, 3, 1, 2)
SOFTMAX = softmax(LOGITS)
SIGMOID = 1 / (1 + np.exp(-LOGITS))
AT_ID = np.take_along_axis(SOFTMAX, IDS[:, None], axis=1)[:, 0]
LOSSES_AT_ID = -np.log(AT_ID)


def same(value, expected, tolerance=FLOAT64):
    return relative_difference(value, np.asarray(expected)) < tolerance


def alike(first, second, target=IDS, tolerance=FLOAT64, **options):
    """Whether two losses have the same value and gradient."""
    found, wanted = (value_and_grad(loss)(LOGITS, target, **options) for loss in (first, second))
    return all(relative_difference(a, b) < tolerance for a, b in zip(found, wanted, strict=True))


# Formulas of the probability of the target.


def test_poly():
    assert same(poly(LOGITS, IDS, epsilon=2.0), np.mean(LOSSES_AT_ID + 2 * (1 - AT_ID)))
    expected = np.mean(np.sum(-SOFT * np.log(SOFTMAX), axis=1) + 2 * (1 - np.sum(SOFT * SOFTMAX, axis=1)))
    assert same(poly(LOGITS, SOFT, epsilon=2.0), expected)
    assert alike(partial(poly, epsilon=0), cross_entropy)


@pytest.mark.compat
def test_poly_is_that_of_optax():
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    labels = jax.numpy.asarray(np.moveaxis(HARD, 1, -1), dtype="float32")
    expected = optax.losses.poly_loss_cross_entropy(
        jax.numpy.asarray(np.moveaxis(LOGITS, 1, -1), dtype="float32"), labels, epsilon=2.0
    )
    value = poly(LOGITS.astype(np.float32), IDS, epsilon=2.0, reduction="none")
    assert relative_difference(value, np.asarray(expected)) < FLOAT32


def test_generalized_cross_entropy():
    for q in (0.01, 0.5, 0.7, 1.0):
        assert same(generalized_cross_entropy(LOGITS, IDS, q=q), np.mean((1 - AT_ID**q) / q))
    assert alike(partial(generalized_cross_entropy, q=0), cross_entropy)
    assert alike(partial(generalized_cross_entropy, q=1e-9), cross_entropy, tolerance=1e-7)
    assert same(generalized_cross_entropy(LOGITS, IDS, q=1.0), np.mean(np.abs(HARD - SOFTMAX).sum(axis=1)) / 2)


def test_symmetric_cross_entropy():
    for log_zero in (-4.0, float(np.log(1e-4))):
        log_target = np.where(HARD > 0, 0.0, log_zero)
        reverse = -np.sum(SOFTMAX * log_target, axis=1)
        value = symmetric_cross_entropy(LOGITS, IDS, alpha=0.3, beta=0.7, log_zero=log_zero)
        assert same(value, np.mean(0.3 * LOSSES_AT_ID + 0.7 * reverse))
    assert alike(partial(symmetric_cross_entropy, alpha=1.0, beta=0.0), cross_entropy)


def tempered_softmax(logits, t2):
    """By bisection."""
    low = logits.max(axis=1, keepdims=True)
    high = low + (logits.shape[1] ** (t2 - 1) - 1) / (t2 - 1)
    for _ in range(200):
        middle = (low + high) / 2
        total = ((1 + (1 - t2) * (logits - middle)) ** (1 / (1 - t2))).sum(axis=1, keepdims=True)
        low, high = np.where(total > 1, middle, low), np.where(total > 1, high, middle)
    return (1 + (1 - t2) * (logits - low)) ** (1 / (1 - t2))


@pytest.mark.parametrize(("t1", "t2"), [(0.8, 1.2), (0.0, 4.0), (0.5, 1.01), (0.2, 2.0)])
@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
def test_bi_tempered(t1, t2, scale):
    logits = scale * LOGITS
    p = tempered_softmax(logits, t2)

    def log_t(x):
        return (x ** (1 - t1) - 1) / (1 - t1)

    for target in (HARD, SOFT):
        match = np.where(target > 0, target * (log_t(np.where(target > 0, target, 1)) - log_t(p)), 0)
        expected = np.sum(match - (target ** (2 - t1) - p ** (2 - t1)) / (2 - t1), axis=1).mean()
        assert same(bi_tempered(logits, target, t1=t1, t2=t2), expected, 1e-11)


def test_limits_of_bi_tempered():
    logistic = partial(bi_tempered, t1=1.0, t2=1.0)
    assert alike(logistic, cross_entropy)
    assert alike(logistic, kl_divergence, SOFT)
    assert alike(partial(logistic, activation="sigmoid"), binary_cross_entropy, denominator="valid")
    assert alike(partial(bi_tempered, t1=1 - 1e-9, t2=1 + 1e-9), cross_entropy, tolerance=1e-7)
    far = np.array([[-1e4, 1e4]])
    assert float(bi_tempered(far, np.array([0]), t1=0.5)) < 1 / (1 - 0.5) + 1


def test_sigmoid_bi_tempered_is_softmax_of_two_scores():
    logits = LOGITS[:, :1]
    both = np.concatenate([logits, np.zeros_like(logits)], axis=1)
    value = bi_tempered(logits, SOFT[:, :1], activation="sigmoid")
    assert same(value, bi_tempered(both, np.concatenate([SOFT[:, :1], 1 - SOFT[:, :1]], axis=1)))


# Focal losses.


@given(st.floats(0, 4), st.floats(0, 4), st.sampled_from([0.0, 0.05, 0.3]))
def test_asymmetric(gamma_positive, gamma_negative, margin):
    shifted = np.maximum(SIGMOID - margin, 0)
    positive = -((1 - SIGMOID) ** gamma_positive) * np.log(SIGMOID)
    negative = -(shifted**gamma_negative) * np.log(1 - shifted)
    expected = np.mean(np.where(HARD > 0, positive, negative))
    for target in (IDS, HARD, HARD.astype(int)):
        value = asymmetric(LOGITS, target, gamma_positive=gamma_positive, gamma_negative=gamma_negative, margin=margin)
        assert same(value, expected, 1e-11)


def test_symmetric_asymmetric_is_focal():
    same_exponents = partial(asymmetric, gamma_positive=2.0, gamma_negative=2.0, margin=0.0)
    assert alike(same_exponents, partial(focal, activation="sigmoid"))
    assert alike(same_exponents, partial(focal, activation="sigmoid"), SOFT)


def test_normalized_focal():
    weight = (1 - AT_ID) ** 2
    assert same(normalized_focal(LOGITS, IDS), np.sum(weight * LOSSES_AT_ID) / np.sum(weight))
    assert alike(partial(normalized_focal, gamma=0), cross_entropy)
    constant, gradient = value_and_grad(normalized_focal)(LOGITS, IDS, constant_weight=True)
    unnormalized, slope = value_and_grad(focal)(LOGITS, IDS, reduction="sum")
    assert same(constant, unnormalized / np.sum(weight))
    assert same(gradient, slope / np.sum(weight))


def test_constant_weight_is_constant_to_autodiff(library):
    if not library.name.startswith(("torch", "jax")):
        pytest.skip("no autodiff")
    logits, ids = library.asarray(LOGITS), library.asarray(IDS)
    expected, slope = value_and_grad(normalized_focal)(LOGITS, IDS, constant_weight=True)
    value, gradient = value_and_grad(lambda x, y: normalized_focal(x, y, constant_weight=True))(logits, ids)
    assert same(value, expected)
    assert same(to_numpy(gradient), slope, 1e-11)


def test_reduced_focal():
    for threshold in (0.3, 0.5):
        for continuous, divisor in ((True, 1 - threshold), (False, threshold)):
            weight = np.where(threshold < AT_ID, ((1 - AT_ID) / divisor) ** 2, 1)
            value = reduced_focal(LOGITS, IDS, threshold=threshold, continuous=continuous)
            assert same(value, np.mean(weight * LOSSES_AT_ID))
    assert alike(reduced_focal, partial(reduced_focal, continuous=False))
    assert alike(partial(reduced_focal, gamma=0), cross_entropy)


def test_the_papers_reduced_focal_jumps_as_recorded():
    """From 1.204 to 6.551 at a threshold of 0.3, where the continuous form does not."""

    def around(**options):
        p = np.array([[0.3 - 1e-4, 0.7 + 1e-4], [0.3 + 1e-4, 0.7 - 1e-4]])
        return reduced_focal(p, np.array([0, 0]), threshold=0.3, activation=None, reduction="none", **options)

    assert around(continuous=False).round(3).tolist() == [1.204, 6.551]
    assert abs(np.diff(around(continuous=True))) < FLOAT16


def test_quality_focal():
    expected = np.abs(SOFT - SIGMOID) ** 1.5 * -(SOFT * np.log(SIGMOID) + (1 - SOFT) * np.log(1 - SIGMOID))
    assert same(quality_focal(LOGITS, SOFT, beta=1.5), expected.mean())
    assert alike(quality_focal, partial(focal, activation="sigmoid"))
    assert alike(partial(quality_focal, beta=0), binary_cross_entropy, SOFT)
    value, gradient = value_and_grad(quality_focal)(np.zeros((1, 2)), np.full((1, 2), 0.5), beta=0.5)
    assert value == 0
    assert (gradient == 0).all()


def test_dual_focal():
    for target in (HARD, SOFT):
        error = (SOFTMAX - target) ** 2
        assert same(dual_focal(LOGITS, target), np.mean(np.sum(-np.log(1 + 1e-5 - error), axis=1)), 1e-11)
    one, target = LOGITS[:, :1], SOFT[:, :1]
    both = np.concatenate([one, np.zeros_like(one)], axis=1)
    value = dual_focal(one, target, activation="sigmoid")
    assert same(value, dual_focal(both, np.concatenate([target, 1 - target], axis=1)))


def test_focal_cosine():
    torch = pytest.importorskip("torch")
    rows = torch.from_numpy(np.moveaxis(LOGITS, 1, -1).reshape(-1, 4).copy()).requires_grad_()
    ids = torch.from_numpy(IDS.reshape(-1))
    cosine = torch.nn.functional.cosine_embedding_loss(
        rows, torch.nn.functional.one_hot(ids, 4).to(torch.float64), torch.ones(len(ids), dtype=torch.float64)
    )
    entropy = torch.nn.functional.cross_entropy(torch.nn.functional.normalize(rows), ids, reduction="none")
    expected = cosine + 0.1 * (1 * (1 - torch.exp(-entropy)) ** 2 * entropy).mean()
    expected.backward()
    value, gradient = value_and_grad(focal_cosine)(LOGITS, IDS)
    assert same(value, expected.detach().numpy(), 1e-9)  # torch adds 1e-8 to the squared lengths
    assert same(np.moveaxis(gradient, 1, -1).reshape(-1, 4), rows.grad.numpy(), 1e-8)


def test_focal_cosine_does_not_see_the_length():
    assert same(focal_cosine(5 * LOGITS, IDS), focal_cosine(LOGITS, IDS))
    value, gradient = value_and_grad(focal_cosine)(np.zeros((1, 3)), np.array([1]), focal_weight=0.0)
    assert value == 1
    assert (gradient == 0).all()


# Weights from the target.


@pytest.mark.parametrize(
    ("pool", "axes"), [("image", (2, 3)), ("batch", (0, 2, 3)), ("micro", (1, 2, 3)), ("all", (0, 1, 2, 3))]
)
def test_balanced_binary_cross_entropy(pool, axes):
    target = (np.random.default_rng(1).random(LOGITS.shape) < 0.2).astype(float)
    beta = 1 - target.mean(axis=axes, keepdims=True)
    expected = -(beta * target * np.log(SIGMOID) + (1 - beta) * (1 - target) * np.log(1 - SIGMOID)).mean()
    for kind in (float, int, bool):
        assert same(balanced_binary_cross_entropy(LOGITS, target.astype(kind), pool=pool), expected)


def test_balance_counts_valid_pixels_alone():
    logits, target = LOGITS[:, 0], np.where(VOID == 255, 255, VOID % 2)
    value = balanced_binary_cross_entropy(logits, target, class_axis=None, ignore_index=255, pool="all")
    kept = target != 255
    assert same(value, balanced_binary_cross_entropy(logits[kept][None], target[kept][None], class_axis=None))


def test_distance_weighted_cross_entropy():
    distance = np.random.default_rng(1).random(IDS.shape)
    assert same(distance_weighted_cross_entropy(LOGITS, IDS, distance=distance), np.mean((1 + distance) * LOSSES_AT_ID))
    weighted = distance_weighted_cross_entropy(
        LOGITS, IDS, distance=distance, denominator="weights", pixel_weights=distance
    )
    weights = (1 + distance) * distance
    assert same(weighted, np.sum(weights * LOSSES_AT_ID) / weights.sum())
    assert alike(partial(distance_weighted_cross_entropy, distance=np.zeros(IDS.shape)), cross_entropy)


# Divergences.


def test_kl_divergence_is_that_of_torch():
    torch = pytest.importorskip("torch")
    for temperature in (1.0, 4.0):
        student = torch.log_softmax(torch.from_numpy(LOGITS / temperature), dim=1)
        teacher = torch.softmax(torch.from_numpy(3 * SOFT / temperature), dim=1)
        expected = temperature**2 * torch.nn.functional.kl_div(student, teacher, reduction="none").sum(dim=1).mean()
        from_logits = kl_divergence(LOGITS, 3 * SOFT, temperature=temperature, target_logits=True)
        assert same(from_logits, expected.numpy())
        assert same(kl_divergence(LOGITS, teacher.numpy(), temperature=temperature), expected.numpy())
    assert alike(kl_divergence, cross_entropy)


def test_kl_divergence_of_equal_distributions_is_0():
    value, gradient = value_and_grad(kl_divergence)(LOGITS, SOFTMAX)
    assert abs(value) < 1e-15
    assert np.abs(gradient).max() < 1e-15
    assert abs(kl_divergence(LOGITS, LOGITS, target_logits=True, temperature=2.0, activation="sigmoid")) < 1e-15


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_class_weights_of_a_distilled_target_are_those_of_its_probabilities(activation):
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    options = {"class_weights": weights, "activation": activation, "temperature": 2.0}
    teacher = 3 * SOFT / 2
    made = softmax(teacher)
    made = made if activation == "softmax" else 1 / (1 + np.exp(-teacher))
    value = kl_divergence(LOGITS, 3 * SOFT, target_logits=True, **options)
    assert same(value, kl_divergence(LOGITS, made, **options))


def test_jensen_shannon():
    middle = (SOFT + SOFTMAX) / 2
    expected = np.sum(SOFT * np.log(SOFT / middle) + SOFTMAX * np.log(SOFTMAX / middle), axis=1).mean() / 2
    assert same(jensen_shannon(LOGITS, SOFT), expected)
    assert same(jensen_shannon(np.log(SOFT), SOFTMAX), expected)
    assert abs(jensen_shannon(LOGITS, SOFTMAX)) < 1e-15
    assert same(jensen_shannon(np.array([[-500.0, 500.0]]), np.array([0])), np.log(2))


# Selections.


def test_top_k_cross_entropy():
    ordered = np.sort(LOSSES_AT_ID.reshape(-1))[::-1]
    for share, count in ((0.1, 7), (0.33, 23), (1e-6, 1), (1.0, 70)):
        assert same(top_k_cross_entropy(LOGITS, IDS, share=share), ordered[:count].mean())
    assert alike(partial(top_k_cross_entropy, share=1.0), cross_entropy)
    valid = np.sort(LOSSES_AT_ID[VOID != 255])[::-1]
    value = top_k_cross_entropy(LOGITS, VOID, share=0.2, ignore_index=255)
    assert same(value, valid[: int(0.2 * valid.size)].mean())


def test_bootstrapped_cross_entropy():
    for threshold, min_kept in ((0.5, 1), (2.5, 10), (100.0, 3), (0.0, 10_000)):
        means = []
        for losses, ids in zip(LOSSES_AT_ID, VOID, strict=True):
            valid = losses[ids != 255]
            hard = valid[valid > threshold]
            means.append((hard if hard.size >= min_kept else np.sort(valid)[::-1][:min_kept]).mean())
        value = bootstrapped_cross_entropy(LOGITS, VOID, loss_threshold=threshold, min_kept=min_kept, ignore_index=255)
        assert same(value, np.mean(means))
    empty = np.stack([VOID[0], np.full_like(VOID[0], 255)])
    one = bootstrapped_cross_entropy(LOGITS[:1], VOID[:1], min_kept=5, ignore_index=255)
    assert same(bootstrapped_cross_entropy(LOGITS, empty, min_kept=5, ignore_index=255), one)


# Neighbors and points.


@pytest.mark.parametrize("size", [1, 3, 5])
def test_neighbor_aware_cross_entropy(size):
    reach = size // 2
    valid = (VOID != 255).astype(float)
    hot = HARD * valid[:, None]
    share = np.zeros_like(hot)
    for n, i, j in np.ndindex(VOID.shape):
        window = (n, slice(max(i - reach, 0), i + reach + 1), slice(max(j - reach, 0), j + reach + 1))
        seen = valid[window].sum()
        share[n, :, i, j] = hot[(window[0], slice(None), *window[1:])].sum(axis=(1, 2)) / max(seen, 1)
    kept = VOID != 255
    for distance, power in (("l1", 1), ("l2", 2)):
        apart = np.mean(np.abs(LOGITS - share) ** power, axis=1)
        value = neighbor_aware_cross_entropy(
            LOGITS, VOID, alpha=0.3, kernel_size=size, distance=distance, ignore_index=255
        )
        assert same(value, np.mean((LOSSES_AT_ID + 0.3 * apart)[kept]))
    assert alike(partial(neighbor_aware_cross_entropy, alpha=0.0), cross_entropy)


@pytest.mark.parametrize("shape", [(9,), (5, 7), (3, 4, 5)])
def test_point_sampled_cross_entropy_is_that_of_torchs_grid_sample(shape):
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(len(shape))
    logits, ids = generator.normal(size=(2, 4, *shape)), generator.integers(0, 4, size=(2, *shape))
    points = generator.random((2, 11, len(shape)))
    value, gradient = value_and_grad(point_sampled_cross_entropy)(logits, ids, points=points)
    planes = max(len(shape), 2)  # grid_sample takes two or three axes, and points in the order x, y, z
    missing = planes - len(shape)
    given_logits = torch.from_numpy(logits).requires_grad_()
    grid = np.concatenate([np.full((2, 11, missing), 0.5), points], axis=2)[..., ::-1] * 2 - 1
    grid = torch.from_numpy(grid.reshape(2, 11, *[1] * (planes - 1), planes).copy())
    volume = given_logits.reshape(2, 4, *[1] * missing, *shape)
    settings = {"align_corners": False, "padding_mode": "border"}
    sampled = torch.nn.functional.grid_sample(volume, grid, mode="bilinear", **settings).reshape(2, 4, 11)
    labels = torch.from_numpy(ids.astype(float)).reshape(2, 1, *[1] * missing, *shape)
    labels = torch.nn.functional.grid_sample(labels, grid, mode="nearest", **settings).reshape(2, 11)
    expected = torch.nn.functional.cross_entropy(sampled, labels.to(torch.int64))
    expected.backward()
    assert same(value, expected.detach().numpy())
    assert same(gradient, given_logits.grad.numpy(), 1e-11)


def test_points_at_pixel_centers_give_cross_entropy():
    rows, columns = np.meshgrid((np.arange(5) + 0.5) / 5, (np.arange(7) + 0.5) / 7, indexing="ij")
    points = np.stack([np.stack([rows, columns], axis=-1).reshape(-1, 2)] * 2)
    at_points = partial(point_sampled_cross_entropy, points=points)
    found = value_and_grad(at_points)(LOGITS, VOID, ignore_index=255, class_weights=(1, 2, 3, 4))
    wanted = value_and_grad(cross_entropy)(LOGITS, VOID, ignore_index=255, class_weights=(1, 2, 3, 4))
    assert all(same(a, b) for a, b in zip(found, wanted, strict=True))


def test_drawn_points_are_uncertain_and_repeatable():
    certain = (
        np.where(np.arange(70).reshape(2, 5, 7) % 7 < 5, 10.0, 0.0)[:, None]
        * np.array([1, 0, 0, 0.0])[None, :, None, None]
    )
    target = np.zeros(IDS.shape, dtype=int)
    even = point_sampled_cross_entropy(certain, target, num_points=50, importance=0.0, seed=3)
    uncertain = point_sampled_cross_entropy(certain, target, num_points=50, importance=1.0, oversampling=5, seed=3)
    assert uncertain > 1.5 * even
    assert point_sampled_cross_entropy(LOGITS, IDS, num_points=9) == point_sampled_cross_entropy(
        LOGITS, IDS, num_points=9
    )
    assert point_sampled_cross_entropy(LOGITS, IDS, num_points=9, seed=1) != point_sampled_cross_entropy(
        LOGITS, IDS, num_points=9
    )
    assert point_sampled_cross_entropy(LOGITS, IDS, num_points=9, reduction="none").shape == (2, 9)


# Losses of one's own.


@pixel_loss
def own_focal(log_probability, xp, *, gamma=2):
    """(1 - p)^gamma log p, with its derivative."""
    p, rest = xp.exp(log_probability), -xp.expm1(log_probability)
    power = rest ** (gamma - 1)
    return -power * rest * log_probability, power * (gamma * p * log_probability - rest)


def test_a_loss_of_ones_own(library):
    logits, ids = library.asarray(LOGITS), library.asarray(VOID)
    for options in ({}, {"activation": "sigmoid", "gamma": 3}, {"class_weights": (1, 2, 3, 4), "label_smoothing": 0.1}):
        found = value_and_grad(own_focal)(logits, ids, ignore_index=255, **options)
        wanted = value_and_grad(focal)(LOGITS, VOID, ignore_index=255, **options)
        assert all(same(to_numpy(a), b, 1e-11) for a, b in zip(found, wanted, strict=True))
    assert_gradient(own_focal, LOGITS[:, :, :2, :2], IDS[:, :2, :2], gamma=3)
    assert own_focal.__name__ == "own_focal"
    assert own_focal.__doc__.startswith("(1 - p)^gamma")


def test_a_loss_of_ones_own_knows_its_options():
    with pytest.raises(TypeError, match="own_focal has no option `gama`; did you mean `gamma`"):
        own_focal(LOGITS, IDS, gama=1)
    with pytest.raises(TypeError, match="`reduction` is an option of every pixel loss"):
        pixel_loss(lambda log_probability, xp, *, reduction=1: (log_probability, reduction))
    loss = pixel_loss(lambda log_probability, xp: (-log_probability, -xp.ones_like(log_probability)))
    assert alike(loss, cross_entropy)


# Errors.


@pytest.mark.parametrize(
    ("loss", "message", "wrong"),
    [
        (poly, "`epsilon` must be at least -1; got -2", {"epsilon": -2}),
        (generalized_cross_entropy, "`q` must be from 0 to 1; got 1.5", {"q": 1.5}),
        (symmetric_cross_entropy, "`log_zero` must be .*; got 1", {"log_zero": 1}),
        (symmetric_cross_entropy, "`alpha` must be at least 0", {"alpha": -1}),
        (bi_tempered, "`t1` must be from 0 to 1; got 2", {"t1": 2}),
        (bi_tempered, "`t2` must be at least 1; got 0.5", {"t2": 0.5}),
        (bi_tempered, "`activation` must be 'softmax' or 'sigmoid'; got None", {"activation": None}),
        (asymmetric, "`activation` must be 'sigmoid' or None; got 'softmax'", {"activation": "softmax"}),
        (asymmetric, "`margin` must be from 0 to just under 1", {"margin": 1}),
        (reduced_focal, "`threshold` must be between 0 and 1; got 1", {"threshold": 1}),
        (quality_focal, "`beta` must be at least 0", {"beta": -1}),
        (dual_focal, "`epsilon` must be greater than 0; got 0", {"epsilon": 0}),
        (focal_cosine, "`focal_weight` must be at least 0", {"focal_weight": -1}),
        (balanced_binary_cross_entropy, "`pool` must be", {"pool": "pixel"}),
        (kl_divergence, "`temperature` must be greater than 0; got 0", {"temperature": 0}),
        (kl_divergence, "activation=None `input` contains probabilities", {"temperature": 2, "activation": None}),
        (jensen_shannon, "`target` must have the shape of `input`", {"target_logits": True}),
        (top_k_cross_entropy, "`share` must be greater than 0 and at most 1; got 0", {"share": 0}),
        (top_k_cross_entropy, "`share` must be greater than 0 and at most 1; got 10", {"share": 10}),
        (bootstrapped_cross_entropy, "`loss_threshold` must be at least 0", {"loss_threshold": -1}),
        (neighbor_aware_cross_entropy, "`kernel_size` must be odd", {"kernel_size": 4}),
        (neighbor_aware_cross_entropy, "`distance` must be 'l1' or 'l2'; got 'l3'", {"distance": "l3"}),
        (distance_weighted_cross_entropy, "`distance` must have the shape", {"distance": np.ones(3)}),
        (distance_weighted_cross_entropy, "`distance` must not be negative", {"distance": -np.ones((2, 5, 7))}),
        (
            point_sampled_cross_entropy,
            r"`points` must have the shape \(N, K, D\) = \(2, K, 2\)",
            {"points": np.ones(3)},
        ),
        (point_sampled_cross_entropy, "`points` must lie from 0 to 1", {"points": np.full((2, 3, 2), 4.0)}),
        (point_sampled_cross_entropy, "`num_points` must be at least 1", {"num_points": 0}),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_wrong_options_raise_a_sentence(library, loss, message, wrong):
    wrong = {name: library.asarray(v) if isinstance(v, np.ndarray) else v for name, v in wrong.items()}
    with pytest.raises(ValueError, match=message) as caught:
        loss(library.asarray(LOGITS), library.asarray(IDS), **wrong)
    assert str(caught.value).endswith(".")
