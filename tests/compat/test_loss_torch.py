"""The presets of PyTorch and torchvision; the focal loss of torchvision by its formula."""

import numpy as np
import pytest
from compat.forms import of_form
from compat.reference import assert_same, drawn_batch, presets_of, torch_value_and_gradient
from hypothesis import given, strategies as st

from arrayseg.compat import torch as preset_of_torch

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.compat

PRESETS = presets_of("torch")
CASES = {
    "cross_entropy": [
        ("ids", {}),
        ("ids", {"reduction": "sum", "label_smoothing": 0.2}),
        ("void ids", {"ignore_index": 255, "label_smoothing": 0.1}),
        ("ids", {"ignore_index": 0}),
        ("soft", {"label_smoothing": 0.3}),
    ],
    "nll_loss": [("log-probabilities", {}), ("log-probabilities", {"reduction": "sum"})],
    "binary_cross_entropy": [("independent probabilities", {}), ("independent probabilities", {"reduction": "sum"})],
    "binary_cross_entropy_with_logits": [("one-hot", {}), ("soft", {"reduction": "sum"}), ("binary floats", {})],
}


@pytest.mark.parametrize(("name", "form", "options"), [(name, *case) for name in CASES for case in CASES[name]])
@given(data=st.data())
def test_value_and_gradient(name, form, options, data):
    input, target = of_form(form, *drawn_batch(data))
    expected = torch_value_and_gradient(lambda x, t: getattr(torch.nn.functional, name)(x, t, **options), input, target)
    if np.isfinite(expected[0]):
        assert_same(PRESETS[name], options, input, target, expected)


@pytest.mark.parametrize("form", ["ids", "soft"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@given(data=st.data())
def test_class_weights(form, label_smoothing, data):
    input, target = of_form(form, *drawn_batch(data))
    weight = np.linspace(0.5, 2, input.shape[1])
    expected = torch_value_and_gradient(
        lambda x, t: torch.nn.functional.cross_entropy(
            x, t, weight=torch.tensor(weight), label_smoothing=label_smoothing
        ),
        input,
        target,
    )
    options = {"weight": weight, "label_smoothing": label_smoothing}
    assert_same(PRESETS["cross_entropy"], options, input, target, expected)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
@given(data=st.data())
def test_binary_losses_without_a_reduction(name, data):
    input, target = of_form("independent probabilities", *drawn_batch(data))
    expected = getattr(torch.nn.functional, name)(torch.tensor(input), torch.tensor(target), reduction="none")
    found = PRESETS[name](input, target, reduction="none")
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-12)


def test_mean_of_nothing_is_nan_as_in_torch():
    input, target = np.zeros((1, 3, 2, 3)), np.full((1, 2, 3), -100)
    expected = torch_value_and_gradient(torch.nn.functional.cross_entropy, input, target)
    assert np.isnan(expected[0])
    assert np.isnan(preset_of_torch.cross_entropy(input, target))
    assert preset_of_torch.cross_entropy(input, target, reduction="sum") == 0


@pytest.mark.parametrize("alpha", [0.25, -1])
@pytest.mark.parametrize("form", ["one-hot", "binary floats"])
@given(data=st.data())
def test_focal_loss_of_torchvision(alpha, form, data):
    def formula(x, t):
        p = torch.sigmoid(x)
        p_t = p * t + (1 - p) * (1 - t)
        weight = alpha * t + (1 - alpha) * (1 - t) if alpha >= 0 else 1
        bce = torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")
        return (weight * (1 - p_t) ** 2 * bce).mean()

    input, target = of_form(form, *drawn_batch(data))
    expected = torch_value_and_gradient(formula, input, target)
    preset = presets_of("torchvision")["sigmoid_focal_loss"]
    assert_same(preset, {"alpha": alpha, "reduction": "mean"}, input, target, expected)
