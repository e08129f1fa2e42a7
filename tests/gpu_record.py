"""Run the tests on the CUDA device of this machine, and record the results in docs/gpu.json and docs/gpu.md.

`nox -s gpu` runs it. It needs an interpreter with pytest, hypothesis, array-api-compat and at least one of torch, JAX
and CuPy with CUDA. Without a device it says so and writes nothing.
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the checkout, whether or not arrayseg is installed

from arrayseg import losses, value_and_grad  # noqa: E402
from arrayseg.profiling import measure  # noqa: E402
from arrayseg.testing import installed  # noqa: E402

RECORD = ROOT / "docs" / "gpu.json"
PAGE = ROOT / "docs" / "gpu.md"
SHAPE = (4, 19, 512, 512)
# The backends by their names in ARRAYSEG_TEST_BACKENDS, each with a program that prints "version|device" or fails.
PROBES = {
    "cupy": """
import cupy
cupy.zeros(1)
name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
print(cupy.__version__, name, sep="|")
""",
    "torch-cuda": """
import torch
print(torch.__version__, torch.cuda.get_device_name(torch.zeros(1, device="cuda").device), sep="|")
""",
    "jax-cuda": """
import jax
print(jax.__version__, jax.devices("cuda")[0].device_kind, sep="|")
""",
}


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a child: the checkout is importable, and JAX leaves memory to other libraries."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **variables}


def probe(program: str) -> tuple[str, str] | None:
    """Return the version of a library and the device that it sees; None if it sees none."""
    found = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, env=environment()
    )
    if found.returncode:
        return None
    version, device = found.stdout.strip().splitlines()[-1].split("|")
    return version, device


def run_tests(backend: str) -> dict[str, int | float]:
    """Return the counts of pytest's report, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        marks = "not (parity or compile or compat or mutation)"
        command = [sys.executable, "-m", "pytest", "tests", "-q", "--color=no", "-m", marks, f"--junitxml={report}"]
        subprocess.run(command, check=False, cwd=ROOT, env=environment(ARRAYSEG_TEST_BACKENDS=backend))
        suite = ET.parse(report).getroot().find("testsuite").attrib
    failed, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
    passed = int(suite["tests"]) - failed - skipped
    return {"passed": passed, "failed": failed, "skipped": skipped, "seconds": round(float(suite["time"]), 1)}


def step(backend: str, function: str, inputs: tuple[np.ndarray, np.ndarray]) -> tuple[Callable, tuple]:
    """Return the call by which users of a library get value and gradient, and its arrays on the device."""
    loss = getattr(losses, function)
    library = installed([backend])[backend]
    logits = library.asarray(inputs[0])
    target = library.asarray(inputs[1], "int32" if backend == "jax-cuda" else "int64")  # JAX has no int64 by default
    if backend == "cupy":
        return value_and_grad(loss), (logits, target)
    if backend == "jax-cuda":
        import jax

        return jax.jit(jax.value_and_grad(loss)), (logits, target)
    return torch_step(loss), (logits.requires_grad_(), target)


def torch_step(loss: Callable) -> Callable:
    """Return a function that runs one forward and backward pass."""

    def run(logits, target):
        logits.grad = None
        loss(logits, target).backward()
        return logits.grad

    return run


def plain_torch(function: str) -> Callable:
    """Return the form that users of torch would otherwise write."""
    import torch

    if function == "cross_entropy":
        return torch.nn.functional.cross_entropy

    def dice(logits, target):
        p = torch.softmax(logits, dim=1)
        t = torch.nn.functional.one_hot(target, logits.shape[1]).movedim(-1, 1)
        axes = tuple(range(2, logits.ndim))
        return 1 - ((2 * (p * t).sum(axes) + 1e-5) / (p.sum(axes) + t.sum(axes) + 1e-5)).mean()

    return dice


