"""Compare metrics of probabilities to other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from benchmarks.comparison import Comparison, Maps, Metric, MetricPeer, metric_comparison, raveled
from benchmarks.packages import module

from arrayseg import metrics

SHAPE = (2, 19, 256, 512)


def comparisons() -> Iterator[Comparison]:
    """Yield the comparisons with the libraries that are installed."""
    yield from _of_calibration()
    yield from _of_ranks()


@lru_cache(maxsize=1)
def probability_maps() -> Maps:
    """Return random probabilities of the classes, and labels drawn from similar ones."""
    generator = np.random.default_rng(0)
    powers = np.exp(2 * generator.standard_normal(SHAPE, dtype=np.float32))
    target = (powers * generator.random(SHAPE, dtype=np.float32)).argmax(axis=1)
    return powers / powers.sum(axis=1, keepdims=True), target


def foreground_maps() -> Maps:
    """Return the probability of one class, and its mask."""
    probabilities, target = probability_maps()
    return np.ascontiguousarray(probabilities[:, 1]), (target == 1).astype(np.int64)


def _of_calibration() -> Iterator[Comparison]:
    def of_bins(compute: Callable[[Any], Any]) -> Metric:
        return lambda p, t: compute(metrics.calibration_bins(p, t))

    def torchmetrics(prediction: Any, target: Any) -> Any:
        library = module("torchmetrics.functional.classification")
        return library.multiclass_calibration_error(prediction, target, num_classes=SHAPE[1])

    def log_loss(prediction: Any, target: Any) -> Any:
        return module("sklearn.metrics").log_loss(target, prediction)

    def rows(maps: Maps) -> Maps:
        return np.moveaxis(maps[0], 1, -1).reshape(-1, SHAPE[1]), maps[1].reshape(-1)

    error, likelihood = (
        of_bins(compute) for compute in (metrics.expected_calibration_error, metrics.negative_log_likelihood)
    )
    peer = MetricPeer("torchmetrics", "torchmetrics", torchmetrics)
    yield from metric_comparison("expected_calibration_error", "torch", probability_maps, error, peer)
    peer = MetricPeer("scikit-learn", "sklearn", log_loss, rows)
    yield from metric_comparison("negative_log_likelihood", "numpy", probability_maps, likelihood, peer)


def _of_ranks() -> Iterator[Comparison]:
    """Yield areas under the curves, from every score and not from bins."""

    def of_ranks(compute: Callable[[Any], Any]) -> Metric:
        return lambda p, t: compute(metrics.score_histogram(p, t, bins=None))

    def scikit_learn(name: str) -> MetricPeer:
        def compute(prediction: Any, target: Any) -> Any:
            return getattr(module("sklearn.metrics"), name)(target, prediction)

        return MetricPeer("scikit-learn", "sklearn", compute, raveled)

    def torchmetrics(name: str) -> MetricPeer:
        def compute(prediction: Any, target: Any) -> Any:
            return getattr(module("torchmetrics.functional.classification"), name)(prediction, target)

        return MetricPeer("torchmetrics", "torchmetrics", compute)

    for name, compute, of_scikit_learn, of_torchmetrics in (
        ("auroc", metrics.auroc, "roc_auc_score", "binary_auroc"),
        ("average_precision", metrics.average_precision, "average_precision_score", "binary_average_precision"),
    ):
        yield from metric_comparison(name, "numpy", foreground_maps, of_ranks(compute), scikit_learn(of_scikit_learn))
        yield from metric_comparison(
            name, "torch", foreground_maps, of_ranks(compute), torchmetrics(of_torchmetrics), tolerance=1e-4
        )
