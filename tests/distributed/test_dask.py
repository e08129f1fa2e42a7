"""Statistics of Dask arrays are lazy, count what NumPy counts, and hold a few chunks at a time."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from arrayseg import losses, metrics
from arrayseg.testing import relative_difference

da = pytest.importorskip("dask.array")

OPTIONS = {"num_classes": 5, "ignore_index": 255}


@pytest.fixture(autouse=True)
def one_thread():
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 5, (3, 37, 41), dtype=np.uint8)
    target[rng.random(target.shape) < 0.1] = 255
    return rng.integers(0, 5, target.shape), target, rng.random(target.shape) < 0.7


def chunked(maps):
    """The three arrays in chunks that have no boundary in common."""
    chunks = (1, 16, 41), (2, 10, 17), (3, 37, 5)
    return [da.from_array(array, chunks=sizes) for array, sizes in zip(maps, chunks, strict=True)]


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_chunks_that_differ_count_as_the_whole(maps, per_image, masked):
    prediction, target, mask = maps
    expected = metrics.confusion_matrix(
        prediction, target, mask=mask if masked else None, per_image=per_image, **OPTIONS
    )
    prediction, target, mask = chunked(maps)
    matrix = metrics.confusion_matrix(prediction, target, mask=mask if masked else None, per_image=per_image, **OPTIONS)
    assert isinstance(matrix, da.Array)
    assert (matrix.shape, matrix.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(matrix.compute(), expected)


def test_class_counts(maps):
    prediction, target, mask = chunked(maps)
    counts = metrics.class_counts(prediction, target, mask=mask, **OPTIONS)
    assert isinstance(counts, da.Array)
    np.testing.assert_array_equal(counts.compute(), metrics.class_counts(maps[0], maps[1], mask=maps[2], **OPTIONS))
    # More classes than pixels of a chunk: counted without their matrix.
    counts = metrics.class_counts(prediction, target, num_classes=256)
    np.testing.assert_array_equal(counts.compute(), metrics.class_counts(maps[0], maps[1], num_classes=256))


@pytest.mark.parametrize("chunks", [(2, -1, 20, 20), (1, 2, 37, 11)])
@pytest.mark.parametrize("class_axis", [None, -1])
def test_scores_in_any_chunks(maps, chunks, class_axis):
    target = maps[1]
    scores = np.random.default_rng(1).integers(0, 3, (3, 5, 37, 41)).astype(np.float32)  # with ties
    expected = metrics.confusion_matrix(scores, target, **OPTIONS)
    lazy = da.from_array(scores, chunks=chunks)
    lazy = lazy if class_axis is None else da.moveaxis(lazy, 1, class_axis)
    matrix = metrics.confusion_matrix(lazy, chunked(maps)[1], class_axis=class_axis, **OPTIONS)
    np.testing.assert_array_equal(matrix.compute(), expected)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("name", ["mean_iou", "iou", "pixel_accuracy", "cohen_kappa", "balanced_accuracy"])
def test_functions_of_a_lazy_matrix_are_lazy(maps, name, per_image):
    prediction, target, _ = chunked(maps)
    score = getattr(metrics, name)
    matrix = metrics.confusion_matrix(prediction, target, per_image=per_image, **OPTIONS)
    expected = score(matrix.compute(), classes=[3, 1])
    found = score(matrix, classes=[3, 1])
    assert isinstance(found, da.Array)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert relative_difference(found.compute(), expected) == 0
    assert relative_difference(score(matrix.rechunk(1), classes=[3, 1]).compute(), expected) == 0


def test_lazy_matrices_add(maps):
    prediction, target, _ = chunked(maps)
    matrix = metrics.confusion_matrix(prediction, target, **OPTIONS)
    total = metrics.add(matrix, matrix, matrix)
    assert isinstance(total, da.Array)
    np.testing.assert_array_equal(total.compute(), 3 * matrix.compute())


def test_no_chunk_is_computed_before_it_is_asked_for(maps):
    def refuse(block):
        raise AssertionError

    prediction, target, _ = (array.map_blocks(refuse, meta=array._meta) for array in chunked(maps))
    metrics.iou(metrics.confusion_matrix(prediction, target, per_image=True, **OPTIONS))
    metrics.class_counts(prediction, target, **OPTIONS)


def test_a_label_out_of_range_raises_when_its_chunk_is_counted(maps):
    prediction, target, _ = chunked(maps)
    matrix = metrics.confusion_matrix(prediction, target, num_classes=5)
    with pytest.raises(ValueError, match=r"`target` has the label 255 at \d+ of \d+ pixels, outside 0 \.\. 4"):
        matrix.compute()


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 0), (3,)])
@pytest.mark.parametrize("per_image", [False, True])
def test_empty_and_flat_maps(shape, per_image):
    labels = np.zeros(shape, dtype=np.uint8)
    lazy = da.from_array(labels, chunks=2)
    if per_image:  # rows of a single map are not images
        with pytest.raises(ValueError, match="batch axis"):
            metrics.confusion_matrix(lazy, lazy, num_classes=2, per_image=True)
        return
    expected = metrics.confusion_matrix(labels, labels, num_classes=2, per_image=per_image)
    matrix = metrics.confusion_matrix(lazy, lazy, num_classes=2, per_image=per_image)
    np.testing.assert_array_equal(matrix.compute(), expected)
    assert matrix.shape == expected.shape


def test_what_does_not_fit_raises_at_the_call(maps):
    prediction, target, _ = chunked(maps)
    with pytest.raises(ValueError, match="must be equal"):
        metrics.confusion_matrix(prediction, target[:, 1:], **OPTIONS)
    with pytest.raises(TypeError, match="must be boolean"):
        metrics.confusion_matrix(prediction, target, mask=target, **OPTIONS)
    with pytest.raises(TypeError, match=r"an array of Dask and `target` of NumPy. Convert .* dask.array.from_array"):
        metrics.confusion_matrix(prediction, maps[1], **OPTIONS)


def test_unknown_shapes_raise(maps):
    prediction, target, mask = chunked(maps)
    with pytest.raises(ValueError, match=r"`prediction` is a Dask array of unknown shape \(nan,\).* the mask"):
        metrics.confusion_matrix(prediction[mask], target[mask], **OPTIONS)


@pytest.mark.parametrize(
    "call",
    [
        losses.cross_entropy,
        losses.dice,
        lambda scores, target: metrics.surface_distances(target == 1, target == 1),
        lambda scores, target: metrics.report(metrics.confusion_matrix(scores, target, num_classes=5)),
        lambda scores, target: metrics.fine_grained_mean(metrics.class_counts(scores, target, num_classes=5)),
    ],
    ids=["cross_entropy", "dice", "surface_distances", "report", "fine_grained_mean"],
)
def test_what_needs_whole_arrays_says_so(maps, call):
    scores = da.zeros((3, 5, 37, 41), chunks=(1, 5, 20, 20))
    with pytest.raises(TypeError, match=r"is a Dask array, which this function does not support. Call it .*compute"):
        call(scores, chunked(maps)[1])


CLASSES = 7


def stripes(shape, chunk, axis):
    """A mosaic of uint8 labels made chunk by chunk: the index along an axis, mod CLASSES."""

    def make(block_info=None):
        ranges = [np.arange(*bounds) for bounds in block_info[None]["array-location"]]
        labels = (ranges[axis] % CLASSES).astype(np.uint8)
        return np.broadcast_to(np.expand_dims(labels, 1 - axis), [len(indices) for indices in ranges]).copy()

    chunks = tuple((side,) * (length // side) for length, side in zip(shape, chunk, strict=True))
    return da.map_blocks(make, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0), dtype=np.uint8))


def test_a_mosaic_is_counted_in_the_memory_of_some_chunks():
    shape = 2**14, 2**14 + 2**13
    target, prediction = stripes(shape, (2048, 2048), axis=0), stripes(shape, (1024, 4096), axis=1)
    matrix = metrics.confusion_matrix(prediction, target, num_classes=CLASSES)
    tracemalloc.start()
    try:
        counts = matrix.compute()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**26 < (target.nbytes + prediction.nbytes) / 10
    rows, columns = (np.bincount(np.arange(length) % CLASSES) for length in shape)
    np.testing.assert_array_equal(counts, np.outer(rows, columns))


WORKER = """
import resource
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from arrayseg import metrics

