"""Surface distances and their scores: brute force, geometry, laws of scale and symmetry, every empty case."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.backends import backend_of
from arrayseg.imaging.surface_elements import label_boxes
from arrayseg.testing import to_numpy

DEFINITIONS = ("voxel", "surface_element", "corner", "points")
DISTANCES = {
    "hausdorff": metrics.hausdorff,
    "hd95": partial(metrics.hausdorff, percentile=95),
    "hd95_pooled": partial(metrics.hausdorff, percentile=95, combine="pooled"),
    "hd95_linear": partial(metrics.hausdorff, percentile=95, interpolation="linear"),
    "hd95_weighted": partial(metrics.hausdorff, percentile=95, interpolation="weighted"),
    "hd50_directed": partial(metrics.hausdorff, percentile=50, combine="prediction"),
    "asd": metrics.average_surface_distance,
    "assd": metrics.average_symmetric_surface_distance,
    "masd": metrics.mean_average_surface_distance,
    "modified": metrics.modified_hausdorff,
    "average": metrics.average_hausdorff,
    "balanced": partial(metrics.average_hausdorff, balanced=True),
    "deviation": metrics.surface_distance_deviation,
}
SHARES = {
    "nsd": partial(metrics.surface_dice, tolerance=1.0),
    "nsd_many": partial(metrics.surface_dice, tolerance=[0.0, 1.0, 2.5]),
    "nsd_mean": partial(metrics.surface_dice, tolerance=1.0, average="mean"),
    "overlap": partial(metrics.surface_overlap, tolerance=1.0),
}
ALL = DISTANCES | SHARES


def overlapping_masks(shape, seed):
    """Two masks that overlap, with holes, touching the edge, of no symmetry."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape)
    center = np.reshape([length / 2 - 1 for length in shape], (-1, *[1] * len(shape)))
    first = np.sum((grid - center) ** 2, axis=0) < (max(shape) / 3) ** 2
    second = np.roll(first, 1, axis=0) & (rng.random(shape) < 0.9)
    first[(0,) * len(shape)] = True
    return first & (rng.random(shape) < 0.95), second


def voxel_points(mask, connectivity=1, edge=True):
    """Indices of True voxels that have a False neighbor."""
    return [
        position
        for position in map(tuple, np.argwhere(mask))
        if any(
            not mask[neighbor] if all(0 <= i < n for i, n in zip(neighbor, mask.shape, strict=True)) else edge
            for step in product((-1, 0, 1), repeat=mask.ndim)
            if 0 < np.abs(step).sum() <= connectivity
            for neighbor in [tuple(i + s for i, s in zip(position, step, strict=True))]
        )
    ]


def corner_points(mask):
    """Indices of the corners between voxels at which True and False ones meet."""
    cells = np.pad(mask, 1)
    around = np.stack(
        [cells[tuple(slice(i, i + n + 1) for i, n in zip(start, mask.shape, strict=True))]
         for start in product((0, 1), repeat=mask.ndim)]
    )  # fmt: skip
    return list(map(tuple, np.argwhere(around.any(axis=0) & ~around.all(axis=0))))


def least_distances(points, others, spacing):
    difference = np.asarray(points)[:, None, :] - np.asarray(others)[None, :, :]
    return np.sqrt(np.sum((difference * spacing) ** 2, axis=-1)).min(axis=1)


SHAPES = {(9, 13): (2.0, 0.75), (6, 8, 5): (2.5, 0.8, 1.1)}


