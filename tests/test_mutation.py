"""The parity check notices an adapter that is off by 1e-4, in value or in gradient."""

from __future__ import annotations

import pytest

from arrayseg.testing import assert_parity, installed, loss_cases

pytestmark = pytest.mark.mutation

OFF = 1 + 1e-4
CASES = {case.name: case for case in loss_cases()}


def library_or_skip(name):
    try:
        return installed([name])[name]
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("which", [0, 1], ids=["value", "gradient"])
@pytest.mark.parametrize("name", ["torch", "strict"])
@pytest.mark.parametrize("case", ["cross_entropy", "dice, ignore_index", "ohem_cross_entropy"])
def test_a_closed_form_that_is_off_fails(monkeypatch, name, case, which):
    library = library_or_skip(name)
    from arrayseg.backends import backend_of

    adapter = type(backend_of(library.asarray([1.0])))
    right = adapter.value_and_gradient

    def off(self, plan):
        pair = list(right(self, plan))
        if self.xp is library.xp:  # the reference, which may share the adapter's class, stays right
            pair[which] = pair[which] * OFF
        return tuple(pair)

    assert_parity(CASES[case], library, "float32")
    monkeypatch.setattr(adapter, "value_and_gradient", off)
    with pytest.raises(AssertionError, match="differs from float64 NumPy"):
        assert_parity(CASES[case], library, "float32")


def test_an_autodiff_that_is_off_fails(monkeypatch):
    library = library_or_skip("jax")
    from arrayseg.backends.jax import JaxBackend

    right = JaxBackend.differentiate

    def off(self, function, array):
        value, gradient = right(self, function, array)
        return value, gradient * OFF

    monkeypatch.setattr(JaxBackend, "differentiate", off)
    with pytest.raises(AssertionError, match="differs from float64 NumPy"):
        assert_parity(CASES["dice"], library, "float32")


@pytest.mark.parametrize("case", ["focal, sum", "tversky", "dice, ignore_index"])
def test_a_sum_that_is_off_fails(monkeypatch, case):
    from arrayseg.engine.block import Block

    library = installed(["numpy"])["numpy"]

    def put_off(name):
        right = getattr(Block, name)

        def off(self, *arguments, **options):
            return right(self, *arguments, **options) * (OFF if self.dtype == library.xp.float32 else 1)

        monkeypatch.setattr(Block, name, off)

    put_off("sum")
    put_off("sum_products")
    with pytest.raises(AssertionError, match="differs from float64 NumPy"):
        assert_parity(CASES[case], library, "float32")
