"""The presets of kornia against kornia."""

import numpy as np
import pytest
from compat.forms import of_form
from compat.reference import assert_same, drawn_batch, presets_of, torch_value_and_gradient
from hypothesis import given, strategies as st

torch = pytest.importorskip("torch")
kornia_losses = pytest.importorskip("kornia.losses")

pytestmark = pytest.mark.compat

CASES = {
    "dice_loss": [
        ("ids", {}),
        ("ids", {"average": "macro", "eps": 0.5}),
        ("void ids", {"average": "macro", "ignore_index": 255}),
        ("void ids", {"ignore_index": 255}),
    ],
    "tversky_loss": [
        ("ids", {"alpha": 0.9, "beta": 0.1, "eps": 0.3}),
        ("void ids", {"alpha": 0.3, "beta": 0.7, "ignore_index": 255}),
    ],
    "focal_loss": [
        ("ids", {"alpha": None, "reduction": "mean"}),
        ("ids", {"alpha": 0.2, "gamma": 1.5, "reduction": "sum"}),
        ("void ids", {"alpha": 0.2, "ignore_index": 255, "reduction": "mean"}),
    ],
    "binary_focal_loss_with_logits": [
        ("one-hot", {"reduction": "mean"}),
        ("soft", {"alpha": None, "gamma": 1.0, "reduction": "sum"}),
    ],
    "lovasz_softmax_loss": [("ids", {})],
    "lovasz_hinge_loss": [("binary without a channel", {})],
}
PRESETS = presets_of("kornia_0_9")


@pytest.mark.parametrize(("name", "form", "options"), [(name, *case) for name in CASES for case in CASES[name]])
@given(data=st.data())
def test_value_and_gradient(name, form, options, data):
    input, target = of_form(form, *drawn_batch(data))
    expected = torch_value_and_gradient(lambda x, t: getattr(kornia_losses, name)(x, t, **options), input, target)
    assert_same(PRESETS[name], options, input, target, expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dice_loss", {"average": "macro"}),
        ("focal_loss", {"alpha": 0.2, "reduction": "mean"}),
        ("binary_focal_loss_with_logits", {"reduction": "mean"}),
        ("lovasz_softmax_loss", {}),
    ],
)
@given(data=st.data())
def test_class_weights(name, options, data):
    input, target = of_form("one-hot" if name.startswith("binary") else "ids", *drawn_batch(data))
    weight = np.linspace(0.5, 2, input.shape[1])
    expected = torch_value_and_gradient(
        lambda x, t: getattr(kornia_losses, name)(x, t, weight=torch.tensor(weight), **options), input, target
    )
    assert_same(PRESETS[name], {**options, "weight": weight}, input, target, expected)


@given(data=st.data())
def test_hausdorff_by_erosion(data):
    input, target = of_form("probabilities with a channel", *drawn_batch(data))
    expected = torch_value_and_gradient(kornia_losses.HausdorffERLoss(k=3), input, target)
    assert_same(PRESETS["HausdorffERLoss"], {"k": 3}, input, target, expected, rtol=2e-6)  # a float32 kernel


@pytest.mark.parametrize(("name", "form"), [("focal_loss", "void ids"), ("binary_focal_loss_with_logits", "one-hot")])
@given(data=st.data())
def test_focal_losses_without_a_reduction(name, form, data):
    """Each class has its own loss, a class of weight 0 too."""
    input, target = of_form(form, *drawn_batch(data))
    options = {"alpha": 0.3, **({"ignore_index": 255} if form == "void ids" else {})}
    weight = np.linspace(0, 2, input.shape[1])
    expected = getattr(kornia_losses, name)(
        torch.tensor(input), torch.tensor(target), weight=torch.tensor(weight), **options
    )
    found = PRESETS[name](input, target, weight=weight, **options)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-12)
