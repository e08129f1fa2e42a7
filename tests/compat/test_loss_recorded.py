"""The presets give the numbers recorded of the peers, on every backend that a preset is called with, with gradients."""

import inspect
import pickle
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from compat.reference import of_form, reference_batch

import arrayseg
from arrayseg import compat, losses
from arrayseg.compat._preset import PRESETS, snake_case
from arrayseg.testing import assert_gradient, to_numpy

LOSSES = [preset for preset in PRESETS if preset.setting is not None]
RECORDS = [
    pytest.param(preset, record, id=f"{preset.module}.{preset.name}-{number}")
    for preset in LOSSES
    for number, record in enumerate(preset.records)
]

IDS = {"softmax": True, "to_onehot_y": True}
PROBABILITIES = "channels-last probabilities"
#: Numbers of reference runs of the peers, apart from the registry: to as many digits as they were written down.
MEASURED = [
    ("monai_1_6.dice_loss", "ids with a channel", IDS, 0.757078),
    ("monai_1_6.dice_loss", "ids with a channel", {**IDS, "batch": True}, 0.755556),
    ("monai_1_6.dice_loss", "ids with a channel", {**IDS, "squared_pred": True}, 0.649165),
    ("monai_1_6.generalized_dice_loss", "ids with a channel", IDS, 0.754275),
    ("monai_1_6.generalized_dice_loss", "ids with a channel", {**IDS, "batch": True}, 0.755240),
    ("monai_1_6.focal_loss", "ids with a channel", {"to_onehot_y": True}, 0.363578),
    ("monai_1_6.focal_loss", "ids with a channel", {"to_onehot_y": True, "use_softmax": True}, 0.31311),
    (
        "monai_1_6.focal_loss",
        "void ids with a channel",
        {"to_onehot_y": True, "use_softmax": True, "ignore_index": 255},
        1.2181,
    ),
    ("smp_0_6.dice_loss", "ids", {"mode": "multiclass"}, 0.755556),
    ("smp_0_6.dice_loss", "ids", {"mode": "multiclass", "class_weights": (1.0, 2.0, 3.0, 4.0)}, 0.7613),
    ("smp_0_6.focal_loss", "ids", {"mode": "multiclass"}, 0.363578),
    ("smp_0_6.soft_cross_entropy_loss", "half void ids", {"ignore_index": 255}, 0.8408),
    ("smp_0_6.soft_cross_entropy_loss", "ids", {"smooth_factor": 0.1}, 1.73221),
    ("kornia_0_9.dice_loss", "ids", {}, 0.755044),
    ("kornia_0_9.dice_loss", "ids", {"average": "macro"}, 0.757078),
    ("kornia_0_9.tversky_loss", "ids", {"alpha": 0.3, "beta": 0.7}, 0.75535),
    ("kornia_0_9.tversky_loss", "ids", {"alpha": 0.7, "beta": 0.3}, 0.75760),
    ("kornia_0_9.lovasz_softmax_loss", "ids", {}, 0.76902),
    ("mmseg_1_2.dice_loss", "ids", {}, 0.540392),
    ("mmseg_1_2.dice_loss", "ids", {"use_sigmoid": False}, 0.646886),
    ("mmseg_1_2.dice_loss", "ids", {"use_sigmoid": False, "naive_dice": True}, 0.755038),
    ("mmseg_1_2.dice_loss", "void ids", {"use_sigmoid": False}, 0.6592),
    ("mmseg_1_2.cross_entropy_loss", "void ids", {"ignore_index": 255}, 1.2715),
    ("mmseg_1_2.cross_entropy_loss", "void ids", {"ignore_index": 255, "avg_non_ignore": True}, 1.6953),
    ("mmseg_1_2.cross_entropy_loss", "ids", {"class_weight": (1.0, 2.0, 3.0, 4.0)}, 1.7333),
    ("nnunet_2.soft_dice_loss", "ids", {"apply_nonlin": "softmax"}, 0.733973 - 1),
    (
        "nnunet_2.memory_efficient_soft_dice_loss",
        "ids",
        {"apply_nonlin": "softmax", "batch_dice": True, "do_bg": False, "smooth": 1e-5},
        0.756822 - 1,
    ),
    ("jdt.jdt_loss", "ids", {"alpha": 0.5, "beta": 0.5}, 0.755533),
    ("torch.cross_entropy", "ids", {"weight": (1.0, 2.0, 3.0, 4.0)}, 1.7333),
    ("torch.cross_entropy", "one-hot", {"weight": (1.0, 2.0, 3.0, 4.0)}, 4.1436),
    ("torch.cross_entropy", "ids", {"weight": (1.0, 2.0, 3.0, 4.0), "label_smoothing": 0.1}, 1.7403),
    ("torch.cross_entropy", "one-hot", {"weight": (1.0, 2.0, 3.0, 4.0), "label_smoothing": 0.1}, 4.1604),
    ("smp_0_6.dice_loss", "ids without class 3", {"mode": "multiclass"}, 0.5406),
    ("jdt.jdt_loss", "ids without class 3", {"alpha": 0.5, "beta": 0.5}, 0.7208),
    ("kornia_0_9.dice_loss", "ids without class 3", {"average": "macro"}, 0.7226),
    ("monai_1_6.dice_loss", "ids without class 3 with a channel", {**IDS, "batch": True}, 0.7906),
    ("paddleseg.multi_class_focal_loss", "ids", {}, 1.25244),
]


