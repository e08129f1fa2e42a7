"""The records of `arrayseg bench` as tables; `python docs/benchmark_pages.py` puts the README's figures in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
README_HEAD = "| | rival | ratio | peak memory / inputs (rival's) |\n|---|---|--:|--:|\n"
#: What the README shows: its words, and the function, backend and rival of the record.
HEADLINE = (
    ("cross entropy", "cross_entropy", "torch", "F.cross_entropy"),
    ("Dice", "DiceLoss(softmax=True, to_onehot_y=True)", "torch", "MONAI"),
    ("Dice with cross entropy", "DiceCELoss(softmax=True, to_onehot_y=True)", "torch", "MONAI"),
    ("focal, softmax", "FocalLoss(to_onehot_y=True, use_softmax=True)", "torch", "MONAI"),
    ("Lovász-softmax", "lovasz_softmax_loss()", "torch", "kornia"),
    ("confusion matrix, 16.8 million pixels", "confusion_matrix", "torch", "torchmetrics"),
    ("HD95, ASSD and NSD of two 160³ masks", "HD95 + ASSD + NSD, surface elements", "numpy", "surface-distance"),
)
#: Options that say no more than that the input holds logits and the target ids.
USUAL = {"softmax=True", "to_onehot_y=True", "mode='multiclass'", "mode='binary'", "reduction='mean'", "sigmoid=True"}
LAYOUTS = ", layouts"
#: The plots, and what they are to those who cannot see them.
FIGURES = {
    "losses": "Losses: the ratio to each rival, and the times over that of the copy",
    "metrics": "Metrics: the ratio to each rival, and the times over that of the copy",
    "growth_time": "Time as pixels, classes, batch and threads grow",
    "growth_memory": "Memory beside the gradient as pixels, classes, batch and threads grow",
    "gpu": "On a GPU: the ratio to each rival, and the times over that of the copy",
    "gpu_growth_time": "On a GPU: time as pixels, classes and batch grow",
    "gpu_growth_memory": "On a GPU: memory beside the gradient as pixels, classes and batch grow",
}


def records(folder: Path = DOCS / "benchmarks") -> list[dict]:
    """The recorded runs, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def on_cpu(runs: list[dict]) -> list[dict]:
    """The runs of contests on a CPU."""
    return [run for run in runs if "results" in run and not is_gpu(run)]


def on_gpu(runs: list[dict]) -> list[dict]:
    """Those on a GPU."""
    return [run for run in runs if "results" in run and is_gpu(run)]


def grown(runs: list[dict], *, gpu: bool = False) -> list[dict]:
    """The runs of `--growth`, on a CPU or on a GPU."""
    return [run for run in runs if "growth" in run and is_gpu(run) == gpu]


def is_gpu(run: dict) -> bool:
    """Whether a run was on a GPU; the first records do not say that theirs was none."""
    return run.get("device", "cpu") != "cpu"


def contests(run: dict) -> Iterator[tuple[dict, list[dict]]]:
    """Ours and its rivals."""
    found: list[tuple[dict, list[dict]]] = []
    for result in run["results"]:
        if result["entry"] == "arrayseg":
            found.append((result, []))
        else:
            found[-1][1].append(result)
    yield from found


def ratio(ours: dict, rival: dict) -> str:
    """How many times as long the rival takes, in two digits or so."""
    number = rival["seconds"] / ours["seconds"]
    return f"{number:.2f}" if number < 1 else f"{number:.1f}" if number < 10 else f"{number:.0f}"


def milliseconds(result: dict) -> str:
    """The median, and the fastest and slowest."""
    numbers = (1e3 * result[key] for key in ("seconds", "fastest", "slowest"))
    median, fastest, slowest = (f"{number:.0f}" if number >= 100 else f"{number:.3g}" for number in numbers)
    return f"{median} ({fastest}–{slowest})"


def peak(result: dict) -> str:
    """The peak of the extra memory over the bytes of the input."""
    return "–" if result["peak_bytes"] is None else f"{result['peak_bytes'] / result['input_bytes']:.2f}"


