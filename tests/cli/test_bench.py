"""`arrayseg bench` measures what it says, and compares nothing with another function."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("typer", reason="the extra `app` is not installed")

from arrayseg import value_and_grad
from arrayseg.backends.numpy.threads import thread_count
from arrayseg.cli import _bench, _growth, _measure, contests
from arrayseg.cli.contests import (
    Contest,
    Scene,
    frameworks,
    layouts,
    metrics,
    peers,
    scene as scenes,
    scores,
    segments,
    surfaces,
)

#: The inputs of the metrics, so small that a session has time for them.
SMALLER = [
    (metrics, "BATCH", (2, 64, 96)),
    (metrics, "IMAGES", (2, 256, 384)),  # so that every class is in every image
    (segments, "SEGMENTED", (2, 64, 96)),
    (scores, "SHAPE", (2, 5, 16, 24)),
    (surfaces, "RADIUS", 9),
]
TINY = {"tiny": (2, 3, 9, 7), "binary": (2, 1, 9, 7)}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(_bench, "SIZES", TINY)


@pytest.fixture
def nothing_is_measured(monkeypatch):
    monkeypatch.setattr(_bench, "measure", lambda *_: pytest.fail("this was to be refused before it is measured"))
    monkeypatch.setattr(_growth, "measure_growth", lambda *_: pytest.fail("so was this"))


def rivals_of_one(monkeypatch, **rivals):
    contest = Contest("sum", "numpy", lambda scene: scene.logits.sum, rivals)
    monkeypatch.setattr(_bench, "contests", lambda scene, with_peers: [contest])


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("size", TINY)
def test_numpy_against_the_one_shot_form(arrayseg, tmp_path, size):
    output = tmp_path / "bench.json"
    run = arrayseg("bench", "--sizes", size, "--backends", "numpy", "--no-metrics", "--repeat", 3, "--output", output)
    assert run.exit_code == 0, run.output
    assert "one-shot NumPy" in run.output
    record = json.loads(output.read_text())
    assert record["versions"]["numpy"] == np.__version__
    found = {result["function"] for result in record["results"] if result["entry"] != "arrayseg, channels-last"}
    assert found >= {"cross_entropy", "focal", "dice", "tversky"}
    for result in record["results"]:
        assert 0 < result["fastest"] <= result["seconds"] <= result["slowest"]
        assert result["limit_seconds"] > 0
        assert result["peak_bytes"] >= result["input_bytes"]  # the gradient at least
        assert result["agrees"] is (None if result["entry"] == "arrayseg" else True)


@pytest.mark.usefixtures("tiny")
def test_another_function_is_no_rival(arrayseg, monkeypatch):
    rivals_of_one(monkeypatch, mean=lambda scene: scene.logits.mean)
    run = arrayseg("bench", "--sizes", "tiny", "--no-metrics")
    assert run.exit_code == 1
    assert "DIFFERS" in run.output


@pytest.mark.usefixtures("tiny")
def test_a_rival_that_does_not_work_is_left_out(arrayseg, monkeypatch):
    def broken(_):
        msg = "needs another package"
        raise ImportError(msg)

    rivals_of_one(monkeypatch, broken=broken, sum=lambda scene: scene.logits.sum)
    run = arrayseg("bench", "--sizes", "tiny", "--no-metrics")
    assert run.exit_code == 0
    assert "broken is left out of sum on numpy: ImportError: needs another package" in run.output


@pytest.mark.usefixtures("tiny")
def test_a_failure_of_ours_costs_no_other_figure(arrayseg, monkeypatch, tmp_path):
    def broken(_):
        msg = "out of memory"
        raise MemoryError(msg)

    found = [Contest("first", "numpy", broken, {}), Contest("sum", "numpy", lambda scene: scene.logits.sum, {})]
    monkeypatch.setattr(_bench, "contests", lambda scene, with_peers: found)
    run = arrayseg("bench", "--sizes", "tiny", "--no-metrics", "--output", tmp_path / "bench.json")
    assert run.exit_code == 1
    assert "arrayseg fails in first on numpy, tiny: MemoryError: out of memory" in run.output
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
        ("--output", "-"),
        ("--output", "no/such/folder"),
    ],
)
@pytest.mark.usefixtures("nothing_is_measured")
def test_unknown_options(arrayseg, option, value):
    run = arrayseg("bench", "--sizes", "small", option, value)
    assert run.exit_code == 2
    assert value.rpartition(",")[2] in run.output
    assert arrayseg("bench", "--growth", option, value).exit_code == 2


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_backend_that_has_none_of_the_functions(arrayseg, monkeypatch):
    found = [Contest("first", "numpy", lambda scene: None, {}), Contest("second", "torch", lambda scene: None, {})]
    monkeypatch.setattr(_bench, "contests", lambda scene, with_peers: found)
    run = arrayseg("bench", "--sizes", "small", "--no-metrics", "--functions", "first", "--backends", "torch")
    assert run.exit_code == 2
    assert "none of the backends torch has any of the functions first" in run.output


def test_every_array_must_agree():
    ones = np.ones(5)
    assert _measure.agree((1.0, ones), [1.0 + 1e-7, ones], 1e-6)
    assert not _measure.agree((1.0, ones), (1.0, ones * 1.1), 1e-6)
    assert not _measure.agree((1.0, ones), (1.0,), 1e-6)
    assert not _measure.agree((1.0, ones), (1.0, np.ones(4)), 1e-6)
    assert not _measure.agree(1.0, float("nan"), 1e-6)


def test_limit_copies_all_bytes(monkeypatch):
    copied = []
    monkeypatch.setattr(np, "copyto", lambda target, source: copied.append(target.nbytes + source.nbytes))
    _measure.copy_of(16_000)()
    assert sum(copied) == 16_000


@pytest.mark.parametrize("labels", ["blocky", "random"])
def test_scene(labels):
    scene = Scene.draw((2, 5, 40, 33), blocky=labels == "blocky")
    assert scene.ids.shape == (2, 40, 33)
    assert set(np.unique(scene.ids)) <= set(range(5))
    same = np.mean(scene.ids[:, :, 1:] == scene.ids[:, :, :-1])
    assert same > 0.9 if labels == "blocky" else same < 0.3
    assert scene.limit_bytes == 2 * scene.logits.nbytes + scene.ids.nbytes
    assert Scene.draw((300, 2, 200, 20)).corner().logits.shape == (1, 2, 128, 20)


@pytest.mark.parametrize("binary", [False, True])
def test_every_loss_of_a_peer_has_ours(binary):
    whole = Scene.draw(TINY["binary" if binary else "tiny"], "float64", blocky=False)
    for peer in peers.BINARY if binary else peers.EXCLUSIVE:
        scene = whole.two_classes() if peer.two_classes else whole
        input = peers._input(peer.input, scene.logits)
        last = peer.target.startswith("last")
        target = peers._target("ids" if peer.ours else peer.target, scene)
        ours = peers._ours(peer, scene.logits.shape[1])
        value, gradient = value_and_grad(ours)(np.moveaxis(input, 1, -1) if last else input, target)
        assert np.isfinite(value), peer.path
        assert np.any(gradient), peer.path


@pytest.mark.compat
@pytest.mark.filterwarnings("ignore")  # what a peer warns of is its own affair
@pytest.mark.parametrize("binary", [False, True])
def test_losses_agree_with_the_installed_peers(binary):
    scene = Scene.draw(TINY["binary" if binary else "tiny"], "float64", blocky=False)
    found = list(peers.contests(scene))
    if not found:
        pytest.skip("no peer is installed")
    for contest in found:
        if contest.backend != "jax":  # compiling takes long, and tests/compat has them
            given = scene.two_classes() if contest.part == "two classes" else scene
            results = _measure.measure(replace(contest, tolerance=1e-5), given, "tiny", 1)
            assert all(result.agrees is not False for result in results), contest.name


@pytest.mark.compat
@pytest.mark.filterwarnings("ignore")
def test_metrics_agree_with_the_installed_peers(monkeypatch):
    for module, name, size in SMALLER:
        monkeypatch.setattr(module, name, size)
    found = list(contests.metric_contests(with_peers=True))
    assert found
    for contest in found:
        results = _measure.measure(contest, None, "", 1)
        assert all(result.agrees is not False for result in results), contest.name
    for module, maps in ((metrics, "label_maps"), (segments, "segment_maps"), (scores, "probability_maps")):
        getattr(module, maps).cache_clear()  # no other test is to see the smaller ones
    surfaces.balls.cache_clear()


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_classes_last_are_the_same_numbers(backend):
    if backend not in scenes.available("cpu"):
        pytest.skip(f"{backend} is not installed")
    scene = Scene.draw(TINY["tiny"])
    found = [contest for contest in layouts.contests(scene) if contest.backend == backend]
    assert found
    for contest in found:
        (ours, last) = _measure.measure(contest, scene, "tiny", 1)
        assert last.agrees, contest.name
        assert ours.peak_bytes >= scene.input_bytes


def test_half_precision_leaves_out_a_rival_that_loses_its_number(capsys):
    contest = Contest("sum", "numpy", lambda scene: scene.logits.sum, {"twice": lambda scene: (scene.logits * 2).sum})
    (alone,) = _measure.measure(contest, Scene.draw(TINY["tiny"], "float16"), "tiny", 1)
    assert alone.entry == "arrayseg"
    assert "twice is left out of sum on numpy: in float16 its result is not ours" in capsys.readouterr().err


def test_jax_tells_its_memory():
    if "jax" not in scenes.available("cpu"):
        pytest.skip("jax is not installed")
    scene = Scene.draw(TINY["tiny"])
    contest = next(contest for contest in frameworks.contests(scene) if contest.backend == "jax")
    assert all(result.peak_bytes >= scene.input_bytes for result in _measure.measure(contest, scene, "tiny", 1))


def test_no_device_is_said_before_anything_is_measured(arrayseg, monkeypatch):
    monkeypatch.setattr(_bench, "available", lambda device: ("numpy",) if device == "cpu" else ())
    run = arrayseg("bench", "--device", "cuda")
    assert run.exit_code == 2
    assert "Nothing here computes on 'cuda'" in run.output


def test_a_gpu_has_rivals_of_its_own(monkeypatch):
    monkeypatch.setattr(frameworks, "available", lambda device: ("torch", "jax", "cupy"))
    scene = replace(Scene.draw(TINY["tiny"]), device="cuda")
    rivals = {contest.backend: set(contest.rivals) for contest in frameworks.contests(scene) if contest.name == "dice"}
    assert rivals == {
        "torch": {"plain torch", "torch.compile"},
        "jax": {"plain jax.jit"},
        "cupy": {"arrayseg, torch"},
    }


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_copy_of_a_device_is_another_array(backend):
    if backend not in scenes.available("cpu"):
        pytest.skip(f"{backend} is not installed")
    copy = _measure._device_copy(np.ones(5, dtype=np.float32), backend, "cpu")
    first, second = copy(), copy()
    assert first is not second
    assert first.shape == (5,)


@pytest.fixture
def short_axes(monkeypatch):
    steps = {1: (1, 3, 8, 8), 2: (1, 3, 8, 16), 4: (1, 3, 16, 16)}
    monkeypatch.setattr(_growth, "AXES", dict.fromkeys(("pixels", "threads"), lambda: steps))


@pytest.mark.usefixtures("short_axes")
def test_growth(arrayseg, tmp_path):
    output = tmp_path / "growth.json"
    run = arrayseg("bench", "--growth", "--backends", "numpy", "--repeat", 2, "--output", output)
    assert run.exit_code == 0, run.output
    record = json.loads(output.read_text())
    curves = {(point["axis"], point["function"]) for point in record["growth"]}
    assert curves == {(axis, function) for axis in ("pixels", "threads") for function in _growth.FUNCTIONS}
    assert {(slope["axis"], slope["function"]) for slope in record["exponents"]} == curves
    for point in record["growth"]:
        assert 0 < point["fastest"] <= point["seconds"] <= point["slowest"]
        assert point["peak_bytes"] > point["gradient_bytes"]


@pytest.mark.parametrize("function", _growth.LOSSES)
def test_memory_beside_the_gradient_does_not_grow(monkeypatch, function):
    monkeypatch.setenv("ARRAYSEG_NUM_THREADS", "1")  # of several, chance says how far their peaks fall together
    scenes = {images: Scene.draw((images, 19, 256, 256)) for images in (1, 4)}
    small, large = _growth.measure_growth("batch", function, "numpy", scenes, 1)
    beside = [point.peak_bytes - point.gradient_bytes for point in (small, large)]
    assert beside[1] < 1.1 * beside[0]


def test_threads_are_given_back(monkeypatch):
    monkeypatch.setenv("ARRAYSEG_NUM_THREADS", "3")
    with _growth.threads(1):
        assert thread_count() == 1
    assert thread_count() == 3


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_exponents_are_those_of_the_curve(power):
    points = [_growth.Point("pixels", n, "dice", "numpy", 1e-6 * n**power, 0, 0, 0, n, n) for n in (1, 10, 100, 1000)]
    (slope,) = _growth.exponents(points)
    assert slope["exponent"] == pytest.approx(power, abs=1e-9)
