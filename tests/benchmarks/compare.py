"""Times of this checkout over those of another commit: `python tests/benchmarks/compare.py REVISION [bench options]`.

Each commit runs its own `arrayseg bench` in a process of its own, in turn with the other, so that a change of the
machine's speed meets both. The exit code is 1 if a function of this checkout takes more than `LIMIT` times as long.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent.parent
TURNS = 3
LIMIT = 1.15
DEFAULTS = ("--sizes", "2-D,small", "--backends", "numpy,torch", "--repeat", "5")


def times_of(tree: Path, options: list[str], output: Path) -> dict[tuple[str, str, str], float]:
    """The fastest seconds of arrayseg in a checkout, by size, function and backend."""
    command = [sys.executable, "-P", "-m", "arrayseg", "bench", *options, "--output", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
    results = json.loads(output.read_text(encoding="utf-8"))["results"]
    ours = [result for result in results if result["entry"] == "arrayseg"]
    return {(result["size"], result["function"], result["backend"]): result["fastest"] for result in ours}


def compare(revision: str, options: list[str]) -> dict[tuple[str, str, str], tuple[float, float]]:
    """The median seconds of the other commit and of this checkout, of what both have."""
    found = defaultdict(lambda: ([], []))
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        subprocess.run(["git", "worktree", "add", "--detach", str(other), revision], cwd=ROOT, check=True)
        try:
            for _ in range(TURNS):
                for side, tree in enumerate((other, ROOT)):
                    for key, seconds in times_of(tree, options, Path(folder) / "bench.json").items():
                        found[key][side].append(seconds)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)
    return {key: (median(before), median(after)) for key, (before, after) in found.items() if before and after}


def main() -> int:
    """Print the ratios; 1 if one is above the limit."""
    if len(sys.argv) < 2:
        sys.exit("Name the commit to compare with: compare.py REVISION [options of arrayseg bench]")
    revision, *options = sys.argv[1:]
    found = compare(revision, options or [*DEFAULTS])
    slower = 0
    print(f"{'size':28} {'function':24} {'backend':8} {revision:>12} {'now':>9} ratio")
    for (size, function, backend), (before, after) in found.items():
        ratio = after / before
        slower += ratio > LIMIT
        mark = "  SLOWER" if ratio > LIMIT else ""
        print(f"{size:28} {function:24} {backend:8} {before * 1e3:9.2f} ms {after * 1e3:6.2f} ms {ratio:5.2f}{mark}")
    return int(slower > 0)


if __name__ == "__main__":
    sys.exit(main())
