"""The benchmark measures what it says, and never compares different functions."""

import json
from dataclasses import replace
from time import sleep

import numpy as np
import pytest
from benchmarks import (
    confusion_metrics,
    frameworks,
    growth,
    inputs as benchmark_inputs,
    layouts,
    measure,
    peers,
    probability_metrics,
    run,
    segment_metrics,
    surface_metrics,
)
from benchmarks.comparison import Comparison
from benchmarks.inputs import Inputs

from arrayseg import value_and_grad

#: Inputs of the metrics that are small enough for a test.
SMALLER = [
    (confusion_metrics, "BATCH", (2, 64, 96)),
    (confusion_metrics, "IMAGES", (2, 256, 384)),  # so that every class is in every image
    (segment_metrics, "IMAGES", (2, 64, 96)),
    (probability_metrics, "SHAPE", (2, 5, 16, 24)),
    (surface_metrics, "RADIUS", 9),
]
TINY = {"tiny": (2, 3, 9, 7), "binary": (2, 1, 9, 7)}


@pytest.fixture(autouse=True)
def few_turns(monkeypatch):
    monkeypatch.setattr(measure, "SHORTEST_SECONDS", 0.0)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(run, "SIZES", TINY)


@pytest.fixture
def nothing_is_measured(monkeypatch):
    message = "this must be refused before anything is measured"
    monkeypatch.setattr(run, "measure", lambda *_: pytest.fail(message))
    monkeypatch.setattr(growth, "measure_growth", lambda *_: pytest.fail(message))


def sum_of(inputs):
    return inputs.logits.sum


def compare_sum_to(monkeypatch, **others):
    comparison = Comparison("sum", "numpy", sum_of, others)
    monkeypatch.setattr(run, "loss_comparisons", lambda inputs, with_peers: [comparison])


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("size", TINY)
def test_numpy_against_the_one_shot_form(capsys, tmp_path, size):
    output = tmp_path / "bench.json"
    options = ["--sizes", size, "--backends", "numpy", "--no-metrics", "--repeat", "3", "--output", str(output)]
    assert run.main(options) == 0
    assert "one-shot NumPy" in capsys.readouterr().out
    record = json.loads(output.read_text())
    assert record["versions"]["numpy"] == np.__version__
    layout = "arrayseg, channels-last"
    found = {result["function"] for result in record["results"] if result["implementation"] != layout}
    assert found >= {"cross_entropy", "focal", "dice", "tversky"}
    for result in record["results"]:
        assert 0 < result["fastest"] <= result["seconds"] <= result["slowest"]
        assert result["limit_seconds"] > 0
        assert result["peak_bytes"] >= result["input_bytes"]  # the gradient at least
        assert result["agrees"] is (None if result["implementation"] == "arrayseg" else True)


@pytest.mark.usefixtures("tiny")
def test_a_different_function_is_reported(capsys, monkeypatch):
    compare_sum_to(monkeypatch, mean=lambda inputs: inputs.logits.mean)
    assert run.main(["--sizes", "tiny", "--no-metrics"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.usefixtures("tiny")
def test_a_peer_that_fails_is_left_out(capsys, monkeypatch):
    def broken(_):
        msg = "needs another package"
        raise ImportError(msg)

    compare_sum_to(monkeypatch, broken=broken, sum=sum_of)
    assert run.main(["--sizes", "tiny", "--no-metrics"]) == 0
    assert "broken is left out of sum on numpy: ImportError: needs another package" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny")
def test_a_failure_of_arrayseg_keeps_the_other_figures(capsys, monkeypatch, tmp_path):
    def broken(_):
        msg = "out of memory"
        raise MemoryError(msg)

    found = [Comparison("first", "numpy", broken, {}), Comparison("sum", "numpy", sum_of, {})]
    monkeypatch.setattr(run, "loss_comparisons", lambda inputs, with_peers: found)
    assert run.main(["--sizes", "tiny", "--no-metrics", "--output", str(tmp_path / "bench.json")]) == 1
    assert "arrayseg fails in first on numpy, tiny: MemoryError: out of memory" in capsys.readouterr().err
    (result,) = json.loads((tmp_path / "bench.json").read_text())["results"]
    assert result["function"] == "sum"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--sizes", "huge"),
        ("--sizes", "small,huge"),
        ("--functions", "nosuch"),
        ("--functions", "dice,nosuch"),
        ("--backends", "nosuch"),
        ("--dtype", "float8"),
        ("--labels", "striped"),
        ("--repeat", "0"),
        ("--output", "no/such/folder"),
    ],
)
@pytest.mark.usefixtures("nothing_is_measured")
@pytest.mark.parametrize("others", [["--sizes", "small"], ["--growth"]])
def test_unknown_options(capsys, option, value, others):
    with pytest.raises(SystemExit, match="2"):
        run.main([*others, option, value])
    assert value.rpartition(",")[2] in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_backend_that_has_none_of_the_functions(capsys, monkeypatch):
    found = [Comparison("first", "numpy", sum_of, {}), Comparison("second", "torch", sum_of, {})]
    monkeypatch.setattr(run, "loss_comparisons", lambda inputs, with_peers: found)
    with pytest.raises(SystemExit, match="2"):
        run.main(["--sizes", "small", "--no-metrics", "--functions", "first", "--backends", "torch"])
    assert "none of the backends ['torch'] has any of the functions ['first']" in capsys.readouterr().err


