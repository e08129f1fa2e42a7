"""The inputs of losses: which targets, numbers and names they accept, and how they refuse others."""

import inspect
import re
import traceback
from functools import partial

import numpy as np
import pytest
from conftest import WRONG, is_taken
from scenes import one_hot, softmax
from tolerances import FLOAT64, SUMS

from arrayseg import losses, value_and_grad
from arrayseg.losses._option_names import INSTEAD, NAMES, PEERS, PRESETS
from arrayseg.testing import loss_cases, to_numpy

RANDOM = np.random.default_rng(0)
LOGITS, IDS = RANDOM.normal(size=(2, 4, 5, 6)), RANDOM.integers(0, 4, (2, 5, 6))
VOID = 2**64 - 3


def test_unsigned_void_labels_are_ignored(library):
    void = np.arange(60).reshape(2, 5, 6) % 7 == 0
    ids = library.asarray(np.where(void, np.uint64(VOID), IDS.astype(np.uint64)))
    logits = library.asarray(LOGITS)
    expected = losses.dice(LOGITS, IDS, mask=~void)
    assert abs(float(losses.dice(logits, ids, ignore_index=VOID)) - expected) < FLOAT64
    with pytest.raises(ValueError, match=f"got {VOID}"):
        losses.dice(logits, ids)


@pytest.mark.parametrize("unused", [-1, 255, VOID, np.int64(255)])
def test_an_unused_ignore_index_changes_nothing(library, unused):
    ids, logits = library.asarray(IDS.astype(np.uint8)), library.asarray(LOGITS)
    assert float(losses.cross_entropy(logits, ids, ignore_index=unused)) == float(losses.cross_entropy(logits, ids))


@pytest.mark.parametrize("target", [255.0 * (IDS[:, None] == np.arange(4)[:, None, None]), -0.5 + 0 * LOGITS])
def test_soft_targets_lie_in_0_to_1(library, target):
    for loss in (losses.dice, losses.cross_entropy, losses.focal):
        with pytest.raises(ValueError, match="must hold values from 0 to 1; got"):
            loss(library.asarray(LOGITS), library.asarray(target))


def test_soft_targets_may_round(library):
    target = library.asarray(np.full(LOGITS.shape, 1 + 1e-7))
    assert np.isfinite(float(losses.dice(library.asarray(LOGITS), target)))


@pytest.mark.parametrize("loss", [losses.dice, losses.cross_entropy, losses.focal, losses.lovasz_softmax])
def test_probabilities_lie_in_0_to_1(library, loss):
    logits, ids = library.asarray(LOGITS), library.asarray(IDS)
    for call in (loss, value_and_grad(loss)):
        with pytest.raises(ValueError, match=r"must hold probabilities, from 0 to 1; got .*activation='softmax'"):
            call(logits, ids, activation=None)
    assert np.isfinite(float(loss(library.asarray(np.full(LOGITS.shape, 1 + 1e-7)), ids, activation=None)))


@pytest.mark.parametrize("channels_last", [False, True])
def test_what_does_not_count_may_be_beyond_0_to_1(library, channels_last):
    probabilities = softmax(LOGITS)
    hot = one_hot(IDS, 4)
    void = np.arange(60).reshape(2, 5, 6) % 7 == 0
    expected = losses.dice(probabilities, IDS, activation=None, mask=~void)
    holes = np.where(void[:, None], -9999.0, probabilities), np.where(void[:, None], 255.0, hot)
    axis = -1 if channels_last else 1
    input, target = (library.asarray(np.moveaxis(array, 1, axis)) for array in holes)
    options = {"activation": None, "class_axis": axis}
    mask, ids = library.asarray(~void), library.asarray(np.where(void, 255, IDS))
    assert abs(float(losses.dice(input, ids, ignore_index=255, **options)) - expected) < FLOAT64
    assert abs(float(losses.dice(input, target, mask=mask, **options)) - expected) < FLOAT64
    with pytest.raises(ValueError, match="got -9999"):
        losses.dice(input, library.asarray(IDS), **options)


@pytest.mark.parametrize("kind", ["int64", "uint8", "bool"])
@pytest.mark.parametrize("options", [{"activation": "sigmoid"}, {}])
def test_a_mask_of_three_axes_needs_its_class_axis(library, kind, options):
    logits, mask = library.asarray(LOGITS[0]), library.asarray((IDS[:1] > 1).repeat(4, 0).astype(kind))
    with pytest.raises(ValueError, match="class_axis=None"):
        losses.dice(logits, mask, **options)
    one = losses.dice(logits, mask, activation="sigmoid", class_axis=None)
    channel = losses.dice(logits[:, None, ...], mask[:, None, ...], activation="sigmoid")
    assert float(one) == float(channel)
    assert float(losses.dice(logits, mask, activation="sigmoid", class_axis=1)) != float(one)


