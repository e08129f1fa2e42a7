"""Compounds: sums of their parts, in one sweep where the parts allow; the named ones; several resolutions."""

import copy
import inspect
import pickle
import pydoc
from functools import partial

import numpy as np
import pytest
from scenes import one_hot, softmax
from tolerances import FLOAT32, FLOAT32_GRADIENT, FLOAT64, LAST_BITS, SUMS

import arrayseg
from arrayseg.engine.sweep import Sweep
from arrayseg.losses import (
    combo,
    compound,
    cross_entropy,
    deep_supervision,
    dice,
    dice_cross_entropy,
    dice_focal,
    exponential_logarithmic,
    focal,
    focal_tversky,
    generalized_dice,
    generalized_dice_focal,
    lovasz_softmax,
    multi_scale,
    pixel_loss,
    region_loss,
    tversky,
    unified_focal,
)
from arrayseg.losses._compound import Summed
from arrayseg.testing import assert_gradient, installed, relative_difference

GENERATOR = np.random.default_rng(3)
LOGITS = 2 * GENERATOR.normal(size=(2, 4, 5, 7))
IDS = GENERATOR.integers(0, 4, size=(2, 5, 7))
VOID = np.where(GENERATOR.random(IDS.shape) < 0.2, 255, IDS)
WEIGHTS = GENERATOR.random(IDS.shape)

PARTS = [
    ({dice: 1.0, cross_entropy: 0.5}, 1),
    ({dice: 1.0, partial(tversky, alpha=0.3): 2.0, partial(focal, gamma=3.0): 0.25}, 1),
    ({dice: 1.0, lovasz_softmax: 0.5}, 2),
    ({dice: 1.0, partial(dice, activation="sigmoid"): 0.5, partial(cross_entropy, activation="sigmoid"): 0.5}, 2),
    ({dice: 1.0, partial(cross_entropy, class_weights=(1, 2, 3, 4)): 0.5}, 2),
    ([(dice, 0.5), (compound({cross_entropy: 1.0, lovasz_softmax: 2.0}), 0.5)], 2),
]


def assert_sum_of_parts(library, dtype, parts, target, tolerance, **options):
    logits, ids = library.asarray(LOGITS, dtype), library.asarray(target)
    loss, pairs = compound(parts), list(parts.items() if isinstance(parts, dict) else parts)
    found = [arrayseg.value_and_grad(part)(logits, ids, **options) for part, _ in pairs]
    value, gradient = arrayseg.value_and_grad(loss)(logits, ids, **options)
    expected = sum(float(part[0]) * weight for part, (_, weight) in zip(found, pairs, strict=True))
    assert float(value) == pytest.approx(expected, rel=tolerance)
    assert float(loss(logits, ids, **options)) == pytest.approx(expected, rel=tolerance)
    slope = sum(part[1] * weight for part, (_, weight) in zip(found, pairs, strict=True))
    assert relative_difference(gradient, slope) < 10 * tolerance


@pytest.mark.parametrize(("parts", "plans"), PARTS)
def test_a_compound_is_the_sum_of_its_parts(parts, plans):
    numpy = installed(["numpy"])["numpy"]
    assert_sum_of_parts(numpy, "float64", parts, IDS, 1e-12)
    assert_sum_of_parts(numpy, "float64", parts, VOID, 1e-12, ignore_index=255)
    assert_sum_of_parts(numpy, "float64", parts, IDS, 1e-12, mask=VOID != 255)


@pytest.mark.parametrize(
    "parts", [{dice: 1.0, cross_entropy: 0.5}, {dice: 1.0, lovasz_softmax: 0.5}], ids=["one", "two"]
)
def test_compounds_on_every_library(library, parts):
    assert_sum_of_parts(library, "float32", parts, VOID, 2e-6, ignore_index=255)


@pytest.mark.parametrize(("parts", "plans"), PARTS)
def test_parts_of_the_same_pixels_share_a_sweep(parts, plans):
    plan = compound(parts).plan(LOGITS, VOID, ignore_index=255)
    assert isinstance(plan, Sweep if plans == 1 else Summed)
    assert plans == 1 or len(plan.parts) == plans
    assert_gradient(compound(parts), LOGITS, IDS)


