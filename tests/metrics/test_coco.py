"""Run lengths and average precision are those of pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from arrayseg import metrics
from arrayseg.testing import to_numpy

SHAPE = (24, 37)


def blobs(rng, number):
    rows, columns = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1])
    centres = rng.random((number, 2)) * SHAPE
    radii = rng.uniform(2, 8, number)
    return np.asarray([(rows - y) ** 2 + (columns - x) ** 2 < r**2 for (y, x), r in zip(centres, radii, strict=True)])


def image(seed):
    """Targets of two classes, some of them crowd, and detections near them."""
    rng = np.random.default_rng(seed)
    target = blobs(rng, 7)
    shifted = np.stack([np.roll(mask, rng.integers(-2, 3, 2), (0, 1)) for mask in np.concatenate([target, target[:3]])])
    scores = rng.choice([0.1, 0.3, 0.5, 0.7, 0.9], 10)
    return shifted, scores, rng.integers(0, 2, 10), target, rng.integers(0, 2, 7), rng.random(7) < 0.2


def test_run_lengths_there_and_back(library):
    masks = [
        np.zeros((3, 5), bool),
        np.ones((3, 5), bool),
        blobs(np.random.default_rng(0), 1)[0],
        np.ones((0, 4), bool),
    ]
    for mask in masks:
        array = library.asarray(mask)
        rle = metrics.rle_encode(array)
        back = metrics.rle_decode(rle, like=array)
        assert type(back) is type(array)
        np.testing.assert_array_equal(to_numpy(back), mask)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_run_lengths_of_any_mask(mask):
    rle = metrics.rle_encode(mask)
    np.testing.assert_array_equal(metrics.rle_decode(rle), mask)
    np.testing.assert_array_equal(metrics.rle_decode({**rle, "counts": rle["counts"].encode()}), mask)


@pytest.mark.compat
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_the_text_of_pycocotools(mask):
    coco = pytest.importorskip("pycocotools.mask")
    assert (
        metrics.rle_encode(mask)["counts"] == coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    )


def test_lengths_of_another_size_are_refused():
    with pytest.raises(ValueError, match="add up to 5"):
        metrics.rle_decode({"size": [2, 3], "counts": [2, 3]})


def test_average_precision_on_every_library(library):
    images = [image(seed) for seed in range(2)]

    def score(convert, masks):
        matches = [
            metrics.match_detections(
                masks(prediction, convert),
                convert(scores),
                masks(target, convert),
                labels=convert(labels),
                target_labels=convert(target_labels),
                crowd=convert(crowd),
            )
            for prediction, scores, labels, target, target_labels, crowd in images
        ]
        return metrics.coco_average_precision(matches, num_classes=3, reduction="none")

    expected = score(np.asarray, lambda masks, convert: convert(masks))
    assert np.isnan(expected[:, 2]).all()
    assert (expected[:, :2] > 0).any()
    for masks in (lambda masks, convert: convert(masks), lambda masks, _: [metrics.rle_encode(m) for m in masks]):
        np.testing.assert_allclose(to_numpy(score(library.asarray, masks)), expected, rtol=1e-12)


def test_images_without_detections_or_targets(library):
    some = library.asarray(blobs(np.random.default_rng(0), 2))
    none, scores = some[:0, ...], library.asarray(np.asarray([0.5, 0.4]))
    missed = metrics.match_detections(none, scores[:0], some)
    wrong = metrics.match_detections(some, scores, none)
    assert float(metrics.coco_average_precision([missed, wrong])) == 0
    assert np.isnan(float(metrics.coco_average_precision([wrong])))


@pytest.mark.compat
@pytest.mark.parametrize("area_range", [(0, 1e10), (0, 80), (80, 1e10)])
def test_average_precision_of_pycocotools(area_range, capsys):
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    coco = pytest.importorskip("pycocotools.coco")
    encode = pytest.importorskip("pycocotools.mask").encode
    images, annotations, results, matches = [], [], [], []
    for number in range(1, 5):
        prediction, scores, labels, target, target_labels, crowd = image(number)
        images.append({"id": number, "height": SHAPE[0], "width": SHAPE[1]})
        for mask, label, flag in zip(target, target_labels, crowd, strict=True):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": int(label) + 1, "iscrowd": int(flag)}
                | {"segmentation": encode(np.asfortranarray(mask.astype(np.uint8))), "area": int(mask.sum())}
            )
        for mask, label, score in zip(prediction, labels, scores, strict=True):
            rle = encode(np.asfortranarray(mask.astype(np.uint8)))
            results.append(
                {"image_id": number, "category_id": int(label) + 1, "score": float(score), "segmentation": rle}
            )
        options = {"labels": labels, "target_labels": target_labels, "crowd": crowd, "area_range": area_range}
        matches.append(metrics.match_detections(prediction, scores, target, **options))
    ground_truth = coco.COCO()
    ground_truth.dataset = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }
    ground_truth.createIndex()
    evaluation = cocoeval.COCOeval(ground_truth, ground_truth.loadRes(results), "segm")
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [list(area_range)], ["all"]
    evaluation.params.maxDets = [100]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    expected = np.where(precision.min(1) < 0, np.nan, precision.mean(1))
    result = metrics.coco_average_precision(matches, num_classes=2, reduction="none")
    np.testing.assert_allclose(result, expected, rtol=1e-12)
