"""The confusion matrix counts exactly, whatever the dtype, the shape and the library."""

import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from scenes import label_maps

from arrayseg import metrics
from arrayseg.testing import to_numpy

INTEGERS = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def count(prediction, target, num_classes, ignore_index=None, mask=None):
    """The definition, pixel by pixel, in Python integers."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    wanted = np.ones(target.shape, dtype=bool) if mask is None else mask
    for p, t, w in zip(prediction.ravel().tolist(), target.ravel().tolist(), wanted.ravel().tolist(), strict=True):
        if w and t != ignore_index and 0 <= t < num_classes and 0 <= p < num_classes:
            matrix[t, p] += 1
    return matrix


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("masked", [False, True])
def test_counts_of_every_integer_dtype(library, dtype, masked):
    prediction, target, mask = label_maps(void_id=100)
    options = {"num_classes": 4, "ignore_index": 100}
    arrays = library.asarray(prediction, dtype), library.asarray(target, dtype)
    given_mask = library.asarray(mask) if masked else None
    matrix = metrics.confusion_matrix(*arrays, mask=given_mask, **options)
    expected = count(prediction, target, 4, 100, mask if masked else None)
    assert "int64" in str(matrix.dtype)
    np.testing.assert_array_equal(to_numpy(matrix), expected)
    images = to_numpy(metrics.confusion_matrix(*arrays, mask=given_mask, per_image=True, **options))
    for image in range(3):
        part = count(prediction[image], target[image], 4, 100, mask[image] if masked else None)
        np.testing.assert_array_equal(images[image], part)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
@pytest.mark.parametrize("classes", [2, 3])
def test_one_hot_maps_are_no_ids(library, classes, dtype):
    ids = np.random.default_rng(0).integers(0, classes, (2, 2, 5, 6))
    target, prediction = (library.asarray(np.moveaxis(np.eye(classes)[each], -1, 1).astype(dtype)) for each in ids)
    for count in (metrics.confusion_matrix, metrics.class_counts, metrics.boundary_confusion):
        with pytest.raises((TypeError, ValueError), match="arg max over"):
            count(prediction, target, num_classes=classes)
    if dtype != "bool":
        # scores against ids, and volumes of ids 0 and 1 of as many slices as classes
        one, two = (library.asarray(each) for each in ids)
        expected = to_numpy(metrics.confusion_matrix(two, one, num_classes=classes))
        scored = metrics.confusion_matrix(prediction, one, num_classes=classes)
        np.testing.assert_array_equal(to_numpy(scored), expected)
        volumes = (array[:, None, ...] for array in (prediction, target))
        pixels = ids[0].size
        matrix = to_numpy(metrics.confusion_matrix(*volumes, num_classes=classes))
        assert matrix[1, 1] == np.trace(expected)
        assert matrix[0, 1] == matrix[1, 0] == pixels - np.trace(expected)


def test_booleans_are_zero_and_one(library):
    prediction, target = np.asarray([[True, False, True]]), np.asarray([[True, True, False]])
    matrix = metrics.confusion_matrix(library.asarray(prediction), library.asarray(target), num_classes=2)
    np.testing.assert_array_equal(to_numpy(matrix), [[0, 1], [1, 1]])


@pytest.mark.parametrize("num_classes", [1, 2, 3, 15, 16, 19, 26, 27, 100, 254, 255, 256, 300])
@pytest.mark.parametrize("pixels", [0, 1, 2, 999, 300_001])
def test_every_way_of_counting_on_the_host(num_classes, pixels):
    # Histograms of pairs, of single pixels in uint16 and in int64, an odd pixel left over, a block that is not full.
    rng = np.random.default_rng(num_classes)
    highest = min(num_classes, 255)
    target = rng.integers(0, highest, pixels).astype(np.uint8)
    prediction = rng.integers(0, highest, pixels).astype(np.uint8)
    expected = np.bincount(target.astype(np.int64) * num_classes + prediction, minlength=num_classes**2)
    matrix = metrics.confusion_matrix(prediction, target, num_classes=num_classes)
    np.testing.assert_array_equal(matrix, expected.reshape(num_classes, num_classes))


def test_blocks_join(library):
    # More pixels than a block has, in images that are smaller than one and larger.
    rng = np.random.default_rng(1)
    target = rng.integers(0, 3, (2, 701, 901)).astype(np.uint8)
    prediction = rng.integers(0, 3, target.shape).astype(np.uint8)
    if library.name == "strict":
        target, prediction = target[:, :70, :90], prediction[:, :70, :90]
    joint = np.arange(2)[:, None, None] * 9 + target.astype(np.int64) * 3 + prediction
    expected = np.bincount(joint.ravel(), minlength=18).reshape(2, 3, 3)
    arrays = library.asarray(prediction), library.asarray(target)
    np.testing.assert_array_equal(to_numpy(metrics.confusion_matrix(*arrays, num_classes=3, per_image=True)), expected)
    np.testing.assert_array_equal(to_numpy(metrics.confusion_matrix(*arrays, num_classes=3)), expected.sum(axis=0))


@pytest.mark.parametrize("dtype", [">i4", ">i8", "<i4"])
def test_byte_order_and_negative_labels(dtype):
    target = np.asarray([0, 1, 2, 1], dtype=dtype)
    prediction = np.asarray([0, 2, 2, 1], dtype=dtype)
    expected = count(prediction, target, 3)
    np.testing.assert_array_equal(metrics.confusion_matrix(prediction, target, num_classes=3), expected)
    target[1] = -3
    with pytest.raises(ValueError, match="-3"):
        metrics.confusion_matrix(prediction, target, num_classes=3)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "int8"])
@pytest.mark.parametrize("num_classes", [3, 40, 300])
@pytest.mark.parametrize("run", [1, 7, 60, 5000])
def test_runs_count_as_their_pixels(monkeypatch, run, num_classes, dtype):
    # Objects lie in runs, which are counted at once; labels out of range, void and masked pixels in them too.
    from arrayseg.backends.numpy import histogram

    monkeypatch.setattr(histogram, "HISTOGRAM_PIXELS", 20_000)
    monkeypatch.setattr(histogram, "LEAST_HISTOGRAM_PIXELS", 20_000)
    rng = np.random.default_rng(run)
    shape = (2, 301, 203)
    pixels = 2 * 301 * 203

    def runs(highest, lag):
        drawn = np.repeat(rng.integers(0, highest, pixels // run + 2), run)
        return drawn[lag : lag + pixels].reshape(shape)

    highest = min(num_classes, 100)
    target, prediction, mask = runs(highest, 0).astype(dtype), runs(highest, run // 2).astype(dtype), runs(2, 0) > 0
    matrix = metrics.confusion_matrix(prediction, target, num_classes=num_classes)
    np.testing.assert_array_equal(matrix, count(prediction, target, num_classes))
    options = {"mask": mask, "ignore_index": 1}
    matrix = metrics.confusion_matrix(prediction, target, num_classes=num_classes, **options)
    np.testing.assert_array_equal(matrix, count(prediction, target, num_classes, 1, mask))
    target[1, 200:, 5] = 101
    if num_classes <= 101:
        with pytest.raises(ValueError, match="101"):
            metrics.confusion_matrix(prediction, target, num_classes=num_classes)
    matrix = metrics.confusion_matrix(prediction, target, num_classes=num_classes, ignore_index=101)
    np.testing.assert_array_equal(matrix, count(prediction, target, num_classes, 101))


@given(
    maps=hnp.arrays(np.int16, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=st.integers(0, 3)),
    seed=st.integers(0, 2**16),
    ignore_index=st.sampled_from([None, -1, 0, 3, 9]),
)
def test_properties(maps, seed, ignore_index):
    prediction = np.random.default_rng(seed).permutation(maps.ravel()).reshape(maps.shape)
    matrix = metrics.confusion_matrix(prediction, maps, num_classes=4, ignore_index=ignore_index)
    np.testing.assert_array_equal(matrix, count(prediction, maps, 4, ignore_index))
    if ignore_index is None:
        swapped = metrics.confusion_matrix(maps, prediction, num_classes=4)
        np.testing.assert_array_equal(swapped, matrix.T)
    halves = [
        metrics.confusion_matrix(p, t, num_classes=4, ignore_index=ignore_index)
        for p, t in zip(np.array_split(prediction, 2), np.array_split(maps, 2), strict=True)
    ]
    np.testing.assert_array_equal(metrics.add(*halves), matrix)


@pytest.mark.parametrize("spatial", [(), (6,), (5, 3), (2, 3, 4)])
@pytest.mark.parametrize("class_axis", [None, 1, -1])
def test_scores_are_their_arg_max(library, spatial, class_axis):
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(2, 3, *spatial))
    target = rng.integers(0, 3, (2, *spatial))
    expected = count(scores.argmax(axis=1), target, 3)
    laid_out = np.moveaxis(scores, 1, -1) if class_axis == -1 else scores
    matrix = metrics.confusion_matrix(
        library.asarray(laid_out, "float32"), library.asarray(target), num_classes=3, class_axis=class_axis
    )
    np.testing.assert_array_equal(to_numpy(matrix), expected)


def test_a_single_map_and_its_scores(library):
    rng = np.random.default_rng(3)
    scores, target = rng.normal(size=(3, 4, 5)), rng.integers(0, 3, (4, 5))
    expected = count(scores.argmax(axis=0), target, 3)
    options = {"num_classes": 3}
    target = library.asarray(target)
    from_scores = metrics.confusion_matrix(library.asarray(scores, "float32"), target, class_axis=0, **options)
    np.testing.assert_array_equal(to_numpy(from_scores), expected)
    ids = library.asarray(scores.argmax(axis=0))
    np.testing.assert_array_equal(to_numpy(metrics.confusion_matrix(ids, target, **options)), expected)


def test_predictions_at_void_pixels_may_be_anything(library):
    target, prediction = np.asarray([[0, 1, 255, 1]]), np.asarray([[0, 1, 77, 77]])
    options = {"num_classes": 2, "ignore_index": 255}
    mask = library.asarray(np.asarray([[True, True, True, False]]))
    matrix = metrics.confusion_matrix(library.asarray(prediction), library.asarray(target), mask=mask, **options)
    np.testing.assert_array_equal(to_numpy(matrix), [[1, 0], [0, 1]])


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_void_within_the_classes_leaves_its_row_empty(library, dtype):
    target, prediction = np.asarray([[0, 1, 1, 2]]), np.asarray([[1, 1, 0, 2]])
    matrix = metrics.confusion_matrix(
        library.asarray(prediction, dtype), library.asarray(target, dtype), num_classes=3, ignore_index=1
    )
    np.testing.assert_array_equal(to_numpy(matrix), [[0, 1, 0], [0, 0, 0], [0, 0, 1]])


def test_ignore_index_that_the_dtype_cannot_hold_is_no_pixel(library):
    target = library.asarray(np.asarray([[0, 1, 1]]), "uint8")
    matrix = metrics.confusion_matrix(target, target, num_classes=2, ignore_index=-1)
    np.testing.assert_array_equal(to_numpy(matrix), [[1, 0], [0, 2]])


@pytest.mark.parametrize(
    ("target", "prediction", "dtype", "message"),
    [
        ([0, 1, 7], [0, 1, 1], "uint8", "`target` has the label 7 at 1 of 3 pixels"),
        ([0, 1, 1], [0, 9, 9], "uint8", "`prediction` has the label 9 at 2 of 3 pixels"),
        ([0, 1, -1], [0, 1, 1], "int64", "`target` has the label -1"),
        ([0, 1, 1], [0, 1, -1], "int8", "`prediction` has the label -1"),
        ([0, 256, 1], [0, 0, 1], "uint16", "`target` has the label 256"),
        ([0, 2**31 + 1, 1], [0, 0, 1], "uint32", "`target` has the label 2147483649"),
    ],
)
def test_labels_out_of_range_raise_with_the_value(library, target, prediction, dtype, message):
    arrays = library.asarray(np.asarray([prediction]), dtype), library.asarray(np.asarray([target]), dtype)
    with pytest.raises(ValueError, match=message):
        metrics.confusion_matrix(*arrays, num_classes=2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"prediction": np.zeros((1, 3), dtype=int)}, ValueError, "`prediction` has shape"),
        ({"prediction": np.zeros((1, 2))}, TypeError, "integer or boolean dtype"),
        ({"target": np.zeros((1, 2))}, TypeError, "`target` must hold class ids"),
        ({"prediction": np.zeros((1, 3, 2))}, ValueError, "3 scores on axis 1, but `num_classes` is 2"),
        ({"prediction": np.zeros((1, 2, 2)), "class_axis": 3}, ValueError, "`class_axis` is 3"),
        ({"prediction": np.zeros((2, 1, 3)), "class_axis": 0}, ValueError, "without its class axis 0"),
        ({"class_axis": 1}, ValueError, "must hold scores"),
        ({"mask": np.zeros((1, 2))}, TypeError, "`mask` must be boolean"),
        ({"mask": np.zeros((2, 1), dtype=bool)}, ValueError, "`mask` has shape"),
        ({"num_classes": 0}, ValueError, "`num_classes` must be at least 1"),
        ({"prediction": np.asarray(0), "target": np.asarray(0), "per_image": True}, ValueError, "needs maps"),
    ],
)
def test_what_does_not_fit_raises(library, change, error, message):
    options = {
        "prediction": np.zeros((1, 2), dtype=int),
        "target": np.zeros((1, 2), dtype=int),
        "num_classes": 2,
        **change,
    }
    arrays = {name: library.asarray(value) for name, value in options.items() if isinstance(value, np.ndarray)}
    with pytest.raises(error, match=message):
        metrics.confusion_matrix(**(options | arrays))


def test_mixed_libraries_raise(library):
    if library.xp is np or library.name == "numpy":
        pytest.skip("NumPy with NumPy is not mixed")
    with pytest.raises(TypeError, match="Convert `target` first"):
        metrics.confusion_matrix(library.asarray([[0]]), np.asarray([[0]]), num_classes=1)


def test_empty_batch(library):
    empty = library.asarray(np.zeros((0, 4, 5), dtype=np.uint8))
    assert to_numpy(metrics.confusion_matrix(empty, empty, num_classes=3)).sum() == 0
    assert metrics.confusion_matrix(empty, empty, num_classes=3, per_image=True).shape == (0, 3, 3)


def test_inputs_stay_as_they_are(library):
    prediction, target, mask = label_maps()
    arrays = [library.asarray(array) for array in (prediction, target, mask)]
    metrics.confusion_matrix(*arrays[:2], mask=arrays[2], num_classes=4, ignore_index=255)
    for array, before in zip(arrays, (prediction, target, mask), strict=True):
        np.testing.assert_array_equal(to_numpy(array), before)


def test_maps_that_are_not_contiguous():
    prediction, target, _ = label_maps(shape=(4, 6, 8))
    prediction, target = prediction.astype(np.uint8), target.astype(np.uint8)
    for p, t in ((prediction[::2, ::-1], target[::2, ::-1]), (prediction.T, target.T)):
        matrix = metrics.confusion_matrix(p, t, num_classes=4, ignore_index=255)
        np.testing.assert_array_equal(matrix, count(p, t, 4, 255))


def test_strictest_standard():
    strict = pytest.importorskip("array_api_strict")
    prediction, target, _ = label_maps()
    with strict.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()):
        arrays = strict.asarray(prediction), strict.asarray(target)
        matrix = metrics.confusion_matrix(*arrays, num_classes=4, ignore_index=255)
        assert 0 < float(metrics.mean_iou(matrix)) < 1
        counts = metrics.class_counts(*arrays, num_classes=4, ignore_index=255)
        assert 0 < float(metrics.fine_grained_mean(counts)) < 1
    np.testing.assert_array_equal(to_numpy(matrix), count(prediction, target, 4, 255))


def test_sums_pass_two_to_the_31(library):
    most = np.asarray([[2**31 - 1, 5], [0, 2**31 - 1]])
    total = metrics.add(*[library.asarray(most, "int32")] * 5)
    np.testing.assert_array_equal(to_numpy(total), 5 * most)
    np.testing.assert_array_equal(to_numpy(metrics.add(total, total)), 10 * most)
    expected = (2**31 - 1) / (2**31 + 4)
    np.testing.assert_allclose(to_numpy(metrics.iou(total)), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("others", "error", "message"),
    [(np.zeros((3, 3), dtype=int), ValueError, "one shape"), ((1, 2), TypeError, "one structure")],
)
def test_statistics_that_do_not_add_raise(others, error, message):
    with pytest.raises(error, match=message):
        metrics.add(np.zeros((2, 2), dtype=int), others)


def test_jax_without_x64_counts_and_adds_exactly():
    # In a process of its own, which never switches x64 on, and where any warning (a truncation) is an error.
    pytest.importorskip("jax")
    program = """
