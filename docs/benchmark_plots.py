"""Draw the records of the benchmark as plots while the pages are built."""

from __future__ import annotations

from pathlib import Path

from benchmark_pages import LAYOUTS, comparisons, grown, on_cpu, on_gpu, short
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Okabe and Ito's colors, which color-blind readers can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
BACKENDS = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "cupy": "CuPy"}
BACKEND_COLORS = dict(zip(BACKENDS, COLORS, strict=False))
GRAY = "#7A7A7A"
AXES = {
    "pixels": "pixels of an image",
    "classes": "classes",
    "batch": "images of a batch",
    "threads": "threads",
}


def draw(runs: list[dict], folder: Path, suffix: str = ".svg") -> dict[str, Path]:
    """Draw every plot for which there are records; return the files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    cpu, gpu = on_cpu(runs), on_gpu(runs)
    figures = {
        "losses": comparison_figure(first_losses(cpu)),
        "metrics": comparison_figure([pair for run in cpu for pair in pairs(run) if "×" in pair[0]["size"]]),
        "growth_time": growth(grown(runs), memory=False),
        "growth_memory": growth(grown(runs), memory=True),
        "gpu": comparison_figure(first_losses(gpu)),
        "gpu_growth_time": growth(grown(runs, gpu=True), memory=False),
        "gpu_growth_memory": growth(grown(runs, gpu=True), memory=True),
    }
    paths = {}
    for name, figure in figures.items():
        if figure is not None:
            FigureCanvasAgg(figure)
            paths[name] = folder / f"{name}{suffix}"
            figure.savefig(paths[name], dpi=110, bbox_inches="tight", facecolor="white")
    return paths


def pairs(run: dict) -> list[tuple[dict, dict]]:
    """Return the result of arrayseg with each peer that agrees."""
    return [
        (own, peer)
        for own, peers in comparisons(run)
        if not own["function"].endswith(LAYOUTS)
        for peer in peers
        if peer["agrees"]
    ]


def first_losses(runs: list[dict]) -> list[tuple[dict, dict]]:
    """Return the losses of the batch of 2-D images, each from the first run that has it."""
    found: dict[tuple[str, str, str], tuple[dict, dict]] = {}
    for run in runs:
        for own, peer in pairs(run):
            if run["dtype"] == "float32" and run["labels"] == "blocky" and own["size"].startswith("2-D"):
                found.setdefault((own["function"], own["backend"], peer["implementation"]), (own, peer))
    return list(found.values())


def comparison_figure(found: list[tuple[dict, dict]]) -> Figure | None:
    """Draw the ratio to each peer, and next to it the time of both over the time of a copy."""
    if not found:
        return None
    found = sorted(found, key=lambda pair: pair[1]["seconds"] / pair[0]["seconds"])
    figure = Figure(figsize=(10, 1.2 + 0.24 * len(found)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    used = {own["backend"] for own, _ in found}
    for place, (own, peer) in enumerate(found):
        color, limit = BACKEND_COLORS[own["backend"]], own["limit_seconds"]
        ratio = peer["seconds"] / own["seconds"]
        left.plot([1, ratio], [place, place], color=color, linewidth=1.5, alpha=0.35)
        left.plot(ratio, place, "o", color=color, markersize=5)
        ends = own["seconds"] / limit, peer["seconds"] / limit
        right.plot(ends, [place, place], color=color, linewidth=1.5, alpha=0.35)
        right.plot(ends[0], place, "o", color=color, markersize=5)
        right.plot(ends[1], place, "o", markerfacecolor="white", markeredgecolor=color, markersize=5)
    left.set_yticks(range(len(found)), [label(*pair) for pair in found], fontsize=8)
    left.set_ylim(-0.7, len(found) - 0.3)
    for axes, words in ((left, "time of the peer / time of arrayseg"), (right, "time / time to copy as many bytes")):
        style(axes)
        axes.set_xscale("log")
        axes.set_xlabel(words, fontsize=9)
        axes.axvline(1, color=GRAY, linewidth=1)
        plain_numbers(axes)
    left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    left.set_title("above 1, arrayseg is faster", fontsize=9, loc="left")
    right.set_title("filled: arrayseg; hollow: the peer", fontsize=9, loc="left")
    handles = [
        left.plot([], [], "o", color=BACKEND_COLORS[name], label=BACKENDS[name])[0] for name in BACKENDS if name in used
    ]
    left.legend(handles=handles, fontsize=8, loc="lower right", frameon=True, framealpha=1, edgecolor="none")
    return figure


def label(own: dict, peer: dict) -> str:
    """Return the label of a function and its peer."""
    corner = ", corner" if own["size"].endswith("corner") else ""
    return f"{short(own['function'])}{corner}  ·  {peer['implementation']}"


def growth(runs: list[dict], *, memory: bool) -> Figure | None:
    """Draw a row for each backend, a column for each axis, and a line for each function."""
    points = [point for run in runs for point in run["growth"] if not memory or point["peak_bytes"] is not None]
    if not points:
        return None
    backends = [name for name in BACKENDS if any(point["backend"] == name for point in points)]
    columns = [axis for axis in AXES if any(point["axis"] == axis for point in points)]
    functions = list(dict.fromkeys(point["function"] for point in points))
    figure = Figure(figsize=(2.7 * len(columns), 0.9 + 2.1 * len(backends)), layout="constrained")
    panels = figure.subplots(len(backends), len(columns), sharex="col", sharey=True, squeeze=False)
    for row, backend in enumerate(backends):
        for column, axis in enumerate(columns):
            axes = panels[row, column]
            own = [point for point in points if (point["backend"], point["axis"]) == (backend, axis)]
            curves(axes, own, functions, memory=memory)
            style(axes)
            axes.set(xscale="log", yscale="log")
            plain_numbers(axes)
            if axis != "pixels":
                ticks = sorted({point["value"] for point in points if point["axis"] == axis})
                axes.set_xticks(ticks, [str(tick) for tick in ticks])
                axes.minorticks_off()
            if row == len(backends) - 1:
                axes.set_xlabel(AXES[axis], fontsize=9)
            if not own:
                axes.text(0.5, 0.5, "cannot be chosen", transform=axes.transAxes, ha="center", color=GRAY, fontsize=8)
        panels[row, 0].set_ylabel(f"{BACKENDS[backend]}\n{'MB' if memory else 'ms'}", fontsize=9)
    words = "Most memory that a call holds in addition to the gradient" if memory else "Time of value and gradient"
    figure.suptitle(words, fontsize=10)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8, frameon=False)
    return figure


def curves(axes: Axes, points: list[dict], functions: list[str], *, memory: bool) -> None:
    """Draw a line for each function, and in gray the reference."""
    for function, color in zip(functions, COLORS, strict=False):
        own = [point for point in points if point["function"] == function]
        values = [point["value"] for point in own]
        if memory:
            heights = [max(point["peak_bytes"] - point["gradient_bytes"], 1) / 1e6 for point in own]
        else:
            heights = [1e3 * point["seconds"] for point in own]
        axes.plot(values, heights, "o-", color=color, markersize=3.5, linewidth=1.4, label=function)
    losses = [point for point in points if point["gradient_bytes"]]
    own = [point for point in losses if point["function"] == losses[0]["function"]]
    if not own:
        return
    values = [point["value"] for point in own]
    if memory:
        axes.plot(values, [point["input_bytes"] / 1e6 for point in own], "--", color=GRAY, lw=1, label="the logits")
    else:
        power = -1 if own[0]["axis"] == "threads" else 1
        end = 1e3 * own[-1]["seconds"] / 2
        heights = [end * (value / values[-1]) ** power for value in values]
        axes.plot(values, heights, "--", color=GRAY, lw=1, label="linear")


def style(axes: Axes) -> None:
    """Set light grid lines and no frame."""
    axes.grid(visible=True, axis="both", color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=8, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def plain_numbers(axes: Axes) -> None:
    """Label a logarithmic axis with 0.1, 1, 10, 1000, 10 k and 1 M instead of powers."""

    def written(value: float, _: object) -> str:
        return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k" if value >= 1e4 else f"{value:g}"

    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(numticks=8))
            axis.set_major_formatter(FuncFormatter(written))
            axis.set_minor_formatter(NullFormatter())
