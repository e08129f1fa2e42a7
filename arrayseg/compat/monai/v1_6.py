"""MONAI 1.6: `monai.losses` and `monai.metrics`.

With ``to_onehot_y`` the target holds class ids of any dtype, with or without MONAI's channel of length one. Without it
the target holds a value for every class. On a single channel ``softmax``, ``to_onehot_y``, ``include_background`` and
weights of region losses have no effect, as in MONAI. Without a reduction MONAI's region losses keep spatial axes of
length one; the results here do not have them. ``other_act`` is not supported: apply the function to the input first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from arrayseg import losses
from arrayseg._checks import check_choice
from arrayseg._typing import Array, Reduction
from arrayseg.backends import backend_of
from arrayseg.compat._calls import Call, Changed, changed, weighted_sum
from arrayseg.compat._inputs import channels, without_channel
from arrayseg.compat._preset import loss_preset
from arrayseg.compat._terms import masked_ids_are_background, mean_over_ignored_pixels, of_the_background
from arrayseg.compat.monai import losses as shared, metrics as shared_metrics
from arrayseg.compat.monai._options import (
    common_options,
    mean_over_batch,
    pool_of,
)
from arrayseg.compat.monai.losses import *  # noqa: F403
from arrayseg.compat.monai.metrics import *  # noqa: F403

__all__ = [
    "asymmetric_unified_focal_loss",
    "boundary_loss",
    "generalized_wasserstein_dice_loss",
    "masked_dice_loss",
    "mcc_loss",
    "soft_dicecl_dice_loss",
    "softcl_dice_loss",
]
__all__ += shared.__all__
__all__ += shared_metrics.__all__


#: MONAI's lower bound of probabilities and smoothing in the unified focal loss.
EPSILON = 1e-7


def _boolean_mask(input: Array, mask: Array) -> Array:
    """Return a boolean mask `(N, *spatial)`; the given one may have any dtype, a channel, or one image for all."""
    backend = backend_of(mask, "mask")
    xp = backend.xp
    rows = without_channel(input, mask)
    if not xp.isdtype(rows.dtype, "bool"):
        kept = rows != 0
        if backend.is_concrete(rows) and bool(xp.any(kept & (rows != 1))):
            msg = "`mask` must hold 0 and 1, or booleans; got other values. Pass weights of pixels as `pixel_weights`."
            raise ValueError(msg)
        rows = kept
    return xp.broadcast_to(rows, (input.shape[0], *rows.shape[1:]))


@loss_preset(
    "monai.losses.MaskedDiceLoss",
    note=(
        "The mask holds booleans or 0 and 1, of shape `(N, *spatial)` or with a channel. With `to_onehot_y`, "
        "MONAI masks the ids before it encodes them, so that masked pixels are target pixels of class 0, as here. "
        "Without it masked pixels do not count."
    ),
    inherits=shared.dice_loss,
)
def masked_dice_loss(
    input: Array, target: Array, *, mask: Array | None = None, to_onehot_y: bool = False, **options: Any
) -> Call:
    """Return the Dice loss of the pixels of a mask; the other options are those of `dice_loss`."""
    if mask is None:
        return shared.dice_loss.call(input, target, to_onehot_y=to_onehot_y, **options)
    call = shared.dice_loss.call(input, target, to_onehot_y=to_onehot_y, mask=_boolean_mask(input, mask), **options)
    if not to_onehot_y or channels(input) == 1:
        return call
    return changed(call, masked_ids_are_background, "(masked pixels in the target of class 0)")


@loss_preset(
    "monai.losses.GeneralizedWassersteinDiceLoss",
    note="Up to 1.5 MONAI mixed the images of a batch, which is not reproduced.",
)
def generalized_wasserstein_dice_loss(
    input: Array,
    target: Array,
    *,
    dist_matrix: Sequence[Sequence[float]],
    weighting_mode: Literal["default", "GDL"] = "default",
    reduction: Reduction = "mean",
    smooth_nr: float = 1e-5,
    smooth_dr: float = 1e-5,
    **options: Any,
) -> Call:
    """Return the generalized Wasserstein Dice loss; the matrix is divided by its greatest entry."""
    greatest = max(float(value) for row in dist_matrix for value in row)
    return partial(
        losses.generalized_wasserstein_dice,
        input,
        target,
        distances=[[float(value) / greatest for value in row] for row in dist_matrix],
        weighting="gdl" if weighting_mode == "GDL" else "default",
        smooth=(smooth_nr, smooth_dr),
        reduction=reduction,
        **options,
    )


@loss_preset("monai.losses.MCCLoss", note="New in 1.6.")
def mcc_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Reduction = "mean",
    smooth_nr: float = 0.0,
    smooth_dr: float = 1e-5,
    batch: bool = False,
    **options: Any,
) -> Call:
    """Return the loss of the Matthews correlation coefficient."""
    target, settings = common_options(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    return partial(
        losses.matthews_corrcoef,
        input,
        target,
        smooth=(smooth_nr, smooth_dr),
        pool=pool_of(batch),
        reduction=reduction,
        **settings,
        **options,
    )


@loss_preset("monai.losses.BoundaryLoss", note="New in 1.6; MONAI's loss has no spacing.")
def boundary_loss(
    input: Array,
    target: Array,
    *,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Reduction = "mean",
    batch: bool = False,
    **options: Any,
) -> Call:
    """Return the boundary loss."""
    target, settings = common_options(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    call = partial(
        losses.boundary,
        input,
        target,
        reduction=reduction,
        **settings,
        **options,
    )
    return mean_over_batch(call, batch, reduction)


@loss_preset(
    "monai.losses.SoftclDiceLoss",
    note=(
        "For releases up to 1.5 see `monai_1_5`. If neighbors tie, the gradient of the skeleton is torch's "
        "gradient of a maximum in MONAI."
    ),
)
def softcl_dice_loss(
    input: Array,
    target: Array,
    *,
    iter_: int = 3,
    smooth_nr: float = 1.0,
    smooth_dr: float = 1.0,
    smooth: float = 1e-4,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Reduction = "mean",
    **options: Any,
) -> Call:
    """Return the soft centerline Dice loss of all classes of an image together."""
    target, settings = common_options(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    return partial(
        losses.cl_dice,
        input,
        target,
        iterations=iter_,
        smooth=(smooth_nr, smooth_dr),
        epsilon=smooth,
        pool="micro",
        reduction=reduction,
        **settings,
        **options,
    )


@loss_preset(
    "monai.losses.SoftDiceclDiceLoss",
    note=(
        "For releases up to 1.5 see `monai_1_5`. If neighbors tie, the gradient of the skeleton is torch's "
        'gradient of a maximum in MONAI. `reduction="none"`, with which MONAI adds an array of images and classes '
        "to a number, is not supported."
    ),
)
def soft_dicecl_dice_loss(
    input: Array,
    target: Array,
    *,
    iter_: int = 3,
    alpha: float = 0.5,
    smooth_nr: float = 1.0,
    smooth_dr: float = 1.0,
    smooth: float = 1e-4,
    include_background: bool = True,
    to_onehot_y: bool = False,
    sigmoid: bool = False,
    softmax: bool = False,
    reduction: Literal["mean", "sum"] = "mean",
    **options: Any,
) -> Call:
    """Return the weighted sum of Dice loss and soft centerline Dice loss."""
    target, settings = common_options(
        input,
        target,
        to_onehot_y=to_onehot_y,
        sigmoid=sigmoid,
        softmax=softmax,
        include_background=include_background,
        options=options,
    )
    return partial(
        losses.dice_cl_dice,
        input,
        target,
        alpha=alpha,
        iterations=iter_,
        smooth=(smooth_nr, smooth_dr),
        epsilon=smooth,
        pool="micro",
        dice_pool="image",
        reduction=reduction,
        **settings,
        **options,
    )


@loss_preset(
    "monai.losses.AsymmetricUnifiedFocalLoss",
    note=(
        "Takes probabilities of two classes, in two channels or in one. The focal part is a mean over classes and "
        "over ignored pixels as well. Every `reduction` gives the same number, as in MONAI. MONAI bounds "
        "probabilities by 1e-7. Wrong probabilities of 0 or 1 therefore have a loss of at most 16 there, and an "
        "image with every pixel ignored has a loss above 0. Up to 1.5 the loss has no gradient."
    ),
)
def asymmetric_unified_focal_loss(
    input: Array,
    target: Array,
    *,
    to_onehot_y: bool = False,
    num_classes: int = 2,
    weight: float = 0.5,
    gamma: float = 0.5,
    delta: float = 0.7,
    reduction: Reduction = "mean",
    ignore_index: int | None = None,
) -> Call:
    """Return the asymmetric unified focal loss."""
    check_choice("num_classes", num_classes, (2,))
    check_choice("reduction", reduction, Reduction)
    target, settings = common_options(input, target, to_onehot_y=to_onehot_y, ignore_index=ignore_index)
    del settings["exclude_background"]
    several = channels(input) > 1
    parts = (
        _unified_of_two_channels(settings, gamma, delta) if several else _unified_of_one_channel(settings, gamma, delta)
    )
    shares = [weight / 2] * (len(parts) // 2) + [(1 - weight) / (1 if several else 2)] * (len(parts) // 2)
    return weighted_sum(input, target, tuple(zip(parts, shares, strict=True)))


def _unified_of_two_channels(settings: Mapping[str, Any], gamma: float, delta: float) -> list[Any]:
    """Return the focal part and the Tversky part for two channels."""
    unified = partial(losses.unified_focal, delta=delta, gamma=gamma, asymmetric=True, smooth=EPSILON, **settings)
    return [
        Changed(partial(unified, weight=0.0), mean_over_ignored_pixels, "(mean over all pixels)"),
        partial(unified, weight=1.0),
    ]


def _unified_of_one_channel(settings: Mapping[str, Any], gamma: float, delta: float) -> list[Any]:
    """Return the focal and the Tversky parts of the background and the foreground for one channel."""
    settings = {**settings, "activation": None}
    focal = partial(losses.focal, denominator="all", **settings)
    region = {"alpha": 1 - delta, "beta": delta, "smooth": EPSILON, "smooth_form": "tp", **settings}
    return [
        partial(focal, gamma=gamma, alpha=0.0, class_weights=[1 - delta]),
        partial(focal, gamma=0.0, alpha=1.0, class_weights=[delta]),
        Changed(partial(losses.tversky, **region), of_the_background, "(of the background)"),
        partial(losses.focal_tversky, exponent=1 - gamma, **region),
    ]
