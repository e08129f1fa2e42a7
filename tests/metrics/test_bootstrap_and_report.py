"""Bootstrap intervals over images, and the table of a paper."""

import json
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy


def matrices(images=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 30, (images, 3, 3)) + 40 * np.eye(3, dtype=int) * rng.integers(0, 3, (images, 1, 1))


def test_interval_by_its_definition(library):
    stack = matrices()
    interval = metrics.bootstrap_interval(metrics.mean_iou, library.asarray(stack), level=0.9, resamples=40, seed=3)
    draws = np.random.default_rng(3).integers(0, 12, (40, 12))
    values = [float(metrics.mean_iou(stack[draw].sum(axis=0))) for draw in draws]
    expected = [float(metrics.mean_iou(stack.sum(axis=0))), *np.quantile(values, [0.05, 0.95])]
    np.testing.assert_allclose([float(value) for value in interval], expected, rtol=1e-12)


def test_interval_of_each_class_leaves_out_undefined_samples(library):
    stack = matrices()
    # Class 2 is in one image only, so that about a third of the samples lack it.
    stack[1:, 2, :] = stack[1:, :, 2] = 0
    interval = metrics.bootstrap_interval(metrics.iou, library.asarray(stack), resamples=40)
    draws = np.random.default_rng(0).integers(0, 12, (40, 12))
    values = np.stack([metrics.iou(stack[draw].sum(axis=0)) for draw in draws])
    assert np.isnan(values).any()
    expected = np.nanquantile(values, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(np.stack([to_numpy(end) for end in interval[1:]]), expected, rtol=1e-12)


def test_interval_of_a_mean_over_images(library):
    counts = np.random.default_rng(1).integers(1, 20, (9, 3, 3))
    metric = partial(metrics.fine_grained_mean, average="class", lowest=50, overlapping=True)
    interval = metrics.bootstrap_interval(metric, library.asarray(counts), pooled=False, resamples=25)
    draws = np.random.default_rng(0).integers(0, 9, (25, 9))
    expected = np.quantile([metric(counts[draw]) for draw in draws], [0.025, 0.975])
    np.testing.assert_allclose([float(end) for end in interval[1:]], expected, rtol=1e-12)


def test_one_image_has_no_spread(library):
    interval = metrics.bootstrap_interval(metrics.mean_iou, library.asarray(matrices(1)), resamples=5)
    assert float(interval.low) == float(interval.estimate) == float(interval.high)


def test_a_metric_that_is_never_defined_is_nan(library):
    nothing = library.asarray(np.zeros((4, 2, 2), dtype=int))
    assert all(np.isnan(float(value)) for value in metrics.bootstrap_interval(metrics.mean_iou, nothing, resamples=5))


class Pair(NamedTuple):
    first: Any
    second: Any


def test_named_tuples_add_and_are_drawn_together():
    statistic = Pair(matrices(), matrices(seed=1))
    total = metrics.add(statistic, statistic)
    np.testing.assert_array_equal(total.second, 2 * statistic.second)

    def same_images(pair):
        return metrics.mean_iou(pair.first) - metrics.mean_iou(pair.second)

    interval = metrics.bootstrap_interval(same_images, Pair(statistic.first, statistic.first), resamples=10)
    assert interval == (0, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.0}, "`level` must be between 0 and 1; got 1.0"),
        ({"resamples": 0}, "`resamples` must be at least 1"),
    ],
)
def test_bootstrap_options_out_of_range_raise(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.bootstrap_interval(metrics.mean_iou, matrices(), **options)
    with pytest.raises(ValueError, match="holds no images"):
        metrics.bootstrap_interval(metrics.mean_iou, matrices()[:0])


def test_report(library):
    matrix = np.asarray([[50, 3, 0], [4, 31, 0], [0, 0, 0]])
    report = metrics.report(library.asarray(matrix), class_names=["road", "sky", "pole"])
    assert [row.name for row in report.classes] == ["road", "sky", "pole"]
    assert [row.target_pixels for row in report.classes] == [53, 35, 0]
    np.testing.assert_allclose([row.iou for row in report.classes], metrics.iou(matrix), rtol=1e-12)
    np.testing.assert_allclose([row.precision for row in report.classes], metrics.precision(matrix), rtol=1e-12)
    for name in ("mean_iou", "frequency_weighted_iou", "mean_dice", "pixel_accuracy", "mean_pixel_accuracy"):
        assert getattr(report, name) == pytest.approx(float(getattr(metrics, name)(matrix)), rel=1e-12)
    assert report.to_dict()["classes"][1]["name"] == "sky"
    assert json.loads(json.dumps(report.to_dict()))["mean_iou"] == report.mean_iou


def test_report_of_chosen_classes_with_a_number_for_absent_ones():
    matrix = np.asarray([[50, 3, 0], [4, 31, 0], [0, 0, 0]])
    report = metrics.report(matrix, classes=[2, 0], absent=0)
    assert [(row.name, row.iou) for row in report.classes] == [("2", 0.0), ("0", pytest.approx(50 / 57))]
    assert report.mean_iou == pytest.approx(25 / 57)


def test_report_as_text():
    report = metrics.report(np.asarray([[3, 1, 0], [2, 4, 0], [0, 0, 0]]), class_names=["road", "sky", "pole"])
    lines = str(report).splitlines()
    assert lines[1].split() == ["road", "50.00", "66.67", "75.00", "60.00"]
    assert lines[3].split() == ["pole", "-", "-", "-", "-"]
    assert len({len(line) for line in lines[:4]}) == 1
    assert report.to_markdown().splitlines()[:3] == [
        "| class | IoU | Dice | accuracy | precision |",
        "| ---: | ---: | ---: | ---: | ---: |",
        "| road | 50.00 | 66.67 | 75.00 | 60.00 |",
    ]


def test_report_of_what_does_not_fit_raises(library):
    matrix = library.asarray(np.eye(2, dtype=int))
    with pytest.raises(ValueError, match="must hold 2 names"):
        metrics.report(matrix, class_names=["road"])
    with pytest.raises(ValueError, match="a single confusion matrix"):
        metrics.report(matrix[None, ...])
