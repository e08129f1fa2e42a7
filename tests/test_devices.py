"""Devices that lack 64-bit numbers, or have other defaults, as array-api-strict emulates them."""

from __future__ import annotations

import numpy as np
import pytest

from arrayseg import losses, metrics, value_and_grad
from arrayseg.testing import relative_difference, to_numpy

strict = pytest.importorskip("array_api_strict")


@pytest.fixture(autouse=True)
def strict_is_under_test(library):
    if library.name != "strict":
        pytest.skip("emulated by array-api-strict")


@pytest.fixture(params=["device1", "device2", "no_float64", "no_x64"])
def device(request):
    """`no_float64` is as Metal, `no_x64` as JAX without 64-bit mode, `device2` has float32 as its default."""
    return strict.Device(request.param)


@pytest.fixture
def device_that_sorts_and_sums(device):
    """Every device but the one on which array-api-strict 2.6 itself makes int64 of a sort or a sum, and raises."""
    if device == strict.Device("no_x64"):
        pytest.skip("argsort and sum of array-api-strict make int64 on a device without it")
    return device


LOGITS = np.random.default_rng(0).normal(size=(2, 4, 5, 7)).astype("float32")
IDS = np.random.default_rng(1).integers(0, 4, size=(2, 5, 7), dtype="int32")


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.focal, losses.dice])
def test_losses_stay_on_the_device_and_in_its_dtypes(device, loss):
    assert_loss_stays(device, loss)


def test_ranks_stay_on_the_device(device_that_sorts_and_sums):
    assert_loss_stays(device_that_sorts_and_sums, losses.lovasz_softmax)


def assert_loss_stays(device, loss):
    value, gradient = value_and_grad(loss)(strict.asarray(LOGITS, device=device), strict.asarray(IDS, device=device))
    assert value.device == gradient.device == device
    assert value.dtype == gradient.dtype == strict.float32
    wanted, slope = value_and_grad(loss)(LOGITS.astype("float64"), IDS)
    assert relative_difference(value, wanted) <= 2e-6
    assert relative_difference(gradient, slope) <= 2e-5


def test_counts_stay_on_the_device(device_that_sorts_and_sums):
    device = device_that_sorts_and_sums
    ids = strict.asarray(IDS, device=device)
    matrix = metrics.confusion_matrix(ids, ids, num_classes=4)
    assert matrix.device == device
    assert np.array_equal(to_numpy(matrix), np.diag(np.bincount(IDS.ravel())))
    assert float(metrics.mean_iou(matrix)) == 1.0


def test_two_devices_raise(device):
    other = strict.asarray(IDS, device=strict.Device("CPU_DEVICE"))
    with pytest.raises(ValueError, match="Move them to one device first"):
        losses.dice(strict.asarray(LOGITS, device=device), other)
