"""Cross entropy, focal and hard-example losses: worked numbers, torch as the oracle, errors, transforms, edge cases."""

from functools import partial

import array_api_compat
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scenes import scene, softmax
from tolerances import FLOAT32, FLOAT64, FLOAT64_GRADIENT, LAST_BITS, SUMS

from arrayseg import grad, losses, value_and_grad
from arrayseg.losses import binary_cross_entropy, cross_entropy, focal, nll, ohem_cross_entropy, one_hot
from arrayseg.testing import assert_gradient, relative_difference, to_numpy

PIXEL_LOSSES = [
    cross_entropy,
    focal,
    partial(focal, activation="sigmoid", alpha=0.25),
    binary_cross_entropy,
    partial(ohem_cross_entropy, threshold=0.5, min_kept=3),
]

BINARY_LOGITS = np.array([[[[0.43, -0.25], [-0.32, 0.69]]], [[[-0.29, 0.37], [0.54, -0.72]]]])
BINARY_MASK = np.array([[[[0, 0], [0, 1]]], [[[0, 0], [1, 1]]]])
TWO_CHANNEL_LOGITS = np.array(
    [
        [[[0.3164, -0.1922], [0.4326, -1.2193]], [[0.6873, 0.6838], [0.2244, 0.5615]]],
        [[[-0.2516, -0.8875], [-0.6289, -0.1796]], [[0.0411, -1.7851], [-0.3069, -1.0379]]],
    ]
)
TWO_CHANNEL_IDS = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 1]]])


def name_of(loss):
    return f"{loss.func.__name__}{loss.keywords}" if isinstance(loss, partial) else loss.__name__


def wide_jax():
    jax = pytest.importorskip("jax")
    if not jax.config.jax_enable_x64:
        pytest.skip("JAX without 64-bit numbers")
    return jax


# Worked numbers.


def test_binary_cross_entropy_of_the_worked_example(library):
    logits, mask = library.asarray(BINARY_LOGITS), library.asarray(BINARY_MASK)
    probabilities = library.asarray(1 / (1 + np.exp(-BINARY_LOGITS)))
    assert round(float(binary_cross_entropy(logits, mask)), 4) == 0.6861
    assert round(float(binary_cross_entropy(probabilities, mask, activation=None)), 4) == 0.6861


def test_cross_entropy_of_the_worked_example(library):
    value = cross_entropy(library.asarray(TWO_CHANNEL_LOGITS), library.asarray(TWO_CHANNEL_IDS))
    assert round(float(value), 4) == 0.9823


def test_softmax_of_two_channels_is_sigmoid_of_their_difference(library):
    ids = library.asarray(TWO_CHANNEL_IDS)
    two = library.asarray(TWO_CHANNEL_LOGITS)
    one = library.asarray(TWO_CHANNEL_LOGITS[:, 1:] - TWO_CHANNEL_LOGITS[:, :1])
    soft, by_channel = value_and_grad(cross_entropy)(two, ids)
    binary, by_difference = value_and_grad(binary_cross_entropy)(one, ids)
    assert relative_difference(soft, to_numpy(binary)) < LAST_BITS
    expected = to_numpy(by_difference)
    assert relative_difference(by_channel, np.concatenate([-expected, expected], axis=1)) < SUMS


def test_binary_soft_dice_pooled_over_the_whole_batch(library):
    from arrayseg.losses import dice

    epsilon = 1e-5
    p = 1 / (1 + np.exp(-BINARY_LOGITS))
    expected = 1 - 2 * ((p * BINARY_MASK).sum() + epsilon) / (p.sum() + BINARY_MASK.sum() + epsilon)
    value = dice(
        library.asarray(BINARY_LOGITS),
        library.asarray(BINARY_MASK),
        activation="sigmoid",
        pool="all",
        smooth=(2 * epsilon, epsilon),
    )
    assert abs(float(value) - expected) < LAST_BITS


def test_focal_with_alpha_per_class_is_an_unnormalized_mean_over_pixels(library):
    logits, ids = scene(void=0)
    alpha = np.array([0.1, 0.2, 0.3, 0.4])
    p = softmax(logits)
    at_id = np.take_along_axis(p, ids[:, None], axis=1)[:, 0]
    expected = np.mean(-alpha[ids] * (1 - at_id) ** 2 * np.log(at_id))
    value = focal(library.asarray(logits), library.asarray(ids), gamma=2, alpha=tuple(alpha))
    assert abs(float(value) / expected - 1) < FLOAT64


