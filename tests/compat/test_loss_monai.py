"""The presets of MONAI against MONAI."""

import numpy as np
import pytest
from compat.forms import of_form
from compat.reference import assert_same, drawn_batch, presets_of, torch_value_and_gradient
from hypothesis import assume, given, strategies as st

torch = pytest.importorskip("torch")
monai_losses = pytest.importorskip("monai.losses")

pytestmark = [pytest.mark.compat, pytest.mark.filterwarnings("ignore:single channel prediction")]

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
        (IDS, {"to_onehot_y": True, "reduction": "sum"}),
        ("void ids with a channel", {"to_onehot_y": True, "reduction": "sum", "ignore_index": 255}),
        (IDS, {"to_onehot_y": True, "alpha": 0.2}),
        (IDS, {"to_onehot_y": True, "alpha": 0.2, "gamma": 1.5, "use_softmax": True}),
        ("one-hot", {"gamma": 0.5, "include_background": False}),
        ("void ids with a channel", {"to_onehot_y": True, "ignore_index": 255}),
        ("void ids with a channel", {"to_onehot_y": True, "use_softmax": True, "ignore_index": 255}),
    ],
    "DiceCELoss": [
        (IDS, {**SOFTMAX, "label_smoothing": 0.1, "lambda_dice": 0.3}),
        (IDS, {**SOFTMAX, "include_background": False, "reduction": "sum", "batch": True}),
        ("one-hot", {"sigmoid": True, "lambda_ce": 2.0}),
        ("binary", {"sigmoid": True}),
    ],
    "DiceFocalLoss": [
        (IDS, {**SOFTMAX, "reduction": "sum", "lambda_focal": 0.3}),
        (IDS, {**SOFTMAX, "lambda_focal": 0.5, "gamma": 1.5, "alpha": 0.3}),
        (IDS, {**SOFTMAX, "include_background": False}),
    ],
    "GeneralizedDiceFocalLoss": [
        (IDS, SOFTMAX),
        (IDS, {**SOFTMAX, "reduction": "sum", "batch": True}),
        (IDS, {**SOFTMAX, "include_background": False, "w_type": "simple"}),
    ],
    "AsymmetricUnifiedFocalLoss": [
        ("two probabilities with a channel", {"to_onehot_y": True}),
        ("two probabilities with a channel", {"to_onehot_y": True, "weight": 0.2, "gamma": 0.3, "delta": 0.6}),
        ("two probabilities with a channel", {"to_onehot_y": True, "ignore_index": 0, "reduction": "sum"}),
        ("binary probabilities", {"gamma": 0.3, "delta": 0.6}),
        ("binary probabilities", {"ignore_index": 0}),
    ],
    "MCCLoss": POOLED,
    "BoundaryLoss": [(IDS, SOFTMAX), ("one-hot", {"sigmoid": True, "reduction": "sum", "batch": True})],
    "HausdorffDTLoss": [
        (IDS, {**SOFTMAX, "batch": True, "reduction": "sum"}),
        (IDS, SOFTMAX),
        (IDS, {**SOFTMAX, "alpha": 1.0, "reduction": "sum"}),
    ],
    "LogHausdorffDTLoss": [(IDS, SOFTMAX), ("one-hot", {"sigmoid": True, "include_background": True})],
    "SoftclDiceLoss": REGION,
    "SoftDiceclDiceLoss": [*REGION, (IDS, {**SOFTMAX, "iter_": 1, "alpha": 0.2})],
}
#: MONAI computes these in float32 whatever it is given.
SINGLE = {
    "BoundaryLoss",
    "DiceFocalLoss",
    "FocalLoss",
    "GeneralizedDiceFocalLoss",
    "GeneralizedDiceLoss",
    "HausdorffDTLoss",
    "LogHausdorffDTLoss",
}
PRESETS = presets_of("monai_1_6")


