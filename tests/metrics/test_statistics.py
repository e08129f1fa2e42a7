"""Statistics: how they add, and what a function of one says to whatever is not one."""

import inspect
import json
from functools import partial

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy

MASK, OTHER = np.eye(4, dtype=bool), np.tri(4, dtype=bool)
OF_MATRICES = [
    name
    for name in metrics.__all__
    if inspect.isfunction(getattr(metrics, name)) and "matrix" in inspect.signature(getattr(metrics, name)).parameters
]
COUNTING = {
    **dict.fromkeys(OF_MATRICES, "confusion_matrix"),
    "fine_grained_mean": "class_counts",
    "auroc": "score_histogram",
    "average_precision": "score_histogram",
    "precision_recall_curve": "score_histogram",
    "roc_curve": "score_histogram",
    "brier_score": "calibration_bins",
    "expected_calibration_error": "calibration_bins",
    "maximum_calibration_error": "calibration_bins",
    "negative_log_likelihood": "calibration_bins",
    "saliency_f_measure": "saliency_sums",
    "saliency_mae": "saliency_sums",
}
OPTIONS = {"net_benefit": {"threshold": 0.5}}


@pytest.mark.parametrize("name", COUNTING)
def test_two_masks_get_the_two_calls_to_make(library, name):
    function = partial(getattr(metrics, name), **OPTIONS.get(name, {}))
    prediction, target = library.asarray(MASK), library.asarray(OTHER)
    with pytest.raises(TypeError, match=rf"metrics\.{name}\(metrics\.{COUNTING[name]}\("):
        function(prediction, target)
    options = {"categories": [[0, 1]]} if name == "category_iou" else {}
    with pytest.raises(TypeError, match=r"got an array of shape \(4, 4\) and dtype .*bool.*count first"):
        function(prediction, **options)


@pytest.mark.parametrize("name", ["auroc", "brier_score", "saliency_mae"])
def test_a_statistic_of_another_kind_is_refused_by_its_name(name):
    with pytest.raises(TypeError, match="got an array of shape"):
        getattr(metrics, name)(np.eye(3, dtype=np.int64))
    other = metrics.SegmentCounts(*map(np.asarray, (1.0, 1, 0, 0)))
    with pytest.raises(TypeError, match="got SegmentCounts"):
        getattr(metrics, name)(other)


@pytest.mark.parametrize("matrix", [[[-2147483594, 3], [4, 5]], [[3, np.nan], [4.0, 5.0]]])
def test_counts_that_cannot_be_are_refused(library, matrix):
    with pytest.raises(ValueError, match="never negative or nan"):
        metrics.mean_iou(library.asarray(np.asarray(matrix)))


@pytest.mark.parametrize("large", [2**24, 2**31, 2**45])
def test_correlation_of_one_frequent_class(library, large):
    # (TP TN - FP FN) / sqrt(...) of Python integers, which do not round.
    tn, fp, fn, tp = large, 3, 4, 5
    expected = (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    found = metrics.matthews_corrcoef(library.asarray(np.asarray([[tn, fp], [fn, tp]])))
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-14)


def test_any_number_of_statistics_add():
    one = metrics.match_instances(np.array([[0, 2, 2]]), np.array([[0, 5, 5]]))
    assert metrics.add(one, one, one).true_positives.tolist() == (3 * one.true_positives).tolist()
    assert metrics.add(np.float64(1.5), np.asarray(2.0)) == 3.5
    with pytest.raises(TypeError, match="one structure"):
        metrics.add(one, np.asarray(1))


def test_nan_scores_are_no_class(library):
    scores, target = np.zeros((1, 3, 2, 2)), np.asarray([[[0, 255], [0, 1]]])
    scores[0, 1, 0, 1] = np.nan
    arrays = library.asarray(scores), library.asarray(target)
    matrix = to_numpy(metrics.confusion_matrix(*arrays, num_classes=3, ignore_index=255))  # a void pixel may be nan
    assert matrix.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
    scores[0, 2, 1, 1] = np.nan
    for count in (metrics.confusion_matrix, metrics.class_counts):
        with pytest.raises(ValueError, match="nan scores at 1 of 4 pixels"):
            count(library.asarray(scores), arrays[1], num_classes=3, ignore_index=255)
    scores[0, :, 1, 1] = -np.inf, np.inf, 0
    matrix = to_numpy(metrics.confusion_matrix(library.asarray(scores), arrays[1], num_classes=3, ignore_index=255))
    assert matrix.tolist() == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_channels_are_counted_by_themselves_or_refused(library):
    rng = np.random.default_rng(0)
    prediction, target, mask = (
        rng.random((2, 3, 8, 7)) < 0.4,
        rng.random((2, 3, 8, 7)) < 0.4,
        rng.random((2, 8, 7)) < 0.5,
    )
    arrays = library.asarray(prediction), library.asarray(target)
    for count in (metrics.class_counts, metrics.confusion_matrix):
        with pytest.raises(TypeError, match="channel by itself"):
            count(*arrays, num_classes=3)
    found = metrics.class_counts(*arrays, num_classes=3, class_axis=1, mask=library.asarray(mask))
    counted = mask[:, None]
    parts = (prediction & target, prediction & ~target, ~prediction & target)
    expected = np.stack([(part & counted).sum((2, 3)) for part in parts], -1)
    np.testing.assert_array_equal(to_numpy(found), expected)
    mean = metrics.fine_grained_mean(found, average="pair", overlapping=True)
    np.testing.assert_allclose(to_numpy(mean), np.mean(expected[..., 0] / expected.sum(-1)), rtol=1e-12)