def test_pixel_weights_and_soft_targets_are_shared():
    soft = np.exp(LOGITS[::-1]) / np.exp(LOGITS[::-1]).sum(axis=1, keepdims=True)
    plan = compound({dice: 1.0, cross_entropy: 1.0}).plan(LOGITS, soft, pixel_weights=WEIGHTS)
    assert isinstance(plan, Sweep)


def test_options_go_to_the_parts_that_have_them():
    loss = compound({dice: 1.0, partial(cross_entropy, label_smoothing=0.1): 1.0})
    expected = dice(LOGITS, IDS, pool="batch") + cross_entropy(LOGITS, IDS, label_smoothing=0.1)
    assert float(loss(LOGITS, IDS, pool="batch")) == pytest.approx(float(expected), rel=LAST_BITS)
    nested = compound({loss: 1.0})
    assert float(nested(LOGITS, IDS, pool="batch")) == pytest.approx(float(expected), rel=LAST_BITS)


def test_torch_and_jax_differentiate_compounds():
    torch = pytest.importorskip("torch")
    loss = compound({dice: 1.0, cross_entropy: 0.5, lovasz_softmax: 0.25})
    logits = torch.asarray(LOGITS, requires_grad=True)
    loss(logits, torch.asarray(IDS)).backward()
    _, expected = arrayseg.value_and_grad(loss)(LOGITS, IDS)
    assert relative_difference(logits.grad, expected) < FLOAT64
    merged = compound({dice: 1.0, focal: 0.5})
    small = torch.asarray(LOGITS[:1, :3, :2, :2], requires_grad=True)
    ids = torch.asarray(IDS[:1, :2, :2] % 3)
    assert torch.autograd.gradcheck(lambda x: merged(x, ids), small)
    assert torch.autograd.gradgradcheck(lambda x: merged(x, ids), small)


@pytest.mark.parametrize(
    ("named", "parts", "options"),
    [
        (dice_cross_entropy, {dice: 1.0, cross_entropy: 1.0}, {}),
        (dice_cross_entropy, {dice: 0.7, cross_entropy: 2.0}, {"dice_weight": 0.7, "cross_entropy_weight": 2.0}),
        (dice_focal, {dice: 1.0, focal: 1.0}, {}),
        (generalized_dice_focal, {generalized_dice: 1.0, partial(focal, gamma=1.0): 1.0}, {"gamma": 1.0}),
        (combo, {dice: 0.7, partial(cross_entropy): 0.15}, {"alpha": 0.3}),
    ],
)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("ignore_index", [None, 255])
def test_named_compounds_are_sums(named, parts, options, activation, ignore_index):
    target = IDS if ignore_index is None else VOID
    shared = {"activation": activation, "ignore_index": ignore_index}
    expected = sum(weight * part(LOGITS, target, **shared) for part, weight in parts.items())
    assert float(named(LOGITS, target, **options, **shared)) == pytest.approx(float(expected), rel=SUMS)
    assert_gradient(named, LOGITS, target, **options, **shared)


def test_recorded_numbers():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    logits, ids = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))
    weights = (1.0, 2.0, 3.0, 4.0)
    assert float(dice_cross_entropy(logits, ids)) == pytest.approx(2.490394, abs=FLOAT32)  # MONAI 1.6.1, all of them
    assert float(dice_cross_entropy(logits, ids, class_weights=weights)) == pytest.approx(3.640024, abs=3e-6)
    assert float(dice_focal(logits, ids, activation="sigmoid")) == pytest.approx(1.030588, abs=FLOAT32)
    assert float(generalized_dice_focal(logits, ids, activation="sigmoid")) == pytest.approx(1.039000, abs=FLOAT32)


