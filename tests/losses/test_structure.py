"""Structure losses: what their numbers mean, their gradients, and what does not count."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import arrayseg
from arrayseg import losses
from arrayseg.kernels.pooling import dilate, erode, max_pool, min_pool
from arrayseg.kernels.skeleton import pull_soft_skeleton, soft_skeleton
from arrayseg.testing import assert_gradient, finite_differences

GENERATOR = np.random.default_rng(7)
LOGITS = 2 * GENERATOR.normal(size=(2, 3, 7, 5))
IDS = GENERATOR.integers(0, 3, size=(2, 7, 5))
LINES = np.zeros((1, 9, 11), dtype=np.int64)
LINES[0, 4, 1:10] = 1
LINES[0, 1:8, 5] = 1

STRUCTURE_LOSSES = {
    "cl_dice": (losses.cl_dice, {}),
    "cl_dice, micro": (losses.cl_dice, {"pool": "micro", "exclude_background": True, "iterations": 1}),
    "dice_cl_dice": (losses.dice_cl_dice, {"alpha": 0.3}),
}


@pytest.fixture(params=list(STRUCTURE_LOSSES))
def case(request):
    return STRUCTURE_LOSSES[request.param]


# Primitives


@pytest.mark.parametrize("pool", [min_pool, max_pool])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 6])
def test_pool_is_the_extreme_of_three_neighbours(pool, length):
    values = GENERATOR.normal(size=(2, length, 3))
    found, _ = pool(values, 1, np)
    extreme = np.min if pool is min_pool else np.max
    expected = [extreme(values[:, max(0, i - 1) : i + 2], axis=1) for i in range(length)]
    assert_allclose(found, np.stack(expected, axis=1) if length else values)


@pytest.mark.parametrize("morphology", [erode, dilate])
@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 6), (1, 5)])
def test_pull_back_of_morphology(morphology, shape):
    values = GENERATOR.normal(size=(1, *shape))
    cotangent = GENERATOR.normal(size=values.shape)
    axes = range(1, values.ndim)
    _, pull = morphology(values, axes, np)
    expected = finite_differences(lambda array: (cotangent * morphology(array, axes, np)[0]).sum(), values)
    assert_allclose(pull(cotangent), expected, atol=1e-8)


def test_ties_share_the_gradient_evenly_whatever_differentiates():
    torch = pytest.importorskip("torch")
    values = GENERATOR.integers(0, 2, size=(1, 6, 7)).astype(float)
    cotangent = GENERATOR.normal(size=values.shape)
    from array_api_compat import torch as xp

    for morphology in (erode, dilate):
        _, pull = morphology(values, (1, 2), np)
        tensor = torch.tensor(values, requires_grad=True)
        morphology(tensor, (1, 2), xp)[0].backward(torch.tensor(cotangent))
        assert_allclose(pull(cotangent), tensor.grad, atol=1e-14)
        assert_allclose(pull(cotangent).sum(), cotangent.sum())


def test_skeleton_of_a_bar_is_its_centre_line():
    bar = np.zeros((1, 1, 7, 12), dtype=np.uint8)
    bar[..., 2:5, 1:11] = 1
    skeleton = soft_skeleton(bar, 3, (2, 3), np)
    assert skeleton.dtype == np.uint8
    assert skeleton[0, 0, 3, 2:10].all()
    assert skeleton[0, 0, 2, 3:9].sum() == skeleton[0, 0, 4, 3:9].sum() == 0


def test_skeleton_in_bytes_is_that_in_numbers():
    mask = GENERATOR.integers(0, 2, size=(1, 2, 9, 8))
    skeletons = [soft_skeleton(mask.astype(dtype), 2, (2, 3), np) for dtype in (np.uint8, np.float64)]
    assert_allclose(*skeletons)


@pytest.mark.parametrize("shape", [(1, 1, 6, 5), (1, 1, 3, 4, 5)])
def test_pull_back_of_the_skeleton(shape):
    values, cotangent = GENERATOR.random(shape), GENERATOR.normal(size=shape)
    axes = range(2, len(shape))
    expected = finite_differences(lambda array: (cotangent * soft_skeleton(array, 2, axes, np)).sum(), values)
    assert_allclose(pull_soft_skeleton(values, cotangent, 2, axes, np), expected, atol=1e-8)


# Every structure loss


def test_gradient_is_that_of_finite_differences(case):
    function, options = case
    assert_gradient(function, LOGITS, IDS, **options)


@pytest.mark.parametrize("how", ["ignore_index", "mask"])
def test_ignored_pixels_have_no_influence(case, how):
    function, options = case
    ignored = GENERATOR.random(IDS.shape) < 0.2
    target = np.where(ignored, 255, IDS) if how == "ignore_index" else IDS
    options = {**options, **({"ignore_index": 255} if how == "ignore_index" else {"mask": ~ignored})}
    value, gradient = arrayseg.value_and_grad(function)(LOGITS, target, **options)
    everywhere = np.broadcast_to(ignored[:, None], LOGITS.shape)
    for filled in (np.where(everywhere, 50.0, LOGITS), np.where(everywhere, np.nan, LOGITS)):
        again, slope = arrayseg.value_and_grad(function)(filled, target, **options)
        assert again == value
        assert_allclose(slope, gradient, atol=0)
    assert not gradient[everywhere].any()


def test_all_ignored_gives_zero(case):
    function, options = case
    value, gradient = arrayseg.value_and_grad(function)(LOGITS, np.full_like(IDS, 255), ignore_index=255, **options)
    assert value == 0
    assert not gradient.any()


def test_empty_batch_gives_zero(case):
    function, options = case
    value, gradient = arrayseg.value_and_grad(function)(LOGITS[:0], IDS[:0], **options)
    assert value == 0
    assert gradient.shape == (0, 3, 7, 5)


def test_large_logits_stay_finite(case):
    function, options = case
    value, gradient = arrayseg.value_and_grad(function)(200 * np.sign(LOGITS), IDS, **options)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_a_slice_of_a_volume_is_an_image(case):
    function, options = case
    flat = arrayseg.value_and_grad(function)(LOGITS, IDS, **options)
    deep = arrayseg.value_and_grad(function)(LOGITS[:, :, None], IDS[:, None], **options)
    assert_allclose(deep[0], flat[0], rtol=1e-13)
    assert_allclose(deep[1][:, :, 0], flat[1], atol=1e-15)


def test_channels_last(case):
    function, options = case
    value, gradient = arrayseg.value_and_grad(function)(LOGITS, IDS, **options)
    last, slope = arrayseg.value_and_grad(function)(np.moveaxis(LOGITS, 1, -1).copy(), IDS, class_axis=-1, **options)
    assert_allclose(last, value, rtol=1e-13)
    assert_allclose(np.moveaxis(slope, -1, 1), gradient, atol=1e-15)


def test_an_axis_of_space_may_be_turned(case):
    function, options = case
    value = function(LOGITS, IDS, **options)
    assert_allclose(function(LOGITS.swapaxes(2, 3), IDS.swapaxes(1, 2), **options), value, rtol=1e-12)


def test_float16_is_right_to_a_thousandth(case):
    function, options = case
    half = LOGITS.astype(np.float16)
    assert_allclose(function(half, IDS, **options), function(half.astype(float), IDS, **options), rtol=1e-3)


def test_one_spatial_axis(case):
    function, options = case
    assert_gradient(function, LOGITS[:, :, :, 0], IDS[:, :, 0], **options)


def test_torch_differentiates_twice(case):
    torch = pytest.importorskip("torch")
    function, options = case
    logits, ids = torch.tensor(LOGITS[:1, :, :4, :3], requires_grad=True), torch.tensor(IDS[:1, :4, :3])
    assert torch.autograd.gradcheck(lambda x: function(x, ids, **options), (logits,))
    assert torch.autograd.gradgradcheck(lambda x: function(x, ids, **options), (logits,))


def test_torch_func_gives_the_closed_form(case):
    torch = pytest.importorskip("torch")
    function, options = case
    logits, ids = torch.tensor(LOGITS), torch.tensor(IDS)
    expected = arrayseg.grad(function)(LOGITS, IDS, **options)
    assert_allclose(torch.func.grad(lambda x: function(x, ids, **options))(logits), expected, atol=1e-12)


@pytest.mark.compile
def test_torch_compile(case):
    torch = pytest.importorskip("torch")
    function, options = case
    compiled = torch.compile(lambda x, y: function(x, y, **options), fullgraph=True, backend="aot_eager")
    logits, ids = torch.tensor(LOGITS, requires_grad=True), torch.tensor(IDS)
    value = compiled(logits, ids)
    value.backward()
    expected, gradient = arrayseg.value_and_grad(function)(LOGITS, IDS, **options)
    assert_allclose(value.detach(), expected, rtol=1e-12)
    assert_allclose(logits.grad, gradient, atol=1e-12)


@pytest.mark.compile
def test_jax_jit(case):
    jax = pytest.importorskip("jax")
    function, options = case
    step = jax.jit(jax.value_and_grad(lambda x, y: function(x, y, **options)))
    value, slope = step(jax.numpy.asarray(LOGITS), jax.numpy.asarray(IDS))
    expected, gradient = arrayseg.value_and_grad(function)(LOGITS, IDS, **options)
    assert_allclose(value, expected, rtol=1e-12)
    assert_allclose(slope, gradient, atol=1e-12)


# Centrelines


def one_hot(ids, classes=2):
    return np.asarray(losses.one_hot(ids, classes, dtype=np.float64))


def test_recorded_number_of_monai():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    logits, ids = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))
    assert_allclose(losses.cl_dice(logits, ids, pool="micro"), 0.7420572, rtol=1e-6)
    assert_allclose(losses.cl_dice(logits, ids, pool="micro", exclude_background=True), 0.7360393, rtol=1e-6)
    assert_allclose(losses.dice_cl_dice(logits, ids, pool="micro", dice_pool="image"), 0.7380152, rtol=1e-6)


def test_perfect_and_worst_centrelines():
    right, wrong = one_hot(LINES), one_hot(1 - LINES)
    options = {"activation": None, "smooth": 1e-9, "epsilon": 0, "classes": (1,)}
    assert_allclose(losses.cl_dice(right, LINES, **options), 0, atol=1e-6)
    assert_allclose(losses.cl_dice(wrong, LINES, **options), 1, atol=1e-6)


def test_a_gap_costs_cl_dice_more_than_a_thinner_line():
    thick = np.zeros((1, 7, 15), dtype=np.int64)
    thick[0, 2:5, 1:14] = 1
    thin, gap = thick.copy(), thick.copy()
    thin[0, 2] = 0
    gap[0, 2:5, 6:8] = 0
    thin_loss, gap_loss = (losses.cl_dice(one_hot(m), thick, activation=None, classes=(1,)) for m in (thin, gap))
    assert gap_loss > thin_loss


def test_dice_cl_dice_is_each_at_the_ends():
    assert_allclose(losses.dice_cl_dice(LOGITS, IDS, alpha=1), losses.cl_dice(LOGITS, IDS))
    assert_allclose(losses.dice_cl_dice(LOGITS, IDS, alpha=0), losses.dice(LOGITS, IDS, smooth=1))


def test_saturated_maps_have_the_gradient_of_autodiff():
    torch = pytest.importorskip("torch")
    probabilities = one_hot(LINES)
    expected = arrayseg.grad(losses.cl_dice)(probabilities, LINES, activation=None)
    native = torch.func.grad(lambda x: losses.cl_dice(x, torch.tensor(LINES), activation=None))
    assert_allclose(native(torch.tensor(probabilities)), expected, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"iterations": -1}, "iterations"),
        ({"smooth": -1.0}, "smooth"),
        ({"epsilon": -0.1}, "epsilon"),
        ({"smoth": 1.0}, "did you mean `smooth`"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        losses.cl_dice(LOGITS, IDS, **options)


def test_dice_cl_dice_has_no_unreduced_form():
    with pytest.raises(ValueError, match="different shapes"):
        losses.dice_cl_dice(LOGITS, IDS, reduction="none")
