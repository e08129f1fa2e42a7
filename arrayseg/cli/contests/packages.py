"""How the modules of the peers are imported."""

from __future__ import annotations

import importlib
import sys
import warnings
from functools import lru_cache
from importlib.util import find_spec, module_from_spec
from types import ModuleType

__all__ = ["module"]


@lru_cache
def module(path: str) -> ModuleType:
    """A module of a peer; of segmentation-models-pytorch without its models, which need timm and torchvision."""
    package = path.partition(".")[0]
    spec = find_spec(package)
    if package == "segmentation_models_pytorch" and package not in sys.modules and spec and find_spec("timm") is None:
        sys.modules[package] = module_from_spec(spec)  # not executed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a peer warns of as it is imported is its own affair
        return importlib.import_module(path)