@pytest.mark.parametrize(("shape", "spacing"), SHAPES.items(), ids=["2d", "3d"])
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_distances_equal_the_definition(library, shape, spacing, definition):
    first, second = overlapping_masks(shape, 0)
    distances = metrics.surface_distances(
        library.asarray(first), library.asarray(second), spacing=spacing, definition=definition
    )
    points = {"voxel": voxel_points, "points": np.argwhere}.get(definition, corner_points)
    expected = (
        least_distances(points(first), points(second), spacing),
        least_distances(points(second), points(first), spacing),
    )
    tolerance = 1e-12 if "float64" in str(distances.prediction_to_target.dtype) else 2e-6
    for array, values in zip(distances[:2], expected, strict=True):
        np.testing.assert_allclose(to_numpy(array), values, rtol=tolerance)
    assert (distances.prediction_sizes is None) == (definition in {"voxel", "points"})


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_every_metric_on_every_backend(library, definition):
    first, second = overlapping_masks((6, 8, 5), 1)
    options = {"spacing": (2.5, 0.8, 1.1), "definition": definition}
    expected = metrics.surface_distances(first, second, **options)
    distances = metrics.surface_distances(library.asarray(first), library.asarray(second), **options)
    for name, metric in ALL.items():
        value = metric(distances)
        assert type(value) is type(distances.prediction_to_target) or library.name == "numpy", name
        assert value.dtype == distances.prediction_to_target.dtype, name
        tolerance = 1e-12 if "float64" in str(value.dtype) else 2e-6
        np.testing.assert_allclose(to_numpy(value), metric(expected), rtol=tolerance, err_msg=name)


@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize("edge", [True, False])
def test_voxels_by_connectivity_and_edge(connectivity, edge):
    first, second = overlapping_masks((5, 7, 6), 2)
    distances = metrics.surface_distances(first, second, connectivity=connectivity, edge_is_background=edge)
    points = [voxel_points(mask, connectivity, edge) for mask in (first, second)]
    np.testing.assert_allclose(distances.prediction_to_target, least_distances(*points, 1.0), rtol=1e-12)


def test_far_and_near_elements_are_exact():
    # Near elements are searched for, few far ones tried against all, many go to the distance transform.
    target = np.zeros((70, 90), dtype=bool)
    target[2:5, 3:6] = True
    for mask in (np.zeros_like(target), np.ones_like(target), np.tri(70, 90, -60, dtype=bool)):
        prediction = mask | np.roll(target, 1, axis=0)
        prediction[69, 89] = True
        for spacing in ((1.0, 1.0), (0.3, 2.0), (2.0, 0.3)):
            distances = metrics.surface_distances(prediction, target, definition="points", spacing=spacing)
            expected = least_distances(np.argwhere(prediction), np.argwhere(target), spacing)
            np.testing.assert_array_equal(distances.prediction_to_target, expected)


def test_the_statistics_of_known_distances():
    d = metrics.SurfaceDistances(
        np.asarray([4.0, 0.0, 1.0]), np.asarray([2.0, 0.0]), np.asarray([1.0, 2.0, 5.0]), np.asarray([1.0, 3.0])
    )
    assert metrics.hausdorff(d) == 4
    np.testing.assert_allclose(metrics.average_surface_distance(d), [9 / 8, 0.5])
    np.testing.assert_allclose(metrics.average_symmetric_surface_distance(d), 11 / 12)
    np.testing.assert_allclose(metrics.average_hausdorff(d, balanced=True), 11 / 8)
    np.testing.assert_allclose(metrics.surface_dice(d, 1.0), 10 / 12)
    np.testing.assert_allclose(metrics.surface_dice(d, 1.0, average="mean"), (7 / 8 + 3 / 4) / 2)
    np.testing.assert_allclose(metrics.surface_overlap(d, [0.0, 2.0]), [[2 / 8, 7 / 8], [3 / 4, 1.0]])
    # 7 / 8 of the first surface is within 1, 3 / 4 of the second within 0: the weighted percentiles step there.
    for percentile, value in ((75, 1.0), (87.5, 2.0), (88, 4.0), (20, 0.0)):
        assert metrics.hausdorff(d, percentile=percentile) == value, percentile
    for percentile in (0, 30, 50, 95):
        expected = max(np.percentile([4, 0, 1], percentile), np.percentile([2, 0], percentile))
        linear = metrics.hausdorff(d, percentile=percentile, interpolation="linear")
        np.testing.assert_allclose(linear, expected, rtol=1e-12)
        pooled = metrics.hausdorff(d, percentile=percentile, interpolation="linear", combine="pooled")
        np.testing.assert_allclose(pooled, np.percentile([4, 0, 1, 2, 0], percentile), rtol=1e-12)


