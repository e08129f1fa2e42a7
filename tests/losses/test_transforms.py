"""Losses under transforms of their libraries: what a function closes over, symbols, batches, shards, saved arrays."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scenes import one_hot
from tolerances import FLOAT32, FLOAT32_GRADIENT

import arrayseg
from arrayseg import losses
from arrayseg.testing import relative_difference

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(2, 3, 8, 9)).astype(np.float32)
IDS = GENERATOR.integers(0, 3, size=(2, 8, 9))
MASK = GENERATOR.random(IDS.shape) < 0.7
WEIGHTS = GENERATOR.random(IDS.shape).astype(np.float32)
COSTS = (np.ones((3, 3)) - np.eye(3)).astype(np.float32)
POINTS = GENERATOR.random((2, 20, 2)).astype(np.float32)

CLOSED_OVER = [
    ("cross_entropy", {"pixel_weights": WEIGHTS}),
    ("dice", {"mask": MASK, "class_weights": np.ones(3, np.float32)}),
    ("dice_cross_entropy", {"pixel_weights": WEIGHTS}),
    ("distance_weighted_cross_entropy", {"distance": WEIGHTS}),
    ("generalized_wasserstein_dice", {"distances": COSTS}),
    ("point_sampled_cross_entropy", {"points": POINTS}),
]


@pytest.mark.parametrize(("margin", "soft_tp"), [(0, "product"), (0, "l1"), (0, "l2"), (12, "product"), (12, "l1")])
def test_compiled_scores_keep_the_digits_of_nearly_right_images(margin, soft_tp):
    """The cells are counted there, image by image; else a quicker sum is subtracted."""
    jax = pytest.importorskip("jax")
    hot = one_hot(IDS, 3, np.float32)
    for target in (IDS, hot):
        logits = (LOGITS + margin * hot).astype(np.float32)
        step = jax.jit(jax.vmap(jax.value_and_grad(lambda x, y: losses.dice(x[None], y[None], soft_tp=soft_tp))))
        for found, slope, one, label in zip(*step(logits, target), logits, target, strict=True):
            wide = one.astype(np.float64)[None], label.astype(np.float64 if target is hot else np.int64)[None]
            value, gradient = arrayseg.value_and_grad(losses.dice)(*wide, soft_tp=soft_tp)
            assert relative_difference(found, value) < FLOAT32
            assert relative_difference(slope, gradient[0]) < FLOAT32_GRADIENT


@pytest.mark.parametrize(("name", "options"), CLOSED_OVER, ids=str)
def test_arrays_that_a_compiled_function_closes_over(name, options):
    jax = pytest.importorskip("jax")
    loss = getattr(losses, name)
    ids, arrays = jax.numpy.asarray(IDS), {key: jax.numpy.asarray(value) for key, value in options.items()}
    found = jax.jit(lambda logits: loss(logits, ids, **arrays))(jax.numpy.asarray(LOGITS))
    assert float(found) == pytest.approx(float(loss(LOGITS, IDS, **options)), rel=5e-6)


def test_an_array_that_a_compiled_function_closes_over_is_checked():
    jax = pytest.importorskip("jax")
    logits, ids, weights = map(jax.numpy.asarray, (LOGITS, IDS, -WEIGHTS))
    with pytest.raises(ValueError, match="`pixel_weights` must not be negative; got -"):
        jax.jit(lambda x: losses.cross_entropy(x, ids, pixel_weights=weights))(logits)


NAMES = ["cross_entropy", "focal", "binary_cross_entropy", "bi_tempered", "cl_dice", "dice"]


@pytest.mark.parametrize("name", NAMES)
def test_dynamic_shapes_of_torch(name):
    torch = pytest.importorskip("torch")
    torch._dynamo.reset()
    loss = getattr(losses, name)
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend="eager")
    for rows in (8, 6):
        logits, ids = torch.asarray(LOGITS[..., :rows, :]), torch.asarray(IDS[:, :rows])
        expected = float(loss(LOGITS[..., :rows, :].astype(np.float64), IDS[:, :rows]))
        assert float(compiled(logits, ids)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "name", ["dice", "boundary", "hausdorff_distance_transform", "distance_weighted_dice", "cb_dice"]
)
@pytest.mark.parametrize("class_axis", [1, -1])
def test_vmap_of_torch_is_a_loop_over_the_images(name, class_axis):
    torch = pytest.importorskip("torch")
    loss = getattr(losses, name)
    logits, ids = torch.asarray(np.moveaxis(LOGITS, 1, class_axis).astype(np.float64)), torch.asarray(IDS)
    found = torch.func.vmap(lambda x, t: loss(x[None], t[None], class_axis=class_axis))(logits, ids)
    expected = [float(loss(LOGITS[[n]].astype(np.float64), IDS[[n]])) for n in range(2)]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "boundary", "lovasz_softmax"])
def test_a_trace_of_torch_is_of_any_batch(name):
    torch = pytest.importorskip("torch")
    loss = getattr(losses, name)
    first, second, ids = torch.asarray(LOGITS), torch.asarray(LOGITS[::-1].copy()), torch.asarray(IDS)
    with pytest.warns(Warning, match="trac"):  # of the checks of shapes, and that torch.jit is deprecated
        traced = torch.jit.trace(lambda x: loss(x, ids), (first,), check_trace=False)
    assert float(traced(second)) == pytest.approx(float(loss(LOGITS[::-1].copy(), IDS)), rel=FLOAT32_GRADIENT)


CHANGED = [
    ("dice", {"target": IDS}),
    ("cross_entropy", {"mask": MASK}),
    ("dice_cross_entropy", {"pixel_weights": WEIGHTS}),
    ("dice", {"class_weights": np.asarray([1.0, 2.0, 3.0], np.float32)}),
    ("lovasz_softmax", {"target": IDS}),
]


@pytest.mark.parametrize(("name", "changed"), CHANGED, ids=str)
@pytest.mark.parametrize("create_graph", [False, True])
def test_an_array_changed_before_the_gradient_is_asked_for(name, changed, create_graph):
    torch = pytest.importorskip("torch")
    logits = torch.asarray(LOGITS).requires_grad_()
    arrays = {key: torch.asarray(value.copy()) for key, value in ({"target": IDS} | changed).items()}
    loss = getattr(losses, name)(logits, **arrays)
    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (second,) = torch.autograd.grad(loss, logits, retain_graph=True)
    assert torch.equal(first, second)
    arrays[next(iter(changed))].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, logits, create_graph=create_graph)


def test_sharded_arrays_of_jax():
    # In a program of its own, as the number of devices is fixed when JAX starts.
    pytest.importorskip("jax")
    code = """
