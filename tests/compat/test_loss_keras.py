"""The presets of Keras against Keras on its PyTorch backend."""

import os

import numpy as np
import pytest
from compat.forms import of_form
from compat.reference import assert_same, drawn_batch, presets_of, torch_value_and_gradient
from hypothesis import given, strategies as st

pytest.importorskip("torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", exc_type=ImportError)

pytestmark = pytest.mark.compat

LAST, LOGITS = "channels-last", {"from_logits": True}
CASES = {
    "Dice": [
        ("channels-last probabilities", {}),
        ("channels-last probabilities", {"axis": (1, 2), "reduction": "sum"}),
        ("channels-last probabilities", {"axis": (1, 2, 3)}),
        ("channels-last probabilities", {"axis": (0, 1, 2)}),
    ],
    "Tversky": [("channels-last probabilities", {"alpha": 0.9, "beta": 0.1, "axis": (1, 2)})],
    "CategoricalFocalCrossentropy": [
        (LAST, LOGITS),
        (LAST, {**LOGITS, "alpha": 0.5, "gamma": 1.5, "label_smoothing": 0.1, "reduction": "sum"}),
    ],
    "BinaryFocalCrossentropy": [
        (LAST, LOGITS),
        (LAST, {**LOGITS, "apply_class_balancing": True, "alpha": 0.2, "gamma": 1.5}),
    ],
    "CategoricalGeneralizedCrossEntropy": [
        ("channels-last probabilities ids", {}),
        ("channels-last probabilities ids", {"q": 0.3, "reduction": "sum"}),
    ],
    "CategoricalCrossentropy": [(LAST, LOGITS), (LAST, {**LOGITS, "label_smoothing": 0.1})],
    "SparseCategoricalCrossentropy": [
        ("channels-last ids", LOGITS),
        ("channels-last void ids", {**LOGITS, "ignore_class": 255}),
    ],
    "BinaryCrossentropy": [(LAST, LOGITS), (LAST, {**LOGITS, "label_smoothing": 0.1, "reduction": "sum"})],
}
RELEASE = "keras_3_15" if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 16) else "keras_3_16"
PRESETS = presets_of("keras_3_16") | presets_of(RELEASE)


@pytest.mark.parametrize(("name", "form", "options"), [(name, *case) for name in CASES for case in CASES[name]])
@given(data=st.data())
def test_value_and_gradient(name, form, options, data):
    logits, ids = drawn_batch(data)
    input, target = of_form(form, np.clip(logits, -6, 6), ids)
    peer = getattr(keras.losses, name)(**options, dtype="float64")
    expected = torch_value_and_gradient(lambda x, t: peer(t, x), input, target)
    assert_same(PRESETS[name], options, input, target, expected, rtol=3e-5)  # of an epsilon of 1e-7
