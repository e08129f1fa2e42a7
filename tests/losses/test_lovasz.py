"""Lovasz losses: the definition by sets, recorded numbers, ties, options, errors."""

import numpy as np
import pytest
from scenes import one_hot, softmax
from tolerances import FLOAT32, FLOAT64, SIX_DECIMALS, SUMS

import arrayseg
from arrayseg.backends import backend_of
from arrayseg.losses import lovasz_hinge, lovasz_softmax
from arrayseg.testing import assert_gradient, relative_difference, to_numpy

GENERATOR = np.random.default_rng(5)
LOGITS = 2 * GENERATOR.normal(size=(2, 4, 5, 7))
IDS = GENERATOR.integers(0, 4, size=(2, 5, 7))


def lovasz_by_sets(errors, target):
    """The Lovasz extension by its definition: the Jaccard loss of ever larger sets of wrong pixels."""
    loss = before = 0.0
    wrong = np.zeros(errors.shape, dtype=bool)
    for place in np.argsort(-errors, kind="stable"):
        wrong[place] = True
        jaccard = wrong.sum() / (target | wrong).sum()
        loss += errors[place] * (jaccard - before)
        before = jaccard
    return loss


def of_sets(errors, target, pool):
    """`(N, C)` or `(1, C)` losses of `(N, C, *spatial)`."""
    images, classes = errors.shape[:2]
    if pool == "batch":
        errors, target = (np.moveaxis(a, 1, 0).reshape(1, classes, -1) for a in (errors, target))
        images = 1
    errors, target = errors.reshape(images, classes, -1), target.reshape(images, classes, -1)
    return np.array([[lovasz_by_sets(errors[n, c], target[n, c]) for c in range(classes)] for n in range(images)])


@pytest.mark.parametrize("pool", ["image", "batch"])
@pytest.mark.parametrize("classes", ["present", "all", (2, 0)])
def test_softmax_by_the_definition(pool, classes):
    ids = np.where(IDS == 3, 0, IDS)
    ids[0][ids[0] == 2] = 1
    hot = one_hot(ids, 4, bool)
    losses = of_sets(np.abs(hot - softmax(LOGITS)), hot, pool)
    present = hot.any(axis=(2, 3)) if pool == "image" else hot.any(axis=(0, 2, 3))[None]
    counted = {"present": present, "all": np.ones_like(present)}.get(classes, np.isin(np.arange(4), classes)[None])
    counted = np.broadcast_to(counted, losses.shape)
    expected = np.mean([row[kept].mean() for row, kept in zip(losses, counted, strict=True)])
    found = lovasz_softmax(LOGITS, ids, classes=classes, pool=pool)
    assert float(found) == pytest.approx(expected, rel=FLOAT64)
    assert_gradient(lovasz_softmax, LOGITS, ids, classes=classes, pool=pool)


@pytest.mark.parametrize("pool", ["image", "batch"])
def test_hinge_by_the_definition(pool):
    errors = np.maximum(1 - LOGITS * np.where(one_hot(IDS, 4, bool), 1, -1), 0)
    expected = of_sets(errors, one_hot(IDS, 4, bool), pool)
    assert float(lovasz_hinge(LOGITS, IDS, pool=pool)) == pytest.approx(expected.mean(), rel=FLOAT64)
    unreduced = lovasz_hinge(LOGITS, IDS, pool=pool, reduction="none")
    np.testing.assert_allclose(unreduced, expected if pool == "image" else expected[0], rtol=FLOAT64)
    assert_gradient(lovasz_hinge, LOGITS, IDS, pool=pool)


