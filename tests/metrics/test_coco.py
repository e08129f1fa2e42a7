"""Run lengths and average precision are those of pycocotools."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from arrayseg import metrics
from arrayseg.backends import backend_of
from arrayseg.imaging.mask_runs import runs_of_lengths, runs_of_masks
from arrayseg.testing import to_numpy

SHAPE = (24, 37)


def discs(rng, number):
    rows, columns = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1])
    centers = rng.random((number, 2)) * SHAPE
    radii = rng.uniform(2, 8, number)
    return np.asarray([(rows - y) ** 2 + (columns - x) ** 2 < r**2 for (y, x), r in zip(centers, radii, strict=True)])


def image(seed):
    """Targets of two classes, some of them crowd, and detections near them."""
    rng = np.random.default_rng(seed)
    target = discs(rng, 7)
    shifted = np.stack([np.roll(mask, rng.integers(-2, 3, 2), (0, 1)) for mask in np.concatenate([target, target[:3]])])
    scores = rng.choice([0.1, 0.3, 0.5, 0.7, 0.9], 10)
    return shifted, scores, rng.integers(0, 2, 10), target, rng.integers(0, 2, 7), rng.random(7) < 0.2


def test_run_lengths_there_and_back(library):
    masks = [
        np.zeros((3, 5), bool),
        np.ones((3, 5), bool),
        discs(np.random.default_rng(0), 1)[0],
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


def test_areas_are_two_numbers():
    masks, scores = np.ones((1, 3, 4), bool), np.asarray([0.5])
    for areas in ((0, np.inf), np.asarray([12, 13]), (np.float32(0), np.int64(12))):
        assert not metrics.match_detections(masks, scores, masks, area_range=areas).ignored.any()
    assert metrics.match_detections(masks, scores, masks, area_range=(13, np.inf)).ignored.all()
    for areas in ((5, 1), 5, (0, 1, 2), (-1, 3), (0, np.nan)):
        with pytest.raises(ValueError, match="`area_range` must be"):
            metrics.match_detections(masks, scores, masks, area_range=areas)


def test_matches_of_images_alone_are_scored():
    masks = np.ones((1, 3, 4), bool)
    image = metrics.match_detections(masks, np.asarray([0.5]), masks)
    assert metrics.coco_average_precision(image) == metrics.coco_average_precision([image]) == 1
    with pytest.raises(
        ValueError, match="`matches` must hold what `match_detections` returns, of each image; got none"
    ):
        metrics.coco_average_precision([])
    with pytest.raises(TypeError, match="of each image; got ndarray"):
        metrics.coco_average_precision([masks])


def test_run_lengths_are_whole_numbers():
    with pytest.raises(TypeError, match="must be whole numbers, or a compressed string; got float64"):
        metrics.rle_decode({"size": [2, 2], "counts": [3.7, 0.5]})
    with pytest.raises(TypeError, match="`size` must be a whole number"):
        metrics.rle_decode({"size": [2, 2.5], "counts": [4]})
    with pytest.raises(ValueError, match=r"the height and the width of the mask; got \[2, 2, 1\]"):
        metrics.rle_decode({"size": [2, 2, 1], "counts": [4]})


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


def test_confidences_in_half_precision(library):
    """Of 0.9 and 0.8, rounded, the wrong detection comes first."""
    masks = np.zeros((2, 3, 4), dtype=bool)
    masks[0, 0, :2] = masks[1, 2, 1:] = True
    for dtype in ("float16", "bfloat16"):
        if not hasattr(library.xp, dtype):
            continue
        scores = library.xp.asarray([0.9, 0.8], dtype=getattr(library.xp, dtype))
        matches = metrics.match_detections(library.asarray(masks), scores, library.asarray(masks[1:]))
        np.testing.assert_allclose(to_numpy(matches.scores), [0.9, 0.8], rtol=2**-8)
        assert float(metrics.coco_average_precision(matches)) == pytest.approx(0.5)


def test_images_without_detections_or_targets(library):
    some = library.asarray(discs(np.random.default_rng(0), 2))
    none, scores = some[:0, ...], library.asarray(np.asarray([0.5, 0.4]))
    missed = metrics.match_detections(none, scores[:0], some)
    wrong = metrics.match_detections(some, scores, none)
    assert float(metrics.coco_average_precision([missed, wrong])) == 0
    assert np.isnan(float(metrics.coco_average_precision([wrong])))


def test_levels_are_met_by_equal_overlaps(library):
    """An IoU of k / 20 matches at every level up to it: the levels are k / 20 in floating point, as NumPy divides."""
    for kept in range(9, 20):
        target = np.ones((1, 4, 5), bool)
        prediction = target & (np.arange(20).reshape(4, 5) < kept)
        found = metrics.match_detections(
            library.asarray(prediction), library.asarray(np.asarray([0.5])), library.asarray(target)
        )
        assert to_numpy(found.matched)[:, 0].tolist() == [level <= kept for level in range(10, 20)]


@given(st.data())
def test_shared_pixels_of_runs(data):
    """Of any masks, whole, empty and of one pixel among them, in both orders of the pixels."""
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
    first, second = (data.draw(hnp.arrays(bool, (number, *shape))) for number in (3, 2))
    runs = [runs_of_masks(backend_of(masks), masks) for masks in (first, second)]
    columns = [runs_of_lengths([lengths_down_the_columns(mask) for mask in masks]) for masks in (first, second)]
    expected = np.einsum("phw,thw->tp", first.astype(int), second.astype(int))
    for of_first, of_second in (runs, columns):
        assert of_first.areas.tolist() == first.sum((1, 2)).tolist()
        assert [of_second.shared_pixels(t, of_first, range(3)) for t in range(2)] == expected.tolist()


def lengths_down_the_columns(mask):
    """The lengths of the runs of False, True, False, ..., pixel by pixel."""
    lengths, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            lengths.append(0)
            value = pixel
        lengths[-1] += 1
    return np.asarray(lengths)


def test_what_is_refused():
    masks, scores = np.ones((2, 3, 4), bool), np.asarray([0.5, 0.4])
    with pytest.raises(ValueError, match="`scores` must hold a confidence for each detection; got nan"):
        metrics.match_detections(masks, np.asarray([0.5, np.nan]), masks)
    with pytest.raises(ValueError, match=r"`labels` must have shape \(2,\)"):
        metrics.match_detections(masks, scores, masks, labels=np.zeros(3, int))
    with pytest.raises(ValueError, match="Masks must be of one image"):
        metrics.match_detections(masks, scores, masks[:, :2])
    with pytest.raises(ValueError, match="`target` must hold boolean masks"):
        metrics.match_detections(masks, scores, masks.astype(np.uint8))
    with pytest.raises(ValueError, match="`thresholds` must be from 0 to 1"):
        metrics.match_detections(masks, scores, masks, thresholds=[50])
    with pytest.raises(TypeError, match="`max_detections` must be a whole number"):
        metrics.match_detections(masks, scores, masks, max_detections=1.5)
    with pytest.raises(ValueError, match="none may be negative"):
        metrics.rle_decode({"size": [2, 2], "counts": [-1, 5]})
    for thresholds in (0.5, np.asarray([0.5]), [np.float32(0.5)]):
        assert metrics.match_detections(masks, scores, masks, thresholds=thresholds).matched.shape == (1, 2)


def assert_pycocotools_agrees(scenes, area_range):
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    coco = pytest.importorskip("pycocotools.coco")
    encode = pytest.importorskip("pycocotools.mask").encode
    images, annotations, results, matches = [], [], [], []
    for number, (prediction, scores, labels, target, target_labels, crowd) in enumerate(scenes, start=1):
        images.append({"id": number, "height": target.shape[1], "width": target.shape[2]})
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
        run_lengths = [[metrics.rle_encode(mask) for mask in masks] for masks in (prediction, target)]
        for pair in (run_lengths, (prediction, run_lengths[1])):
            again = metrics.match_detections(pair[0], scores, pair[1], **options)
            np.testing.assert_array_equal(again.matched, matches[-1].matched)
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


@pytest.mark.compat
@pytest.mark.parametrize("area_range", [(0, 1e10), (0, 80), (80, 1e10)])
def test_average_precision_of_pycocotools(area_range, capsys):
    assert_pycocotools_agrees([image(number) for number in range(1, 5)], area_range)


@pytest.mark.compat
def test_overlaps_that_equal_a_level_of_pycocotools(capsys):
    """Masks of 20 pixels and parts of them: every IoU is k / 20, so that each level is met exactly."""
    rng = np.random.default_rng(0)
    scenes = []
    for _ in range(12):
        target = np.zeros((2, 4, 12), bool)
        target[0, :, :5], target[1, :, 6:11] = True, True
        prediction = np.concatenate([target, target])
        for mask in prediction:
            pixels = np.argwhere(mask)
            mask[tuple(pixels[rng.permutation(20)[: rng.integers(0, 11)]].T)] = False
        labels = rng.integers(0, 2, 2)
        scenes.append((prediction, rng.random(4), np.tile(labels, 2), target, labels, np.zeros(2, bool)))
    assert_pycocotools_agrees(scenes, (0, 1e10))
