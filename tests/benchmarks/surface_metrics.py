"""Compare metrics of surfaces and shapes to other libraries."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
from benchmarks.comparison import Comparison, Maps, MetricPeer, metric_comparison
from benchmarks.packages import module, preset

from arrayseg import metrics

RADIUS = 55


def comparisons() -> Iterator[Comparison]:
    """Yield the comparisons with the libraries that are installed."""
    yield from _of_surfaces()
    yield from _of_slices()
    yield from _of_masks()
    yield from _of_shapes()


@lru_cache(maxsize=1)
def balls() -> Maps:
    """Return two balls that almost coincide, in a cube of about three times their radius."""
    grid = np.indices((3 * RADIUS - 5,) * 3)
    middle = (3 * RADIUS - 5) // 2
    first, second = (
        ((grid - np.reshape(center, (3, 1, 1, 1))) ** 2).sum(axis=0) <= radius**2
        for center, radius in (((middle,) * 3, RADIUS), ((middle + 3, middle - 2, middle + 1), RADIUS + 2))
    )
    return first, second


def _of_surfaces() -> Iterator[Comparison]:
    """Yield comparisons of the Hausdorff distance (95 %), average distance and surface Dice, from one measurement."""

    def own(prediction: Any, target: Any, definition: Any = "voxel", combine: Any = "max", dice: bool = True) -> Any:
        distances = metrics.surface_distances(prediction, target, definition=definition)
        found = [metrics.hausdorff(distances, percentile=95, combine=combine)]
        if definition == "voxel":
            found.append(metrics.average_symmetric_surface_distance(distances))
        else:  # surface-distance returns one for each direction, the target's first
            found += [*metrics.average_surface_distance(distances)[::-1]]
        return [*found, metrics.surface_dice(distances, 2.0)] if dice else found

    def monai(prediction: Any, target: Any) -> Any:
        library = module("monai.metrics")
        pair = prediction[None, None], target[None, None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                library.compute_hausdorff_distance(*pair, include_background=True, percentile=95),
                library.compute_average_surface_distance(*pair, include_background=True, symmetric=True),
                library.compute_surface_dice(*pair, class_thresholds=[2.0], include_background=True),
            ]

    def surface_distance(prediction: Any, target: Any) -> Any:
        library = module("surface_distance.metrics")
        distances = library.compute_surface_distances(target, prediction, (1, 1, 1))
        return [
            library.compute_robust_hausdorff(distances, 95),
            *library.compute_average_surface_distance(distances),
            library.compute_surface_dice_at_tolerance(distances, 2.0),
        ]

    def medpy(prediction: Any, target: Any) -> Any:
        binary = module("medpy.metric.binary")
        return [binary.hd95(prediction, target), binary.assd(prediction, target)]

    def of_panoptica(prediction: Any, target: Any) -> Any:
        distances = preset("panoptica", "surface_distances")(prediction, target)
        return [preset("panoptica", name)(distances) for name in ("hd95", "assd")]

    def panoptica(prediction: Any, target: Any) -> Any:
        measures = module("panoptica.metrics").Metric
        return [measures.HD95(target, prediction), measures.ASSD(target, prediction)]

    name = "HD95 + ASSD + NSD"
    yield from metric_comparison(name, "torch", balls, own, MetricPeer("MONAI", "monai", monai))
    elements = partial(own, definition="surface_element")
    peer = MetricPeer("surface-distance", "surface_distance", surface_distance)
    yield from metric_comparison(f"{name}, surface elements", "numpy", balls, elements, peer)
    pooled = partial(own, combine="pooled", dice=False)
    yield from metric_comparison("HD95 + ASSD", "numpy", balls, pooled, MetricPeer("medpy", "medpy", medpy))
    yield from metric_comparison(
        "HD95 + ASSD", "numpy", balls, of_panoptica, MetricPeer("panoptica", "panoptica", panoptica)
    )


def discs() -> Maps:
    """Return the middle slices of the two balls."""
    prediction, target = (np.ascontiguousarray(ball[ball.shape[0] // 2]) for ball in balls())
    return prediction, target


def _of_slices() -> Iterator[Comparison]:
    """Yield comparisons of Hausdorff distances in two dimensions."""

    def of_points(prediction: Any, target: Any) -> Any:
        return metrics.hausdorff(metrics.surface_distances(prediction, target, definition="points"))

    def scikit_image(prediction: Any, target: Any) -> Any:
        return module("skimage.metrics").hausdorff_distance(prediction, target)

    def of_torchmetrics(prediction: Any, target: Any) -> Any:
        distances = preset("torchmetrics", "surface_distances")(prediction, target)
        return preset("torchmetrics", "hausdorff_distance")(distances)

    def torchmetrics(prediction: Any, target: Any) -> Any:
        library = module("torchmetrics.functional.segmentation")
        return library.hausdorff_distance(prediction, target, num_classes=2)[0, 0]

    peer = MetricPeer("scikit-image", "skimage", scikit_image)
    yield from metric_comparison("hausdorff, points", "numpy", discs, of_points, peer)
    peer = MetricPeer("torchmetrics", "torchmetrics", torchmetrics, _channels)
    yield from metric_comparison("hausdorff", "torch", discs, of_torchmetrics, peer)


def _channels(maps: Maps) -> Maps:
    """Return each mask as one image of two channels, background and foreground."""
    prediction, target = (np.stack([~mask, mask])[None].astype(np.int64) for mask in maps)
    return prediction, target


def _of_masks() -> Iterator[Comparison]:
    """Yield comparisons of the overlap of two masks."""

    def own(prediction: Any, target: Any) -> Any:
        matrix = metrics.confusion_matrix(prediction, target, num_classes=2)
        return metrics.dice(matrix, classes=[1])

    def medpy(prediction: Any, target: Any) -> Any:
        return module("medpy.metric.binary").dc(prediction, target)

    def panoptica(prediction: Any, target: Any) -> Any:
        return module("panoptica.metrics").Metric.DSC(target, prediction)

    peers = MetricPeer("medpy", "medpy", medpy), MetricPeer("panoptica", "panoptica", panoptica)
    yield from metric_comparison("dice, two masks", "numpy", balls, own, *peers)


def _of_shapes() -> Iterator[Comparison]:
    def components(prediction: Any, target: Any) -> Any:
        return metrics.connected_components(target, connectivity=1)

    def scipy(prediction: Any, target: Any) -> Any:
        return module("scipy.ndimage").label(target)[0]

    def euler(prediction: Any, target: Any) -> Any:
        return metrics.euler_number(target, connectivity=1)

    def scikit_image(prediction: Any, target: Any) -> Any:
        return module("skimage.measure").euler_number(target, connectivity=1)

    yield from metric_comparison(
        "connected_components", "numpy", balls, components, MetricPeer("SciPy", "scipy", scipy)
    )
    yield from metric_comparison(
        "euler_number", "numpy", balls, euler, MetricPeer("scikit-image", "skimage", scikit_image)
    )
