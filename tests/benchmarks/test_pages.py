"""The page of the benchmarks and the README show what the records say."""

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("benchmark_pages")


@pytest.fixture
def plots(pages, monkeypatch):
    pytest.importorskip("matplotlib", reason="the session `docs` draws the plots")
    return importlib.import_module("benchmark_plots")


def grown(backend, peak):
    points = [
        {
            "axis": "pixels",
            "value": value,
            "function": "dice",
            "backend": backend,
            "seconds": 1e-6 * value,
            "peak_bytes": peak,
            "input_bytes": 8 * value,
            "gradient_bytes": 4 * value,
        }
        for value in (10, 100)
    ]
    return {
        **{"date": "2026-01-01", "commit": "abc", "threads": 2, "python": "3.11", "versions": {}, "command": "bench"},
        "growth": points,
        "exponents": [{"axis": "pixels", "function": "dice", "backend": backend, "exponent": 1.0}],
    }


def test_figures_of_the_readme_are_those_of_the_records(pages):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert pages.headline(pages.records()) in text
    assert pages.write_readme(text, pages.records()) == text


def test_readme_without_its_table_is_refused(pages):
    with pytest.raises(ValueError, match="has no table that begins with"):
        pages.write_readme("# arrayseg", pages.records())


def test_every_figure_is_on_the_page(pages):
    runs = pages.records()
    text = "\n".join(pages.parts(runs, {}).values())
    for run in runs:
        assert run["command"] in text
        for own, others in pages.comparisons(run) if "results" in run else ():
            for peer in others:
                assert pages.milliseconds(peer) in text, (own["function"], peer["implementation"])


def test_every_part_of_the_page_is_filled(pages):
    comments = set(re.findall(r"^% [A-Z]+$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert comments == set(pages.parts([], {}))
    assert all("Not run yet" in text for comment, text in pages.parts([], {}).items() if comment[2:] in ("GPU", "RUNS"))


def test_a_run_on_a_gpu_has_its_own_place(pages):
    (first, *_) = pages.on_cpu(pages.records())
    device = {"device": "Some GPU"}
    parts = pages.parts([first, {**first, **device}, {**grown("torch", 600), **device}], {})
    assert parts["% GPU"].count("Some GPU") == 2
    assert all("Some GPU" not in text for comment, text in parts.items() if comment != "% GPU")


@pytest.mark.parametrize(("peak", "temporaries"), [(600, "0.0 → 0.0"), (None, "– → –")])
def test_table_of_growth(pages, peak, temporaries):
    table = pages.growth_table(grown("numpy", peak))
    assert f"| pixels | `dice` | numpy | 10 → 100 | 0.01 → 0.1 | 1.00 | {temporaries} |" in table


def test_plots_are_drawn_of_what_is_recorded(plots, pages, tmp_path):
    device = {"device": "Some GPU"}
    runs = [*pages.on_cpu(pages.records()), grown("numpy", 600), grown("jax", None)]
    drawn = plots.draw([*runs, *({**run, **device} for run in runs)], tmp_path)
    assert set(drawn) == set(pages.FIGURES)
    assert set(plots.draw(runs, tmp_path)) == {"losses", "metrics", "growth_time", "growth_memory"}
    for path in drawn.values():
        assert "<svg" in path.read_text(encoding="utf-8")
    assert plots.draw([], tmp_path) == {}


def test_records_are_of_a_commit(pages):
    for path in sorted((ROOT / "docs" / "benchmarks").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["commit"], path.name
        assert "with changes" not in record["commit"], path.name
