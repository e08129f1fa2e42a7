"""The files around the package: workflows, the version, and the list of real data."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))


def session_names():
    """Return the names of the sessions, without the parameters of a session."""
    source = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    decorated = re.findall(r"^@nox\.session(.*)\n(?:@.*\n)*def (\w+)", source, re.MULTILINE)
    return {(re.search(r'name="([^"]+)"', arguments) or [None, function])[1] for arguments, function in decorated}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version(path):
    used = re.findall(r"uses:(.*)", path.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r" [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_sessions_exist(path):
    source = path.read_text(encoding="utf-8")
    called = re.findall(r"nox -s \"?([\w-]+)", source) + re.findall(r"- session: ([\w-]+)", source)
    _, _, listed = source.partition("        sessions:\n")
    for line in re.match(r"(?: +- .*\n)*", listed)[0].splitlines():
        called += re.findall(r"[a-z][\w-]*(?![\w'])", line.partition("(")[0])
    assert called
    assert set(called) <= session_names()


def test_one_version():
    """The build reads the version from the package, and nothing else states it."""
    assert re.search(r'^dynamic = \["version"\]', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    stated = re.compile(r"^(?:version|release|__version__)\s*[:=]\s*[\"']?\d", re.MULTILINE)
    places = [ROOT / name for name in ("pyproject.toml", "CITATION.cff", "docs/conf.py", "arrayseg/__init__.py")]
    assert [path.name for path in places if stated.search(path.read_text(encoding="utf-8"))] == ["__init__.py"]


def test_real_data_are_described():
    """The table of CONTRIBUTING.md names each file with tests of real data, next to a folder that it reads."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", table, re.MULTILINE)
    described = {(folder, file) for folder, files in rows for file in re.findall(r"`([\w/.]+)`", files)}
    tests = ROOT / "tests"
    readers = {path for path in tests.rglob("test_*.py") if "pytest.mark.data" in path.read_text(encoding="utf-8")}
    assert {tests / file for _, file in described} == readers - {Path(__file__)}
    for folder, file in described - {("camvid", "losses/test_convergence.py")}:  # its helper reads the folder
        assert folder in (tests / file).read_text(encoding="utf-8"), (folder, file)
