"""The command line run in this process, and masks to run it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def arrayseg() -> Callable[..., Any]:
    """`arrayseg("evaluate", ...)`: the result has `exit_code` and `output`, standard error included."""
    testing = pytest.importorskip("typer.testing", reason="the extra `app` is not installed")
    for module in ("PIL", "nibabel", "rich", "tifffile"):
        pytest.importorskip(module, reason="the extra `app` is not installed")
    from arrayseg.cli._cli import app

    def run(*arguments: object, **options: Any) -> Any:
        runner = testing.CliRunner(env={"COLUMNS": "300"})  # messages with long paths are not wrapped
        result = runner.invoke(app, [str(argument) for argument in arguments], **options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def real_data(data: Path) -> Callable[[str], Path]:
    """The folder of a real data set; the test is skipped by its name where it is absent."""

    def folder(name: str) -> Path:
        if not (data / name).is_dir():
            pytest.skip(f"no real data: {data / name} is absent")
        return data / name

    return folder


@pytest.fixture
def masks(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write arrays as NPY: `masks(predictions={"a/0": array}, targets={...})` gives the two folders."""

    def write(**folders: dict[str, Any]) -> tuple[Path, Path]:
        for folder, arrays in folders.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            for name, array in arrays.items():
                path = tmp_path / folder / f"{name}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, np.asarray(array))
        return tmp_path / "predictions", tmp_path / "targets"

    return write