@pytest.mark.parametrize("classes", [4, 12])
def test_parts_that_share_a_softmax_keep_their_digits(library, classes):
    """Where every pixel is nearly sure, on few and many classes; the logits are far from 0."""
    ids = GENERATOR.integers(0, classes, size=(2, 6, 7))
    logits = 30 + 14.0 * (np.arange(classes)[:, None, None] == ids[:, None])
    rest = (classes - 1) * np.exp(-14.0)
    missed, sizes = rest / (1 + rest), np.stack([[(image == c).sum() for c in range(classes)] for image in ids])
    alarms = (42 - sizes) * np.exp(-14.0) / (1 + rest)
    scores = (alarms + sizes * missed) / (2 * sizes * (1 - missed) + alarms + sizes * missed)
    expected = scores.mean() + np.log1p(rest)
    arrays = library.asarray(logits.astype(np.float32)), library.asarray(ids)
    for parts in ([(dice, 1.0), (cross_entropy, 1.0)], [(cross_entropy, 1.0), (dice, 1.0)]):
        loss = partial(compound(parts), smooth=0.0)
        for value in (loss(*arrays), arrayseg.value_and_grad(loss)(*arrays)[0]):
            assert float(value) == pytest.approx(expected, abs=1e-7)


def test_combo_balances_the_sides():
    options = {"alpha": 1.0, "beta": 0.8}
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    at_id = np.take_along_axis(log_p, IDS[:, None], axis=1)[:, 0]
    expected = -(np.where(IDS == 0, 0.2, 0.8) * at_id).mean()
    assert float(combo(LOGITS, IDS, **options)) == pytest.approx(expected, rel=SUMS)
    on, off = (-np.logaddexp(0, -sign * LOGITS) for sign in (1, -1))
    hot = one_hot(IDS, 4)
    expected = -(0.8 * hot * on + 0.2 * (1 - hot) * off).mean()
    assert float(combo(LOGITS, IDS, activation="sigmoid", **options)) == pytest.approx(expected, rel=SUMS)


def test_exponential_logarithmic_by_its_formula():
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    pixels = -np.take_along_axis(log_p, IDS[:, None], axis=1)[:, 0]
    score = 1 - dice(LOGITS, IDS, smooth=1, reduction="none")
    expected = 0.8 * ((-np.log(score)) ** 0.3).mean() + 0.2 * (pixels**0.5).mean()
    assert float(exponential_logarithmic(LOGITS, IDS, cross_entropy_exponent=0.5)) == pytest.approx(expected, rel=SUMS)
    assert_gradient(exponential_logarithmic, LOGITS, IDS)


def test_unified_focal_is_of_its_parts():
    options = {"weight": 0.3, "delta": 0.6, "gamma": 0.4}
    region = focal_tversky(LOGITS, IDS, alpha=0.4, beta=0.6, exponent=0.6)
    pixel = focal(LOGITS, IDS, gamma=0.4, alpha=0.6)
    found = unified_focal(LOGITS, IDS, **options)
    assert float(found) == pytest.approx(float(0.3 * region + 0.7 * pixel), rel=SUMS)
    binary = unified_focal(LOGITS, IDS, activation="sigmoid", **options)
    region = focal_tversky(LOGITS, IDS, alpha=0.4, beta=0.6, exponent=0.6, activation="sigmoid")
    pixel = focal(LOGITS, IDS, gamma=0.4, alpha=0.6, activation="sigmoid")
    assert float(binary) == pytest.approx(float(0.3 * region + 0.7 * pixel), rel=SUMS)


def test_asymmetric_unified_focal_by_the_authors_formula():
    """Two classes: the focal weight on the background's cross entropy, the power on the foreground's Tversky."""
    logits, ids = LOGITS[:, :2], IDS % 2
    p = softmax(logits)
    hot = one_hot(ids, 2)
    axis, delta, gamma = (2, 3), 0.6, 0.5
    hit = (p * hot).sum(axis) + 1e-5
    missed, false = ((1 - p) * hot).sum(axis), (p * (1 - hot)).sum(axis)
    each = 1 - hit / (hit + delta * missed + (1 - delta) * false)
    region = np.stack([each[:, 0], each[:, 1] ** (1 - gamma)], axis=1).mean()
    entropy = -(hot * np.log(p))
    pixel = ((1 - delta) * (1 - p[:, 0]) ** gamma * entropy[:, 0] + delta * entropy[:, 1]).mean()
    found = unified_focal(logits, ids, asymmetric=True)
    assert float(found) == pytest.approx(0.5 * region + 0.5 * pixel, rel=SUMS)
    assert_gradient(unified_focal, LOGITS, IDS, asymmetric=True)


