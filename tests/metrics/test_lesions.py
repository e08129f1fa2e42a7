"""Lesions are found, missed and scored as ISLES and BraTS do, and components count as in Panoptica."""

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy

ndimage = pytest.importorskip("scipy.ndimage")
FULL = np.ones((3, 3))


def lesion_maps(seed, shape=(15, 22)):
    rng = np.random.default_rng(seed)
    blobs = rng.random((2, *shape)) < 0.08
    target = ndimage.binary_dilation(blobs[0])
    return np.roll(target, 1, 1) & (rng.random(shape) < 0.7) | blobs[1], target


def by_hand(prediction, target, dilation, minimum_size):
    """Lesion by lesion, with a dilated mask for each."""
    structure = ndimage.generate_binary_structure(2, 2)
    reach = ndimage.binary_dilation(target, structure, dilation) if dilation else target
    zones, number = ndimage.label(reach, FULL)
    found, predictions = ndimage.label(prediction, FULL)
    dice, missed, touching = [], 0, set()
    for zone in range(1, number + 1):
        lesion = target & (zones == zone)
        labels = set(found[zones == zone].tolist()) - {0}
        touching |= labels
        if lesion.sum() <= minimum_size:
            continue
        mask = np.isin(found, list(labels))
        if labels:
            dice.append(2 * (mask & lesion).sum() / (mask.sum() + lesion.sum()))
        else:
            missed += 1
    return sum(dice), len(dice), predictions - len(touching), missed


@pytest.mark.parametrize(("seed", "dilation", "minimum_size"), [(0, 0, 0), (1, 1, 5), (2, 2, 3)])
def test_lesions_by_the_rules(library, seed, dilation, minimum_size):
    prediction, target = lesion_maps(seed)
    arrays = library.asarray(prediction), library.asarray(target)
    expected = by_hand(prediction, target, dilation, minimum_size)
    options = {"dilation": dilation, "minimum_size": minimum_size}
    counts = metrics.match_lesions(*arrays, **options)
    np.testing.assert_allclose([float(part) for part in counts], expected, rtol=1e-12)
    total = sum(expected[1:])
    assert float(metrics.lesion_score(counts)) == pytest.approx(expected[0] / total, rel=1e-12)
    penalized = (expected[0] + 374 * sum(expected[2:])) / total
    assert float(metrics.lesion_score(counts, penalty=374)) == pytest.approx(penalized, rel=1e-12)

    def dice(found, lesion):
        found, lesion = to_numpy(found), to_numpy(lesion)
        return 2 * (found & lesion).sum() / (found.sum() + lesion.sum())

    own = metrics.match_lesions(*arrays, score=dice, **options)
    assert float(own.score_sum) == pytest.approx(expected[0], rel=1e-12)


def test_lesions_of_empty_masks(library):
    nothing, something = library.asarray(np.zeros((4, 5), bool)), library.asarray(np.eye(4, 5, dtype=bool))
    assert [int(part) for part in metrics.match_lesions(nothing, something)] == [0, 0, 0, 1]
    assert [int(part) for part in metrics.match_lesions(something, nothing)] == [0, 0, 1, 0]
    both = metrics.match_lesions(nothing, nothing)
    assert np.isnan(float(metrics.lesion_score(both)))
    assert float(metrics.lesion_score(both, absent=1)) == 1


@pytest.mark.parametrize("seed", range(2))
def test_dice_of_voronoi_cells(library, seed):
    prediction, target = lesion_maps(seed)
    spacing = (2.0, 0.5)
    parts, number = ndimage.label(target, FULL)
    distances = [ndimage.distance_transform_edt(parts != part, sampling=spacing) for part in range(1, number + 1)]
    cells = np.argmin(distances, axis=0)
    expected = [
        2 * (prediction & target)[cells == cell].sum() / (prediction[cells == cell].sum() + target[cells == cell].sum())
        for cell in range(number)
    ]
    result = metrics.component_dice(library.asarray(prediction), library.asarray(target), spacing=spacing)
    np.testing.assert_allclose(to_numpy(result), expected, rtol=1e-14)
    nothing = library.asarray(np.zeros((3, 4), bool))
    assert tuple(metrics.component_dice(nothing, nothing).shape) == (0,)


def test_components_of_every_label(library):
    labels = np.asarray([[1, 1, 0, 7], [2, 2, 0, 7], [1, 0, 2, 0]])
    expected = [[1, 1, 0, 5], [3, 3, 0, 5], [2, 0, 4, 0]]
    np.testing.assert_array_equal(
        to_numpy(metrics.connected_components(library.asarray(labels, "uint8"), connectivity=1)), expected
    )


