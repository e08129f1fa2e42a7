"""Metrics of surfaces and shapes beside the libraries that have them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from arrayseg import metrics
from arrayseg.cli.contests.packages import module
from arrayseg.cli.contests.rivalry import Maps, Rival, contest
from arrayseg.cli.contests.scene import Contest
from arrayseg.compat import panoptica_2, torchmetrics_1_9

__all__ = ["contests"]

RADIUS = 55


def contests() -> Iterator[Contest]:
    """The contests that the installed libraries allow."""
    yield from _of_surfaces()
    yield from _of_slices()
    yield from _of_masks()
    yield from _of_shapes()


@lru_cache(maxsize=1)
def balls() -> Maps:
    """Two balls that almost coincide, in a cube of about three times their radius."""
    grid = np.indices((3 * RADIUS - 5,) * 3)
    middle = (3 * RADIUS - 5) // 2
    first, second = (
        ((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) <= radius**2
        for centre, radius in (((middle,) * 3, RADIUS), ((middle + 3, middle - 2, middle + 1), RADIUS + 2))
    )
    return first, second


def _of_surfaces() -> Iterator[Contest]:
    """The 95th percentile of the Hausdorff distance, the average distance, and the surface Dice, of one measurement."""

    def ours(prediction: Any, target: Any, definition: Any = "voxel", combine: Any = "max", dice: bool = True) -> Any:
        distances = metrics.surface_distances(prediction, target, definition=definition)
        found = [metrics.hausdorff(distances, percentile=95, combine=combine)]
        if definition == "voxel":
            found.append(metrics.average_symmetric_surface_distance(distances))
        else:  # surface-distance gives one for each direction, the target's first
            found += [*metrics.average_surface_distance(distances)[::-1]]
        return [*found, metrics.surface_dice(distances, 2.0)] if dice else found

    def monai(prediction: Any, target: Any) -> Any:
        peers = module("monai.metrics")
        pair = prediction[None, None], target[None, None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                peers.compute_hausdorff_distance(*pair, include_background=True, percentile=95),
                peers.compute_average_surface_distance(*pair, include_background=True, symmetric=True),
                peers.compute_surface_dice(*pair, class_thresholds=[2.0], include_background=True),
            ]

    def surface_distance(prediction: Any, target: Any) -> Any:
        peers = module("surface_distance.metrics")
        distances = peers.compute_surface_distances(target, prediction, (1, 1, 1))
        return [
            peers.compute_robust_hausdorff(distances, 95),
            *peers.compute_average_surface_distance(distances),
            peers.compute_surface_dice_at_tolerance(distances, 2.0),
        ]

    def medpy(prediction: Any, target: Any) -> Any:
        binary = module("medpy.metric.binary")
        return [binary.hd95(prediction, target), binary.assd(prediction, target)]

    def of_panoptica(prediction: Any, target: Any) -> Any:
        distances = panoptica_2.surface_distances(prediction, target)
        return [panoptica_2.hd95(distances), panoptica_2.assd(distances)]

    def panoptica(prediction: Any, target: Any) -> Any:
        measures = module("panoptica.metrics").Metric
        return [measures.HD95(target, prediction), measures.ASSD(target, prediction)]

    name = "HD95 + ASSD + NSD"
    yield from contest(name, "torch", balls, ours, Rival("MONAI", "monai", monai))
    elements = partial(ours, definition="surface_element")
    rival = Rival("surface-distance", "surface_distance", surface_distance)
    yield from contest(f"{name}, surface elements", "numpy", balls, elements, rival)
    pooled = partial(ours, combine="pooled", dice=False)
    yield from contest("HD95 + ASSD", "numpy", balls, pooled, Rival("medpy", "medpy", medpy))
    yield from contest("HD95 + ASSD", "numpy", balls, of_panoptica, Rival("panoptica", "panoptica", panoptica))


def discs() -> Maps:
    """The middle slices of the two balls."""
    prediction, target = (np.ascontiguousarray(ball[ball.shape[0] // 2]) for ball in balls())
    return prediction, target


def _of_slices() -> Iterator[Contest]:
    """Hausdorff distances in two dimensions."""

    def of_points(prediction: Any, target: Any) -> Any:
        return metrics.hausdorff(metrics.surface_distances(prediction, target, definition="points"))

    def scikit_image(prediction: Any, target: Any) -> Any:
        return module("skimage.metrics").hausdorff_distance(prediction, target)

    def of_torchmetrics(prediction: Any, target: Any) -> Any:
        return torchmetrics_1_9.hausdorff_distance(torchmetrics_1_9.surface_distances(prediction, target))

    def torchmetrics(prediction: Any, target: Any) -> Any:
        peers = module("torchmetrics.functional.segmentation")
        return peers.hausdorff_distance(prediction, target, num_classes=2)[0, 0]

    rival = Rival("scikit-image", "skimage", scikit_image)
    yield from contest("hausdorff, points", "numpy", discs, of_points, rival)
    rival = Rival("torchmetrics", "torchmetrics", torchmetrics, _channels)
    yield from contest("hausdorff", "torch", discs, of_torchmetrics, rival)


def _channels(maps: Maps) -> Maps:
    """One image of two channels, background and foreground."""
    prediction, target = (np.stack([~mask, mask])[None].astype(np.int64) for mask in maps)
    return prediction, target


def _of_masks() -> Iterator[Contest]:
    """Overlaps of two masks."""

    def ours(prediction: Any, target: Any) -> Any:
        matrix = metrics.confusion_matrix(prediction, target, num_classes=2)
        return metrics.dice(matrix, classes=[1])

    def medpy(prediction: Any, target: Any) -> Any:
        return module("medpy.metric.binary").dc(prediction, target)

    def panoptica(prediction: Any, target: Any) -> Any:
        return module("panoptica.metrics").Metric.DSC(target, prediction)

    rivals = Rival("medpy", "medpy", medpy), Rival("panoptica", "panoptica", panoptica)
    yield from contest("dice, two masks", "numpy", balls, ours, *rivals)


def _of_shapes() -> Iterator[Contest]:
    def components(prediction: Any, target: Any) -> Any:
        return metrics.connected_components(target, connectivity=1)

    def scipy(prediction: Any, target: Any) -> Any:
        return module("scipy.ndimage").label(target)[0]

    def euler(prediction: Any, target: Any) -> Any:
        return metrics.euler_number(target, connectivity=1)

    def scikit_image(prediction: Any, target: Any) -> Any:
        return module("skimage.measure").euler_number(target, connectivity=1)

    yield from contest("connected_components", "numpy", balls, components, Rival("SciPy", "scipy", scipy))
    yield from contest("euler_number", "numpy", balls, euler, Rival("scikit-image", "skimage", scikit_image))
