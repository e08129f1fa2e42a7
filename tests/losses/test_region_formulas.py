"""Region losses: recorded numbers of other libraries, limits between losses, options, errors."""

from itertools import product

import hypothesis.strategies as st
import numpy as np
import pytest
from compat.recorded import recorded
from hypothesis import given
from scenes import one_hot, softmax
from tolerances import FLOAT32, FLOAT64, LAST_BITS, SIX_DECIMALS, SUMS

import arrayseg
from arrayseg import losses
from arrayseg.losses import (
    asymmetric_f_beta,
    dice,
    dice_semimetric,
    fine_grained_jaccard,
    focal_tversky,
    generalized_dice,
    generalized_wasserstein_dice,
    jaccard,
    jaccard_metric,
    log_cosh_dice,
    log_dice,
    log_jaccard,
    matthews_corrcoef,
    penalty_generalized_dice,
    region_loss,
    sensitivity_specificity,
    tversky,
)
from arrayseg.testing import assert_gradient

GENERATOR = np.random.default_rng(11)
LOGITS = 2 * GENERATOR.normal(size=(2, 4, 5, 7))
IDS = GENERATOR.integers(0, 4, size=(2, 5, 7))
DISTANCES = ((0.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.5, 0.5), (1.0, 0.5, 0.0, 0.5), (1.0, 0.5, 0.5, 0.0))


def sums(pool, *, logits=LOGITS, ids=IDS, weights=1.0):
    """I, P, T and the pixels, by pool."""
    p, t = softmax(logits) * weights, one_hot(ids, 4) * weights
    axis = {"image": (2, 3), "batch": (0, 2, 3), "micro": (1, 2, 3), "all": (0, 1, 2, 3)}[pool]
    whole = np.broadcast_to(weights, p.shape)
    return (p * one_hot(ids, 4)).sum(axis), p.sum(axis), t.sum(axis), whole.sum(axis)


# Recorded numbers.


