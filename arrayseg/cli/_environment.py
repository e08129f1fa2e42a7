"""What figures were taken on, and when: the header of a record."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from arrayseg.backends.numpy.threads import thread_count
from arrayseg.cli.contests.scene import available

__all__ = ["environment"]

PACKAGES = (
    *("arrayseg", "numpy", "torch", "jax", "cupy", "monai", "kornia", "segmentation-models-pytorch", "torchmetrics"),
    *("optax", "scikit-learn", "scikit-image", "scipy", "surface-distance", "medpy", "panoptica"),
)


def environment(device: str = "cpu") -> dict[str, Any]:
    """What the figures were taken on, and when."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "command": " ".join(["arrayseg", *sys.argv[1:]]),
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
    """The commit of the checkout that runs, and whether the package differs from it; None where there is no history."""
    folder = Path(__file__).parent.parent
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "."))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head} with changes" if changes else head


def device_name(device: str) -> str:
    """`cpu`, or what the driver calls the GPU."""
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
