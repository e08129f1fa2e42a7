"""The loss of Wang et al., github.com/zifuwanggg/JDTLosses, file `losses/jdt_loss.py`."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from arrayseg import losses
from arrayseg._typing import Array
from arrayseg.compat._preset import Call, Record, loss_preset

__all__ = ["jdt_loss"]


@loss_preset(
    "losses.jdt_loss.JDTLoss",
    Record(0.755533, {"alpha": 0.5, "beta": 0.5}),
    Record(0.860628),
    Record(0.861004, {"mIoUD": 0.0, "mIoUI": 0.5, "mIoUC": 0.5}),
    note=(
        "Of soft targets the authors' loss counts absent classes too, unless told otherwise. `log_loss`, "
        "`class_weights` and `threshold` are not had."
    ),
)
def jdt_loss(
    input: Array,
    target: Array,
    *,
    mIoUD: float = 1.0,
    mIoUI: float = 0.0,
    mIoUC: float = 0.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
    smooth: float = 1e-3,
    norm: Literal[1, 2] = 1,
    ignore_index: int | None = None,
    **options: Any,
) -> Call:
    """Jaccard, Dice and Tversky losses of the fine-grained mean IoU."""
    return partial(
        losses.fine_grained_jaccard,
        input,
        target,
        weights=(mIoUD, mIoUI, mIoUC),
        alpha=alpha,
        beta=beta,
        exponent=gamma,
        smooth=smooth,
        soft_tp="l1" if norm == 1 else "l2",
        ignore_index=ignore_index,
        **options,
    )
