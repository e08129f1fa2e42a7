"""Affinity losses: what their numbers mean."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scenes import one_hot, softmax
from tolerances import FLOAT64

import arrayseg
from arrayseg import losses

GENERATOR = np.random.default_rng(11)
LOGITS = 2 * GENERATOR.normal(size=(2, 3, 6, 5))
IDS = np.where(GENERATOR.random((2, 6, 5)) < 0.2, 255, GENERATOR.integers(0, 3, size=(2, 6, 5)))


def neighbors(row, column, distance, shape):
    for down, right in product((-distance, 0, distance), repeat=2):
        inside = 0 <= row + down < shape[0] and 0 <= column + right < shape[1]
        if (down or right) and inside:
            yield row + down, column + right


@pytest.mark.parametrize("denominator", ["pairs", "pixels"])
@pytest.mark.parametrize("distance", [1, 2])
def test_affinity_field_pixel_by_pixel(distance, denominator):
    p = softmax(LOGITS)
    total, pairs = 0.0, 0
    for image, row, column in np.ndindex(IDS.shape):
        for place in neighbors(row, column, distance, IDS.shape[1:]):
            ids = IDS[image, row, column], IDS[(image, *place)]
            if 255 in ids:
                continue
            center, edge = p[image, :, row, column], p[(image, slice(None), *place)]
            divergence = (edge * np.log(edge / center)).sum()
            total += 2.0 * divergence if ids[0] == ids[1] else 0.5 * max(0.0, 1.0 - divergence)
            pairs += 1
    amount = pairs if denominator == "pairs" else 8 * (IDS != 255).sum()
    options = {"margin": 1.0, "same_weight": 2.0, "different_weight": 0.5, "ignore_index": 255}
    found = losses.affinity_field(LOGITS, IDS, distance=distance, denominator=denominator, **options)
    assert_allclose(found, total / amount, rtol=FLOAT64)
    summed = losses.affinity_field(LOGITS, IDS, distance=distance, reduction="sum", **options)
    assert_allclose(summed, total, rtol=FLOAT64)


@pytest.mark.parametrize("window", [2, 3])
def test_context_prior_affinity_window_by_window(window):
    p = softmax(LOGITS)
    total, pairs = 0.0, 0
    rows, columns = (length - window + 1 for length in IDS.shape[1:])
    for image, row, column in product(range(2), range(rows), range(columns)):
        ids = IDS[image, row : row + window, column : column + window].ravel()
        vectors = p[image, :, row : row + window, column : column + window].reshape(3, -1)
        affinity = vectors.T @ vectors
        valid = np.outer(ids != 255, ids != 255)
        loss = -np.where(ids[:, None] == ids, np.log(affinity), np.log(1 - affinity))
        total += loss[valid].sum()
        pairs += valid.sum()
    found = losses.context_prior_affinity(LOGITS, IDS, window=window, ignore_index=255)
    assert_allclose(found, total / pairs, rtol=FLOAT64)


def test_two_exclusive_classes_are_one_independent_one():
    logits, ids = LOGITS[:, :2], IDS % 2
    single = logits[:, 1] - logits[:, 0]
    options = {"class_axis": None, "activation": "sigmoid"}
    for function in (losses.affinity_field, losses.context_prior_affinity):
        assert_allclose(function(single, ids, **options), function(logits, ids), rtol=FLOAT64)


def test_right_and_sure_predictions_lose_nothing():
    ids = GENERATOR.integers(0, 3, size=(1, 6, 5))
    logits = 40.0 * one_hot(ids, 3)
    assert_allclose(losses.affinity_field(logits, ids), 0, atol=FLOAT64)
    assert_allclose(losses.context_prior_affinity(logits, ids), 0, atol=FLOAT64)


def test_targets_of_one_value_per_class_are_ids():
    ids = GENERATOR.integers(0, 3, size=(2, 6, 5))
    hot = losses.one_hot(ids, 3)
    for function in (losses.affinity_field, losses.context_prior_affinity):
        by_ids, by_values = (arrayseg.value_and_grad(function)(LOGITS, target) for target in (ids, hot))
        assert_allclose(by_values[0], by_ids[0])
        assert_allclose(by_values[1], by_ids[1])


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="margin"):
        losses.affinity_field(LOGITS, IDS, margin=-1, ignore_index=255)
    with pytest.raises(ValueError, match="activation"):
        losses.affinity_field(LOGITS, IDS, activation=None, ignore_index=255)
    with pytest.raises(ValueError, match="does not fit"):
        losses.context_prior_affinity(LOGITS, IDS, window=6, ignore_index=255)
    with pytest.raises(ValueError, match="reduction"):
        losses.affinity_field(LOGITS, IDS, reduction="none", ignore_index=255)