# Geometry.


def ball(shape, center, radius, spacing=(1.0, 1.0, 1.0)):
    grid = np.indices(shape) * np.reshape(spacing, (3, 1, 1, 1))
    return np.sum((grid - np.reshape(center, (3, 1, 1, 1))) ** 2, axis=0) <= radius**2


def test_parallel_planes():
    target, prediction = np.zeros((2, 12, 9, 7), dtype=bool)
    target[2:5], prediction[2:7] = True, True
    for definition in ("voxel", "surface_element", "corner"):
        d = metrics.surface_distances(
            prediction, target, spacing=(0.5, 1.0, 1.0), definition=definition, edge_is_background=False
        )
        assert metrics.hausdorff(d) == 1
        np.testing.assert_allclose(metrics.average_surface_distance(d), [0.5, 0.5])
        assert metrics.surface_dice(d, 1.0) == 1
        assert metrics.surface_dice(d, 0.9) == 0.5


def test_boxes_have_the_surface_of_boxes():
    mask = np.zeros((9, 11, 10), dtype=bool)
    mask[2:6, 3:8, 1:8] = True
    spacing = (2.0, 0.5, 1.0)
    sides = np.asarray([4, 5, 7]) * spacing
    area = 2 * (sides[0] * sides[1] + sides[1] * sides[2] + sides[0] * sides[2])
    corners = metrics.surface_distances(mask, mask, spacing=spacing, definition="corner")
    np.testing.assert_allclose(np.sum(corners.prediction_sizes), area, rtol=1e-12)
    elements = metrics.surface_distances(mask, mask, spacing=spacing, definition="surface_element")
    # Marching cubes cuts the edges and corners of the box.
    assert 0.85 * area < np.sum(elements.prediction_sizes) < area
    assert metrics.hausdorff(elements) == 0


def concentric_errors(voxel, definition):
    """Relative error of the area of a sphere of radius 6, and those of two distances to one of radius 9."""
    shape, spacing = (round(20 / voxel),) * 3, (voxel, voxel, voxel)
    inner, outer = (ball(shape, (9.7, 9.8, 10.1), radius, spacing) for radius in (6, 9))
    d = metrics.surface_distances(outer, inner, spacing=spacing, definition=definition)
    area = 1.0 if d.target_sizes is None else np.sum(d.target_sizes) / (4 * math.pi * 36)
    return area, metrics.average_symmetric_surface_distance(d) - 3, metrics.hausdorff(d) - 3


