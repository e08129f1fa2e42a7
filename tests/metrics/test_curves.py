"""Curves and areas are those of scikit-learn, and histograms approach them, add, and are traced."""

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy

VOID = 9


def score_maps(seed=0, shape=(3, 7, 11)):
    """Scores on a grid of 32nds, so that there are ties and bin edges."""
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 1, VOID], shape, p=[0.6, 0.3, 0.1])
    scores = np.clip(rng.normal(0.4 + 0.2 * (target == 1), 0.2), 0, 1)
    return np.round(scores * 32) / 32, target, rng.random(shape) < 0.8


def area_by_hand(scores, target):
    """The share of the pairs of a positive and a negative that are ranked right."""
    positive, negative = scores[target == 1], scores[target == 0]
    right = (positive[:, None] > negative).sum() + (positive[:, None] == negative).sum() / 2
    return right / (positive.size * negative.size)


@pytest.mark.parametrize("bins", [None, 64])
def test_areas_by_their_meaning(library, bins):
    scores, target, mask = score_maps()
    statistic = metrics.score_histogram(
        library.asarray(scores), library.asarray(target), bins=bins, ignore_index=VOID, mask=library.asarray(mask)
    )
    kept = mask & (target != VOID)
    assert float(metrics.auroc(statistic)) == pytest.approx(area_by_hand(scores[kept], target[kept]), rel=1e-12)
    precision, recall, thresholds = map(to_numpy, metrics.precision_recall_curve(statistic))
    false_rate, rate, roc_thresholds = map(to_numpy, metrics.roc_curve(statistic))
    np.testing.assert_array_equal(thresholds, roc_thresholds)
    for k, threshold in enumerate(thresholds):
        chosen = kept & (scores >= threshold)
        hits, false = (chosen & (target == 1)).sum(), (chosen & (target == 0)).sum()
        assert recall[k] == rate[k] == pytest.approx(hits / (kept & (target == 1)).sum(), rel=1e-14)
        assert false_rate[k] == pytest.approx(false / (kept & (target == 0)).sum(), rel=1e-14)
        assert precision[k] == pytest.approx(hits / (hits + false) if hits + false else 1, rel=1e-14)
    expected = (np.diff(recall) * precision[1:]).sum()
    assert float(metrics.average_precision(statistic)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("bins", [None, 10])
def test_batches_add(library, bins):
    scores, target, _ = score_maps(1)

    def count(part):
        arrays = library.asarray(scores[part]), library.asarray(target[part])
        return metrics.score_histogram(*arrays, bins=bins, ignore_index=VOID)

    whole, parts = count(slice(None)), [count(slice(i, i + 1)) for i in range(3)]
    for function in (metrics.auroc, metrics.average_precision):
        assert float(function(metrics.add(*parts))) == pytest.approx(float(function(whole)), rel=1e-12)


def test_classes_against_the_rest(library):
    rng = np.random.default_rng(2)
    scores, target = rng.random((2, 3, 5, 7)), rng.integers(0, 3, (2, 5, 7))
    for axis in (1, -1):
        moved = library.asarray(np.moveaxis(scores, 1, axis))
        statistic = metrics.score_histogram(moved, library.asarray(target, "uint8"), bins=20, class_axis=axis)
        assert tuple(statistic.positives.shape) == (3, 20)
        for label in range(3):
            single = metrics.score_histogram(scores[:, label], target == label, bins=20)
            np.testing.assert_array_equal(to_numpy(statistic.positives)[label], single.positives)
            np.testing.assert_array_equal(to_numpy(statistic.negatives)[label], single.negatives)
            expected = float(metrics.auroc(single))
            assert to_numpy(metrics.auroc(statistic))[label] == pytest.approx(expected, rel=1e-12)


def test_counts_past_32_bits(library):
    parts = np.asarray([2**40, 2**33]), np.asarray([2**33, 2**42])
    statistic = metrics.ScoreHistogram(*(library.asarray(part) for part in parts))
    small = metrics.ScoreHistogram(*(part // 2**30 for part in parts))
    assert float(metrics.auroc(statistic)) == pytest.approx(float(metrics.auroc(small)), rel=1e-14)


def test_one_kind_of_pixels_only(library):
    scores = library.asarray(np.asarray([[0.25, 0.5]]))
    for bins in (None, 4):
        negatives = metrics.score_histogram(scores, library.asarray(np.asarray([[0, 0]])), bins=bins)
        positives = metrics.score_histogram(scores, library.asarray(np.asarray([[1, 1]])), bins=bins)
        assert np.isnan(float(metrics.auroc(negatives)))
        assert np.isnan(float(metrics.auroc(positives)))
        assert float(metrics.auroc(negatives, absent=0.5)) == 0.5
        assert np.isnan(float(metrics.average_precision(negatives)))
        assert float(metrics.average_precision(positives)) == 1


def test_what_is_refused():
    scores, target, _ = score_maps()
    with pytest.raises(ValueError, match="`scores` must be from 0 to 1"):
        metrics.score_histogram(scores * 2, target, ignore_index=VOID)
    with pytest.raises(ValueError, match="`target` has the label 9"):
        metrics.score_histogram(scores, target)
    with pytest.raises(TypeError, match="`scores` must be floating"):
        metrics.score_histogram(target, target)
    with pytest.raises(ValueError, match="Exact ranks"):
        metrics.score_histogram(scores, target[:, 0], bins=None, class_axis=1)


@pytest.mark.compile
def test_areas_under_jit():
    jax = pytest.importorskip("jax")
    scores, target, _ = score_maps(3)

    def area(scores, target):
        statistic = metrics.score_histogram(scores, target, ignore_index=VOID)
        return metrics.auroc(statistic) + metrics.average_precision(statistic)

    assert float(jax.jit(area)(scores, target)) == pytest.approx(float(area(scores, target)), rel=1e-12)


@pytest.mark.compat
@pytest.mark.parametrize("seed", range(3))
def test_same_as_scikit_learn(seed):
    peer = pytest.importorskip("sklearn.metrics")
    scores, target, _ = score_maps(seed)
    kept = target != VOID
    statistic = metrics.score_histogram(scores, target, bins=None, ignore_index=VOID)
    arrays = target[kept], scores[kept]
    assert float(metrics.auroc(statistic)) == pytest.approx(peer.roc_auc_score(*arrays), rel=1e-12)
    assert float(metrics.average_precision(statistic)) == pytest.approx(
        peer.average_precision_score(*arrays), rel=1e-12
    )
    expected = peer.roc_curve(*arrays, drop_intermediate=False)
    for part, wanted in zip(metrics.roc_curve(statistic), expected, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-14)
    precision, recall, thresholds = peer.precision_recall_curve(*arrays)
    curve = metrics.precision_recall_curve(statistic)
    np.testing.assert_allclose(curve.precision, precision[::-1], rtol=1e-14)
    np.testing.assert_allclose(curve.recall, recall[::-1], rtol=1e-14)
    np.testing.assert_allclose(curve.thresholds[1:], thresholds[::-1], rtol=1e-14)
