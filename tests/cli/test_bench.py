"""`arrayseg bench`: the functions, sizes and backends that are asked for, and every failure by name."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("typer", reason="the extra `app` is not installed")

from arrayseg.cli import _bench
from arrayseg.testing import loss_cases, metric_cases


def test_time_and_memory_of_losses_and_metrics(arrayseg, tmp_path):
    output = tmp_path / "bench.json"
    options = ("--shape", "2,3,8,9", "--functions", "cross_entropy,dice,hausdorff", "--backends", "numpy")
    run = arrayseg("bench", *options, "--repeat", 3, "--output", output)
    assert run.exit_code == 0, run.output
    record = json.loads(output.read_text("utf-8"))
    assert (record["dtype"], record["repeat"]) == ("float32", 3)
    assert all(row["shape"] == [2, 3, 8, 9] for row in record["results"])
    # There is a loss and a metric of the name dice.
    assert [(row["kind"], row["function"]) for row in record["results"]] == [
        ("loss", "cross_entropy"),
        ("loss", "dice"),
        ("metric", "dice"),
        ("metric", "hausdorff"),
    ]
    for row in record["results"]:
        assert row["backend"] == "numpy"
        assert row["seconds"] > 0
        assert row["spread"] >= 0
        assert row["error"] is None
        if row["kind"] == "loss":
            assert row["peak_bytes"] >= 2 * 3 * 8 * 9 * 4  # the gradient
        assert row["function"] in run.output


@pytest.mark.parametrize("shape", [(3, 5, 10, 14), (1, 1, 6, 4), (2, 3, 4, 6, 5)])
def test_every_loss_has_inputs_of_the_shape(shape):
    for case in loss_cases():
        if "," not in case.name:
            larger = _bench.enlarged(case, shape)
            assert larger.input.shape == shape
            assert larger.target.shape == (shape[0], *shape[2:])
            assert larger.target.max() < max(shape[1], 2)
            for name, value in case.options.items():
                if isinstance(value, np.ndarray):
                    assert len(larger.options[name]) == shape[0]


def test_every_metric_has_maps_of_the_shape():
    for case in metric_cases():
        larger = _bench.enlarged(case, (3, 4, 22, 26))
        assert larger.input.shape == (3, *case.input.shape[1:-2], 22, 26)
        assert larger.target.shape == (3, *case.target.shape[1:-2], 22, 26)
        assert set(np.unique(larger.target)) <= set(np.unique(case.target))


def test_maps_are_enlarged_pixel_by_pixel():
    image = np.array([[[1, 2], [3, 4]]])
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    np.testing.assert_array_equal(_bench.resized(image, 2, [4, 4]), [expected, expected])
    np.testing.assert_array_equal(_bench.resized(image, 1, [3, 2, 2]), [[[[1, 2], [3, 4]]] * 3])


def test_every_function_is_measured_by_default(arrayseg, tmp_path):
    output = tmp_path / "bench.json"
    run = arrayseg("bench", "--shape", "2,4,11,13", "--backends", "numpy", "--repeat", 1, "--output", output)
    assert run.exit_code == 0, run.output
    found = {row["function"] for row in json.loads(output.read_text("utf-8"))["results"]}
    assert found == {case.name for case in (*loss_cases(), *metric_cases()) if "," not in case.name}


def test_losses_of_one_channel_take_the_sigmoid(arrayseg):
    run = arrayseg("bench", "--shape", "1,1,6,7", "--functions", "cross_entropy,dice", "--backends", "numpy")
    assert run.exit_code == 0, run.output


def test_named_sizes(arrayseg, tmp_path):
    output = tmp_path / "bench.json"
    options = ("--sizes", "small,binary", "--functions", "dice", "--backends", "numpy", "--repeat", 1)
    run = arrayseg("bench", *options, "--output", output)
    assert run.exit_code == 0, run.output
    shapes = [row["shape"] for row in json.loads(output.read_text("utf-8"))["results"] if row["kind"] == "loss"]
    assert shapes == [[1, 4, 64, 64], [16, 1, 512, 512]]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends(arrayseg, backend):
    pytest.importorskip(backend, reason="not installed")
    options = ("--shape", "1,3,6,7", "--functions", "cross_entropy,mean_iou", "--repeat", 1)
    run = arrayseg("bench", *options, "--backends", backend)
    assert run.exit_code == 0, run.output
    assert run.output.count(f" {backend} ") == 2


def test_a_failure_keeps_the_other_figures(arrayseg, monkeypatch, tmp_path):
    def broken(*_, **__):
        msg = "out of memory"
        raise MemoryError(msg)

    first, second = metric_cases()[:2]
    monkeypatch.setattr(_bench, "metric_cases", lambda: [replace(first, function=broken), second])
    monkeypatch.setattr(_bench, "loss_cases", list)
    output = tmp_path / "bench.json"
    options = ("--shape", "1,4,6,7", "--backends", "numpy", "--output", output)
    run = arrayseg("bench", *options)
    assert run.exit_code == 0
    assert f"Not measured: metric {first.name} on numpy: MemoryError: out of memory" in run.output
    # A function that the user names must be measured.
    assert arrayseg("bench", *options, "--functions", f"{first.name},{second.name}").exit_code == 1
    assert arrayseg("bench", *options, "--functions", second.name).exit_code == 0
    run = arrayseg("bench", *options)
    failed, measured = json.loads(output.read_text("utf-8"))["results"]
    assert (failed["seconds"], failed["error"]) == (None, "MemoryError: out of memory")
    assert measured["seconds"] > 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--shape", "4,4"),
        ("--shape", "1,2,0,4"),
        ("--shape", "a,b,c,d"),
        ("--sizes", "nosuch"),
        ("--functions", "nosuch"),
        ("--functions", "dice,nosuch"),
        ("--backends", "nosuch"),
        ("--dtype", "float8"),
        ("--output", "-"),
        ("--output", "no/such/folder"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_measured(arrayseg, monkeypatch, option, value):
    monkeypatch.setattr(_bench, "measure", lambda *_, **__: pytest.fail("measured before the options are checked"))
    run = arrayseg("bench", option, value)
    assert run.exit_code == 2
    assert value.rpartition(",")[2] in run.output


def test_no_repetition_is_refused(arrayseg):
    run = arrayseg("bench", "--repeat", 0)
    assert run.exit_code == 2
    assert "--repeat" in run.output


def test_a_backend_without_the_dtype_is_refused(arrayseg):
    run = arrayseg("bench", "--backends", "numpy", "--dtype", "bfloat16")
    assert run.exit_code == 2
    assert "--dtype bfloat16: not available on numpy." in run.output
