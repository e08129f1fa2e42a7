"""Describe the machine and the versions of a run: the header of a record."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.inputs import available
from benchmarks.measure import thread_count

import arrayseg

PACKAGES = (
    *("arrayseg", "numpy", "torch", "jax", "cupy", "monai", "kornia", "segmentation-models-pytorch", "torchmetrics"),
    *("optax", "scikit-learn", "scikit-image", "scipy", "surface-distance", "medpy", "panoptica"),
)


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return the command, date, commit, machine and versions of this run."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "command": " ".join(["python tests/benchmarks/run.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": device_name(device),
        "threads": thread_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": versions,
    }


def commit() -> str | None:
    """Return the commit of the imported package, and whether its files differ; None if it is not a checkout."""
    folder = Path(arrayseg.__file__).parent
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "."))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head} with changes" if changes else head


def device_name(device: str) -> str:
    """Return `cpu`, or the driver's name of the GPU."""
    if device == "cpu":
        return device
    if "torch" in available(device):
        import torch

        return str(torch.cuda.get_device_name(device))
    if "jax" in available(device):
        import jax

        return str(jax.devices(device)[0].device_kind)
    import cupy

    return str(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())
