"""All libraries in one process agree on drawn inputs: shapes, layouts, options and edges that no table foresees."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from conftest import LIBRARIES
from hypothesis import given, strategies as st

from arrayseg import metrics
from arrayseg.testing import Case, assert_parity, loss_cases, relative_difference, to_numpy

pytestmark = pytest.mark.parity


def looks_at_positions(case: Case) -> bool:
    """Return whether the loss changes when the pixels of each image change places, of a target that is two halves."""
    order = np.random.default_rng(0).permutation(case.target[0].size)

    def moved(array):
        pixels = array.reshape(*array.shape[: array.ndim - case.target.ndim + 1], -1)
        return pixels[..., order].reshape(array.shape)

    halves = np.zeros_like(case.target)
    halves[..., halves.shape[-1] // 2 :] = 1
    value = case.function(case.input, halves, **case.options)
    return relative_difference(case.function(moved(case.input), moved(halves), **case.options), value) > 1e-12


# Losses that look at positions have options and spatial axes of their own, and properties in tests/losses.
BY_NAME = {case.name: case for case in loss_cases() if "," not in case.name}
FREE = [name for name, case in BY_NAME.items() if not looks_at_positions(case)]
LAYOUTS = [((), 1), ((6,), 1), ((6,), -1), ((3, 5), 1), ((3, 5), -1), ((3, 5), 2), ((2, 3, 2), 1)]


@st.composite
def drawn_cases(draw):
    """A loss, an input that is wild in one of several ways, and a target to match."""
    name = draw(st.sampled_from(FREE))
    spatial, class_axis = draw(st.sampled_from(LAYOUTS))
    classes = draw(st.sampled_from([2, 4]))
    known = BY_NAME[name]
    if "distances" in known.options and classes != 4:
        classes = 4
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = draw(st.sampled_from([1, 2]))
    scale = draw(st.sampled_from([1.0, 30.0, 200.0]))
    logits = scale * generator.normal(size=(images, classes, *spatial))
    dtype = draw(st.sampled_from(["uint8", "int16", "int64"]))
    ids = generator.integers(0, classes, size=(images, *spatial), dtype=dtype)
    options = dict(known.options)
    kind = draw(st.sampled_from(["plain", "ties", "void", "all void", "one class", "mask", "sum"]))
    if kind == "ties":
        logits = np.round(generator.normal(size=logits.shape))
    if kind in ("void", "all void"):
        options["ignore_index"] = 100
        ids = np.where(generator.random(ids.shape) < (0.4 if kind == "void" else 1.1), 100, ids).astype(ids.dtype)
    if kind == "one class":
        ids = np.zeros_like(ids)
    if kind == "mask":
        options["mask"] = generator.random(ids.shape) < 0.6
    if kind == "sum" and "reduction" in known.function.__signature__.parameters:
        options["reduction"] = "sum"
    if class_axis != 1:
        logits = np.ascontiguousarray(np.moveaxis(logits, 1, class_axis))
        options["class_axis"] = class_axis
    return Case(f"{name}, {kind}, {logits.shape}", known.function, logits, ids, options)


@given(case=drawn_cases())
def test_losses_agree_in_value_and_gradient(case):
    for library in LIBRARIES.values():
        assert_parity(case, library, "float64")


@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.sampled_from([2, 5, 21]),
    dtype=st.sampled_from(["uint8", "int32", "int64"]),
    shape=st.sampled_from([(1, 1), (2, 7), (2, 3, 5), (0, 4), (0, 4, 2), (1, 1, 1)]),
    per_image=st.booleans(),
)
def test_counts_are_equal_and_metrics_agree(seed, classes, dtype, shape, per_image):
    per_image = per_image and len(shape) > 2  # fewer axes are refused
    generator = np.random.default_rng(seed)
    prediction, target = generator.integers(0, classes, size=(2, *shape)).astype(dtype)
    target = np.where(generator.random(shape) < 0.2, 99, target).astype(dtype)
    count = partial(metrics.confusion_matrix, num_classes=classes, ignore_index=99, per_image=per_image)
    expected = count(prediction, target)
    for library in LIBRARIES.values():
        matrix = count(library.asarray(prediction), library.asarray(target))
        assert np.array_equal(to_numpy(matrix), expected), library.name
        for metric in (metrics.mean_iou, metrics.cohen_kappa, metrics.frequency_weighted_iou):
            assert relative_difference(metric(matrix), metric(expected)) <= 1e-12, (library.name, metric)
