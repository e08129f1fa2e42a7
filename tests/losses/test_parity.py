"""Every loss gives on every library and in every dtype the value and gradient of NumPy in float64.

NumPy in float64 itself is held to formulas by test_oracle.py and to recorded numbers by tests/test_golden.py.
"""

import os

import pytest

from arrayseg.testing import assert_parity, loss_cases

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"


@pytest.mark.parametrize("case", loss_cases(), ids=lambda case: case.name)
def test_value_and_gradient_agree_with_float64_numpy(case, library):
    dtypes = [dtype for dtype in library.dtypes if (library.name, dtype) != ("numpy", "float64")]
    # A loss is checked in every dtype; its options, which are no other arithmetic, in the widest one, unless all is.
    is_variant = "," in case.name
    for dtype in dtypes[:1] if is_variant and not FULL else dtypes:
        assert_parity(case, library, dtype)
