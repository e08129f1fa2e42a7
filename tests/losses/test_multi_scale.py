"""A loss over averaged resolutions: its limits, its gradient, every library."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from tolerances import FLOAT16, FLOAT32, FLOAT64, FLOAT64_GRADIENT

from arrayseg import value_and_grad
from arrayseg.losses import cross_entropy, deep_supervision, dice, dice_cross_entropy, multi_scale
from arrayseg.testing import finite_differences, relative_difference, to_numpy

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(2, 3, 5, 7))
IDS = GENERATOR.integers(0, 3, size=(2, 5, 7))
LOSS = multi_scale(dice_cross_entropy, (1, 2, 3), (0.5, 0.3, 0.2))


def test_scale_1_alone_is_the_loss():
    value, gradient = value_and_grad(multi_scale(cross_entropy, (1,)))(LOGITS, IDS)
    wanted, slope = value_and_grad(cross_entropy)(LOGITS, IDS)
    assert value == wanted
    assert np.array_equal(gradient, slope)


def test_a_scale_is_the_loss_of_the_averages():
    even = LOGITS[:, :, :4, :6]
    averages = even.reshape(2, 3, 2, 2, 3, 2).mean(axis=(3, 5))
    found = multi_scale(cross_entropy, (2,))(even, IDS[:, :4, :6])
    assert found == pytest.approx(deep_supervision(cross_entropy, (1.0,))([averages], IDS[:, :4, :6]), rel=FLOAT64)


def test_a_constant_stays_at_the_edge():
    # 5 and 7 are no multiples: a box that the edge cuts must average what is inside alone.
    constant = np.broadcast_to(np.asarray([1.0, -2.0, 0.5])[None, :, None, None], LOGITS.shape)
    ids = np.zeros((2, 5, 7), dtype=np.int64)
    assert multi_scale(cross_entropy, (1, 2, 3, 4))(constant, ids) == pytest.approx(
        cross_entropy(constant, ids), rel=FLOAT64
    )


@pytest.mark.parametrize("options", [{}, {"ignore_index": 2}, {"class_axis": -1}, {"class_axis": 2}], ids=str)
def test_gradient_is_that_of_central_differences(options):
    logits = np.ascontiguousarray(np.moveaxis(LOGITS, 1, options.get("class_axis", 1)))
    _, gradient = value_and_grad(LOSS)(logits, IDS, **options)
    numeric = finite_differences(lambda x: LOSS(x, IDS, **options), logits)
    assert relative_difference(gradient, numeric) <= 1e-7


def test_every_library_agrees(library):
    value, gradient = value_and_grad(LOSS)(library.asarray(LOGITS, "float64"), library.asarray(IDS))
    wanted, slope = value_and_grad(LOSS)(LOGITS, IDS)
    assert relative_difference(value, wanted) <= FLOAT64
    assert relative_difference(gradient, slope) <= FLOAT64_GRADIENT


def test_autodiff_agrees():
    torch = pytest.importorskip("torch")
    logits = torch.tensor(LOGITS, requires_grad=True)
    LOSS(logits, torch.tensor(IDS)).backward()
    _, slope = value_and_grad(LOSS)(LOGITS, IDS)
    assert relative_difference(to_numpy(logits.grad), slope) <= FLOAT64_GRADIENT
    assert torch.autograd.gradcheck(partial(multi_scale(dice), target=torch.tensor(IDS)), logits)


@pytest.mark.parametrize(("scales", "weights"), [((0, 1), None), ((), None), ((1, 2), (1.0,))])
def test_wrong_scales_raise_a_sentence(scales, weights):
    with pytest.raises(ValueError, match=r"must (be|hold) .*\.$"):
        multi_scale(dice, scales, weights)


def test_half_precision_is_averaged_in_float32(library):
    if "float16" not in library.dtypes:
        pytest.skip(f"{library.name} has no float16")
    # Averages of 64 numbers around 100: half precision holds them to 0.06, and their sums not at all.
    offset = 100 + np.asarray(GENERATOR.normal(size=(1, 3, 16, 16)))
    ids = GENERATOR.integers(0, 3, size=(1, 16, 16))
    loss = multi_scale(cross_entropy, (8,))
    halves = library.asarray(offset, "float16")
    value, gradient = value_and_grad(loss)(halves, library.asarray(ids))
    wanted, slope = value_and_grad(loss)(to_numpy(halves).astype(np.float64), ids)
    assert relative_difference(value, wanted) <= FLOAT32
    assert gradient.dtype == halves.dtype
    assert relative_difference(gradient, slope) <= FLOAT16