@pytest.mark.parametrize("min_kept", [0, 5, 40, 10_000])
def test_ohem_keeps_the_losses_above_the_threshold_or_the_largest(library, min_kept):
    logits, ids = scene(scale=0.7)
    losses = -(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    losses = np.take_along_axis(losses, np.where(ids == 255, 0, ids)[:, None], axis=1)[:, 0][ids != 255]
    hard = losses[losses > -np.log(0.3)]
    expected = hard.mean() if hard.size >= min_kept else np.sort(losses)[::-1][:min_kept].mean()
    value = ohem_cross_entropy(
        library.asarray(logits), library.asarray(ids), threshold=0.3, min_kept=min_kept, ignore_index=255
    )
    assert abs(float(value) / expected - 1) < FLOAT64


def test_ohem_ties_share_the_last_places(library):
    logits = np.zeros((1, 2, 4))
    value, gradient = value_and_grad(ohem_cross_entropy)(
        library.asarray(logits), library.asarray(np.array([[0, 1, 0, 1]])), threshold=0.1, min_kept=2
    )
    assert abs(float(value) - np.log(2)) < 1e-15
    assert np.allclose(np.abs(to_numpy(gradient)), 1 / 8, rtol=LAST_BITS)


# Torch is the oracle.

OPTIONS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**20),
        "weighted": st.booleans(),
        "void": st.sampled_from([0.0, 0.3]),
        "label_smoothing": st.sampled_from([0.0, 0.1, 0.5]),
        "reduction": st.sampled_from(["mean", "sum", "none"]),
        "shape": st.sampled_from([(), (6,), (3, 5), (2, 3, 4)]),
    }
)


@given(OPTIONS)
def test_cross_entropy_is_that_of_torch(drawn):
    torch = pytest.importorskip("torch")
    logits, ids = scene(drawn["seed"], shape=drawn["shape"], images=3, void=drawn["void"])
    ids.reshape(-1)[0] = 1  # torch divides by 0 where nothing is left
    weights = np.random.default_rng(drawn["seed"]).random(4) + 0.1 if drawn["weighted"] else None
    shared = {"reduction": drawn["reduction"], "label_smoothing": drawn["label_smoothing"]}
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits),
        torch.from_numpy(ids),
        weight=None if weights is None else torch.from_numpy(weights),
        ignore_index=255,
        **shared,
    )
    value = cross_entropy(logits, ids, class_weights=weights, ignore_index=255, **shared)
    assert relative_difference(value, expected.numpy()) < FLOAT64


@given(OPTIONS)
def test_cross_entropy_of_distributions_is_that_of_torch(drawn):
    torch = pytest.importorskip("torch")
    logits, _ = scene(drawn["seed"], shape=drawn["shape"])
    target = np.random.default_rng(drawn["seed"]).dirichlet(np.ones(4), size=(2, *drawn["shape"]))
    target = np.moveaxis(target, -1, 1).copy()
    weights = (0.5, 1.0, 2.0, 4.0) if drawn["weighted"] else None
    shared = {"reduction": drawn["reduction"], "label_smoothing": drawn["label_smoothing"]}
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits),
        torch.from_numpy(target),
        weight=None if weights is None else torch.tensor(weights, dtype=torch.float64),
        **shared,
    )
    assert (
        relative_difference(cross_entropy(logits, target, class_weights=weights, **shared), expected.numpy()) < FLOAT64
    )


@given(OPTIONS)
def test_nll_is_that_of_torch(drawn):
    torch = pytest.importorskip("torch")
    logits, ids = scene(drawn["seed"], shape=drawn["shape"], images=3, void=drawn["void"])
    ids.reshape(-1)[0] = 1
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    weights = np.array([0.5, 1.0, 2.0, 4.0]) if drawn["weighted"] else None
    given_log_p = torch.from_numpy(log_p).requires_grad_()
    expected = torch.nn.functional.nll_loss(
        given_log_p,
        torch.from_numpy(ids),
        weight=None if weights is None else torch.from_numpy(weights),
        ignore_index=255,
        reduction=drawn["reduction"],
    )
    options = {"class_weights": weights, "ignore_index": 255, "reduction": drawn["reduction"]}
    assert relative_difference(nll(log_p, ids, **options), expected.detach().numpy()) < FLOAT64
    if drawn["reduction"] != "none":
        expected.backward()
        assert relative_difference(grad(nll)(log_p, ids, **options), given_log_p.grad.numpy()) < FLOAT64_GRADIENT