def test_rows_of_one_map_are_no_images(library):
    labels = library.asarray(np.zeros((4, 5), dtype=np.int64))
    with pytest.raises(ValueError, match=r"target\[None"):
        metrics.confusion_matrix(labels, labels, num_classes=2, per_image=True)
    with pytest.raises(ValueError, match=r"target\[None"):
        metrics.class_counts(labels, labels, num_classes=2)


def test_matrices_are_not_counts(library):
    rng = np.random.default_rng(0)
    arrays = [library.asarray(rng.integers(0, 3, (2, 9, 9))) for _ in range(2)]
    with pytest.raises(ValueError, match="class_counts"):
        metrics.fine_grained_mean(metrics.confusion_matrix(*arrays, num_classes=3, per_image=True))
    assert 0 < float(metrics.fine_grained_mean(metrics.class_counts(*arrays, num_classes=3))) < 1


def test_a_mask_of_0_and_255_is_not_told_to_ignore_its_foreground(library):
    mask = library.asarray(np.asarray([[0, 255], [255, 0]], dtype=np.uint8))
    with pytest.raises(ValueError, match=r"pass `target > 0`") as error:
        metrics.confusion_matrix(mask, mask, num_classes=2)
    assert "ignore_index" not in str(error.value)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (0, 3, 1, 2)])
def test_the_order_in_memory_changes_no_count(order):
    rng = np.random.default_rng(0)
    prediction, target = rng.integers(0, 3, (2, 2, 4, 5, 6))
    mask = rng.random(target.shape) < 0.5
    laid = [np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order)) for array in (prediction, target)]
    for options in ({}, {"mask": mask}, {"per_image": True}, {"per_image": True, "mask": mask}):
        expected = metrics.confusion_matrix(prediction, target, num_classes=3, **options)
        np.testing.assert_array_equal(metrics.confusion_matrix(*laid, num_classes=3, **options), expected)
    # by NumPy's own comparison, whatever the order
    matrix = metrics.confusion_matrix(*laid, num_classes=3)
    assert all(matrix[t, p] == ((target == t) & (prediction == p)).sum() for t in range(3) for p in range(3))


def test_a_report_is_json():
    found = metrics.report(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["classes"][2]["iou"] is None


def test_finite_scores_make_no_nan_on_the_way():
    """Absent classes, empty bins and images without a class do not stop `jax.debug_nans`."""
    jax = pytest.importorskip("jax")
    asarray = jax.numpy.asarray
    matrix = asarray(np.asarray([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    counts = asarray(np.asarray([[[3, 0, 1], [2, 1, 0], [0, 0, 0]], [[0, 0, 0]] * 3]))
    probabilities, target = asarray(np.asarray([[0.25, 0.75, 0.75]])), asarray(np.asarray([[0, 1, 1]]))
    segments = metrics.SegmentCounts(*(asarray(np.asarray(part)) for part in ([0.75, 0], [1, 0], [0, 0], [0, 0])))
    single, half, one, none = (asarray(np.asarray(values)) for values in ([[4]], 0.5, 1, 0))
    with jax.debug_nans(True):
        bins = metrics.calibration_bins(probabilities, target, bins=20, class_axis=None)
        ranks = metrics.score_histogram(probabilities, target, bins=20)
        for found, expected in (
            (metrics.mean_iou(matrix), (3 / 4 + 2 / 3) / 2),
            (metrics.mean_dice(matrix, absent=1), (6 / 7 + 4 / 5 + 1) / 3),
            (metrics.expected_cost(matrix), 1 / 6),
            (metrics.cohen_kappa(single, absent=1), 1),
            (metrics.fine_grained_mean(counts), (3 / 4 + 2 / 3) / 2),
            (metrics.fine_grained_mean(counts, average="class"), (3 / 4 + 2 / 3) / 2),
            (metrics.expected_calibration_error(bins), 1 / 4),
            (metrics.maximum_calibration_error(bins), 1 / 4),
            (metrics.average_precision(ranks), 1),
            (metrics.auroc(metrics.score_histogram(probabilities, 0 * target, bins=20), absent=0.5), 0.5),
            (metrics.mean_panoptic_quality(segments).pq, 0.75),
            (metrics.adjusted_rand_index(single, absent=1), 1),
            (metrics.cl_dice(metrics.CenterlineCounts(none, none, none, none), absent=1), 1),
            (metrics.lesion_score(metrics.SegmentCounts(half, one, none, none)), 0.5),
        ):
            assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("bins", [None, 10])
def test_a_curve_of_no_pixel_has_no_area(library, bins):
    """It was 0 where every score is its own bin."""
    if library.name == "strict" and bins is None:
        pytest.skip("the standard leaves open what a slice beyond an empty axis is")
    scores, target = library.asarray(np.zeros((1, 0))), library.asarray(np.zeros((1, 0), dtype=np.int64))
    statistic = metrics.score_histogram(scores, target, bins=bins)
    for metric in (metrics.auroc, metrics.average_precision):
        assert np.isnan(float(metric(statistic)))
        assert float(metric(statistic, absent=0.5)) == 0.5
