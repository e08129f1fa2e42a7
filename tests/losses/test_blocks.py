"""Whatever the blocks, and whichever operations work them, every loss has the value and gradient of one block."""

from dataclasses import replace

import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT

from arrayseg import losses, value_and_grad
from arrayseg.testing import loss_cases, relative_difference, to_numpy

CASES = loss_cases()


def found(case, convert=lambda array: array, **options):
    return value_and_grad(case.function)(
        convert(case.input),
        convert(case.target),
        **{
            name: convert(option) if isinstance(option, np.ndarray) else option
            for name, option in (case.options | options).items()
        },
    )


def assert_same(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        assert relative_difference(one, other) < FLOAT64_GRADIENT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("bytes_", [200, 1000])
def test_blocks_make_no_difference(case, bytes_, monkeypatch):
    from arrayseg.backends.numpy import NumpyBackend

    expected = found(case)
    monkeypatch.setattr(NumpyBackend, "block_bytes", lambda self, array: bytes_)
    assert_same(found(case), expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("bytes_", [200, 10**9])
def test_many_classes_and_great_scores_make_no_difference(case, bytes_, monkeypatch):
    """Ids are found by gathers, not by products with one-hot values, and the greatest score is taken off."""
    from arrayseg.backends.numpy import NumpyBackend
    from arrayseg.backends.numpy.functions import NumpyFunctions

    expected = found(case)
    monkeypatch.setattr("arrayseg.engine.block.FEW_CLASSES", 1)
    monkeypatch.setattr(NumpyFunctions, "moderate_exp", lambda self, scores: None)
    monkeypatch.setattr(NumpyBackend, "block_bytes", lambda self, array: bytes_)
    assert_same(found(case), expected)


def five_images(array):
    return np.concatenate([array, array[..., ::-1], array[:1, ..., ::-1, :]])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("rows", [2, 3])
def test_images_that_blocks_do_not_divide(case, rows, monkeypatch):
    # The last block holds fewer images than the others, whose sums may not be spread over one another.
    from arrayseg.backends.numpy import NumpyBackend

    arrays = {name: five_images(option) for name, option in case.options.items() if isinstance(option, np.ndarray)}
    case = replace(case, input=five_images(case.input), target=five_images(case.target), options=case.options | arrays)
    expected = found(case)
    monkeypatch.setattr(NumpyBackend, "block_bytes", lambda self, array: rows * array[0].nbytes)
    assert_same(found(case), expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("bytes_", [200, 10**9])
def test_closed_forms_in_operations_of_torch(case, bytes_, monkeypatch):
    # As on CUDA, where nothing is shared with NumPy.
    torch = pytest.importorskip("torch")
    from arrayseg.backends import torch as adapter

    monkeypatch.setattr(adapter, "_shared_with_numpy", lambda plan: None)
    monkeypatch.setattr(adapter.TorchBackend, "block_bytes", lambda self, array: bytes_)
    value, gradient = found(case, torch.from_numpy)
    assert_same((to_numpy(value), to_numpy(gradient)), found(case))


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "dice_cross_entropy", "dice_focal", "focal"])
@pytest.mark.parametrize("class_axis", [1, -1])
@pytest.mark.parametrize("void", [None, 255])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_images(name, class_axis, void, dtype, monkeypatch):
    # Several blocks of the size that is used, runs of pixels that are summed together, and a remainder.
    generator = np.random.default_rng(3)
    logits, ids = generator.normal(size=(2, 9, 331, 257)).astype(dtype), generator.integers(0, 9, size=(2, 331, 257))
    if void is not None:
        ids[generator.random(ids.shape) < 0.1] = void
    wide = logits.astype(np.float64)
    laid = np.ascontiguousarray(np.moveaxis(logits, 1, class_axis))
    loss = getattr(losses, name)
    value, gradient = value_and_grad(loss)(laid, ids, class_axis=class_axis, ignore_index=void)
    monkeypatch.setattr("arrayseg.backends.numpy.NumpyBackend.block_bytes", lambda self, array: None)  # one block
    expected, slope = value_and_grad(loss)(wide, ids, ignore_index=void)
    tolerance = 2e-6 if dtype == "float32" else 1e-12
    assert relative_difference(value, expected) < tolerance
    assert relative_difference(np.moveaxis(gradient, class_axis, 1), slope) < 10 * tolerance


@pytest.mark.parametrize(
    "name", ["cross_entropy", "cross_entropy, label_smoothing", "dice", "dice_cross_entropy", "focal"]
)
@pytest.mark.parametrize("class_axis", [1, -1])
@pytest.mark.parametrize("images", [1, 5])
def test_any_number_of_images_on_every_library(library, name, class_axis, images):
    # Some work many images otherwise than few, and the classes otherwise where they are last.
    case = next(case for case in CASES if case.name == name)
    many = replace(case, input=five_images(case.input)[:images], target=five_images(case.target)[:images])
    expected, slope = found(many)
    laid = replace(many, input=np.ascontiguousarray(np.moveaxis(many.input, 1, class_axis)))
    value, gradient = found(laid, library.asarray, class_axis=class_axis)
    assert_same((to_numpy(value), np.moveaxis(to_numpy(gradient), class_axis, 1)), (expected, slope))
