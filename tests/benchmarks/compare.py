"""Print the times of this checkout over those of another commit: `compare.py REVISION [options of run.py]`.

Both commits are measured by the benchmark code of this checkout, each in a process of its own and in turn with the
other, so that a change of the machine's speed affects both. The exit code is 1 if a function of this checkout takes
more than `LIMIT` times as long.
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
DEFAULTS = ("--sizes", "2-D,3-D,binary,small", "--backends", "numpy,torch", "--repeat", "5")
Key = tuple[str, str, str]


def times_of(tree: Path, options: list[str], output: Path) -> dict[Key, float]:
    """Return the fastest seconds of arrayseg in a checkout, by size, function and backend."""
    command = [sys.executable, "-P", str(ROOT / "tests" / "benchmarks" / "run.py"), *options, "--output", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    quiet = subprocess.DEVNULL
    finished = subprocess.run(
        command, cwd=tree, env=environment, check=False, stdout=quiet, stderr=subprocess.PIPE, text=True
    )
    if not output.is_file():
        sys.exit(f"The benchmark of {tree} failed:\n{finished.stderr}")
    results = json.loads(output.read_text(encoding="utf-8"))["results"]
    output.unlink()
    return {
        (result["size"], result["function"], result["backend"]): result["fastest"]
        for result in results
        if result["implementation"] == "arrayseg"
    }


def compare(revision: str, options: list[str]) -> dict[Key, tuple[float, float]]:
    """Return the median seconds of the other commit and of this checkout, for every function that both have."""
    found = defaultdict(lambda: ([], []))
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(other), revision], cwd=ROOT, check=True)
        try:
            for _ in range(TURNS):
                for side, tree in enumerate((other, ROOT)):
                    for key, seconds in times_of(tree, options, Path(folder) / "times.json").items():
                        found[key][side].append(seconds)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)
    return {key: (median(before), median(after)) for key, (before, after) in found.items() if before and after}


def main() -> int:
    """Print the ratios; return 1 if one is above the limit."""
    if len(sys.argv) < 2:
        sys.exit("Name the commit to compare with: compare.py REVISION [options of run.py]")
    revision, *options = sys.argv[1:]
    found = compare(revision, options or [*DEFAULTS])
    if not found:
        sys.exit(f"{revision} and this checkout have no measured function in common.")
    slower = 0
    print(f"{'size':28} {'function':24} {'backend':8} {revision[:12]:>12} {'now':>9} ratio")
    for (size, function, backend), (before, after) in found.items():
        ratio = after / before
        slower += ratio > LIMIT
        mark = "  SLOWER" if ratio > LIMIT else ""
        print(f"{size:28} {function:24} {backend:8} {before * 1e3:9.2f} ms {after * 1e3:6.2f} ms {ratio:5.2f}{mark}")
    return int(slower > 0)


if __name__ == "__main__":
    sys.exit(main())
