"""Numbers among the options of losses that JAX traces: the value and the derivative, or a sentence that refuses."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scenes import softmax

from arrayseg import losses
from arrayseg.testing import loss_cases

CASES = [case for case in loss_cases() if "," not in case.name]

#: Options that decide which operations are computed, or how many pixels of a sorted row are kept.
STATIC = {
    "active_boundary": ["share"],
    "affinity_field": ["distance"],
    "bootstrapped_cross_entropy": ["min_kept"],
    "cb_dice": ["iterations"],
    "cl_dice": ["iterations"],
    "context_prior_affinity": ["window"],
    "dice_cl_dice": ["iterations"],
    "hausdorff_erosion": ["iterations"],
    "neighbor_aware_cross_entropy": ["kernel_size"],
    "ohem_cross_entropy": ["min_kept"],
    "region_mutual_information": ["radius", "downsample"],
    "semantic_connectivity": ["max_components"],
    "skeleton_recall": ["iterations", "tube"],
}
#: Of a choice of pixels and of points, and of distances, no derivative is taken.
CONSTANT = {"importance", "loss_threshold", "num_points", "oversampling", "seed", "share", "spacing", "threshold"}
#: Where a formula is another one, or is 0 / 0.
SPECIAL = {"label_smoothing": 0.0, "q": 0.0, "t1": 1.0, "t2": 1.0, "temperature": 1.0, "exponent": 1.0, "beta": 1.0}


def numbers(case):
    """The default of every option that is a number, or may be one."""
    parameters = case.function.__signature__.parameters
    found = {name: case.options.get(name, parameter.default) for name, parameter in parameters.items()}
    found |= {name: 0.25 for name in ("alpha", "pos_weight") if name in found and found[name] is None}
    static = ["class_axis", *STATIC.get(case.name, [])]
    return {name: value for name, value in found.items() if type(value) in (int, float) and name not in static}


def slope(function, options, name, step=1e-6):
    """The finite difference on NumPy; of a number at the end of its range, one to the other side."""
    ends = []
    for sign in (-1, 1):
        try:
            ends.append((sign, float(function(**options | {name: options[name] + sign * step}))))
        except ValueError:
            ends.append((0, float(function(**options))))
    (low, before), (high, after) = ends
    return (after - before) / ((high - low) * step)


@pytest.mark.parametrize("special", [False, True], ids=["ordinary", "special"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_numbers_that_jax_traces(case, special):
    jax = pytest.importorskip("jax")
    found = numbers(case)
    if special:
        # With t1 = 1 the derivative of the logarithm of an absent class is infinite.
        options = {name: SPECIAL.get(name, value) for name, value in found.items()}
    else:
        options = {name: value if type(value) is int else 0.9 * value + 0.05 for name, value in found.items()}
        if "t2" in options:
            options["t2"] = 1.3
    if not options or (special and not SPECIAL.keys() & options.keys()):
        return
    own = {name: value for name, value in case.options.items() if name not in options}
    expected = partial(case.function, case.input, case.target, **own)
    with jax.enable_x64(True):
        arrays = {name: jax.numpy.asarray(v) if isinstance(v, np.ndarray) else v for name, v in own.items()}
        logits, ids = jax.numpy.asarray(case.input), jax.numpy.asarray(case.target)
        loss = jax.value_and_grad(lambda given: case.function(logits, ids, **arrays, **given), allow_int=True)
        value, slopes = jax.jit(loss)({name: jax.numpy.asarray(number) for name, number in options.items()})
    assert float(value) == pytest.approx(float(expected(**options)), rel=1e-9)
    for name in options.keys() - CONSTANT:
        if not (special and (case.name, name) in {("bi_tempered", "label_smoothing")}):
            assert float(slopes[name]) == pytest.approx(slope(expected, options, name), rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in STATIC for option in STATIC[name]])
def test_numbers_that_must_be_static(name, option):
    jax = pytest.importorskip("jax")
    (case,) = (case for case in CASES if case.name == name)
    logits, ids = jax.numpy.asarray(case.input), jax.numpy.asarray(case.target)
    with pytest.raises(TypeError, match=f"`{option}` must be a plain Python value.*static_argnames"):
        jax.jit(lambda number: getattr(losses, name)(logits, ids, **{option: number}))(2)


@pytest.mark.parametrize("t1", [0.0, 0.5, 0.8])
def test_derivative_of_the_first_smoothing(t1):
    """Of the bi-tempered loss, to the right of 0: sum_c (1 / C - t) (log_t1 t - log_t1 p)."""
    jax = pytest.importorskip("jax")
    generator = np.random.default_rng(0)
    logits, ids = generator.normal(size=(6, 3)), generator.integers(0, 3, 6)
    target, p = np.eye(3)[ids], softmax(logits)
    own, found = ((share ** (1 - t1) - 1) / (1 - t1) for share in (target, p))
    expected = ((1 / 3 - target) * (own - found)).sum(axis=1).mean()
    with jax.enable_x64(True):
        arrays = jax.numpy.asarray(logits), jax.numpy.asarray(ids)
        slope = jax.grad(lambda smoothing: losses.bi_tempered(*arrays, t1=t1, t2=1.0, label_smoothing=smoothing))(0.0)
    assert float(slope) == pytest.approx(expected, rel=1e-10)
