"""Active boundary loss: which pixels it moves, where to, and its gradient."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scenes import one_hot
from tolerances import FLOAT64, LAST_BITS, SUMS

import arrayseg
from arrayseg import losses
from arrayseg.losses._active_boundary import directions
from arrayseg.testing import finite_differences

GENERATOR = np.random.default_rng(17)
IDS = np.zeros((2, 9, 14), dtype=np.int64)
IDS[:, :, 9:] = 1
IDS[1, 5:, 3:] = 2
COLUMNS = np.arange(14)
LOGITS = 0.3 * GENERATOR.normal(size=(2, 3, 9, 14)) + np.array([1.0, -1.0, -2.0])[:, None, None] * (4.5 - COLUMNS)
OPTIONS = {"share": 0.1, "max_distance": 5.0}


def test_there_is_something_to_move():
    value, gradient = arrayseg.value_and_grad(losses.active_boundary)(LOGITS, IDS, **OPTIONS)
    assert value > 0.1
    assert (gradient != 0).any(axis=1).sum() > 10
    assert_allclose(gradient.sum(axis=1), 0, atol=LAST_BITS)


def test_gradient_of_one_pixel_while_its_neighbors_stand_still():
    """Every third pixel is moved alone, in a case where no other pixel of weight is its neighbor."""
    weight = np.zeros((2, 9, 14))
    weight[:, 1::3, 1::3] = 1
    field = np.where(weight, 3.0, np.inf)
    field[:, ::3, 1::3] = 0.5
    field[0, 2::3, 1::3] = 0.25
    options = {"share": 1.0, "field": np.where(np.isinf(field), 10.0, field)}
    mask = np.ones(IDS.shape, dtype=bool)
    value, gradient = arrayseg.value_and_grad(losses.active_boundary)(LOGITS, IDS, mask=mask, **options)
    assert value > 0

    def standing(moved):
        # The pixels of this image move, their neighbors are those of the other: constants of the derivative.
        return surrogate(moved, LOGITS, options["field"], 20.0, 0.2)

    assert_allclose(value, standing(LOGITS), rtol=FLOAT64)
    small = (slice(0, 1), slice(None), slice(3, 6), slice(3, 6))
    expected = np.zeros_like(LOGITS)

    def of_part(part):
        moved = LOGITS.copy()
        moved[small] = part
        return standing(moved)

    expected[small] = finite_differences(of_part, LOGITS[small])
    assert_allclose(gradient[small], expected[small], atol=1e-8)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def surrogate(moved, still, distance, largest, smoothing):
    """The formula, pixel by pixel, with every pixel on the predicted boundary."""
    own, neighbors = log_softmax(moved), log_softmax(still)
    rows, columns = distance.shape[1:]
    offsets = directions((rows, columns))
    total, count = 0.0, 0
    for image, row, column in np.ndindex(distance.shape):
        places = [(image, min(max(row + r, 0), rows - 1), min(max(column + c, 0), columns - 1)) for r, c in offsets]
        around = [distance[place] for place in places]
        if min(around) > distance[image, row, column]:
            continue
        scores = []
        for number, at_row, at_column in places:
            q = neighbors[number, :, at_row, at_column]
            scores.append((np.exp(q) * (q - own[image, :, row, column])).sum())
        logs = np.array(scores) - np.log(np.exp(scores).sum())
        wanted = np.full(len(offsets), smoothing / len(offsets))
        wanted[int(np.argmin(around))] += 1 - smoothing
        total -= (wanted * logs).sum() * min(distance[image, row, column], largest) / largest
        count += 1
    return total / count


def test_torch_and_jax_differentiate_to_the_closed_form():
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    expected = arrayseg.grad(losses.active_boundary)(LOGITS, IDS, **OPTIONS)
    native = torch.func.grad(lambda x: losses.active_boundary(x, torch.tensor(IDS), **OPTIONS))(torch.tensor(LOGITS))
    assert_allclose(native, expected, atol=SUMS)
    with jax.enable_x64(True):
        native = jax.grad(lambda x: losses.active_boundary(x, jax.numpy.asarray(IDS), **OPTIONS))
        assert_allclose(native(jax.numpy.asarray(LOGITS)), expected, atol=SUMS)


@pytest.mark.compile
def test_under_compilers():
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    expected = losses.active_boundary(LOGITS, IDS, **OPTIONS)
    assert_allclose(jax.jit(lambda x, y: losses.active_boundary(x, y, **OPTIONS))(LOGITS, IDS), expected, rtol=FLOAT64)
    torch.compiler.reset()
    step = torch.compile(lambda x, y: losses.active_boundary(x, y, **OPTIONS), fullgraph=True, backend="aot_eager")
    assert_allclose(step(torch.tensor(LOGITS), torch.tensor(IDS)), expected, rtol=FLOAT64)


@pytest.mark.parametrize("fill", [50.0, np.nan])
def test_ignored_pixels_have_no_influence(fill):
    ignored = GENERATOR.random(IDS.shape) < 0.1
    void = np.where(ignored, 255, IDS)
    everywhere = np.broadcast_to(ignored[:, None], LOGITS.shape)
    value, gradient = arrayseg.value_and_grad(losses.active_boundary)(LOGITS, void, ignore_index=255, **OPTIONS)
    filled = np.where(everywhere, fill, LOGITS)
    again, slope = arrayseg.value_and_grad(losses.active_boundary)(filled, void, ignore_index=255, **OPTIONS)
    assert again == value > 0
    assert_allclose(slope, gradient, atol=0)
    assert not gradient[everywhere].any()


def test_empties_saturated_logits_and_layouts():
    evaluate = arrayseg.value_and_grad(losses.active_boundary)
    value, gradient = evaluate(LOGITS, np.full_like(IDS, 255), ignore_index=255)
    assert value == 0
    assert not gradient.any()
    assert evaluate(LOGITS[:0], IDS[:0])[0] == 0
    assert np.isfinite(evaluate(200 * np.sign(LOGITS), IDS, **OPTIONS)[1]).all()
    value, gradient = evaluate(LOGITS, IDS, **OPTIONS)
    last = evaluate(np.moveaxis(LOGITS, 1, -1), IDS, class_axis=-1, **OPTIONS)
    assert_allclose(last[0], value)
    assert_allclose(np.moveaxis(last[1], -1, 1), gradient)
    deep = evaluate(LOGITS[:, :, None], IDS[:, None], **OPTIONS)
    assert_allclose(deep[0], value)
    assert_allclose(deep[1][:, :, 0], gradient)


def test_a_straight_prediction_on_the_boundary_stays():
    straight = IDS[:1]
    sure = 40.0 * one_hot(straight, 3)
    assert losses.active_boundary(sure, straight, share=0.2) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [({"share": 2}, "share"), ({"max_distance": 0}, "max_distance"), ({"field": np.zeros(3)}, "field")],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        losses.active_boundary(LOGITS, IDS, **options)


def test_pixels_without_neighbors_are_refused():
    with pytest.raises(ValueError, match="longer than 1"):
        losses.active_boundary(LOGITS[:, :, 0, 0], IDS[:, 0, 0])