def test_recorded_numbers():
    """kornia with its gather of class ids put right (0.9.0), and segmentation-models-pytorch 0.6.0."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    logits, ids = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 8, 8))
    assert float(lovasz_softmax(logits, ids, pool="image", classes="all")) == pytest.approx(0.76902, abs=6e-6)
    assert float(lovasz_softmax(logits, ids)) == pytest.approx(0.768673, abs=SIX_DECIMALS)
    assert float(lovasz_softmax(logits, ids, pool="image", ignore_index=3)) == pytest.approx(0.754260, abs=SIX_DECIMALS)
    binary = {"class_axis": None}
    mask = (ids > 1).int()
    assert float(lovasz_hinge(logits[:, 0], mask, pool="batch", **binary)) == pytest.approx(1.477077, abs=SIX_DECIMALS)
    assert float(lovasz_hinge(logits[:, 0], mask, **binary)) == pytest.approx(1.476291, abs=SIX_DECIMALS)


def test_hard_predictions_have_the_jaccard_loss():
    prediction = one_hot(GENERATOR.integers(0, 4, size=IDS.shape), 4, bool)
    wrong = (prediction & one_hot(IDS, 4, bool)).sum((0, 2, 3)) / (prediction | one_hot(IDS, 4, bool)).sum((0, 2, 3))
    found = lovasz_softmax(prediction.astype(float), IDS, activation=None, reduction="none")
    np.testing.assert_allclose(found, 1 - wrong, rtol=SUMS)


def test_ties_take_the_same_steps_everywhere(library):
    """Few different values, exact in every dtype: only the places tell most of the pixels apart."""
    ids = GENERATOR.integers(0, 3, size=(2, 6, 5))
    quarters = GENERATOR.integers(0, 5, size=(2, 3, 6, 5)) / 4
    for loss, input, options in (
        (lovasz_softmax, quarters, {"activation": None}),
        (lovasz_softmax, 0 * quarters + 0.5, {"activation": None, "pool": "image"}),
        (lovasz_hinge, 4 * quarters - 2, {}),
    ):
        _, expected = arrayseg.value_and_grad(loss)(input, ids, **options)
        for dtype in library.dtypes[:2]:
            _, found = arrayseg.value_and_grad(loss)(library.asarray(input, dtype), library.asarray(ids), **options)
            assert relative_difference(found, expected) < FLOAT32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_order_is_stable_and_descending(library, dtype):
    if dtype not in library.dtypes:
        pytest.skip(f"{library.name} has no {dtype}")
    values = np.array([[0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, 0.0, 1.0, -1.0, 1e-45, -1e-45, 3e38, -3e38]])
    values = np.concatenate([values, np.round(GENERATOR.normal(size=(1, 13)), 0)])
    array = library.asarray(values, dtype)
    backend = backend_of(array)
    order = to_numpy(backend.sorting.argsort_descending(array))
    if dtype == "float32" and library.name.startswith("jax"):
        values = np.where(np.abs(values) < 1e-38, 0, values)  # XLA takes the smallest numbers for 0
    np.testing.assert_array_equal(order, np.argsort(-values.astype(dtype), axis=-1, kind="stable"))
    ranked = np.take_along_axis(values, order, axis=-1)
    placed = backend.sorting.place(library.asarray(ranked, dtype), backend.sorting.argsort_descending(array))
    np.testing.assert_array_equal(to_numpy(placed), np.take_along_axis(values.astype(dtype), np.arange(13)[None], -1))


def test_steps_are_exact_where_their_differences_would_not_be():
    """A million pixels: the steps are near 1e-6, of Jaccard losses near 1."""
    logits = GENERATOR.normal(size=(1, 1, 1_000_000))
    ids = GENERATOR.integers(0, 2, size=(1, 1_000_000))
    _, exact = arrayseg.value_and_grad(lovasz_hinge)(logits.astype(np.float32).astype(np.float64), ids)
    _, found = arrayseg.value_and_grad(lovasz_hinge)(logits.astype(np.float32), ids)
    assert relative_difference(found, exact) < 1e-5


@pytest.mark.parametrize("classes", ["present", "all"])
@pytest.mark.parametrize("pool", ["image", "batch"])
def test_images_without_valid_pixels_do_not_count(classes, pool):
    ids = np.concatenate([IDS, np.full_like(IDS[:1], 255)])
    logits = np.concatenate([LOGITS, np.full_like(LOGITS[:1], np.nan)])
    options = {"classes": classes, "pool": pool}
    value, gradient = arrayseg.value_and_grad(lovasz_softmax)(logits, ids, ignore_index=255, **options)
    assert float(value) == pytest.approx(float(lovasz_softmax(LOGITS, IDS, **options)), rel=SUMS)
    assert not gradient[2].any()


def test_class_weights_multiply():
    each = lovasz_softmax(LOGITS, IDS, reduction="none")
    weights = (1.0, 2.0, 3.0, 0.0)
    expected = (each * np.array(weights)).mean()
    assert float(lovasz_softmax(LOGITS, IDS, class_weights=weights)) == pytest.approx(expected, rel=SUMS)
    assert float(lovasz_softmax(LOGITS, IDS, exclude_background=True)) == pytest.approx(each[1:].mean(), rel=SUMS)


@pytest.mark.parametrize("loss", [lovasz_softmax, lovasz_hinge])
def test_one_hot_targets_are_ids(loss):
    for dtype in (np.float32, np.int64, bool):
        assert loss(LOGITS, one_hot(IDS, 4, bool).astype(dtype)) == loss(LOGITS, IDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": "some"}, "`classes` must be 'present' or 'all'; got 'some'"),
        ({"classes": (5,)}, "`classes` must be different whole numbers from 0 to 3"),
        ({"pool": "micro"}, "`pool` must be 'image' or 'batch'; got 'micro'"),
        ({"reduction": "max"}, "`reduction` must be 'mean', 'sum' or 'none'"),
        ({"class_weights": (1, 2)}, "`class_weights` must hold one number for each of the 4 classes"),
    ],
)
def test_errors(options, message):
    for loss in (lovasz_softmax, lovasz_hinge):
        with pytest.raises(ValueError, match=message):
            loss(LOGITS, IDS, **options)