import jax, jax.numpy as jnp, numpy as np
from arrayseg import metrics
assert not jax.config.jax_enable_x64
labels = jnp.asarray(np.asarray([[[0, 1, 2, 255, 0]]], dtype=np.uint8))
matrix = metrics.confusion_matrix(labels, labels, num_classes=3, ignore_index=255)
assert matrix.dtype == np.int64
for _ in range(40):
    matrix = metrics.add(matrix, matrix)
expected = np.diag([2, 1, 1]) * 2**40
assert (np.asarray(matrix) == expected).all()
assert (np.asarray(matrix + matrix) == 2 * expected).all()
missed = metrics.confusion_matrix(labels.at[0, 0, 0].set(1), labels, num_classes=3, ignore_index=255)
one_off = metrics.add(matrix, missed)
assert int(np.asarray(one_off)[0, 1]) == 1
for name in ("iou", "specificity"):
    score = getattr(metrics, name)(one_off)
    assert score.dtype == np.float32
    host = getattr(metrics, name)(np.asarray(one_off))
    assert np.allclose(np.asarray(score), host, rtol=1e-7, atol=0)
for name in ("mean_iou", "pixel_accuracy", "cohen_kappa"):
    score = getattr(metrics, name)(one_off)
    host = getattr(metrics, name)(np.asarray(one_off))
    assert score.dtype == np.float32 and np.allclose(np.asarray(score), host, rtol=1e-7, atol=0), name