@given(OPTIONS, st.sampled_from(["float64", "int64", "bool"]))
def test_binary_cross_entropy_is_that_of_torch(drawn, kind):
    torch = pytest.importorskip("torch")
    logits, _ = scene(drawn["seed"], shape=drawn["shape"])
    generator = np.random.default_rng(drawn["seed"])
    target = generator.random(logits.shape)
    target = target if kind == "float64" else (target < 0.4).astype(kind)
    pos_weight = np.array([0.5, 1.0, 2.0, 4.0]) if drawn["weighted"] else None
    given_logits = torch.from_numpy(logits).requires_grad_()
    spread = (-1, *[1] * len(drawn["shape"]))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        given_logits,
        torch.from_numpy(target).to(torch.float64),
        pos_weight=None if pos_weight is None else torch.from_numpy(pos_weight).reshape(spread),
        reduction=drawn["reduction"],
    )
    options = {"pos_weight": pos_weight, "reduction": drawn["reduction"], "class_axis": 1}
    value = binary_cross_entropy(logits, target, **options)
    if drawn["reduction"] == "none":
        assert relative_difference(value, expected.detach().numpy().sum(axis=1)) < FLOAT64
        return
    expected.backward()
    assert relative_difference(value, expected.detach().numpy()) < FLOAT64
    assert (
        relative_difference(grad(binary_cross_entropy)(logits, target, **options), given_logits.grad.numpy())
        < FLOAT64_GRADIENT
    )


def test_binary_cross_entropy_of_probabilities_is_that_of_torch_at_0_and_1():
    torch = pytest.importorskip("torch")
    p, target = np.array([[0.0, 1.0, 0.0, 1.0, 0.3]]), np.array([[0.0, 1.0, 1.0, 0.0, 0.7]])
    expected = torch.nn.functional.binary_cross_entropy(torch.from_numpy(p), torch.from_numpy(target))
    for given_target in (target, np.array([[0, 1, 1, 0, 0]]))[:1]:
        value, gradient = value_and_grad(binary_cross_entropy)(p, given_target, activation=None, class_axis=None)
        assert abs(float(value) - float(expected)) < FLOAT64
        assert np.isfinite(gradient).all()


@given(st.integers(0, 2**20), st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5]), st.sampled_from([None, 0.25]))
def test_sigmoid_focal_is_the_formula_of_retinanet(seed, gamma, alpha):
    logits, _ = scene(seed)
    target = (np.random.default_rng(seed).random(logits.shape) < 0.4).astype(int)
    p = 1 / (1 + np.exp(-logits))
    p_t = np.where(target, p, 1 - p)
    expected = -((1 - p_t) ** gamma) * np.log(p_t)
    if alpha is not None:
        expected = expected * np.where(target, alpha, 1 - alpha)
    value = focal(logits, target, activation="sigmoid", gamma=gamma, alpha=alpha)
    assert abs(float(value) / expected.mean() - 1) < FLOAT64_GRADIENT


def test_hard_and_soft_targets_agree(library):
    """Integers are evaluated on their side alone, floats on both."""
    logits, _ = scene()
    target = np.random.default_rng(1).random(logits.shape) < 0.4
    for loss in (binary_cross_entropy, partial(focal, activation="sigmoid", gamma=1.5, alpha=0.3)):
        for options in ({}, {"class_weights": (1.0, 2.0, 3.0, 4.0)}):
            soft = value_and_grad(loss)(library.asarray(logits), library.asarray(target.astype(float)), **options)
            for kind in ("bool", "uint8", "int64"):
                hard = value_and_grad(loss)(library.asarray(logits), library.asarray(target.astype(kind)), **options)
                assert all(relative_difference(a, to_numpy(b)) < SUMS for a, b in zip(hard, soft, strict=True))


def test_unweighted_denominators():
    logits, ids = scene()
    total = float(cross_entropy(logits, ids, ignore_index=255, reduction="sum"))
    valid, pixels = int((ids != 255).sum()), ids.size
    foreground = int(((ids != 255) & (ids != 0)).sum())
    amounts = {"weights": valid, "valid": valid, "all": pixels, "elements": valid * 4, "positives": foreground}
    for name, amount in amounts.items():
        value = cross_entropy(logits, ids, ignore_index=255, denominator=name)
        assert abs(float(value) * amount / total - 1) < LAST_BITS, name


# Errors come before any work, on every backend.