def test_every_array_must_agree():
    ones = np.ones(5)
    assert measure.agree((1.0, ones), [1.0 + 1e-7, ones], 1e-6)
    assert not measure.agree((1.0, ones), (1.0, ones * 1.1), 1e-6)
    assert not measure.agree((1.0, ones), (1.0,), 1e-6)
    assert not measure.agree((1.0, ones), (1.0, np.ones(4)), 1e-6)
    assert not measure.agree(1.0, float("nan"), 1e-6)


def test_short_calls_have_more_turns(monkeypatch):
    calls = {"short": lambda: None}
    assert len(measure.in_turns(calls, 3)["short"]) == 3
    monkeypatch.setattr(measure, "SHORTEST_SECONDS", 0.01)
    assert len(measure.in_turns(calls, 3)["short"]) > 3
    monkeypatch.setattr(measure, "LONGEST_SECONDS", 0.001)
    assert len(measure.in_turns({"long": lambda: sleep(0.005)}, 3)["long"]) == 1


def test_limit_copies_all_bytes(monkeypatch):
    copied = []
    monkeypatch.setattr(np, "copyto", lambda target, source: copied.append(target.nbytes + source.nbytes))
    measure.copy_of(16_000)()
    assert sum(copied) == 16_000


@pytest.mark.parametrize("labels", ["blocky", "random"])
def test_inputs(labels):
    inputs = Inputs.draw((2, 5, 40, 33), blocky=labels == "blocky")
    assert inputs.ids.shape == (2, 40, 33)
    assert set(np.unique(inputs.ids)) <= set(range(5))
    same = np.mean(inputs.ids[:, :, 1:] == inputs.ids[:, :, :-1])
    assert same > 0.9 if labels == "blocky" else same < 0.3
    assert inputs.limit_bytes == 2 * inputs.logits.nbytes + inputs.ids.nbytes
    assert Inputs.draw((300, 2, 200, 20)).corner().logits.shape == (1, 2, 128, 20)


@pytest.mark.parametrize("binary", [False, True])
def test_every_loss_of_a_peer_has_one_of_arrayseg(binary):
    whole = Inputs.draw(TINY["binary" if binary else "tiny"], "float64", blocky=False)
    for peer in peers.BINARY if binary else peers.EXCLUSIVE:
        inputs = whole.two_classes() if peer.two_classes else whole
        given = peers.input_of(peer.input, inputs.logits)
        last = peer.target.startswith("last")
        target = peers.target_of("ids" if peer.own else peer.target, inputs)
        loss = peers.own_loss(peer, inputs.logits.shape[1])
        value, gradient = value_and_grad(loss)(np.moveaxis(given, 1, -1) if last else given, target)
        assert np.isfinite(value), peer.path
        assert np.any(gradient), peer.path


@pytest.mark.compat
@pytest.mark.filterwarnings("ignore")  # warnings of a peer do not concern the benchmark
@pytest.mark.parametrize("binary", [False, True])
def test_losses_agree_with_the_installed_peers(binary):
    inputs = Inputs.draw(TINY["binary" if binary else "tiny"], "float64", blocky=False)
    found = list(peers.comparisons(inputs))
    if not found:
        pytest.skip("no peer is installed")
    for comparison in found:
        if comparison.backend != "jax":  # compiling takes long, and tests/compat has them
            given = inputs.two_classes() if comparison.part == "two classes" else inputs
            results = measure.measure(replace(comparison, tolerance=1e-5), given, "tiny", 1)
            assert all(result.agrees is not False for result in results), comparison.function


@pytest.mark.compat
@pytest.mark.filterwarnings("ignore")
def test_metrics_agree_with_the_installed_peers(monkeypatch):
    for module, name, size in SMALLER:
        monkeypatch.setattr(module, name, size)
    found = list(run.metric_comparisons(with_peers=True))
    assert found
    for comparison in found:
        results = measure.measure(comparison, None, "", 1)
        assert all(result.agrees is not False for result in results), comparison.function
    cached = (confusion_metrics.label_maps, segment_metrics.segment_maps, probability_metrics.probability_maps)
    for maps in (*cached, surface_metrics.balls):
        maps.cache_clear()  # no other test may see the smaller ones


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_classes_last_are_the_same_numbers(backend):
    if backend not in benchmark_inputs.available("cpu"):
        pytest.skip(f"{backend} is not installed")
    inputs = Inputs.draw(TINY["tiny"])
    found = [comparison for comparison in layouts.comparisons(inputs) if comparison.backend == backend]
    assert found
    for comparison in found:
        (first, last) = measure.measure(comparison, inputs, "tiny", 1)
        assert last.agrees, comparison.function
        assert first.peak_bytes >= inputs.input_bytes


