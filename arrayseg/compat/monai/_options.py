"""Translate the options of MONAI's losses to ours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from arrayseg._typing import Array, Pool, Reduction, SoftTruePositive, Weights
from arrayseg.backends import backend_of
from arrayseg.compat._calls import Call, unreduced
from arrayseg.compat._inputs import channels, class_ids, is_number, without_channel

__all__ = [
    "common_options",
    "counted_classes",
    "mean_over_batch",
    "one_per_class",
    "pool_of",
    "region_weights",
    "soft_true_positive",
]


def common_options(
    input: Array,
    target: Array,
    *,
    to_onehot_y: bool,
    sigmoid: bool = False,
    softmax: bool = False,
    include_background: bool = True,
    ignore_index: int | None = None,
    options: Mapping[str, Any] = {},
) -> tuple[Array, dict[str, Any]]:
    """Return the target and our options for what MONAI's losses share.

    Most of MONAI's options have no effect on a single channel.
    """
    if sigmoid and softmax:
        msg = "`sigmoid` and `softmax` cannot both be true. Set only the one that turns the input into probabilities."
        raise ValueError(msg)
    several = channels(input, options) > 1
    target = class_ids(input, target) if to_onehot_y and several else target
    settings: dict[str, Any] = {
        "activation": "sigmoid" if sigmoid else "softmax" if softmax and several else None,
        "exclude_background": several and not include_background,
    }
    if ignore_index is not None and several and target.ndim < input.ndim:
        settings["ignore_index"] = ignore_index
    elif ignore_index is not None:
        settings["mask"] = _counted_pixels(input, target, ignore_index)
    return target, settings


def _counted_pixels(input: Array, target: Array, ignore_index: int) -> Array:
    """Return the mask of the pixels that are not ignored, for a target with a value for every class."""
    if target.ndim < input.ndim or target.shape[1] == 1:
        return without_channel(input, target) != ignore_index
    if 0 <= ignore_index < target.shape[1]:
        return target[:, ignore_index, ...] < 1
    return backend_of(target, "target").xp.sum(target, axis=1) > 0


def pool_of(batch: bool) -> Pool:
    """Return our `pool` for MONAI's `batch`."""
    return "batch" if batch else "image"


def soft_true_positive(squared_pred: bool, soft_label: bool) -> SoftTruePositive:
    """Return our `soft_tp` for MONAI's flags."""
    return "l2" if squared_pred else "l1" if soft_label else "product"


def counted_classes(input: Array, include_background: bool, options: Mapping[str, Any] = {}) -> int:
    """Return the number of classes that count: without the background if it is excluded."""
    total = channels(input, options)
    return total - (total > 1 and not include_background)


def one_per_class(values: float | Weights, missing: float, total: int, count: int, name: str) -> list[float]:
    """Return one number for each of `total` classes, `missing` for those before the last `count`.

    `values` is one number for all classes that count, or one for each of them.
    """
    numbers = [float(values)] * count if is_number(values) else [float(value) for value in values]  # type: ignore[union-attr,arg-type]
    if len(numbers) != count:
        msg = f"`{name}` must be a number or hold one for each of the {count} classes that count; got {len(numbers)}."
        raise ValueError(msg)
    return [missing] * (total - count) + numbers


def region_weights(
    input: Array, weight: float | Weights | None, include_background: bool, options: Mapping[str, Any] = {}
) -> list[float] | None:
    """Return the weights of all classes in a region loss; MONAI ignores the weight of a single class."""
    count = counted_classes(input, include_background, options)
    if weight is None or count == 1:
        return None
    return one_per_class(weight, 0.0, channels(input, options), count, "weight")


def mean_over_batch(call: partial[Array], batch: bool, reduction: Reduction) -> Call:
    """Return a call whose losses of a class are averaged over the images before they are added up or returned."""
    if not batch or reduction == "mean":
        return call
    if reduction == "none":
        return unreduced(call, _mean_of_images)
    input = call.args[0]
    classes = channels(input, call.keywords)
    return partial(call, class_weights=[1 / input.shape[0]] * classes)


def _mean_of_images(call: Call) -> Array:
    """Return the mean over the images, `(C,)`."""
    found = call()
    return backend_of(found).xp.mean(found, axis=0)
