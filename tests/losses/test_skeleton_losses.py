"""Skeleton losses: what their numbers mean, their gradients, and which pixels count."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scenes import one_hot
from tolerances import FLOAT64, LAST_BITS, SUMS

import arrayseg
from arrayseg import distance_maps, losses
from arrayseg.imaging.skeletons import soft_skeleton

GENERATOR = np.random.default_rng(7)
LOGITS = 2 * GENERATOR.normal(size=(2, 3, 7, 5))
IDS = GENERATOR.integers(0, 3, size=(2, 7, 5))
LINES = np.zeros((1, 9, 11), dtype=np.int64)
LINES[0, 4, 1:10] = 1
LINES[0, 1:8, 5] = 1


def test_recorded_number_of_monai():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    logits, ids = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))
    assert_allclose(losses.cl_dice(logits, ids, pool="micro"), 0.7420572, rtol=1e-6)
    assert_allclose(losses.cl_dice(logits, ids, pool="micro", exclude_background=True), 0.7360393, rtol=1e-6)
    assert_allclose(losses.dice_cl_dice(logits, ids, pool="micro", dice_pool="image"), 0.7380152, rtol=1e-6)


def test_perfect_and_worst_centerlines():
    right, wrong = one_hot(LINES, 2), one_hot(1 - LINES, 2)
    options = {"activation": None, "smooth": 1e-9, "epsilon": 0, "classes": (1,)}
    assert_allclose(losses.cl_dice(right, LINES, **options), 0, atol=1e-6)
    assert_allclose(losses.cl_dice(wrong, LINES, **options), 1, atol=1e-6)


def test_a_gap_costs_cl_dice_more_than_a_thinner_line():
    thick = np.zeros((1, 7, 15), dtype=np.int64)
    thick[0, 2:5, 1:14] = 1
    thin, gap = thick.copy(), thick.copy()
    thin[0, 2] = 0
    gap[0, 2:5, 6:8] = 0
    thin_loss, gap_loss = (losses.cl_dice(one_hot(m, 2), thick, activation=None, classes=(1,)) for m in (thin, gap))
    assert gap_loss > thin_loss


def test_dice_cl_dice_is_each_at_the_ends():
    assert_allclose(losses.dice_cl_dice(LOGITS, IDS, alpha=1), losses.cl_dice(LOGITS, IDS))
    assert_allclose(losses.dice_cl_dice(LOGITS, IDS, alpha=0), losses.dice(LOGITS, IDS, smooth=1))


def test_saturated_maps_have_the_gradient_of_autodiff():
    torch = pytest.importorskip("torch")
    probabilities = one_hot(LINES, 2)
    expected = arrayseg.grad(losses.cl_dice)(probabilities, LINES, activation=None)
    native = torch.func.grad(lambda x: losses.cl_dice(x, torch.tensor(LINES), activation=None))
    assert_allclose(native(torch.tensor(probabilities)), expected, atol=SUMS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"iterations": -1}, "iterations"),
        ({"smooth": -1.0}, "smooth"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"smoth": 1.0}, "did you mean `smooth`"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        losses.cl_dice(LOGITS, IDS, **options)


def test_dice_cl_dice_has_no_unreduced_form():
    with pytest.raises(ValueError, match="different shapes"):
        losses.dice_cl_dice(LOGITS, IDS, reduction="none")


def test_skeleton_recall_is_linear_in_the_probabilities():
    target = LINES[:, :, :9]
    probabilities = GENERATOR.random(target.shape)
    skeleton = distance_maps.skeleton_map((target == 1)[:, None], dtype=np.float64)[:, 0]
    value, gradient = arrayseg.value_and_grad(losses.skeleton_recall)(
        probabilities, target, class_axis=None, activation=None
    )
    assert_allclose(value, 1 - ((probabilities * skeleton).sum() + 1) / (skeleton.sum() + 1))
    assert_allclose(gradient, -skeleton / (skeleton.sum() + 1))


@pytest.mark.parametrize("class_axis", [1, -1])
def test_a_precomputed_skeleton_gives_the_same(class_axis):
    void = np.where(GENERATOR.random(IDS.shape) < 0.1, 255, IDS)
    logits = np.moveaxis(LOGITS, 1, class_axis)
    skeleton = distance_maps.skeleton_map(void, 3, tube=1, class_axis=class_axis, ignore_index=255)
    shared = {"class_axis": class_axis, "ignore_index": 255}
    made = arrayseg.value_and_grad(losses.skeleton_recall)(logits, void, tube=1, **shared)
    given = arrayseg.value_and_grad(losses.skeleton_recall)(logits, void, skeleton_map=skeleton, **shared)
    assert_allclose(given[0], made[0], rtol=LAST_BITS)
    assert_allclose(given[1], made[1], atol=1e-16)


def test_a_tube_stays_within_its_class():
    mask = np.zeros((1, 1, 9, 12), dtype=bool)
    mask[..., 2:7, 1:11] = True
    thin, tube = (distance_maps.skeleton_map(mask, tube=width) for width in (0, 1))
    assert (thin <= tube).all()
    assert (tube <= mask).all()
    assert thin.sum() < tube.sum() < mask.sum()


def published_cb_dice(probability, mask, iterations, smooth):
    """One minus the score of the authors' formulas, for one foreground in the plane."""
    ndimage = pytest.importorskip("scipy.ndimage")

    def weights(maps, skeletons):
        hard, hard_skeleton = maps > 0.5, skeletons > 0.5
        distances = np.stack([ndimage.distance_transform_edt(image) for image in hard])
        radii = np.where(hard_skeleton, distances, 0)
        largest = np.maximum(radii.max(axis=(1, 2), keepdims=True), 1)
        depth, radii = np.minimum(distances, largest) / largest, radii / largest
        weight = np.where(hard_skeleton, (1 + 1e-7) / (radii + 1e-7), 0)
        return depth * maps, radii * maps, weight * skeletons

    def combined(first, second, weight):
        return np.where((first != 0) & (second == 0), first * weight, second * weight).sum()

    skeletons = [soft_skeleton(maps[:, None], iterations, (2, 3), np)[:, 0] for maps in (mask, probability)]
    of_target, of_prediction = weights(mask, skeletons[0]), weights(probability, skeletons[1])
    precision = ((of_prediction[2] * of_target[0]).sum() + smooth) / (
        combined(of_prediction[1], of_target[1], of_prediction[2]) + smooth
    )
    recall = ((of_target[2] * of_prediction[0]).sum() + smooth) / (
        combined(of_target[1], of_prediction[1], of_target[2]) + smooth
    )
    return 1 - 2 * precision * recall / (precision + recall)


def test_cb_dice_is_the_published_one():
    ids = np.zeros((2, 12, 15), dtype=np.int64)
    ids[0, 4:9, 2:13] = ids[1, 2:10, 6:9] = 1
    logits = 3 * GENERATOR.normal(size=(2, 2, 12, 15))
    logits[:, 1] += np.where(ids == 1, 4, -4)
    probability = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    expected = published_cb_dice(probability, ids.astype(float), 4, 1.0)
    found = losses.cb_dice(logits, ids, iterations=4, pool="all", classes=(1,))
    assert_allclose(found, expected, rtol=FLOAT64)
    assert 0.01 < expected < 0.9


def test_cb_dice_of_a_perfect_and_of_a_thinner_prediction():
    bar = np.zeros((1, 9, 14), dtype=np.int64)
    bar[0, 2:7, 1:13] = 1
    thin, thinner = bar.copy(), bar.copy()
    thin[0, [2, 6]] = 0
    thinner[0, [2, 3, 5, 6]] = 0
    options = {"class_axis": None, "activation": None}
    values = [losses.cb_dice(mask.astype(float), bar, **options) for mask in (bar, thin, thinner)]
    assert_allclose(values[0], 0, atol=1e-6)
    assert values[0] < values[1] < values[2]