# Several resolutions.


def test_deep_supervision_weighs_the_levels(library):
    outputs = [GENERATOR.normal(size=(2, 4, *size)) for size in ((8, 6), (4, 3), (3, 2))]
    ids = GENERATOR.integers(0, 4, size=(2, 8, 6))
    targets = [ids, ids[:, 1::2, 1::2], ids[:, [1, 4, 6]][:, :, [1, 4]]]
    loss = deep_supervision(dice_cross_entropy)
    arrays = [library.asarray(output, "float32") for output in outputs]
    value, gradients = arrayseg.value_and_grad(loss)(arrays, library.asarray(ids))
    pairs = zip(outputs, targets, strict=True)
    alone = [arrayseg.value_and_grad(dice_cross_entropy)(output, target) for output, target in pairs]
    shares = [4 / 7, 2 / 7, 1 / 7]
    expected = sum(share * float(part[0]) for share, part in zip(shares, alone, strict=True))
    assert float(value) == pytest.approx(expected, rel=4e-6)
    assert float(loss(arrays, library.asarray(ids))) == pytest.approx(expected, rel=4e-6)
    for share, gradient, (_, single) in zip(shares, gradients, alone, strict=True):
        assert relative_difference(gradient, share * single) < FLOAT32_GRADIENT
    given = loss(arrays, [library.asarray(target) for target in targets])
    assert float(given) == pytest.approx(expected, rel=4e-6)


def test_deep_supervision_resizes_masks_and_one_hot_targets():
    outputs = [GENERATOR.normal(size=(1, 3, 4, 6)), GENERATOR.normal(size=(1, 3, 2, 3))]
    ids, mask = GENERATOR.integers(0, 3, size=(1, 4, 6)), GENERATOR.random((1, 4, 6)) < 0.7
    loss = deep_supervision(dice, weights=(1.0, 0.5))
    expected = dice(outputs[0], ids, mask=mask) + 0.5 * dice(outputs[1], ids[:, 1::2, 1::2], mask=mask[:, 1::2, 1::2])
    assert float(loss(outputs, ids, mask=mask)) == pytest.approx(float(expected), rel=LAST_BITS)
    hot = one_hot(ids, 3)
    assert float(loss(outputs, hot, mask=mask)) == pytest.approx(float(expected), rel=LAST_BITS)
    last = [np.moveaxis(output, 1, -1) for output in outputs]
    for target in (ids, np.moveaxis(hot, 1, -1)):
        assert float(loss(last, target, mask=mask, class_axis=-1)) == pytest.approx(float(expected), rel=LAST_BITS)


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2, -3])
@pytest.mark.parametrize("in_partial", [False, True])
def test_deep_supervision_along_any_class_axis(axis, in_partial):
    outputs = [GENERATOR.normal(size=(1, 3, 4, 6)), GENERATOR.normal(size=(1, 3, 2, 3))]
    ids, mask = GENERATOR.integers(0, 3, size=(1, 4, 6)), GENERATOR.random((1, 4, 6)) < 0.7
    hot = one_hot(ids, 3)
    pairs = ((ids, mask), (ids[:, 1::2, 1::2], mask[:, 1::2, 1::2]))
    expected = [arrayseg.value_and_grad(dice)(x, *t[:1], mask=t[1]) for x, t in zip(outputs, pairs, strict=True)]
    loss = partial(dice, class_axis=axis) if in_partial else dice
    options = {"mask": mask} if in_partial else {"mask": mask, "class_axis": axis}
    moved = [np.moveaxis(output, 1, axis) for output in outputs]
    for made in (deep_supervision(loss, (1, 0.5)), deep_supervision(compound({loss: 1.0}), (1, 0.5))):
        for target in (ids, np.moveaxis(hot, 1, axis)):
            value, gradients = arrayseg.value_and_grad(made)(moved, target, **options)
            assert float(value) == pytest.approx(float(expected[0][0] + 0.5 * expected[1][0]), rel=LAST_BITS)
            assert float(made(moved, target, **options)) == pytest.approx(float(value), rel=LAST_BITS)
            for gradient, (_, slope), share in zip(gradients, expected, (1, 0.5), strict=True):
                assert relative_difference(np.moveaxis(gradient, axis, 1), share * slope) < LAST_BITS