@pytest.mark.parametrize(("name", "form", "options"), [(name, *case) for name in CASES for case in CASES[name]])
@given(data=st.data())
def test_value_and_gradient(name, form, options, data):
    logits, ids = drawn_batch(data)
    if name == "AsymmetricUnifiedFocalLoss":  # which bounds probabilities, those of ignored pixels too, by 1e-7
        logits = np.clip(logits, -6, 6)
        assume("ignore_index" not in options or np.all(np.any(ids == 1, axis=(1, 2))))
    input, target = of_form(form, logits, ids)
    expected = torch_value_and_gradient(getattr(monai_losses, name)(**options), input, target)
    single = name in SINGLE or "squared_pred" in options or "ignore_index" in options
    assert_same(PRESETS[name], options, input, target, expected, rtol=2e-6 if single else 1e-9)


@pytest.mark.parametrize("name", ["DiceLoss", "DiceCELoss", "DiceFocalLoss", "FocalLoss"])
@pytest.mark.parametrize("include_background", [True, False])
@given(data=st.data())
def test_class_weights(name, include_background, data):
    input, target = of_form(IDS, *drawn_batch(data))
    assume(include_background or input.shape[1] > 2)  # MONAI has no weight for a single class
    shorter = not include_background and name != "DiceCELoss"
    weight = np.linspace(0.5, 2, input.shape[1] - shorter).tolist()
    options = {"to_onehot_y": True, "include_background": include_background, "weight": weight}
    if name != "FocalLoss":
        options["softmax"] = True
    peer_options = {**options, "weight": torch.tensor(weight, dtype=torch.float64)}
    expected = torch_value_and_gradient(getattr(monai_losses, name)(**peer_options), input, target)
    assert_same(PRESETS[name], options, input, target, expected, rtol=2e-6)


@given(data=st.data())
def test_masked_dice(data):
    logits, ids = drawn_batch(data)
    input, target = of_form("one-hot", logits, ids)
    mask = ids[:, None] > 0
    peer = monai_losses.MaskedDiceLoss(softmax=True)
    expected = torch_value_and_gradient(lambda x, t: peer(x, t, torch.tensor(mask)), input, target)
    options = {"softmax": True, "mask": mask}
    assert_same(PRESETS["MaskedDiceLoss"], options, input, target, expected)


@pytest.mark.parametrize("options", [{}, {"jaccard": True}, {"batch": True, "include_background": False}])
@pytest.mark.parametrize("dtype", [np.int64, np.float32])
@given(data=st.data())
def test_masked_dice_of_ids(options, dtype, data):
    """MONAI masks ids before they are one-hot: what the mask leaves out is class 0 in the target."""
    logits, ids = drawn_batch(data)
    mask = np.random.default_rng(5).random(ids.shape)[:, None] < 0.6
    options = {"softmax": True, "to_onehot_y": True, **options}
    input, target = logits, ids[:, None].astype(dtype)
    peer = monai_losses.MaskedDiceLoss(**options)
    expected = torch_value_and_gradient(lambda x, t: peer(x, t, torch.tensor(mask)), input, target)
    for given_mask in (mask, mask.astype(np.float32)):
        assert_same(PRESETS["MaskedDiceLoss"], {**options, "mask": given_mask}, input, target, expected)