GOOD_LOGITS, GOOD_IDS = np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5), dtype=np.int64)
WRONG = {
    "an unknown option": (TypeError, "has no option `ignore_indx`; did you mean `ignore_index`", {"ignore_indx": 1}),
    "an unknown reduction": (ValueError, "`reduction` must be .* got 'avg'", {"reduction": "avg"}),
    "an unknown denominator": (ValueError, "`denominator` must be .* got 'n'", {"denominator": "n"}),
    "an unknown activation": (ValueError, "`activation` must be .* got 'relu'", {"activation": "relu"}),
    "smoothing of 1": (ValueError, "`label_smoothing` must be .* got 1", {"label_smoothing": 1.0}),
    "negative smoothing": (ValueError, "`label_smoothing` must be .* got -0.1", {"label_smoothing": -0.1}),
    "few class weights": (
        ValueError,
        r"one number for each of the 3 classes; got shape \(2,\)",
        {"class_weights": (1, 2)},
    ),
    "a class axis that is not there": (ValueError, "`class_axis` must be an axis", {"class_axis": 4}),
    "the batch axis for classes": (ValueError, "`class_axis` must be an axis", {"class_axis": 0}),
    "a mask of numbers": (TypeError, "`mask` must be boolean", {"mask": GOOD_IDS}),
    "a mask of another shape": (ValueError, "`mask` must have the shape", {"mask": np.ones((2, 4), dtype=bool)}),
    "weights that are booleans": (TypeError, "`pixel_weights` must be numbers", {"pixel_weights": GOOD_IDS == 0}),
    "negative pixel weights": (ValueError, "must not be negative; got -1", {"pixel_weights": -np.ones((2, 4, 5))}),
    "pixel weights of another shape": (
        ValueError,
        "`pixel_weights` must have the shape",
        {"pixel_weights": np.ones(2)},
    ),
    "integer input": (TypeError, "`input` must be floating", {"input": GOOD_LOGITS.astype(int)}),
    "no classes": (ValueError, "`input` has no classes", {"input": np.zeros((2, 0, 4, 5))}),
    "softmax of a channel": (
        ValueError,
        "Over a single channel softmax is always 1",
        {"input": np.zeros((2, 1, 4, 5))},
    ),
    "floating ids": (TypeError, "must hold integer class ids", {"target": GOOD_IDS.astype(float)}),
    "a target of another shape": (ValueError, "`target` must hold class ids of shape", {"target": GOOD_IDS[:1]}),
    "an id too great": (ValueError, "class ids from 0 to 2.* got 3", {"target": GOOD_IDS + 3}),
    "a negative id": (ValueError, "got -1", {"target": GOOD_IDS - 1}),
    "a void label that is not declared": (ValueError, "pass ignore_index=255", {"target": GOOD_IDS + 255}),
    "another void label": (
        ValueError,
        "or ignore_index=255.* got 7",
        {"target": GOOD_IDS + 7, "ignore_index": 255},
    ),
    "ignore_index of soft targets": (ValueError, "with `mask`", {"target": GOOD_LOGITS, "ignore_index": 255}),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("loss", [cross_entropy, focal, ohem_cross_entropy], ids=name_of)
def test_wrong_arguments_raise_a_sentence(library, loss, what):
    error, message, wrong = WRONG[what]
    arguments = {"input": GOOD_LOGITS, "target": GOOD_IDS} | wrong
    arguments = {k: library.asarray(v) if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
    with pytest.raises(error, match=message) as caught:
        loss(arguments.pop("input"), arguments.pop("target"), **arguments)
    assert str(caught.value).endswith((".", "?"))


@pytest.mark.parametrize(
    ("loss", "message", "wrong"),
    [
        (focal, "`gamma` must be at least 0; got -1", {"gamma": -1}),
        (focal, "`alpha` must be from 0 to 1; got 2", {"alpha": 2}),
        (focal, "one number for each of the 3 classes", {"alpha": (0.1, 0.9)}),
        (binary_cross_entropy, "`activation` must be 'sigmoid' or None; got 'softmax'", {"activation": "softmax"}),
        (binary_cross_entropy, "`pos_weight` must hold one number", {"pos_weight": (1.0, 2.0)}),
        (ohem_cross_entropy, "`threshold` must be from 0 to 1; got 1.5", {"threshold": 1.5}),
        (ohem_cross_entropy, "`min_kept` must be at least 0; got -1", {"min_kept": -1}),
    ],
    ids=lambda value: name_of(value) if callable(value) else None,
)
def test_wrong_options_of_a_loss_raise_a_sentence(library, loss, message, wrong):
    with pytest.raises(ValueError, match=message):
        loss(library.asarray(GOOD_LOGITS), library.asarray(GOOD_IDS), **wrong)


def test_arrays_of_two_libraries_raise(library):
    if library.name in ("numpy", "cupy"):
        pytest.skip("the other library is NumPy")
    with pytest.raises(TypeError, match="Convert `target` first"):
        cross_entropy(library.asarray(GOOD_LOGITS), GOOD_IDS)
    with pytest.raises(TypeError, match="Convert `mask` first"):
        cross_entropy(library.asarray(GOOD_LOGITS), library.asarray(GOOD_IDS), mask=GOOD_IDS == 0)


def test_gradient_of_a_map_raises(library):
    with pytest.raises(ValueError, match="Cannot differentiate a loss with reduction='none'"):
        grad(cross_entropy)(library.asarray(GOOD_LOGITS), library.asarray(GOOD_IDS), reduction="none")


# One-hot.


def test_one_hot_puts_the_classes_anywhere(library):
    _, ids = scene(classes=3)
    expected = (ids[:, None] == np.arange(3)[None, :, None, None]).astype(float)
    first = one_hot(library.asarray(ids), 3, ignore_index=255)
    last = one_hot(library.asarray(ids), 3, ignore_index=255, class_axis=-1)
    assert first.dtype == library.xp.float32
    np.testing.assert_array_equal(to_numpy(first), expected)
    np.testing.assert_array_equal(to_numpy(last), np.moveaxis(expected, 1, -1))


def test_one_hot_refuses_what_is_no_class(library):
    for ids, message in (([[0, 3]], "got 3"), ([[-1, 0]], "got -1")):
        with pytest.raises(ValueError, match=message):
            one_hot(library.asarray(np.array(ids)), 3)
    with pytest.raises(TypeError, match="integer class ids"):
        one_hot(library.asarray(np.zeros((1, 2))), 3)
    with pytest.raises(ValueError, match="`num_classes` must be at least 1"):
        one_hot(library.asarray(np.zeros((1, 2), dtype=int)), 0)


# Edge cases that hold for every pixel loss.


@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_gradient_is_that_of_central_differences(loss):
    logits, ids = scene(shape=(3, 2))
    mask = np.random.default_rng(0).random(ids.shape) < 0.8
    weights = np.random.default_rng(1).random(ids.shape)
    assert_gradient(loss, logits, ids, ignore_index=255)
    assert_gradient(loss, logits, ids, ignore_index=255, mask=mask, pixel_weights=weights, class_weights=(1, 2, 3, 4))
    assert_gradient(loss, logits, ids, ignore_index=255, label_smoothing=0.2, reduction="sum")


@given(seed=st.integers(0, 2**20), place=st.sampled_from([np.nan, np.inf, -np.inf, 1e300, 0.0]))
@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_ignored_pixels_have_no_effect(loss, seed, place):
    logits, ids = scene(seed)
    ids[0, 0, 0] = 255
    mask = np.random.default_rng(seed).random(ids.shape) < 0.7
    value, gradient = value_and_grad(loss)(logits, ids, ignore_index=255, mask=mask)
    void = (ids == 255) | ~mask
    disturbed = np.where(void[:, None], place, logits)
    other, other_gradient = value_and_grad(loss)(disturbed, ids, ignore_index=255, mask=mask)
    assert value == other
    np.testing.assert_array_equal(gradient, other_gradient)
    assert (np.where(void[:, None], gradient, 0) == 0).all()


@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_nan_of_ignored_pixels_stays_out(library, loss):
    logits, ids = scene()
    ids[0, 0, 0] = 255
    logits[0, :, 0, 0] = np.nan
    value, gradient = value_and_grad(loss)(library.asarray(logits), library.asarray(ids), ignore_index=255)
    assert np.isfinite(float(value))
    assert np.isfinite(to_numpy(gradient)).all()


@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_all_ignored_and_empty_give_zero(library, loss):
    logits, ids = library.asarray(GOOD_LOGITS + 1), library.asarray(GOOD_IDS + 255)
    for reduction in ("mean", "sum"):
        value, gradient = value_and_grad(loss)(logits, ids, ignore_index=255, reduction=reduction)
        assert float(value) == 0
        assert (to_numpy(gradient) == 0).all()
        for shape in ((0, 3, 4, 5), (2, 3, 0, 5)):
            rows = np.zeros((shape[0], *shape[2:]), dtype=int)
            value, gradient = value_and_grad(loss)(
                library.asarray(np.zeros(shape)), library.asarray(rows), reduction=reduction
            )
            assert float(value) == 0
            assert tuple(gradient.shape) == shape


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_large_logits_are_finite(library, loss, dtype):
    if dtype not in library.dtypes:
        pytest.skip(f"{library.name} has no {dtype}")
    logits, ids = scene(void=0)
    logits = library.asarray(200 * np.sign(logits), dtype)
    value, gradient = value_and_grad(loss)(logits, library.asarray(ids), reduction="mean")
    assert np.isfinite(float(value))
    assert np.isfinite(to_numpy(gradient)).all()


@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_half_precision_is_right_to_1e_3(library, loss):
    if "float16" not in library.dtypes:
        pytest.skip(f"{library.name} has no float16")
    logits, ids = scene(shape=(64, 70))
    expected = float(loss(logits.astype(np.float16).astype(float), ids, ignore_index=255))
    value = loss(library.asarray(logits, "float16"), library.asarray(ids), ignore_index=255)
    assert abs(float(value) / expected - 1) < 1e-3


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 5)])
@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_channels_last_and_any_number_of_axes(library, loss, shape):
    logits, ids = scene(shape=shape, images=4)
    first, gradient = value_and_grad(loss)(library.asarray(logits), library.asarray(ids), ignore_index=255)
    moved = np.ascontiguousarray(np.moveaxis(logits, 1, -1))
    last, gradient_last = value_and_grad(loss)(
        library.asarray(moved), library.asarray(ids), ignore_index=255, class_axis=-1
    )
    flat = loss(library.asarray(logits.reshape(4, 4, -1)), library.asarray(ids.reshape(4, -1)), ignore_index=255)
    assert relative_difference(last, to_numpy(first)) < LAST_BITS
    assert relative_difference(flat, to_numpy(first)) < LAST_BITS
    assert relative_difference(np.moveaxis(to_numpy(gradient_last), -1, 1), to_numpy(gradient)) < SUMS


