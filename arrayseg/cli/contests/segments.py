"""Metrics of instances and of clusterings beside the libraries that have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from arrayseg import metrics
from arrayseg.cli.contests.packages import module
from arrayseg.cli.contests.rivalry import Form, Maps, Rival, contest, ravelled
from arrayseg.cli.contests.scene import Contest
from arrayseg.compat import monai_1_6, skimage

__all__ = ["contests"]

CLASSES = 19
SEGMENTED = (2, 256, 512)  # torchmetrics makes several small tensors of every pixel


def contests() -> Iterator[Contest]:
    """The contests that the installed libraries allow."""
    yield from _of_panoptic_maps()
    yield from _of_instances()
    yield from _of_clusters()


@lru_cache(maxsize=1)
def segment_maps() -> Maps:
    """`(N, H, W, 2)`: classes and instances of 128 blocks an image; in the prediction each lies 3 pixels further."""
    generator = np.random.default_rng(0)
    images, height, width = SEGMENTED
    classes = generator.integers(0, CLASSES, size=(images, height // 32, width // 32))
    instances = np.broadcast_to(np.arange(classes[0].size).reshape(classes[0].shape), classes.shape)
    target = np.stack([classes, instances], axis=-1).repeat(32, axis=1).repeat(32, axis=2)
    return np.roll(target, 3, axis=2), target


def instance_maps() -> Maps:
    """The instances of the first image, 0 of which is the background."""
    prediction, target = segment_maps()
    return np.ascontiguousarray(prediction[0, ..., 1]), np.ascontiguousarray(target[0, ..., 1])


def _of_panoptic_maps() -> Iterator[Contest]:
    things = range(CLASSES)

    def ours(prediction: Any, target: Any) -> Any:
        counts = [
            metrics.panoptic_counts((p[..., 0], p[..., 1]), (t[..., 0], t[..., 1]), num_classes=CLASSES, things=things)
            for p, t in zip(prediction, target, strict=True)
        ]
        return metrics.mean_panoptic_quality(metrics.add(*counts)).pq

    def torchmetrics(prediction: Any, target: Any) -> Any:
        peers = module("torchmetrics.functional.detection")
        return peers.panoptic_quality(prediction, target, things=set(things), stuffs=set())

    # torch's record of a million small operations takes gigabytes itself.
    rival = Rival("torchmetrics", "torchmetrics", torchmetrics)
    yield from contest("panoptic_quality", "torch", segment_maps, ours, rival, has_peak=False)


def _of_instances() -> Iterator[Contest]:
    def of_monai(prediction: Any, target: Any) -> Any:
        return monai_1_6.compute_panoptic_quality(metrics.match_instances(prediction, target))

    def monai(prediction: Any, target: Any) -> Any:
        return module("monai.metrics.panoptic_quality").compute_panoptic_quality(prediction, target)

    def ours(prediction: Any, target: Any) -> Any:
        return [*metrics.panoptic_quality(metrics.match_instances(prediction, target))]

    def panoptica(prediction: Any, target: Any) -> Any:
        peers = module("panoptica")
        evaluator = peers.Panoptica_Evaluator(
            expected_input=peers.InputType.UNMATCHED_INSTANCE,
            instance_matcher=peers.NaiveThresholdMatching(),
            instance_metrics=[peers.Metric.IOU],
            global_metrics=[],
        )
        result = evaluator.evaluate(prediction, target, verbose=False)["ungrouped"]
        return [result.pq, result.sq, result.rq]

    name = "panoptic_quality, instances"
    yield from contest(name, "torch", instance_maps, of_monai, Rival("MONAI", "monai", monai))
    yield from contest(name, "numpy", instance_maps, ours, Rival("panoptica", "panoptica", panoptica))


def _of_clusters() -> Iterator[Contest]:
    def of_table(compute: Callable[[Any], Any], **options: Any) -> Form:
        return lambda p, t: compute(metrics.contingency_table(p, t, **options))

    def scikit_learn(name: str) -> Rival:
        def form(prediction: Any, target: Any) -> Any:
            return getattr(module("sklearn.metrics"), name)(target, prediction)

        return Rival("scikit-learn", "sklearn", form, ravelled)

    def scikit_image(name: str, **options: Any) -> Rival:
        def form(prediction: Any, target: Any) -> Any:
            return tuple(getattr(module("skimage.metrics"), name)(target, prediction, **options))

        return Rival("scikit-image", "skimage", form)

    def torchmetrics(name: str) -> Rival:
        def form(prediction: Any, target: Any) -> Any:
            return getattr(module("torchmetrics.functional.clustering"), name)(prediction, target)

        return Rival("torchmetrics", "torchmetrics", form, ravelled)

    rand, information = of_table(metrics.adjusted_rand_index), of_table(metrics.normalized_mutual_information)
    variation = of_table(lambda table: metrics.variation_of_information(table)[:2])
    adapted = of_table(lambda table: tuple(skimage.adapted_rand_error(table)), ignore_index=0)
    for name, backend, ours, rival in (
        ("adjusted_rand_index", "numpy", rand, scikit_learn("adjusted_rand_score")),
        ("adjusted_rand_index", "torch", rand, torchmetrics("adjusted_rand_score")),
        ("normalized_mutual_information", "numpy", information, scikit_learn("normalized_mutual_info_score")),
        ("normalized_mutual_information", "torch", information, torchmetrics("normalized_mutual_info_score")),
        ("variation_of_information", "numpy", variation, scikit_image("variation_of_information")),
        ("adapted_rand_error", "numpy", adapted, scikit_image("adapted_rand_error")),
    ):
        yield from contest(name, backend, instance_maps, ours, rival)