CORNERS = np.array([[[[1.0, -1.0], [-1.0, 1.0]]]])
SLOPES = np.array([[[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
HARD = np.array([[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])


@pytest.mark.parametrize(
    ("input", "target", "mask", "options", "number"),
    [
        (
            CORNERS,
            [[[[1.0, 0.0], [1.0, 1.0]]]],
            [[[[0.0, 0.0], [1.0, 1.0]]]],
            {"sigmoid": True, "smooth": 1e-6},
            0.333333,
        ),
        (
            np.concatenate([CORNERS, CORNERS]),
            [[[[1.0, 1.0], [1.0, 1.0]]], [[[1.0, 0.0], [1.0, 0.0]]]],
            [[[[1.0, 1.0], [1.0, 1.0]]], [[[1.0, 1.0], [0.0, 0.0]]]],
            {"sigmoid": True, "smooth": 1e-4},
            0.301128,
        ),
        (
            HARD,
            [[[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]],
            [[[1.0, 1.0, 1.0]], [[0.0, 1.0, 0.0]]],
            {"include_background": False, "to_onehot_y": True, "smooth": 0.0},
            0.0,
        ),
        (
            SLOPES,
            [[[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]],
            [[[1.0, 1.0, 0.0]]],
            {"to_onehot_y": True, "sigmoid": True, "smooth": 1e-4},
            0.579185,
        ),
    ],
)
def test_masked_dice_of_published_examples(input, target, mask, options, number):
    """The inputs are those of MONAI's own tests, whose numbers are older than its masking of probabilities."""
    options = dict(options)
    smooth = options.pop("smooth")
    options |= {"smooth_nr": smooth, "smooth_dr": smooth}
    value = PRESETS["MaskedDiceLoss"](input, np.array(target), mask=np.array(mask), **options)
    peer = monai_losses.MaskedDiceLoss(**options)
    expected = peer(torch.tensor(input), torch.tensor(target, dtype=torch.float64), torch.tensor(mask))
    assert float(expected) == pytest.approx(number, abs=6e-7)
    assert float(value) == pytest.approx(float(expected), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "form", "options"),
    [
        ("FocalLoss", IDS, {"to_onehot_y": True, "alpha": 0.3}),
        ("FocalLoss", "void ids with a channel", {"to_onehot_y": True, "use_softmax": True, "ignore_index": 255}),
        ("DiceFocalLoss", IDS, SOFTMAX),
        ("DiceFocalLoss", IDS, {**SOFTMAX, "batch": True, "lambda_focal": 0.3}),
        ("GeneralizedDiceFocalLoss", IDS, SOFTMAX),
        ("AsymmetricUnifiedFocalLoss", "two probabilities with a channel", {"to_onehot_y": True}),
        ("BoundaryLoss", IDS, {**SOFTMAX, "batch": True}),
        ("HausdorffDTLoss", IDS, {**SOFTMAX, "batch": True}),
        ("LogHausdorffDTLoss", IDS, {**SOFTMAX, "batch": True}),
    ],
)
@given(data=st.data())
def test_without_a_reduction(name, form, options, data):
    """The values are MONAI's; axes of length one are left out."""
    input, target = of_form(form, *drawn_batch(data))
    options = {**options, "reduction": "none"}
    expected = getattr(monai_losses, name)(**options)(torch.tensor(input), torch.tensor(target)).numpy()
    found = PRESETS[name](input, target, **options)
    np.testing.assert_allclose(np.ravel(found), np.ravel(expected), rtol=3e-6, atol=3e-6)


@given(data=st.data())
def test_one_channel_takes_no_notice_of_options_for_several(data):
    input, target = of_form("binary floats", *drawn_batch(data))
    options = {"sigmoid": True, "to_onehot_y": True, "include_background": False, "weight": 3.0, "ignore_index": 0}
    expected = torch_value_and_gradient(monai_losses.DiceLoss(**options), input, target)
    assert_same(PRESETS["DiceLoss"], options, input, target, expected)


@pytest.mark.parametrize("weighting", ["default", "GDL"])
@given(data=st.data())
def test_generalized_wasserstein(weighting, data):
    logits, ids = drawn_batch(data)
    classes = logits.shape[1]
    costs = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))).astype(np.float64)
    peer = monai_losses.GeneralizedWassersteinDiceLoss(dist_matrix=costs, weighting_mode=weighting)
    expected = torch_value_and_gradient(peer, logits, ids)
    options = {"dist_matrix": costs.tolist(), "weighting_mode": weighting}
    assert_same(PRESETS["GeneralizedWassersteinDiceLoss"], options, logits, ids, expected, rtol=2e-6)
