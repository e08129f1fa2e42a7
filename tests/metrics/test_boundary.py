"""Boundary metrics: against the definition pixel by pixel, many classes at once, void, edges, sums over images."""

import json
import math

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy

DEFINITIONS = {"band": 2, "contour": 1, "trimap": 2}
SCORES = {"band": metrics.boundary_iou, "contour": metrics.boundary_f, "trimap": metrics.trimap_iou}


def labels(shape, seed, num_classes=4):
    """Two maps of blocks of labels that agree for the most part."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, num_classes, (shape[0], -(-shape[1] // 3), -(-shape[2] // 3)))
    target = np.kron(coarse, np.ones((1, 3, 3), dtype=int))[: shape[0], : shape[1], : shape[2]]
    noise = rng.random(shape) < 0.2
    return np.where(noise, rng.integers(0, num_classes, shape), target).astype(np.uint8), target.astype(np.uint8)


def near(mask, radius):
    points = np.argwhere(mask)
    distances = np.full(mask.shape, np.inf)
    for position in np.ndindex(mask.shape):
        distances[position] = np.sum((points - position) ** 2, axis=1).min(initial=2**30)
    return distances <= radius**2


def band(region, radius):
    padded, inside = np.pad(region, radius), np.zeros_like(region)
    for i, j in np.ndindex(region.shape):
        inside[i, j] = padded[i : i + 2 * radius + 1, j : j + 2 * radius + 1].all()
    return region & ~inside


def contour(region):
    differs = np.zeros_like(region)
    for i, j in np.ndindex(region.shape):
        differs[i, j] = (region[i : i + 2, j : j + 2] != region[i, j]).any()
    return differs


def expected_counts(prediction, target, num_classes, definition, radius):
    """The four counts of one image by the words of the docstring, as (C, 4)."""
    edge = np.zeros(target.shape, dtype=bool)
    for label in range(num_classes):
        edge |= (target == label) & near(target != label, radius)
    rows = []
    for label in range(num_classes):
        first, second = prediction == label, target == label
        if definition == "band":
            first, second = band(first, radius), band(second, radius)
        elif definition == "trimap":
            first, second = first & edge, second & edge
        if definition == "contour":
            first, second = contour(first), contour(second)
            matched = first & near(second, radius), second & near(first, radius)
        else:
            matched = first & second, first & second
        rows.append([np.sum(matched[0]), np.sum(first), np.sum(matched[1]), np.sum(second)])
    return np.asarray(rows)


@pytest.mark.parametrize(("definition", "radius"), DEFINITIONS.items())
def test_counts_equal_the_definition(library, definition, radius):
    prediction, target = labels((2, 11, 16), 0)
    target[0][target[0] == 3] = 0
    counts = metrics.boundary_confusion(
        library.asarray(prediction), library.asarray(target), num_classes=5, definition=definition, radius=radius,
        per_image=True,
    )  # fmt: skip
    expected = np.stack(
        [expected_counts(*pair, 5, definition, radius) for pair in zip(prediction, target, strict=True)]
    )
    assert all(str(count.dtype).endswith("int64") for count in counts)
    np.testing.assert_array_equal(np.stack([to_numpy(count) for count in counts], axis=-1), expected)


@pytest.mark.parametrize(("definition", "radius"), DEFINITIONS.items())
def test_chosen_classes_are_counted_in_their_order(library, definition, radius):
    prediction, target = labels((2, 10, 13), 6)
    options = {"num_classes": 4, "definition": definition, "radius": radius}
    counts = metrics.boundary_confusion(
        library.asarray(prediction), library.asarray(target), classes=np.asarray([3, 1]), **options
    )
    expected = sum(expected_counts(*pair, 4, definition, radius) for pair in zip(prediction, target, strict=True))
    np.testing.assert_array_equal(np.stack([to_numpy(count) for count in counts], axis=-1), expected[[3, 1]])
    images = metrics.boundary_confusion(prediction, target, classes=range(1, 4), per_image=True, **options)
    assert all(count.shape == (2, 3) for count in images)
    for wrong in ([4], [1, 1], []):
        with pytest.raises(ValueError, match="`classes` must be different whole numbers from 0 to 3"):
            metrics.boundary_confusion(prediction, target, classes=wrong, **options)


@pytest.mark.parametrize("count", [metrics.boundary_confusion, metrics.surface_table])
def test_a_single_map_is_no_batch_of_signals(library, count):
    """The rows of a map (H, W) were taken for H images of one line."""
    target = library.asarray(np.eye(4, dtype=np.uint8))
    with pytest.raises(
        ValueError, match=r"at least two spatial axes.*got shape \(4, 4\)\. Pass.*`target\[None, ...\]`\."
    ):
        count(target, target, num_classes=2)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_every_class_is_that_of_its_own_binary_map(definition):
    prediction, target = labels((2, 11, 16), 1)
    options = {"definition": definition, "radius": 1}
    counts = metrics.boundary_confusion(prediction, target, num_classes=4, **options)
    for label in range(4):
        if definition == "trimap":
            continue  # The band is across all borders.
        alone = metrics.boundary_confusion(prediction == label, target == label, num_classes=2, **options)
        assert [count[label] for count in counts] == [count[1] for count in alone]


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_sums_over_images(library, definition):
    maps = [library.asarray(array) for array in labels((3, 9, 14), 2)]
    options = {"num_classes": 4, "definition": definition, "radius": 1}
    whole = metrics.boundary_confusion(*maps, **options)
    first = metrics.boundary_confusion(*(array[:1, ...] for array in maps), **options)
    rest = metrics.boundary_confusion(*(array[1:, ...] for array in maps), **options)
    for count, total in zip(metrics.add(rest, first), whole, strict=True):
        np.testing.assert_array_equal(to_numpy(count), to_numpy(total))
    score = SCORES[definition](whole)
    expected = SCORES[definition](metrics.boundary_confusion(*map(to_numpy, maps), **options))
    np.testing.assert_allclose(to_numpy(score), expected, rtol=1e-12 if "float64" in str(score.dtype) else 2e-6)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_void_makes_no_boundary_and_counts_nowhere(definition):
    prediction, target = labels((1, 12, 15), 3)
    void = np.zeros(target.shape, dtype=bool)
    void[:, 4:7, 5:9] = True
    marked = np.where(void, np.uint8(255), target)
    options = {"num_classes": 4, "definition": definition, "radius": 1}
    counts = metrics.boundary_confusion(prediction, marked, ignore_index=255, **options)
    other = metrics.boundary_confusion(np.where(void, np.uint8(3), prediction), marked, ignore_index=255, **options)
    for count, same in zip(counts, other, strict=True):
        np.testing.assert_array_equal(count, same)
    if definition != "trimap":
        masked = metrics.boundary_confusion(prediction, target, mask=~void, **options)
        for count, same in zip(counts, masked, strict=True):
            np.testing.assert_array_equal(count, same)
    one_class = np.where(void, np.uint8(255), np.zeros_like(target))
    counts = metrics.boundary_confusion(np.zeros_like(target), one_class, ignore_index=255, **options)
    # A map of one class has the edge of the image as its band, no contour, and a trimap around the void.
    size = {"band": 2 * (12 + 15) - 4, "contour": 0, "trimap": 2 * (3 + 4)}[definition]
    assert counts.target[0] == size


def test_three_dimensions():
    target = np.zeros((1, 9, 10, 11), dtype=np.uint8)
    target[:, 3:7, 2:8, 3:9] = 1
    counts = metrics.boundary_confusion(target, target, num_classes=2, radius=1)
    assert counts.target[1] == 4 * 6 * 6 - 2 * 4 * 4
    moved = np.roll(target, 2, axis=3)
    counts = metrics.boundary_confusion(moved, target, num_classes=2, definition="contour", radius=2)
    np.testing.assert_array_equal(metrics.boundary_f(counts), [1, 1])
    counts = metrics.boundary_confusion(moved, target, num_classes=2, definition="contour", radius=1)
    assert np.all(metrics.boundary_f(counts) < 1)


def test_radius_of_the_diagonal():
    target = np.zeros((1, 300, 400), dtype=np.uint8)
    target[:, 50:250, 60:300] = 1
    for options, radius in (({}, 10), ({"ratio": 0.005}, 2), ({"ratio": 0.0001}, 1)):
        by_ratio = metrics.boundary_confusion(target, target, num_classes=2, **options)
        by_radius = metrics.boundary_confusion(target, target, num_classes=2, radius=radius)
        assert by_ratio.target[1] == by_radius.target[1] == 200 * 240 - (200 - 2 * radius) * (240 - 2 * radius)
    moved = np.roll(target, 4, axis=1)
    counts = metrics.boundary_confusion(moved, target, num_classes=2, definition="contour")  # 0.008 * 500 = 4
    np.testing.assert_array_equal(metrics.boundary_f(counts), [1, 1])
    counts = metrics.boundary_confusion(moved, target, num_classes=2, definition="contour", ratio=0.006)
    assert np.all(metrics.boundary_f(counts) < 1)


def test_absent_and_missed_classes():
    empty, full = np.zeros((1, 6, 8), dtype=np.uint8), np.zeros((1, 6, 8), dtype=np.uint8)
    full[:, 2:4, 2:5] = 1
    for definition, score in SCORES.items():
        options = {"num_classes": 3, "definition": definition, "radius": 1}
        for maps in ((empty, full), (full, empty)):
            counts = metrics.boundary_confusion(*maps, **options)
            if definition != "trimap" or maps[1] is full:
                assert score(counts)[1] == 0, definition
            assert math.isnan(score(counts)[2])
            np.testing.assert_array_equal(score(counts, absent=1, classes=[2]), [1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"definition": "edge"}, "`definition` must be 'band', 'contour' or 'trimap'"),
        ({"definition": "trimap"}, "needs a `radius`"),
        ({"radius": 2, "ratio": 0.1}, "either `ratio` or a `radius`"),
        ({"radius": -1}, "`radius` must be at least 0; got -1"),
        ({"ratio": 0.0}, "positive `ratio`"),
        ({"num_classes": 1, "radius": 1}, "has the label 1"),
    ],
)
def test_wrong_arguments(options, message):
    maps = np.ones((2, 1, 4, 5), dtype=np.uint8)
    with pytest.raises(ValueError, match=message):
        metrics.boundary_confusion(*maps, **({"num_classes": 2} | options))
    with pytest.raises(ValueError, match="batch axis"):
        metrics.boundary_confusion(maps[0, 0, 0], maps[0, 0, 0], num_classes=2, radius=1)


@pytest.mark.compile
@pytest.mark.parametrize(("definition", "radius"), DEFINITIONS.items())
def test_jax_jit(definition, radius):
    jax = pytest.importorskip("jax")
    prediction, target = labels((2, 9, 14), 4)
    options = {"num_classes": 4, "definition": definition, "radius": radius, "ignore_index": 3}
    compiled = jax.jit(lambda *maps: SCORES[definition](metrics.boundary_confusion(*maps, **options)))
    value = compiled(jax.numpy.asarray(prediction), jax.numpy.asarray(target))
    # Predictions of class 3 stay, its target is void: nothing is out of range.
    expected = SCORES[definition](metrics.boundary_confusion(prediction, target, **options))
    np.testing.assert_allclose(value, expected, rtol=1e-12 if value.dtype == jax.numpy.float64 else 2e-6)


@pytest.mark.compile
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning")
def test_torch_compile():
    torch = pytest.importorskip("torch")
    prediction, target = (torch.from_numpy(array) for array in labels((1, 9, 14), 5, num_classes=2))
    options = {"num_classes": 2, "definition": "band", "radius": 2}
    # Traced whole; what Inductor makes of shifts and sums is not this project's matter, and takes half a minute.
    compiled = torch.compile(
        lambda *maps: metrics.boundary_confusion(*maps, **options), fullgraph=True, backend="aot_eager"
    )
    expected = metrics.boundary_confusion(prediction, target, **options)
    assert all(map(torch.equal, compiled(prediction, target), expected))


@pytest.mark.data
@pytest.mark.parametrize("sequence", ["blackswan", "breakdance", "scooter-black"])
def test_davis_published_f_of_every_frame(data, sequence):
    Image = pytest.importorskip("PIL.Image")
    folder = data / "davis2016"
    published = json.loads((folder / "published_per_frame.json").read_text())["osvos"][sequence]

    def read(kind):
        return np.stack([np.asarray(Image.open(folder / kind / sequence / name)) > 0 for name in published["frames"]])

    counts = metrics.boundary_confusion(
        read("pred_osvos"), read("gt"), num_classes=2, definition="contour", per_image=True
    )
    scores = metrics.boundary_f(counts, absent=1.0, classes=[1])[:, 0]
    assert np.max(np.abs(scores - published["F"])) < 0.0005
    assert abs(np.mean(scores) - published["F_mean"]) < 0.0005


def test_void_beyond_63_bits(library):
    rng = np.random.default_rng(0)
    prediction, target = rng.integers(0, 3, (2, 1, 9, 11))
    void = np.where(target == 2, 2**64 - 2, target).astype(np.uint64)
    options = {"num_classes": 3, "radius": 1}
    expected = metrics.boundary_confusion(prediction, target, **options, ignore_index=2)
    arrays = library.asarray(prediction), library.asarray(void)
    counts = metrics.boundary_confusion(*arrays, **options, ignore_index=2**64 - 2)
    for part, other in zip(counts, expected, strict=True):
        assert to_numpy(part).tolist() == other.tolist()
    table = metrics.surface_table(*arrays, num_classes=3, ignore_index=2**64 - 2)["hausdorff"]
    other = metrics.surface_table(prediction, target, num_classes=3, ignore_index=2)["hausdorff"]
    np.testing.assert_array_equal(to_numpy(table), other)


def test_a_radius_that_is_whole_is_not_rounded_up():
    """0.07 x 100 is 7.000000000000001 in floating point; the diagonal of 60 x 80 pixels is 100."""
    target = np.zeros((1, 60, 80), np.uint8)
    target[:, 20:40, 20:40] = 1
    prediction = np.roll(target, 8, axis=2)
    by_ratio, by_radius = (
        metrics.boundary_confusion(prediction, target, num_classes=2, definition="contour", **options)
        for options in ({"ratio": 0.07}, {"radius": 7})
    )
    np.testing.assert_array_equal(by_ratio.matched_prediction, by_radius.matched_prediction)


@pytest.mark.parametrize(
    ("name", "counting"),
    [
        ("hausdorff", "surface_distances"),
        ("surface_dice", "surface_distances"),
        ("boundary_iou", "boundary_confusion"),
        ("boundary_f", "boundary_confusion"),
        ("seg_score", "match_instances"),
        ("instance_f1", "match_instances"),
        ("lesion_score", "match_lesions"),
        ("panoptic_quality", "panoptic_counts"),
        ("cl_dice", "centerline_counts"),
        ("adjusted_rand_index", "contingency_table"),
        ("adapted_rand_error", "contingency_table"),
        ("variation_of_information", "contingency_table"),
        ("normalized_mutual_information", "contingency_table"),
        ("coco_average_precision", "match_detections"),
    ],
)
def test_two_masks_are_told_the_two_calls(library, name, counting):
    mask = library.asarray(np.eye(3, dtype=bool))
    with pytest.raises(TypeError, match=rf"metrics\.{name}\(metrics\.{counting}\(prediction, .*target"):
        getattr(metrics, name)(mask, mask)
