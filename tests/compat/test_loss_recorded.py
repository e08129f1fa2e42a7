"""Loss presets give the recorded numbers of their peers, with gradients, and describe themselves."""

import inspect
import pickle
import pydoc
import re
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from compat.forms import of_form, reference_batch
from compat.recorded import RECORDS

import arrayseg
from arrayseg import compat, losses
from arrayseg.compat._preset import LossPreset, snake_case
from arrayseg.compat._registry import presets_by_module
from arrayseg.testing import assert_gradient, to_numpy

PRESETS = [(module, preset) for module, presets in presets_by_module().items() for preset in presets]
LOSSES = [
    pytest.param(module, preset, id=f"{module}.{preset.__name__}")
    for module, preset in PRESETS
    if isinstance(preset, LossPreset)
]
EACH_RECORD = pytest.mark.parametrize(
    "record", [pytest.param(each, id=f"{each.module}.{each.name}-{number}") for number, each in enumerate(RECORDS)]
)
EACH_LOSS = pytest.mark.parametrize(("module", "preset"), LOSSES)


def small_batch():
    generator = np.random.default_rng(0)
    return generator.normal(size=(2, 3, 4, 5)), generator.integers(0, 3, (2, 4, 5))


@pytest.fixture(scope="module")
def batch():
    pytest.importorskip("torch")
    return reference_batch()


@pytest.mark.compat
@EACH_RECORD
def test_recorded_number(batch, record):
    input, target = of_form(record.batch, *batch)
    value = float(record.preset(input, target, **record.options))
    assert value == pytest.approx(record.number, rel=0, abs=record.within)


@pytest.mark.compat
@EACH_RECORD
def test_gradient(record):
    generator = np.random.default_rng(3)
    logits, ids = generator.normal(size=(2, 4, 2, 3)), generator.integers(0, 4, (2, 2, 3))
    ids.reshape(2, -1)[:, :4] = np.arange(4)  # no class is absent
    input, target = of_form(record.batch, logits, ids)
    options = {**record.options, **({"reduction": "mean"} if record.options.get("reduction") == "none" else {})}
    if "reduction" not in options and record.preset.peer in {
        "torchvision.ops.sigmoid_focal_loss",
        "kornia.losses.focal_loss",
        "kornia.losses.binary_focal_loss_with_logits",
    }:
        options["reduction"] = "mean"
    assert_gradient(record.preset, input, target, **options)


@pytest.mark.parametrize("module", compat.__all__)
def test_module_names_its_release(module):
    release = getattr(compat, module).__doc__.partition(":")[0]
    assert re.search(r" [0-9]+(\.[0-9]+)*$| \(commit [0-9a-f]{7,}\)$", release)


def test_each_call_is_recorded_once():
    calls = [(each.module, each.name, each.batch, repr(each.options)) for each in RECORDS]
    assert len(calls) == len(set(calls))


@EACH_LOSS
def test_preset_has_the_peers_name_in_snake_case(module, preset):
    assert snake_case(preset.peer.rpartition(".")[2]) == preset.__name__


@EACH_LOSS
def test_preset_is_public_in_its_module(module, preset):
    assert preset.__name__ in getattr(compat, module).__all__
    assert getattr(getattr(compat, module), preset.__name__) is preset


@EACH_LOSS
def test_preset_has_a_record_or_a_note(module, preset):
    assert preset.note or any((each.module, each.name) == (module, preset.__name__) for each in RECORDS)


@EACH_LOSS
def test_docstring_lists_what_each_option_sets(module, preset):
    assert preset.peer in preset.__doc__
    for name, parameter in inspect.signature(preset).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert re.search(rf"^{name} : .*\n    (Sets|Has|Only|Options)", preset.__doc__, re.MULTILINE)


@pytest.mark.parametrize(
    ("preset", "option", "sentence"),
    [
        (compat.monai_1_6.dice_loss, "batch", "Sets ``pool``."),
        (compat.monai_1_6.dice_loss, "jaccard", "Sets the loss: `jaccard` instead of `dice`."),
        (compat.monai_1_6.dice_loss, "to_onehot_y", "Has no counterpart among our options."),
        (compat.monai_1_6.masked_dice_loss, "squared_pred", "Sets ``soft_tp``."),
        (compat.monai_1_6.dice_ce_loss, "lambda_ce", "Sets the weight of `cross_entropy`."),
        (compat.keras_3_16.tversky, "alpha", "Sets ``alpha``."),
        (compat.keras_3_15.tversky, "alpha", "Sets ``beta``."),
        (compat.smp_0_6.dice_loss, "eps", "Sets ``floor``."),
        (compat.smp_0_6.mcc_loss, "eps", "Has no counterpart among our options."),
        (compat.kornia_0_9.tversky_loss, "alpha", "Sets ``alpha``."),
        (compat.seglossodyssey.bd_loss, "bound", "Sets ``field``."),
        (compat.keras_3_16.binary_focal_crossentropy, "from_logits", "Only the default is supported."),
        (compat.nnunet_2.dc_and_ce_loss, "soft_dice_kwargs", "Options of a part, by the peer's names."),
    ],
)
def test_what_an_option_sets(preset, option, sentence):
    assert re.search(rf"^{option} : .*\n    (.*)$", preset.__doc__, re.MULTILINE)[1] == sentence


def test_docstring_names_options_that_the_peer_lacks():
    lacking = compat.monai_1_6.dice_loss.__doc__.partition("**options\n")[2].partition("\n\n")[0]
    assert "``class_axis``" in lacking
    assert "``pixel_weights``" in lacking
    assert "``ignore_index``" not in lacking  # MONAI's own


def test_every_preset_has_its_rows_in_the_docs():
    path = Path(__file__).parents[2] / "docs" / "compat_tables.py"
    spec = spec_from_file_location("compat_tables", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    tables = module.loss_tables()
    for record in RECORDS:
        assert f"### `compat.{record.module}`" in tables
        assert re.search(rf"\| {record.number}0* \|", tables)


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
def test_unknown_option_is_reported_under_the_name_of_the_preset(preset, options, own):
    logits, ids = small_batch()
    with pytest.raises(TypeError, match=f"^{preset.__name__} has no option `{min(options)}`; .*{own}"):
        preset(logits, ids, **options)


def test_presets_pickle_and_return_arrays():
    for _, preset in PRESETS:
        assert pickle.loads(pickle.dumps(preset)) is preset
        if isinstance(preset, LossPreset):
            assert inspect.signature(preset).return_annotation == "Array"


def test_help_shows_the_options_of_the_peer():
    text = pydoc.render_doc(compat.monai_1_6.dice_loss, renderer=pydoc.plaintext)
    assert "dice_loss = <preset dice_loss of monai.losses.DiceLoss>" in text
    assert "include_background : bool, default True" in text
    assert "smooth_dr : float, default 1e-05" in text


@EACH_LOSS
def test_preset_prints_by_its_name_in_a_compound(module, preset):
    loss = losses.compound({preset: 1.0, partial(preset, reduction="sum"): 2.0})
    name = preset.__name__
    assert repr(loss) == f"compound({{{name}: 1.0, partial({name}, reduction='sum'): 2.0}})"


@pytest.mark.parametrize("channels", [1, 2])
def test_compound_of_a_preset_prints_without_addresses(channels):
    input = np.full((1, channels, 2, 2), 0.5)
    call = compat.monai_1_6.asymmetric_unified_focal_loss.call(input, np.ones((1, 1, 2, 2), int), to_onehot_y=True)
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
