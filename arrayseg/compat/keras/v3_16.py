"""Keras 3.16: `keras.losses`, with the class axis last and the target second, and the IoU of `keras.metrics`.

Three properties of Keras are not reproduced. It bounds probabilities from below by 1e-7. It divides probabilities by
their sum, so that its gradient differs. Its focal losses of logits are at most 16, where the exact loss may be 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array
from arrayseg.compat._calls import Call
from arrayseg.compat._preset import loss_preset
from arrayseg.compat.keras import losses as shared, metrics as shared_metrics
from arrayseg.compat.keras._options import EPSILON, KerasReduction, our_reduction, pool_over
from arrayseg.compat.keras.losses import *  # noqa: F403
from arrayseg.compat.keras.metrics import *  # noqa: F403

__all__ = ["tversky"]
__all__ += shared.__all__
__all__ += shared_metrics.__all__


@loss_preset("keras.losses.Tversky", note="Since 3.16, alpha weights false positives.")
def tversky(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    axis: int | Sequence[int] | None = None,
    reduction: KerasReduction = "sum_over_batch_size",
    **options: Any,
) -> Call:
    """Return the Tversky loss of probabilities."""
    return partial(
        losses.tversky,
        input,
        target,
        alpha=alpha,
        beta=beta,
        smooth=(0.0, EPSILON),
        activation=None,
        pool=pool_over(input, axis),
        reduction=our_reduction(reduction),
        class_axis=-1,
        **options,
    )
