"""Recorded values of real predictions: CamVid, ADE20K and DAVIS."""

import json

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy

pytestmark = pytest.mark.data


def folder_of(data, name):
    """A folder of real data; the test is skipped by name where it is absent."""
    if not (data / name).is_dir():
        pytest.skip(f"no real data: {data / name} is absent")
    return data / name


def read(path):
    return np.asarray(pytest.importorskip("PIL.Image").open(path))


@pytest.fixture(scope="module")
def camvid(data):
    folder = folder_of(data, "camvid")
    names = sorted(path.name for path in (folder / "gt_test").glob("*.png"))
    maps = [np.stack([read(folder / part / name) for name in names]) for part in ("pred_unet", "gt_test")]
    return *maps, json.loads((folder / "reference_counts.json").read_text())


def test_camvid(camvid):
    prediction, target, recorded = camvid
    matrices = metrics.confusion_matrix(prediction, target, num_classes=11, ignore_index=11, per_image=True)
    matrix = matrices.sum(axis=0)
    np.testing.assert_array_equal(matrix, recorded["confusion_rows_gt_cols_pred_void11_excluded"])
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(prediction, target, num_classes=11, ignore_index=11))
    assert float(metrics.mean_iou(matrix)) == pytest.approx(0.42155494609764826, rel=1e-12)
    assert float(metrics.pixel_accuracy(matrix)) == pytest.approx(0.8258788956341531, rel=1e-12)
    assert float(metrics.mean_pixel_accuracy(matrix)) == pytest.approx(0.5201499136013924, rel=1e-12)
    assert float(metrics.frequency_weighted_iou(matrix)) == pytest.approx(0.727545823304779, rel=1e-12)
    assert float(metrics.mean_dice(matrix)) == pytest.approx(recorded["dice_macro_pooled"], rel=1e-12)
    iou = metrics.iou(matrix)
    # Never predicted, but in the target: 0, not absent.
    assert iou[2] == iou[10] == 0
    counts = metrics.class_counts(prediction, target, num_classes=11, ignore_index=11)
    assert float(metrics.fine_grained_mean(counts, present="union")) == pytest.approx(0.413097, abs=5e-7)
    assert float(metrics.fine_grained_mean(counts)) == pytest.approx(0.445795, abs=5e-7)


def test_camvid_batches_add_on_every_library(camvid, library):
    prediction, target, _ = camvid
    kept = slice(0, 6)
    expected = metrics.confusion_matrix(prediction[kept], target[kept], num_classes=11, ignore_index=11)
    step = 4 if library.name == "strict" else 1
    prediction, target = prediction[kept, ::step, ::step], target[kept, ::step, ::step]
    if step > 1:
        expected = metrics.confusion_matrix(prediction, target, num_classes=11, ignore_index=11)
    parts = [
        metrics.confusion_matrix(library.asarray(p), library.asarray(t), num_classes=11, ignore_index=11)
        for p, t in zip(np.array_split(prediction, [1, 4]), np.array_split(target, [1, 4]), strict=True)
    ]
    np.testing.assert_array_equal(to_numpy(metrics.add(*parts[::-1])), expected)


def test_ade20k_absent_classes(data, library):
    folder = folder_of(data, "ade20k_sample")
    matrix = library.asarray(np.zeros((151, 151), dtype=np.int64))
    for path in sorted((folder / "gt").glob("*.png")):
        target, prediction = read(path), read(folder / "pred_identical" / path.name)
        if library.name == "strict":
            target, prediction = target[::9, ::9], prediction[::9, ::9]
        arrays = library.asarray(prediction), library.asarray(target)
        matrix = metrics.add(matrix, metrics.confusion_matrix(*arrays, num_classes=151, ignore_index=0))
    classes = range(1, 151)
    present = 15 if library.name != "strict" else int((to_numpy(matrix).sum(axis=1) > 0).sum())
    assert float(metrics.mean_iou(matrix, absent=0, classes=classes)) == pytest.approx(present / 150, rel=1e-12)
    assert float(metrics.mean_iou(matrix, classes=classes)) == 1
    assert np.isnan(float(metrics.mean_iou(matrix, absent="nan", classes=classes)))
    assert float(metrics.pixel_accuracy(matrix)) == 1


def test_davis_region_similarity(data):
    folder = folder_of(data, "davis2016")
    published = json.loads((folder / "published_per_frame.json").read_text())
    for sequence, scores in published["osvos"].items():
        for frame, expected in zip(scores["frames"], scores["J"], strict=True):
            target = read(folder / "gt" / sequence / frame) > 0
            prediction = read(folder / "pred_osvos" / sequence / frame).astype(bool)
            matrix = metrics.confusion_matrix(prediction, target, num_classes=2)
            # Published with three decimals.
            assert float(metrics.iou(matrix, absent=1)[1]) == pytest.approx(expected, abs=5.0001e-4)
