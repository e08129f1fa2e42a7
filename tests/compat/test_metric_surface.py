"""Presets of surface and overlap metrics of two masks against their peers."""

import numpy as np
import pytest
from compat.drawn import masks, peer, two_classes
from hypothesis import given, strategies as st

from arrayseg import metrics
from arrayseg.compat import (
    deepmind,
    medpy_0_5,
    metrics_reloaded,
    monai_1_6,
    panoptica_2,
    skimage,
    torchmetrics_1_9,
)

pytestmark = [pytest.mark.compat, pytest.mark.filterwarnings("ignore")]

TOLERANCES = st.sampled_from([0.0, 0.8, 2.0])
EMPTY, FULL = np.zeros((6, 7), dtype=bool), np.ones((6, 7), dtype=bool)
EMPTY_PAIRS = [(EMPTY, EMPTY), (EMPTY, FULL), (FULL, EMPTY)]


def assert_equal(ours, theirs, rtol=1e-12):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol, atol=rtol)


@given(data=st.data())
def test_deepmind(data):
    peer("surface_distance")
    from surface_distance import metrics as peers

    prediction, target, spacing = masks(data)
    theirs = peers.compute_surface_distances(target, prediction, spacing)
    ours = deepmind.surface_distances(prediction, target, spacing_mm=spacing)
    tolerance = data.draw(TOLERANCES)
    assert_equal(deepmind.compute_average_surface_distance(ours), peers.compute_average_surface_distance(theirs))
    for percent in (95, 100):
        value = deepmind.compute_robust_hausdorff(ours, percent=percent)
        assert_equal(value, peers.compute_robust_hausdorff(theirs, percent))
    for name in ("compute_surface_overlap_at_tolerance", "compute_surface_dice_at_tolerance"):
        assert_equal(getattr(deepmind, name)(ours, tolerance_mm=tolerance), getattr(peers, name)(theirs, tolerance))
    value = deepmind.compute_dice_coefficient(two_classes(prediction, target))
    assert_equal(value, peers.compute_dice_coefficient(target, prediction))


@pytest.mark.parametrize(("prediction", "target"), EMPTY_PAIRS)
def test_deepmind_of_empty_masks(monkeypatch, prediction, target):
    peer("surface_distance")
    from surface_distance import metrics as peers

    monkeypatch.setattr(np, "Inf", np.inf, raising=False)  # the release is older than NumPy 2
    monkeypatch.setattr(np, "NaN", np.nan, raising=False)
    theirs = peers.compute_surface_distances(target, prediction, (1.0, 2.0))
    ours = deepmind.surface_distances(prediction, target, spacing_mm=(1.0, 2.0))
    assert_equal(deepmind.compute_average_surface_distance(ours), peers.compute_average_surface_distance(theirs))
    assert_equal(deepmind.compute_robust_hausdorff(ours, percent=95), peers.compute_robust_hausdorff(theirs, 95))
    for name in ("compute_surface_overlap_at_tolerance", "compute_surface_dice_at_tolerance"):
        assert_equal(getattr(deepmind, name)(ours, tolerance_mm=1.0), getattr(peers, name)(theirs, 1.0))
    value = deepmind.compute_dice_coefficient(two_classes(prediction, target))
    assert_equal(value, peers.compute_dice_coefficient(target, prediction))


@given(data=st.data())
def test_medpy_distances(data):
    peer("medpy.metric.binary")
    from medpy.metric import binary

    prediction, target, spacing = masks(data)
    connectivity = data.draw(st.integers(1, len(spacing)))
    ours = medpy_0_5.surface_distances(prediction, target, voxelspacing=spacing, connectivity=connectivity)
    for name in ("hd", "hd95", "asd", "assd"):
        theirs = getattr(binary, name)(prediction, target, voxelspacing=spacing, connectivity=connectivity)
        assert_equal(getattr(medpy_0_5, name)(ours), theirs)


@given(data=st.data())
def test_medpy_overlaps(data):
    peer("medpy.metric.binary")
    from medpy.metric import binary

    prediction, target, _ = masks(data, empty=True)
    matrix = two_classes(prediction, target)
    for name in ("dc", "jc", "precision", "recall", "sensitivity", "specificity"):
        with np.errstate(invalid="ignore"):
            theirs = getattr(binary, name)(prediction, target)
        # NumPy's zero by zero is nan, and does not raise what medpy waits for.
        assert_equal(getattr(medpy_0_5, name)(matrix), theirs) if np.isfinite(theirs) else None
    if np.any(target):
        assert_equal(medpy_0_5.ravd(matrix), binary.ravd(prediction, target))


