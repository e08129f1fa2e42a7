"""Statistics of parts add to that of the whole: in any order and grouping, exactly, on every library."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, strategies as st

from arrayseg import metrics
from arrayseg.testing import to_numpy

IMAGES, CLASSES = 6, 4


def batch_maps(seed):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, CLASSES, (IMAGES, 5, 7), dtype=np.uint8)
    target[rng.random(target.shape) < 0.1] = 255
    return rng.integers(0, CLASSES, target.shape, dtype=np.uint8), target


STATISTICS = {
    "confusion_matrix": lambda prediction, target: metrics.confusion_matrix(
        prediction, target, num_classes=CLASSES, ignore_index=255
    ),
    "boundary_confusion": lambda prediction, target: metrics.boundary_confusion(
        prediction, target, num_classes=CLASSES, ignore_index=255, radius=1
    ),
}


def leaves(statistic):
    """The arrays of a statistic, on the host."""
    parts = statistic if isinstance(statistic, tuple) else (statistic,)
    return [to_numpy(part) for part in parts]


@pytest.mark.parametrize("name", STATISTICS)
@given(order=st.permutations(range(IMAGES)), cuts=st.sets(st.integers(1, IMAGES - 1)), data=st.data())
def test_any_order_and_grouping_gives_identical_integers(library, name, order, cuts, data):
    count = STATISTICS[name]
    prediction, target = batch_maps(seed=3)
    whole = leaves(count(library.asarray(prediction), library.asarray(target)))
    batches = np.split(np.asarray(order), sorted(cuts))
    parts = [count(library.asarray(prediction[batch]), library.asarray(target[batch])) for batch in batches]
    while len(parts) > 1:  # in any tree of sums
        first = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        second = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        parts.append(metrics.add(first, second))
    for found, expected in zip(leaves(parts[0]), whole, strict=True):
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, expected)


def test_pixels_past_two_to_the_24(library):
    if library.name == "strict":
        pytest.skip("the standard alone compares every pixel with every class")
    # float32 has no odd number beyond 2^24.
    shape = 4097, 4099
    target = np.zeros(shape, dtype=np.uint8)
    target[0, 0] = 1
    labels = library.asarray(target)
    matrix = metrics.confusion_matrix(labels, labels, num_classes=2)
    pixels = shape[0] * shape[1]
    assert pixels > 2**24
    assert to_numpy(matrix).tolist() == [[pixels - 1, 0], [0, 1]]
    # 2^7 such batches and one more are beyond int32; the one pixel is not lost among them.
    total = to_numpy(reduce(metrics.add, [matrix] * 129))
    assert total.tolist() == [[129 * (pixels - 1), 0], [0, 129]]
    assert total[0, 0] > 2**31


def test_statistics_that_are_no_counts_do_not_add(library):
    mask = library.asarray(np.eye(3, dtype=bool))
    distances = metrics.surface_distances(mask, mask)
    with pytest.raises(TypeError, match="Compute a score of each"):
        metrics.add(distances, distances)
    masks = library.asarray(np.eye(3, dtype=bool)[None])
    detections = metrics.match_detections(masks, library.asarray([0.9]), masks)
    with pytest.raises(TypeError, match="Pass a list of them to `coco_average_precision`"):
        metrics.add(detections, detections)
