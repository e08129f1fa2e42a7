"""Fixtures: the array libraries under test, the hypothesis profiles, the optional real data."""

from __future__ import annotations

import os
import re
import traceback
import zlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from arrayseg.backends.names import BACKENDS
from arrayseg.testing import Library, installed

hypothesis.settings.register_profile("ci", max_examples=15, deadline=None, derandomize=True)
hypothesis.settings.register_profile("full", max_examples=200, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

try:
    import jax
except ImportError:
    pass
else:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_dtype_promotion", "strict")


def chosen_libraries() -> dict[str, Library]:
    """Return the libraries named in ARRAYSEG_TEST_BACKENDS, or all that are installed."""
    names = os.environ.get("ARRAYSEG_TEST_BACKENDS")
    if names:
        return installed(names.split(","))
    found: dict[str, Library] = {}
    for name in BACKENDS:
        try:
            found.update(installed([name]))
        except ImportError:
            continue
    return found


LIBRARIES = chosen_libraries()


#: What an option may be by mistake.
WRONG = [None, "x", np.inf, np.nan, 1e30, -1, 1.5, np.arange(3), np.arange(3.0), [], {}, object(), True, (1, "a")]
WRONG += [np.float32(0.5), np.int64(1), ("x", "y"), [None], np.asarray("x"), np.ones((2, 2))]


def is_taken(call) -> bool:
    """Return whether a call works; what does not is refused with a sentence, by the function that was called.

    It works too if all that it lacks is a library, which it names.
    """
    try:
        with np.errstate(all="ignore"):
            call()
    except ImportError as error:
        return "pip install" in str(error)
    except (TypeError, ValueError) as error:
        refusal = error
    else:
        return True
    last = traceback.extract_tb(refusal.__traceback__)[-1]
    assert last.filename.endswith("_errors.py"), f"{last.filename}:{last.lineno} {refusal}"
    assert re.search(r"\w.*[.)]$", str(refusal), re.DOTALL), refusal
    return False


@pytest.fixture(params=list(LIBRARIES), scope="session")
def library(request: pytest.FixtureRequest) -> Library:
    """Every array library under test, in turn."""
    return LIBRARIES[request.param]


@pytest.fixture
def xp(library: Library):
    """The namespace of every array library under test, in turn."""
    return library.xp


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real masks, which CONTRIBUTING.md describes; tests that read it are skipped where it is absent."""
    folder = Path(os.environ.get("ARRAYSEG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent")
    return folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave all but one case of each property of losses on JAX to `nox -s full`: JAX compiles each operation by itself.

    A property is a test in a file named `*_properties`. Which case is kept depends on its name, so that the properties
    together meet many losses. The values and gradients of all losses are compared on JAX in each run.
    """
    if os.environ.get("HYPOTHESIS_PROFILE") == "full":
        return
    properties: dict[str, list[pytest.Item]] = {}
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if parameters.get("library") == "jax" and item.path.stem.endswith("_properties"):
            properties.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left_out: set[pytest.Item] = set()
    for name, cases in properties.items():
        kept = cases[zlib.crc32(name.rpartition("/")[2].encode()) % len(cases)]
        left_out.update(case for case in cases if case is not kept)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]
