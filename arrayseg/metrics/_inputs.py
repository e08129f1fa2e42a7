"""Label maps on entry: which arrays may meet, as which shapes, and what is wrong with a label out of range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from arrayseg._checks import check_flag, check_index
from arrayseg._typing import Array
from arrayseg.backends import Backend, common_backend
from arrayseg.backends.counts import count_each_image, countable
from arrayseg.backends.labels import holds

__all__ = [
    "LabelMaps",
    "check_class_axis",
    "check_num_classes",
    "check_per_image",
    "count_label_maps",
    "read_label_maps",
    "refuse_out_of_range",
]


@dataclass(frozen=True)
class LabelMaps:
    """A prediction, a target and a mask of one library and shape; counted as N images of P pixels: `(N, P)`."""

    backend: Backend
    prediction: Array
    target: Array
    mask: Array | None
    num_classes: int
    ignore_index: int | None
    #: Whether the prediction is the arg max of scores, and -1 where a score is nan.
    of_scores: bool = False

    def as_images(self, per_image: bool) -> LabelMaps:
        """Return the images apart, `(N, P)`, or all pixels as one image, `(1, P)`."""
        shape = self.target.shape
        rows = (shape[0], prod(shape[1:])) if per_image else (1, prod(shape))
        return self._each(lambda array: self.backend.xp.reshape(array, rows))

    def in_memory_order(self, per_image: bool) -> LabelMaps:
        """Return the maps with their axes as they lie in memory, behind the batch axis where images are apart.

        Counts do not depend on the order of the pixels, and medical volumes come in Fortran order, out of which a
        reshape would copy them number by number.
        """
        if not self.is_concrete:
            return self
        order = self.backend.memory_order(self.target)
        if per_image:
            order = (0, *(axis for axis in order if axis))
        if order == tuple(range(len(order))):
            return self
        return self._each(lambda array: self.backend.xp.permute_dims(array, order))

    def _each(self, function: Callable[[Array], Array]) -> LabelMaps:
        prediction, target, mask = (
            None if array is None else function(array) for array in (self.prediction, self.target, self.mask)
        )
        return replace(self, prediction=prediction, target=target, mask=mask)

    def joint_histogram(self) -> tuple[Array, Array]:
        """`(N, C, C)` counts, and the number of pixels that a label out of range kept from being counted."""
        return self.backend.counts.joint_histogram(
            self.prediction,
            self.target,
            num_classes=self.num_classes,
            ignore_index=self.ignore_index,
            mask=self.mask,
        )

    def label_overlap(self) -> tuple[Array, Array, Array, Array]:
        """Count the intersection, prediction and target of each class in each image, `(N, C)`, without a matrix.

        The last result is the number of pixels with a label out of range.
        """
        backend, classes = self.backend, self.num_classes
        prediction, target, counted, uncounted = countable(
            backend, self.prediction, self.target, classes, self.ignore_index, self.mask
        )
        hits = count_each_image(backend.counts, target, counted & (prediction == target), classes)
        predicted = count_each_image(backend.counts, prediction, counted, classes)
        return hits, predicted, count_each_image(backend.counts, target, counted, classes), uncounted

    @property
    def is_concrete(self) -> bool:
        """Whether Python may read the labels: no compiler is tracing them."""
        return self.backend.is_concrete(self.prediction, self.target, self.mask)


def read_label_maps(
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    ignore_index: int | None,
    mask: Array | None,
    per_image: bool,
    class_axis: int | None,
) -> LabelMaps:
    """Checked label maps: the images of the batch apart where `per_image`, else as one image of all the pixels."""
    backend = common_backend(prediction=prediction, target=target, mask=mask)
    maps = _check_maps(backend, prediction, target, mask, num_classes, ignore_index, per_image, class_axis)
    return maps.as_images(per_image)


def count_label_maps(
    statistic: Callable[[LabelMaps], Array],
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    ignore_index: int | None,
    mask: Array | None,
    per_image: bool,
    class_axis: int | None,
) -> Array:
    """A statistic `(N, ...)` of label maps as `read_label_maps` gives them, or `(...)` of all images together.

    Of Dask arrays it is lazy: the sum of those of the chunks, each of which is checked as it is counted.
    """
    per_image = check_flag("per_image", per_image)
    backend = common_backend(lazy=True, prediction=prediction, target=target, mask=mask)
    maps = _check_maps(backend, prediction, target, mask, num_classes, ignore_index, per_image, class_axis)
    if per_image:
        check_per_image(maps.target)
    count = partial(_count, statistic, per_image, maps.num_classes, maps.ignore_index, maps.of_scores)
    return backend.counts.sum_of_chunks(count, maps.prediction, maps.target, maps.mask, batch_axes=int(per_image))


def _count(
    statistic: Callable[[LabelMaps], Array],
    per_image: bool,
    num_classes: int,
    ignore_index: int | None,
    of_scores: bool,
    backend: Backend,
    prediction: Array,
    target: Array,
    mask: Array | None,
) -> Array:
    """Return the statistic of checked arrays."""
    maps = LabelMaps(backend, prediction, target, mask, num_classes, ignore_index, of_scores)
    counts = statistic(maps.in_memory_order(per_image).as_images(per_image))
    return counts if per_image else counts[0, ...]


def _check_maps(
    backend: Backend,
    prediction: Array,
    target: Array,
    mask: Array | None,
    num_classes: int,
    ignore_index: int | None,
    per_image: bool,
    class_axis: int | None,
) -> LabelMaps:
    """Label maps of the shape of `target`, or a sentence that says what is wrong with them."""
    num_classes = check_num_classes(num_classes)
    class_axis = class_axis if class_axis is None else check_index("class_axis", class_axis)
    _check_labels(backend, target, "target")
    of_scores = prediction.ndim == target.ndim + 1
    if of_scores:
        prediction = _arg_max(backend, prediction, target, num_classes, 1 if class_axis is None else class_axis)
    elif class_axis is not None:
        msg = (
            f"`class_axis` is {class_axis}, so `prediction` must hold scores with one axis more than `target`; "
            f"got shapes {tuple(prediction.shape)} and {tuple(target.shape)}. Leave `class_axis` out for class ids."
        )
        raise ValueError(msg)
    _check_labels(backend, prediction, "prediction")
    _check_shape(prediction, target, "prediction")
    _refuse_channels(backend, prediction, target, num_classes)
    if not of_scores:
        _refuse_one_hot(backend, prediction, target, num_classes)
    if mask is not None:
        if not backend.xp.isdtype(mask.dtype, "bool"):
            msg = f"`mask` must be boolean, True where a pixel counts; got {mask.dtype}. Write for example `mask > 0`."
            raise TypeError(msg)
        _check_shape(mask, target, "mask")
    if per_image and target.ndim == 0:
        check_per_image(target)
    if ignore_index is not None:
        ignore_index = check_index("ignore_index", ignore_index)
        ignore_index = ignore_index if holds(backend, target, ignore_index) else None
    return LabelMaps(backend, prediction, target, mask, num_classes, ignore_index, of_scores)


def check_num_classes(num_classes: int) -> int:
    """Return the number of classes as a positive Python integer."""
    return check_index("num_classes", num_classes, 1)


def check_class_axis(class_axis: int, name: str, scores: Array) -> int:
    """Return the axis of scores that holds the classes, counted from the first."""
    axis, axes = check_index("class_axis", class_axis), len(scores.shape)
    if not -axes <= axis < axes:
        msg = f"`class_axis` is {axis}, but `{name}` has shape {tuple(scores.shape)}."
        raise ValueError(msg)
    return axis % axes


def check_per_image(target: Array, *, signals: bool = True) -> None:
    """Raise for a single map, whose rows would be taken for images; `signals` may be counted as images of a column."""
    if target.ndim < 3:
        msg = (
            "Counting each image needs maps with a batch axis and at least two spatial axes, (N, *spatial); got shape "
            f"{tuple(target.shape)}. Pass a single map as `target[None, ...]`"
            f"{', and N signals as `target[..., None]`' if signals else ''}."
        )
        raise ValueError(msg)


def _refuse_channels(backend: Backend, prediction: Array, target: Array, num_classes: int) -> None:
    """Raise for boolean arrays of more than two classes: their channels would be read as the ids 0 and 1."""
    if num_classes > 2 and all(backend.xp.isdtype(array.dtype, "bool") for array in (prediction, target)):
        msg = (
            f"`prediction` and `target` are boolean, so they hold the ids 0 and 1 only, but `num_classes` is "
            f"{num_classes}. Masks with a channel for each class, which may overlap, are not label maps: count each "
            "channel by itself with metrics.class_counts(prediction, target, num_classes="
            f"{num_classes}, class_axis=1), or pass class ids, the arg max over the channels."
        )
        raise TypeError(msg)


def _refuse_one_hot(backend: Backend, prediction: Array, target: Array, num_classes: int) -> None:
    """Raise for one-hot arrays `(N, C, H, W)`, whose channels would be read as slices of a volume of ids 0 and 1."""
    if target.ndim < 4 or target.shape[1] != num_classes or num_classes == 1 or 0 in target.shape:
        return
    if not backend.is_concrete(prediction, target):
        return
    xp = backend.xp
    with backend.enable_64_bits(prediction, target), backend.reading():
        for labels in (prediction, target):
            ids = xp.astype(labels, backend.count_dtype(labels))
            if not bool(xp.all((ids == 0) | (ids == 1))) or not bool(xp.all(xp.sum(ids, axis=1) == 1)):
                return
    msg = (
        f"`prediction` and `target` of shape {tuple(target.shape)} hold one 1 for each pixel along the {num_classes} "
        "places of axis 1, so they are one-hot, and not class ids. Pass the arg max over that axis. Volumes of ids "
        "that happen to be such may be passed as `prediction[:, None, ...]` and `target[:, None, ...]`."
    )
    raise ValueError(msg)


def refuse_out_of_range(maps: LabelMaps, uncounted: Array) -> None:
    """Raise if pixels that were to be counted could not be: which label is to blame is looked up only then."""
    if not maps.is_concrete or int(uncounted) == 0:
        return
    target, prediction = maps.backend.to_numpy(maps.target), maps.backend.to_numpy(maps.prediction)
    wanted = target != maps.ignore_index if maps.ignore_index is not None else target == target  # noqa: PLR0124
    if maps.mask is not None:
        wanted &= maps.backend.to_numpy(maps.mask)
    for name, labels in (("target", target), ("prediction", prediction)):
        counted = labels[wanted]
        outside = counted[(counted < 0) | (counted >= maps.num_classes)]
        if outside.size and name == "prediction" and maps.of_scores:
            msg = (
                f"`prediction` holds nan scores at {outside.size} of {labels.size} pixels, so they have no predicted "
                "class. Leave them out with a `mask`, or find out why the model gives nan."
            )
            raise ValueError(msg)
        if outside.size:
            msg = (
                f"`{name}` has the label {outside[0]} at {outside.size} of {labels.size} pixels, outside 0 .. "
                f"{maps.num_classes - 1}. {_remedy(name, counted, outside[0])}"
            )
            raise ValueError(msg)


def _remedy(name: str, labels: np.ndarray[Any, Any], label: int) -> str:
    """Return what to do about a label out of range; to ignore that of a mask would leave out all its foreground."""
    if ((labels == 0) | (labels == label)).all():
        return f"It holds nothing else but 0, as a mask read from a file does: pass `{name} > 0`, of two classes."
    return (
        "Pass a larger `num_classes`, or "
        f"{f'`ignore_index={label}` if it marks void pixels' if name == 'target' else 'a `mask`'}."
    )


def _arg_max(backend: Backend, scores: Array, target: Array, num_classes: int, class_axis: int) -> Array:
    """Return the class of the highest score; -1, which is no class, where a score is nan."""
    if backend.xp.isdtype(scores.dtype, "bool"):
        msg = (
            "`prediction` is boolean and has one axis more than `target`: each channel is a mask, and not a score. "
            "Pass the class ids, or floating scores, whose arg max is taken."
        )
        raise TypeError(msg)
    class_axis = check_class_axis(class_axis, "prediction", scores)
    shape: Sequence[int] = scores.shape
    if tuple(shape[:class_axis]) + tuple(shape[class_axis + 1 :]) != tuple(target.shape):
        msg = (
            f"`prediction` of shape {tuple(shape)}, without its class axis {class_axis}, does not have the shape "
            f"{tuple(target.shape)} of `target`. Pass the `class_axis` that holds the scores."
        )
        raise ValueError(msg)
    if shape[class_axis] != num_classes:
        msg = f"`prediction` has {shape[class_axis]} scores on axis {class_axis}, but `num_classes` is {num_classes}."
        raise ValueError(msg)
    highest = backend.xp.argmax(scores, axis=class_axis)
    if not backend.xp.isdtype(scores.dtype, "real floating"):
        return highest
    undefined = backend.xp.any(backend.xp.isnan(scores), axis=class_axis)
    return backend.xp.where(undefined, backend.xp.full_like(highest, -1), highest)


def _check_labels(backend: Backend, labels: Array, name: str) -> None:
    if not backend.xp.isdtype(labels.dtype, ("integral", "bool")):
        msg = f"`{name}` must hold class ids of an integer or boolean dtype; got {labels.dtype}. "
        msg += "Scores need a class axis; ids in a floating array need a cast." if name == "prediction" else "Cast it."
        raise TypeError(msg)


def _check_shape(array: Array, target: Array, name: str) -> None:
    if tuple(array.shape) != tuple(target.shape):
        msg = f"`{name}` has shape {tuple(array.shape)} and `target` has {tuple(target.shape)}; they must be equal."
        raise ValueError(msg)