counts = metrics.class_counts(labels, labels, num_classes=3, ignore_index=255)
assert counts.dtype == np.int64 and float(metrics.fine_grained_mean(counts)) == 1
images = metrics.confusion_matrix(labels, labels, num_classes=3, ignore_index=255, per_image=True)
metrics.bootstrap_interval(metrics.mean_iou, images, resamples=2)
counted = jax.jit(lambda p, t: metrics.confusion_matrix(p, t, num_classes=3))(labels, labels)
assert counted.dtype == np.int32 and (np.asarray(counted) == np.diag([2, 1, 1])).all()
most = jnp.full((2, 2), 2**31 - 1, dtype=jnp.int32)
assert (np.asarray(metrics.add(most, most)) == 2**32 - 2).all()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


@pytest.mark.compile
@pytest.mark.parametrize("x64", [True, False])
def test_jit_counts_and_leaves_out_what_is_out_of_range(x64):
    jax = pytest.importorskip("jax")
    if not x64 and not hasattr(jax, "enable_x64"):
        pytest.skip("this JAX has no scope for x64")
    with jax.enable_x64(x64) if hasattr(jax, "enable_x64") else nullcontext():
        prediction, target, mask = label_maps()
        arrays = [jax.numpy.asarray(array.astype(np.int16)) for array in (prediction, target)]

        def compute(prediction, target, mask):
            matrix = metrics.confusion_matrix(prediction, target, num_classes=3, mask=mask, per_image=True)
            return (
                matrix,
                metrics.mean_iou(matrix),
                metrics.fine_grained_mean(
                    metrics.class_counts(prediction, target, num_classes=3, mask=mask), lowest=40
                ),
            )

        matrix, score, fine = jax.jit(compute)(*arrays, jax.numpy.asarray(mask))
        expected = np.stack([count(p, t, 3, None, m) for p, t, m in zip(prediction, target, mask, strict=True)])
        np.testing.assert_array_equal(np.asarray(matrix), expected)
        np.testing.assert_allclose(np.asarray(score), metrics.mean_iou(expected), rtol=1e-12 if x64 else 2e-6)
        hits = np.stack([np.diagonal(m) for m in expected])
        counts = np.stack([hits, expected.sum(axis=1) - hits, expected.sum(axis=2) - hits], axis=-1)
        host = metrics.fine_grained_mean(counts, lowest=40)
        np.testing.assert_allclose(np.asarray(fine), host, rtol=1e-12 if x64 else 2e-6)


