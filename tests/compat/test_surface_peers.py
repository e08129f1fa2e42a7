"""The surface metrics of the installed peers, from one measurement each."""

import warnings

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.imaging.surface_elements import surface_element_sizes

pytestmark = [pytest.mark.compat, pytest.mark.filterwarnings("ignore")]

SPACINGS = {2: (2.5, 0.8), 3: (2.5, 0.8, 1.1)}


def peer(name):
    """A peer; what it warns of as it is imported is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def balls(ndim, seed):
    """Two balls that differ by one pixel, with noise. One of them touches the edge."""
    rng = np.random.default_rng(seed)
    shape = (11, 24, 19)[-ndim:]
    grid = np.indices(shape) * np.reshape(SPACINGS[ndim], (-1, *[1] * ndim))
    center = np.reshape([s * (n - 1) / 2 for s, n in zip(SPACINGS[ndim], shape, strict=True)], (-1, *[1] * ndim))
    distance = np.sqrt(np.sum((grid - center) ** 2, axis=0))
    first, second = distance < 8, np.roll(distance, 3, axis=-1) < 7.5
    return first ^ (rng.random(shape) < 0.01), second ^ (rng.random(shape) < 0.01)


PAIRS = [pytest.param(*balls(ndim, seed), SPACINGS[ndim], id=f"{ndim}d-{seed}") for ndim in (2, 3) for seed in (0, 1)]


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 2.5), (1.0, 1.0, 1.0), (0.7, 3.3, 0.9)])
def test_surface_distance_tables(spacing):
    tables = pytest.importorskip("surface_distance.lookup_tables")
    if len(spacing) == 2:
        table = tables.create_table_neighbour_code_to_contour_length(spacing)
    else:
        table = tables.create_table_neighbour_code_to_surface_area(spacing)
    np.testing.assert_allclose(surface_element_sizes(spacing), table, rtol=1e-12)


@pytest.mark.parametrize(("prediction", "target", "spacing"), PAIRS)
def test_surface_distance(prediction, target, spacing):
    peer("surface_distance")
    from surface_distance import metrics as peers

    theirs = peers.compute_surface_distances(target, prediction, spacing)
    ours = metrics.surface_distances(prediction, target, spacing=spacing, definition="surface_element")
    np.testing.assert_allclose(np.sort(ours.prediction_to_target), theirs["distances_pred_to_gt"], rtol=1e-12)
    for percentile in (50, 95, 100):
        value = metrics.hausdorff(ours, percentile=percentile)
        np.testing.assert_allclose(value, peers.compute_robust_hausdorff(theirs, percentile), rtol=1e-12)
    pair = metrics.average_surface_distance(ours)[::-1]
    np.testing.assert_allclose(pair, peers.compute_average_surface_distance(theirs), rtol=1e-12)
    for tolerance in (0.0, 0.8, 2.0):
        value = metrics.surface_dice(ours, tolerance)
        np.testing.assert_allclose(value, peers.compute_surface_dice_at_tolerance(theirs, tolerance), rtol=1e-12)
        pair = metrics.surface_overlap(ours, tolerance)[::-1]
        np.testing.assert_allclose(pair, peers.compute_surface_overlap_at_tolerance(theirs, tolerance), rtol=1e-12)


@pytest.mark.parametrize(("prediction", "target", "spacing"), PAIRS)
@pytest.mark.parametrize("connectivity", [1, 2])
def test_medpy(prediction, target, spacing, connectivity):
    peer("medpy.metric.binary")
    from medpy.metric import binary

    ours = metrics.surface_distances(prediction, target, spacing=spacing, connectivity=connectivity)
    arguments = (prediction, target, spacing, connectivity)
    np.testing.assert_allclose(metrics.hausdorff(ours), binary.hd(*arguments), rtol=1e-12)
    hd95 = metrics.hausdorff(ours, percentile=95, combine="pooled")
    np.testing.assert_allclose(hd95, binary.hd95(*arguments), rtol=1e-12)
    np.testing.assert_allclose(metrics.average_surface_distance(ours)[0], binary.asd(*arguments), rtol=1e-12)
    np.testing.assert_allclose(metrics.average_symmetric_surface_distance(ours), binary.assd(*arguments), rtol=1e-12)


@pytest.mark.parametrize(("prediction", "target", "spacing"), PAIRS)
def test_monai(prediction, target, spacing):
    monai = peer("monai.metrics")
    import torch

    one_hot = [torch.from_numpy(np.stack([~mask, mask])[None]).float() for mask in (prediction, target)]
    ours = metrics.surface_distances(prediction, target, spacing=spacing)
    for percentile in (None, 50, 95):
        theirs = monai.compute_hausdorff_distance(*one_hot, percentile=percentile, spacing=spacing)
        value = metrics.hausdorff(ours, percentile=percentile or 100)
        np.testing.assert_allclose(value, theirs[0, 0], rtol=1e-6)
    theirs = monai.compute_hausdorff_distance(*one_hot, directed=True, spacing=spacing)
    np.testing.assert_allclose(metrics.hausdorff(ours, combine="prediction"), theirs[0, 0], rtol=1e-6)
    theirs = monai.compute_average_surface_distance(*one_hot, symmetric=True, spacing=spacing)
    np.testing.assert_allclose(metrics.average_symmetric_surface_distance(ours), theirs[0, 0], rtol=1e-6)
    theirs = monai.compute_average_surface_distance(*one_hot, spacing=spacing)
    np.testing.assert_allclose(metrics.average_surface_distance(ours)[0], theirs[0, 0], rtol=1e-6)
    theirs = monai.compute_surface_dice(*one_hot, class_thresholds=[2.0], spacing=spacing)
    np.testing.assert_allclose(metrics.surface_dice(ours, 2.0), theirs[0, 0], rtol=1e-6)
    theirs = monai.compute_surface_dice(*one_hot, class_thresholds=[2.0], spacing=spacing, use_subvoxels=True)
    elements = metrics.surface_distances(prediction, target, spacing=spacing, definition="surface_element")
    np.testing.assert_allclose(metrics.surface_dice(elements, 2.0), theirs[0, 0], rtol=1e-5)


@pytest.mark.parametrize(("prediction", "target", "spacing"), PAIRS)
def test_scikit_image(prediction, target, spacing):
    skimage = peer("skimage.metrics")
    ours = metrics.surface_distances(prediction, target, definition="points")
    np.testing.assert_allclose(metrics.hausdorff(ours), skimage.hausdorff_distance(prediction, target), rtol=1e-12)
    modified = skimage.hausdorff_distance(prediction, target, method="modified")
    np.testing.assert_allclose(metrics.modified_hausdorff(ours), modified, rtol=1e-12)


def test_empty_masks_of_the_peers():
    monai = peer("monai.metrics")
    import torch

    empty, full = np.zeros((6, 7), dtype=bool), np.ones((6, 7), dtype=bool)
    for prediction, target in ((empty, empty), (empty, full), (full, empty)):
        one_hot = [torch.from_numpy(np.stack([~mask, mask])[None]).float() for mask in (prediction, target)]
        ours = metrics.surface_distances(prediction, target)
        theirs = monai.compute_hausdorff_distance(*one_hot)
        np.testing.assert_array_equal(metrics.hausdorff(ours), theirs[0, 0])
