"""Compare metrics of a confusion matrix to other libraries, from label maps to the number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
from benchmarks.comparison import Comparison, Maps, Metric, MetricPeer, metric_comparison, one_hot_maps, raveled
from benchmarks.packages import module, preset

from arrayseg import metrics

CLASSES = 19
BATCH, IMAGES = (8, 1024, 2048), (4, 512, 1024)


def comparisons(*, with_peers: bool, device: str = "cpu") -> Iterator[Comparison]:
    """Yield the comparisons with the libraries that are installed."""
    yield from _of_confusion(with_peers, device)
    if with_peers:
        yield from _of_torch(device)
        if device == "cpu":
            yield from _of_scikit_learn()


@lru_cache(maxsize=2)
def label_maps(shape: tuple[int, int, int], dtype: str = "uint8") -> Maps:
    """Return blocks of 16 pixels of one class, and a prediction that is wrong in a tenth of the pixels."""
    generator = np.random.default_rng(0)
    images, height, width = shape
    target = generator.integers(0, CLASSES, size=(images, height // 16, width // 16), dtype=np.uint8)
    target = target.repeat(16, axis=1).repeat(16, axis=2)
    noise = generator.random(shape, dtype=np.float32) < 0.1
    return np.where(noise, (target + 1) % CLASSES, target).astype(dtype), target.astype(dtype)


def _of_matrix(compute: Callable[[Any], Any], **options: Any) -> Metric:
    """Return arrayseg's metric of two label maps: count, then compute."""
    return lambda p, t: compute(metrics.confusion_matrix(p, t, num_classes=CLASSES, **options))