def short(function: str) -> str:
    """The name of a function with the options that tell it from another."""
    name, _, options = function.partition("(")
    told = [option for option in options.removesuffix(")").split(", ") if option and option not in USUAL]
    return f"{name}({', '.join(told)})" if told else name


def table(head: list[str], rows: list[list[str]], words: int) -> str:
    """A Markdown table, the first columns words and the others numbers."""
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return (
        "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows]).replace("| --", "|--").replace("- |", "-|")
    )


def headline_rows(runs: list[dict]) -> list[str]:
    """The rows of the README's table that the records have, each of the first run that has it."""
    found: dict[tuple[str, str, str], tuple[dict, dict, dict]] = {}
    for run in on_cpu(runs):
        if (run["dtype"], run["labels"]) == ("float32", "blocky"):
            for ours, rivals in contests(run):
                if ours["size"] == "2-D" or "×" in ours["size"]:
                    for rival in rivals:
                        key = ours["function"], ours["backend"], rival["entry"]
                        found.setdefault(key, (ours, rival, run["versions"]))
    return [
        f"| {words} | {_named(entry, versions)} | {ratio(ours, rival)} | {peak(ours)} ({peak(rival)}) |"
        for words, function, backend, entry in HEADLINE
        if (function, backend, entry) in found
        for ours, rival, versions in [found[function, backend, entry]]
    ]


def _named(entry: str, versions: dict[str, str]) -> str:
    """A rival with its release, or a function of the framework as code."""
    if entry.startswith("F."):
        return f"`{entry}`"
    release = versions.get(entry.lower())
    return entry if release is None else f"{entry} {'.'.join(release.split('.')[:2])}"


def headline(runs: list[dict]) -> str:
    """The README's table."""
    return README_HEAD + "\n".join(headline_rows(runs)) + "\n"


def run_tables(number: int, run: dict) -> str:
    """A run of contests as tables, one for every size."""
    sizes: dict[str, list[list[str]]] = {}
    for ours, rivals in contests(run):
        if ours["function"].endswith(LAYOUTS):
            continue
        for rival in rivals:
            limit = ours["seconds"] / ours["limit_seconds"]
            verdict = f"{rival['seconds'] / ours['seconds']:.2f}" if rival["agrees"] else "another result"
            own = [f"`{ours['function']}`", ours["backend"], milliseconds(ours), f"{limit:.1f}", peak(ours)]
            row = [*own, rival["entry"], milliseconds(rival), verdict, peak(rival)]
            sizes.setdefault(ours["size"], []).append(row)
    lines = [f"### Run {number}: {run['dtype']}, {run['labels']} labels", "", header(run)]
    head = ["function", "on", "arrayseg, ms", "× limit", "peak / input", "rival", "its ms", "ratio", "its peak / input"]
    for size, rows in sizes.items():
        lines += ["", f"#### Run {number}: {size}", "", table(head, rows, 2)]
    return "\n".join(lines)


def header(run: dict) -> str:
    """When, where and with what a run was taken, and how to take it again."""
    return f"{taken(run)}:\n\n```console\n$ {run['command']}\n```"


def taken(run: dict) -> str:
    """When, where and with what a run was taken."""
    packages = ", ".join(f"{name} {release}" for name, release in run["versions"].items())
    where = run["device"] if is_gpu(run) else f"{run['threads']} threads"
    return f"{run['date']}, commit {run['commit']}, {where}, Python {run['python']}, {packages}"


def layout_table(runs: list[dict]) -> str:
    """Ours with the classes last over ours with the classes first."""
    rows = [
        [
            f"`{ours['function'].removesuffix(LAYOUTS)}`",
            f"{run['dtype']}, {ours['size']}",
            ours["backend"],
            milliseconds(ours),
            milliseconds(last),
            f"{last['seconds'] / ours['seconds']:.2f}",
        ]
        for run in runs
        for ours, rivals in contests(run)
        if ours["function"].endswith(LAYOUTS)
        for last in rivals
    ]
    head = ["function", "size", "on", "channels-first, ms", "channels-last, ms", "last / first"]
    return table(head, rows, 3) if rows else ""


