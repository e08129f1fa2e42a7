"""The page on adding a loss is true: its example works, and it names every file that a loss is in."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scenes import scene, softmax
from tolerances import SUMS

from arrayseg import value_and_grad
from arrayseg.losses import _noise_robust
from arrayseg.testing import finite_differences, to_numpy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_a_loss.md").read_text(encoding="utf-8")
FORMULA, FUNCTION, ORACLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NAME = "huberized_cross_entropy"
FAMILY = "arrayseg/losses/_noise_robust.py"
#: What the page asks for: in each file a line, and what takes its place.
EDITS = {
    FAMILY: ("__all__ = [", f'__all__ = ["{NAME}", '),
    "arrayseg/losses/__init__.py": (
        "__all__ = [",
        f'from arrayseg.losses._noise_robust import {NAME}\n\n__all__ = [\n    "{NAME}",',
    ),
    "docs/api.md": ("    generalized_cross_entropy\n", f"    generalized_cross_entropy\n    {NAME}\n"),
    "tests/losses/test_oracle.py": ("PIXEL_FORMULAS = {\n", f"PIXEL_FORMULAS = {{\n    {ORACLE}"),
    "CHANGELOG.md": ("### Added\n", f"### Added\n\n- `{NAME}`.\n"),
}
#: A loss that was added as the page says, to another family.
EXISTING = "log_cosh_dice"


@pytest.fixture(scope="module")
def example():
    """Return the loss of the page, defined where the page puts it."""
    namespace = {"__name__": _noise_robust.__name__, **vars(_noise_robust)}
    exec(f"from __future__ import annotations\n{FORMULA}\n{FUNCTION}", namespace)
    return namespace[NAME]


@pytest.mark.parametrize("tau", [1.0, 3.0, 10.0])
def test_the_example_is_its_formula(library, example, tau):
    logits, ids = scene(void=0)
    p = np.take_along_axis(softmax(logits), ids[:, None], axis=1)
    expected = np.where(p >= 1 / tau, -np.log(p), 1 + np.log(tau) - tau * p).mean()
    found = example(library.asarray(logits), library.asarray(ids), tau=tau)
    assert float(found) == pytest.approx(expected, rel=SUMS)


def test_the_gradient_of_the_example_is_a_difference_of_values(library, example):
    logits, ids = scene()
    options = {"tau": 3.0, "ignore_index": 255, "class_weights": (0.5, 1.0, 2.0, 4.0)}
    expected = finite_differences(lambda array: example(array, ids, **options), logits)
    _, gradient = value_and_grad(example)(library.asarray(logits), library.asarray(ids), **options)
    np.testing.assert_allclose(to_numpy(gradient), expected, rtol=1e-6, atol=1e-9)


def test_the_docstring_of_the_example_is_whole(example):
    assert not re.search(r"^\s*\{\w+\}$", example.__doc__, re.MULTILINE)
    assert "label_smoothing : float, default 0" in example.__doc__
    assert "label_smoothing" in example.__signature__.parameters


def test_a_loss_is_added_by_the_steps_of_its_page(tmp_path):
    """In a copy of the repository, the tests of the names, the formulas and the records find it."""
    assert re.findall(r"^\d\. `([\w/.]+)`", PAGE, re.MULTILINE) == list(EDITS)
    skipped = shutil.ignore_patterns("__pycache__", "compat", "benchmarks", "images", "_build")
    for folder in ("docs", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skipped)
    shutil.copytree(ROOT / "arrayseg", tmp_path / "arrayseg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    for path, (line, replacement) in EDITS.items():
        file = tmp_path / path
        text = file.read_text(encoding="utf-8")
        assert line in text
        text = text.replace(line, replacement, 1)
        file.write_text(text + f"\n\n{FORMULA}\n\n{FUNCTION}" if path == FAMILY else text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(tmp_path), "ARRAYSEG_TEST_BACKENDS": "numpy"}

    def run(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    before = (tmp_path / "tests/golden.json").read_text(encoding="utf-8").splitlines()
    run("tests/test_golden.py")
    after = (tmp_path / "tests/golden.json").read_text(encoding="utf-8").splitlines()
    recorded = [line for line in after if line not in before]
    assert set(before) <= set(after)
    assert all(line.startswith(f'"{NAME}') for line in recorded)
    assert f"{NAME}, class_weights" in "".join(recorded)
    tests = ["test_public_api.py", "test_golden.py", "losses/test_oracle.py", "losses/test_options.py"]
    words = f"{NAME} or every_case or api_page or all_names or every_loss"
    pytest_options = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", words]
    passed = run(*pytest_options, *(f"tests/{test}" for test in tests))
    assert int(re.search(r"(\d+) passed", passed)[1]) > 10


def test_the_page_names_every_file_that_a_loss_is_in():
    named = re.findall(r"^\d\. `([\w/.]+)`", PAGE, re.MULTILINE)
    assert len(named) <= 5
    assert all((ROOT / name).is_file() for name in named)
    searched = [*(ROOT / "arrayseg").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    files = {
        path.relative_to(ROOT).as_posix()
        for path in searched
        if "compat" not in path.parts and re.search(rf"\b{EXISTING}\b", path.read_text(encoding="utf-8"))
    }
    family = "arrayseg/losses/_overlap_variants.py"
    pages = {"docs/convergence.md", "docs/add_a_loss.md"}  # a record, and the page itself
    assert files - pages == {*named, family} - {FAMILY, "CHANGELOG.md", "tests/losses/test_oracle.py"}
    assert EXISTING in (ROOT / "tests/losses/test_oracle.py").read_text(encoding="utf-8")