@pytest.mark.parametrize("loss", [cross_entropy, focal], ids=name_of)
def test_permuted_classes_give_the_same(loss):
    logits, ids = scene(void=0)
    order = np.array([2, 0, 3, 1])
    value, gradient = value_and_grad(loss)(logits, ids, class_weights=(1, 2, 3, 4))
    weights = np.array([1.0, 2, 3, 4])[order]
    other, permuted = value_and_grad(loss)(logits[:, order], np.argsort(order)[ids], class_weights=weights)
    assert abs(value / other - 1) < LAST_BITS
    assert relative_difference(permuted, gradient[:, order]) < SUMS


def test_gamma_0_is_cross_entropy(library):
    logits, ids = (library.asarray(array) for array in scene(void=0))
    pairs = (
        (partial(focal, gamma=0), cross_entropy),
        (partial(focal, gamma=0, activation="sigmoid"), binary_cross_entropy),
        (partial(ohem_cross_entropy, threshold=1.0), cross_entropy),
        (partial(ohem_cross_entropy, threshold=0.0, min_kept=10**6), cross_entropy),
    )
    for special, general in pairs:
        found, wanted = value_and_grad(special)(logits, ids), value_and_grad(general)(logits, ids)
        assert all(relative_difference(a, to_numpy(b)) < SUMS for a, b in zip(found, wanted, strict=True))