def growth_table(run: dict) -> str:
    """The curves of growth: their ends and exponents, and the memory beside the gradient."""
    rows = []
    for curve in run["exponents"]:
        keys = ("axis", "function", "backend")
        points = [point for point in run["growth"] if all(point[key] == curve[key] for key in keys)]
        first, last = points[0], points[-1]
        rows.append(
            [
                curve["axis"],
                f"`{curve['function']}`",
                curve["backend"],
                f"{first['value']} → {last['value']}",
                f"{1e3 * first['seconds']:.3g} → {1e3 * last['seconds']:.3g}",
                "–" if curve["exponent"] is None else f"{curve['exponent']:.2f}",
                f"{beside(first)} → {beside(last)}",
                over_input(last),
            ]
        )
    head = ["axis", "function", "on", "from → to", "ms", "exponent", "beside the gradient, MB", "over the input"]
    return table(head, rows, 3)


def beside(point: dict) -> str:
    """Megabytes that a call holds beside the gradient."""
    return "–" if point["peak_bytes"] is None else f"{(point['peak_bytes'] - point['gradient_bytes']) / 1e6:.1f}"


def over_input(point: dict) -> str:
    """The same over the bytes of the input."""
    if point["peak_bytes"] is None:
        return "–"
    return f"{(point['peak_bytes'] - point['gradient_bytes']) / point['input_bytes']:.2f}"


def figure(path: Path, words: str) -> str:
    """An image of the page, by its path from the page."""
    return f"```{{image}} {path.relative_to(DOCS).as_posix()}\n:alt: {words}\n:width: 100%\n```"


def parts(runs: list[dict], images: dict[str, Path]) -> dict[str, str]:
    """What stands in the place of each comment of docs/benchmarks.md."""
    nothing = "Not run yet."

    def joined(names: tuple[str, ...], *texts: str) -> str:
        shown = [figure(images[name], FIGURES[name]) for name in names if name in images]
        return "\n\n".join([*shown, *texts])

    def growth_of(found: list[dict]) -> list[str]:
        return [part for run in found for part in (header(run), growth_table(run))]

    cpu, gpu, growth, gpu_growth = on_cpu(runs), on_gpu(runs), grown(runs), grown(runs, gpu=True)
    tables = [run_tables(number, run) for number, run in enumerate([*cpu, *gpu], 1)]
    on_device = [*tables[len(cpu) :], *growth_of(gpu_growth)]
    if not on_device:
        on_device = [f"{nothing} `arrayseg bench --device cuda --peers`, on a machine with a CUDA device, measures it."]
    return {
        "% HEADLINE": f"{headline(runs)}\nTaken {taken(cpu[0])}." if cpu else nothing,
        "% PLOTS": joined(("losses", "metrics")),
        "% CURVES": joined(("growth_time", "growth_memory")),
        "% GROWTH": "\n\n".join(growth_of(growth)) or nothing,
        "% LAYOUTS": layout_table(cpu) or nothing,
        "% GPU": joined(("gpu", "gpu_growth_time", "gpu_growth_memory"), *on_device),
        "% RUNS": "\n\n".join(tables[: len(cpu)]) or nothing,
    }


def write_readme(text: str, runs: list[dict]) -> str:
    """The README with its table of figures made anew."""
    before, head, rest = text.partition(README_HEAD)
    if not head:
        msg = f"{README} has no table that begins with {README_HEAD.splitlines()[0]!r}; put one there to be filled."
        raise ValueError(msg)
    return before + headline(runs) + "\n" + rest.partition("\n\n")[2]


if __name__ == "__main__":
    README.write_text(write_readme(README.read_text(encoding="utf-8"), records()), encoding="utf-8")