def small_batch():
    generator = np.random.default_rng(0)
    return generator.normal(size=(2, 3, 4, 5)), generator.integers(0, 3, (2, 4, 5))


@pytest.fixture(scope="module")
def batch():
    pytest.importorskip("torch")
    return reference_batch()


@pytest.mark.compat
@pytest.mark.parametrize(("preset", "record"), RECORDS)
def test_number_of_the_registry(batch, preset, record):
    input, target = of_form(record.batch, *batch)
    assert float(preset.function(input, target, **record.options)) == pytest.approx(record.number, rel=0, abs=6e-7)


@pytest.mark.compat
@pytest.mark.parametrize(("name", "form", "options", "number"), MEASURED)
def test_number_of_the_peer(batch, name, form, options, number):
    module, _, function = name.partition(".")
    input, target = of_form(form, *batch)
    value = float(getattr(getattr(compat, module), function)(input, target, **options))
    digits = len(repr(number).partition(".")[2]) if "e" not in repr(number) else 6
    assert value == pytest.approx(number, rel=0, abs=1.1 * 10.0 ** -min(digits, 6))


@pytest.mark.compat
@pytest.mark.parametrize(("preset", "record"), RECORDS)
def test_gradient(preset, record):
    generator = np.random.default_rng(3)
    logits, ids = generator.normal(size=(2, 4, 2, 3)), generator.integers(0, 4, (2, 2, 3))
    ids.reshape(2, -1)[:, :4] = np.arange(4)  # no class is absent
    input, target = of_form(record.batch, logits, ids)
    options = {**record.options, **({"reduction": "mean"} if record.options.get("reduction") == "none" else {})}
    if "reduction" not in options and preset.peer in {
        "torchvision.ops.sigmoid_focal_loss",
        "kornia.losses.focal_loss",
        "kornia.losses.binary_focal_loss_with_logits",
    }:
        options["reduction"] = "mean"
    assert_gradient(preset.function, input, target, **options)


def test_every_preset_has_the_peers_name_in_snake_case():
    wrong = [preset for preset in LOSSES if snake_case(preset.peer.rpartition(".")[2]) != preset.name]
    assert not wrong


def test_every_preset_is_public_in_its_module():
    for preset in LOSSES:
        module = getattr(compat, preset.module)
        assert preset.name in module.__all__
        assert getattr(module, preset.name) is preset.function


