"""Keras 3.15: like 3.16, except that alpha of the Tversky loss weights false negatives and beta false positives."""

from __future__ import annotations

from typing import Any

from arrayseg._typing import Array
from arrayseg.compat._calls import Call
from arrayseg.compat._preset import loss_preset
from arrayseg.compat.keras import losses as shared, v3_16
from arrayseg.compat.keras.losses import *  # noqa: F403

__all__ = ["tversky"]
__all__ += shared.__all__


@loss_preset(
    "keras.losses.Tversky",
    note="Up to 3.15.1, alpha weights false negatives, although the documentation says false positives.",
    inherits=v3_16.tversky,
)
def tversky(input: Array, target: Array, *, alpha: float = 0.5, beta: float = 0.5, **options: Any) -> Call:
    """Return the Tversky loss of probabilities."""
    return v3_16.tversky.call(input, target, alpha=beta, beta=alpha, **options)
