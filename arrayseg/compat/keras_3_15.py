"""Keras 3.15: as 3.16, except that alpha of the Tversky loss weighs false negatives and beta false positives."""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayseg._typing import Array
from arrayseg.compat import keras_3_16
from arrayseg.compat._preset import Call, Record, loss_preset
from arrayseg.compat.keras_3_16 import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    dice,
    sparse_categorical_crossentropy,
)

__all__ = [
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "dice",
    "sparse_categorical_crossentropy",
    "tversky",
]


@loss_preset(
    "keras.losses.Tversky",
    Record(0.752375, {"alpha": 0.9, "beta": 0.1, "axis": (1, 2)}, "channels-last probabilities"),
    note="alpha weighs false negatives, up to 3.15.1, though the documentation said otherwise.",
)
def tversky(input: Array, target: Array, *, alpha: float = 0.5, beta: float = 0.5, **options: Any) -> Call:
    """Tversky loss of probabilities."""
    return partial(keras_3_16.tversky, input, target, alpha=beta, beta=alpha, **options)
