"""The workflows in .github/ run pinned actions, and sessions that noxfile.py has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="a source distribution has no workflows")


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
