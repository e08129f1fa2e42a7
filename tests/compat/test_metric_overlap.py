"""Presets of counts of label maps against their peers: absent classes, predicted-only classes, void pixels."""

import importlib
import os
import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
from compat.drawn import label_maps, peer
from hypothesis import given, strategies as st

from arrayseg import metrics
from arrayseg.compat import (
    cityscapes,
    detectron2,
    huggingface_evaluate,
    jdt,
    keras_3_16,
    mmseg_1_2,
    monai_1_6,
    nnunet_2,
    sklearn,
    smp_0_6,
    torchmetrics_1_9,
)
from arrayseg.compat.monai.metrics import RATES

pytestmark = [pytest.mark.compat, pytest.mark.filterwarnings("ignore")]

CLASSES, VOID = 5, 255
BACKGROUND = st.booleans()


def assert_equal(ours, theirs, rtol=1e-12):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=rtol)


def matrix_of(prediction, target, **options):
    return metrics.confusion_matrix(prediction, target, num_classes=CLASSES, ignore_index=VOID, **options)


def counts_of(prediction, target):
    return metrics.class_counts(prediction, target, num_classes=CLASSES, ignore_index=VOID)


def one_hot(*maps):
    import torch

    return [torch.from_numpy(np.moveaxis(np.eye(CLASSES, dtype=np.int64)[labels], -1, 1)) for labels in maps]