def test_non_contiguous_input_is_taken_as_it_is(library):
    if library.name == "strict":
        pytest.skip("no strides")
    logits, ids = scene(shape=(6, 8))
    expected = cross_entropy(logits[:, :, ::2, 1::2].copy(), ids[:, ::2, 1::2].copy(), ignore_index=255)
    given_logits, given_ids = library.asarray(logits), library.asarray(ids)
    value = cross_entropy(given_logits[:, :, ::2, 1::2], given_ids[:, ::2, 1::2], ignore_index=255)
    assert relative_difference(value, expected) < LAST_BITS


# Transforms.


@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_torch_first_and_second_order(loss):
    torch = pytest.importorskip("torch")
    logits, ids = (torch.from_numpy(array) for array in scene(shape=(3, 2)))
    logits.requires_grad_()
    function = partial(loss, target=ids, ignore_index=255)
    assert torch.autograd.gradcheck(function, (logits,))
    assert torch.autograd.gradgradcheck(function, (logits,))
    expected = grad(loss)(logits.detach(), ids, ignore_index=255)
    assert relative_difference(torch.func.grad(function)(logits.detach()), expected.numpy()) < FLOAT64
    batched = torch.func.vmap(function)(torch.stack([logits.detach()] * 2))
    assert relative_difference(batched[1], function(logits.detach()).numpy()) < SUMS


