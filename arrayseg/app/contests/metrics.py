"""The metrics beside the libraries that have them, on inputs of their own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from arrayseg import metrics
from arrayseg.app.contests.scene import Contest

__all__ = ["contests"]

Maps = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
Form = Callable[[Any, Any], Any]
"""A metric of a prediction and a target."""

CLASSES = 19
BATCH, IMAGES, VOLUME = (8, 1024, 2048), (4, 512, 1024), (160, 160, 160)
SEGMENTED = (2, 256, 512)  # torchmetrics makes several small tensors of every pixel


def contests(*, with_peers: bool) -> Iterator[Contest]:
    """The contests that the installed libraries allow."""
    yield from _of_confusion(with_peers)
    if with_peers:
        yield from _of_matrices()
        yield from _of_segments()
        yield from _of_clusters()
        yield from _of_surfaces()
        yield from _of_shapes()


def _contest(
    name: str, backend: str, maps: Callable[[], Maps], ours: Form, rivals: Mapping[str, tuple[str, Form]]
) -> Iterator[Contest]:
    """A contest of the rivals that are installed; a rival's name comes with the package that it needs."""
    found = {label: form for label, (package, form) in rivals.items() if find_spec(package)}
    if not found or find_spec(backend) is None:
        return
    prediction, target = maps()

    def entry(form: Form) -> Callable[[Any], Callable[[], Any]]:
        def build(_: Any) -> Callable[[], Any]:
            if backend == "torch":
                import torch

                return partial(form, torch.from_numpy(prediction), torch.from_numpy(target))
            return partial(form, prediction, target)

        return build

    size = f"{' × '.join(map(str, target.shape))} {target.dtype}"
    yield Contest(
        name,
        backend,
        entry(ours),
        {label: entry(form) for label, form in found.items()},
        own_size=size,
        limit_bytes=prediction.nbytes + target.nbytes,
        has_peak=name != "panoptic_quality",
        tolerance=1e-5,
    )