def test_every_preset_has_its_rows_in_the_docs():
    path = Path(__file__).parents[2] / "docs" / "compat_tables.py"
    spec = spec_from_file_location("compat_tables", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    tables = module.loss_tables()
    for preset in LOSSES:
        assert f"### `compat.{preset.module}`" in tables
        for record in preset.records:
            assert f"| {record.number:.6f} |" in tables


def test_every_preset_is_documented():
    for preset in LOSSES:
        assert preset.peer in preset.function.__doc__
        assert preset.records or preset.note


@pytest.mark.parametrize(("module", "number"), [("keras_3_15", 0.31818), ("keras_3_16", 0.60526)])
def test_side_of_alpha_in_keras(module, number):
    """Three hits, a miss and five false alarms, alpha 0.9 and beta 0.1."""
    prediction = np.array([1.0, 1, 1, 0, 1, 1, 1, 1, 1]).reshape(1, 3, 3, 1)
    target = np.array([1.0, 1, 1, 1, 0, 0, 0, 0, 0]).reshape(1, 3, 3, 1)
    value = getattr(compat, module).tversky(prediction, target, alpha=0.9, beta=0.1)
    assert value == pytest.approx(number, abs=5e-6)


def test_partial_and_options_of_our_own():
    logits, ids = np.random.default_rng(0).normal(size=(2, 3, 4, 5)), np.ones((2, 4, 5), dtype=int)
    loss = partial(compat.monai_1_6.dice_loss, softmax=True, to_onehot_y=True)
    value, gradient = arrayseg.value_and_grad(loss)(logits, ids)
    last, gradient_last = arrayseg.value_and_grad(loss)(np.moveaxis(logits, 1, -1), ids, class_axis=-1)
    assert last == pytest.approx(float(value), rel=1e-12)
    np.testing.assert_allclose(np.moveaxis(gradient_last, -1, 1), gradient, rtol=1e-9, atol=1e-14)
    with pytest.raises(TypeError, match="did you mean `mask`"):
        loss(logits, ids, masks=ids > 0)


@pytest.mark.parametrize(
    ("preset", "options", "own"),
    [
        (compat.monai_1_6.dice_loss, {"foo": 1}, "include_background"),
        (compat.monai_1_6.dice_loss, {"activation": "sigmoid"}, "include_background"),
        (compat.monai_1_6.masked_dice_loss, {"foo": 1}, "include_background"),
        (compat.monai_1_6.dice_ce_loss, {"foo": 1}, "lambda_ce"),
        (compat.torch.cross_entropy, {"foo": 1}, "label_smoothing"),
        (compat.seglossodyssey.soft_dice_loss, {"foo": 1}, "batch_dice"),
    ],
)
def test_unknown_option_is_told_under_the_name_of_the_preset(preset, options, own):
    logits, ids = small_batch()
    with pytest.raises(TypeError, match=f"^{preset.__name__} has no option `{min(options)}`; .*{own}"):
        preset(logits, ids, **options)


def test_presets_pickle_and_return_arrays():
    for preset in PRESETS:
        assert pickle.loads(pickle.dumps(preset.function)) is preset.function
    for preset in LOSSES:
        assert inspect.signature(preset.function).return_annotation == "Array"


@pytest.mark.parametrize("preset", LOSSES, ids=lambda preset: f"{preset.module}.{preset.name}")
def test_preset_prints_by_its_name_in_a_compound(preset):
    loss = losses.compound({preset.function: 1.0, partial(preset.function, reduction="sum"): 2.0})
    assert repr(loss) == f"compound({{{preset.name}: 1.0, partial({preset.name}, reduction='sum'): 2.0}})"


@pytest.mark.parametrize("channels", [1, 2])
def test_compound_of_a_preset_prints_without_addresses(channels):
    input = np.full((1, channels, 2, 2), 0.5)
    call = compat.monai_1_6.asymmetric_unified_focal_loss.setting(input, np.ones((1, 1, 2, 2), int), to_onehot_y=True)
    text = repr(call.func)
    assert text.startswith("compound(")
    assert " at 0x" not in text


def test_float_ids_and_numpy_numbers(library):
    logits, ids = small_batch()
    options = {"softmax": True, "to_onehot_y": True}
    expected = float(compat.monai_1_6.dice_loss(logits, ids, weight=2.0, **options))
    floats = library.asarray(ids[:, None].astype(np.float32))
    value = compat.monai_1_6.dice_loss(library.asarray(logits), floats, weight=np.float32(2.0), **options)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="whole numbers"):
        compat.monai_1_6.dice_loss(library.asarray(logits), floats + 0.5, **options)


def test_smp_mcc_of_a_perfect_map_of_one_class():
    """Each cell of 40 pixels has 1e-5 more: 40 e / sqrt((40 + 2 e)^2 (2 e)^2) is one half."""
    ones = np.ones((2, 1, 4, 5))
    assert float(compat.smp_0_6.mcc_loss(ones, ones)) == pytest.approx(0.500000249999875, abs=1e-9)


def test_preset_on_other_libraries(library):
    """A sum with a constant, value and gradient, as on NumPy."""
    logits, ids = small_batch()
    preset = compat.nnunet_2.dc_and_ce_loss
    options = {"soft_dice_kwargs": {"batch_dice": True, "do_bg": False}}
    expected, expected_gradient = arrayseg.value_and_grad(preset)(logits, ids, **options)
    value, gradient = arrayseg.value_and_grad(preset)(library.asarray(logits), library.asarray(ids), **options)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    assert float(preset(library.asarray(logits), library.asarray(ids), **options)) == pytest.approx(float(expected))
    np.testing.assert_allclose(to_numpy(gradient), expected_gradient, rtol=1e-11, atol=1e-14)


COMPILED = [
    (compat.nnunet_2.dc_and_ce_loss, {}),
    (compat.torch.cross_entropy, {"label_smoothing": 0.1}),
    (compat.kornia_0_9.focal_loss, {"alpha": 0.25, "reduction": "mean"}),
]


@pytest.mark.compile
@pytest.mark.parametrize(("preset", "options"), COMPILED)
def test_compiled_by_torch(preset, options):
    torch = pytest.importorskip("torch")
    logits, ids = small_batch()
    compiled = torch.compile(lambda x, t: preset(x, t, **options), fullgraph=True, backend="aot_eager")
    input = torch.tensor(logits, requires_grad=True)
    value = compiled(input, torch.tensor(ids))
    (gradient,) = torch.autograd.grad(value, input)
    expected, expected_gradient = arrayseg.value_and_grad(preset)(logits, ids, **options)
    assert value.item() == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(gradient.numpy(), expected_gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.compile
@pytest.mark.parametrize(("preset", "options"), COMPILED)
def test_compiled_by_jax(preset, options):
    jax = pytest.importorskip("jax")
    logits, ids = small_batch()
    value = jax.jit(lambda x, t: preset(x, t, **options))(jax.numpy.asarray(logits), jax.numpy.asarray(ids))
    assert float(value) == pytest.approx(float(preset(logits, ids, **options)), rel=1e-12)
