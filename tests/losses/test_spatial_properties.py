"""Properties of every loss that looks at neighboring pixels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tolerances import FLOAT64, SUMS

import arrayseg
from arrayseg import losses
from arrayseg.testing import assert_gradient

GENERATOR = np.random.default_rng(7)
LOGITS = 2 * GENERATOR.normal(size=(2, 3, 7, 5))
IDS = GENERATOR.integers(0, 3, size=(2, 7, 5))

LOSSES = {
    "cl_dice": (losses.cl_dice, {"iterations": 1}),
    "cl_dice, micro": (losses.cl_dice, {"pool": "micro", "exclude_background": True, "iterations": 2}),
    "dice_cl_dice": (losses.dice_cl_dice, {"alpha": 0.3, "iterations": 1}),
    "skeleton_recall": (losses.skeleton_recall, {}),
    "skeleton_recall, thin": (losses.skeleton_recall, {"tube": 0, "iterations": 1, "smooth": 0.5}),
    "cb_dice": (losses.cb_dice, {"iterations": 2}),
    "cb_dice, all": (losses.cb_dice, {"iterations": 1, "pool": "all", "classes": (1, 2), "smooth": 0.1}),
    "region_mutual_information": (losses.region_mutual_information, {"radius": 2, "downsample": 2}),
    "region_mutual_information, average": (
        losses.region_mutual_information,
        {"radius": 2, "downsample": 2, "pooling": "average", "activation": "sigmoid"},
    ),
    "region_mutual_information, fine": (losses.region_mutual_information, {"radius": 3, "downsample": 1}),
    "affinity_field": (losses.affinity_field, {}),
    "affinity_field, far": (
        losses.affinity_field,
        {"distance": 2, "margin": 1.0, "activation": "sigmoid", "different_weight": 0.5, "denominator": "pixels"},
    ),
    "context_prior_affinity": (losses.context_prior_affinity, {}),
    "context_prior_affinity, sigmoid": (losses.context_prior_affinity, {"window": 2, "activation": "sigmoid"}),
    "semantic_connectivity": (losses.semantic_connectivity, {}),
    "semantic_connectivity, sigmoid": (
        losses.semantic_connectivity,
        {"activation": "sigmoid", "max_components": 50, "reduction": "sum"},
    ),
    "boundary": (losses.boundary, {"spacing": 0.5}),
    "hausdorff_distance_transform": (losses.hausdorff_distance_transform, {}),
    "hausdorff_distance_transform, one_sided": (
        losses.hausdorff_distance_transform,
        {"one_sided": True, "sides": "inside", "alpha": 1.5},
    ),
    "hausdorff_distance_transform, argmax": (losses.hausdorff_distance_transform, {"binarize": "argmax"}),
    "log_hausdorff_distance_transform": (losses.log_hausdorff_distance_transform, {"pool": "batch"}),
    "hausdorff_erosion": (losses.hausdorff_erosion, {"iterations": 3}),
    "distance_weighted_dice": (losses.distance_weighted_dice, {}),
    "distance_weighted_dice, hits": (losses.distance_weighted_dice, {"weigh": "hits"}),
}


#: A loss that reads values, which compilers and transforms hide.
ON_THE_HOST = ("semantic_connectivity",)
TRACEABLE = [name for name in LOSSES if not name.startswith(ON_THE_HOST)]


@pytest.fixture(params=list(LOSSES))
def case(request):
    return LOSSES[request.param]


@pytest.fixture(params=TRACEABLE)
def traceable(request):
    return LOSSES[request.param]


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
    assert_allclose(deep[0], flat[0], rtol=SUMS)
    assert_allclose(deep[1][:, :, 0], flat[1], atol=1e-15)


def test_channels_last(case):
    function, options = case
    value, gradient = arrayseg.value_and_grad(function)(LOGITS, IDS, **options)
    last, slope = arrayseg.value_and_grad(function)(np.moveaxis(LOGITS, 1, -1).copy(), IDS, class_axis=-1, **options)
    assert_allclose(last, value, rtol=SUMS)
    assert_allclose(np.moveaxis(slope, -1, 1), gradient, atol=1e-15)


def test_an_axis_of_space_may_be_turned(case):
    function, options = case
    value = function(LOGITS, IDS, **options)
    assert_allclose(function(LOGITS.swapaxes(2, 3), IDS.swapaxes(1, 2), **options), value, rtol=FLOAT64)


def test_float16_is_right_to_a_thousandth(case):
    function, options = case
    half = LOGITS.astype(np.float16)
    assert_allclose(function(half, IDS, **options), function(half.astype(float), IDS, **options), rtol=1e-3)


def test_one_spatial_axis(case):
    function, options = case
    assert_gradient(function, LOGITS[:, :, :, 0], IDS[:, :, 0], **options)


def test_no_spatial_axis(case):
    function, options = case
    value, gradient = arrayseg.value_and_grad(function)(LOGITS[:, :, 0, 0], IDS[:, 0, 0], **options)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_torch_differentiates_twice(case):
    torch = pytest.importorskip("torch")
    function, options = case
    logits, ids = torch.tensor(LOGITS[:1, :, :4, :3], requires_grad=True), torch.tensor(IDS[:1, :4, :3])
    assert torch.autograd.gradcheck(lambda x: function(x, ids, **options), (logits,))
    assert torch.autograd.gradgradcheck(lambda x: function(x, ids, **options), (logits,))


def test_torch_func_gives_the_closed_form(traceable):
    torch = pytest.importorskip("torch")
    function, options = traceable
    logits, ids = torch.tensor(LOGITS), torch.tensor(IDS)
    expected = arrayseg.grad(function)(LOGITS, IDS, **options)
    assert_allclose(torch.func.grad(lambda x: function(x, ids, **options))(logits), expected, atol=FLOAT64)


@pytest.mark.compile
def test_torch_compile(traceable):
    torch = pytest.importorskip("torch")
    function, options = traceable
    torch.compiler.reset()
    compiled = torch.compile(lambda x, y: function(x, y, **options), fullgraph=True, backend="aot_eager")
    logits, ids = torch.tensor(LOGITS, requires_grad=True), torch.tensor(IDS)
    value = compiled(logits, ids)
    value.backward()
    expected, gradient = arrayseg.value_and_grad(function)(LOGITS, IDS, **options)
    assert_allclose(value.detach(), expected, rtol=FLOAT64)
    assert_allclose(logits.grad, gradient, atol=FLOAT64)


@pytest.mark.compile
def test_jax_jit(traceable):
    jax = pytest.importorskip("jax")
    function, options = traceable
    step = jax.jit(jax.value_and_grad(lambda x, y: function(x, y, **options)))
    value, slope = step(jax.numpy.asarray(LOGITS), jax.numpy.asarray(IDS))
    expected, gradient = arrayseg.value_and_grad(function)(LOGITS, IDS, **options)
    assert_allclose(value, expected, rtol=FLOAT64)
    assert_allclose(slope, gradient, atol=FLOAT64)
