"""`arrayseg bench` measures what it says, and compares nothing with another function."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("typer", reason="the extra `app` is not installed")

from arrayseg import value_and_grad
from arrayseg.app import _bench, contests
from arrayseg.app.contests import Contest, Scene, frameworks, peers

TINY = {"tiny": (2, 3, 9, 7), "binary": (2, 1, 9, 7)}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(_bench, "SIZES", TINY)


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
    assert {result["function"] for result in record["results"]} == {"cross_entropy", "focal", "dice", "tversky"}
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
    assert "broken is left out of sum: ImportError: needs another package" in run.output


@pytest.mark.parametrize(("option", "value"), [("--sizes", "huge"), ("--dtype", "float8"), ("--labels", "striped")])
def test_unknown_options(arrayseg, option, value):
    run = arrayseg("bench", option, value)
    assert run.exit_code != 0
    assert value in run.output


def test_every_array_must_agree():
    ones = np.ones(5)
    assert _bench.agree((1.0, ones), [1.0 + 1e-7, ones], 1e-6)
    assert not _bench.agree((1.0, ones), (1.0, ones * 1.1), 1e-6)
    assert not _bench.agree((1.0, ones), (1.0,), 1e-6)
    assert not _bench.agree((1.0, ones), (1.0, np.ones(4)), 1e-6)
    assert not _bench.agree(1.0, float("nan"), 1e-6)


def test_limit_copies_all_bytes(monkeypatch):
    copied = []
    monkeypatch.setattr(np, "copyto", lambda target, source: copied.append(target.nbytes + source.nbytes))
    _bench.copy_of(16_000)()
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
    scene = Scene.draw(TINY["binary" if binary else "tiny"], "float64", blocky=False)
    for peer in peers.BINARY if binary else peers.EXCLUSIVE:
        last = peer.target.startswith("last")
        logits = np.moveaxis(scene.logits, 1, -1) if last else scene.logits
        target = peers._target("ids" if peer.ours else peer.target, scene)
        value, gradient = value_and_grad(peers._ours(peer))(logits, target)
        assert np.isfinite(value), peer.path
        assert np.any(gradient), peer.path


@pytest.mark.compat
@pytest.mark.parametrize("binary", [False, True])
def test_losses_agree_with_the_installed_peers(binary):
    scene = Scene.draw(TINY["binary" if binary else "tiny"], "float64", blocky=False)
    found = list(contests.contests(scene, with_peers=True))
    if len(found) == len(list(frameworks.contests())):
        pytest.skip("no peer is installed")
    for contest in found:
        if contest.backend != "jax":  # compiling takes long, and tests/compat has them
            results = _bench.measure(replace(contest, tolerance=1e-5), scene, "tiny", 1)
            assert all(result.agrees is not False for result in results), contest.name
