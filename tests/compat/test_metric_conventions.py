"""What the presets disagree on: one pair of balls under every surface convention, and one label map under every mean.

The numbers of the balls were measured with the peers' releases: torchmetrics 1.9.0, MONAI 1.6.1, medpy 0.5.2,
surface-distance 0.1, panoptica 2.1.7, seg-metrics 1.2.8, MetricsReloaded, scikit-image 0.26.
"""

import numpy as np
import pytest
from compat.scenes import CLASSES, PREDICTED_ONLY, SPACING, VOID, balls, label_maps

from arrayseg import metrics
from arrayseg.compat import (
    deepmind,
    detectron2,
    huggingface_evaluate,
    ignite,
    jdt,
    keras_3_16,
    medpy_0_5,
    metrax,
    metrics_reloaded,
    mmseg_1_2,
    monai_1_6,
    nnunet_2,
    paddleseg,
    panoptica_2,
    seg_metrics_1_2,
    skimage,
    sklearn,
    smp_0_6,
    torchmetrics_1_9,
)

pytestmark = pytest.mark.compat

PREDICTION, TARGET = balls()


def test_deepmind():
    distances = deepmind.surface_distances(PREDICTION, TARGET, spacing_mm=SPACING)
    assert float(deepmind.compute_robust_hausdorff(distances, percent=100)) == pytest.approx(5.0, abs=5e-4)
    assert float(deepmind.compute_robust_hausdorff(distances, percent=95)) == pytest.approx(3.074, abs=5e-4)
    assert float(deepmind.compute_surface_dice_at_tolerance(distances, tolerance_mm=2.0)) == pytest.approx(
        0.771, abs=5e-4
    )
    assert np.asarray(deepmind.compute_average_surface_distance(distances)) == pytest.approx([1.202, 0.850], abs=5e-4)


def test_monai_and_metrics_reloaded():
    distances = monai_1_6.surface_distances(PREDICTION, TARGET, spacing=SPACING)
    for hd, hd95, assd, nsd in (
        (
            monai_1_6.compute_hausdorff_distance(distances),
            monai_1_6.compute_hausdorff_distance(distances, percentile=95),
            monai_1_6.compute_average_surface_distance(distances, symmetric=True),
            monai_1_6.compute_surface_dice(distances, class_threshold=2.0),
        ),
        (
            metrics_reloaded.measured_hausdorff_distance(distances),
            metrics_reloaded.measured_hausdorff_distance_perc(distances),
            metrics_reloaded.measured_average_distance(distances),
            metrics_reloaded.normalised_surface_distance(distances, nsd=2.0),
        ),
    ):
        assert [float(value) for value in (hd, hd95, assd, nsd)] == pytest.approx([5.0, 3.372, 1.354, 0.652], abs=5e-4)
    subvoxels = monai_1_6.surface_distances(PREDICTION, TARGET, spacing=SPACING, use_subvoxels=True)
    assert float(monai_1_6.compute_surface_dice(subvoxels, class_threshold=2.0)) == pytest.approx(0.771, abs=5e-4)


def test_medpy_and_panoptica():
    distances = medpy_0_5.surface_distances(PREDICTION, TARGET, voxelspacing=SPACING)
    values = [medpy_0_5.hd(distances), medpy_0_5.hd95(distances), medpy_0_5.assd(distances)]
    assert [float(value) for value in values] == pytest.approx([5.0, 3.074, 1.354], abs=5e-4)
    values = [panoptica_2.hd(distances), panoptica_2.hd95(distances), panoptica_2.assd(distances)]
    assert [float(value) for value in values] == pytest.approx([5.0, 3.074, 1.338], abs=5e-4)
    assert float(panoptica_2.nsd(distances, threshold=2.0)) == pytest.approx(0.657, abs=5e-4)


def test_seg_metrics():
    distances = seg_metrics_1_2.surface_distances(PREDICTION, TARGET, spacing=SPACING)
    values = [seg_metrics_1_2.hd(distances), seg_metrics_1_2.hd95(distances), seg_metrics_1_2.msd(distances)]
    assert [float(value) for value in values] == pytest.approx([5.0, 2.968, 1.080], abs=5e-4)


def test_scikit_image_counts_voxels():
    distances = skimage.surface_distances(PREDICTION, TARGET)
    assert float(skimage.hausdorff_distance(distances)) == pytest.approx(3.32, abs=5e-3)


