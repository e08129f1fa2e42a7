"""The presets of segmentation_models_pytorch against its losses. Its models are not imported, as they need timm."""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType

import pytest
from compat.forms import of_form
from compat.reference import assert_same, drawn_batch, presets_of, torch_value_and_gradient
from hypothesis import given, strategies as st

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.compat

MULTICLASS, BINARY, MULTILABEL = {"mode": "multiclass"}, {"mode": "binary"}, {"mode": "multilabel"}
REGION = [
    ("ids", MULTICLASS),
    ("ids", {**MULTICLASS, "smooth": 1.0, "classes": [1, 0]}),
    ("void ids", {**MULTICLASS, "ignore_index": 255}),
    ("binary", {**BINARY, "smooth": 0.5}),
    ("binary floats", {**BINARY, "ignore_index": 0}),
    ("one-hot", MULTILABEL),
    ("soft", MULTILABEL),
    ("probabilities", {**MULTICLASS, "from_logits": False}),
]
CASES = {
    "DiceLoss": [*REGION, ("ids", {**MULTICLASS, "log_loss": True})],
    "JaccardLoss": [*REGION, ("ids", {**MULTICLASS, "log_loss": True})],
    "TverskyLoss": [*REGION, ("ids", {**MULTICLASS, "alpha": 0.9, "beta": 0.1, "gamma": 0.75})],
    "FocalLoss": [
        ("ids", MULTICLASS),
        ("void ids", {**MULTICLASS, "ignore_index": 255, "alpha": 0.25}),
        ("one-hot", {**MULTILABEL, "gamma": 1.5}),
        ("binary", {**BINARY, "alpha": 0.1}),
        ("ids", {**MULTICLASS, "reduction": "sum"}),
        ("one-hot", {**MULTILABEL, "reduction": "none"}),
        ("ids", {**MULTICLASS, "reduced_threshold": 0.4, "alpha": 0.25}),
    ],
    "LovaszLoss": [
        ("ids", MULTICLASS),
        ("void ids", {**MULTICLASS, "ignore_index": 255}),
        ("ids", {**MULTICLASS, "per_image": True}),
        ("one-hot", {**MULTILABEL, "per_image": True}),
        ("binary", BINARY),
    ],
    "SoftCrossEntropyLoss": [
        ("ids", {"smooth_factor": 0.1}),
        ("void ids", {"smooth_factor": 0.0, "ignore_index": 255}),
    ],
    "SoftBCEWithLogitsLoss": [
        ("one-hot", {}),
        ("one-hot", {"smooth_factor": 0.1, "reduction": "sum"}),
        ("binary floats", {"smooth_factor": 0.2}),
    ],
    "MCCLoss": [("binary probabilities", {}), ("binary probabilities", {"eps": 0.1})],
}
PRESETS = presets_of("smp_0_6")


@pytest.fixture(scope="module")
def smp():
    name = "segmentation_models_pytorch"
    spec = find_spec(name)
    if spec is None:
        pytest.skip(f"{name} is not installed")
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package
    yield importlib.import_module(f"{name}.losses")
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.mark.parametrize(("name", "form", "options"), [(name, *case) for name in CASES for case in CASES[name]])
@given(data=st.data())
def test_value_and_gradient(smp, name, form, options, data):
    input, target = of_form(form, *drawn_batch(data))
    single = name == "LovaszLoss"  # it mixes float32 into what it is given
    expected = torch_value_and_gradient(getattr(smp, name)(**options), input, target, torch.float32 if single else None)
    assert_same(PRESETS[name], options, input, target, expected, rtol=2e-6 if single else 1e-9)


@pytest.mark.parametrize("name", ["DiceLoss", "JaccardLoss", "TverskyLoss", "FocalLoss"])
@given(data=st.data())
def test_class_weights(smp, name, data):
    input, target = of_form("ids", *drawn_batch(data))
    options = {**MULTICLASS, "class_weights": [0.5, 1.0, 2.0, 3.0, 4.0][: input.shape[1]]}
    expected = torch_value_and_gradient(getattr(smp, name)(**options), input, target)
    assert_same(PRESETS[name], options, input, target, expected, rtol=2e-7)  # weights in float32