import jax, jax.numpy as jnp, numpy as np
from arrayseg import distance_maps, losses, metrics
mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
logits = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 8, 8)), dtype=jnp.float32)
ids = jnp.asarray(np.random.default_rng(1).integers(0, 3, (4, 8, 8)))
calls = [
    lambda x, t: losses.dice(x, t),
    lambda x, t: losses.lovasz_softmax(x, t),
    lambda x, t: losses.cross_entropy(x, t, ignore_index=2),
    lambda x, t: losses.boundary(x, t),
    lambda x, t: metrics.calibration_bins(jax.nn.softmax(x, axis=1), t)[0],
    lambda x, t: distance_maps.signed_distance_map(t, 3),
    lambda x, t: losses.one_hot(t, 3),
]
for call in calls:
    one, many = (call(*place) for place in ((logits, ids), [
        jax.device_put(a, jax.NamedSharding(mesh, jax.P("d"))) for a in (logits, ids)
    ]))
    np.testing.assert_allclose(np.asarray(many), np.asarray(one), rtol=1e-5, atol=1e-6)
"""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_same_gradient_with_a_buffer_and_without():
    torch = pytest.importorskip("torch")
    logits = torch.asarray(LOGITS).requires_grad_()
    expected = arrayseg.grad(losses.dice)(LOGITS, IDS)
    losses.dice(logits, torch.asarray(IDS)).backward()
    np.testing.assert_allclose(logits.grad, expected, rtol=1e-6, atol=1e-9)
