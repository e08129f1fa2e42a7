"""Imports point one way, and frameworks are met in one place."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "arrayseg"
# Each layer may import the ones after it. The rest of the package (arrayseg/*.py) is public names and their helpers.
LAYERS = ("cli", "compat", "testing", "metrics", "losses", "kernels", "backends")
FRAMEWORKS = {"torch", "jax", "cupy", "cupyx", "dask", "scipy"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.module


def layer_of(module):
    parts = module.split(".")
    return LAYERS.index(parts[1]) if parts[0] == "arrayseg" and len(parts) > 1 and parts[1] in LAYERS else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = layer_of(".".join(("arrayseg", *path.relative_to(PACKAGE).with_suffix("").parts)))
    for module in imported_modules(path):
        layer = layer_of(module)
        assert own is None or layer is None or layer >= own, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_frameworks_are_imported_by_backends_and_tools_alone(path):
    if path.relative_to(PACKAGE).parts[0] in {"backends", "testing", "cli"}:
        return
    found = {module.partition(".")[0] for module in imported_modules(path)} & FRAMEWORKS
    assert not found, f"{path.name} imports {sorted(found)}"
