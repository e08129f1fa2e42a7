"""Import the modules of the peers, and arrayseg's presets of them."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

#: Modules of `arrayseg.compat` that hold the presets of a package. Second names are those of older commits, which
#: `compare.py` also runs.
PRESETS = {
    "kornia": ("kornia_0_9",),
    "monai": ("monai.v1_6", "monai_1_6"),
    "optax": ("optax_0_2",),
    "panoptica": ("panoptica_2",),
    "segmentation_models_pytorch": ("smp.v0_6", "smp_0_6"),
    "skimage": ("skimage",),
    "torch": ("torch",),
    "torchmetrics": ("torchmetrics_1_9",),
}


@lru_cache
def module(path: str) -> ModuleType:
    """Import a module of a peer.

    The models of segmentation-models-pytorch need timm and torchvision. Without them, an empty parent module is put
    in place, so that the losses and metrics can still be imported.
    """
    package = path.partition(".")[0]
    spec = find_spec(package)
    if package == "segmentation_models_pytorch" and package not in sys.modules and spec and find_spec("timm") is None:
        sys.modules[package] = module_from_spec(spec)  # not executed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of a peer at import do not concern the benchmark
        return importlib.import_module(path)


@lru_cache
def preset(package: str, name: str) -> Callable[..., Any]:
    """Return the function of `arrayseg.compat` that reproduces a function of a package."""
    for module_name in PRESETS[package]:
        path = f"arrayseg.compat.{module_name}"
        try:
            return getattr(importlib.import_module(path), name)
        except (ModuleNotFoundError, AttributeError):
            continue
    msg = f"arrayseg.compat has no preset {name} of {package} in any of: {', '.join(PRESETS[package])}."
    raise AttributeError(msg)