def test_a_mask_of_0_and_255_is_told_the_conversion(library):
    mask = library.asarray((IDS[:, None] > 1).astype(np.uint8) * 255)
    with pytest.raises(ValueError, match="`target > 0`") as caught:
        losses.binary_cross_entropy(library.asarray(LOGITS[:, :1]), mask)
    assert "ignore_index" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ignore_index": 1.5}, TypeError, "`ignore_index` must be a whole number"),
        ({"ignore_index": "255"}, TypeError, "`ignore_index` must be a whole number"),
        ({"class_axis": 1.0}, TypeError, "`class_axis` must be a whole number"),
        ({"class_axis": "1"}, TypeError, "`class_axis` must be a whole number"),
        ({"gamma": "2"}, TypeError, "`gamma` must be a number"),
        ({"class_weights": "1111"}, TypeError, "`class_weights` must be"),
        ({"weight": [1, 1, 1, 1]}, TypeError, "use `class_weights`"),
        ({"y_true": IDS}, TypeError, "use `target`"),
        ({"to_onehot_y": True}, TypeError, r"arrayseg\.compat\.monai_1_6\.focal_loss"),
        ({"from_logits": True}, TypeError, r"arrayseg\.compat\.keras_3_16\.categorical_focal_crossentropy"),
    ],
)
def test_options_that_are_not_of_the_loss(options, error, message):
    with pytest.raises(error, match=message):
        losses.focal(LOGITS, IDS, **options)


def test_positions_and_missing_arrays():
    with pytest.raises(TypeError, match="dice takes `input` and `target` by position; got 3"):
        losses.dice(LOGITS, IDS, 1.0)
    with pytest.raises(TypeError, match=r"`target` must be an array .* got None"):
        losses.dice(LOGITS, None)
    with pytest.raises(TypeError, match="Class ids belong in `target`"):
        losses.dice(IDS, LOGITS)
    with pytest.raises(ValueError, match=r"target\[:, 0, \.\.\.\]"):
        losses.dice(LOGITS, IDS[:, None])


def test_what_other_names_point_to_exists():
    from arrayseg import compat

    public = {name: getattr(losses, name) for name in losses.__all__}
    options = {name for loss in public.values() for name in inspect.signature(loss).parameters}
    assert {option for ways in NAMES.values() for option, _ in ways} <= options
    assert {name for way in INSTEAD.values() for name in re.findall(r"losses\.(\w+)", way)} <= public.keys()
    for module, presets in PRESETS.items():
        assert presets.keys() <= public.keys()
        assert all(hasattr(getattr(compat, module), preset) for preset in presets.values())
    assert set(PEERS.values()) <= PRESETS.keys()


def test_a_traceback_ends_at_the_public_function():
    with pytest.raises(ValueError, match="`gamma`") as caught:
        losses.focal(LOGITS, IDS, gamma=-1)
    assert len(traceback.extract_tb(caught.value.__traceback__)) == 2
    assert caught.value.__cause__ is None


def test_torch_subclasses_are_plain():
    torch = pytest.importorskip("torch")

    class Meta(torch.Tensor):
        pass

    logits = torch.tensor(LOGITS).as_subclass(Meta).requires_grad_()
    ids = torch.tensor(IDS).as_subclass(Meta)
    value = losses.dice(logits, ids)
    (gradient,) = torch.autograd.grad(value, logits)
    expected, expected_gradient = value_and_grad(losses.dice)(LOGITS, IDS)
    assert type(value) is torch.Tensor
    np.testing.assert_allclose(value.detach().numpy(), expected, rtol=SUMS)
    np.testing.assert_allclose(to_numpy(gradient.as_subclass(torch.Tensor)), expected_gradient, atol=1e-15)
    with pytest.raises(ValueError, match="got 13"):
        losses.dice(logits, ids + 10)


@pytest.mark.parametrize("case", [case for case in loss_cases() if "," not in case.name], ids=lambda case: case.name)
def test_the_error_of_a_single_channel_names_what_the_loss_takes(case):
    try:
        case.function(case.input[:, :1], np.zeros_like(case.target), **case.options)
    except ValueError as error:
        message = str(error)
    else:
        return  # a loss of independent classes
    if "activation" in case.function.__signature__.parameters:
        assert "activation='sigmoid'" in message or "`distances`" in message
    else:
        assert "no form for one binary channel" in message
        assert "activation" not in message


def test_two_channels_replace_a_single_one():
    """The channels that the error of a loss without sigmoid proposes."""
    logits, ids = np.asarray([[[2.0, -1.0, 0.5]]]), np.asarray([[1, 0, 0]])
    p = 1 / (1 + np.exp(-logits))
    both = np.concat([np.log(1 - p), np.log(p)], axis=1)
    expected = losses.binary_cross_entropy(logits, ids[:, None], class_axis=1)
    assert losses.nll(both, ids) == pytest.approx(expected, rel=SUMS)
    both = np.concat([np.zeros_like(logits), logits], axis=1)
    assert losses.cross_entropy(both, ids) == pytest.approx(expected, rel=SUMS)
    assert np.isfinite(losses.focal_cosine(both, ids))