def test_deep_supervision_without_a_class_axis():
    outputs, target = [GENERATOR.normal(size=(2, 4, 6)), GENERATOR.normal(size=(2, 2, 3))], GENERATOR.random((2, 4, 6))
    mask = GENERATOR.random((2, 4, 6)) < 0.7
    binary = partial(dice, activation="sigmoid", class_axis=None)
    expected = binary(outputs[0], target, mask=mask) + binary(
        outputs[1], target[:, 1::2, 1::2], mask=mask[:, 1::2, 1::2]
    )
    assert float(deep_supervision(binary, (1, 1))(outputs, target, mask=mask)) == pytest.approx(float(expected))
    value, _ = arrayseg.value_and_grad(partial(deep_supervision(binary, (1, 1)), mask=mask))(outputs, target)
    assert float(value) == pytest.approx(float(expected))


# Objects.


@pixel_loss
def missing_probability(log_probability, xp, *, power=2):
    missing = -xp.expm1(log_probability)
    return missing**power, -power * missing ** (power - 1) * (1 - missing)


@region_loss
def missed(overlap, xp):
    inverse = 1 / (overlap.target + 1)
    return 1 - overlap.intersection * inverse, -inverse, xp.zeros_like(inverse)


OBJECTS = {
    "compound({dice: 1, focal: 0.5})": compound({dice: 1, focal: 0.5}),
    "compound({partial(focal, gamma=3.0): 1.0, compound({dice: 2.0}): 0.5})": compound(
        [(partial(focal, gamma=3.0), 1.0), (compound({dice: 2.0}), 0.5)]
    ),
    "compound([(dice, 0.5), (dice, 0.25)])": compound([(dice, 0.5), (dice, 0.25)]),
    "compound({pixel_loss(missing_probability): 1.0, region_loss(missed): 0.5})": compound(
        {missing_probability: 1.0, missed: 0.5}
    ),
    "deep_supervision(dice)": deep_supervision(dice),
    "deep_supervision(compound({dice: 1.0}), weights=(1, 0.5))": deep_supervision(compound({dice: 1.0}), [1, 0.5]),
    "multi_scale(dice)": multi_scale(dice),
    "multi_scale(partial(dice, class_axis=-1), scales=(1, 2), weights=(0.25, 0.75))": multi_scale(
        partial(dice, class_axis=-1), np.asarray([1, 2]), np.asarray([0.25, 0.75])
    ),
    "value_and_grad(dice)": arrayseg.value_and_grad(dice),
    "grad(compound({dice: 1.0}))": arrayseg.grad(compound({dice: 1.0})),
    "value_and_grad(multi_scale(region_loss(missed)))": arrayseg.value_and_grad(multi_scale(missed)),
}


@pytest.mark.parametrize(("text", "made"), OBJECTS.items(), ids=OBJECTS)
def test_what_is_made_of_losses_prints_copies_and_pickles(text, made):
    assert repr(made) == text
    inputs = [LOGITS, LOGITS[..., :3, :4]] if text.startswith("deep") else LOGITS
    target = IDS % 4 if "class_axis" not in text else IDS[:, :4, :5]
    expected = made(inputs, target)
    for other in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert other == made
        assert hash(other) == hash(made)
        assert repr(other) == text
        found = other(inputs, target)
        pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
        assert all(np.array_equal(one, two) for one, two in pairs)
    assert list(inspect.signature(made).parameters)[1:] == ["target", "options"]
    assert made.__doc__.endswith(".")
    with pytest.raises(AttributeError):
        made.loss = dice