@pytest.mark.parametrize(("prediction", "target"), EMPTY_PAIRS)
def test_medpy_raises_of_empty_masks(prediction, target):
    distances = medpy_0_5.surface_distances(prediction, target)
    for name in ("hd", "hd95", "asd", "assd"):
        with pytest.raises(ValueError, match="empty"):
            getattr(medpy_0_5, name)(distances)


def one_hot(*pair):
    import torch

    return [torch.from_numpy(np.stack([~mask, mask])[None]).float() for mask in pair]


@given(data=st.data())
def test_monai(data):
    monai = peer("monai.metrics")
    prediction, target, spacing = masks(data)
    channels = one_hot(prediction, target)
    options = {"spacing": spacing}
    ours = monai_1_6.surface_distances(prediction, target, **options)
    for percentile in (None, 0, 50, 95):
        theirs = monai.compute_hausdorff_distance(*channels, percentile=percentile, **options)[0, 0]
        assert_equal(monai_1_6.compute_hausdorff_distance(ours, percentile=percentile), theirs, 2e-6)
    theirs = monai.compute_hausdorff_distance(*channels, directed=True, **options)[0, 0]
    assert_equal(monai_1_6.compute_hausdorff_distance(ours, directed=True), theirs, 2e-6)
    for symmetric in (False, True):
        theirs = monai.compute_average_surface_distance(*channels, symmetric=symmetric, **options)[0, 0]
        assert_equal(monai_1_6.compute_average_surface_distance(ours, symmetric=symmetric), theirs, 2e-6)
    tolerance = data.draw(TOLERANCES)
    for use_subvoxels in (False, True):
        ours = monai_1_6.surface_distances(prediction, target, use_subvoxels=use_subvoxels, **options)
        theirs = monai.compute_surface_dice(*channels, [tolerance], use_subvoxels=use_subvoxels, **options)[0, 0]
        assert_equal(monai_1_6.compute_surface_dice(ours, class_threshold=tolerance), theirs, 1e-5)


@pytest.mark.parametrize(("prediction", "target"), EMPTY_PAIRS)
def test_monai_of_empty_masks(prediction, target):
    monai = peer("monai.metrics")
    channels = one_hot(prediction, target)
    ours = monai_1_6.surface_distances(prediction, target)
    assert_equal(monai_1_6.compute_hausdorff_distance(ours), monai.compute_hausdorff_distance(*channels)[0, 0])
    theirs = monai.compute_surface_dice(*channels, [1.0])[0, 0]
    assert_equal(monai_1_6.compute_surface_dice(ours, class_threshold=1.0), theirs)
    for symmetric in (False, True):
        theirs = monai.compute_average_surface_distance(*channels, symmetric=symmetric)[0, 0]
        assert_equal(monai_1_6.compute_average_surface_distance(ours, symmetric=symmetric), theirs)


def test_a_missed_structure_is_not_left_out_of_the_percentile():
    """MONAI 1.6 has nan there, which its mean drops."""
    monai = peer("monai.metrics")
    ours = monai_1_6.surface_distances(EMPTY, FULL)
    assert np.isnan(monai.compute_hausdorff_distance(*one_hot(EMPTY, FULL), percentile=95)[0, 0])
    assert np.isinf(monai_1_6.compute_hausdorff_distance(ours, percentile=95))


def test_metrics_reloaded_of_empty_masks():
    """Read in its source: it is no package that an index has."""
    for prediction, target in EMPTY_PAIRS:
        ours = metrics_reloaded.surface_distances(prediction, target)
        matrix = two_classes(prediction, target)
        both = not np.any(prediction | target)
        distance = 0.0 if both else np.nan
        for name in (
            "measured_hausdorff_distance",
            "measured_hausdorff_distance_perc",
            "measured_average_distance",
            "measured_masd",
        ):
            assert_equal(getattr(metrics_reloaded, name)(ours), distance)
        assert_equal(metrics_reloaded.normalised_surface_distance(ours), 1.0 if both else 0.0)
        assert_equal(metrics_reloaded.dsc(matrix), 1.0 if both else 0.0)
        assert_equal(metrics_reloaded.intersection_over_union(matrix), np.nan if both else 0.0)
        assert_equal(metrics_reloaded.positive_predictive_values(matrix), np.nan if both else 0.0)
        assert_equal(metrics_reloaded.sensitivity(matrix), 0.0 if np.any(target) else np.nan)


