"""Every loss alone, minimized by gradient descent, reaches the mean IoU that the documentation states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("PIL")

from benchmarks.convergence import NAMES, candidates, descend, scene, score
from conftest import LIBRARIES

PAGE = Path(__file__).parents[2] / "docs" / "convergence.md"
ROW = re.compile(r"^\| `?([\w() ]+?)`? \| ([\d.]+) \|$", re.MULTILINE)
STATED = {name: float(value) for name, value in ROW.findall(PAGE.read_text(encoding="utf-8"))}


pytestmark = pytest.mark.skipif("numpy" not in LIBRARIES, reason="the descent runs on NumPy")


@pytest.fixture(scope="module")
def camvid(data):
    return scene(data)


def test_the_page_states_every_loss():
    assert set(STATED) == {"(the network)", *NAMES}


@pytest.mark.data
def test_the_descent_starts_where_the_network_ended(camvid):
    assert score(*camvid) == pytest.approx(STATED["(the network)"], abs=1e-3)


# A pixel of 2,700 that falls on the other side of a tie moves the mean over small classes by up to 0.01.
@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_alone_reaches_the_stated_mean_iou(camvid, name):
    logits, labels = camvid
    assert descend(candidates(labels)[name], logits, labels) == pytest.approx(STATED[name], abs=0.01)
