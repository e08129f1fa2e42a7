"""Calibration statistics are the sums they say, per image and pooled, with void, on every backend and under jit."""

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy

VOID = 255
RTOL = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3, "bfloat16": 2e-2}


def probability_maps(seed=0, shape=(3, 4, 5, 7), dtype="float64"):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    target = np.where(
        rng.random((shape[0], *shape[2:])) < 0.15, VOID, rng.integers(0, shape[1], (shape[0], *shape[2:]))
    )
    return probabilities.astype(dtype), target, rng.random(target.shape) < 0.8


def by_hand(confidence, right, bins, closed="left"):
    """Rows of counts, hits and sums of confidences, pixel by pixel."""
    table = np.zeros((3, bins))
    edges = np.arange(1, bins) / bins
    for p, hit in zip(confidence.tolist(), right.tolist(), strict=True):
        b = sum(p >= edge if closed == "left" else p > edge for edge in edges.tolist())
        table[:, b] += 1, hit, p
    return table


@pytest.mark.parametrize("closed", ["left", "right"])
@pytest.mark.parametrize("mode", ["top_label", "class_wise"])
def test_bins_of_each_image(library, mode, closed):
    probabilities, target, mask = probability_maps()
    # Some probabilities on the edges, exactly.
    probabilities[:, :, 0, :2] = np.asarray([0.25, 0.5, 0.25, 0.0])[None, :, None]
    probabilities[:, :, 1, :2] = np.asarray([0.0, 1.0, 0.0, 0.0])[None, :, None]
    options = {"bins": 4, "mode": mode, "closed": closed, "ignore_index": VOID}
    arrays = library.asarray(probabilities), library.asarray(target, "uint8")
    single = metrics.calibration_bins(*arrays, mask=library.asarray(mask), per_image=True, **options)
    pooled = metrics.calibration_bins(*arrays, mask=library.asarray(mask), **options)
    counted = mask & (target != VOID)
    for image in range(3):
        kept = counted[image]
        shares, labels = probabilities[image][:, kept], target[image][kept]
        if mode == "top_label":
            expected = by_hand(shares.max(0), shares.argmax(0) == labels, 4, closed)
        else:
            expected = np.stack([by_hand(shares[c], labels == c, 4, closed) for c in range(4)], 1)
        for part, wanted in zip(single[:3], expected, strict=True):
            np.testing.assert_allclose(to_numpy(part)[image], wanted, rtol=1e-12)
        errors = ((shares - np.eye(4)[labels].T) ** 2).sum()
        likelihood = np.maximum(shares[labels, np.arange(labels.size)], np.finfo("float64").eps)
        wanted = [labels.size, errors, -np.log(likelihood).sum()]
        np.testing.assert_allclose([to_numpy(part)[image] for part in single[3:]], wanted, rtol=1e-12)
    for part, total in zip(single, pooled, strict=True):
        np.testing.assert_allclose(to_numpy(part).sum(0), to_numpy(total), rtol=1e-12)
    assert "int64" in str(pooled.counts.dtype)


def test_batches_add(library):
    probabilities, target, _ = probability_maps(1)
    arrays = library.asarray(probabilities), library.asarray(target)
    whole = metrics.calibration_bins(*arrays, ignore_index=VOID)
    parts = [metrics.calibration_bins(*(a[i : i + 1, ...] for a in arrays), ignore_index=VOID) for i in range(3)]
    for part, wanted in zip(metrics.add(*parts), whole, strict=True):
        np.testing.assert_allclose(to_numpy(part), to_numpy(wanted), rtol=1e-12)


def test_channels_last_is_the_same(library):
    probabilities, target, _ = probability_maps(2)
    first = metrics.calibration_bins(library.asarray(probabilities), library.asarray(target), ignore_index=VOID)
    moved = library.asarray(np.moveaxis(probabilities, 1, -1))
    last = metrics.calibration_bins(moved, library.asarray(target), ignore_index=VOID, class_axis=-1)
    for part, wanted in zip(last, first, strict=True):
        np.testing.assert_allclose(to_numpy(part), to_numpy(wanted), rtol=1e-14)


def test_every_precision(library):
    for dtype in library.dtypes:
        probabilities, target, _ = probability_maps(3)
        statistic = metrics.calibration_bins(
            library.asarray(probabilities, dtype), library.asarray(target), ignore_index=VOID
        )
        rounded = to_numpy(library.asarray(probabilities, dtype)).astype(np.float64)
        expected = metrics.calibration_bins(rounded, target, ignore_index=VOID)
        np.testing.assert_array_equal(to_numpy(statistic.pixels), expected.pixels)
        for function in (metrics.brier_score, metrics.negative_log_likelihood):
            assert float(function(statistic)) == pytest.approx(float(function(expected)), rel=RTOL[dtype])