def test_torch_backward_twice_and_scaled():
    torch = pytest.importorskip("torch")
    logits, ids = (torch.from_numpy(array) for array in scene(void=0))
    expected = grad(cross_entropy)(logits, ids)
    logits.requires_grad_()
    value = 3 * cross_entropy(logits, ids)
    value.backward(retain_graph=True)
    value.backward()
    assert relative_difference(logits.grad, 6 * expected.numpy()) < SUMS


@pytest.mark.compile
@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
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
@pytest.mark.parametrize("loss", PIXEL_LOSSES, ids=name_of)
def test_jax_jit_vmap_and_hessian(loss):
    jax = wide_jax()
    logits, ids = scene(shape=(2, 2), images=1)
    expected, slope = value_and_grad(loss)(logits, ids, ignore_index=255)
    logits, ids = jax.numpy.asarray(logits), jax.numpy.asarray(ids)
    function = partial(loss, target=ids, ignore_index=255)
    value, gradient = jax.jit(jax.value_and_grad(function))(logits)
    assert relative_difference(value, expected) < FLOAT64
    assert relative_difference(gradient, slope) < FLOAT64_GRADIENT
    assert relative_difference(jax.vmap(function)(logits[None])[0], expected) < FLOAT64
    direction = jax.numpy.linspace(-1, 2, logits.size).reshape(logits.shape)
    _, tangent = jax.jvp(function, (logits,), (direction,))
    assert relative_difference(tangent, np.sum(slope * np.asarray(direction))) < FLOAT64_GRADIENT
    assert np.isfinite(np.asarray(jax.hessian(function)(logits))).all()


def test_second_derivative_at_a_logit_of_0():
    logits, target = np.zeros((1, 2, 3)), np.random.default_rng(0).random((1, 2, 3))
    torch = pytest.importorskip("torch")
    for given_target in (target, (target < 0.5).astype(int)):
        function = partial(binary_cross_entropy, target=torch.from_numpy(given_target), reduction="sum")
        hessian = torch.func.hessian(function)(torch.from_numpy(logits)).reshape(6, 6)
        assert relative_difference(hessian, np.eye(6) / 4) < LAST_BITS


@pytest.mark.compile
def test_jit_counts_unknown_ids_nowhere():
    jax = wide_jax()
    logits, ids = scene()
    expected = cross_entropy(logits, ids, ignore_index=255)
    value = jax.jit(cross_entropy)(jax.numpy.asarray(logits), jax.numpy.asarray(ids))
    assert relative_difference(value, expected) < FLOAT64


def test_result_is_of_the_input(library):
    for dtype in library.dtypes:
        value, gradient = value_and_grad(cross_entropy)(library.asarray(GOOD_LOGITS, dtype), library.asarray(GOOD_IDS))
        assert gradient.dtype == getattr(library.xp, dtype)
        assert value.dtype == (library.xp.float64 if dtype == "float64" else library.xp.float32)
        assert array_api_compat.device(value) == array_api_compat.device(library.asarray(GOOD_LOGITS))


HALF_LOSSES = {
    "compound": losses.compound({losses.dice: 1.0, losses.lovasz_softmax: 0.5, cross_entropy: 0.5}),
    "cross entropy": cross_entropy,
    "dice": losses.dice,
    "hardest": partial(ohem_cross_entropy, threshold=0.5, min_kept=3),
    "map": partial(cross_entropy, reduction="none"),
    "map of ranks": partial(losses.lovasz_softmax, reduction="none"),
    "points": partial(losses.point_sampled_cross_entropy, num_points=20),
    "scores": partial(losses.dice, reduction="none"),
    "sigmoid": partial(focal, activation="sigmoid"),
}


@pytest.mark.parametrize("name", HALF_LOSSES)
def test_a_loss_of_half_precision_is_float32(library, name):
    loss, (logits, ids) = HALF_LOSSES[name], scene(void=0)
    for dtype in set(library.dtypes) - {"float64", "float32"}:
        half = library.asarray(logits, dtype)
        exact = loss(to_numpy(half).astype(np.float64), ids)
        value = loss(half, library.asarray(ids))
        assert value.dtype == library.xp.float32
        assert relative_difference(value, exact) < FLOAT32
        if value.ndim == 0:
            value, gradient = value_and_grad(loss)(half, library.asarray(ids))
            assert value.dtype == library.xp.float32
            assert gradient.dtype == half.dtype
            assert relative_difference(value, exact) < FLOAT32


