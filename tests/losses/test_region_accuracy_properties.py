"""Region losses at their edges: one class, no class, nearly right, NaN, empty; against float64 and exact values."""

import numpy as np
import pytest
from scenes import one_hot
from tolerances import FLOAT32, FLOAT32_GRADIENT

import arrayseg
from arrayseg import losses
from arrayseg.testing import loss_cases, relative_difference, to_numpy

GENERATOR = np.random.default_rng(5)
SHAPE = (2, 3, 16, 16)
IDS = GENERATOR.integers(0, 3, size=(2, 16, 16))
NOISE = GENERATOR.normal(size=SHAPE)
SCORES = [
    "asymmetric_f_beta",
    "dice",
    "dice_semimetric",
    "fine_grained_jaccard",
    "focal_tversky",
    "generalized_dice",
    "jaccard",
    "jaccard_metric",
    "log_cosh_dice",
    "log_dice",
    "log_jaccard",
    "matthews_corrcoef",
    "penalty_generalized_dice",
    "sensitivity_specificity",
    "tversky",
]


MISTAKEN = np.where(GENERATOR.random(IDS.shape) < 0.01, (IDS + 1) % 3, IDS)
SCENES = {
    "one class": (NOISE, np.zeros_like(IDS)),
    "an absent class": (2 * NOISE, np.where(IDS == 2, 0, IDS)),
    "nearly right": (12 * one_hot(IDS, 3) + NOISE, IDS),
    "surely wrong in some": (12 * one_hot(MISTAKEN, 3) + NOISE, IDS),
    "nearly right, one class": (12 * one_hot(np.zeros_like(IDS), 3) + NOISE, np.zeros_like(IDS)),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("scene", SCENES)
def test_float32_has_the_digits_of_float64(name, scene, library):
    """Nothing cancels: the sums that a score needs are counted, not subtracted."""
    loss, (logits, ids) = getattr(losses, name), SCENES[scene]
    single = logits.astype(np.float32)
    expected, slope = arrayseg.value_and_grad(loss)(single.astype(np.float64), ids)
    given = library.asarray(single), library.asarray(ids)
    value, gradient = arrayseg.value_and_grad(loss)(*given)
    assert relative_difference(value, expected) < FLOAT32
    assert relative_difference(loss(*given), expected) < FLOAT32
    assert relative_difference(gradient, slope) < FLOAT32_GRADIENT


@pytest.mark.parametrize("shape", [(1, 2, 64, 64), (1, 2, 300, 300)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matthews_of_one_class_is_1(shape, dtype, library):
    """A class that is everywhere, or nowhere, has no correlation: the loss is exactly 1, with no gradient."""
    if dtype not in library.dtypes:
        pytest.skip("no such dtype")
    logits = library.asarray(np.random.default_rng(1).normal(size=shape), dtype)
    background = library.asarray(np.zeros((1, *shape[2:]), dtype=np.int64))
    value, gradient = arrayseg.value_and_grad(losses.matthews_corrcoef)(logits, background)
    assert float(value) == float(losses.matthews_corrcoef(logits, background)) == 1
    assert not to_numpy(gradient).any()


def test_smoothed_cells_of_a_perfect_prediction_follow_the_formula(library):
    """Right on 4 and 12 pixels of two classes: (4.5 x 12.5 - 0.5^2) / (5 x 13), with no jump to 0."""
    ids = np.where(np.arange(16).reshape(1, 4, 4) < 4, 1, 0)
    logits = one_hot(ids, 2)
    for scale in (30.0, 500.0):
        given = library.asarray((scale * logits).astype(np.float32)), library.asarray(ids)
        value = losses.matthews_corrcoef(*given, smooth=0, cell_smooth=0.5)
        assert float(value) == pytest.approx(1 - (4.5 * 12.5 - 0.25) / (5 * 13), rel=1e-5)


def test_value_of_a_nearly_right_prediction_by_its_expansion():
    """Logits of +-L are wrong by e^-2L: Dice loses e^-2L a pixel of each class, to first order."""
    ids = np.arange(64).reshape(1, 8, 8) % 2
    logits = np.moveaxis(np.where(np.eye(2)[ids] > 0, 20.0, 0.0), -1, 1).astype(np.float32)
    wrong = np.exp(-20.0) / (1 + np.exp(-20.0))
    assert float(losses.dice(logits, ids, smooth=0)) == pytest.approx(wrong, rel=1e-6)
    assert float(losses.jaccard(logits, ids, smooth=0)) == pytest.approx(2 * wrong / (1 + wrong), rel=1e-6)


CASES = [case for case in loss_cases() if "," not in case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("where", [(...,), (0, 1, 2, 3)])
def test_nan_logits_are_nan(case, where, library):
    """A network that has diverged does not have the best loss ever."""
    logits = case.input.astype(np.float32)
    logits[where] = np.nan
    options = {
        name: library.asarray(value) if isinstance(value, np.ndarray) else value for name, value in case.options.items()
    }
    given = library.asarray(logits), library.asarray(case.target)
    value, gradient = arrayseg.value_and_grad(case.function)(*given, **options)
    assert np.isnan(float(value))
    assert np.isnan(float(case.function(*given, **options)))
    if case.name != "nll":  # it is linear in its input, so its gradient does not depend on it
        assert np.isnan(to_numpy(gradient)).any()


@pytest.mark.parametrize("name", ["dice", "generalized_dice", "matthews_corrcoef", "lovasz_softmax"])
def test_nan_where_a_pixel_is_ignored_is_not_seen(name, library):
    loss = getattr(losses, name)
    ids = np.where(GENERATOR.random(IDS.shape) < 0.2, 255, IDS)
    void = np.broadcast_to((ids == 255)[:, None], SHAPE)
    given = library.asarray(np.where(void, np.nan, NOISE)), library.asarray(ids)
    value, gradient = arrayseg.value_and_grad(loss)(*given, ignore_index=255)
    expected = loss(np.where(void, 0, NOISE), ids, ignore_index=255)
    assert float(value) == pytest.approx(float(expected), rel=1e-6)
    assert not to_numpy(gradient)[void].any()


def test_nan_of_a_class_that_does_not_enter_is_not_seen(library):
    """Independent classes: the one that is left out has no part in the value."""
    logits = NOISE.copy()
    logits[:, 2] = np.nan
    options = {"activation": "sigmoid", "classes": (0, 1)}
    for pool in ("image", "batch", "micro", "all"):
        found = losses.dice(library.asarray(logits), library.asarray(IDS), pool=pool, **options)
        assert float(found) == pytest.approx(float(losses.dice(NOISE, IDS, pool=pool, **options)), rel=1e-6)


def test_nan_weights_are_nan(library):
    weights = np.ones(IDS.shape)
    weights[0, 3, 3] = np.nan
    for name in ("dice", "matthews_corrcoef", "generalized_dice", "sensitivity_specificity", "boundary"):
        loss = getattr(losses, name)
        given = (library.asarray(array) for array in (NOISE, IDS, weights))
        logits, ids, pixel_weights = given
        assert np.isnan(float(loss(logits, ids, pixel_weights=pixel_weights)))


@pytest.mark.parametrize("name", [*SCORES, "boundary", "hausdorff_erosion", "distance_weighted_dice", "cl_dice"])
@pytest.mark.parametrize("shape", [(0, 1, 3, 3), (2, 1, 0, 3)])
def test_nothing_has_no_loss(name, shape):
    ids = np.zeros((shape[0], *shape[2:]), dtype=np.int64)
    value, gradient = arrayseg.value_and_grad(getattr(losses, name))(np.zeros(shape), ids, activation="sigmoid")
    assert value == 0
    assert gradient.shape == shape


@pytest.mark.parametrize("smooth", [np.float32(0.5), np.array(0.5), 0.5, (0.5, np.float64(0.5)), np.array([0.5, 0.5])])
def test_smoothing_takes_numbers_of_numpy(smooth):
    assert losses.dice(NOISE, IDS, smooth=smooth) == losses.dice(NOISE, IDS, smooth=(0.5, 0.5))


@pytest.mark.parametrize("smooth", [None, "1", True])
def test_smoothing_is_a_number(smooth):
    with pytest.raises(TypeError, match="`smooth` must be a number"):
        losses.dice(NOISE, IDS, smooth=smooth)
