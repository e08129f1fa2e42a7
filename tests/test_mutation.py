"""The tests notice a wrong formula: each mutant of the source below makes a test fail.

A mutant is one place of a formula, a derivative, a weight or a sum that reads otherwise. The tests that must notice are
those against independent formulas and differences, never the recorded numbers; of an adapter, the parity tests. By
default every third mutant runs; `nox -s full` runs all. The text of a mutant must be in its module: whoever rewrites a
formula writes its mutant again.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.mutation

ROOT = Path(__file__).parent.parent
FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
#: The share of the mutants that run by default, one in this many.
STRIDE = 3
TESTS_FAILED = 1


class Mutant(NamedTuple):
    """A text of a module and what replaces it; the tests that must fail, and a word of their names."""

    module: str
    before: str
    after: str
    word: str
    tests: str = "losses/test_oracle.py"
    library: str = "numpy"


FORMULAS, SCORES = "engine.pixel_formulas", "engine.region_scores"
FOCAL, NOISE_ROBUST = "losses._focal", "losses._noise_robust"
MUTANTS = [
    # Values and derivatives of pixel formulas.
    Mutant(FORMULAS, "return -log_probability, -1.0", "return -log_probability, 1.0", "cross_entropy"),
    Mutant(FORMULAS, "value = power * less * log_probability", "value = power * log_probability", "focal"),
    Mutant(FORMULAS, "* limited(log_probability, xp)) + less)", "* limited(log_probability, xp)) - less)", "focal"),
    Mutant(FORMULAS, "[-less] * (gamma - 1)", "[-less] * gamma", "focal"),
    Mutant(NOISE_ROBUST, "-log_probability - epsilon * xp.expm1", "-log_probability + epsilon * xp.expm1", "poly"),
    Mutant(NOISE_ROBUST, "-1 - epsilon * xp.exp(log_probability)", "-1 - xp.exp(-log_probability)", "poly"),
    Mutant(NOISE_ROBUST, "return value, -xp.exp(steps)", "return value, -q * xp.exp(steps)", "generalized_cross"),
    Mutant(NOISE_ROBUST, "reverse * xp.exp(log_probability) - alpha", "reverse * xp.exp(log_probability)", "symmetric"),
    Mutant(FOCAL, "easy = rest < 1 - threshold", "easy = rest > 1 - threshold", "reduced_focal"),
    Mutant(FOCAL, "by_rest * (rest - 1) / divisor", "by_rest * (rest - 1)", "reduced_focal"),
    Mutant(
        FOCAL,
        "excess = -xp.expm1(log_probability) - margin",
        "excess = -xp.expm1(log_probability)",
        "asymmetric",
        "losses/test_pixel_formulas.py",
    ),
    Mutant(FOCAL, "(by_excess * log_rest - power / rest)", "(by_excess * log_rest + power / rest)", "asymmetric"),
    # Scores of regions: which side a weight is on, a factor, a sum of classes, a guard.
    Mutant(
        SCORES,
        "return loss, (factor * by_right, alpha * by_wrong, beta * by_wrong)\n\n    return score\n\n\ndef log_",
        "return loss, (factor * by_right, beta * by_wrong, alpha * by_wrong)\n\n    return score\n\n\ndef log_",
        "tversky",
    ),
    Mutant(SCORES, "by_right = -ratio * by_wrong", "by_right = -by_wrong", "log_dice"),
    Mutant(
        SCORES,
        "weights * (cells.alarm + cells.miss)",
        "weights * cells.alarm",
        "generalized_dice",
        "losses/test_region_formulas.py",
    ),
    Mutant(
        SCORES,
        "(2 * weights * by_right, by_wrong, by_wrong)",
        "(weights * by_right, by_wrong, by_wrong)",
        "generalized_dice",
    ),
    Mutant(
        SCORES,
        "return share, -share * inverse, right * inverse * inverse",
        "return share, share * inverse, right * inverse * inverse",
        "dice",
    ),
    Mutant(SCORES, "xp.sinh(loss / 2) ** 2), xp.tanh(loss)", "xp.sinh(loss / 2) ** 2), loss", "log_cosh"),
    Mutant(SCORES, "return loss * inverse, (1 + penalty) * inverse**2", "return loss * inverse, inverse**2", "penalty"),
    Mutant(SCORES, "exponent * value / safe)", "value / safe)", "focal_tversky"),
    Mutant(SCORES, "covariance = hit * rest - alarm * miss", "covariance = hit * rest + alarm * miss", "matthews"),
    Mutant(SCORES, "-hit / root + slope * both * predicted", "-hit / root - slope * both * predicted", "matthews"),
    Mutant(
        SCORES,
        "outside = (1 - sensitivity_weight)",
        "outside = sensitivity_weight",
        "sensitivity",
        "losses/test_region_formulas.py",
    ),
    # Weights, pools and means of the engine.
    Mutant(
        "engine.pixel_term",
        "weights = at_id if weights is None else weights * at_id",
        "weights = at_id if weights is None else weights",
        "weights",
        "losses/test_cross_entropy.py",
    ),
    Mutant(
        "engine.pixel_term",
        "for of_class in (block.batch.class_weights, self.positive_weights):",
        "for of_class in (self.positive_weights,):",
        "class_weights",
    ),
    Mutant("engine.region_term", 'if self.pool in ("batch", "all"):', 'if self.pool in ("micro", "all"):', "pool"),
    Mutant(
        "engine.region_term",
        'if self.absent == "exclude":',
        'if self.absent == "keep":',
        "absent",
        "losses/test_region_formulas.py",
    ),
    Mutant(
        "engine.region_term",
        "inside, outside = by_hit - by_miss, block.cast(by_alarm)",
        "inside, outside = by_hit + by_miss, block.cast(by_alarm)",
        "soft_tp",
    ),
    # Families with formulas of their own.
    Mutant("losses._lovasz", "before = union - 1", "before = union", "lovasz", "losses/test_lovasz.py"),
    Mutant(
        "losses._lovasz",
        "steps *= 1 - 2 * xp.astype(is_target, errors.dtype)",
        "steps *= 2 * xp.astype(is_target, errors.dtype) - 1",
        "lovasz",
    ),
    Mutant(
        "losses._divergence",
        "return target * (log_target - log_probability), -target",
        "return target * (log_target - log_probability), target",
        "kl_divergence",
    ),
    Mutant(
        "losses._neighbors",
        "distance, slope = difference**2, 2 * difference",
        "distance, slope = difference**2, difference",
        "neighbor",
        "losses/test_pixel_formulas.py",
    ),
    Mutant(
        "losses._mutual_information",
        "xp.sum(xp.log(xp.abs(xp.linalg.diagonal(residual_root))), axis=-1) / size",
        "xp.sum(xp.log(xp.abs(xp.linalg.diagonal(residual_root))), axis=-1)",
        "information",
        "losses/test_mutual_information.py",
    ),
    Mutant(
        "losses._distance",
        "return cells.hit * inverse, (inverse,)",
        "return cells.hit * inverse, (-inverse,)",
        "boundary",
    ),
    Mutant(
        "losses._distance",
        "return block.where_valid(2 * block.cast(by[0])",
        "return block.where_valid(block.cast(by[0])",
        "hausdorff",
    ),
    Mutant(
        "losses._skeleton",
        "by_precision = -2 * sensitivity * (sensitivity + self.epsilon)",
        "by_precision = -2 * precision * (sensitivity + self.epsilon)",
        "cl_dice",
    ),
    Mutant(
        "losses._mining",
        "xp.where(positive, count - 1, count)",
        "xp.where(positive, count, count)",
        "ohem",
        "losses/test_cross_entropy.py",
    ),
    Mutant("imaging.soft_morphology", "share = cotangent * (0.5 * wins)", "share = cotangent * wins", "cl_dice"),
    # Dice that divides by the sum of the classes instead of their number, and an axis taken for another.
    Mutant(
        "losses._balanced",
        '"batch": (0,), "micro": (1,)',
        '"batch": (1,), "micro": (0,)',
        "balanced",
        "losses/test_pixel_formulas.py",
    ),
    # Derivatives in the adapters.
    Mutant(
        "backends.torch",
        "return torch.as_tensor(value), torch.from_numpy(gradient)",
        "return torch.as_tensor(value), -torch.from_numpy(gradient)",
        "dice",
        "losses/test_parity.py",
        "torch",
    ),
    Mutant(
        "backends.torch",
        "return gradient.mul_(cotangent).to(input.dtype), None",
        "return gradient.to(input.dtype), None",
        "torch",
        "losses/test_cross_entropy.py",
        "torch",
    ),
    Mutant(
        "backends.jax",
        "_softplus.defjvps(lambda tangent, _, scores: tangent * _sigmoid(scores))",
        "_softplus.defjvps(lambda tangent, _, scores: tangent * _sigmoid(-scores))",
        "binary_cross_entropy",
        "losses/test_parity.py",
        "jax",
    ),
]
SAMPLE = MUTANTS if FULL else MUTANTS[::STRIDE]


def name_of(mutant):
    return f"{mutant.module}: {mutant.after}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=name_of)
def test_the_text_of_a_mutant_is_in_its_module_once(mutant):
    source = Path(importlib.util.find_spec(f"arrayseg.{mutant.module}").origin).read_text(encoding="utf-8")
    assert source.count(mutant.before) == 1


@pytest.mark.parametrize("mutant", SAMPLE, ids=name_of)
def test_a_mutant_makes_a_test_fail(mutant):
    pytest.importorskip(mutant.library)
    command = [sys.executable, "-P", ROOT / "tests" / "mutant.py", f"arrayseg.{mutant.module}", mutant.before]
    command += [mutant.after, "-k", mutant.word, ROOT / "tests" / mutant.tests]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["ARRAYSEG_TEST_BACKENDS"] = mutant.library
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == TESTS_FAILED, f"{run.stdout[-2000:]}{run.stderr[-2000:]}"
    assert "errors" not in run.stdout.splitlines()[-1]
