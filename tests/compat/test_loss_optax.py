"""The presets of optax against optax."""

import pytest
from compat.forms import of_form
from compat.reference import assert_same, drawn_batch, jax_value_and_gradient, presets_of
from hypothesis import given, strategies as st

pytest.importorskip("jax")
optax_losses = pytest.importorskip("optax.losses")

pytestmark = pytest.mark.compat

LAST = "channels-last"
CASES = {
    "dice_loss": [
        (LAST, {}),
        (LAST, {"alpha": 0.9, "beta": 0.1, "smooth": 0.5}),
        (LAST, {"ignore_background": True}),
        ("binary channels-last", {}),
    ],
    "multiclass_generalized_dice_loss": [(LAST, {}), (LAST, {"ignore_background": True, "smooth": 0.1})],
    "binary_dice_loss": [("binary channels-last", {"smooth": 0.1})],
    "sigmoid_focal_loss": [(LAST, {}), (LAST, {"alpha": 0.25, "gamma": 1.5})],
    "softmax_cross_entropy": [(LAST, {})],
    "softmax_cross_entropy_with_integer_labels": [("channels-last ids", {})],
    "poly_loss_cross_entropy": [(LAST, {}), (LAST, {"epsilon": -0.5})],
    "sigmoid_binary_cross_entropy": [(LAST, {})],
}
PRESETS = presets_of("optax_0_2")


@pytest.mark.parametrize(("name", "form", "options"), [(name, *case) for name in CASES for case in CASES[name]])
@given(data=st.data())
def test_value_and_gradient(name, form, options, data):
    input, target = of_form(form, *drawn_batch(data))
    peer = getattr(optax_losses, name)
    labels = target if form.endswith("ids") else target.astype(input.dtype)
    expected = jax_value_and_gradient(lambda x, t: peer(x, t, **options).mean(), input, labels)
    assert_same(PRESETS[name], options, input, target, expected)