def test_errors_by_their_formulas(library):
    probabilities, target, _ = probability_maps(4)
    for mode in ("top_label", "class_wise"):
        options = {"bins": 6, "mode": mode, "ignore_index": VOID}
        statistic = metrics.calibration_bins(library.asarray(probabilities), library.asarray(target), **options)
        counts, hits, sums = (to_numpy(part).astype(float) for part in statistic[:3])
        gap = np.abs(hits - sums) / np.maximum(counts, 1)
        weight = counts / counts.sum(-1, keepdims=True)
        expected = {"l1": (weight * gap).sum(-1), "l2": np.sqrt((weight * gap**2).sum(-1)), "max": gap.max(-1)}
        for norm, value in expected.items():
            result = metrics.expected_calibration_error(statistic, norm=norm)
            np.testing.assert_allclose(to_numpy(result), value, rtol=1e-12)
        np.testing.assert_allclose(to_numpy(metrics.maximum_calibration_error(statistic)), expected["max"], rtol=1e-12)


def test_nothing_to_count(library):
    probabilities, target, _ = probability_maps()
    void = library.asarray(np.full_like(target, VOID))
    statistic = metrics.calibration_bins(library.asarray(probabilities), void, ignore_index=VOID)
    functions = (metrics.brier_score, metrics.negative_log_likelihood, metrics.maximum_calibration_error)
    for function in (*functions, metrics.expected_calibration_error):
        assert np.isnan(float(function(statistic)))
        assert float(function(statistic, absent=0)) == 0


def test_a_probability_of_zero(library):
    probabilities, target = library.asarray([[0.0, 1.0]]), library.asarray([[1, 1]])
    options = {"class_axis": None}
    finite = metrics.negative_log_likelihood(metrics.calibration_bins(probabilities, target, **options))
    assert float(finite) == pytest.approx(-np.log(np.finfo("float64").eps) / 2, rel=1e-12)
    assert (
        float(metrics.negative_log_likelihood(metrics.calibration_bins(probabilities, target, clip=0, **options)))
        == np.inf
    )


def test_what_is_refused():
    probabilities, target, _ = probability_maps()
    with pytest.raises(ValueError, match="`target` has the label 255"):
        metrics.calibration_bins(probabilities, target)
    with pytest.raises(ValueError, match="Pass the `class_axis`"):
        metrics.calibration_bins(probabilities, target[:, :4], ignore_index=VOID)
    with pytest.raises(TypeError, match="`probabilities` must be floating"):
        metrics.calibration_bins(target, target, class_axis=None)
    with pytest.raises(ValueError, match="`bins` must be at least 1"):
        metrics.calibration_bins(probabilities, target, bins=0)


@pytest.mark.compile
def test_calibration_under_jit():
    jax = pytest.importorskip("jax")
    probabilities, target, mask = probability_maps(5)

    def error(probabilities, target, mask):
        statistic = metrics.calibration_bins(probabilities, target, mask=mask, ignore_index=VOID, mode="class_wise")
        return metrics.expected_calibration_error(statistic)

    np.testing.assert_allclose(
        jax.jit(error)(probabilities, target, mask), error(probabilities, target, mask), rtol=1e-12
    )


@pytest.mark.compat
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_same_as_torchmetrics(norm):
    peer = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    probabilities, target, _ = probability_maps(6)
    expected = peer.multiclass_calibration_error(
        torch.as_tensor(probabilities), torch.as_tensor(target), num_classes=4, n_bins=15, norm=norm, ignore_index=VOID
    )
    statistic = metrics.calibration_bins(probabilities, target, ignore_index=VOID)
    assert float(metrics.expected_calibration_error(statistic, norm=norm)) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.compat
def test_same_as_scikit_learn():
    peer = pytest.importorskip("sklearn.metrics")
    probabilities, target, _ = probability_maps(7)
    kept = target != VOID
    rows, labels = np.moveaxis(probabilities, 1, -1)[kept], target[kept]
    statistic = metrics.calibration_bins(probabilities, target, ignore_index=VOID)
    expected = peer.log_loss(labels, rows, labels=range(4))
    assert float(metrics.negative_log_likelihood(statistic)) == pytest.approx(expected, rel=1e-12)
    binary = metrics.calibration_bins(rows[:, 1], labels == 1, class_axis=None)
    assert float(metrics.brier_score(binary)) == pytest.approx(
        peer.brier_score_loss(labels == 1, rows[:, 1]), rel=1e-12
    )
