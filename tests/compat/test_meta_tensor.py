"""MONAI's tensors with metadata are taken like plain ones."""

import numpy as np
import pytest

from arrayseg import losses, metrics, value_and_grad
from arrayseg.testing import to_numpy

torch = pytest.importorskip("torch")
MetaTensor = pytest.importorskip("monai.data").MetaTensor

RANDOM = np.random.default_rng(0)
LOGITS, IDS = RANDOM.normal(size=(2, 3, 6, 7)), RANDOM.integers(0, 3, (2, 6, 7))
GUESS = RANDOM.integers(0, 3, (2, 6, 7))
MASKS = RANDOM.random((2, 6, 7)) < 0.5


def with_metadata(array):
    return MetaTensor(torch.from_numpy(array), meta={"spacing": 2.0})


@pytest.mark.parametrize("name", ["dice", "cross_entropy", "lovasz_softmax", "boundary", "cl_dice"])
def test_losses(name):
    loss = getattr(losses, name)
    value, gradient = value_and_grad(loss)(with_metadata(LOGITS), with_metadata(IDS))
    expected, expected_gradient = value_and_grad(loss)(LOGITS, IDS)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(to_numpy(gradient), expected_gradient, atol=1e-14)
    logits = with_metadata(LOGITS).requires_grad_()
    loss(logits, with_metadata(IDS)).backward()
    np.testing.assert_allclose(np.asarray(logits.grad), expected_gradient, atol=1e-14)


def test_metrics():
    pairs = [(GUESS, IDS), (with_metadata(GUESS), with_metadata(IDS))]
    wanted, found = (metrics.confusion_matrix(*pair, num_classes=3) for pair in pairs)
    np.testing.assert_array_equal(np.asarray(found), wanted)
    wanted, found = (metrics.match_instances(*pair) for pair in pairs)
    for name in wanted._fields:
        assert float(getattr(found, name)) == pytest.approx(float(getattr(wanted, name)))
    masks = [MASKS, with_metadata(MASKS)]
    wanted, found = (metrics.hausdorff(metrics.surface_distances(pair[0], pair[1])) for pair in masks)
    assert float(found) == float(wanted)


def test_a_wrong_id_is_refused():
    with pytest.raises(ValueError, match="got 12"):
        losses.dice(with_metadata(LOGITS), with_metadata(IDS + 10))