def test_half_precision_leaves_out_a_peer_that_loses_its_number(capsys):
    twice = {"twice": lambda inputs: (inputs.logits * 2).sum}
    inputs = Inputs.draw(TINY["tiny"], "float16")
    (alone,) = measure.measure(Comparison("sum", "numpy", sum_of, twice), inputs, "tiny", 1)
    assert alone.implementation == "arrayseg"
    assert "twice is left out of sum on numpy: in float16 its result differs from arrayseg's" in capsys.readouterr().err


def test_jax_reports_its_memory():
    if "jax" not in benchmark_inputs.available("cpu"):
        pytest.skip("jax is not installed")
    inputs = Inputs.draw(TINY["tiny"])
    comparison = next(comparison for comparison in frameworks.comparisons(inputs) if comparison.backend == "jax")
    assert all(result.peak_bytes >= inputs.input_bytes for result in measure.measure(comparison, inputs, "tiny", 1))


def test_a_missing_device_is_refused_before_anything_is_measured(capsys, monkeypatch):
    monkeypatch.setattr(run, "available", lambda device: ("numpy",) if device == "cpu" else ())
    with pytest.raises(SystemExit, match="2"):
        run.main(["--device", "cuda"])
    assert "none of torch, JAX and CuPy is installed and finds a 'cuda' device" in capsys.readouterr().err


def test_a_gpu_has_peers_of_its_own(monkeypatch):
    monkeypatch.setattr(frameworks, "available", lambda device: ("torch", "jax", "cupy"))
    inputs = replace(Inputs.draw(TINY["tiny"]), device="cuda")
    found = {each.backend: set(each.peers) for each in frameworks.comparisons(inputs) if each.function == "dice"}
    assert found == {
        "torch": {"plain torch", "torch.compile"},
        "jax": {"plain jax.jit"},
        "cupy": {"arrayseg, torch"},
    }


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_copy_of_a_device_is_another_array(backend):
    if backend not in benchmark_inputs.available("cpu"):
        pytest.skip(f"{backend} is not installed")
    copy = measure.device_copy(np.ones(5, dtype=np.float32), backend, "cpu")
    first, second = copy(), copy()
    assert first is not second
    assert first.shape == (5,)


@pytest.fixture
def short_axes(monkeypatch):
    steps = {1: (1, 3, 8, 8), 2: (1, 3, 8, 16), 4: (1, 3, 16, 16)}
    monkeypatch.setattr(growth, "AXES", dict.fromkeys(("pixels", "threads"), lambda: steps))


@pytest.mark.usefixtures("short_axes")
def test_growth(tmp_path):
    output = tmp_path / "growth.json"
    assert run.main(["--growth", "--backends", "numpy", "--repeat", "2", "--output", str(output)]) == 0
    record = json.loads(output.read_text())
    curves = {(point["axis"], point["function"]) for point in record["growth"]}
    assert curves == {(axis, function) for axis in ("pixels", "threads") for function in growth.FUNCTIONS}
    assert {(slope["axis"], slope["function"]) for slope in record["exponents"]} == curves
    for point in record["growth"]:
        assert 0 < point["fastest"] <= point["seconds"] <= point["slowest"]
        assert point["peak_bytes"] > point["gradient_bytes"]


@pytest.mark.parametrize("function", growth.LOSSES)
def test_memory_without_the_gradient_does_not_grow(monkeypatch, function):
    monkeypatch.setenv("ARRAYSEG_NUM_THREADS", "1")  # how far the peaks of several threads coincide is chance
    steps = {images: Inputs.draw((images, 19, 256, 256)) for images in (1, 4)}
    small, large = growth.measure_growth("batch", function, "numpy", steps, 1)
    assert large.temporary_bytes < 1.1 * small.temporary_bytes


def test_threads_are_given_back(monkeypatch):
    monkeypatch.setenv("ARRAYSEG_NUM_THREADS", "3")
    with growth.threads(1):
        assert measure.thread_count() == 1
    assert measure.thread_count() == 3


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_exponents_are_those_of_the_curve(power):
    points = [growth.Point("pixels", n, "dice", "numpy", 1e-6 * n**power, 0, 0, 0, n, n) for n in (1, 10, 100, 1000)]
    (slope,) = growth.exponents(points)
    assert slope["exponent"] == pytest.approx(power, abs=1e-9)