def _of_confusion(with_peers: bool, device: str) -> Iterator[Comparison]:
    own = partial(metrics.confusion_matrix, num_classes=CLASSES)

    def bincount(prediction: Any, target: Any) -> Any:
        joint = target.astype(np.int64) * CLASSES + prediction
        return np.bincount(joint.reshape(-1), minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    def scikit_learn(prediction: Any, target: Any) -> Any:
        return module("sklearn.metrics").confusion_matrix(target, prediction, labels=range(CLASSES))

    def torchmetrics(prediction: Any, target: Any) -> Any:
        library = module("torchmetrics.functional.classification")
        return library.multiclass_confusion_matrix(prediction, target, num_classes=CLASSES)

    def kornia(prediction: Any, target: Any) -> Any:
        return module("kornia.metrics").confusion_matrix(prediction, target, CLASSES)

    batch = partial(label_maps, BATCH)
    peers = [
        MetricPeer("np.bincount", "numpy", bincount),
        MetricPeer("scikit-learn", "sklearn", scikit_learn, raveled),
    ]
    if device == "cpu":
        yield from metric_comparison("confusion_matrix", "numpy", batch, own, *peers)
    if with_peers:
        peer = MetricPeer("torchmetrics", "torchmetrics", torchmetrics)
        yield from metric_comparison("confusion_matrix", "torch", batch, own, peer, device=device)
        images, of_images = partial(label_maps, IMAGES, "int64"), partial(own, per_image=True)
        peer = MetricPeer("kornia", "kornia", kornia)
        yield from metric_comparison("confusion_matrix, per image", "torch", images, of_images, peer, device=device)


def _of_torch(device: str) -> Iterator[Comparison]:
    """Yield comparisons with libraries of torch tensors, with int64 ids because torchmetrics takes no others."""

    def peer(library: str, path: str, *arguments: Any, one_hot: bool = False, **options: Any) -> MetricPeer:
        package, _, name = path.rpartition(".")

        def compute(prediction: Any, target: Any) -> Any:
            return getattr(module(package), name)(prediction, target, *arguments, **options)

        return MetricPeer(library, path.partition(".")[0], compute, one_hot_maps(CLASSES) if one_hot else None)

    def torchmetrics(name: str, **options: Any) -> MetricPeer:
        return peer("torchmetrics", f"torchmetrics.functional.{name}", num_classes=CLASSES, **options)

    def monai(name: str, **options: Any) -> MetricPeer:
        return peer("MONAI", f"monai.metrics.{name}", one_hot=True, **options)

    def smp(prediction: Any, target: Any) -> Any:
        library = module("segmentation_models_pytorch.metrics.functional")
        stats = library.get_stats(prediction, target, mode="multiclass", num_classes=CLASSES)
        return library.iou_score(*stats, reduction="macro")

    def sensitivity(prediction: Any, target: Any) -> Any:
        library = module("monai.metrics")
        return library.compute_confusion_matrix_metric("tpr", library.get_confusion_matrix(prediction, target))

    each = partial(_of_matrix, per_image=True)
    segmentation = partial(torchmetrics, input_format="index")
    kornia = peer("kornia", "kornia.metrics.mean_iou", CLASSES)
    tpr = MetricPeer("MONAI", "monai", sensitivity, one_hot_maps(CLASSES))
    smp_iou = preset("segmentation_models_pytorch", "iou_score")
    macro_iou = MetricPeer("segmentation-models-pytorch", "segmentation_models_pytorch", smp)
    for name, own, found in (
        ("mean_iou, per image", each(metrics.mean_iou), segmentation("segmentation.mean_iou")),
        ("mean_dice, per image", each(metrics.mean_dice), segmentation("segmentation.dice_score")),
        ("mean_iou", _of_matrix(metrics.mean_iou), torchmetrics("classification.multiclass_jaccard_index")),
        ("cohen_kappa", _of_matrix(metrics.cohen_kappa), torchmetrics("classification.multiclass_cohen_kappa")),
        (
            "mean_dice",
            _of_matrix(metrics.mean_dice),
            torchmetrics("classification.multiclass_f1_score", average="macro"),
        ),
        (
            "matthews_corrcoef",
            _of_matrix(metrics.matthews_corrcoef),
            torchmetrics("classification.multiclass_matthews_corrcoef"),
        ),
        (
            "pixel_accuracy",
            _of_matrix(metrics.pixel_accuracy),
            torchmetrics("classification.multiclass_accuracy", average="micro"),
        ),
        ("iou, per image", each(metrics.iou), kornia),
        ("iou, per image", each(metrics.iou), monai("compute_iou")),
        ("dice, per image", each(metrics.dice), monai("compute_dice")),
        (
            "generalized_dice, per image",
            each(preset("monai", "compute_generalized_dice")),
            monai("compute_generalized_dice"),
        ),
        ("recall, per image", each(metrics.recall), tpr),
        ("iou_score(reduction='macro')", each(partial(smp_iou, reduction="macro")), macro_iou),
    ):
        yield from metric_comparison(name, "torch", partial(label_maps, IMAGES, "int64"), own, found, device=device)
    # For several images the numbers differ where a class is absent.
    own, found = (
        each(preset("torchmetrics", "generalized_dice_score")),
        segmentation("segmentation.generalized_dice_score"),
    )
    one = partial(label_maps, (1, *IMAGES[1:]), "int64")
    yield from metric_comparison("generalized_dice, per image", "torch", one, own, found, device=device)


def _of_scikit_learn() -> Iterator[Comparison]:
    def peer(name: str, **options: Any) -> MetricPeer:
        def compute(prediction: Any, target: Any) -> Any:
            return getattr(module("sklearn.metrics"), name)(target, prediction, **options)

        return MetricPeer("scikit-learn", "sklearn", compute, raveled)

    for name, own, found in (
        ("mean_iou", metrics.mean_iou, peer("jaccard_score", average="macro")),
        ("mean_dice", metrics.mean_dice, peer("f1_score", average="macro")),
        ("precision", metrics.precision, peer("precision_score", average=None)),
        ("recall", metrics.recall, peer("recall_score", average=None)),
        ("mean_pixel_accuracy", metrics.mean_pixel_accuracy, peer("balanced_accuracy_score")),
        ("cohen_kappa", metrics.cohen_kappa, peer("cohen_kappa_score")),
        ("matthews_corrcoef", metrics.matthews_corrcoef, peer("matthews_corrcoef")),
    ):
        yield from metric_comparison(name, "numpy", partial(label_maps, IMAGES), _of_matrix(own), found)
