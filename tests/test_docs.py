"""Every example of the pages runs as it stands: each ``pycon`` block is a doctest of its own."""

import doctest
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    """Each block with the page and the line that it starts on."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start(1))
            yield pytest.param(match[1], page, line, id=f"{page.name}:{line + 1}")


def missing_library(source: str) -> str | None:
    """The array library that an example imports and this environment lacks."""
    for name in re.findall(r"^>>> import (torch|jax|cupy|dask)\b", source, re.MULTILINE):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
        if name == "cupy" and not importlib.import_module("cupy").cuda.is_available():
            return "no CUDA device"
    return None


@pytest.fixture
def jax_as_installed():
    """JAX without 64-bit numbers, which is how an example's reader has it and not how the other tests do."""
    jax = sys.modules.get("jax")
    if jax is None or not jax.config.jax_enable_x64:
        yield
        return
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.usefixtures("jax_as_installed")
@pytest.mark.parametrize(("source", "page", "line"), list(blocks()))
def test_example(source, page, line):
    reason = missing_library(source)
    if reason:
        pytest.skip(reason)
    example = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), line)
    report = []
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    doctest.DocTestRunner(verbose=False, optionflags=options).run(example, out=report.append)
    assert not report, "".join(report)