@pytest.mark.parametrize(("definition", "area"), [("voxel", 1.0), ("surface_element", 1.088), ("corner", 1.5)])
def test_concentric_spheres(definition, area):
    # Distances converge with the size of the voxels. The area of a surface in steps does not: that of faces of voxels
    # is 3 / 2 of the sphere's, that of marching cubes of a binary mask 1.088.
    coarse, fine = concentric_errors(1.0, definition), concentric_errors(0.25, definition)
    np.testing.assert_allclose(fine[0], area, rtol=0.01)
    for coarse_error, fine_error in zip(coarse[1:], fine[1:], strict=True):
        assert abs(fine_error) < 0.7 * abs(coarse_error)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_distances_scale_with_the_spacing(definition):
    first, second = overlapping_masks((7, 9, 6), 3)
    spacing = np.asarray([1.5, 0.7, 1.0])
    once = metrics.surface_distances(first, second, spacing=spacing, definition=definition)
    scaled = metrics.surface_distances(first, second, spacing=3.7 * spacing, definition=definition)
    for name, metric in DISTANCES.items():
        np.testing.assert_allclose(metric(scaled), 3.7 * metric(once), rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(metrics.surface_dice(scaled, 3.7 * 1.2), metrics.surface_dice(once, 1.2), rtol=1e-12)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_symmetry_and_identity(definition):
    first, second = overlapping_masks((8, 11), 4)
    forth = metrics.surface_distances(first, second, definition=definition)
    back = metrics.surface_distances(second, first, definition=definition)
    for name in ("hausdorff", "hd95", "hd95_pooled", "assd", "masd", "modified", "average", "deviation"):
        np.testing.assert_allclose(DISTANCES[name](forth), DISTANCES[name](back), rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(
        metrics.average_surface_distance(forth), metrics.average_surface_distance(back)[::-1], rtol=1e-12
    )
    same = metrics.surface_distances(first, first, definition=definition)
    for name, metric in DISTANCES.items():
        assert np.all(metric(same) == 0), name
    for name, metric in SHARES.items():
        assert np.all(metric(same) == 1), name


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_axes_may_be_exchanged_and_images_padded(definition):
    first, second = overlapping_masks((7, 10, 5), 5)
    spacing = (1.5, 0.7, 1.0)
    d = metrics.surface_distances(first, second, spacing=spacing, definition=definition)
    turned = metrics.surface_distances(
        first.transpose(2, 0, 1), second.transpose(2, 0, 1), spacing=(1.0, 1.5, 0.7), definition=definition
    )
    padded = metrics.surface_distances(
        np.pad(first, ((1, 9), (3, 0), (2, 4))), np.pad(second, ((1, 9), (3, 0), (2, 4))), spacing=spacing,
        definition=definition,
    )  # fmt: skip
    for name, metric in ALL.items():
        np.testing.assert_allclose(metric(turned), metric(d), rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(metric(padded), metric(d), rtol=1e-12, err_msg=name)


# Masks that are empty, full, partly unknown.


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_empty_masks(library, definition):
    empty, full = np.zeros((5, 7), dtype=bool), np.ones((5, 7), dtype=bool)
    cases = {"both": (empty, empty), "prediction": (empty, full), "target": (full, empty)}
    for case, masks in cases.items():
        distances = metrics.surface_distances(*map(library.asarray, masks), definition=definition)
        for name, metric in ALL.items():
            missed = math.inf if name in DISTANCES else 0.0
            expected = math.nan if case == "both" else missed
            np.testing.assert_array_equal(to_numpy(metric(distances)), np.full(metric(distances).shape, expected))
            assert np.all(to_numpy(metric(distances, empty={case: 374.0})) == 374), name
            with pytest.raises(ValueError, match=r"empty\. Choose a result with `empty="):
                metric(distances, empty={case: "error"})
            other = {"both": "target", "prediction": "both", "target": "prediction"}[case]
            assert np.array_equal(
                to_numpy(metric(distances, empty={other: "error"})), to_numpy(metric(distances)), True
            )


def test_a_mask_of_the_whole_image_has_its_edge_as_surface_or_none():
    full = np.ones((4, 6), dtype=bool)
    d = metrics.surface_distances(full, full)
    assert d.target_to_prediction.shape == (16,)
    d = metrics.surface_distances(full, full, edge_is_background=False)
    assert d.target_to_prediction.shape == (0,)
    for definition in ("surface_element", "corner"):
        d = metrics.surface_distances(full, full, definition=definition, edge_is_background=False)
        assert d.target_to_prediction.shape == (0,)


@pytest.mark.parametrize("definition", ["voxel", "surface_element", "corner"])
def test_unknown_voxels_make_no_surface(library, definition):
    # An object that reaches into the unknown has the surface that it would have if it went on there.
    target, prediction = np.zeros((2, 10, 14), dtype=bool)
    target[2:6, 3:9], prediction[2:7, 3:9] = True, True
    known = np.ones_like(target)
    known[:, 7:] = False
    longer, longer_prediction = target.copy(), prediction.copy()
    longer[2:6, 9:], longer_prediction[2:7, 9:] = True, True
    d, expected = (
        metrics.surface_distances(
            library.asarray(a), library.asarray(b), definition=definition, mask=library.asarray(known)
        )
        for a, b in ((prediction, target), (longer_prediction, longer))
    )
    for one, other in zip(d, expected, strict=True):
        if one is not None:
            np.testing.assert_array_equal(to_numpy(one), to_numpy(other))
    assert float(to_numpy(metrics.hausdorff(d))) == 1


# Compilers.


@pytest.mark.compile
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_jax_jit(definition):
    jax = pytest.importorskip("jax")
    options = {"spacing": (2.5, 0.8), "definition": definition}
    cases = [
        overlapping_masks((6, 9), 6),
        (np.zeros((6, 9), dtype=bool), overlapping_masks((6, 9), 6)[0]),
        (np.zeros((6, 9), dtype=bool),) * 2,
    ]

    @jax.jit
    def compiled(prediction, target):
        distances = metrics.surface_distances(prediction, target, **options)
        return {name: metric(distances) for name, metric in ALL.items()}

    for prediction, target in cases:
        distances = metrics.surface_distances(prediction, target, **options)
        for name, value in compiled(jax.numpy.asarray(prediction), jax.numpy.asarray(target)).items():
            tolerance = 1e-12 if value.dtype == jax.numpy.float64 else 2e-6
            np.testing.assert_allclose(value, ALL[name](distances), rtol=tolerance, err_msg=name)


@pytest.mark.compile
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning")
def test_torch_compile():
    torch = pytest.importorskip("torch")
    first, second = overlapping_masks((6, 9), 7)
    options = {"spacing": (2.5, 0.8), "definition": "surface_element"}

    @partial(torch.compile, fullgraph=True)
    def compiled(prediction, target):
        distances = metrics.surface_distances(prediction, target, **options)
        return metrics.hausdorff(distances, percentile=95), metrics.surface_dice(distances, [1.0, 2.0])

    expected = metrics.surface_distances(first, second, **options)
    hd95, nsd = compiled(torch.from_numpy(first), torch.from_numpy(second))
    np.testing.assert_allclose(hd95, metrics.hausdorff(expected, percentile=95), rtol=1e-12)
    np.testing.assert_allclose(nsd, metrics.surface_dice(expected, [1.0, 2.0]), rtol=1e-12)


# Label maps.


def test_table_is_the_pairs_one_by_one(library):
    rng = np.random.default_rng(8)
    target = rng.integers(0, 3, (2, 7, 9)).astype(np.uint8)
    prediction = rng.integers(0, 4, (2, 7, 9)).astype(np.uint8)
    target[0, :2, :4] = 255
    functions = {"hd95": partial(metrics.hausdorff, percentile=95), "asd": metrics.average_surface_distance}
    table = metrics.surface_table(
        library.asarray(prediction), library.asarray(target), num_classes=4, metrics=functions, spacing=(2.0, 1.0),
        ignore_index=255, classes=[3, 1],
    )  # fmt: skip
    assert {name: tuple(values.shape) for name, values in table.items()} == {"hd95": (2, 2), "asd": (2, 2, 2)}
    for image, (row, label) in product(range(2), enumerate([3, 1])):
        distances = metrics.surface_distances(
            prediction[image] == label, target[image] == label, spacing=(2.0, 1.0), mask=target[image] != 255
        )
        for name, function in functions.items():
            tolerance = 1e-12 if "float64" in str(table[name].dtype) else 2e-6
            np.testing.assert_allclose(to_numpy(table[name])[image, row], function(distances), rtol=tolerance)


def test_a_distance_that_equals_the_tolerance_is_within(library):
    """On every backend and in every dtype, whatever rounding has made of the spacing, the steps and the tolerance."""
    first = np.zeros((1, 40), dtype=bool)
    first[0, 0] = True
    for step in (0.1, 0.7, 1.1, 0.976562):
        for number in (1, 3, 11):
            for spacing, tolerance in ((step, number * step), (float(np.float32(step)), round(number * step, 6))):
                pair = library.asarray(first), library.asarray(np.roll(first, number, axis=1))
                d = metrics.surface_distances(*pair, spacing=(1.0, spacing))
                shares = metrics.surface_dice(d, [tolerance * (1 - 1e-5), tolerance, tolerance * (1 + 1e-5)])
                assert to_numpy(shares).tolist() == [0.0, 1.0, 1.0], (step, number)
    single = library.asarray(np.asarray([0.1, 0.3, 0.5], dtype=np.float32))
    shares = metrics.surface_overlap(metrics.SurfaceDistances(single, single), [0.1, 0.3])
    np.testing.assert_allclose(to_numpy(shares), [[1 / 3, 2 / 3]] * 2, rtol=1e-6)


def test_a_share_that_equals_the_percentile_is_enough(library):
    """Of 20 elements of one size the first 19 are 95 %, also where 19 times a tenth is less in floating point."""
    for size in (1.0, 0.1, 0.3, 1 / 7):
        values = library.asarray(np.arange(20.0))
        sizes = library.asarray(np.full(20, size))
        d = metrics.SurfaceDistances(values, values, sizes, sizes)
        for percentile, expected in ((5, 0.0), (50, 9.0), (95, 18.0), (95.01, 19.0)):
            assert float(metrics.hausdorff(d, percentile=percentile)) == expected


def test_table_of_maps_in_any_memory_order():
    """Many small classes, some absent, negative and void labels, in C and in Fortran order."""
    rng = np.random.default_rng(0)
    maps = np.zeros((2, 2, 12, 9, 8), dtype=np.int16)
    for label, corner in enumerate(rng.integers(0, 7, (10, 3)), start=1):
        maps[(..., *(slice(start, start + 3) for start in corner))] = label % 8
    prediction, target = np.roll(maps[0], 1, axis=2), maps[1]
    target[:, :2, :2] = -1
    prediction[:, -1] = 0
    options = {"num_classes": 9, "ignore_index": -1, "spacing": (1.0, 0.5, 2.0)}
    expected = np.empty((2, 9))
    for image, label in np.ndindex(2, 9):
        known = target[image] != -1
        pair = prediction[image] == label, target[image] == label
        expected[image, label] = metrics.hausdorff(
            metrics.surface_distances(*pair, spacing=options["spacing"], mask=known)
        )
    assert np.isnan(expected).any()
    for order in (np.ascontiguousarray, np.asfortranarray):
        table = metrics.surface_table(order(prediction), order(target), **options)
        np.testing.assert_array_equal(table["hausdorff"], expected)


def test_boxes_of_labels(library):
    """In any number of axes, at the edges of the image too; labels that are none are in no box."""
    rng = np.random.default_rng(0)
    for shape in ((9,), (1, 7), (8, 6), (5, 4, 6)):
        maps = rng.integers(-1, 6, (2, *shape))
        maps[:, ..., : shape[-1] // 2] = 7
        backend = backend_of(library.asarray(maps))
        boxes = label_boxes(backend, [library.asarray(labels, "int32") for labels in maps], 5)
        for label, box in enumerate(boxes):
            places = np.argwhere((maps == label).any(0))
            for axis, span in enumerate(box):
                low, high = (places[:, axis].min(), places[:, axis].max()) if len(places) else (0, -1)
                assert (span.start, span.stop) == (max(0, low - 1), min(shape[axis], high + 2))


# Errors.

SQUARE = np.zeros((4, 5), dtype=bool)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction": SQUARE[:3]}, "must be equal"),
        ({"spacing": (1.0,)}, "a positive number, or one for each of the 2 spatial axes"),
        ({"spacing": (1.0, 0.0)}, "positive number"),
        ({"spacing": np.nan}, "`spacing` must be a finite number"),
        ({"definition": "mesh"}, "`definition` must be 'voxel', 'points'"),
        ({"connectivity": 3}, "`connectivity` must be from 1 to 2; got 3"),
        ({"mask": SQUARE[:3]}, "`mask` has shape"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.surface_distances(**({"prediction": SQUARE, "target": SQUARE} | options))


def test_wrong_types_and_axes():
    with pytest.raises(TypeError, match="must be a boolean mask"):
        metrics.surface_distances(SQUARE.astype(np.uint8), SQUARE)
    with pytest.raises(ValueError, match="2 to 3 axes"):
        metrics.surface_distances(SQUARE[0], SQUARE[0], definition="corner")
    d = metrics.surface_distances(~SQUARE, ~SQUARE)
    for options in ({"percentile": 101}, {"combine": "min"}, {"interpolation": "nearest"}, {"empty": {"none": 0}}):
        with pytest.raises(ValueError, match=r"must be|maps"):
            metrics.hausdorff(d, **options)
    for error, tolerance in ((ValueError, -1.0), (TypeError, None), (ValueError, []), (TypeError, SQUARE)):
        for score in (metrics.surface_dice, metrics.surface_overlap):
            with pytest.raises(error, match="`tolerance` must"):
                score(d, tolerance)
    with pytest.raises(ValueError, match="`classes` must be different whole numbers from 0 to 1"):
        metrics.surface_table(SQUARE[None], SQUARE[None], num_classes=2, classes=[2])


def test_numbers_may_be_arrays_and_serve_every_axis():
    target = np.zeros((6, 7), dtype=bool)
    target[1:4, 1:5] = True
    prediction = np.roll(target, 1, axis=1)
    expected = metrics.surface_distances(prediction, target, spacing=(0.5, 0.5))
    for spacing in (0.5, np.float32(0.5), np.asarray(0.5), np.asarray([0.5, 0.5])):
        d = metrics.surface_distances(prediction, target, spacing=spacing)
        np.testing.assert_array_equal(d.prediction_to_target, expected.prediction_to_target)
    assert metrics.surface_dice(d, np.asarray([0.1, 0.5])).tolist() == metrics.surface_dice(d, [0.1, 0.5]).tolist()
    several = metrics.hausdorff(d, percentile=np.asarray([0.0, 50.0, 100.0]))
    assert several.tolist() == [float(metrics.hausdorff(d, percentile=level)) for level in (0, 50, 100)]
    nothing = metrics.surface_distances(target & False, target & False)
    assert float(metrics.hausdorff(nothing, empty={"both": np.float32(2.0)})) == 2.0
    assert metrics.hausdorff(nothing, percentile=[50, 95], empty={"both": 2}).tolist() == [2.0, 2.0]


def test_one_axis(library):
    prediction, target = np.zeros((2, 12), dtype=bool)
    prediction[2:6], target[3:9] = True, True
    d = metrics.surface_distances(library.asarray(prediction), library.asarray(target), spacing=(0.5,))
    np.testing.assert_array_equal(to_numpy(d.prediction_to_target), [0.5, 1.0])
    np.testing.assert_array_equal(to_numpy(d.target_to_prediction), [0.5, 1.5])


@pytest.mark.parametrize("spacing", [2, np.int64(2), [2, 2], np.asarray([2, 2])], ids=repr)
def test_whole_numbers_are_spacings(library, spacing):
    masks = library.asarray(np.eye(6, dtype=bool)), library.asarray(np.eye(6, k=1, dtype=bool))
    distances = metrics.surface_distances(*masks, spacing=spacing)
    assert float(metrics.hausdorff(distances)) == 2
