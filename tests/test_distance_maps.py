"""Fields for a data loader: exact distances, the same on every backend."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from arrayseg import distance_maps
from arrayseg.testing import to_numpy

GENERATOR = np.random.default_rng(5)
IDS = GENERATOR.integers(0, 3, size=(2, 6, 9)) * GENERATOR.integers(0, 2, size=(2, 6, 9))
SPACING = (2.0, 0.5)
MAPS = [distance_maps.signed_distance_map, distance_maps.distance_map, distance_maps.boundary_weight_map]


def brute_distances(mask, spacing):
    """The distance of every pixel to the nearest one of the other side."""
    points = np.indices(mask.shape).reshape(mask.ndim, -1).T * spacing
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    apart[mask.reshape(-1)[:, None] == mask.reshape(-1)[None]] = np.inf
    nearest = apart.min(axis=1)
    return np.where(np.isfinite(nearest), nearest, 0).reshape(mask.shape)


def test_distances_are_those_of_all_pairs():
    found = distance_maps.distance_map(IDS, num_classes=4, spacing=SPACING)
    expected = [[brute_distances(image == number, SPACING) for number in range(4)] for image in IDS]
    assert_allclose(found, expected, rtol=1e-6)


def test_signed_distances():
    masks = np.stack([number == IDS for number in range(4)], axis=1)
    distances = distance_maps.distance_map(masks, spacing=SPACING, dtype=np.float64)
    symmetric = distance_maps.signed_distance_map(masks, spacing=SPACING, inside_offset=0, dtype=np.float64)
    assert_allclose(symmetric, np.where(masks, -distances, distances))
    published = distance_maps.signed_distance_map(IDS, 4, spacing=SPACING, dtype=np.float64)
    assert_allclose(published[:, :3], np.where(masks, 1 - distances, distances)[:, :3])
    assert not published[:, 3].any()
    inside = distance_maps.distance_map(masks, spacing=SPACING, inside_alone=True, dtype=np.float64)
    assert_allclose(inside, np.where(masks, distances, 0))


def test_weights_are_largest_at_the_boundary():
    masks = np.zeros((1, 1, 9, 9), dtype=bool)
    masks[0, 0, 2:7, 2:7] = True
    weights = distance_maps.boundary_weight_map(masks, dtype=np.float64)[0, 0]
    assert weights.min() == 1
    assert_allclose(weights[4, 4], 1)
    assert_allclose(weights[2, 4], 2 - 1 / 3)
    assert_allclose(weights[0, 0], 1)


@pytest.mark.parametrize("make", MAPS)
def test_every_backend_makes_the_same(make, library):
    found = make(library.asarray(IDS), 4, spacing=SPACING, ignore_index=2)
    assert found.dtype == library.xp.float32
    assert_allclose(to_numpy(found), make(IDS, 4, spacing=SPACING, ignore_index=2), rtol=1e-6)


@pytest.mark.parametrize("make", MAPS)
def test_class_axis_and_volumes(make):
    volume = GENERATOR.integers(0, 2, size=(1, 3, 4, 5))
    last = make(volume, 2, class_axis=-1)
    assert last.shape == (1, 3, 4, 5, 2)
    assert_allclose(np.moveaxis(last, -1, 1), make(volume, 2))
    flat = make(IDS[:, None], 3, spacing=(7.0, *SPACING))
    assert_allclose(flat[:, :, 0], make(IDS, 3, spacing=SPACING))


@pytest.mark.parametrize("make", MAPS)
def test_empties(make):
    assert make(IDS[:0], 3).shape == (0, 3, 6, 9)
    assert make(IDS[:, :0], 3).shape == (2, 3, 0, 9)
    assert make(IDS[:, 0, 0], 3).shape == (2, 3)


@pytest.mark.parametrize("make", MAPS)
def test_targets_of_another_kind_are_refused(make):
    with pytest.raises(TypeError, match="num_classes"):
        make(IDS)
    with pytest.raises(ValueError, match="spacing"):
        make(IDS, 3, spacing=(1.0,))


@pytest.mark.compile
@pytest.mark.parametrize("make", MAPS)
def test_under_jit(make):
    jax = pytest.importorskip("jax")
    found = jax.jit(lambda ids: make(ids, 3, spacing=SPACING))(jax.numpy.asarray(IDS))
    assert_allclose(found, make(IDS, 3, spacing=SPACING), rtol=1e-6)


def test_options_that_are_no_number_or_axis_are_refused():
    target = np.zeros((1, 3, 4), dtype=int)
    for function in (distance_maps.distance_map, distance_maps.signed_distance_map, distance_maps.skeleton_map):
        with pytest.raises(ValueError, match="`class_axis` must be from -4 to 3; got 9"):
            function(target, 2, class_axis=9)
    with pytest.raises(TypeError, match="`inside_offset` must be a number; got '1'"):
        distance_maps.signed_distance_map(target, 2, inside_offset="1")
    with pytest.raises(TypeError, match="`tube` must be a whole number"):
        distance_maps.skeleton_map(target, 2, tube=1.5)
