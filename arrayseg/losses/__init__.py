"""Losses: pure functions `(input, target, *, options) -> array`, differentiable on every backend."""

from arrayseg.losses._one_hot import one_hot
from arrayseg.losses._pixel import binary_cross_entropy, cross_entropy, focal, nll
from arrayseg.losses._region import dice, jaccard, tversky
from arrayseg.losses._selected import ohem_cross_entropy

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "dice",
    "focal",
    "jaccard",
    "nll",
    "ohem_cross_entropy",
    "one_hot",
    "tversky",
]