@pytest.fixture(scope="module")
def batch():
    """The logits and ids that the recorded numbers are of."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))


def monai(loss, form="ids with a channel", **options):
    return recorded("monai_1_6", loss, form, softmax=True, to_onehot_y=True, **options)


COSTS = [[0, 1, 1, 1], [1, 0, 0.5, 0.5], [1, 0.5, 0, 0.5], [1, 0.5, 0.5, 0]]
TRAINER = {"apply_nonlin": "softmax", "batch_dice": True, "do_bg": False, "smooth": 1e-5}


@pytest.mark.parametrize(
    ("loss", "options", "number"),
    [
        (dice, {}, monai("dice_loss")),
        (dice, {"pool": "batch", "smooth": 0}, recorded("smp_0_6", "dice_loss", mode="multiclass")),
        (
            dice,
            {"pool": "batch", "smooth": 1e-3, "smooth_form": "tp"},
            recorded("jdt", "jdt_loss", alpha=0.5, beta=0.5),
        ),
        (dice, {"pool": "micro", "smooth": 0}, recorded("kornia_0_9", "dice_loss")),
        (dice, {"smooth": 1}, 1 + recorded("nnunet_2", "soft_dice_loss", apply_nonlin="softmax")),
        (
            dice,
            {"pool": "batch", "exclude_background": True},
            1 + recorded("nnunet_2", "memory_efficient_soft_dice_loss", **TRAINER),
        ),
        (dice, {"soft_tp": "l2"}, monai("dice_loss", squared_pred=True)),
        (
            dice,
            {"soft_tp": "l2", "pool": "micro", "smooth": (0, 2e-3), "activation": "sigmoid"},
            recorded("mmseg_1_2", "dice_loss"),
        ),
        (
            dice,
            {"soft_tp": "l2", "pool": "micro", "smooth": (0, 2e-3)},
            recorded("mmseg_1_2", "dice_loss", use_sigmoid=False),
        ),
        (dice, {"pool": "batch", "class_weights": (1, 2, 3, 4)}, 1.903183),
        (
            dice,
            {"pool": "batch", "class_weights": (1, 2, 3, 4), "weight_norm": "sum"},
            recorded("smp_0_6", "dice_loss", mode="multiclass", class_weights=[1.0, 2.0, 3.0, 4.0]),
        ),
        (jaccard, {}, monai("dice_loss", jaccard=True)),
        (generalized_dice, {}, monai("generalized_dice_loss")),
        (generalized_dice, {"pool": "batch"}, monai("generalized_dice_loss", batch=True)),
        (generalized_dice, {"weighting": "simple"}, monai("generalized_dice_loss", w_type="simple")),
        (generalized_dice, {"weighting": "uniform"}, 0.755044),
        (
            generalized_wasserstein_dice,
            {"distances": DISTANCES, "weighting": "gdl"},
            recorded("monai_1_6", "generalized_wasserstein_dice_loss", dist_matrix=COSTS, weighting_mode="GDL"),
        ),
        (matthews_corrcoef, {}, monai("mcc_loss")),
        (
            focal_tversky,
            {"power_of": "mean", "pool": "batch", "smooth": 0},
            recorded("smp_0_6", "tversky_loss", mode="multiclass", alpha=0.3, beta=0.7, gamma=0.75),
        ),
        (log_dice, {"pool": "batch", "smooth": 0}, 1.411488),
        (log_jaccard, {"pool": "batch", "smooth": 0}, 1.974223),
    ],
)
def test_recorded_numbers(batch, loss, options, number):
    assert float(loss(*batch, **options)) == pytest.approx(number, abs=SIX_DECIMALS)


WITHOUT_CLASS_3 = "ids without class 3"


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ({"pool": "batch", "absent": "zero"}, recorded("smp_0_6", "dice_loss", WITHOUT_CLASS_3, mode="multiclass")),
        ({"pool": "batch", "absent": "exclude"}, recorded("jdt", "jdt_loss", WITHOUT_CLASS_3, alpha=0.5, beta=0.5)),
        ({"absent": "exclude"}, recorded("kornia_0_9", "dice_loss", WITHOUT_CLASS_3, average="macro")),
        (
            {"pool": "batch"},
            recorded(
                "monai_1_6",
                "dice_loss",
                f"{WITHOUT_CLASS_3} with a channel",
                softmax=True,
                to_onehot_y=True,
                batch=True,
            ),
        ),
    ],
)
def test_recorded_numbers_with_an_absent_class(batch, options, number):
    logits, ids = batch
    assert float(dice(logits, ids * (ids != 3), **options)) == pytest.approx(number, abs=6e-5)


def test_recorded_wasserstein_of_each_image(batch):
    found = generalized_wasserstein_dice(*batch, distances=DISTANCES, reduction="none")
    assert [round(float(value), 4) for value in found] == [0.451, 0.4508]


def test_matthews_of_segmentation_models_pytorch(batch):
    logits, ids = batch
    found = matthews_corrcoef(
        1 / (1 + (-logits[:, 0]).exp()),
        (ids > 1).int(),
        activation=None,
        class_axis=None,
        cell_smooth=1e-5,
        smooth=0,
        pool="all",
    )
    assert float(found) == pytest.approx(1.016173, abs=SIX_DECIMALS)


# Tversky: which side is alpha on?


def test_asymmetric_tversky_of_unequal_mistakes():
    """TP = 3, FN = 1, FP = 5: alpha weighs false positives."""
    prediction = np.array([[1.0] * 3 + [0.0] + [1.0] * 5])
    mask = np.array([[1] * 4 + [0] * 5])
    options = {"activation": None, "class_axis": None, "smooth": 0}
    assert float(tversky(prediction, mask, alpha=0.9, beta=0.1, **options)) == pytest.approx(1 - 3 / 7.6, rel=LAST_BITS)
    assert float(tversky(prediction, mask, alpha=0.1, beta=0.9, **options)) == pytest.approx(1 - 3 / 4.4, rel=LAST_BITS)


@pytest.mark.parametrize("pool", ["image", "batch"])
@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.7, 0.3), (1.0, 0.0), (2.0, 0.5)])
def test_tversky_by_its_formula(pool, alpha, beta):
    hit, predicted, wanted, _ = sums(pool)
    score = (hit + 0.5) / (hit + alpha * (predicted - hit) + beta * (wanted - hit) + 0.25)
    found = tversky(LOGITS, IDS, alpha=alpha, beta=beta, pool=pool, smooth=(0.5, 0.25))
    assert float(found) == pytest.approx((1 - score).mean(), rel=SUMS)
    assert_gradient(tversky, LOGITS, IDS, alpha=alpha, beta=beta, pool=pool)


# Options.


@pytest.mark.parametrize(("pool", "shape"), [("image", (2, 4)), ("batch", (4,)), ("micro", (2,)), ("all", ())])
@pytest.mark.parametrize(("form", "factor"), [("double", 2), ("tp", 1)])
def test_pools_and_smooth_forms(pool, shape, form, factor):
    hit, predicted, wanted, _ = sums(pool)
    wanted_losses = 1 - (factor * hit + 1) / (factor * (predicted + wanted) / 2 + 3)
    found = dice(LOGITS, IDS, pool=pool, smooth=(1, 3), smooth_form=form, reduction="none")
    assert found.shape == shape
    np.testing.assert_allclose(found, wanted_losses, rtol=SUMS)
    for reduction, reduce in (("mean", np.mean), ("sum", np.sum)):
        scalar = dice(LOGITS, IDS, pool=pool, smooth=(1, 3), smooth_form=form, reduction=reduction)
        assert float(scalar) == pytest.approx(reduce(wanted_losses), rel=SUMS)


@pytest.mark.parametrize(("pool", "shape"), [("image", (2, 2)), ("batch", (2,)), ("micro", (2,)), ("all", ())])
def test_classes_that_enter(pool, shape):
    chosen = [3, 1]
    p, t = softmax(LOGITS)[:, chosen], one_hot(IDS, 4)[:, chosen]
    axis = {"image": (2, 3), "batch": (0, 2, 3), "micro": (1, 2, 3), "all": (0, 1, 2, 3)}[pool]
    wanted = 1 - 2 * (p * t).sum(axis) / (p.sum(axis) + t.sum(axis))
    found = dice(LOGITS, IDS, pool=pool, classes=chosen, smooth=0, reduction="none")
    assert found.shape == shape
    np.testing.assert_allclose(found, wanted, rtol=SUMS)
    assert float(dice(LOGITS, IDS, pool=pool, classes=chosen, smooth=0)) == pytest.approx(wanted.mean(), rel=SUMS)
    assert_gradient(dice, LOGITS, IDS, pool=pool, classes=chosen)


def test_exclude_background_is_short_for_the_other_classes():
    assert dice(LOGITS, IDS, exclude_background=True) == dice(LOGITS, IDS, classes=(1, 2, 3))


@pytest.mark.parametrize("absent", ["keep", "zero", "exclude"])
@pytest.mark.parametrize("weight_norm", [None, "sum"])
@pytest.mark.parametrize("pool", ["image", "batch"])
def test_absent_classes_and_class_weights(absent, weight_norm, pool):
    ids = np.where(IDS == 2, 1, IDS)
    ids[0][ids[0] == 3] = 0
    hit, predicted, wanted, _ = sums(pool, ids=ids)
    present = wanted > 0
    of_class = np.array([1.0, 2.0, 3.0, 0.5])
    counts = present if absent == "exclude" else np.ones_like(present)
    each = (1 - (2 * hit + 1) / (predicted + wanted + 1)) * of_class * (present if absent != "keep" else 1)
    expected = each.sum() / (counts * (of_class if weight_norm else np.ones(4))).sum()
    options = {"absent": absent, "weight_norm": weight_norm, "pool": pool, "class_weights": of_class, "smooth": 1}
    assert float(dice(LOGITS, ids, **options)) == pytest.approx(expected, rel=SUMS)
    assert_gradient(dice, LOGITS, ids, **options)


def test_every_class_absent_and_excluded_is_no_loss():
    value, gradient = arrayseg.value_and_grad(dice)(
        LOGITS, np.zeros_like(IDS), absent="exclude", exclude_background=True
    )
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("loss", [dice, jaccard, tversky, matthews_corrcoef])
def test_pixel_weights_are_repeated_pixels(loss):
    """A weight of 2 is the same pixel twice, one of 0 none."""
    weights = GENERATOR.integers(0, 3, size=IDS.shape).astype(float)
    logits, ids, counts = LOGITS[:1].reshape(1, 4, -1), IDS[:1].reshape(1, -1), weights[0].reshape(-1).astype(int)
    found = loss(logits, ids, pixel_weights=weights[:1].reshape(1, -1))
    repeated = loss(np.repeat(logits, counts, axis=2), np.repeat(ids, counts, axis=1))
    assert float(found) == pytest.approx(float(repeated), rel=SUMS)
    assert_gradient(loss, LOGITS, IDS, pixel_weights=weights)


@pytest.mark.parametrize("soft_tp", ["product", "l1", "l2"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_soft_true_positives(soft_tp, activation):
    soft = softmax(GENERATOR.normal(size=LOGITS.shape))
    p = softmax(LOGITS) if activation == "softmax" else 1 / (1 + np.exp(-LOGITS))
    hit = {"product": p * soft, "l1": np.minimum(p, soft), "l2": p * soft}[soft_tp].sum((2, 3))
    power = 2 if soft_tp == "l2" else 1
    score = (2 * hit + 1e-5) / ((p**power).sum((2, 3)) + (soft**power).sum((2, 3)) + 1e-5)
    found = dice(LOGITS, soft, soft_tp=soft_tp, activation=activation)
    assert float(found) == pytest.approx((1 - score).mean(), rel=SUMS)
    assert_gradient(dice, LOGITS, soft, soft_tp=soft_tp, activation=activation)


@pytest.mark.parametrize("loss", [jaccard_metric, dice_semimetric, fine_grained_jaccard])
def test_equal_distributions_have_no_loss(loss):
    soft = softmax(LOGITS)
    value, gradient = arrayseg.value_and_grad(loss)(soft, soft, activation=None)
    assert value == pytest.approx(0, abs=1e-15)
    # On either side the slope is finite; at the lowest point it is their mean, less than on both.
    assert np.abs(gradient).max() < 1
    assert dice(soft, soft, activation=None) > 0.3


@pytest.mark.parametrize(("metric", "plain"), [(jaccard_metric, jaccard), (dice_semimetric, dice)])
def test_soft_label_losses_of_hard_targets_are_the_plain_ones(metric, plain):
    options = {"smooth": 1e-3, "smooth_form": "tp"}
    assert metric(LOGITS, IDS) == plain(LOGITS, IDS, **options)
    assert float(metric(LOGITS, one_hot(IDS, 4))) == pytest.approx(float(plain(LOGITS, IDS, **options)), rel=LAST_BITS)


# Limits between losses.


@pytest.mark.parametrize("pool", ["image", "batch", "micro", "all"])
def test_limits(pool):
    hard = {"pool": pool, "smooth": 0}

    def same(one, two):
        np.testing.assert_allclose(float(one), float(two), rtol=SUMS)

    same(tversky(LOGITS, IDS, **hard), dice(LOGITS, IDS, **hard))
    same(tversky(LOGITS, IDS, alpha=1, beta=1, **hard), jaccard(LOGITS, IDS, **hard))
    same(asymmetric_f_beta(LOGITS, IDS, beta=1, **hard), dice(LOGITS, IDS, **hard))
    same(asymmetric_f_beta(LOGITS, IDS, beta=2, **hard), tversky(LOGITS, IDS, alpha=0.2, beta=0.8, **hard))
    same(
        focal_tversky(LOGITS, IDS, alpha=0.5, beta=0.5, exponent=1, **hard),
        dice(LOGITS, IDS, **hard),
    )
    each = dice(LOGITS, IDS, reduction="none", **hard)
    same(log_dice(LOGITS, IDS, **hard), -np.log(1 - each).mean())
    same(log_cosh_dice(LOGITS, IDS, **hard), np.log(np.cosh(each)).mean())
    same(log_jaccard(LOGITS, IDS, **hard), -np.log(1 - jaccard(LOGITS, IDS, reduction="none", **hard)).mean())
    powers = tversky(LOGITS, IDS, alpha=0.3, beta=0.7, reduction="none", **hard)
    same(focal_tversky(LOGITS, IDS, exponent=0.5, **hard), (powers**0.5).mean())
    same(focal_tversky(LOGITS, IDS, exponent=0.5, power_of="mean", **hard), powers.mean() ** 0.5)
    same(focal_tversky(LOGITS, IDS, exponent=2, power_of="mean", reduction="sum", **hard), powers.sum() ** 2)


def test_limits_of_generalized_dice():
    options = {"weighting": "uniform", "smooth": 0}
    assert float(generalized_dice(LOGITS, IDS, **options)) == pytest.approx(
        float(dice(LOGITS, IDS, pool="micro", smooth=0)), rel=SUMS
    )
    whole = generalized_dice(LOGITS, IDS, reduction="none")
    assert whole.shape == (2,)
    assert generalized_dice(LOGITS, IDS, pool="batch", reduction="none").shape == ()
    assert float(penalty_generalized_dice(LOGITS, IDS, penalty=0)) == pytest.approx(whole.mean(), rel=LAST_BITS)
    assert float(penalty_generalized_dice(LOGITS, IDS)) == pytest.approx((whole / (3.5 - 2.5 * whole)).mean(), rel=SUMS)


def test_generalized_dice_of_absent_classes():
    ids = np.where(IDS == 3, 0, IDS)
    hit, predicted, wanted, _ = sums("image", ids=ids)
    for absent in ("keep", "exclude"):
        weights = np.where(wanted > 0, 1 / np.maximum(wanted, 1) ** 2, 0)
        if absent == "keep":
            weights = np.where(wanted > 0, weights, weights.max(axis=1, keepdims=True))
        score = (2 * (weights * hit).sum(1) + 1e-5) / ((weights * (predicted + wanted)).sum(1) + 1e-5)
        assert float(generalized_dice(LOGITS, ids, absent=absent)) == pytest.approx((1 - score).mean(), rel=SUMS)
        assert_gradient(generalized_dice, LOGITS, ids, absent=absent)


def test_wasserstein_of_two_classes_is_the_dice_of_the_foreground():
    logits, ids = LOGITS[:, :2], IDS % 2
    p, t = softmax(logits)[:, 1], ids
    right, error = (p * t).sum((1, 2)), np.abs(p - t).sum((1, 2))
    found = generalized_wasserstein_dice(logits, ids, distances=((0, 1), (1, 0)), smooth=0)
    assert float(found) == pytest.approx((1 - 2 * right / (2 * right + error)).mean(), rel=SUMS)


def test_wasserstein_takes_distributions_and_arrays():
    ids = generalized_wasserstein_dice(LOGITS, IDS, distances=DISTANCES)
    assert generalized_wasserstein_dice(LOGITS, one_hot(IDS, 4), distances=np.array(DISTANCES)) == pytest.approx(
        ids, rel=LAST_BITS
    )
    assert_gradient(generalized_wasserstein_dice, LOGITS, softmax(LOGITS[::-1]), distances=DISTANCES, weighting="gdl")


@pytest.mark.parametrize("pool", ["image", "batch", "micro", "all"])
def test_matthews_of_hard_predictions_is_the_correlation(pool):
    prediction = one_hot(GENERATOR.integers(0, 4, size=IDS.shape), 4)
    found = matthews_corrcoef(prediction, IDS, activation=None, pool=pool, smooth=0, reduction="none")
    axes = {"image": (0, 1), "batch": (1,), "micro": (0,), "all": ()}[pool]
    order = [*axes, *(axis for axis in range(4) if axis not in axes)]
    one, two = (
        np.transpose(a, order).reshape((*(a.shape[axis] for axis in axes), -1)) for a in (prediction, one_hot(IDS, 4))
    )
    expected = [1 - np.corrcoef(one[place], two[place])[0, 1] for place in np.ndindex(one.shape[:-1])]
    np.testing.assert_allclose(np.ravel(found), expected, rtol=FLOAT64)


def test_matthews_of_an_absent_class():
    ids = np.where(IDS == 3, 0, IDS)
    assert np.all(matthews_corrcoef(LOGITS, ids, reduction="none")[:, 3] == 1)
    assert matthews_corrcoef(one_hot(ids, 4), ids, activation=None) == 0


def test_sensitivity_specificity_by_its_formula():
    p, t = softmax(LOGITS), one_hot(IDS, 4)
    error = (t - p) ** 2
    axis = (2, 3)
    inside, outside = (error * t).sum(axis) / t.sum(axis), (error * (1 - t)).sum(axis) / (1 - t).sum(axis)
    found = sensitivity_specificity(LOGITS, IDS, sensitivity_weight=0.3, smooth=0)
    assert float(found) == pytest.approx((0.3 * inside + 0.7 * outside).mean(), rel=SUMS)
    assert sensitivity_specificity(LOGITS, np.zeros_like(IDS), smooth=0) > 0


def test_fine_grained_means():
    ids = np.where(IDS == 3, 0, IDS)
    ids[1][ids[1] == 2] = 0
    of_batch = jaccard(LOGITS, ids, pool="batch", reduction="none", smooth=0)
    of_image = jaccard(LOGITS, ids, reduction="none", smooth=0)
    present = one_hot(ids, 4).any(axis=(2, 3))
    masked = np.where(present, of_image, np.nan)
    with np.errstate(invalid="ignore"):
        images = np.nanmean(np.nanmean(masked, axis=1))
        classes = np.mean([np.nanmean(masked[:, c]) for c in range(3)])
    batch = of_batch[:3].mean()
    for weights, expected in (((1, 0, 0), batch), ((0, 1, 0), images), ((0, 0, 1), classes)):
        found = fine_grained_jaccard(LOGITS, ids, weights=weights, smooth=0)
        assert float(found) == pytest.approx(expected, rel=SUMS)
    total = fine_grained_jaccard(LOGITS, ids, weights=(0.5, 0.2, 0.3), smooth=0)
    assert float(total) == pytest.approx(0.5 * batch + 0.2 * images + 0.3 * classes, rel=SUMS)
    assert_gradient(fine_grained_jaccard, LOGITS, ids, weights=(0.5, 0.2, 0.3), exponent=1.5)


# One's own.


def test_a_loss_of_ones_own_is_a_loss(library):
    @region_loss
    def overlap_coefficient(overlap, xp):
        """One minus the share of the target that is found."""
        found = overlap.intersection / (overlap.target + 1)
        return 1 - found, -1 / (overlap.target + 1), xp.zeros_like(found)

    assert overlap_coefficient.__name__ == "overlap_coefficient"
    assert overlap_coefficient.__doc__ == "One minus the share of the target that is found."
    value, gradient = arrayseg.value_and_grad(overlap_coefficient)(
        library.asarray(LOGITS, "float32"), library.asarray(IDS), pool="batch", ignore_index=3
    )
    assert tuple(gradient.shape) == LOGITS.shape
    reference = tversky(LOGITS, IDS, alpha=0, beta=1, smooth=(0, 1), pool="batch", ignore_index=3)
    assert float(value) == pytest.approx(float(reference), rel=FLOAT32)
    with pytest.raises(TypeError, match="has no option `pol`; did you mean `pool`"):
        overlap_coefficient(library.asarray(LOGITS, "float32"), library.asarray(IDS), pol="batch")


# Edge cases, drawn.


@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 5)),
    spatial=st.lists(st.integers(0, 4), max_size=3),
    options=st.fixed_dictionaries(
        {
            "pool": st.sampled_from(["image", "batch", "micro", "all"]),
            "absent": st.sampled_from(["keep", "zero", "exclude"]),
            "soft_tp": st.sampled_from(["product", "l1", "l2"]),
            "smooth": st.sampled_from([0.0, 1e-5, (0.0, 1.0)]),
        }
    ),
    ignored=st.sampled_from([0.0, 0.5, 1.0]),
    scale=st.sampled_from([1.0, 200.0]),
)
def test_values_stay_finite_and_bounded(seed, shape, spatial, options, ignored, scale):
    generator = np.random.default_rng(seed)
    images, classes = shape
    logits = scale * generator.choice([-1.0, 1.0, 0.3], size=(images, classes, *spatial))
    ids = generator.integers(0, classes, size=(images, *spatial))
    ids = np.where(generator.random(ids.shape) < ignored, 255, ids)
    value, gradient = arrayseg.value_and_grad(dice)(logits, ids, ignore_index=255, **options)
    assert -1e-12 <= float(value) <= 1 + 1e-12
    assert np.isfinite(gradient).all()
    assert gradient.shape == logits.shape
    void = np.broadcast_to((ids == 255)[:, None], gradient.shape)
    assert not gradient[void].any()
    if ids.size == 0 or np.all(ids == 255):
        assert value == 0


def test_half_precision_of_a_large_image(library):
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(1, 2, 512, 512)).astype(np.float16)
    ids = generator.integers(0, 2, size=(1, 512, 512))
    exact = dice(logits.astype(np.float64), ids)
    for dtype in set(library.dtypes) & {"float16"}:
        found = dice(library.asarray(logits, dtype), library.asarray(ids))
        assert abs(float(found) - float(exact)) < 1e-3


# Errors.


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (dice, {"smooth": -1}, "`smooth` must be at least 0; got -1"),
        (dice, {"smooth": (1, 2, 3)}, r"`smooth` must be a number or \(numerator, denominator\)"),
        (dice, {"smooth_form": "triple"}, "`smooth_form` must be 'double' or 'tp'; got 'triple'"),
        (dice, {"pool": "sample"}, "`pool` must be 'image', 'batch', 'micro' or 'all'; got 'sample'"),
        (dice, {"absent": "skip"}, "`absent` must be 'keep', 'zero' or 'exclude'; got 'skip'"),
        (dice, {"soft_tp": "l3"}, "`soft_tp` must be 'product', 'l1' or 'l2'"),
        (dice, {"weight_norm": "mean"}, "`weight_norm` must be 'sum' or None"),
        (dice, {"class_weights": (1, 2, 3, 4), "pool": "micro"}, "`class_weights` needs pool='image' or 'batch'"),
        (dice, {"classes": (1, 1)}, "`classes` must be different whole numbers from 0 to 3"),
        (dice, {"classes": (4,)}, "`classes` must be different whole numbers from 0 to 3"),
        (dice, {"classes": (1,), "exclude_background": True}, "Pass one of the two, not both"),
        (tversky, {"alpha": -0.1}, "`alpha` must be at least 0; got -0.1"),
        (tversky, {"beta": -0.1}, "`beta` must be at least 0; got -0.1"),
        (focal_tversky, {"exponent": 0}, "`exponent` must be greater than 0; got 0"),
        (focal_tversky, {"power_of": "all"}, "`power_of` must be 'score' or 'mean'"),
        (log_dice, {"floor": 0}, "`floor` must be between 0 and 1; got 0"),
        (log_jaccard, {"floor": 1.0}, "`floor` must be between 0 and 1; got 1.0"),
        (generalized_dice, {"pool": "micro"}, "puts the classes together before they can be weighted"),
        (generalized_dice, {"weighting": "cubic"}, "`weighting` must be 'square', 'simple' or 'uniform'"),
        (penalty_generalized_dice, {"penalty": -1}, "`penalty` must be at least 0"),
        (generalized_wasserstein_dice, {"distances": ((0, 1), (1, 0))}, "row and a column for each of the 4 classes"),
        (generalized_wasserstein_dice, {"distances": ((0, 1), (1,))}, "rows of different lengths"),
        (generalized_wasserstein_dice, {"distances": 2 * np.ones((4, 4))}, "must be from 0 to 1; got 2.0 to 2.0"),
        (matthews_corrcoef, {"cell_smooth": -1}, "`cell_smooth` must be at least 0"),
        (sensitivity_specificity, {"sensitivity_weight": 2}, "`sensitivity_weight` must be from 0 to 1"),
        (fine_grained_jaccard, {"weights": (1, 0)}, "`weights` must be three numbers"),
        (fine_grained_jaccard, {"exponent": -1}, "`exponent` must be greater than 0"),
    ],
)
def test_errors(loss, options, message):
    with pytest.raises(ValueError, match=message):
        loss(LOGITS, IDS, **options)


def test_a_gradient_is_of_a_number():
    for loss, pool in product([dice, losses.generalized_dice], ["image", "batch"]):
        with pytest.raises(ValueError, match="Cannot differentiate a loss with reduction='none'"):
            arrayseg.value_and_grad(loss)(LOGITS, IDS, pool=pool, reduction="none")
