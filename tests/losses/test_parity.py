"""Every loss gives the same value and gradient on every library as NumPy in float64 does."""

import pytest

from arrayseg.testing import assert_parity, loss_cases


@pytest.mark.parametrize("case", loss_cases(), ids=lambda case: case.name)
def test_value_and_gradient_agree_with_float64_numpy(case, library):
    for dtype in library.dtypes:
        assert_parity(case, library, dtype)
