"""Saliency maps are scored image by image, threshold by threshold."""

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy


def gray_maps(seed=0, shape=(3, 9, 13)):
    rng = np.random.default_rng(seed)
    target = rng.random(shape) < 0.3
    prediction = np.clip(rng.normal(0.3 + 0.3 * target, 0.2), 0, 1)
    return np.round(prediction * 255) / 255, target, rng.random(shape) < 0.8


def by_hand(prediction, target, beta=0.3):
    """MAE, adaptive F and the curve of one image of bytes, as PySODMetrics defines them."""
    if prediction.max() > prediction.min():
        prediction = (prediction - prediction.min()) / (prediction.max() - prediction.min())

    def f_measure(chosen):
        hits = (chosen & target).sum()
        precision, recall = hits / max(chosen.sum(), 1), hits / max(target.sum(), 1)
        return 0.0 if hits == 0 else (1 + beta) * precision * recall / (beta * precision + recall)

    curve = [f_measure(prediction >= level) for level in np.arange(256) / 255]
    return np.abs(prediction - target).mean(), f_measure(prediction >= min(2 * prediction.mean(), 1)), np.asarray(curve)


def test_scores_of_a_batch(library):
    prediction, target, mask = gray_maps()
    target[1] = False
    prediction[2] = 0.25
    arrays = library.asarray(prediction), library.asarray(target)
    sums = metrics.saliency_sums(*arrays, mask=library.asarray(mask))
    errors, adaptive, curves = zip(
        *(by_hand(p[m], t[m]) for p, t, m in zip(prediction, target, mask, strict=True)), strict=True
    )
    curve = np.mean(curves, 0)
    assert float(metrics.saliency_mae(sums)) == pytest.approx(np.mean(errors), rel=1e-12)
    expected = {"adaptive": np.mean(adaptive), "max": curve.max(), "mean": curve.mean(), "curve": curve}
    for threshold, value in expected.items():
        result = metrics.saliency_f_measure(sums, threshold=threshold)
        np.testing.assert_allclose(to_numpy(result), value, rtol=1e-12)


@pytest.mark.parametrize("thresholds", [2, 50, 256, 1001])
def test_thresholds_are_reached_exactly(library, thresholds):
    """Scores at a level reach it, and those next below do not, though their product with K - 1 may round to it."""
    levels = np.arange(thresholds, dtype=np.float32) / np.float32(thresholds - 1)
    prediction = np.concatenate(
        [levels, np.nextafter(levels[1:], np.float32(0)), np.nextafter(levels[:-1], levels[1:])]
    )
    recall = (prediction >= levels[:, None]).mean(axis=1)
    arrays = library.asarray(prediction[None, None]), library.asarray(np.ones((1, 1, prediction.size), dtype=bool))
    sums = metrics.saliency_sums(*arrays, thresholds=thresholds)
    np.testing.assert_allclose(to_numpy(sums.f_curve), 1.3 * recall / (0.3 + recall), rtol=1e-12)


def test_batches_add(library):
    prediction, target, _ = gray_maps(1)
    whole = metrics.saliency_sums(library.asarray(prediction), library.asarray(target))
    parts = [
        metrics.saliency_sums(library.asarray(prediction[i : i + 1]), library.asarray(target[i : i + 1]))
        for i in range(3)
    ]
    for part, wanted in zip(metrics.add(*parts), whole, strict=True):
        np.testing.assert_allclose(to_numpy(part), to_numpy(wanted), rtol=1e-12)


def test_images_without_pixels(library):
    prediction, target, mask = gray_maps(2)
    mask[0] = False
    arrays = library.asarray(prediction), library.asarray(target)
    sums = metrics.saliency_sums(*arrays, mask=library.asarray(mask))
    assert int(sums.images) == 2
    nothing = metrics.saliency_sums(*arrays, mask=library.asarray(np.zeros_like(mask)))
    assert np.isnan(float(metrics.saliency_mae(nothing)))
    assert float(metrics.saliency_f_measure(nothing, absent=1)) == 1


def test_what_is_refused():
    prediction, target, _ = gray_maps()
    with pytest.raises(ValueError, match="`prediction` must be from 0"):
        metrics.saliency_sums(prediction * 255, target)
    with pytest.raises(ValueError, match="`thresholds` must be at least 2"):
        metrics.saliency_sums(prediction, target, thresholds=1)
    with pytest.raises(ValueError, match="`threshold` must be 'adaptive'"):
        metrics.saliency_f_measure(metrics.saliency_sums(prediction, target), threshold="best")


@pytest.mark.compile
def test_saliency_under_jit():
    jax = pytest.importorskip("jax")
    prediction, target, _ = gray_maps(3)
    result = jax.jit(metrics.saliency_sums)(prediction, target)
    for part, wanted in zip(result, metrics.saliency_sums(prediction, target), strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-12)
