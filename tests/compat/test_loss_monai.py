"""The presets of MONAI against MONAI."""

import pytest
from compat.reference import assert_same, drawn_batch, of_form, presets_of, torch_value_and_gradient
from hypothesis import given, strategies as st

monai_losses = pytest.importorskip("monai.losses")

pytestmark = pytest.mark.compat

SOFTMAX = {"softmax": True, "to_onehot_y": True}
IDS = "ids with a channel"
REGION = [
    (IDS, SOFTMAX),
    (IDS, {**SOFTMAX, "include_background": False, "reduction": "sum"}),
    ("one-hot", {"sigmoid": True, "smooth_nr": 0.3, "smooth_dr": 0.7}),
]
POOLED = [*REGION, (IDS, {**SOFTMAX, "batch": True})]
VOID = ("void ids with a channel", {**SOFTMAX, "ignore_index": 255})

#: By loss, the form of the batch and the options.
CASES = {
    "DiceLoss": [
        *POOLED,
        VOID,
        ("soft", {"softmax": True, "soft_label": True}),
        ("one-hot", {"sigmoid": True, "jaccard": True, "smooth_nr": 1.0}),
        (IDS, {**SOFTMAX, "squared_pred": True}),
        (IDS, {**SOFTMAX, "weight": 3.0}),
        ("probabilities one-hot", {}),
    ],
    "TverskyLoss": [*POOLED, VOID, (IDS, {**SOFTMAX, "alpha": 0.9, "beta": 0.2})],
    "GeneralizedDiceLoss": [
        *POOLED,
        (IDS, {**SOFTMAX, "w_type": "simple", "batch": True}),
        (IDS, {**SOFTMAX, "w_type": "uniform"}),
    ],
    "FocalLoss": [
        (IDS, {"to_onehot_y": True, "alpha": 0.2}),
        (IDS, {"to_onehot_y": True, "alpha": 0.2, "gamma": 1.5, "use_softmax": True}),
        ("one-hot", {"gamma": 0.5}),
    ],
    "MCCLoss": POOLED,
    "BoundaryLoss": [(IDS, SOFTMAX), ("one-hot", {"sigmoid": True, "reduction": "sum"})],
    "HausdorffDTLoss": [(IDS, SOFTMAX), (IDS, {**SOFTMAX, "alpha": 1.0, "reduction": "sum"})],
    "LogHausdorffDTLoss": [(IDS, SOFTMAX), ("one-hot", {"sigmoid": True, "include_background": True})],
    "SoftclDiceLoss": REGION,
    "SoftDiceclDiceLoss": [*REGION, (IDS, {**SOFTMAX, "iter_": 1, "alpha": 0.2})],
}
#: MONAI computes these in float32 whatever it is given.
SINGLE = {"FocalLoss", "GeneralizedDiceLoss", "BoundaryLoss", "HausdorffDTLoss", "LogHausdorffDTLoss"}
PRESETS = presets_of("monai_1_6")


@pytest.mark.parametrize(("name", "form", "options"), [(name, *case) for name in CASES for case in CASES[name]])
@given(data=st.data())
def test_value_and_gradient(name, form, options, data):
    input, target = of_form(form, *drawn_batch(data))
    expected = torch_value_and_gradient(getattr(monai_losses, name)(**options), input, target)
    single = name in SINGLE or "squared_pred" in options
    assert_same(PRESETS[name].function, options, input, target, expected, rtol=2e-6 if single else 1e-9)


@given(data=st.data())
def test_masked_dice(data):
    logits, ids = drawn_batch(data)
    input, target = of_form("one-hot", logits, ids)
    mask = ids[:, None] > 0
    import torch

    peer = monai_losses.MaskedDiceLoss(softmax=True)
    expected = torch_value_and_gradient(lambda x, t: peer(x, t, torch.tensor(mask)), input, target)
    options = {"softmax": True, "mask": mask}
    assert_same(PRESETS["MaskedDiceLoss"].function, options, input, target, expected)


@pytest.mark.parametrize("weighting", ["default", "GDL"])
@given(data=st.data())
def test_generalized_wasserstein(weighting, data):
    import numpy as np

    logits, ids = drawn_batch(data)
    classes = logits.shape[1]
    costs = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))).astype(np.float64)
    peer = monai_losses.GeneralizedWassersteinDiceLoss(dist_matrix=costs, weighting_mode=weighting)
    expected = torch_value_and_gradient(peer, logits, ids)
    options = {"dist_matrix": costs.tolist(), "weighting_mode": weighting}
    assert_same(PRESETS["GeneralizedWassersteinDiceLoss"].function, options, logits, ids, expected, rtol=2e-6)
