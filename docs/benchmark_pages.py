"""Turn the records of the benchmark into tables; `python docs/benchmark_pages.py` updates the figures of the README."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
README_HEAD = "| | peer | ratio | peak memory / inputs (peer's) |\n|---|---|--:|--:|\n"
#: The rows of the README: words, and the function, backend and peer of the record.
HEADLINE = (
    ("cross entropy", "cross_entropy", "torch", "F.cross_entropy"),
    ("Dice", "DiceLoss(softmax=True, to_onehot_y=True)", "torch", "MONAI"),
    ("Dice with cross entropy", "DiceCELoss(softmax=True, to_onehot_y=True)", "torch", "MONAI"),
    ("focal, softmax", "FocalLoss(to_onehot_y=True, use_softmax=True)", "torch", "MONAI"),
    ("Lovász-softmax", "lovasz_softmax_loss()", "torch", "kornia"),
    ("confusion matrix, 16.8 million pixels", "confusion_matrix", "torch", "torchmetrics"),
    ("HD95, ASSD and NSD of two 160³ masks", "HD95 + ASSD + NSD, surface elements", "numpy", "surface-distance"),
)
#: Options that only say that the input holds logits and the target ids.
USUAL = {"softmax=True", "to_onehot_y=True", "mode='multiclass'", "mode='binary'", "reduction='mean'", "sigmoid=True"}
LAYOUTS = ", layouts"
#: The plots and their alternative texts.
FIGURES = {
    "losses": "Losses: the ratio to each peer, and the times over the time of a copy",
    "metrics": "Metrics: the ratio to each peer, and the times over the time of a copy",
    "growth_time": "Time as pixels, classes, batch and threads grow",
    "growth_memory": "Memory in addition to the gradient as pixels, classes, batch and threads grow",
    "gpu": "On a GPU: the ratio to each peer, and the times over the time of a copy",
    "gpu_growth_time": "On a GPU: time as pixels, classes and batch grow",
    "gpu_growth_memory": "On a GPU: memory in addition to the gradient as pixels, classes and batch grow",
}


def records(folder: Path = DOCS / "benchmarks") -> list[dict]:
    """Return the recorded runs in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def on_cpu(runs: list[dict]) -> list[dict]:
    """Return the runs of comparisons on a CPU."""
    return [run for run in runs if "results" in run and not is_gpu(run)]


def on_gpu(runs: list[dict]) -> list[dict]:
    """Return the runs of comparisons on a GPU."""
    return [run for run in runs if "results" in run and is_gpu(run)]


def grown(runs: list[dict], *, gpu: bool = False) -> list[dict]:
    """Return the runs of `--growth` on a CPU or on a GPU."""
    return [run for run in runs if "growth" in run and is_gpu(run) == gpu]


def is_gpu(run: dict) -> bool:
    """Return whether a run was on a GPU; early records do not name the device, which was a CPU."""
    return run.get("device", "cpu") != "cpu"


def comparisons(run: dict) -> Iterator[tuple[dict, list[dict]]]:
    """Yield the result of arrayseg with the results of its peers."""
    found: list[tuple[dict, list[dict]]] = []
    for result in run["results"]:
        if result["implementation"] == "arrayseg":
            found.append((result, []))
        else:
            found[-1][1].append(result)
    yield from found


def ratio(own: dict, peer: dict) -> str:
    """Return the peer's time over arrayseg's, in about two digits."""
    number = peer["seconds"] / own["seconds"]
    return f"{number:.2f}" if number < 1 else f"{number:.1f}" if number < 10 else f"{number:.0f}"


def milliseconds(result: dict) -> str:
    """Return the median, fastest and slowest time."""
    numbers = (1e3 * result[key] for key in ("seconds", "fastest", "slowest"))
    median, fastest, slowest = (f"{number:.0f}" if number >= 100 else f"{number:.3g}" for number in numbers)
    return f"{median} ({fastest}–{slowest})"


def peak(result: dict) -> str:
    """Return the peak of the extra memory over the bytes of the input."""
    return "–" if result["peak_bytes"] is None else f"{result['peak_bytes'] / result['input_bytes']:.2f}"


def short(function: str) -> str:
    """Return the name of a function with its distinctive options."""
    name, _, options = function.partition("(")
    shown = [option for option in options.removesuffix(")").split(", ") if option and option not in USUAL]
    return f"{name}({', '.join(shown)})" if shown else name


def table(head: list[str], rows: list[list[str]], words: int) -> str:
    """Return a Markdown table whose first columns are words and whose others are numbers."""
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return (
        "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows]).replace("| --", "|--").replace("- |", "-|")
    )


def headline_rows(runs: list[dict]) -> list[str]:
    """Return the rows of the README's table, each from the first run that has it."""
    found: dict[tuple[str, str, str], tuple[dict, dict, dict]] = {}
    for run in on_cpu(runs):
        if (run["dtype"], run["labels"]) == ("float32", "blocky"):
            for own, peers in comparisons(run):
                if own["size"] == "2-D" or "×" in own["size"]:
                    for peer in peers:
                        key = own["function"], own["backend"], peer["implementation"]
                        found.setdefault(key, (own, peer, run["versions"]))
    return [
        f"| {words} | {_named(peer_name, versions)} | {ratio(own, peer)} | {peak(own)} ({peak(peer)}) |"
        for words, function, backend, peer_name in HEADLINE
        if (function, backend, peer_name) in found
        for own, peer, versions in [found[function, backend, peer_name]]
    ]


