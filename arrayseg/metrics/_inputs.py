"""Check label maps, and count them: as arrays of one library and shape, with every label in range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from arrayseg._checks import check_flag, check_index
from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of, common_backend
from arrayseg.backends.counts import count_each_image, countable
from arrayseg.backends.labels import holds

__all__ = [
    "LabelMaps",
    "check_boolean",
    "check_class_axis",
    "check_image_maps",
    "check_masks",
    "check_num_classes",
    "check_per_image",
    "count_label_maps",
    "read_label_maps",
    "refuse_out_of_range",
]


@dataclass(frozen=True)
class LabelMaps:
    """A prediction, a target and a mask of one library and shape, with the options that say how to count them."""

    backend: Backend
    prediction: Array
    target: Array
    mask: Array | None
    num_classes: int
    ignore_index: int | None
    #: Whether the prediction is the arg max of scores. It is then -1 where a score is nan.
    from_scores: bool = False

    def as_rows(self, per_image: bool, *, in_memory_order: bool = False) -> LabelMaps:
        """Return the maps with one row of pixels for each image, `(N, P)`, or one row for all images, `(1, P)`.

        With `in_memory_order` the pixels of a row come as they lie in memory. Counts do not depend on their order, and
        medical volumes come in Fortran order, which a plain reshape would copy number by number.
        """
        xp, shape = self.backend.xp, self.target.shape
        rows = (shape[0], prod(shape[1:])) if per_image else (1, prod(shape))
        order = tuple(range(len(shape)))
        if in_memory_order and self.is_concrete:
            order = self.backend.memory_order(self.target)
            order = (0, *(axis for axis in order if axis)) if per_image else order
        is_ordered = order == tuple(range(len(shape)))

        def row(array: Array) -> Array:
            return xp.reshape(array if is_ordered else xp.permute_dims(array, order), rows)

        mask = None if self.mask is None else row(self.mask)
        return replace(self, prediction=row(self.prediction), target=row(self.target), mask=mask)

    def joint_histogram(self) -> tuple[Array, Array]:
        """Return counts `(N, C, C)`, and the number of pixels left out because a label is out of range."""
        return self.backend.counts.joint_histogram(
            self.prediction,
            self.target,
            num_classes=self.num_classes,
            ignore_index=self.ignore_index,
            mask=self.mask,
        )

    def label_overlap(self) -> tuple[Array, Array, Array, Array]:
        """Return the counts of both maps, prediction and target, `(N, C)` each, and the number of pixels left out."""
        backend, classes = self.backend, self.num_classes
        prediction, target, counted, left_out = countable(
            backend, self.prediction, self.target, classes, self.ignore_index, self.mask
        )
        hits = count_each_image(backend.counts, target, counted & (prediction == target), classes)
        predicted = count_each_image(backend.counts, prediction, counted, classes)
        return hits, predicted, count_each_image(backend.counts, target, counted, classes), left_out

    @property
    def is_concrete(self) -> bool:
        """Whether Python may read the labels: no compiler traces them."""
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
    """Return checked label maps with one row for each image if `per_image`, or one row for all images."""
    backend = common_backend(prediction=prediction, target=target, mask=mask)
    maps = _check_maps(backend, prediction, target, mask, num_classes, ignore_index, class_axis)
    if per_image and target.ndim == 0:
        check_per_image(target)
    return maps.as_rows(per_image)


def count_label_maps(
    count: Callable[[LabelMaps], Array],
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    ignore_index: int | None,
    mask: Array | None,
    per_image: bool,
    class_axis: int | None,
) -> Array:
    """Return `count(maps)` of checked label maps, `(N, ...)` of each image if `per_image`, or `(...)` of all together.

    For Dask arrays the result is lazy: the sum of the counts of the chunks.
    """
    per_image = check_flag("per_image", per_image)
    backend = common_backend(lazy=True, prediction=prediction, target=target, mask=mask)
    maps = _check_maps(backend, prediction, target, mask, num_classes, ignore_index, class_axis)
    if per_image:
        check_per_image(target)
    if not backend.has_chunks:
        return _count(count, maps, per_image)
    from arrayseg.backends.dask import sum_of_chunks

    count_chunk = partial(_count_chunk, count, per_image, maps.num_classes, maps.ignore_index, maps.from_scores)
    return sum_of_chunks(count_chunk, maps.prediction, maps.target, maps.mask, batch_axes=int(per_image))


def _count(count: Callable[[LabelMaps], Array], maps: LabelMaps, per_image: bool) -> Array:
    counts = count(maps.as_rows(per_image, in_memory_order=True))
    return counts if per_image else counts[0, ...]


def _count_chunk(
    count: Callable[[LabelMaps], Array],
    per_image: bool,
    num_classes: int,
    ignore_index: int | None,
    from_scores: bool,
    prediction: Array,
    target: Array,
    mask: Array | None,
) -> Array:
    """Return the counts of one chunk of a Dask array."""
    maps = LabelMaps(backend_of(target), prediction, target, mask, num_classes, ignore_index, from_scores)
    return _count(count, maps, per_image)


def _check_maps(
    backend: Backend,
    prediction: Array,
    target: Array,
    mask: Array | None,
    num_classes: int,
    ignore_index: int | None,
    class_axis: int | None,
) -> LabelMaps:
    """Return label maps of the shape of `target`, or raise an error that says what is wrong with them."""
    num_classes = check_num_classes(num_classes)
    class_axis = class_axis if class_axis is None else check_index("class_axis", class_axis)
    _check_labels(backend, target, "target")
    from_scores = prediction.ndim == target.ndim + 1
    if from_scores:
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
    if not from_scores:
        _refuse_one_hot(backend, prediction, target, num_classes)
    if mask is not None:
        if not backend.xp.isdtype(mask.dtype, "bool"):
            msg = f"`mask` must be boolean, True where a pixel counts; got {mask.dtype}. Write for example `mask > 0`."
            raise TypeError(msg)
        _check_shape(mask, target, "mask")
    if ignore_index is not None:
        ignore_index = check_index("ignore_index", ignore_index)
        ignore_index = ignore_index if holds(backend, target, ignore_index) else None
    return LabelMaps(backend, prediction, target, mask, num_classes, ignore_index, from_scores)


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
    """Raise for a single map, whose rows would be taken for images; `signals` adds how to pass signals."""
    if target.ndim < 3:
        msg = (
            "Counting each image needs maps with a batch axis and at least two spatial axes, (N, *spatial); got shape "
            f"{tuple(target.shape)}. Pass a single map as `target[None, ...]`"
            f"{', and N signals as `target[..., None]`' if signals else ''}."
        )
        raise ValueError(msg)


def _refuse_channels(backend: Backend, prediction: Array, target: Array, num_classes: int) -> None:
    """Raise for boolean arrays if there are more than two classes: channels would be read as the ids 0 and 1."""
    if num_classes > 2 and all(backend.xp.isdtype(array.dtype, "bool") for array in (prediction, target)):
        msg = (
            f"`prediction` and `target` are boolean, so they hold the ids 0 and 1 only, but `num_classes` is "
            f"{num_classes}. Masks with a channel for each class, which may overlap, are not label maps: count each "
            "channel by itself with metrics.class_counts(prediction, target, num_classes="
            f"{num_classes}, class_axis=1), or pass class ids, the arg max over the channels."
        )
        raise TypeError(msg)


def _refuse_one_hot(backend: Backend, prediction: Array, target: Array, num_classes: int) -> None:
    """Raise for one-hot arrays `(N, C, H, W)`: channels would be read as the slices of a volume of ids 0 and 1."""
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
        "entries of axis 1, so they are one-hot, and not class ids. Pass the arg max over that axis, or volumes of "
        "ids that only look one-hot as `prediction[:, None, ...]` and `target[:, None, ...]`."
    )
    raise ValueError(msg)


def refuse_out_of_range(maps: LabelMaps, left_out: Array) -> None:
    """Raise if pixels were left out because of their labels; only then are the labels looked through."""
    if not maps.is_concrete or int(left_out) == 0:
        return
    target, prediction = maps.backend.to_numpy(maps.target), maps.backend.to_numpy(maps.prediction)
    valid = np.ones(target.shape, dtype=bool) if maps.ignore_index is None else target != maps.ignore_index
    if maps.mask is not None:
        valid &= maps.backend.to_numpy(maps.mask)
    for name, labels in (("target", target), ("prediction", prediction)):
        counted = labels[valid]
        outside = counted[(counted < 0) | (counted >= maps.num_classes)]
        if outside.size and name == "prediction" and maps.from_scores:
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
    """Return what to do about a label out of range; ignoring the 255 of a mask would leave out all its foreground."""
    if ((labels == 0) | (labels == label)).all():
        return f"The only other label is 0, as in a mask read from a file: pass `{name} > 0`, which has two classes."
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
    """Raise unless labels are integers or booleans."""
    if not backend.xp.isdtype(labels.dtype, ("integral", "bool")):
        msg = f"`{name}` must hold class ids of an integer or boolean dtype; got {labels.dtype}. "
        msg += "Scores need a class axis; ids in a floating array need a cast." if name == "prediction" else "Cast it."
        raise TypeError(msg)


def _check_shape(array: Array, target: Array, name: str) -> None:
    """Raise unless an array has the shape of `target`."""
    if tuple(array.shape) != tuple(target.shape):
        msg = f"`{name}` has shape {tuple(array.shape)} and `target` has {tuple(target.shape)}; they must be equal."
        raise ValueError(msg)


def check_image_maps(**maps: Any) -> Backend:
    """Return the adapter of label maps of one image, after checking that they share library, device and shape."""
    backend = common_backend(**maps)
    given = {name: array for name, array in maps.items() if array is not None}
    first_name, first = next(iter(given.items()))
    for name, array in given.items():
        if not backend.xp.isdtype(array.dtype, ("integral", "bool")):
            msg = f"`{name}` must hold labels of an integer or boolean dtype; got {array.dtype}. Cast it."
            raise TypeError(msg)
        if tuple(array.shape) != tuple(first.shape):
            msg = (
                f"`{name}` has shape {tuple(array.shape)} and `{first_name}` has {tuple(first.shape)}; "
                "they must be equal, because both are maps of one image."
            )
            raise ValueError(msg)
    return backend


def check_masks(**masks: Any) -> Backend:
    """Return the adapter of boolean masks of one image, after checking that they share library, device and shape."""
    backend = check_image_maps(**masks)
    check_boolean(backend, **masks)
    return backend


def check_boolean(backend: Backend, **masks: Array | None) -> None:
    """Raise for a mask that is not boolean."""
    for name, mask in masks.items():
        if mask is not None and not backend.xp.isdtype(mask.dtype, "bool"):
            msg = (
                f"`{name}` must be a boolean mask; got {mask.dtype}. Write for example `{name} > 0`, or `{name} == 1` "
                "for the mask of one label."
            )
            raise TypeError(msg)
