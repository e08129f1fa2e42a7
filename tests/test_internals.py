"""The page of internals names files and functions that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "internals.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)`(?:\s+`(\w+)`)?", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_steps_name_what_is_there(path, name):
    if path.startswith("tests/"):
        return
    tree = ast.parse((ROOT / "arrayseg" / path).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert not name or name in defined, f"{path} defines no {name}"