def timings(backends: Iterable[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Return milliseconds and peak megabytes of value and gradient, by function and implementation."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=SHAPE).astype(np.float32), random.integers(0, SHAPE[1], (SHAPE[0], *SHAPE[2:]))
    results = {}
    for function in ("cross_entropy", "dice"):
        entries = {backend: step(backend, function, inputs) for backend in backends}
        if "torch-cuda" in entries:
            entries["plain torch"] = torch_step(plain_torch(function)), entries["torch-cuda"][1]
        results[function] = {}
        for name, (call, arrays) in entries.items():
            found = measure(call, *arrays, repeat=20)
            peak = None if found.peak_bytes is None else round(found.peak_bytes / 1e6, 1)
            results[function][name] = {"milliseconds": round(1e3 * found.seconds, 3), "peak_megabytes": peak}
    return results


def commit() -> str:
    """Return the tested commit; for a copy without history, the value of ARRAYSEG_COMMIT."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=False, capture_output=True, text=True, cwd=ROOT)
    changes = subprocess.run(
        ["git", "status", "--porcelain", "arrayseg", "tests"], check=False, capture_output=True, text=True, cwd=ROOT
    )
    if head.returncode:
        return os.environ.get("ARRAYSEG_COMMIT", "unknown")
    return head.stdout.strip() + (" with changes" if changes.stdout.strip() else "")


def driver() -> str:
    """Return the version of the NVIDIA driver."""
    answer = subprocess.run(["nvidia-smi"], check=False, capture_output=True, text=True)
    found = re.search(r"Driver Version: (\S+)", answer.stdout)
    return found[1] if found else "unknown"


def page(record: dict) -> str:
    """Return the page of the documentation."""
    rows = [
        f"| {name} | {run['version']} | {run['passed']} | {run['failed']} | {run['skipped']} | {run['seconds']} |"
        for name, run in record["backends"].items()
    ]
    times = [
        f"| {function} | {name} | {found['milliseconds']} | {found['peak_megabytes']} | {ratio(entries, name)} |"
        for function, entries in record["timings"].items()
        for name, found in entries.items()
    ]
    return "\n".join(
        [
            "# On a GPU",
            "",
            "Written by `nox -s gpu`, which runs the tests of every backend on the CUDA device of a machine.",
            "",
            f"- Date: {record['date']}",
            f"- Device: {record['device']}, driver {record['driver']}",
            f"- Python {record['python']}, commit `{record['commit']}`",
            *(
                [f"- Not run, because the library or a device is missing: {', '.join(record['not_run'])}"]
                * bool(record["not_run"])
            ),
            "",
            "| backend | version | passed | failed | skipped | seconds |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"Value and gradient of float32 logits of shape {tuple(record['shape'])}, median of 20 calls.",
            "The ratio is the time of plain torch over the time of the implementation: above 1 is faster.",
            "",
            "| function | implementation | ms | peak MB | ratio |",
            "|---|---|---|---|---|",
            *times,
            "",
        ]
    )


def ratio(entries: dict, name: str) -> str:
    """Return the time of plain torch over the time of an implementation."""
    plain = entries.get("plain torch")
    return f"{plain['milliseconds'] / entries[name]['milliseconds']:.2f}" if plain else "-"


def main() -> int:
    """Probe, test and record; return 1 if anything failed."""
    found = {name: seen for name, program in PROBES.items() if (seen := probe(program))}
    missing = sorted(set(PROBES) - set(found))
    if not found:
        print("gpu: not run, since none of torch, JAX and CuPy sees a CUDA device here; nothing was written.")
        return 0
    if missing:
        print(f"gpu: not run on {', '.join(missing)}: not installed, or without a device.")
    backends = {name: {"version": version, **run_tests(name)} for name, (version, _) in found.items()}
    record = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": next(iter(found.values()))[1],
        "driver": driver(),
        "python": platform.python_version(),
        "commit": commit(),
        "not_run": missing,
        "backends": backends,
        "shape": SHAPE,
        "timings": timings(backends),
    }
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(record), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
    return int(any(run["failed"] or not run["passed"] for run in backends.values()))


if __name__ == "__main__":
    sys.exit(main())
