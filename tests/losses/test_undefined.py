"""NaN and infinite logits, and powers of numbers next to 0: what is undefined shows, what is defined is finite."""

from functools import partial

import numpy as np
import pytest
from tolerances import FLOAT64, LAST_BITS

import arrayseg
from arrayseg import losses
from arrayseg.testing import to_numpy

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(2, 4, 8, 8))
IDS = GENERATOR.integers(0, 4, (2, 8, 8))
SOFT = np.moveaxis(GENERATOR.dirichlet(np.ones(4), size=(2, 8, 8)), -1, 1).copy()

LOSSES = {
    "affinity": losses.affinity_field,
    "asymmetric": losses.asymmetric,
    "bi-tempered": losses.bi_tempered,
    "bootstrapped": partial(losses.bootstrapped_cross_entropy, loss_threshold=1.5, min_kept=4),
    "context prior": partial(losses.context_prior_affinity, window=2),
    "cross entropy": losses.cross_entropy,
    "focal": losses.focal,
    "focal 0.5": partial(losses.focal, gamma=0.5, activation="sigmoid"),
    "focal cosine": losses.focal_cosine,
    "Jensen-Shannon": losses.jensen_shannon,
    "neighbors": losses.neighbor_aware_cross_entropy,
    "normalized focal": partial(losses.normalized_focal, gamma=0.5),
    "ohem": partial(losses.ohem_cross_entropy, threshold=0.5, min_kept=5),
    "quality focal": losses.quality_focal,
    "reduced focal": partial(losses.reduced_focal, gamma=0.5),
    "symmetric": losses.symmetric_cross_entropy,
    "top k": partial(losses.top_k_cross_entropy, share=0.1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_nan_in_is_nan_out(library, name):
    for logits in (np.where(np.arange(LOGITS.size).reshape(LOGITS.shape) == 21, np.nan, LOGITS), LOGITS * np.nan):
        for target in (IDS, SOFT):
            value, gradient = arrayseg.value_and_grad(LOSSES[name])(library.asarray(logits), library.asarray(target))
            assert np.isnan(float(value))
            assert np.isnan(to_numpy(gradient)).any()


@pytest.mark.parametrize("gamma", [0.05, 0.5, 1.5, 2, 7, 1e30])
@pytest.mark.parametrize("name", ["focal", "normalized_focal", "reduced_focal"])
def test_powers_of_confident_logits_are_finite(library, name, gamma):
    loss = partial(getattr(losses, name), gamma=gamma, activation="sigmoid")
    logits = np.linspace(-200, 200, 801).reshape(1, 1, -1)
    for dtype in ("float32", "float64"):
        for label in (0, 1):
            ids = library.asarray(np.full((1, 801), label))
            value, gradient = arrayseg.value_and_grad(loss)(library.asarray(logits, dtype), ids)
            assert np.isfinite(float(value))
            assert np.isfinite(to_numpy(gradient)).all()
            assert float(loss(library.asarray(logits, dtype), ids)) == pytest.approx(float(value), rel=1e-5)


CLASSES_THAT_CANNOT_BE = {
    name: LOSSES[name] for name in ("cross entropy", "focal", "reduced focal", "symmetric", "Jensen-Shannon")
} | {"generalized": losses.generalized_cross_entropy, "Kullback-Leibler": losses.kl_divergence, "poly": losses.poly}


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", CLASSES_THAT_CANNOT_BE)
def test_a_class_that_cannot_be_changes_nothing(library, name, activation):
    """A logit of -inf is that of -1000 where the target gives the class no share, for ids and for shares."""
    loss = partial(CLASSES_THAT_CANNOT_BE[name], activation=activation)
    never = np.where(np.arange(4)[:, None, None] == 2, -np.inf, LOGITS)
    shares = np.where(np.arange(4)[:, None, None] == 2, 0, SOFT)
    for target in (np.where(IDS == 2, 0, IDS), shares / shares.sum(axis=1, keepdims=True)):
        logits, wanted = library.asarray(never), library.asarray(target)
        expected, slope = arrayseg.value_and_grad(loss)(np.maximum(never, -1000.0), target)
        value, gradient = arrayseg.value_and_grad(loss)(logits, wanted)
        assert float(value) == pytest.approx(float(expected), rel=1e-10)
        assert float(loss(logits, wanted)) == pytest.approx(float(expected), rel=1e-10)
        np.testing.assert_allclose(to_numpy(gradient), slope, rtol=1e-9, atol=LAST_BITS)


@pytest.mark.parametrize(
    ("name", "wrong_positive", "wrong_negative"),
    [
        ("binary_cross_entropy", np.inf, np.inf),
        ("focal", np.inf, np.inf),
        ("asymmetric", np.inf, 0.95**4 * -np.log(0.05)),  # a negative is at most as wrong as the margin says
    ],
)
def test_infinite_binary_logits(library, name, wrong_positive, wrong_negative):
    """The loss of a right one is 0; that of a wrong one is what the losses of greater and greater logits tend to."""
    loss = partial(getattr(losses, name), activation="sigmoid", class_axis=None, reduction="sum")
    for logit, label, expected in (
        (np.inf, 1, 0),
        (-np.inf, 0, 0),
        (-np.inf, 1, wrong_positive),
        (np.inf, 0, wrong_negative),
    ):
        logits, ids = library.asarray(np.array([[logit]])), library.asarray(np.array([[label]]))
        value, gradient = arrayseg.value_and_grad(loss)(logits, ids)
        for found in (float(loss(logits, ids)), float(value)):
            assert found == pytest.approx(expected, rel=FLOAT64, abs=0)
        if np.isfinite(expected):
            assert float(gradient[0, 0]) == 0


def test_an_infinite_loss_of_no_weight_is_nothing(library):
    """Balanced cross entropy of an image without negatives gives its positives no weight; so may weights of classes."""
    logits, ones = library.asarray(np.array([[-np.inf, 1.0]])), library.asarray(np.array([[1, 1]]))
    assert float(losses.balanced_binary_cross_entropy(logits, ones, class_axis=None)) == 0
    logits, ids = library.asarray(np.array([[[-np.inf, 0.0], [0.0, 0.0]]])), library.asarray(np.array([[0, 1]]))
    weighted = partial(losses.cross_entropy, class_weights=(0.0, 1.0))
    for value in (weighted(logits, ids), arrayseg.value_and_grad(weighted)(logits, ids)[0]):
        assert float(value) == pytest.approx(np.log(2), rel=FLOAT64)


def test_a_map_of_neighbors_beyond_one_block():
    logits = GENERATOR.normal(size=(1, 19, 400, 400)).astype(np.float32)
    ids = GENERATOR.integers(0, 19, (1, 400, 400))
    found = losses.neighbor_aware_cross_entropy(logits, ids, reduction="none")
    assert found.shape == (1, 400, 400)
    assert float(found.mean()) == pytest.approx(float(losses.neighbor_aware_cross_entropy(logits, ids)), rel=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_an_empty_batch_of_one_channel_is_zero(library, activation):
    for shape in ((0, 1, 3), (2, 1, 0)):
        logits, ids = library.asarray(np.zeros(shape)), library.asarray(np.zeros((shape[0], shape[2]), dtype=np.int64))
        value, gradient = arrayseg.value_and_grad(losses.cross_entropy)(
            logits, ids, activation=activation, class_axis=1
        )
        assert float(value) == 0
        assert tuple(gradient.shape) == shape


def test_divergence_of_zero_predictions(library):
    """Where the target is 0 too nothing is added; where it is t, t (log t + 100)."""
    predicted = library.asarray(np.array([[1.0, 0.0], [1.0, 0.0]]))
    target = library.asarray(np.array([[1.0, 0.0], [0.75, 0.25]]))
    found = losses.kl_divergence(predicted, target, activation=None, reduction="none")
    expected = [0.0, 0.75 * np.log(0.75) + 0.25 * (np.log(0.25) + 100)]
    np.testing.assert_allclose(to_numpy(found), expected, rtol=FLOAT64, atol=1e-15)
