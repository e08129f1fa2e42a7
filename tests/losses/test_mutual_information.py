"""Region mutual information: the published formula, and which predictions it prefers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scenes import one_hot

from arrayseg import losses

GENERATOR = np.random.default_rng(7)
LOGITS = 2 * GENERATOR.normal(size=(2, 3, 7, 5))
IDS = GENERATOR.integers(0, 3, size=(2, 7, 5))


def published_information(probabilities, hot, radius, pool, average):
    """The authors' formulas with pooling windows one after the other, one image and class at a time."""

    def pooled(maps):
        pad = pool // 2
        padded = np.pad(maps, pad)
        rows, columns = ((length - pool) // pool + 1 for length in padded.shape)
        reduce = np.mean if average else np.max
        cells = [
            [padded[r * pool : (r + 1) * pool, c * pool : (c + 1) * pool] for c in range(columns)] for r in range(rows)
        ]
        return np.array([[reduce(cell) for cell in row] for row in cells])

    def vectors(maps):
        rows, columns = (length - radius + 1 for length in maps.shape)
        shifted = [maps[r : r + rows, c : c + columns].ravel() for r in range(radius) for c in range(radius)]
        return np.array(shifted) - np.mean(shifted, axis=1, keepdims=True)

    target, prediction = vectors(pooled(hot)), vectors(pooled(probabilities))
    ridge = 5e-4 * np.eye(radius**2)
    crossed = target @ prediction.T
    left = target @ target.T - crossed @ np.linalg.inv(prediction @ prediction.T + ridge) @ crossed.T
    return np.linalg.slogdet(left + ridge)[1] / 2 / radius**2


@pytest.mark.parametrize(("pool", "pooling"), [(3, "max"), (2, "average"), (1, "max")])
def test_region_mutual_information_is_the_published_one(pool, pooling):
    logits = GENERATOR.normal(size=(1, 2, 14, 11))
    ids = GENERATOR.integers(0, 2, size=(1, 14, 11))
    found = losses.region_mutual_information(
        logits, ids, activation="sigmoid", downsample=pool, pooling=pooling, reduction="none"
    )
    probabilities, hot = 1 / (1 + np.exp(-logits)), one_hot(ids, 2)
    for number in range(2):
        expected = published_information(probabilities[0, number], hot[0, number], 3, pool, pooling == "average")
        assert_allclose(found[0, number], expected, rtol=1e-9)


def test_a_right_prediction_leaves_less_information_out():
    ids = GENERATOR.integers(0, 2, size=(1, 20, 20))
    right, none = (
        losses.region_mutual_information(scale * (2.0 * one_hot(ids, 2) - 1), ids, downsample=1) for scale in (1.0, 0.0)
    )
    assert right < none - 1


def test_a_window_larger_than_the_image_is_named():
    with pytest.raises(ValueError, match="does not fit"):
        losses.region_mutual_information(LOGITS, IDS, radius=4)