LIMIT = 320 * 2**20

def labels(block_info=None):
    (top, bottom), (left, right) = block_info[None]["array-location"]
    return ((np.arange(top, bottom) % 2).astype(np.uint8)[:, None] | np.zeros(right - left, dtype=np.uint8))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

if __name__ == "__main__":
    chunks = ((2048,) * 8, (4096,) * 4)
    target = da.map_blocks(labels, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0), dtype=np.uint8))
    prediction = da.zeros(target.shape, chunks=(4096, 2048), dtype=np.uint8) + np.uint8(1)
    assert target.nbytes + prediction.nbytes > LIMIT
    options = dict(n_workers=1, threads_per_worker=1, memory_limit=LIMIT, dashboard_address=None)
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        matrix = metrics.confusion_matrix(prediction, target, num_classes=2)
        accuracy, counts = client.gather(client.compute([metrics.pixel_accuracy(matrix), matrix]))
        (used,) = client.run(peak).values()
    assert used < LIMIT, used
    assert counts.tolist() == [[0, target.size // 2], [0, target.size // 2]] and accuracy == 0.5
"""


def test_a_mosaic_larger_than_the_memory_limit_of_the_worker(tmp_path):
    # `distributed` alone would find this folder of tests.
    pytest.importorskip("distributed.deploy")
    pytest.importorskip("resource")
    program = tmp_path / "mosaic.py"
    program.write_text(WORKER, encoding="utf-8")
    subprocess.run([sys.executable, "-P", str(program)], check=True, timeout=120, cwd=tmp_path)


@pytest.mark.gpu
def test_chunks_on_the_device(maps):
    cupy = pytest.importorskip("cupy")
    if not cupy.is_available():
        pytest.skip("CuPy finds no device")
    prediction, target, mask = (array.map_blocks(cupy.asarray) for array in chunked(maps))
    for per_image in (False, True):
        expected = metrics.confusion_matrix(maps[0], maps[1], mask=maps[2], per_image=per_image, **OPTIONS)
        matrix = metrics.confusion_matrix(prediction, target, mask=mask, per_image=per_image, **OPTIONS)
        counts, score = matrix.compute(), metrics.iou(matrix).compute()
        assert isinstance(counts, cupy.ndarray)
        assert isinstance(score, cupy.ndarray)
        np.testing.assert_array_equal(cupy.asnumpy(counts), expected)
        assert relative_difference(score, metrics.iou(expected)) < 1e-12
    with pytest.raises(ValueError, match="is on device"):
        metrics.confusion_matrix(prediction, chunked(maps)[1], **OPTIONS)