def linear(log_probability, xp):
    return -log_probability, -xp.ones_like(log_probability)


def overlooked(overlap, xp):
    return 1 - overlap.intersection, -xp.ones_like(overlap.target), xp.zeros_like(overlap.target)


CUSTOM = {
    "pixel_loss(missing_probability)": missing_probability,
    "region_loss(missed)": missed,
    "pixel_loss(linear)": pixel_loss(linear),
    "region_loss(overlooked)": region_loss(overlooked),
}


@pytest.mark.parametrize(("text", "made"), CUSTOM.items(), ids=CUSTOM)
def test_losses_of_formulas_print_copy_and_pickle(text, made):
    """As decorators, which hide the formula, and as functions of a formula that has a name of its own."""
    assert repr(made) == text
    for other in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert other == made
        assert hash(other) == hash(made)
        assert repr(other) == text
        assert np.array_equal(other(LOGITS, IDS), made(LOGITS, IDS))
    assert made.__name__ == text.partition("(")[2][:-1]
    shown = pydoc.render_doc(made, renderer=pydoc.plaintext)
    assert f"{made.__name__}(input" in shown
    assert "ignore_index" in shown
    with pytest.raises(AttributeError):
        made.formula = linear


def test_losses_of_formulas_compare_by_maker_and_formula():
    assert pixel_loss(linear) == pixel_loss(linear)
    assert len(set(CUSTOM.values())) == len(CUSTOM)
    unnamed = pixel_loss(lambda log_probability, xp: (-log_probability, -xp.ones_like(log_probability)))
    assert unnamed != pixel_loss(linear)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(unnamed)


def test_what_is_made_of_losses_compares_by_its_arguments():
    assert len(set(OBJECTS.values())) == len(OBJECTS)
    assert compound({dice: 1}) == compound([(dice, 1.0)])
    assert compound({partial(dice, smooth=1): 1}) == compound({partial(dice, smooth=1.0): 1})
    assert compound({partial(dice, smooth=1): 1}) != compound({partial(dice, smooth=2): 1})
    assert compound({dice: 1}) != compound({dice: 2})
    assert compound({dice: 1}) != compound({focal: 1})
    assert compound({dice: 1, focal: 1}) != compound({dice: 1})
    assert arrayseg.grad(dice) != arrayseg.value_and_grad(dice)
    weights = np.ones(4)
    assert compound({partial(dice, class_weights=weights): 1}) == compound({partial(dice, class_weights=weights): 1})


# Weights that are learned or traced.


MADE_WITH_WEIGHTS = {
    "compound": (lambda one, two: compound({dice: one, lovasz_softmax: two}), lambda x: x),
    "one part": (lambda one, two: compound({lovasz_softmax: one}), lambda x: x),
    "deep_supervision": (lambda one, two: deep_supervision(dice, (one, two)), lambda x: [x, x[..., ::2, ::2]]),
    "multi_scale": (lambda one, two: multi_scale(dice, (1, 2), (one, two)), lambda x: x),
}


@pytest.mark.parametrize(("make", "inputs"), MADE_WITH_WEIGHTS.values(), ids=MADE_WITH_WEIGHTS)
def test_a_weight_that_torch_learns_is_refused(make, inputs):
    torch = pytest.importorskip("torch")
    weight = torch.tensor(0.3, requires_grad=True)
    with pytest.raises(TypeError, match=r"`weights?` must be a plain number; got a tensor that requires a gradient"):
        make(weight, 1.0)
    plain = make(torch.tensor(0.3, dtype=torch.float64), np.float32(0.5))
    assert float(plain(inputs(LOGITS), IDS)) == pytest.approx(float(make(0.3, 0.5)(inputs(LOGITS), IDS)), rel=FLOAT64)


@pytest.mark.parametrize(("make", "inputs"), MADE_WITH_WEIGHTS.values(), ids=MADE_WITH_WEIGHTS)
def test_a_traced_weight_has_a_gradient(make, inputs):
    slope = float(make(1.0, 0.0)(inputs(LOGITS), IDS))  # the loss is linear in its weights
    jax = pytest.importorskip("jax")
    logits, ids = jax.numpy.asarray(LOGITS, dtype="float32"), jax.numpy.asarray(IDS)
    found = jax.jit(jax.grad(lambda one: make(one, 0.5)(inputs(logits), ids)))(0.3)
    assert float(found) == pytest.approx(slope, rel=FLOAT32)


