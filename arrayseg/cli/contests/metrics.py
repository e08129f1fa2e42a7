"""The metrics of a confusion matrix beside the libraries that have them, from label maps to the number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from arrayseg import metrics
from arrayseg.cli.contests import scores, segments, surfaces
from arrayseg.cli.contests.packages import module
from arrayseg.cli.contests.rivalry import Form, Maps, Rival, contest, one_hot_maps, ravelled
from arrayseg.cli.contests.scene import Contest
from arrayseg.compat import monai_1_6, smp_0_6, torchmetrics_1_9

__all__ = ["contests"]

CLASSES = 19
BATCH, IMAGES = (8, 1024, 2048), (4, 512, 1024)


def contests(*, with_peers: bool, device: str = "cpu") -> Iterator[Contest]:
    """The contests that the installed libraries allow."""
    yield from _of_confusion(with_peers, device)
    if with_peers:
        yield from _of_torch(device)
        if device == "cpu":
            yield from _of_scikit_learn()
            yield from segments.contests()
            yield from scores.contests()
            yield from surfaces.contests()


@lru_cache(maxsize=2)
def label_maps(shape: tuple[int, int, int], dtype: str = "uint8") -> Maps:
    """Blocks of 16 pixels of a class, and a prediction that is wrong in a tenth of the pixels."""
    generator = np.random.default_rng(0)
    images, height, width = shape
    target = generator.integers(0, CLASSES, size=(images, height // 16, width // 16), dtype=np.uint8)
    target = target.repeat(16, axis=1).repeat(16, axis=2)
    noise = generator.random(shape, dtype=np.float32) < 0.1
    return np.where(noise, (target + 1) % CLASSES, target).astype(dtype), target.astype(dtype)


def _of_matrix(compute: Callable[[Any], Any], **options: Any) -> Form:
    """Ours: count, then compute."""
    return lambda p, t: compute(metrics.confusion_matrix(p, t, num_classes=CLASSES, **options))


def _of_confusion(with_peers: bool, device: str) -> Iterator[Contest]:
    ours = partial(metrics.confusion_matrix, num_classes=CLASSES)

    def bincount(prediction: Any, target: Any) -> Any:
        joint = target.astype(np.int64) * CLASSES + prediction
        return np.bincount(joint.reshape(-1), minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    def scikit_learn(prediction: Any, target: Any) -> Any:
        return module("sklearn.metrics").confusion_matrix(target, prediction, labels=range(CLASSES))

    def torchmetrics(prediction: Any, target: Any) -> Any:
        peers = module("torchmetrics.functional.classification")
        return peers.multiclass_confusion_matrix(prediction, target, num_classes=CLASSES)

    def kornia(prediction: Any, target: Any) -> Any:
        return module("kornia.metrics").confusion_matrix(prediction, target, CLASSES)

    batch = partial(label_maps, BATCH)
    rivals = [
        Rival("np.bincount", "numpy", bincount),
        Rival("scikit-learn", "sklearn", scikit_learn, ravelled),
    ]
    if device == "cpu":
        yield from contest("confusion_matrix", "numpy", batch, ours, *rivals)
    if with_peers:
        rival = Rival("torchmetrics", "torchmetrics", torchmetrics)
        yield from contest("confusion_matrix", "torch", batch, ours, rival, device=device)
        images, of_images = partial(label_maps, IMAGES, "int64"), partial(ours, per_image=True)
        rival = Rival("kornia", "kornia", kornia)
        yield from contest("confusion_matrix, per image", "torch", images, of_images, rival, device=device)


def _of_torch(device: str) -> Iterator[Contest]:
    """The libraries that work on torch's tensors; torchmetrics takes ids of int64 alone."""

    def rival(label: str, path: str, *arguments: Any, one_hot: bool = False, **options: Any) -> Rival:
        package, _, name = path.rpartition(".")

        def form(prediction: Any, target: Any) -> Any:
            return getattr(module(package), name)(prediction, target, *arguments, **options)

        return Rival(label, path.partition(".")[0], form, one_hot_maps(CLASSES) if one_hot else None)

    def torchmetrics(name: str, **options: Any) -> Rival:
        return rival("torchmetrics", f"torchmetrics.functional.{name}", num_classes=CLASSES, **options)

    def monai(name: str, **options: Any) -> Rival:
        return rival("MONAI", f"monai.metrics.{name}", one_hot=True, **options)

    def smp(prediction: Any, target: Any) -> Any:
        peers = module("segmentation_models_pytorch.metrics.functional")
        stats = peers.get_stats(prediction, target, mode="multiclass", num_classes=CLASSES)
        return peers.iou_score(*stats, reduction="macro")

    def sensitivity(prediction: Any, target: Any) -> Any:
        peers = module("monai.metrics")
        return peers.compute_confusion_matrix_metric("tpr", peers.get_confusion_matrix(prediction, target))

    each = partial(_of_matrix, per_image=True)
    segmentation = partial(torchmetrics, input_format="index")
    kornia = rival("kornia", "kornia.metrics.mean_iou", CLASSES)
    tpr = Rival("MONAI", "monai", sensitivity, one_hot_maps(CLASSES))
    macro_iou = Rival("segmentation-models-pytorch", "segmentation_models_pytorch", smp)
    for name, ours, found in (
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
        ("generalized_dice, per image", each(monai_1_6.compute_generalized_dice), monai("compute_generalized_dice")),
        ("recall, per image", each(metrics.recall), tpr),
        ("iou_score(reduction='macro')", each(partial(smp_0_6.iou_score, reduction="macro")), macro_iou),
    ):
        yield from contest(name, "torch", partial(label_maps, IMAGES, "int64"), ours, found, device=device)
    # Of several images its score is another, where a class is absent.
    ours, found = each(torchmetrics_1_9.generalized_dice_score), segmentation("segmentation.generalized_dice_score")
    one = partial(label_maps, (1, *IMAGES[1:]), "int64")
    yield from contest("generalized_dice, per image", "torch", one, ours, found, device=device)


def _of_scikit_learn() -> Iterator[Contest]:
    def rival(name: str, **options: Any) -> Rival:
        def form(prediction: Any, target: Any) -> Any:
            return getattr(module("sklearn.metrics"), name)(target, prediction, **options)

        return Rival("scikit-learn", "sklearn", form, ravelled)

    for name, ours, found in (
        ("mean_iou", metrics.mean_iou, rival("jaccard_score", average="macro")),
        ("mean_dice", metrics.mean_dice, rival("f1_score", average="macro")),
        ("precision", metrics.precision, rival("precision_score", average=None)),
        ("recall", metrics.recall, rival("recall_score", average=None)),
        ("mean_pixel_accuracy", metrics.mean_pixel_accuracy, rival("balanced_accuracy_score")),
        ("cohen_kappa", metrics.cohen_kappa, rival("cohen_kappa_score")),
        ("matthews_corrcoef", metrics.matthews_corrcoef, rival("matthews_corrcoef")),
    ):
        yield from contest(name, "numpy", partial(label_maps, IMAGES), _of_matrix(ours), found)
