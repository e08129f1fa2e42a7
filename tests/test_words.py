"""The text of the project is plain American English: some words and spellings stand nowhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("arrayseg", "docs", "tests", ".github")
SUFFIXES = (".md", ".py", ".rst", ".toml", ".yml", ".yaml", ".cff")
GENERATED = ("_build", "generated", "__pycache__")

#: A pattern, and what to write instead.
WORDS = {
    r"\bbeside\b": "next to, in addition to",
    r"\banew\b": "again",
    r"\bin the place of\b": "instead of",
    r"\bbut for\b": "except",
    r"\bnot had\b": "not supported, missing",
    r"\b(is|are|was|were|be) told\b": "say who describes it, or what the error suggests",
    r"\bput off\b": "delay, disturb",
    r"\b(is|are|was|were|be) worked\b": "is computed, is processed",
    r"(?<!most )(?<!some )(?<!each )(?<!both )(?<!none )(?<!one )\bof which\b": "a sentence of its own",
    r"\bNone for none\b": "say what None means",
    r"(^|[.:;] |\"\"\"|# |#: )(That|Those) of\b": "repeat the noun",
    r"\bso many percent\b": "name the parameter",
    r"(?<![a-z])neighbour": "neighbor",
    r"(?<![a-z])colour": "color",
    r"(?<![a-z])centre": "center",
    r"(?<![a-z])behaviour": "behavior",
    r"(?<![a-z])favour": "favor",
    r"\b(label|model|cancel|travel)l(ed|ing)\b": "one l",
    r"\banalys(e|ed|es|ing)\b": "analyze",
    r"(general|normal|regular|recogn|optim|minim|maxim|initial|synchron|vector|parallel|serial|summar|organ|util|penal|"
    r"visual|categor|binar|quant|standard|special|real|random|discret)is(e|es|ed|ing|ation)\b": "-ize",
}

#: Names that others chose, with the reason why they stand here.
EXCEPTIONS = {
    "normalised_surface_distance": "a measure of MetricsReloaded",
    "create_table_neighbour_code_to_contour_length": "a function of surface-distance",
    "create_table_neighbour_code_to_surface_area": "a function of surface-distance",
    "Generalised Dice overlap": "the title of a paper",
    "Generalised Wasserstein Dice score": "the title of a paper",
    "generalising Dice and cross entropy": "the title of a paper",
    "Trust your neighbours": "the title of a paper",
}


def texts():
    """Return the files of the project that hold text, except this one."""
    paths = [path for path in ROOT.iterdir() if path.suffix in SUFFIXES]
    for folder in FOLDERS:
        paths += [path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return sorted(path for path in paths if path != Path(__file__) and not {*path.parts} & {*GENERATED})


def faults(text):
    """Return the line number, the word and the advice of each hit in a text."""
    for name in EXCEPTIONS:
        text = text.replace(name, "")
    return [
        f"line {number}: {hit[0].strip()!r}; instead: {advice}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, advice in WORDS.items()
        for hit in re.finditer(pattern, line, re.IGNORECASE if "That" not in pattern else 0)
    ]


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_word_of_a_private_dialect(path):
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "An array beside the gradient.",
        "Neighbours of a pixel.",
        '"""That of negative ones."""',
        "A normalised mean.",
        "Two balls, of which one is shifted.",
        "def test_centreline_of_a_bar():",
        "The blocks are worked one by one.",
    ],
)
def test_faults_are_found(text):
    assert len(faults(text)) == 1


@pytest.mark.parametrize("text", ["Some of which differ.", "normalised_surface_distance", "A precise optimistic mean."])
def test_plain_text_has_no_faults(text):
    assert faults(text) == []


def test_every_exception_is_needed():
    everything = "".join(path.read_text(encoding="utf-8") for path in texts())
    assert all(name in everything for name in EXCEPTIONS)