@pytest.mark.parametrize(("make", "inputs"), MADE_WITH_WEIGHTS.values(), ids=MADE_WITH_WEIGHTS)
def test_a_weight_under_transforms_of_torch_has_a_gradient(make, inputs):
    torch = pytest.importorskip("torch")
    slope = float(make(1.0, 0.0)(inputs(LOGITS), IDS))
    logits, ids = torch.asarray(LOGITS), torch.asarray(IDS)
    found = torch.func.grad(lambda one: make(one, 0.5)(inputs(logits), ids))(torch.tensor(0.3, dtype=torch.float64))
    assert float(found) == pytest.approx(slope, rel=FLOAT64)


# Errors.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compound([dice, focal]), r"A compound takes pairs \(loss, weight\), .*; got \[<function"),
        (lambda: compound({dice: "1"}), "`weight` must be a number; got '1'"),
        (lambda: compound({dice: np.ones(2)}), "`weight` must be a number; got an array of shape"),
        (lambda: deep_supervision(dice, (1, None)), "`weights` must be a number; got None"),
        (lambda: deep_supervision(dice, 1.0), "`weights` must be a sequence of numbers; got 1.0"),
        (lambda: deep_supervision(dice)(LOGITS, IDS), "`inputs` must be a sequence of arrays"),
        (lambda: multi_scale(dice, 2), "`scales` must be a sequence of numbers; got 2"),
        (lambda: multi_scale(dice, (1, 1.5)), "`scales` must be a whole number"),
        (lambda: multi_scale(dice, (1, 2), ("a", 1)), "`weights` must be a number; got 'a'"),
    ],
)
def test_arguments_of_the_wrong_kind(call, message):
    with pytest.raises(TypeError, match=rf"{message}.*\."):
        call()


@pytest.mark.parametrize("made", [deep_supervision(cross_entropy), multi_scale(cross_entropy)], ids=repr)
def test_maps_of_several_resolutions_are_not_added(made):
    inputs = [LOGITS, LOGITS[..., :1, :1]] if "deep" in repr(made) else LOGITS
    with pytest.raises(ValueError, match="reduction='none' gives arrays of the shapes"):
        made(inputs, IDS, reduction="none")


def test_errors():
    with pytest.raises(ValueError, match="A compound needs at least one loss; got none"):
        compound({})
    with pytest.raises(TypeError, match="A compound is made of losses of arrayseg"):
        compound({np.mean: 1.0})
    with pytest.raises(TypeError, match="No part of the compound has an option `gama`"):
        compound({dice: 1.0, focal: 1.0})(LOGITS, IDS, gama=2)
    for loss in (compound({dice: 1.0, cross_entropy: 1.0}), dice_cross_entropy):
        with pytest.raises(ValueError, match="A compound is one number"):
            loss(LOGITS, IDS, reduction="none")
    with pytest.raises(ValueError, match="as many targets and weights as inputs; got 1, 3 and 1"):
        deep_supervision(dice, weights=(1, 1, 1))([LOGITS], [IDS])
    with pytest.raises(ValueError, match="There must be at least one input"):
        deep_supervision(dice)([], [])
    with pytest.raises(ValueError, match="`asymmetric` treats class 0 as the background"):
        unified_focal(LOGITS, IDS, asymmetric=True, activation="sigmoid")
    with pytest.raises(ValueError, match="`alpha` must be from 0 to 1"):
        combo(LOGITS, IDS, alpha=2)
    with pytest.raises(ValueError, match="`dice_exponent` must be greater than 0"):
        exponential_logarithmic(LOGITS, IDS, dice_exponent=0)
    with pytest.raises(ValueError, match="`weight` must be at least 0"):
        dice_focal(LOGITS, IDS, focal_weight=-1)
