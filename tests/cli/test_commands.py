"""The program around the commands: how it starts, what it needs, `demo` and `validate`."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from arrayseg.cli import main


def record(**changes: object) -> SimpleNamespace:
    fields = {"name": "dice", "backend": "numpy", "dtype": "float32", "value_difference": 1.25e-7}
    return SimpleNamespace(**fields | {"gradient_difference": 3e-6, "passed": True} | changes)


def test_module_runs_as_a_program(masks):
    pytest.importorskip("typer", reason="the extra `app` is not installed")
    array = np.array([[0, 1, 1]])
    folders = masks(predictions={"a": array, "b": array}, targets={"a": array})
    command = [sys.executable, "-m", "arrayseg", "evaluate", *map(str, folders), "--num-classes", "2"]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert run.returncode == 1
    assert "predictions/b.npy has no target" in run.stderr
    assert run.stdout == ""
    run = subprocess.run([*command, "--skip-errors"], capture_output=True, text=True, encoding="utf-8", check=False)
    assert run.returncode == 0
    assert "predictions/b.npy has no target" in run.stderr
    assert "Counting pixels" in run.stderr
    assert "1.000000" in run.stdout


@pytest.mark.parametrize("module", ["typer", "PIL"])
def test_missing_extra_is_one_sentence(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit, match=r'pip install "arrayseg\[app\]"') as caught:
        main()
    # A string is printed to standard error, and the exit code is 1.
    assert isinstance(caught.value.code, str)


def test_missing_backend_is_one_sentence(arrayseg, masks, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    folders = masks(predictions={"a": np.zeros((2, 3), int)}, targets={"a": np.zeros((2, 3), int)})
    run = arrayseg("evaluate", *folders, "--num-classes", 2, "--backend", "torch")
    assert run.exit_code == 2
    assert "Error: --backend torch: " in run.output


def test_version(arrayseg):
    run = arrayseg("--version")
    assert run.exit_code == 0
    assert run.output.startswith("arrayseg ")


@pytest.mark.parametrize("passed", [True, False])
def test_validate_prints_the_worst_of_each_function(arrayseg, monkeypatch, passed):
    asked = {}

    def validate(**options):
        asked.update(options)
        yield record()
        yield record(name="dice, pool=batch", value_difference=9e-8, gradient_difference=4e-6, passed=passed)
        yield record(value_difference=2e-7, gradient_difference=None)

    monkeypatch.setattr("arrayseg.testing.validate", validate, raising=False)
    run = arrayseg("validate", "--backends", "numpy,torch")
    assert asked == {"backends": ["numpy", "torch"]}
    assert run.exit_code == (0 if passed else 1)
    # The worst of the cases of a function stands for it; a case that failed is named.
    assert "4.0e-06" in run.output
    assert "3.0e-06" not in run.output
    # The metric Dice is another function than the loss Dice.
    assert "1.2e-07" in run.output
    assert "2.0e-07" in run.output
    assert ("FAIL: dice, pool=batch on numpy in float32" in run.output) is not passed
    assert f"3 checks, {0 if passed else 1} failures" in run.output


def test_validate_of_a_missing_backend(arrayseg, monkeypatch):
    def validate(**_):
        msg = "CuPy is not installed."
        raise ImportError(msg)

    monkeypatch.setattr("arrayseg.testing.validate", validate, raising=False)
    run = arrayseg("validate", "--backends", "cupy")
    assert run.exit_code == 2
    assert "Error: CuPy is not installed." in run.output


@pytest.mark.parametrize("options", [("--backends", "nosuch"), ("--backends", ""), ("--dtypes", "float8")])
def test_validate_of_an_unknown_name(arrayseg, options):
    run = arrayseg("validate", *options)
    assert run.exit_code == 2
    assert f"{options[1]!r}" in run.output


@pytest.mark.parametrize("threads", ["many", "0", "-1", "1.5", ""])
def test_threads_that_are_no_number(arrayseg, monkeypatch, masks, threads):
    monkeypatch.setenv("ARRAYSEG_NUM_THREADS", threads)
    folders = masks(predictions={"a": np.zeros((2, 3), int)}, targets={"a": np.zeros((2, 3), int)})
    run = arrayseg("evaluate", *folders, "--num-classes", 2)
    assert run.exit_code == 2
    assert "ARRAYSEG_NUM_THREADS" in run.output
    assert arrayseg("evaluate", "--help").exit_code == 0


def test_names_that_the_terminal_cannot_print_end_no_run(masks, tmp_path):
    pytest.importorskip("typer", reason="the extra `app` is not installed")
    folders = masks(predictions={"a": np.zeros((2, 3), int)}, targets={"a": np.zeros((2, 3), int)})
    (tmp_path / "names.txt").write_text("木\n山\n", encoding="utf-8")
    command = [sys.executable, "-m", "arrayseg", "evaluate", *map(str, folders), "--num-classes", "2"]
    command += ["--class-names", str(tmp_path / "names.txt")]
    run = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert run.returncode == 0, run.stderr
    assert rb"\u6728" in run.stdout


@pytest.mark.parametrize("output", ["-", "file", "file/below"])
def test_demo_of_no_folder(arrayseg, tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert arrayseg("demo", "--output", output).exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_validate_of_nothing_is_no_success(arrayseg, monkeypatch):
    monkeypatch.setattr("arrayseg.testing.validate", lambda: [], raising=False)
    assert arrayseg("validate").exit_code == 1


def test_demo(arrayseg, monkeypatch, tmp_path):
    monkeypatch.setattr("arrayseg.testing.validate", lambda: [record()], raising=False)
    for folder in ("one", "two"):
        run = arrayseg("demo", "--output", tmp_path / folder)
        assert run.exit_code == 0, run.output
        assert "mIoU" in run.output
        assert "1 checks, 0 failures" in run.output
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 6 + 6 + 1 + 3
    # The scene is seeded: whoever runs the demo sees the same table.
    for file in files:
        if file.name != "evaluation.json":  # it holds the paths
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_demo_is_a_hard_enough_scene(tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="the extra `app` is not installed")
    from arrayseg.cli._demo import CLASS_NAMES, VOID, write_scene

    write_scene(tmp_path)
    for path in (tmp_path / "targets").rglob("*.png"):
        target = np.array(Image.open(path))
        prediction = np.array(Image.open(tmp_path / "predictions" / path.relative_to(tmp_path / "targets")))
        assert set(np.unique(target)) == {*range(len(CLASS_NAMES)), VOID}
        assert target.shape == prediction.shape
        assert prediction.max() < len(CLASS_NAMES)
        assert 0.5 < np.mean(prediction[target != VOID] == target[target != VOID]) < 0.97
