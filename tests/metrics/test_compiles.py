"""The page says which metrics run under `jax.jit`; each is tried here, and gives the numbers of the eager call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from arrayseg.testing import installed, metric_cases, relative_difference

pytestmark = pytest.mark.compile

PAGE = Path(__file__).parents[2] / "docs" / "compilers.md"
_, _, HOST_SECTION = PAGE.read_text(encoding="utf-8").partition("## Not under a compiler")
WITH_HOST_STEP = set(re.findall(r"`(\w+)`", HOST_SECTION))
CASES = {case.name: case for case in metric_cases()}


@pytest.mark.parametrize("name", CASES)
def test_jit_is_as_the_page_says(name):
    jax = pytest.importorskip("jax")
    library, case = installed(["jax"])["jax"], CASES[name]
    arrays = library.asarray(case.input), library.asarray(case.target)
    if name.partition(",")[0] in WITH_HOST_STEP or name.endswith(", exact"):
        with pytest.raises(TypeError):
            jax.jit(case.function)(*arrays)
        return
    pairs = [jax.tree.leaves(call(*arrays)) for call in (jax.jit(case.function), case.function)]
    for found, wanted in zip(*pairs, strict=True):
        # Surface elements are padded with nan under jit, as no shape may depend on the masks.
        own = found if found.shape == wanted.shape else found[~jax.numpy.isnan(found)]
        assert relative_difference(own, wanted) <= 1e-11