def test_a_sum_of_half_precision_does_not_overflow(library):
    ids = np.zeros((1, 512, 512), dtype=np.int64)
    for dtype in set(library.dtypes) - {"float64", "float32"}:
        total = cross_entropy(library.asarray(np.zeros((1, 2, 512, 512)), dtype), library.asarray(ids), reduction="sum")
        assert float(total) == pytest.approx(512**2 * np.log(2), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["compound", "cross entropy", "dice", "hardest", "points", "sigmoid"])
def test_a_gradient_scaler_does_not_overflow_half_precision(name, dtype):
    torch = pytest.importorskip("torch")
    loss, (logits, ids) = HALF_LOSSES[name], scene(void=0)
    half = torch.from_numpy(logits).to(getattr(torch, dtype)).requires_grad_()
    (own,) = torch.autograd.grad(2.0**16 * loss(half, torch.from_numpy(ids)), half)
    plain = torch.func.grad(lambda z: 2.0**16 * loss(z, torch.from_numpy(ids)))(half.detach())
    exact = grad(loss)(to_numpy(half.detach()).astype(np.float64), ids) * 2**16
    for gradient in (own, plain):
        assert gradient.dtype == half.dtype
        assert relative_difference(gradient.float(), exact) < (2e-3 if dtype == "float16" else 2e-2)


def test_a_masked_pixel_may_hold_any_id(library):
    logits = library.asarray([[[0.3, -0.2, 0.9], [0.1, 0.4, -0.7]]], "float64")
    masked, void = library.asarray([[0, 1, 255]]), library.asarray([[True, True, False]])
    value, gradient = value_and_grad(cross_entropy)(logits, masked, mask=void)
    wanted, slope = value_and_grad(cross_entropy)(logits, masked, ignore_index=255)
    assert float(value) == float(wanted)
    assert np.array_equal(to_numpy(gradient), to_numpy(slope))


@pytest.mark.parametrize("name", ["class_weights", "pos_weight"])
def test_weights_of_classes_have_their_gradient_in_torch(name):
    torch = pytest.importorskip("torch")
    logits = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ids = torch.randint(0, 3, (2, 4), generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, w: binary_cross_entropy(z, ids, **{name: w}), (logits, weights))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "name", ["cross_entropy", "dice", "dice_cross_entropy", "lovasz_softmax", "ohem_cross_entropy"]
)
def test_half_precision_gradients_are_scaled_before_they_are_rounded(name, dtype):
    # Of the mean over half a million pixels most are below 6e-8, the least float16; the scale of the loss saves them.
    torch = pytest.importorskip("torch")
    loss = getattr(losses, name)
    logits, ids = scene(shape=(512, 512), void=0)
    half = torch.from_numpy(logits).to(getattr(torch, dtype)).requires_grad_()
    loss(half, torch.from_numpy(ids)).backward(torch.tensor(2.0**12))
    expected = grad(loss)(to_numpy(half.detach().to(torch.float64)), ids) * 2**12
    assert half.grad.dtype == half.dtype
    assert relative_difference(half.grad.to(torch.float64).numpy(), expected) < (1e-3 if dtype == "float16" else 1e-2)


def test_weights_of_classes_may_be_half_precision():
    torch = pytest.importorskip("torch")
    logits, ids = torch.zeros(2, 3, 4), torch.zeros((2, 4), dtype=torch.int64)
    half = torch.tensor([0.5, 1.0, 2.0], dtype=torch.bfloat16)
    assert binary_cross_entropy(logits, ids, pos_weight=half) == binary_cross_entropy(
        logits, ids, pos_weight=half.float()
    )


@pytest.mark.parametrize(
    ("loss", "name"), [(binary_cross_entropy, "pos_weight"), (focal, "alpha"), (focal, "class_weights")]
)
def test_weights_of_classes_of_another_library_raise(library, loss, name):
    if library.name == "numpy":
        pytest.skip("the other library is NumPy")
    logits, ids = library.asarray(np.zeros((1, 3, 4)), "float32"), library.asarray(np.zeros((1, 4), dtype=np.int64))
    with pytest.raises(TypeError, match="Convert"):
        loss(logits, ids, **{name: np.ones(3, dtype=np.float32)})
