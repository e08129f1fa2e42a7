"""Every loss alone, minimized by gradient descent, reaches the mean IoU that the documentation states."""

from __future__ import annotations

import pytest

pytest.importorskip("PIL")

from benchmarks.convergence import NAMES, PAGE, TOLERANCE, candidates, descend, recorded, scene, score
from conftest import LIBRARIES

STATED = {name: float(value) for name, value in recorded(PAGE.read_text(encoding="utf-8")).items()}

pytestmark = pytest.mark.skipif("numpy" not in LIBRARIES, reason="the descent runs on NumPy")


@pytest.fixture(scope="module")
def camvid(data):
    return scene(data)


@pytest.mark.data
@pytest.mark.usefixtures("data")
def test_the_page_states_every_loss():
    """`python tests/benchmarks/convergence.py DATA` adds a row; without the data nobody can."""
    assert set(STATED) == {"(the network)", *NAMES}


@pytest.mark.data
def test_the_descent_starts_where_the_network_ended(camvid):
    assert score(*camvid) == pytest.approx(STATED["(the network)"], abs=1e-3)


@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_alone_reaches_the_stated_mean_iou(camvid, name):
    logits, labels = camvid
    assert descend(candidates(labels)[name], logits, labels) == pytest.approx(STATED[name], abs=TOLERANCE)
