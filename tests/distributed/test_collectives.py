"""The collectives of PyTorch and JAX add statistics: every process, or device, gets that of all the images."""

import json
import subprocess
import sys

import pytest

from arrayseg import metrics

SCENE = """
import numpy as np

def scene(images):
    rng = np.random.default_rng(5)
    target = rng.integers(0, 4, (images, 9, 13), dtype=np.uint8)
    target[rng.random(target.shape) < 0.1] = 255
    return rng.integers(0, 4, target.shape, dtype=np.uint8), target
"""

GLOO = (
    SCENE
    + """
import json, sys
import torch
import torch.distributed as dist
from arrayseg import metrics

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
prediction, target = map(torch.from_numpy, scene(7))
# Uneven batches: three of 2, 2 and 1 images in one process, a single one of 2 images in the other.
matrix = torch.zeros((4, 4), dtype=torch.int64)
for batch in [slice(0, 2), slice(2, 4), slice(4, 5)] if rank == 0 else [slice(5, 7)]:
    matrix += metrics.confusion_matrix(prediction[batch], target[batch], num_classes=4, ignore_index=255)
own = [maps[rank::2] for maps in (prediction, target)]
boundary = metrics.boundary_confusion(*own, num_classes=4, ignore_index=255)
large = torch.full((), 2**31 + rank, dtype=torch.int64)
for array in (matrix, *boundary, large):
    dist.all_reduce(array)
score = metrics.mean_iou(matrix)
dist.destroy_process_group()
print(json.dumps([matrix.tolist(), [part.tolist() for part in boundary], large.item(), score.item()]))
"""
)


def scene(images):
    space = {}
    exec(SCENE, space)
    return space["scene"](images)


def test_all_reduce_of_two_processes(tmp_path):
    dist = pytest.importorskip("torch.distributed")
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    command = [sys.executable, "-W", "error", "-c", GLOO]
    processes = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    answers = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    prediction, target = scene(7)
    matrix = metrics.confusion_matrix(prediction, target, num_classes=4, ignore_index=255)
    boundary = metrics.boundary_confusion(prediction, target, num_classes=4, ignore_index=255)
    for answer in answers:
        found, parts, large, score = json.loads(answer)
        assert found == matrix.tolist()
        assert parts == [part.tolist() for part in boundary]
        assert large == 2**32 + 1
        assert score == pytest.approx(float(metrics.mean_iou(matrix)), rel=1e-12)


PSUM = (
    SCENE
    + """
import functools
import sys
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from arrayseg import metrics

jax.config.update("jax_enable_x64", sys.argv[1] == "x64")
if hasattr(jax, "shard_map"):
    shard_map = jax.shard_map
else:
    from jax.experimental.shard_map import shard_map

devices = jax.devices()
assert len(devices) == 4, devices
mesh = Mesh(np.asarray(devices), ("images",))
split, whole = PartitionSpec("images"), PartitionSpec()

@jax.jit
@functools.partial(shard_map, mesh=mesh, in_specs=(split, split), out_specs=(whole, whole))
def evaluate(prediction, target):
    matrix = metrics.confusion_matrix(prediction, target, num_classes=4, ignore_index=255)
    matrix = jax.lax.psum(matrix, "images")
    return matrix, metrics.mean_iou(matrix)

prediction, target = scene(8)
arrays = [jax.device_put(labels, NamedSharding(mesh, split)) for labels in (prediction, target)]
matrix, score = evaluate(*arrays)
expected = metrics.confusion_matrix(prediction, target, num_classes=4, ignore_index=255)
assert matrix.dtype == ("int64" if sys.argv[1] == "x64" else "int32"), matrix.dtype
np.testing.assert_array_equal(np.asarray(matrix), expected)
assert len(matrix.devices()) == 4
np.testing.assert_allclose(np.asarray(score), metrics.mean_iou(expected), rtol=2e-6)
# Without a compiler, of arrays on four devices.
eager = metrics.confusion_matrix(*arrays, num_classes=4, ignore_index=255)
np.testing.assert_array_equal(np.asarray(eager), expected)
"""
)


@pytest.mark.parametrize("width", ["x64", "x32"])
def test_psum_over_four_devices(monkeypatch, width):
    pytest.importorskip("jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    subprocess.run([sys.executable, "-W", "error", "-c", PSUM, width], check=True, timeout=120)


PROCESSES = (
    SCENE
    + """
import multiprocessing
from functools import reduce
from arrayseg import metrics

def count(image):
    prediction, target = scene(7)
    return metrics.boundary_confusion(
        prediction[image : image + 1], target[image : image + 1], num_classes=4, ignore_index=255
    )

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        total = reduce(metrics.add, pool.imap_unordered(count, range(7)))
    expected = metrics.boundary_confusion(*scene(7), num_classes=4, ignore_index=255)
    for found, wanted in zip(total, expected):
        np.testing.assert_array_equal(found, wanted)
"""
)


def test_a_pool_of_processes(tmp_path):
    program = tmp_path / "pool.py"
    program.write_text(PROCESSES, encoding="utf-8")
    subprocess.run([sys.executable, "-P", "-W", "error", str(program)], check=True, timeout=120, cwd=tmp_path)
