"""Losses on distance maps: what their numbers mean."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tolerances import FLOAT64, LAST_BITS

import arrayseg
from arrayseg import distance_maps, losses
from arrayseg.losses._distance import erosions
from arrayseg.testing import finite_differences

GENERATOR = np.random.default_rng(3)
LOGITS = 2 * GENERATOR.normal(size=(2, 3, 6, 9))
IDS = GENERATOR.integers(0, 3, size=(2, 6, 9))
BINARY = {"class_axis": None, "activation": None}
SPACING = (2.0, 0.5)


def disc(row, radius=4):
    rows, columns = np.ogrid[:21, :17]
    return ((rows - row) ** 2 + (columns - 8) ** 2 <= radius**2).astype(np.int64)[None]


@pytest.mark.parametrize(
    ("name", "make", "options"),
    [
        ("boundary", distance_maps.signed_distance_map, {}),
        ("boundary", distance_maps.signed_distance_map, {"inside_offset": 0.0}),
        ("hausdorff_distance_transform", distance_maps.distance_map, {}),
        ("log_hausdorff_distance_transform", distance_maps.distance_map, {}),
        ("distance_weighted_dice", distance_maps.boundary_weight_map, {}),
    ],
)
@pytest.mark.parametrize("class_axis", [1, -1])
def test_a_precomputed_field_gives_the_same(name, make, options, class_axis):
    function = losses.__dict__[name]
    void = np.where(GENERATOR.random(IDS.shape) < 0.1, 255, IDS)
    logits = np.moveaxis(LOGITS, 1, class_axis)
    field = make(void, 3, spacing=SPACING, class_axis=class_axis, ignore_index=255, dtype=np.float64, **options)
    shared = {"class_axis": class_axis, "ignore_index": 255, "spacing": SPACING}
    made = arrayseg.value_and_grad(function)(logits, void, **shared, **options)
    given = arrayseg.value_and_grad(function)(logits, void, field=field, **shared)
    assert_allclose(given[0], made[0], rtol=LAST_BITS)
    assert_allclose(given[1], made[1], atol=1e-16)


@pytest.mark.parametrize(
    "name", ["boundary", "hausdorff_distance_transform", "log_hausdorff_distance_transform", "distance_weighted_dice"]
)
def test_a_prediction_farther_away_loses_more(name):
    function = losses.__dict__[name]
    values = [float(function(disc(row).astype(float), disc(8), **BINARY)) for row in (8, 9, 11)]
    assert values[0] < values[1] < values[2]


def test_perfect_prediction():
    target = disc(8)
    for name in ("hausdorff_distance_transform", "hausdorff_erosion", "distance_weighted_dice"):
        assert_allclose(losses.__dict__[name](target.astype(float), target, **BINARY), 0, atol=FLOAT64)


def test_recorded_numbers_of_monai():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    logits, ids = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))
    assert_allclose(losses.boundary(logits, ids), 0.2538724, rtol=1e-6)
    assert_allclose(losses.hausdorff_distance_transform(logits, ids, exclude_background=True), 1.2117599, rtol=1e-6)
    assert_allclose(losses.log_hausdorff_distance_transform(logits, ids), 0.7951582, rtol=1e-6)


def test_boundary_is_linear_in_the_probabilities():
    probabilities = GENERATOR.random((1, 6, 9))
    target = IDS[:1] // 2
    value, gradient = arrayseg.value_and_grad(losses.boundary)(probabilities, target, **BINARY)
    field = distance_maps.signed_distance_map(target.astype(bool)[:, None], dtype=np.float64)[:, 0]
    assert_allclose(value, np.mean(probabilities * field))
    assert_allclose(gradient, field / field.size)


def test_log_of_the_hausdorff_loss():
    plain = losses.hausdorff_distance_transform(LOGITS, IDS, reduction="sum")
    assert_allclose(losses.log_hausdorff_distance_transform(LOGITS, IDS, reduction="sum"), np.log1p(plain))


def test_unreduced_losses_average_to_the_mean():
    for name in ("boundary", "hausdorff_distance_transform", "hausdorff_erosion"):
        each = losses.__dict__[name](LOGITS, IDS, reduction="none")
        assert each.shape == (2, 3)
        assert_allclose(each.mean(), losses.__dict__[name](LOGITS, IDS))


def test_weights_of_one_are_dice():
    field = np.ones_like(LOGITS)
    assert_allclose(losses.distance_weighted_dice(LOGITS, IDS, field=field), losses.dice(LOGITS, IDS))


def test_spacing_scales_distances():
    value = losses.hausdorff_distance_transform(LOGITS, IDS, alpha=2)
    assert_allclose(losses.hausdorff_distance_transform(LOGITS, IDS, alpha=2, spacing=3), 9 * value)


def test_a_class_everywhere_has_no_boundary():
    everywhere = np.ones((1, 6, 9), dtype=np.int64)
    probabilities = GENERATOR.random((1, 6, 9))
    assert losses.boundary(probabilities, everywhere, **BINARY) == 0
    assert losses.boundary(probabilities, 0 * everywhere, **BINARY) == 0
    weighted = losses.distance_weighted_dice(probabilities, everywhere, **BINARY)
    assert_allclose(weighted, losses.dice(probabilities, everywhere, **BINARY))


@pytest.mark.parametrize("shape", [(1, 2, 9, 8), (1, 1, 5, 6, 5)])
def test_pull_back_of_erosions(shape):
    # Smooth in space, so that something survives.
    values = 1 / (1 + np.abs(np.add.outer(*[np.arange(n) - n // 2 for n in shape[-2:]]))) * np.ones(shape)
    values = np.clip(1.2 * values, 0, 1) ** 0.3 + 0.01 * GENERATOR.random(shape)
    cotangent = GENERATOR.normal(size=shape)
    total, pull = erosions(values, 3, 2.0, np)
    assert total.any()
    expected = finite_differences(lambda array: (cotangent * erosions(array, 3, 2.0, np)[0]).sum(), values)
    assert_allclose(pull(cotangent), expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spacing": (1.0, 2.0, 3.0)}, "one for each of the 2 spatial axes"),
        ({"spacing": -1.0}, "positive"),
        ({"field": np.zeros((2, 6, 9))}, "shape of `input`"),
        ({"inside_offset": -1.0}, "inside_offset"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        losses.boundary(LOGITS, IDS, **options)


@pytest.mark.parametrize("options", [{"alpha": 0}, {"binarize": "half"}, {"sides": "none"}])
def test_wrong_options_of_hausdorff_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        losses.hausdorff_distance_transform(LOGITS, IDS, **options)