@lru_cache(maxsize=2)
def label_maps(shape: tuple[int, int, int], dtype: str = "uint8") -> Maps:
    """Blocks of 16 pixels of a class, and a prediction that is wrong in a tenth of the pixels."""
    generator = np.random.default_rng(0)
    images, height, width = shape
    target = generator.integers(0, CLASSES, size=(images, height // 16, width // 16), dtype=np.uint8)
    target = target.repeat(16, axis=1).repeat(16, axis=2)
    noise = generator.random(shape, dtype=np.float32) < 0.1
    return np.where(noise, (target + 1) % CLASSES, target).astype(dtype), target.astype(dtype)


def _of_confusion(with_peers: bool) -> Iterator[Contest]:
    ours = partial(metrics.confusion_matrix, num_classes=CLASSES)

    def bincount(prediction: Any, target: Any) -> Any:
        joint = target.astype(np.int64) * CLASSES + prediction
        return np.bincount(joint.reshape(-1), minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    def scikit_learn(prediction: Any, target: Any) -> Any:
        peers = import_module("sklearn.metrics")
        return peers.confusion_matrix(target.reshape(-1), prediction.reshape(-1), labels=range(CLASSES))

    def torchmetrics(prediction: Any, target: Any) -> Any:
        peers = import_module("torchmetrics.functional.classification")
        return peers.multiclass_confusion_matrix(prediction, target, num_classes=CLASSES)

    rivals: dict[str, tuple[str, Form]] = {
        "np.bincount": ("numpy", bincount),
        "scikit-learn": ("sklearn", scikit_learn),
    }
    yield from _contest("confusion_matrix", "numpy", partial(label_maps, BATCH), ours, rivals)
    if with_peers:
        rivals = {"torchmetrics": ("torchmetrics", torchmetrics)}
        yield from _contest("confusion_matrix", "torch", partial(label_maps, BATCH), ours, rivals)


def _of_matrices() -> Iterator[Contest]:
    """What is computed of a confusion matrix, from label maps to the number."""

    def of_matrix(compute: Callable[[Any], Any], **options: Any) -> Form:
        return lambda p, t: compute(metrics.confusion_matrix(p, t, num_classes=CLASSES, **options))

    def segmentation(name: str, **options: Any) -> Form:
        def run(prediction: Any, target: Any) -> Any:
            function = getattr(import_module("torchmetrics.functional.segmentation"), name)
            return function(prediction, target, num_classes=CLASSES, input_format="index", **options)

        return run

    def scikit_learn(name: str, **options: Any) -> Form:
        def run(prediction: Any, target: Any) -> Any:
            function = getattr(import_module("sklearn.metrics"), name)
            return function(target.reshape(-1), prediction.reshape(-1), **options)

        return run

    maps = partial(label_maps, IMAGES, "int64")  # torchmetrics takes ids of int64 alone
    for name, ours, theirs in (
        ("mean_iou, per image", metrics.mean_iou, segmentation("mean_iou")),
        ("mean_dice, per image", metrics.mean_dice, segmentation("dice_score")),
    ):
        rivals = {"torchmetrics": ("torchmetrics", theirs)}
        yield from _contest(name, "torch", maps, of_matrix(ours, per_image=True), rivals)
    for name, ours, theirs in (
        ("mean_iou", metrics.mean_iou, scikit_learn("jaccard_score", average="macro")),
        ("cohen_kappa", metrics.cohen_kappa, scikit_learn("cohen_kappa_score")),
        ("matthews_corrcoef", metrics.matthews_corrcoef, scikit_learn("matthews_corrcoef")),
        ("mean_dice", metrics.mean_dice, scikit_learn("f1_score", average="macro")),
    ):
        rivals = {"scikit-learn": ("sklearn", theirs)}
        yield from _contest(name, "numpy", partial(label_maps, IMAGES), of_matrix(ours), rivals)


@lru_cache(maxsize=1)
def segment_maps() -> Maps:
    """`(N, H, W, 2)`: classes and instances of 128 blocks an image; in the prediction each lies 3 pixels further."""
    generator = np.random.default_rng(0)
    images, height, width = SEGMENTED
    classes = generator.integers(0, CLASSES, size=(images, height // 32, width // 32))
    instances = np.broadcast_to(np.arange(classes[0].size).reshape(classes[0].shape), classes.shape)
    target = np.stack([classes, instances], axis=-1).repeat(32, axis=1).repeat(32, axis=2)
    return np.roll(target, 3, axis=2), target


def _of_segments() -> Iterator[Contest]:
    things = range(CLASSES)

    def ours(prediction: Any, target: Any) -> Any:
        counts = [
            metrics.panoptic_counts((p[..., 0], p[..., 1]), (t[..., 0], t[..., 1]), num_classes=CLASSES, things=things)
            for p, t in zip(prediction, target, strict=True)
        ]
        return metrics.mean_panoptic_quality(metrics.add(*counts)).pq

    def torchmetrics(prediction: Any, target: Any) -> Any:
        peers = import_module("torchmetrics.functional.detection")
        return peers.panoptic_quality(prediction, target, things=set(things), stuffs=set())

    rivals = {"torchmetrics": ("torchmetrics", torchmetrics)}
    yield from _contest("panoptic_quality", "torch", segment_maps, ours, rivals)


def _of_clusters() -> Iterator[Contest]:
    def maps() -> Maps:
        prediction, target = segment_maps()
        return np.ascontiguousarray(prediction[0, ..., 1]), np.ascontiguousarray(target[0, ..., 1])

    def of_table(compute: Callable[[Any], Any]) -> Form:
        return lambda p, t: compute(metrics.contingency_table(p, t))

    def scikit_learn(prediction: Any, target: Any) -> Any:
        return import_module("sklearn.metrics").adjusted_rand_score(target.reshape(-1), prediction.reshape(-1))

    def scikit_image(prediction: Any, target: Any) -> Any:
        return tuple(import_module("skimage.metrics").variation_of_information(target, prediction))

    rivals: dict[str, tuple[str, Form]] = {"scikit-learn": ("sklearn", scikit_learn)}
    yield from _contest("adjusted_rand_index", "numpy", maps, of_table(metrics.adjusted_rand_index), rivals)
    rivals = {"scikit-image": ("skimage", scikit_image)}
    variation = of_table(lambda table: metrics.variation_of_information(table)[:2])
    yield from _contest("variation_of_information", "numpy", maps, variation, rivals)


@lru_cache(maxsize=1)
def balls() -> Maps:
    """Two balls that almost coincide."""
    grid = np.indices(VOLUME)
    first, second = (
        ((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) <= radius**2
        for centre, radius in (((80, 80, 80), 55), ((83, 78, 81), 57))
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
        peers = import_module("monai.metrics")
        pair = prediction[None, None], target[None, None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                peers.compute_hausdorff_distance(*pair, include_background=True, percentile=95),
                peers.compute_average_surface_distance(*pair, include_background=True, symmetric=True),
                peers.compute_surface_dice(*pair, class_thresholds=[2.0], include_background=True),
            ]

    def surface_distance(prediction: Any, target: Any) -> Any:
        peers = import_module("surface_distance.metrics")
        distances = peers.compute_surface_distances(target, prediction, (1, 1, 1))
        return [
            peers.compute_robust_hausdorff(distances, 95),
            *peers.compute_average_surface_distance(distances),
            peers.compute_surface_dice_at_tolerance(distances, 2.0),
        ]

    def medpy(prediction: Any, target: Any) -> Any:
        binary = import_module("medpy.metric.binary")
        return [binary.hd95(prediction, target), binary.assd(prediction, target)]

    name = "HD95 + ASSD + NSD"
    yield from _contest(name, "torch", balls, ours, {"MONAI": ("monai", monai)})
    elements = partial(ours, definition="surface_element")
    rivals: dict[str, tuple[str, Form]] = {"surface-distance": ("surface_distance", surface_distance)}
    yield from _contest(f"{name}, surface elements", "numpy", balls, elements, rivals)
    pooled = partial(ours, combine="pooled", dice=False)
    yield from _contest("HD95 + ASSD", "numpy", balls, pooled, {"medpy": ("medpy", medpy)})


def _of_shapes() -> Iterator[Contest]:
    def components(prediction: Any, target: Any) -> Any:
        return metrics.connected_components(target, connectivity=1)

    def scipy(prediction: Any, target: Any) -> Any:
        return import_module("scipy.ndimage").label(target)[0]

    def euler(prediction: Any, target: Any) -> Any:
        return metrics.euler_number(target, connectivity=1)

    def scikit_image(prediction: Any, target: Any) -> Any:
        return import_module("skimage.measure").euler_number(target, connectivity=1)

    rivals: dict[str, tuple[str, Form]] = {"SciPy": ("scipy", scipy)}
    yield from _contest("connected_components", "numpy", balls, components, rivals)
    rivals = {"scikit-image": ("skimage", scikit_image)}
    yield from _contest("euler_number", "numpy", balls, euler, rivals)