def _named(peer_name: str, versions: dict[str, str]) -> str:
    """Return a peer with its release, or a function of the framework as code."""
    if peer_name.startswith("F."):
        return f"`{peer_name}`"
    release = versions.get(peer_name.lower())
    return peer_name if release is None else f"{peer_name} {'.'.join(release.split('.')[:2])}"


def headline(runs: list[dict]) -> str:
    """Return the table of the README."""
    return README_HEAD + "\n".join(headline_rows(runs)) + "\n"


def run_tables(number: int, run: dict) -> str:
    """Return the tables of a run, one for every size."""
    sizes: dict[str, list[list[str]]] = {}
    for own, peers in comparisons(run):
        if own["function"].endswith(LAYOUTS):
            continue
        for peer in peers:
            limit = own["seconds"] / own["limit_seconds"]
            verdict = f"{peer['seconds'] / own['seconds']:.2f}" if peer["agrees"] else "differs"
            first = [f"`{own['function']}`", own["backend"], milliseconds(own), f"{limit:.1f}", peak(own)]
            row = [*first, peer["implementation"], milliseconds(peer), verdict, peak(peer)]
            sizes.setdefault(own["size"], []).append(row)
    lines = [f"### Run {number}: {run['dtype']}, {run['labels']} labels", "", header(run)]
    head = ["function", "on", "arrayseg, ms", "× limit", "peak / input", "peer", "its ms", "ratio", "its peak / input"]
    for size, rows in sizes.items():
        lines += ["", f"#### Run {number}: {size}", "", table(head, rows, 2)]
    return "\n".join(lines)


def header(run: dict) -> str:
    """Return when, where and with which versions and command a run was taken."""
    return f"{taken(run)}:\n\n```console\n$ {run['command']}\n```"


def taken(run: dict) -> str:
    """Return when, where and with which versions a run was taken."""
    packages = ", ".join(f"{name} {release}" for name, release in run["versions"].items())
    where = run["device"] if is_gpu(run) else f"{run['threads']} threads"
    return f"{run['date']}, commit {run['commit']}, {where}, Python {run['python']}, {packages}"


def layout_table(runs: list[dict]) -> str:
    """Return the table of arrayseg with the class axis last over arrayseg with the class axis first."""
    rows = [
        [
            f"`{own['function'].removesuffix(LAYOUTS)}`",
            f"{run['dtype']}, {own['size']}",
            own["backend"],
            milliseconds(own),
            milliseconds(last),
            f"{last['seconds'] / own['seconds']:.2f}",
        ]
        for run in runs
        for own, peers in comparisons(run)
        if own["function"].endswith(LAYOUTS)
        for last in peers
    ]
    head = ["function", "size", "on", "channels-first, ms", "channels-last, ms", "last / first"]
    return table(head, rows, 3) if rows else ""


def growth_table(run: dict) -> str:
    """Return the table of the growth curves: their ends, their exponents, and the memory without the gradient."""
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
                f"{temporaries(first)} → {temporaries(last)}",
                over_input(last),
            ]
        )
    head = ["axis", "function", "on", "from → to", "ms", "exponent", "without the gradient, MB", "over the input"]
    return table(head, rows, 3)


def temporaries(point: dict) -> str:
    """Return the megabytes that a call holds in addition to the gradient."""
    return "–" if point["peak_bytes"] is None else f"{(point['peak_bytes'] - point['gradient_bytes']) / 1e6:.1f}"


def over_input(point: dict) -> str:
    """Return the bytes that a call holds in addition to the gradient, over the bytes of the input."""
    if point["peak_bytes"] is None:
        return "–"
    return f"{(point['peak_bytes'] - point['gradient_bytes']) / point['input_bytes']:.2f}"


def figure(path: Path, words: str) -> str:
    """Return an image of the page, by its path from the page."""
    return f"```{{image}} {path.relative_to(DOCS).as_posix()}\n:alt: {words}\n:width: 100%\n```"


def parts(runs: list[dict], images: dict[str, Path]) -> dict[str, str]:
    """Return the text that replaces each comment of docs/benchmarks.md."""
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
        on_device = [
            f"{nothing} `python tests/benchmarks/run.py --device cuda --peers` measures it where there is a GPU."
        ]
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
    """Return the README with a new table of figures."""
    before, head, rest = text.partition(README_HEAD)
    if not head:
        msg = f"{README} has no table that begins with {README_HEAD.splitlines()[0]!r}. Add one, which will be filled."
        raise ValueError(msg)
    return before + headline(runs) + "\n" + rest.partition("\n\n")[2]


if __name__ == "__main__":
    README.write_text(write_readme(README.read_text(encoding="utf-8"), records()), encoding="utf-8")
