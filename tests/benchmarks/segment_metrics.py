"""Compare metrics of instances and of clusterings to other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from benchmarks.comparison import Comparison, Maps, Metric, MetricPeer, metric_comparison, raveled
from benchmarks.packages import module, preset

from arrayseg import metrics

CLASSES = 19
IMAGES = (2, 256, 512)  # small, because torchmetrics makes several tensors for every pixel


def comparisons() -> Iterator[Comparison]:
    """Yield the comparisons with the libraries that are installed."""
    yield from _of_panoptic_maps()
    yield from _of_instances()
    yield from _of_clusters()


@lru_cache(maxsize=1)
def segment_maps() -> Maps:
    """Return classes and instances `(N, H, W, 2)` of 128 blocks an image; predicted blocks are shifted by 3 pixels."""
    generator = np.random.default_rng(0)
    images, height, width = IMAGES
    classes = generator.integers(0, CLASSES, size=(images, height // 32, width // 32))
    instances = np.broadcast_to(np.arange(classes[0].size).reshape(classes[0].shape), classes.shape)
    target = np.stack([classes, instances], axis=-1).repeat(32, axis=1).repeat(32, axis=2)
    return np.roll(target, 3, axis=2), target


def instance_maps() -> Maps:
    """Return the instances of the first image; instance 0 is the background."""
    prediction, target = segment_maps()
    return np.ascontiguousarray(prediction[0, ..., 1]), np.ascontiguousarray(target[0, ..., 1])


def _of_panoptic_maps() -> Iterator[Comparison]:
    things = range(CLASSES)

    def own(prediction: Any, target: Any) -> Any:
        counts = [
            metrics.panoptic_counts((p[..., 0], p[..., 1]), (t[..., 0], t[..., 1]), num_classes=CLASSES, things=things)
            for p, t in zip(prediction, target, strict=True)
        ]
        return metrics.mean_panoptic_quality(metrics.add(*counts)).pq

    def torchmetrics(prediction: Any, target: Any) -> Any:
        library = module("torchmetrics.functional.detection")
        return library.panoptic_quality(prediction, target, things=set(things), stuffs=set())

    # torch's profile of a million small operations takes gigabytes itself.
    peer = MetricPeer("torchmetrics", "torchmetrics", torchmetrics)
    yield from metric_comparison("panoptic_quality", "torch", segment_maps, own, peer, has_peak=False)


def _of_instances() -> Iterator[Comparison]:
    def of_monai(prediction: Any, target: Any) -> Any:
        return preset("monai", "compute_panoptic_quality")(metrics.match_instances(prediction, target))

    def monai(prediction: Any, target: Any) -> Any:
        return module("monai.metrics.panoptic_quality").compute_panoptic_quality(prediction, target)

    def own(prediction: Any, target: Any) -> Any:
        return [*metrics.panoptic_quality(metrics.match_instances(prediction, target))]

    def panoptica(prediction: Any, target: Any) -> Any:
        library = module("panoptica")
        evaluator = library.Panoptica_Evaluator(
            expected_input=library.InputType.UNMATCHED_INSTANCE,
            instance_matcher=library.NaiveThresholdMatching(),
            instance_metrics=[library.Metric.IOU],
            global_metrics=[],
        )
        result = evaluator.evaluate(prediction, target, verbose=False)["ungrouped"]
        return [result.pq, result.sq, result.rq]

    name = "panoptic_quality, instances"
    yield from metric_comparison(name, "torch", instance_maps, of_monai, MetricPeer("MONAI", "monai", monai))
    yield from metric_comparison(name, "numpy", instance_maps, own, MetricPeer("panoptica", "panoptica", panoptica))


def _of_clusters() -> Iterator[Comparison]:
    def of_table(compute: Callable[[Any], Any], **options: Any) -> Metric:
        return lambda p, t: compute(metrics.contingency_table(p, t, **options))

    def scikit_learn(name: str) -> MetricPeer:
        def compute(prediction: Any, target: Any) -> Any:
            return getattr(module("sklearn.metrics"), name)(target, prediction)

        return MetricPeer("scikit-learn", "sklearn", compute, raveled)

    def scikit_image(name: str, **options: Any) -> MetricPeer:
        def compute(prediction: Any, target: Any) -> Any:
            return tuple(getattr(module("skimage.metrics"), name)(target, prediction, **options))

        return MetricPeer("scikit-image", "skimage", compute)

    def torchmetrics(name: str) -> MetricPeer:
        def compute(prediction: Any, target: Any) -> Any:
            return getattr(module("torchmetrics.functional.clustering"), name)(prediction, target)

        return MetricPeer("torchmetrics", "torchmetrics", compute, raveled)

    rand, information = of_table(metrics.adjusted_rand_index), of_table(metrics.normalized_mutual_information)
    variation = of_table(lambda table: metrics.variation_of_information(table)[:2])
    adapted = of_table(lambda table: tuple(preset("skimage", "adapted_rand_error")(table)), ignore_index=0)
    for name, backend, own, peer in (
        ("adjusted_rand_index", "numpy", rand, scikit_learn("adjusted_rand_score")),
        ("adjusted_rand_index", "torch", rand, torchmetrics("adjusted_rand_score")),
        ("normalized_mutual_information", "numpy", information, scikit_learn("normalized_mutual_info_score")),
        ("normalized_mutual_information", "torch", information, torchmetrics("normalized_mutual_info_score")),
        ("variation_of_information", "numpy", variation, scikit_image("variation_of_information")),
        ("adapted_rand_error", "numpy", adapted, scikit_image("adapted_rand_error")),
    ):
        yield from metric_comparison(name, backend, instance_maps, own, peer)