def test_a_pixel_between_components_belongs_to_the_first(library):
    """Ties in every direction and spacing: the pixel counts against the component that comes first, not the other."""
    for spacing, shape in ((1.0, (5, 9)), ((0.1, 0.3), (5, 9)), (0.7, (3, 4, 7))):
        rng = np.random.default_rng(0)
        for _ in range(4):
            target = rng.random(shape) < 0.08
            target.reshape(-1)[[0, -1]] = True
            prediction = rng.random(shape) < 0.5
            parts, number = ndimage.label(target, np.ones((3,) * target.ndim))
            steps = np.broadcast_to(spacing, target.ndim)
            elements, pixels = np.argwhere(target), np.argwhere(prediction)
            squared = (((pixels[:, None] - elements[None]) * steps) ** 2).sum(-1)
            near = squared <= squared.min(1, keepdims=True) * (1 + 1e-9)
            cells = np.where(near, parts[tuple(elements.T)], number).min(1)
            expected = [
                2 * (prediction & (parts == k)).sum() / ((cells == k).sum() + (parts == k).sum())
                for k in range(1, number + 1)
            ]
            result = metrics.component_dice(library.asarray(prediction), library.asarray(target), spacing=spacing)
            np.testing.assert_allclose(to_numpy(result), expected, rtol=1e-14)


@pytest.mark.parametrize("order", ["C", "F"])
def test_order_of_the_memory_changes_nothing(order):
    prediction, target = (np.asarray(mask, order=order) for mask in lesion_maps(1))
    counts = metrics.match_lesions(prediction, target, dilation=1)
    np.testing.assert_allclose([float(part) for part in counts], by_hand(prediction, target, 1, 0), rtol=1e-12)
    target = np.zeros((6, 4), dtype=bool, order=order)
    target[1:4, 2] = True  # three rows of one column
    shapes = []

    def score(found, lesion):
        shapes.append((found.shape, lesion.any(axis=1).sum(), lesion.any(axis=0).sum()))
        return 0.5

    assert float(metrics.match_lesions(target, target, score=score).score_sum) == 0.5
    assert shapes == [((6, 4), 3, 1)]


def test_components_of_maps_of_many_labels():
    """Of drawn maps in C and in Fortran order, of one to three axes, every label is numbered as its own mask is."""
    rng = np.random.default_rng(0)
    for shape in ((40,), (23, 31), (7, 9, 11), (1, 6), (6, 1)):
        for labels in (rng.integers(-1, 3, shape), rng.integers(0, 2, shape) * 2**40, rng.integers(0, 2, shape)):
            for connectivity in range(1, len(shape) + 1):
                expected, count = np.zeros(shape, int), 0
                for value in np.unique(labels[labels != 0]):
                    structure = ndimage.generate_binary_structure(len(shape), connectivity)
                    part, number = ndimage.label(labels == value, structure)
                    expected += np.where(part > 0, part + count, 0)
                    count += number
                for array in (labels, np.asfortranarray(labels)):
                    result = metrics.connected_components(array, connectivity=connectivity)
                    np.testing.assert_array_equal(result, expected)
                    assert result.dtype == np.int32


def test_components_of_labels_beyond_63_bits(library):
    labels = np.asarray([[2**64 - 3, 0, 2**63], [5, 5, 2**63]], dtype=np.uint64)
    found = metrics.connected_components(library.asarray(labels), connectivity=1)
    assert to_numpy(found).tolist() == [[3, 0, 2], [1, 1, 2]]


def test_what_is_refused():
    mask = np.zeros((3, 4), bool)
    with pytest.raises(ValueError, match="`connectivity` must be from 1 to 2; got 3"):
        metrics.connected_components(mask, connectivity=3)
    with pytest.raises(TypeError, match="`prediction` must be a boolean mask"):
        metrics.match_lesions(mask.astype(int), mask)
    with pytest.raises(ValueError, match="`dilation` must be at least 0; got -1"):
        metrics.match_lesions(mask, mask, dilation=-1)
    with pytest.raises(ValueError, match="`spacing` must be a positive number, or one for each of the 2"):
        metrics.component_dice(mask, mask, spacing=(1.0,))


@pytest.mark.data
def test_values_of_isles(data):
    nibabel = pytest.importorskip("nibabel")
    folder = data / "isles22_stroke"
    prediction, target = (
        np.asarray(nibabel.load(folder / name).dataobj) > 0
        for name in ("pred/sub-strokecase0009_p99.nii.gz", "gt/sub-strokecase0009_msk.nii.gz")
    )
    counts = metrics.match_lesions(prediction, target)
    assert [int(part) for part in counts[1:]] == [15, 88, 3]
    assert float(metrics.instance_f1(counts)) == pytest.approx(0.24793388429752067, rel=1e-15)


@pytest.mark.data
def test_semantic_components_of_panoptica(data):
    nibabel = pytest.importorskip("nibabel")
    files = (data / "panoptica_spine" / "semantic" / f"{name}.nii.gz" for name in ("pred", "ref"))
    maps = [np.asarray(nibabel.load(file).dataobj).astype(np.uint8) for file in files]
    parts = [metrics.connected_components(labels) for labels in maps]
    assert [int(part.max()) for part in parts] == [89, 87]
    counts = metrics.match_instances(*parts)
    assert [int(part) for part in counts[1:]] == [73, 16, 14]
    assert float(metrics.panoptic_quality(counts).pq) == pytest.approx(0.6586696657808406, rel=1e-12)
