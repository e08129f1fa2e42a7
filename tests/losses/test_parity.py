"""Every loss gives on every library and in every dtype the value and gradient of NumPy in float64.

NumPy in float64 itself is held to formulas by test_oracle.py and to recorded numbers by tests/test_golden.py.
"""

import os

import pytest

from arrayseg.testing import _parity, assert_parity, loss_cases

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"


@pytest.mark.parametrize("case", loss_cases(), ids=lambda case: case.name)
def test_value_and_gradient_agree_with_float64_numpy(case, library):
    dtypes = [dtype for dtype in library.dtypes if (library.name, dtype) != ("numpy", "float64")]
    # A loss is checked in every dtype; its options, which are no other arithmetic, in the widest one, unless all is.
    is_variant = "," in case.name
    for dtype in dtypes[:1] if is_variant and not FULL else dtypes:
        assert_parity(case, library, dtype)


@pytest.mark.parametrize("which", [0, 1], ids=["value", "gradient"])
def test_a_value_or_a_gradient_that_is_off_fails(monkeypatch, library, which):
    case, right = loss_cases()[0], _parity.value_and_grad
    calls = []

    def off(function):
        def evaluate(input, target, **options):
            pair = list(right(function)(input, target, **options))
            calls.append(None)
            if len(calls) == 1:  # the library's pair comes first, then the reference
                pair[which] = pair[which] * (1 + 1e-4)
            return tuple(pair)

        return evaluate

    monkeypatch.setattr(_parity, "value_and_grad", off)
    with pytest.raises(AssertionError, match="differs from float64 NumPy"):
        assert_parity(case, library, "float32")
    assert assert_parity(case, library, "float32").passed
