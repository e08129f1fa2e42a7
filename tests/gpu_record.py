"""Run the tests on this machine's CUDA device, and record what passed in docs/gpu.json and docs/gpu.md.

`nox -s gpu` runs it; so does any interpreter that has pytest, hypothesis, array-api-compat and at least one of torch,
JAX and CuPy with CUDA. Where there is no device it says so and writes nothing.
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
from pathlib import Path

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "docs" / "gpu.json"
PAGE = ROOT / "docs" / "gpu.md"
# Each backend by the name that ARRAYSEG_TEST_BACKENDS takes, and a program that prints "version|device" or fails.
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
    """The environment of a child: the checkout is importable, and JAX leaves memory to the other libraries."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **variables}


def probe(program: str) -> tuple[str, str] | None:
    """The version of a library and the device that it sees; None where it sees none."""
    found = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, env=environment()
    )
    if found.returncode:
        return None
    version, device = found.stdout.strip().splitlines()[-1].split("|")
    return version, device


def run_tests(backend: str) -> dict[str, int | float]:
    """The counts of pytest's report, and the seconds it took."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        marks = "not (parity or compile or compat or mutation)"
        command = [sys.executable, "-m", "pytest", "tests", "-q", "--color=no", "-m", marks, f"--junitxml={report}"]
        subprocess.run(command, check=False, cwd=ROOT, env=environment(ARRAYSEG_TEST_BACKENDS=backend))
        suite = ET.parse(report).getroot().find("testsuite").attrib
    failed, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
    passed = int(suite["tests"]) - failed - skipped
    return {"passed": passed, "failed": failed, "skipped": skipped, "seconds": round(float(suite["time"]), 1)}


def commit() -> str:
    """The commit that was tested; a copy without history is told by ARRAYSEG_COMMIT."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=False, capture_output=True, text=True, cwd=ROOT)
    changes = subprocess.run(
        ["git", "status", "--porcelain", "arrayseg", "tests"], check=False, capture_output=True, text=True, cwd=ROOT
    )
    if head.returncode:
        return os.environ.get("ARRAYSEG_COMMIT", "unknown")
    return head.stdout.strip() + (" with changes" if changes.stdout.strip() else "")


def driver() -> str:
    """The version of the NVIDIA driver."""
    answer = subprocess.run(["nvidia-smi"], check=False, capture_output=True, text=True)
    found = re.search(r"Driver Version: (\S+)", answer.stdout)
    return found[1] if found else "unknown"


def page(record: dict) -> str:
    """The record as the page that the documentation shows."""
    rows = [
        f"| {name} | {run['version']} | {run['passed']} | {run['failed']} | {run['skipped']} | {run['seconds']} |"
        for name, run in record["backends"].items()
    ]
    return "\n".join(
        [
            "# On a GPU",
            "",
            "Written by `nox -s gpu`, which runs the tests of every backend on the CUDA device at hand.",
            "",
            f"- Date: {record['date']}",
            f"- Device: {record['device']}, driver {record['driver']}",
            f"- Python {record['python']}, commit `{record['commit']}`",
            "",
            "| backend | version | passed | failed | skipped | seconds |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> int:
    """Probe, test, record; the exit code is 1 if anything failed."""
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
    }
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(record), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
    return int(any(run["failed"] or not run["passed"] for run in backends.values()))


if __name__ == "__main__":
    sys.exit(main())