def ratio(numerator, denominator):
    """A quotient of counts; nan for 0 / 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(numerator, dtype=np.float64) / np.asarray(denominator)


@pytest.mark.parametrize("name", ["jaccard_score", "f1_score", "precision_score", "recall_score"])
@given(data=st.data())
def test_scikit_learn_averages(name, data):
    peers = peer("sklearn.metrics")
    prediction, target = label_maps(data, CLASSES)
    matrix, flat = matrix_of(prediction, target), (target.ravel(), prediction.ravel())
    zero_division = data.draw(st.sampled_from([0.0, 1.0]))
    for labels in (None, list(range(CLASSES)), [1, 3]):
        for average in ("micro", "macro", "weighted"):
            options = {"labels": labels, "average": average, "zero_division": zero_division}
            assert_equal(getattr(sklearn, name)(matrix, **options), getattr(peers, name)(*flat, **options))
    options = {"labels": list(range(CLASSES)), "average": None, "zero_division": zero_division}
    assert_equal(getattr(sklearn, name)(matrix, **options), getattr(peers, name)(*flat, **options))
    foreground = [labels == 1 for labels in flat]
    options = {"zero_division": zero_division}
    assert_equal(getattr(sklearn, name)(matrix, **options), getattr(peers, name)(*foreground, **options))


@given(data=st.data())
def test_scikit_learn_agreement(data):
    peers = peer("sklearn.metrics")
    prediction, target = label_maps(data, CLASSES)
    matrix, flat = matrix_of(prediction, target), (target.ravel(), prediction.ravel())
    table = metrics.contingency_table(prediction, target)
    assert_equal(sklearn.balanced_accuracy_score(matrix), peers.balanced_accuracy_score(*flat))
    assert_equal(sklearn.matthews_corrcoef(matrix), peers.matthews_corrcoef(*flat))
    assert_equal(sklearn.adjusted_rand_score(table), peers.adjusted_rand_score(*flat))
    assert_equal(sklearn.normalized_mutual_info_score(table), peers.normalized_mutual_info_score(*flat), 1e-9)
    for weights in (None, "linear", "quadratic"):
        theirs = peers.cohen_kappa_score(*flat, weights=weights, labels=list(range(CLASSES)))
        assert_equal(sklearn.cohen_kappa_score(matrix, weights=weights), theirs)


@pytest.mark.parametrize("ignore_index", [None, VOID, 2])
@given(data=st.data())
def test_torchmetrics_jaccard_index(ignore_index, data):
    classification = peer("torchmetrics.functional.classification")
    import torch

    prediction, target = label_maps(data, CLASSES, void=VOID if ignore_index == VOID else None)
    matrix = metrics.confusion_matrix(prediction, target, num_classes=CLASSES, ignore_index=ignore_index)
    if not np.sum(matrix):
        return
    maps = torch.from_numpy(prediction), torch.from_numpy(target)
    for average in ("macro", "micro", "weighted", "none"):
        options = {"average": average, "ignore_index": ignore_index}
        theirs = classification.multiclass_jaccard_index(*maps, CLASSES, **options)
        ours = torchmetrics_1_9.jaccard_index(matrix, **options)
        assert_equal(ours, theirs, 2e-6) if np.all(np.isfinite(ours)) else None


@given(data=st.data())
def test_torchmetrics_segmentation(data):
    segmentation = peer("torchmetrics.segmentation")
    import torch

    prediction, target = label_maps(data, CLASSES)
    counts = counts_of(prediction, target)
    maps = torch.from_numpy(prediction), torch.from_numpy(target)
    for options in ({}, {"per_class": True}, {"include_background": False, "per_class": True}):
        metric = segmentation.MeanIoU(num_classes=CLASSES, input_format="index", **options)
        metric.update(*maps)
        assert_equal(torchmetrics_1_9.mean_iou(counts, **options), metric.compute(), 2e-6)
    for average in ("macro", "micro", "weighted"):
        for level in ("samplewise", "global"):
            options = {"average": average, "aggregation_level": level}
            metric = segmentation.DiceScore(num_classes=CLASSES, input_format="index", **options)
            metric.update(*maps)
            assert_equal(torchmetrics_1_9.dice_score(counts, **options), metric.compute(), 2e-6)


@pytest.mark.parametrize("weight_type", ["square", "simple", "linear"])
@given(data=st.data())
def test_torchmetrics_generalized_dice_of_one_image_of_all_classes(weight_type, data):
    """With an absent class its score of an image depends on its batch."""
    segmentation = peer("torchmetrics.segmentation")
    import torch

    prediction, target = (labels[:1] for labels in label_maps(data, CLASSES))
    target.reshape(-1)[:CLASSES] = range(CLASSES)
    metric = segmentation.GeneralizedDiceScore(num_classes=CLASSES, weight_type=weight_type, input_format="index")
    metric.update(torch.from_numpy(prediction), torch.from_numpy(target))
    ours = torchmetrics_1_9.generalized_dice_score(
        matrix_of(prediction, target, per_image=True), weight_type=weight_type
    )
    assert_equal(ours, metric.compute(), 2e-6)


@pytest.mark.parametrize(("metric", "preset"), [("DiceMetric", "dice_metric"), ("MeanIoU", "mean_iou")])
@given(data=st.data())
def test_monai(metric, preset, data):
    monai = peer("monai.metrics")
    prediction, target = label_maps(data, CLASSES)
    counts, channels = counts_of(prediction, target), one_hot(prediction, target)
    for reduction in ("mean", "mean_batch", "none"):
        options = {
            "include_background": data.draw(BACKGROUND),
            "ignore_empty": data.draw(st.booleans()),
            "reduction": reduction,
        }
        theirs = getattr(monai, metric)(**options)
        theirs(*channels)
        ours = getattr(monai_1_6, preset)(counts, **options)
        expected = theirs.aggregate().numpy()
        # MONAI makes 0 of nothing where it reduces.
        assert_equal(ours if reduction == "none" else np.nan_to_num(ours), expected, 2e-6)


@given(data=st.data())
def test_monai_generalized_dice(data):
    monai = peer("monai.metrics")
    prediction, target = label_maps(data, CLASSES)
    matrices, channels = matrix_of(prediction, target, per_image=True), one_hot(prediction, target)
    options = {
        "include_background": data.draw(BACKGROUND),
        "weight_type": data.draw(st.sampled_from(["square", "simple", "uniform"])),
        "sum_over_classes": data.draw(st.booleans()),
    }
    theirs = monai.compute_generalized_dice(*channels, **options)
    assert_equal(monai_1_6.compute_generalized_dice(matrices, **options), theirs, 2e-6)


@pytest.mark.parametrize("name", RATES)
@given(data=st.data())
def test_monai_rates(name, data):
    monai = peer("monai.metrics")
    prediction, target = label_maps(data, CLASSES)
    include_background = data.draw(BACKGROUND)
    rates = monai.get_confusion_matrix(*one_hot(prediction, target), include_background=include_background)
    ours = monai_1_6.compute_confusion_matrix_metric(
        matrix_of(prediction, target, per_image=True), metric_name=name, include_background=include_background
    )
    theirs = np.asarray(monai.compute_confusion_matrix_metric(name, rates))
    if name == "pt":  # where both rates are equal MONAI divides 0 by 0, and ours is the limit, 1/2
        theirs = np.where(np.isnan(theirs) & (np.asarray(ours) == 0.5), 0.5, theirs)
    assert_equal(ours, theirs, 2e-6)


@given(data=st.data())
def test_monai_panoptic_quality(data):
    monai = peer("monai.metrics.panoptic_quality")
    import torch

    prediction, target = (labels[0] for labels in label_maps(data, CLASSES))
    segments = metrics.match_instances(prediction, target)
    for name in ("pq", "sq", "rq"):
        theirs = monai.compute_panoptic_quality(torch.from_numpy(prediction), torch.from_numpy(target), name)
        assert_equal(monai_1_6.compute_panoptic_quality(segments, metric_name=name), theirs, 2e-6)


@given(data=st.data())
def test_torchmetrics_panoptic_quality(data):
    detection = peer("torchmetrics.functional.detection")
    import torch

    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    target = generator.integers(0, 3, (2, 6, 7))
    prediction = np.where(generator.random((2, 6, 7)) < 0.7, target, generator.integers(0, 3, (2, 6, 7)))
    segments = metrics.panoptic_counts(tuple(prediction), tuple(target), num_classes=3)
    stacked = [torch.from_numpy(np.stack(maps, axis=-1)[None]) for maps in (prediction, target)]
    theirs = detection.panoptic_quality(*stacked, things={0, 1, 2}, stuffs=set())
    assert_equal(torchmetrics_1_9.panoptic_quality(segments), theirs, 2e-6)


@pytest.fixture(scope="module")
def smp():
    """Yield its metrics alone: its models need timm."""
    name = "segmentation_models_pytorch"
    spec = find_spec(name)
    if spec is None:
        pytest.skip(f"{name} is not installed")
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package
    yield importlib.import_module(f"{name}.metrics.functional")
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.mark.parametrize("name", ["iou_score", "f1_score", "accuracy", "recall", "precision"])
@given(data=st.data())
def test_segmentation_models_pytorch(name, smp, data):
    import torch

    prediction, target = label_maps(data, CLASSES)
    matrices = matrix_of(prediction, target, per_image=True)
    stats = smp.get_stats(
        torch.from_numpy(prediction), torch.from_numpy(target), mode="multiclass", num_classes=CLASSES
    )
    for reduction in ("micro", "macro", "weighted", "micro-imagewise", "macro-imagewise", None):
        weights = [1.0, 2.0, 3.0, 4.0, 5.0] if reduction == "weighted" else None
        theirs = getattr(smp, name)(*stats, reduction=reduction, class_weights=weights)
        ours = getattr(smp_0_6, name)(matrices, reduction=reduction, class_weights=weights)
        assert_equal(ours, theirs, 2e-6)


@given(data=st.data())
def test_keras(data):
    os.environ.setdefault("KERAS_BACKEND", "torch")  # as the tests of its losses
    keras = peer("keras")
    prediction, target = label_maps(data, CLASSES, void=VOID)
    matrix = matrix_of(prediction, target)
    if not np.sum(matrix):
        return
    metric = keras.metrics.MeanIoU(num_classes=CLASSES, ignore_class=VOID)
    metric.update_state(target, prediction)
    assert_equal(keras_3_16.mean_iou(matrix), metric.result(), 2e-6)
    chosen = [1, 3]
    metric = keras.metrics.IoU(CLASSES, chosen, ignore_class=VOID)
    metric.update_state(target, prediction)
    assert_equal(keras_3_16.iou(matrix, target_class_ids=chosen), metric.result(), 2e-6)


def test_keras_makes_0_of_nothing():
    nothing = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    assert keras_3_16.mean_iou(nothing) == 0
    assert keras_3_16.iou(nothing, target_class_ids=[1, 3]) == 0


# The formulas of peers that no index has, or that come with gigabytes, on areas that NumPy counts.


@given(data=st.data())
def test_formulas_of_areas(data):
    prediction, target = label_maps(data, CLASSES, void=VOID)
    matrix, valid = matrix_of(prediction, target), target != VOID
    labels = np.arange(CLASSES)[:, None]
    predicted, actual = prediction[valid] == labels, target[valid] == labels
    hit, predicted, actual = (np.sum(pixels, axis=1) for pixels in (predicted & actual, predicted, actual))
    iou, accuracy, precision = ratio(hit, predicted + actual - hit), ratio(hit, actual), ratio(hit, predicted)
    f_score = 5 * precision * accuracy
    with np.errstate(invalid="ignore"):
        f_score = f_score / (4 * precision + accuracy)
    for number in (None, 0.0, 1.0):
        values = [iou if number is None else np.nan_to_num(iou, nan=number) for iou in (iou, accuracy, f_score)]
        options = {"nan_to_num": number}
        assert_equal(mmseg_1_2.miou(matrix, **options), np.nanmean(values[0]))
        assert_equal(mmseg_1_2.macc(matrix, **options), np.nanmean(values[1]))
        assert_equal(mmseg_1_2.mfscore(matrix, beta=2.0, **options), np.nanmean(values[2]))
        mean = np.nanmean(iou)
        expected = mean if number is None else np.nan_to_num(mean, nan=number)
        assert_equal(huggingface_evaluate.mean_iou(matrix, **options), expected)
    there = actual > 0
    assert_equal(detectron2.miou(matrix), np.mean(iou[there]))
    assert_equal(detectron2.fwiou(matrix), ratio(np.sum(iou[there] * actual[there]), np.sum(actual)))
    assert_equal(detectron2.macc(matrix), np.mean(accuracy[there]))


@given(data=st.data())
def test_cityscapes(data):
    """As its `getIouScoreForLabel`: pixels of ignored labels count as missed where they are predicted."""
    prediction, target = label_maps(data, CLASSES)
    ignored = [0, 3]
    every = metrics.confusion_matrix(prediction, target, num_classes=CLASSES)
    scores = []
    for label in (1, 2, 4):
        hits = every[label, label]
        rows = [row for row in range(CLASSES) if row not in (*ignored, label)]
        scores.append(ratio(hits, np.sum(every[label, :]) + np.sum(every[rows, label])))
    assert_equal(cityscapes.class_scores(every, ignored=ignored), scores)
    assert_equal(cityscapes.average_score_classes(every, ignored=ignored), np.nanmean(scores))


@given(data=st.data())
def test_averages_over_images(data):
    prediction, target = label_maps(data, CLASSES)
    counts = counts_of(prediction, target)
    hits, extra, missed = np.moveaxis(counts, -1, 0)
    iou, dice = ratio(hits, hits + extra + missed), ratio(2 * hits, 2 * hits + extra + missed)
    assert_equal(nnunet_2.foreground_mean(counts), np.mean(np.nanmean(dice[:, 1:], axis=0)))
    present = np.where(hits + missed > 0, iou, np.nan)
    assert_equal(jdt.mioui(counts), np.mean(np.nanmean(present, axis=1)))
    assert_equal(jdt.miouc(counts), np.nanmean(np.nanmean(present, axis=0)))
    images = np.sort(np.nanmean(present, axis=1))
    worst = [np.mean(images[: max(1, int(q / 100 * len(images)))]) for q in range(10, 101, 10)]
    assert_equal(jdt.mioui_q(counts, q=10), worst[0])
    assert_equal(jdt.mioui_quantiles(counts), np.mean(worst))


def test_two_classes_of_jdt_are_one_class_and_an_image_without_it_counts_one():
    target, prediction = np.zeros((2, 2, 3), dtype=np.int64), np.zeros((2, 2, 3), dtype=np.int64)
    target[0, 0], prediction[0, 0, :2] = 1, 1
    counts = metrics.class_counts(prediction, target, num_classes=2)
    assert_equal(jdt.mioui(counts), np.mean([2 / 3, 1.0]))


CONSTANT, MIXED = np.zeros((1, 4, 5), dtype=np.int64), np.arange(20).reshape(1, 4, 5) % 3


@pytest.mark.parametrize("average_method", ["arithmetic", "geometric", "min", "max"])
@pytest.mark.parametrize(("prediction", "target"), [(CONSTANT, MIXED), (MIXED, CONSTANT), (CONSTANT, CONSTANT)])
def test_scikit_learn_mutual_information_of_one_label(average_method, prediction, target):
    """Two maps of one label agree; a map of one label knows nothing of a map of several."""
    peers = peer("sklearn.metrics")
    table = metrics.contingency_table(prediction, target)
    ours = sklearn.normalized_mutual_info_score(table, average_method=average_method)
    theirs = peers.normalized_mutual_info_score(target.ravel(), prediction.ravel(), average_method=average_method)
    assert_equal(ours, theirs)
    assert ours == (prediction is target)


@pytest.mark.parametrize("labels", [None, [0, 1, 2, 3], [1, 3]])
@pytest.mark.parametrize("average", ["macro", "weighted"])
@pytest.mark.parametrize("name", ["f1_score", "precision_score", "recall_score"])
def test_scikit_learn_leaves_out_nan_of_zero_division(name, average, labels):
    peers = peer("sklearn.metrics")
    for prediction, target in ((CONSTANT, MIXED), (MIXED, CONSTANT), (CONSTANT, CONSTANT + 1)):
        matrix = metrics.confusion_matrix(prediction, target, num_classes=4)
        options = {"labels": labels, "average": average, "zero_division": np.nan}
        theirs = getattr(peers, name)(target.ravel(), prediction.ravel(), **options)
        assert_equal(getattr(sklearn, name)(matrix, **options), theirs)


@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize("level", ["samplewise", "global"])
@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none"])
def test_torchmetrics_dice_of_absent_foreground(average, level, include_background):
    segmentation = peer("torchmetrics.segmentation")
    import torch

    images = [(CONSTANT, MIXED), (MIXED, CONSTANT), (CONSTANT, CONSTANT)]
    options = {"average": average, "aggregation_level": level, "include_background": include_background}
    for chosen in (images, images[1:], images[2:]):
        prediction, target = (np.concatenate(maps) for maps in zip(*chosen, strict=True))
        metric = segmentation.DiceScore(num_classes=4, input_format="index", **options)
        metric.update(torch.from_numpy(prediction), torch.from_numpy(target))
        counts = metrics.class_counts(prediction, target, num_classes=4)
        assert_equal(torchmetrics_1_9.dice_score(counts, **options), metric.compute(), 2e-6)


@pytest.mark.parametrize(
    ("preset", "statistic", "option", "value"),
    [
        (sklearn.f1_score, "matrix", "average", "samples"),
        (torchmetrics_1_9.jaccard_index, "matrix", "average", "mean"),
        (torchmetrics_1_9.dice_score, "counts", "average", "mean"),
        (torchmetrics_1_9.dice_score, "counts", "aggregation_level", "image"),
        (monai_1_6.dice_metric, "counts", "reduction", "sum"),
        (monai_1_6.compute_generalized_dice, "matrices", "weight_type", "cubic"),
        (smp_0_6.iou_score, "matrices", "reduction", "mean"),
    ],
)
def test_an_option_that_the_preset_does_not_reproduce_is_refused(preset, statistic, option, value):
    made = {
        "matrix": matrix_of(MIXED, MIXED),
        "matrices": matrix_of(MIXED, MIXED, per_image=True),
        "counts": counts_of(MIXED, MIXED),
    }
    with pytest.raises(ValueError, match=f"`{option}` must be .*; got '{value}'"):
        preset(made[statistic], **{option: value})
