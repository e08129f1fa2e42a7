"""Losses: pure functions `(input, target, *, options) -> array`, differentiable on every backend."""

from arrayseg.losses._one_hot import one_hot
from arrayseg.losses._pixel import binary_cross_entropy, cross_entropy, focal, nll
from arrayseg.losses._region import dice, jaccard, tversky
from arrayseg.losses._selected import ohem_cross_entropy
from arrayseg.losses._structure import cl_dice, dice_cl_dice

__all__ = [
    "binary_cross_entropy",
    "cl_dice",
    "cross_entropy",
    "dice",
    "dice_cl_dice",
    "focal",
    "jaccard",
    "nll",
    "ohem_cross_entropy",
    "one_hot",
    "tversky",
]
