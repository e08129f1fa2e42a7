"""Losses on NumPy in float64, the reference of all libraries, against formulas in their plainest form.

Nothing here is shared with the package: one-hot targets, whole arrays, no blocks, no closed-form gradient. Other
libraries are compared with NumPy by test_parity.py, and NumPy with recorded numbers by tests/test_golden.py.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from scenes import VOID, one_hot, softmax
from tolerances import FLOAT64

from arrayseg import value_and_grad
from arrayseg.testing import loss_cases

#: Relative difference between a derivative and a central difference of float64 values.
DIFFERENCING = 1e-6

CASES = {case.name: case for case in loss_cases()}


#: The loss of a pixel in the probability of a class, weighted by the share of the class in the target.
PIXEL_FORMULAS = {
    "cross_entropy": lambda p: -np.log(p),
    "poly": lambda p: -np.log(p) + (1 - p),
    "focal": lambda p: -((1 - p) ** 2) * np.log(p),
    "reduced_focal": lambda p: -np.where(p < 0.5, 1, ((1 - p) / 0.5) ** 2) * np.log(p),
    "generalized_cross_entropy": lambda p: (1 - p**0.7) / 0.7,
}


def pixel_loss(case, formula):
    classes = case.input.shape[1]
    target, valid = one_hot(case.target, classes), case.target != VOID
    smoothing = case.options.get("label_smoothing", 0)
    weights = np.asarray(case.options.get("class_weights", np.ones(classes))).reshape(1, -1, 1, 1)
    shares = (1 - smoothing) * target + smoothing / classes * valid[:, None]
    total = (weights * shares * formula(softmax(case.input))).sum()
    return total if case.options.get("reduction") == "sum" else total / (weights * target).sum()


def tversky(alpha, beta, smooth):
    return lambda i, p, t: (i + smooth) / (i + alpha * (p - i) + beta * (t - i) + smooth)


def dice_score(i, p, t, smooth=1e-5):
    return (2 * i + smooth) / (p + t + smooth)


def jaccard_score(i, p, t):
    return (2 * i + 1e-5) / (2 * (p + t - i) + 1e-5)


#: The loss of a class in the sums over pixels of p t, p and t.
REGION_FORMULAS = {
    "dice": lambda *sums: 1 - dice_score(*sums),
    "jaccard": lambda *sums: 1 - jaccard_score(*sums),
    "tversky": lambda *sums: 1 - tversky(0.5, 0.5, 1e-5)(*sums),
    "focal_tversky": lambda *sums: (1 - tversky(0.3, 0.7, 1e-5)(*sums)) ** 0.75,
    "asymmetric_f_beta": lambda *sums: 1 - tversky(1 / 3.25, 2.25 / 3.25, 1e-5)(*sums),
    "log_cosh_dice": lambda *sums: np.log(np.cosh(1 - dice_score(*sums))),
    "log_dice": lambda *sums: -np.log(dice_score(*sums)),
    "log_jaccard": lambda *sums: -np.log(jaccard_score(*sums)),
}
POOLED_AXES = {"image": (2, 3), "batch": (0, 2, 3), "micro": (1, 2, 3), "all": (0, 1, 2, 3)}


def region_loss(case, formula):
    classes, options = case.input.shape[1], case.options
    target, valid = one_hot(case.target, classes), (case.target != VOID)[:, None]
    p, axes = softmax(case.input) * valid, POOLED_AXES[options.get("pool", "image")]
    power = 2 if options.get("soft_tp") == "l2" else 1
    values = formula((p * target).sum(axes), (p**power).sum(axes), (target**power).sum(axes))
    values = values * np.asarray(options.get("class_weights", 1.0))
    if options.get("absent") == "exclude":
        values = values[target.sum(axes) > 0]
    return values.sum() if options.get("reduction") == "sum" else values.mean()


def loss_of(name):
    return name.partition(",")[0]


@pytest.mark.parametrize("name", [name for name in CASES if loss_of(name) in PIXEL_FORMULAS])
def test_pixel_losses_follow_their_formulas(name):
    case = CASES[name]
    found = case.function(case.input, case.target, **case.options)
    assert found == pytest.approx(pixel_loss(case, PIXEL_FORMULAS[loss_of(name)]), rel=FLOAT64)


@pytest.mark.parametrize("name", [name for name in CASES if loss_of(name) in REGION_FORMULAS])
def test_region_losses_follow_their_formulas(name):
    case = CASES[name]
    found = case.function(case.input, case.target, **case.options)
    assert found == pytest.approx(region_loss(case, REGION_FORMULAS[loss_of(name)]), rel=FLOAT64)


#: The neighbors of a pixel are constants of its derivative; test_active_boundary.py moves one pixel at a time.
NOT_THE_WHOLE_DERIVATIVE = {"active_boundary"}


@pytest.mark.parametrize("name", [name for name in CASES if loss_of(name) not in NOT_THE_WHOLE_DERIVATIVE])
def test_gradients_are_differences_of_values(name):
    """Check derivatives along random directions, each with a component in every logit."""
    case = CASES[name]
    _, gradient = value_and_grad(case.function)(case.input, case.target, **case.options)
    generator = np.random.default_rng(5)
    for _ in range(2):
        step = 1e-6 * generator.normal(size=case.input.shape)
        after, before = (case.function(case.input + sign * step, case.target, **case.options) for sign in (1, -1))
        scale = np.linalg.norm(gradient) * np.linalg.norm(step)
        assert abs((after - before) / 2 - (gradient * step).sum()) <= DIFFERENCING * scale


def test_every_loss_has_a_formula():
    """In the tables above, or in a test of a file that is about numbers and not about properties."""
    folder = Path(__file__).parent
    general = {"test_convergence.py", "test_parity.py", Path(__file__).name}
    files = [path for path in folder.glob("test_*.py") if path.name not in general and "propert" not in path.name]
    words = {word for path in files for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    assert {loss_of(name) for name in CASES} <= {*PIXEL_FORMULAS, *REGION_FORMULAS, *words}
