"""optax 0.2: `optax.losses`, with the class axis last.

optax returns a loss for every image; the presets return the mean over images, because a gradient needs one number.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._calls import Call
from arrayseg.compat._preset import loss_preset

__all__ = [
    "binary_dice_loss",
    "dice_loss",
    "multiclass_generalized_dice_loss",
    "poly_loss_cross_entropy",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_integer_labels",
]


@loss_preset(
    "optax.losses.dice_loss",
    note=(
        "alpha weights false positives; alpha and beta are new in 0.2.7. Weights are not normalized. With "
        "`apply_softmax=False`, optax refuses eager probabilities that do not sum to 1; they are accepted here."
    ),
)
def dice_loss(
    input: Array,
    target: Array,
    *,
    class_weights: Weights | None = None,
    smooth: float = 1.0,
    alpha: float = 0.5,
    beta: float = 0.5,
    apply_softmax: bool = True,
    ignore_background: bool = False,
    **options: Any,
) -> Call:
    """Return the Dice or Tversky loss; a single class uses the sigmoid."""
    several = input.shape[-1] > 1
    return partial(
        losses.tversky,
        input,
        target,
        alpha=alpha,
        beta=beta,
        smooth=smooth,
        activation=("softmax" if several else "sigmoid") if apply_softmax else None,
        class_weights=class_weights,
        exclude_background=ignore_background and several,
        class_axis=-1,
        **options,
    )


@loss_preset(
    "optax.losses.multiclass_generalized_dice_loss",
    note=(
        "This is not the loss of Sudre et al.: the Dice loss of each class is multiplied by the weight of the "
        "class. With `apply_softmax=True` a single channel is refused here, and optax uses the sigmoid. With "
        "`apply_softmax=False`, optax refuses eager probabilities that do not sum to 1; they are accepted here."
    ),
)
def multiclass_generalized_dice_loss(
    input: Array,
    target: Array,
    *,
    smooth: float = 1.0,
    apply_softmax: bool = True,
    ignore_background: bool = False,
    **options: Any,
) -> Call:
    """Return Dice losses weighted by the inverse squared size of each class in the batch, for one-hot targets."""
    xp = backend_of(input).xp
    sizes = xp.sum(xp.astype(target, input.dtype), axis=tuple(range(target.ndim - 1)))
    weights = 1 / (sizes**2 + 1e-7)
    return partial(
        losses.dice,
        input,
        target,
        smooth=smooth,
        smooth_form="tp",
        activation="softmax" if apply_softmax else None,
        class_weights=weights / xp.sum(weights) * weights.shape[0],
        exclude_background=ignore_background,
        class_axis=-1,
        **options,
    )


@loss_preset("optax.losses.binary_dice_loss")
def binary_dice_loss(
    input: Array, target: Array, *, smooth: float = 1.0, apply_sigmoid: bool = True, **options: Any
) -> Call:
    """Return the Dice loss of one class, whose axis may be absent."""
    return partial(
        losses.dice,
        input,
        target,
        smooth=smooth,
        smooth_form="tp",
        activation="sigmoid" if apply_sigmoid else None,
        class_axis=-1 if input.shape[-1] == 1 else None,
        **options,
    )


@loss_preset(
    "optax.losses.sigmoid_focal_loss",
    note="The mean is over all elements. Targets between 0 and 1 give another loss in optax.",
)
def sigmoid_focal_loss(
    input: Array, target: Array, *, alpha: float | None = None, gamma: float = 2.0, **options: Any
) -> Call:
    """Return the focal loss of independent classes."""
    return partial(
        losses.focal,
        input,
        target,
        alpha=alpha,
        gamma=gamma,
        activation="sigmoid",
        denominator="elements",
        class_axis=-1,
        **options,
    )


@loss_preset("optax.losses.softmax_cross_entropy")
def softmax_cross_entropy(input: Array, target: Array, **options: Any) -> Call:
    """Return the cross entropy with distributions."""
    return partial(losses.cross_entropy, input, target, class_axis=-1, **options)


@loss_preset("optax.losses.softmax_cross_entropy_with_integer_labels")
def softmax_cross_entropy_with_integer_labels(input: Array, target: Array, **options: Any) -> Call:
    """Return the cross entropy with class ids."""
    return partial(losses.cross_entropy, input, target, class_axis=-1, **options)


@loss_preset("optax.losses.sigmoid_binary_cross_entropy")
def sigmoid_binary_cross_entropy(input: Array, target: Array, **options: Any) -> Call:
    """Return the binary cross entropy of each class."""
    return partial(losses.binary_cross_entropy, input, target, class_axis=-1, denominator="elements", **options)


@loss_preset("optax.losses.poly_loss_cross_entropy")
def poly_loss_cross_entropy(input: Array, target: Array, *, epsilon: float = 2.0, **options: Any) -> Call:
    """Return the Poly-1 loss."""
    return partial(losses.poly, input, target, epsilon=epsilon, class_axis=-1, **options)
