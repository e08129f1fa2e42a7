"""Skeletons, Euler numbers and Betti numbers are exact, in both connectivities, on every backend and under jit."""

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.backends import backend_of
from arrayseg.imaging.skeletons import opening_skeleton, thinned
from arrayseg.testing import to_numpy

ndimage = pytest.importorskip("scipy.ndimage")
TORUS = np.pad(np.asarray([[[1, 1, 1], [1, 0, 1], [1, 1, 1]]], bool), ((1, 1), (0, 0), (1, 1)))
SHELL = np.pad(np.ones((3, 3, 3), bool), 1)
SHELL[2, 2, 2] = False


def blobs(seed, shape=(23, 31), sigma=1.5):
    return ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), sigma) > 0.5


@pytest.mark.parametrize(
    ("mask", "connectivity", "expected"),
    [
        (TORUS, 1, [1, 1, 0]),
        (TORUS, 3, [1, 1, 0]),
        (SHELL, 1, [1, 0, 1]),
        (SHELL, 3, [1, 0, 1]),
        (np.eye(4, dtype=bool), 1, [4, 0]),
        (np.eye(4, dtype=bool), 2, [1, 0]),
        (np.zeros((3, 4), bool), 2, [0, 0]),
        (np.ones((3, 4), bool), 1, [1, 0]),
        # Four pixels around one: a ring by corners, four components by edges.
        (ndimage.generate_binary_structure(2, 1) & (np.arange(9).reshape(3, 3) != 4), 2, [1, 1]),
        (ndimage.generate_binary_structure(2, 1) & (np.arange(9).reshape(3, 3) != 4), 1, [4, 0]),
    ],
)
def test_numbers_of_known_shapes(library, mask, connectivity, expected):
    array = library.asarray(mask)
    numbers = metrics.betti_numbers(array, connectivity=connectivity)
    assert to_numpy(numbers).tolist() == expected
    assert int(metrics.euler_number(array, connectivity=connectivity)) == expected[0] - expected[1] + sum(expected[2:])


@pytest.mark.parametrize("shape", [(9, 13), (5, 7, 6)])
def test_euler_is_the_alternating_sum_of_betti(shape):
    for seed in range(8):
        mask = np.random.default_rng(seed).random(shape) < 0.5
        for connectivity in (1, len(shape)):
            numbers = metrics.betti_numbers(mask, connectivity=connectivity)
            assert numbers.min() >= 0
            signs = [1, -1, 1][: len(shape)]
            assert int(metrics.euler_number(mask, connectivity=connectivity)) == (numbers * signs).sum()


