"""Every public name is on the API page, and its docstring says what it takes and returns, with an example."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import arrayseg

API_PAGE = Path(__file__).parent.parent / "docs" / "api.md"
INTERNAL = {"backends", "cli", "engine", "evaluation", "imaging"}
MODULES = ["arrayseg"] + [
    f"arrayseg.{module.name}"
    for module in pkgutil.iter_modules(arrayseg.__path__)
    if not module.name.startswith("_") and module.name not in INTERNAL
]
FRAMEWORKS = {"torch", "jax", "cupy", "scipy", "array_api_strict", "typer"}


def public_objects():
    """(Qualified name, object) of every name in every module's `__all__`."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            yield f"{module_name}.{name}", getattr(module, name)


DOCUMENTED = [
    pytest.param(name, item, id=name)
    for name, item in public_objects()
    if inspect.isroutine(item) or inspect.isclass(item)
]


def names_on_the_api_page():
    """What each autosummary and data directive lists, with the module that `currentmodule` names before it."""
    listed, module = [], None
    for line in API_PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)", line.strip()):
            module = match[1]
        elif match := re.match(r"(?:    |\.\. data:: )(\w+)$", line):
            listed.append(f"{module}.{match[1]}")
    return listed


def test_api_page_lists_exactly_the_public_names():
    public = [name for name, item in public_objects() if not inspect.ismodule(item) and not name.endswith("__")]
    listed = names_on_the_api_page()
    assert len(listed) == len(set(listed))
    assert set(listed) == set(public)


@pytest.mark.parametrize("module", MODULES)
def test_all_names_what_is_there(module):
    module = importlib.import_module(module)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(("name", "item"), DOCUMENTED)
def test_docstring_sections(name, item):
    docstring = inspect.getdoc(item) or ""
    sections = set(
        re.findall(r"^(\w[\w ]*)\n-{3,}$", docstring.replace("Yields\n------", "Returns\n-------"), re.MULTILINE)
    )
    wanted = {"Examples"}
    if not (inspect.isclass(item) and issubclass(item, Exception)):
        wanted |= {"Parameters"} if inspect.signature(item).parameters else set()
        wanted |= set() if inspect.isclass(item) or returns_nothing(item) else {"Returns"}
    assert wanted <= sections, f"{name} lacks {sorted(wanted - sections)}"
    assert ">>> " in docstring
    assert not re.search(r"^ *\{\w+\}$", docstring, re.MULTILINE), f"{name} names a paragraph that does not exist"


def returns_nothing(function):
    return inspect.signature(function).return_annotation in (None, "None")


def test_import_loads_no_framework():
    program = "import sys, arrayseg; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not FRAMEWORKS & set(loaded)
