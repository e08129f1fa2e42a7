"""Imports point one way, and frameworks are met in one place."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "arrayseg"
# Each floor may import the floors below it and its own package, not its neighbors on the same floor.
FLOORS = (
    ("cli",),
    ("integrations", "evaluation", "testing", "compat"),
    ("distance_maps", "class_weights", "profiling"),
    ("losses", "metrics"),
    ("engine", "imaging"),
    ("_checks", "_errors"),
    ("backends",),
    ("_docs", "_typing"),
)
FLOOR_OF = {name: level for level, names in enumerate(FLOORS) for name in names}
FRAMEWORKS = {"torch", "jax", "cupy", "cupyx", "dask", "scipy"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.module


def room_of(module):
    """Return the first name below arrayseg, or None for the package itself and for other libraries."""
    parts = module.split(".")
    return parts[1] if parts[0] == "arrayseg" and len(parts) > 1 else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return
    for module in imported_modules(path):
        room = room_of(module)
        assert room in (None, own) or FLOOR_OF[room] > FLOOR_OF[own], f"{path.name} imports {module}"


def name_of(path):
    """Return the dotted name of a module; a package has the name of its folder."""
    parts = ("arrayseg", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def imported_by(path, modules):
    """Return the modules of the package that a file names in its imports, inside functions and for checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in modules else node.module


def test_no_imports_go_in_a_circle():
    modules = {name_of(path): path for path in FILES}
    imports = {
        name: sorted(set(imported_by(path, modules)) & modules.keys() - {name}) for name, path in modules.items()
    }
    done, active = set(), []

    def visit(name):
        assert name not in active, " -> ".join([*active[active.index(name) :], name])
        if name not in done:
            active.append(name)
            for other in imports[name]:
                visit(other)
            done.add(active.pop())

    for name in modules:
        visit(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_frameworks_are_imported_by_backends_and_tools_alone(path):
    if path.relative_to(PACKAGE).parts[0] in {"backends", "testing", "cli", "evaluation"}:
        return
    found = {module.partition(".")[0] for module in imported_modules(path)} & FRAMEWORKS
    assert not found, f"{path.name} imports {sorted(found)}"