@given(data=st.data())
def test_panoptica_distances(data):
    peer("panoptica")
    from panoptica.metrics.assd import _average_symmetric_surface_distance
    from panoptica.metrics.hausdorff_distance import _compute_hausdorff_distance, _compute_hausdorff_distance95
    from panoptica.metrics.normalized_surface_dice import _compute_normalized_surface_dice

    prediction, target, spacing = masks(data)
    ours = panoptica_2.surface_distances(prediction, target, voxelspacing=spacing)
    for name, function in {
        "hd": _compute_hausdorff_distance,
        "hd95": _compute_hausdorff_distance95,
        "assd": _average_symmetric_surface_distance,
    }.items():
        assert_equal(getattr(panoptica_2, name)(ours), function(target, prediction, voxelspacing=spacing))
    tolerance = data.draw(TOLERANCES)
    theirs = _compute_normalized_surface_dice(target, prediction, voxelspacing=spacing, threshold=tolerance)
    assert_equal(panoptica_2.nsd(ours, threshold=tolerance), theirs, 1e-9)


@given(data=st.data())
def test_panoptica_overlaps(data):
    peer("panoptica")
    from panoptica import metrics as peers

    prediction, target, _ = masks(data)
    matrix = two_classes(prediction, target)
    for name in ("dsc", "iou", "rvd", "rvae"):
        theirs = getattr(peers.Metric, name.upper())(target, prediction)
        assert_equal(getattr(panoptica_2, name)(matrix), theirs)


def test_panoptica_matches_at_exactly_one_half():
    panoptica = peer("panoptica")
    target = np.zeros((6, 12), dtype=np.uint8)
    target[1:3, 1:5], target[4:6, 1:5], target[1:3, 7:9] = 1, 2, 3
    prediction = np.zeros_like(target)
    prediction[1:3, 1:3], prediction[4:6, 1:6], prediction[4:6, 8:10] = 4, 5, 6
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.UNMATCHED_INSTANCE, instance_matcher=panoptica.NaiveThresholdMatching()
    )
    theirs = evaluator.evaluate(prediction, target, verbose=False)["ungrouped"]
    ours = panoptica_2.match_instances(prediction, target)
    assert (ours.true_positives, ours.false_positives, ours.false_negatives) == (theirs.tp, theirs.fp, theirs.fn)
    for name in ("pq", "sq", "rq"):
        assert_equal(getattr(panoptica_2, name)(ours), getattr(theirs, name))
    assert panoptica_2.pq(ours) > metrics.panoptic_quality(metrics.match_instances(prediction, target)).pq


@given(data=st.data())
def test_scikit_image_distances(data):
    peers = peer("skimage.metrics")
    prediction, target, _ = masks(data, empty=True)
    ours = skimage.surface_distances(prediction, target)
    assert_equal(skimage.hausdorff_distance(ours), peers.hausdorff_distance(prediction, target))
    if np.any(prediction) == np.any(target):
        theirs = peers.hausdorff_distance(prediction, target, method="modified")
        assert_equal(skimage.hausdorff_distance(ours, method="modified"), theirs)


@given(data=st.data())
def test_scikit_image_clusterings(data):
    peers = peer("skimage.metrics")
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    prediction, target = generator.integers(0, 4, (2, 7, 11))
    table = metrics.contingency_table(prediction, target)
    theirs = peers.variation_of_information(target, prediction)
    assert_equal(skimage.variation_of_information(table)[:2], theirs)
    table = metrics.contingency_table(prediction, target, ignore_index=0)
    assert_equal(skimage.adapted_rand_error(table, alpha=0.3), peers.adapted_rand_error(target, prediction, alpha=0.3))


@given(data=st.data())
def test_torchmetrics_of_square_images(data):
    """Of others its release errs."""
    segmentation = peer("torchmetrics.functional.segmentation")
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    prediction, target = generator.random((2, 9, 9)) < 0.3
    ours = torchmetrics_1_9.surface_distances(prediction, target, spacing=(2.0, 0.5))
    for directed in (False, True):
        theirs = segmentation.hausdorff_distance(
            *(channels.int() for channels in one_hot(prediction, target)), 2, spacing=[2.0, 0.5], directed=directed
        )
        assert_equal(torchmetrics_1_9.hausdorff_distance(ours, directed=directed), theirs[0, 0], 2e-6)
