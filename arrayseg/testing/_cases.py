"""Cases of losses: a function with its input, target and options, drawn in NumPy so that all backends agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arrayseg import losses
from arrayseg._typing import Array

__all__ = ["Case", "loss_cases"]


@dataclass(frozen=True)
class Case:
    """A call with a result that must agree on all backends.

    Parameters
    ----------
    name : str
        The name of the function, and the options that differ from the defaults.
    function : callable
        A function ``(input, target, **options)``. A metric may return several arrays in tuples, lists or dictionaries.
    input, target : numpy.ndarray
        The arrays of the call.
    options : dict
        The options of the call. NumPy arrays among them become arrays of the backend.
    is_loss : bool
        Whether the result has a gradient with respect to the input.

    Examples
    --------
    >>> from arrayseg.testing import loss_cases
    >>> cases = {case.name: case for case in loss_cases()}
    >>> cases["cross_entropy"].input.shape, cases["cross_entropy"].is_loss
    ((2, 4, 5, 7), True)
    """

    name: str
    function: Callable[..., Array]
    input: np.ndarray[Any, Any]
    target: np.ndarray[Any, Any]
    options: dict[str, Any] = field(default_factory=dict)
    is_loss: bool = True


#: Sets of options to check in addition to the defaults. A loss skips the sets that it does not accept.
_VARIANTS: dict[str, dict[str, Any]] = {
    "ignore_index": {"ignore_index": 255},
    "class_weights": {"class_weights": (0.5, 1.0, 2.0, 4.0)},
    "sum": {"reduction": "sum"},
    "label_smoothing": {"label_smoothing": 0.1},
    "pool=batch": {"pool": "batch"},
    "pool=micro": {"pool": "micro"},
    "absent=exclude": {"absent": "exclude"},
    "soft_tp=l2": {"soft_tp": "l2"},
}


def loss_cases(*, seed: int = 0) -> list[Case]:
    """Return cases of every loss of `arrayseg.losses`, with its defaults and with other options.

    A few losses have settings that are meaningful on few pixels, instead of their defaults.

    Parameters
    ----------
    seed : int, default 0
        Seed of the random inputs.

    Returns
    -------
    list of Case
        Cases with logits of two images, four classes and 5 x 7 pixels. The target contains a void label where
        `ignore_index` is set.

    Examples
    --------
    >>> from arrayseg.testing import loss_cases
    >>> "dice, ignore_index" in [case.name for case in loss_cases()]
    True
    """
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(2, 4, 5, 7))
    ids = generator.integers(0, 4, size=(2, 5, 7))
    void = np.where(generator.random(ids.shape) < 0.2, 255, ids)
    cases = []
    for name in losses.__all__:
        function = getattr(losses, name)
        if not hasattr(function, "plan"):
            continue
        settings = _SETTINGS.get(name, {})
        cases.append(Case(name, function, logits, ids, dict(settings)))
        for variant, options in _VARIANTS.items():
            if variant in _MEANINGLESS.get(name, ()):
                continue
            if all(option in function.__signature__.parameters for option in options):
                target = void if "ignore_index" in options else ids
                cases.append(Case(f"{name}, {variant}", function, logits, target, {**settings, **options}))
    return cases


#: Options that make a loss meaningful on few pixels.
_SETTINGS: dict[str, dict[str, Any]] = {
    "bootstrapped_cross_entropy": {"loss_threshold": 1.0, "min_kept": 10},
    "active_boundary": {"share": 0.5, "field": np.abs(np.arange(70.0).reshape(2, 5, 7) % 11 - 4)},
    "cb_dice": {"iterations": 2},
    "cl_dice": {"iterations": 2},
    "context_prior_affinity": {"window": 2},
    "dice_cl_dice": {"iterations": 1},
    "generalized_wasserstein_dice": {"distances": ((0, 1, 1, 1), (1, 0, 0.6, 0.5), (1, 0.6, 0, 0.7), (1, 0.5, 0.7, 0))},
    "distance_weighted_cross_entropy": {"distance": np.random.default_rng(1).random((2, 5, 7))},
    "hausdorff_erosion": {"iterations": 3},
    "ohem_cross_entropy": {"threshold": 0.5, "min_kept": 20},
    "region_mutual_information": {"radius": 2, "downsample": 2},
    "point_sampled_cross_entropy": {"points": np.random.default_rng(2).random((2, 30, 2))},
    "skeleton_recall": {"iterations": 2},
}


#: Variants that a loss refuses.
_MEANINGLESS: dict[str, tuple[str, ...]] = {
    "generalized_dice": ("pool=micro",),
    "generalized_dice_focal": ("pool=micro",),
    "generalized_wasserstein_dice": ("pool=micro",),
    "lovasz_hinge": ("pool=micro",),
    "lovasz_softmax": ("pool=micro",),
    "penalty_generalized_dice": ("pool=micro",),
}