@pytest.fixture(scope="module")
def means():
    """The mean IoU of one scene by every convention."""
    prediction, target = label_maps()
    options = {"num_classes": CLASSES, "ignore_index": VOID}
    matrix = metrics.confusion_matrix(prediction, target, **options)
    matrices = metrics.confusion_matrix(prediction, target, per_image=True, **options)
    counts = metrics.class_counts(prediction, target, **options)
    values = {
        "metrax, batches of 1": metrax.iou(matrices),
        "metrax, one batch": metrax.iou(matrix[None]),
        "nnU-Net": nnunet_2.foreground_mean(counts, score="iou"),
        "nnU-Net of the classes that occur": nnunet_2.foreground_mean(counts[:, : PREDICTED_ONLY + 1], score="iou"),
        "sklearn, all labels": sklearn.jaccard_score(matrix, labels=list(range(CLASSES)), average="macro"),
        "Ignite": ignite.m_iou(matrix),
        "mmseg, nan_to_num=0": mmseg_1_2.miou(matrix, nan_to_num=0),
        "mmseg": mmseg_1_2.miou(matrix),
        "Hugging Face": huggingface_evaluate.mean_iou(matrix),
        "Hugging Face, nan_to_num=0": huggingface_evaluate.mean_iou(matrix, nan_to_num=0),
        "torchmetrics JaccardIndex": torchmetrics_1_9.jaccard_index(matrix, ignore_index=VOID),
        "sklearn": sklearn.jaccard_score(matrix, average="macro"),
        "Keras": keras_3_16.mean_iou(matrix),
        "torchmetrics MeanIoU": torchmetrics_1_9.mean_iou(counts),
        "PaddleSeg": paddleseg.mean_iou(matrix),
        "smp macro": smp_0_6.iou_score(matrices, reduction="macro"),
        "Detectron2": detectron2.miou(matrix),
        "JDT, D": jdt.mioud(counts),
        "torchmetrics micro": torchmetrics_1_9.jaccard_index(matrix, average="micro"),
        "smp micro": smp_0_6.iou_score(matrices, reduction="micro"),
        "smp micro-imagewise": smp_0_6.iou_score(matrices, reduction="micro-imagewise"),
        "JDT, I": jdt.mioui(counts),
        "MONAI": monai_1_6.mean_iou(counts),
        "smp macro-imagewise": smp_0_6.iou_score(matrices, reduction="macro-imagewise"),
        "MONAI, ignore_empty=False": monai_1_6.mean_iou(counts, ignore_empty=False),
    }
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize(
    "names",
    [
        ("mmseg", "Hugging Face", "Hugging Face, nan_to_num=0", "torchmetrics JaccardIndex", "sklearn", "Keras"),
        ("sklearn, all labels", "Ignite", "mmseg, nan_to_num=0", "metrax, one batch"),
        ("PaddleSeg", "smp macro"),
        ("Detectron2", "JDT, D"),
        ("torchmetrics micro", "smp micro"),
        ("JDT, I", "MONAI"),
        ("smp macro-imagewise", "MONAI, ignore_empty=False"),
    ],
)
def test_conventions_that_agree(means, names):
    assert [means[name] for name in names] == pytest.approx([means[names[0]]] * len(names), rel=1e-12)


def test_conventions_that_differ(means):
    """One of six classes is absent and one predicted only, whose IoU is 0; the other four are in the target."""
    of_four = means["Detectron2"]
    assert means["mmseg"] == pytest.approx(of_four * 4 / 5, rel=1e-12)
    assert means["mmseg, nan_to_num=0"] == pytest.approx(of_four * 4 / 6, rel=1e-12)
    assert means["PaddleSeg"] == pytest.approx((of_four * 4 + 1) / 6, rel=1e-12)
    assert np.isnan(means["nnU-Net"])
    assert means["metrax, batches of 1"] < means["metrax, one batch"]


def test_order_of_the_measured_spread(means):
    """The order in which the conventions were measured to come, from 0.301 to 0.624."""
    order = [
        "metrax, batches of 1",
        "metrax, one batch",
        "mmseg",
        "torchmetrics MeanIoU",
        "JDT, I",
        "smp macro-imagewise",
    ]
    values = [means[name] for name in order]
    assert values == sorted(values)
    assert values[-1] > 1.5 * values[0]
