"""No number drifts unnoticed: every loss's value and gradient in float64 are those recorded in golden.json.

A change of a formula that is meant is recorded by `python tests/test_golden.py`, and named in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import LIBRARIES

from arrayseg import value_and_grad
from arrayseg.testing import loss_cases

GOLDEN = Path(__file__).with_name("golden.json")
CASES = {case.name: case for case in loss_cases()}
# The gradient is recorded as two numbers: its sum over pixels with fixed weights, and its length.


def numbers(case) -> list[float]:
    """The value, and the gradient's probe and length."""
    value, gradient = value_and_grad(case.function)(case.input, case.target, **case.options)
    probe = np.random.default_rng(7).normal(size=gradient.shape)
    return [float(value), float(np.sum(gradient * probe)), float(np.sqrt(np.sum(gradient**2)))]


def test_every_case_is_recorded():
    assert set(json.loads(GOLDEN.read_text(encoding="utf-8"))) == set(CASES)


@pytest.mark.skipif("numpy" not in LIBRARIES, reason="recorded on NumPy, with which every library is compared")
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_recorded(name):
    recorded = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    assert numbers(CASES[name]) == pytest.approx(recorded, rel=1e-11, abs=1e-13)


if __name__ == "__main__":
    record = {name: numbers(case) for name, case in sorted(CASES.items())}
    lines = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in record.items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
