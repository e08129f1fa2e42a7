"""MONAI's focal loss and its sums with region losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

from arrayseg import losses
from arrayseg._typing import Array, Reduction, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._calls import Call, loss_of_each_class, unreduced, weighted_sum
from arrayseg.compat._inputs import channels, is_number
from arrayseg.compat.monai._options import counted_classes, one_per_class

__all__ = ["class_maps", "focal_part", "region_plus_focal", "weights_within_images"]


def focal_part(
    input: Array,
    *,
    include_background: bool,
    gamma: float,
    alpha: float | Weights | None,
    weight: float | Weights | None,
    reduction: Reduction,
    softmax: bool = False,
    ignores: bool = False,
    options: Mapping[str, Any] = {},
) -> partial[Array]:
    """Return MONAI's focal loss; its sum adds the mean over the pixels of each image and class."""
    total, count = channels(input, options), counted_classes(input, include_background, options)
    share = 1.0
    if reduction != "none" and not ignores:
        share = total / count if reduction == "mean" else total / prod(input.shape[1:])
    weights = one_per_class(1.0 if weight is None else weight, 0.0, total, count, "weight")
    if not (alpha is None or is_number(alpha) or softmax):
        # A list multiplies only positive targets: solve a w = alpha and (1 - a) w = 1.
        of_class = one_per_class(alpha, 1.0, total, count, "alpha")
        weights = [each * (1 + factor) for each, factor in zip(weights, of_class, strict=True)]
        alpha = [factor / (1 + factor) for factor in of_class]
    return partial(
        losses.focal,
        gamma=gamma,
        alpha=alpha,
        activation="softmax" if softmax else "sigmoid",
        class_weights=[share * each for each in weights],
        denominator="valid" if ignores else "elements",
        reduction=reduction,
    )


def weights_within_images(input: Array, target: Array, settings: Mapping[str, Any]) -> Array:
    """Return the weight of each pixel in the mean over the pixels of its image that are not ignored."""
    xp = backend_of(input).xp
    kept = settings["mask"] if "mask" in settings else target != settings["ignore_index"]
    kept = xp.astype(kept, input.dtype)
    return kept / xp.maximum(xp.sum(kept, axis=tuple(range(1, kept.ndim)), keepdims=True), xp.ones_like(kept[:1, ...]))


def class_maps(call: Call, *, first: int) -> Array:
    """Return the focal losses of the classes from `first` on, `(N, C, *spatial)`."""
    return loss_of_each_class(call, call.keywords["class_weights"], first=first)


def region_plus_focal(
    input: Array, target: Array, parts: Sequence[tuple[partial[Array], float]], reduction: Reduction
) -> Call:
    """Return the call of a region loss plus a focal loss.

    Without a reduction, the region loss is added to the focal loss of each pixel.
    """
    if reduction != "none":
        return weighted_sum(input, target, parts)
    (region, region_factor), (focal, focal_factor) = parts
    first = int(region.keywords["exclude_background"])
    finish = partial(_add_to_maps, focal=focal, factors=(region_factor, focal_factor), first=first)
    return unreduced(partial(region, input, target), finish)


def _add_to_maps(region: Call, *, focal: partial[Array], factors: tuple[float, float], first: int) -> Array:
    """Return a region loss `(N, C)`, `(C,)`, `(N,)` or `()` plus the maps of a focal loss, `(N, C, *spatial)`."""
    maps = class_maps(partial(focal, *region.args), first=first) * factors[1]
    scores = region() * factors[0]
    images = 1 if region.keywords["pool"] == "batch" else maps.shape[0]
    classes = 1 if region.func is losses.generalized_dice else maps.shape[1]
    return maps + backend_of(maps).xp.reshape(scores, (images, classes, *[1] * (maps.ndim - 2)))
