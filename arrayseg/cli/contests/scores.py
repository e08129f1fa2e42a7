"""Metrics of probabilities beside the libraries that have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from arrayseg import metrics
from arrayseg.cli.contests.packages import module
from arrayseg.cli.contests.rivalry import Form, Maps, Rival, contest, ravelled
from arrayseg.cli.contests.scene import Contest

__all__ = ["contests"]

SHAPE = (2, 19, 256, 512)


def contests() -> Iterator[Contest]:
    """The contests that the installed libraries allow."""
    yield from _of_calibration()
    yield from _of_ranks()


@lru_cache(maxsize=1)
def probability_maps() -> Maps:
    """Probabilities of the classes, and labels drawn of other ones."""
    generator = np.random.default_rng(0)
    powers = np.exp(2 * generator.standard_normal(SHAPE, dtype=np.float32))
    target = (powers * generator.random(SHAPE, dtype=np.float32)).argmax(axis=1)
    return powers / powers.sum(axis=1, keepdims=True), target


def foreground_maps() -> Maps:
    """The probability of one class, and where it is."""
    probabilities, target = probability_maps()
    return np.ascontiguousarray(probabilities[:, 1]), (target == 1).astype(np.int64)


def _of_calibration() -> Iterator[Contest]:
    def of_bins(compute: Callable[[Any], Any]) -> Form:
        return lambda p, t: compute(metrics.calibration_bins(p, t))

    def torchmetrics(prediction: Any, target: Any) -> Any:
        peers = module("torchmetrics.functional.classification")
        return peers.multiclass_calibration_error(prediction, target, num_classes=SHAPE[1])

    def log_loss(prediction: Any, target: Any) -> Any:
        return module("sklearn.metrics").log_loss(target, prediction)

    def rows(maps: Maps) -> Maps:
        return np.moveaxis(maps[0], 1, -1).reshape(-1, SHAPE[1]), maps[1].reshape(-1)

    error, likelihood = (
        of_bins(compute) for compute in (metrics.expected_calibration_error, metrics.negative_log_likelihood)
    )
    rival = Rival("torchmetrics", "torchmetrics", torchmetrics)
    yield from contest("expected_calibration_error", "torch", probability_maps, error, rival)
    rival = Rival("scikit-learn", "sklearn", log_loss, rows)
    yield from contest("negative_log_likelihood", "numpy", probability_maps, likelihood, rival)


def _of_ranks() -> Iterator[Contest]:
    """Areas under the curves, of every score and not of bins."""

    def of_ranks(compute: Callable[[Any], Any]) -> Form:
        return lambda p, t: compute(metrics.score_histogram(p, t, bins=None))

    def scikit_learn(name: str) -> Rival:
        def form(prediction: Any, target: Any) -> Any:
            return getattr(module("sklearn.metrics"), name)(target, prediction)

        return Rival("scikit-learn", "sklearn", form, ravelled)

    def torchmetrics(name: str) -> Rival:
        def form(prediction: Any, target: Any) -> Any:
            return getattr(module("torchmetrics.functional.classification"), name)(prediction, target)

        return Rival("torchmetrics", "torchmetrics", form)

    for name, compute, of_scikit_learn, of_torchmetrics in (
        ("auroc", metrics.auroc, "roc_auc_score", "binary_auroc"),
        ("average_precision", metrics.average_precision, "average_precision_score", "binary_average_precision"),
    ):
        yield from contest(name, "numpy", foreground_maps, of_ranks(compute), scikit_learn(of_scikit_learn))
        yield from contest(
            name, "torch", foreground_maps, of_ranks(compute), torchmetrics(of_torchmetrics), tolerance=1e-4
        )
