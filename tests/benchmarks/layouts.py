"""Compare arrayseg with the class axis last to arrayseg with the class axis first, on the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.comparison import Comparison
from benchmarks.inputs import Inputs, available
from benchmarks.own import value_and_gradient

LOSSES = ("cross_entropy", "focal", "dice", "dice_cross_entropy")


def comparisons(inputs: Inputs) -> Iterator[Comparison]:
    """Yield the comparisons on inputs of several classes."""
    if inputs.binary:
        return
    for name in LOSSES:
        for backend in available(inputs.device):
            own = partial(value_and_gradient, name, backend)
            peers = {"arrayseg, channels-last": partial(own, classes_last=True)}
            yield Comparison(f"{name}, layouts", backend, own, peers, classes_last=True, device=inputs.device)