@pytest.mark.parametrize("case", [case for case in loss_cases() if "," not in case.name], ids=lambda case: case.name)
def test_every_option_is_checked(case):
    for name in inspect.signature(case.function).parameters:
        for value in WRONG:
            given = {"input": case.input, "target": case.target, **case.options, name: value}
            arrays = given.pop("input"), given.pop("target")
            is_taken(partial(case.function, *arrays, **given))


@pytest.mark.parametrize("value", WRONG)
def test_every_option_of_functions_around_losses_is_checked(value):
    for call in (
        lambda: losses.one_hot(IDS, value),
        lambda: losses.one_hot(IDS, 4, class_axis=value),
        lambda: losses.one_hot(IDS, 4, ignore_index=value),
        lambda: losses.one_hot(IDS, 4, dtype=value),
        lambda: losses.compound({losses.dice: value}),
        lambda: losses.deep_supervision(losses.dice, value),
        lambda: losses.multi_scale(losses.dice, value),
    ):
        is_taken(call)


def test_numbers_that_are_too_large_or_arrays_are_taken_or_refused_by_name(library):
    logits, ids = library.asarray(LOGITS), library.asarray(IDS)
    assert float(losses.focal(logits, ids, gamma=1e30)) == 0  # no pixel is wrong for certain
    every = losses.lovasz_softmax(logits, ids, classes=(0, 1, 2, 3))
    assert float(losses.lovasz_softmax(logits, ids, classes=np.arange(4))) == float(every)
    for loss, options, sentence in (
        (losses.focal, {"gamma": np.inf}, "`gamma` must be at least 0; got inf"),
        (losses.hausdorff_erosion, {"alpha": 1e30}, "`alpha` must be .* 30; got 1e[+]30"),
        (
            losses.hausdorff_distance_transform,
            {"alpha": 1e30},
            "`alpha` must be .* 30; got 1e[+]30",
        ),
        (losses.dice, {"exclude_background": "no"}, "`exclude_background` must be True or False; got 'no'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            loss(logits, ids, **options)


@pytest.mark.parametrize("as_array", [True, False])
@pytest.mark.parametrize("name", ["class_weights", "alpha", "pos_weight"])
def test_weights_of_classes_are_not_negative(library, name, as_array):
    weights = library.asarray(np.asarray([1.0, 1, -0.5, 1])) if as_array else (1, 1, -0.5, 1)
    loss = losses.binary_cross_entropy if name == "pos_weight" else partial(losses.focal, activation="sigmoid")
    hot = library.asarray(one_hot(IDS, 4))
    for call in (loss, value_and_grad(loss)):
        with pytest.raises(ValueError, match=f"`{name}` must not be negative; got -0.5"):
            call(library.asarray(LOGITS), hot, **{name: weights})


#: A window needs pixels; points are of images and need pixels; costs are of as many classes.
NOT_EMPTY = {"region_mutual_information", "point_sampled_cross_entropy", "generalized_wasserstein_dice"}


@pytest.mark.parametrize("shape", [(0, 4, 5, 7), (2, 4, 0, 7)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
@pytest.mark.parametrize("case", [case for case in loss_cases() if "," not in case.name], ids=lambda case: case.name)
def test_the_loss_of_no_pixels_is_0(library, case, activation, shape):
    options = {name: value for name, value in case.options.items() if not isinstance(value, np.ndarray)}
    if "activation" in inspect.signature(case.function).parameters:
        options["activation"] = activation
    rows = (shape[0], *shape[2:])
    for name, value in case.options.items():
        if isinstance(value, np.ndarray):
            options[name] = library.asarray(np.ones(rows if value.ndim == 3 else shape, dtype=value.dtype))
    logits = library.asarray(np.zeros(shape))
    for target in (np.zeros(rows, dtype=np.int64), np.zeros(shape)):
        try:
            value, gradient = value_and_grad(case.function)(logits, library.asarray(target), **options)
        except (TypeError, ValueError) as error:
            if case.name not in NOT_EMPTY and not re.search("`activation` must|`target` .*must", str(error)):
                raise
            continue
        assert float(value) == 0
        assert tuple(gradient.shape) == shape
        assert float(case.function(logits, library.asarray(target), **options)) == 0


@pytest.mark.parametrize("name", ["input", "target", "mask", "pixel_weights"])
def test_an_array_that_is_not_plain_is_refused_by_its_name(name):
    logits, ids = np.zeros((1, 2, 3)), np.zeros((1, 3), dtype=int)
    arrays = {"input": logits, "target": ids, "mask": ids == 0, "pixel_weights": np.ones((1, 3))}
    arrays[name] = np.ma.masked_array(arrays[name])
    with pytest.raises(TypeError, match=f"^`{name}` is a masked array"):
        losses.dice(arrays.pop("input"), arrays.pop("target"), **arrays)