@pytest.mark.compile
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_torch_compile_counts_without_a_graph_break():
    torch = pytest.importorskip("torch")
    prediction, target, mask = (torch.asarray(array) for array in label_maps())

    def compute(prediction, target, mask):
        matrix = metrics.confusion_matrix(prediction, target, num_classes=3, mask=mask)
        return matrix, metrics.mean_iou(matrix), metrics.matthews_corrcoef(matrix)

    matrix, score, correlation = torch.compile(compute, fullgraph=True)(prediction, target, mask)
    expected = count(*(array.numpy() for array in (prediction, target)), 3, None, mask.numpy())
    np.testing.assert_array_equal(matrix.numpy(), expected)
    np.testing.assert_allclose(score.numpy(), metrics.mean_iou(expected), rtol=1e-12)
    np.testing.assert_allclose(correlation.numpy(), metrics.matthews_corrcoef(expected), rtol=1e-12)


@pytest.mark.compat
def test_scikit_learn_counts_the_same():
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    prediction, target, mask = label_maps(shape=(2, 40, 31), classes=6)
    wanted = (target != 255) & mask
    expected = sklearn_metrics.confusion_matrix(target[wanted], prediction[wanted], labels=range(7))
    matrix = metrics.confusion_matrix(prediction, target, num_classes=7, ignore_index=255, mask=mask)
    np.testing.assert_array_equal(matrix, expected)