def test_errors_of_two_masks(library):
    prediction, target = library.asarray(SHELL), library.asarray(np.zeros_like(SHELL))
    assert to_numpy(metrics.betti_error(prediction, target)).tolist() == [1, 0, 1]
    assert int(metrics.euler_error(prediction, target)) == 2
    assert to_numpy(metrics.betti_error(prediction, prediction)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("skeleton", ["thinning", "soft"])
def test_centerline_dice_counts_and_adds(library, skeleton):
    make = {"thinning": thinned, "soft": opening_skeleton}[skeleton]
    pairs = [(blobs(seed), blobs(seed + 10)) for seed in range(2)]
    counts = []
    for prediction, target in pairs:
        backend = backend_of(prediction)
        thin, target_thin = make(backend, prediction), make(backend, target)
        expected = [(thin & target).sum(), thin.sum(), (target_thin & prediction).sum(), target_thin.sum()]
        arrays = library.asarray(prediction), library.asarray(target)
        counts.append(metrics.centerline_counts(*arrays, skeleton=skeleton))
        assert [int(part) for part in counts[-1]] == expected
        given = metrics.centerline_counts(*arrays, skeletons=(library.asarray(thin), library.asarray(target_thin)))
        assert [int(part) for part in given] == expected
        precision, sensitivity = expected[0] / expected[1], expected[2] / expected[3]
        expected = 2 * precision * sensitivity / (precision + sensitivity)
        assert float(metrics.cl_dice(counts[-1])) == pytest.approx(expected, rel=1e-12)
    assert int(metrics.add(*counts).target_pixels) == sum(int(count.target_pixels) for count in counts)


def test_centerline_dice_of_empty_masks(library):
    nothing, line = np.zeros((5, 6), bool), np.zeros((5, 6), bool)
    line[2] = True
    far = np.roll(line, 2, 0)
    nothing, line, far = (library.asarray(mask) for mask in (nothing, line, far))
    assert np.isnan(float(metrics.cl_dice(metrics.centerline_counts(nothing, nothing))))
    assert float(metrics.cl_dice(metrics.centerline_counts(nothing, nothing), absent=1)) == 1
    for pair in ((nothing, line), (line, nothing), (line, far)):
        assert float(metrics.cl_dice(metrics.centerline_counts(*pair))) == 0


def test_soft_skeleton_is_that_of_the_loss():
    skeleton = pytest.importorskip("arrayseg.imaging.skeletons")
    for mask in (blobs(0), blobs(1, (9, 11, 10))):
        backend = backend_of(mask)
        expected = skeleton.soft_skeleton(mask.astype(np.float64), 20, range(mask.ndim), backend.xp)
        np.testing.assert_array_equal(opening_skeleton(backend, mask), expected > 0.5)


def test_thinning_leaves_lines_of_the_same_shape():
    for seed in range(4):
        mask = blobs(seed)
        thin = thinned(backend_of(mask), mask)
        assert not (thin & ~mask).any()
        np.testing.assert_array_equal(metrics.betti_numbers(thin), metrics.betti_numbers(mask))
        # No square of two by two is left that a line would do without.
        squares = thin[1:, 1:] & thin[1:, :-1] & thin[:-1, 1:] & thin[:-1, :-1]
        assert squares.sum() <= 0.02 * thin.sum()


def test_thinning_deletes_no_component():
    """All masks of 4 x 4 pixels at once, on one sheet with borders between them; and larger ones that are drawn."""
    everything = (np.arange(2**16)[:, None] >> np.arange(16)) % 2 == 1
    sheet = (
        np.pad(everything.reshape(256, 256, 4, 4), ((0, 0), (0, 0), (1, 1), (1, 1))).swapaxes(1, 2).reshape(1536, -1)
    )
    drawn = [blobs(seed, (60, 60), 1.0) for seed in range(3)] + [
        np.random.default_rng(seed).random((60, 60)) < share for seed, share in enumerate((0.1, 0.3, 0.5, 0.7))
    ]
    for mask in (sheet, *drawn):
        thin = thinned(backend_of(mask), mask)
        components, number = ndimage.label(mask, np.ones((3, 3)))
        assert not (thin & ~mask).any()
        assert np.unique(components[thin]).size == number == ndimage.label(thin, np.ones((3, 3)))[1]


@pytest.mark.parametrize("skeleton", ["thinning", "soft"])
def test_every_mask_has_a_centerline(library, skeleton):
    squares = [np.pad(np.ones((side, side), bool), ((1, 5 - side), (2, 4 - side))) for side in (1, 2, 3, 4)]
    pair = np.zeros((6, 6), bool)
    pair[[1, 2], [1, 2]] = True
    for mask in (*squares, pair, np.ones((6, 6), bool)):
        array = library.asarray(mask)
        assert float(metrics.cl_dice(metrics.centerline_counts(array, array, skeleton=skeleton))) == 1
    for volume in (np.pad(np.ones((2, 2, 2), bool), 1), np.ones((4, 4, 4), bool)):
        array = library.asarray(volume)
        assert float(metrics.cl_dice(metrics.centerline_counts(array, array))) == 1


def test_what_is_refused():
    mask = np.zeros((4, 4, 4), bool)
    with pytest.raises(ValueError, match="in two dimensions"):
        metrics.centerline_counts(mask, mask, skeleton="thinning")
    with pytest.raises(ValueError, match="`connectivity` must be 1 or 3"):
        metrics.betti_numbers(mask, connectivity=2)
    with pytest.raises(TypeError, match="`mask` must be a boolean mask"):
        metrics.euler_number(mask.astype(int))


@pytest.mark.compile
def test_topology_under_jit():
    jax = pytest.importorskip("jax")
    mask, other = blobs(2, (9, 14)), blobs(3, (9, 14))
    np.testing.assert_array_equal(jax.jit(metrics.betti_numbers)(mask), metrics.betti_numbers(mask))
    for part, expected in zip(
        jax.jit(metrics.centerline_counts)(mask, other), metrics.centerline_counts(mask, other), strict=True
    ):
        assert int(part) == int(expected)


@pytest.mark.compat
def test_same_as_scikit_image():
    measure = pytest.importorskip("skimage.measure")
    for seed in range(4):
        for shape in ((9, 13), (5, 7, 6)):
            noise = np.random.default_rng(seed).random(shape) < 0.5
            for connectivity in (1, len(shape)):
                expected = measure.euler_number(noise, connectivity)
                assert int(metrics.euler_number(noise, connectivity=connectivity)) == expected
