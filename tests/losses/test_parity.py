"""Every loss gives the same value and gradient on every library as NumPy in float64 does."""

import os

import pytest

from arrayseg.testing import assert_parity, loss_cases

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"


@pytest.mark.parametrize("case", loss_cases(), ids=lambda case: case.name)
def test_value_and_gradient_agree_with_float64_numpy(case, library):
    # A loss is checked in every dtype; its options, which are no other arithmetic, in the widest one, unless all is.
    is_variant = "," in case.name
    for dtype in library.dtypes[:1] if is_variant and not FULL else library.dtypes:
        assert_parity(case, library, dtype)
