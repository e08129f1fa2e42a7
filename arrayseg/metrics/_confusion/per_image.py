"""Counts of each image, and the averages that take them one by one: by image, by class, and of the worst."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Literal

from arrayseg._checks import check_choice, check_flag, check_index, check_numbers, is_several
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, backend_of, common_backend
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import check_counts, intersections, mean_of_defined, quotient, take_classes
from arrayseg.metrics._inputs import LabelMaps, check_num_classes, count_label_maps, refuse_out_of_range

__all__ = ["class_counts", "fine_grained_mean"]


@raises_here
def class_counts(
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    ignore_index: int | None = None,
    mask: Array | None = None,
    class_axis: int | None = None,
) -> Array:
    r"""True positives, false positives and false negatives of each class in each image.

    .. math:: (TP, FP, FN)_{nc} = \#\{i : \text{target}_{ni} = c \wedge \text{prediction}_{ni} = c\}, \dots

    Parameters
    ----------
    prediction
        Class ids of `target`'s shape, or scores with one axis more, as `confusion_matrix` takes them.
    target
        Class ids `(N, *spatial)`, of any integer dtype or boolean.
    num_classes
        C, the number of classes; labels are 0 to C - 1.
    ignore_index
        The id of void pixels; pixels whose target has it count nowhere. None: every pixel counts.
    mask
        Boolean array of `target`'s shape, True where a pixel counts.
    class_axis
        The axis of the scores in `prediction`, 1 by default; only for scores. Or, of boolean `prediction` and `target`
        `(N, C, *spatial)`, the axis of their channels: masks that may overlap, each counted by itself. Void pixels are
        then given by `mask`, `(N, *spatial)`.

    Returns
    -------
    Array
        Integers `(N, C, 3)`: along the last axis true positives, false positives and false negatives. Concatenate the
        counts of batches along the first axis.

    Raises
    ------
    ValueError
        If shapes do not fit, or if a label that counts is out of range (under a compiler such pixels count nowhere).
    TypeError
        If libraries are mixed, ids are not integers, or the mask is not boolean.

    Notes
    -----
    The matrices of the images are made only where one is smaller than an image; with more classes than that the three
    numbers are counted directly, and memory grows with N C. The counts of Dask arrays are a lazy Dask array.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.asarray([[[0, 0], [1, 1]], [[0, 0], [0, 0]]])
    >>> prediction = np.asarray([[[0, 0], [0, 1]], [[0, 0], [0, 1]]])
    >>> metrics.class_counts(prediction, target, num_classes=2)
    array([[[2, 1, 0],
            [1, 0, 1]],
    <BLANKLINE>
           [[3, 0, 1],
            [0, 1, 0]]])
    """
    common_backend(lazy=True, prediction=prediction, target=target, mask=mask)
    if class_axis is not None and prediction.ndim == target.ndim:
        return _count_channels(prediction, target, num_classes, ignore_index, mask, class_axis)
    return count_label_maps(
        _outcomes,
        prediction,
        target,
        num_classes=num_classes,
        ignore_index=ignore_index,
        mask=mask,
        per_image=True,
        class_axis=class_axis,
    )


def _count_channels(
    prediction: Array, target: Array, num_classes: int, ignore_index: int | None, mask: Array | None, class_axis: int
) -> Array:
    """Return `(N, C, 3)` counts of boolean channels that may overlap, each counted by itself."""
    backend = common_backend(lazy=True, prediction=prediction, target=target, mask=mask)
    xp, axis = backend.xp, check_index("class_axis", class_axis, -target.ndim, target.ndim - 1) % target.ndim
    shape, num_classes = tuple(target.shape), check_num_classes(num_classes)
    if not all(xp.isdtype(array.dtype, "bool") for array in (prediction, target)) or ignore_index is not None:
        msg = (
            "With `class_axis`, `prediction` must hold scores with one axis more than `target`; or both must be "
            "boolean, with a channel for each class, and void pixels be given by `mask` instead of `ignore_index`; "
            f"got {prediction.dtype}, {target.dtype} and ignore_index={ignore_index}."
        )
        raise ValueError(msg)
    if axis == 0 or target.ndim < 3 or shape[axis] != num_classes or tuple(prediction.shape) != shape:
        msg = (
            f"Channels of `prediction` and `target` must have one shape, (N, C, *spatial) with C = {num_classes} on "
            f"axis {axis}; got {tuple(prediction.shape)} and {shape}."
        )
        raise ValueError(msg)
    if mask is not None:
        if not xp.isdtype(mask.dtype, "bool") or tuple(mask.shape) != (*shape[:axis], *shape[axis + 1 :]):
            msg = f"`mask` must be boolean and have the shape of `target` without its channels; got {mask.dtype} "
            msg += f"{tuple(mask.shape)}."
            raise ValueError(msg)
        mask = xp.broadcast_to(xp.expand_dims(mask, axis=1), (shape[0], num_classes, *mask.shape[1:]))
    channels = (xp.moveaxis(array, axis, 1) for array in (prediction, target))
    return backend.counts.sum_of_chunks(_outcomes_of_channels, *channels, mask, batch_axes=2)


def _outcomes_of_channels(backend: Backend, prediction: Array, target: Array, mask: Array | None) -> Array:
    """Return `(N, C, 3)`."""
    xp, axes = backend.xp, tuple(range(2, target.ndim))
    if mask is not None:
        prediction, target = prediction & mask, target & mask
    with backend.enable_64_bits(prediction, target):
        dtype = backend.count_dtype(target)
        parts = (prediction & target, prediction & ~target, target & ~prediction)
        return xp.stack([xp.sum(xp.astype(part, dtype), axis=axes, dtype=dtype) for part in parts], axis=-1)


def _outcomes(maps: LabelMaps) -> Array:
    """`(N, C, 3)`."""
    backend, xp = maps.backend, maps.backend.xp
    with backend.enable_64_bits(maps.prediction, maps.target, maps.mask):
        if maps.num_classes**2 <= maps.target.shape[1]:
            matrix, uncounted = maps.joint_histogram()
            hits, predicted, actual = intersections(backend, matrix)
        else:
            hits, predicted, actual, uncounted = maps.label_overlap()
        refuse_out_of_range(maps, uncounted)
        return xp.stack([hits, predicted - hits, actual - hits], axis=-1)


@computed_from("class_counts(prediction, target, num_classes=2)")
def fine_grained_mean(
    counts: Array,
    *,
    average: Literal["image", "class", "pair", "dataset"] = "image",
    score: Literal["iou", "dice", "accuracy"] = "iou",
    lowest: float | Sequence[float] = 100.0,
    present: Literal["target", "union"] = "target",
    classes: Sequence[int] | None = None,
    overlapping: bool = False,
) -> Array:
    r"""Mean of the scores of images: a score of each class in each image, averaged in the order that is asked for.

    .. math:: \text{mIoU}^I = \frac{1}{N} \sum_n \frac{1}{|K_n|} \sum_{c \in K_n} IoU_{nc}, \quad
        \text{mIoU}^C = \frac{1}{C} \sum_c \frac{1}{|\{n : c \in K_n\}|} \sum_{n : c \in K_n} IoU_{nc}

    with :math:`K_n` the classes present in image n.

    Parameters
    ----------
    counts
        Integers `(N, C, 3)` of all images, from `class_counts`.
    average
        ``"image"`` (default): over the classes of each image, then over images (mIoU^I). ``"class"``: over the images
        of each class, then over classes (mIoU^C). ``"pair"``: over all pairs of an image and a class in it.
        ``"dataset"``: the counts are pooled over the images first, then the mean over classes is taken (mIoU^D).
    score
        ``"iou"`` (default), ``"dice"`` or ``"accuracy"`` (recall).
    lowest
        Of the images (of each class, for ``"class"``; pairs, for ``"pair"``), only the lowest so many percent, at least
        one, enter the mean: the worst case. Of a sequence of percentages, the mean: ``range(10, 101, 10)`` is the
        quantile average. 100, the default: all.
    present
        Which classes an image has: those in its ``"target"`` (default), or those in its target or prediction
        (``"union"``).
    classes
        The classes that enter the means; None: all.
    overlapping
        Whether the classes are channels that may overlap, or a selection of the classes. By default they are all the
        classes of label maps, so that an image has as many false positives as false negatives. Counts `(N, 3, 3)` in
        which it has not are refused, because they may be confusion matrices.

    Returns
    -------
    Array
        Floating array `()`, float64 where there is one; nan if no class is present anywhere.

    Notes
    -----
    MONAI's ``MeanIoU`` and ``DiceMetric`` with their defaults give ``average="image"`` for ``reduction="mean"`` and,
    once averaged over the classes, ``average="class"`` for ``reduction="mean_batch"``. Torchmetrics' segmentation
    ``MeanIoU`` is ``average="pair", present="union"``. NnU-Net is ``average="class", present="union"``, but nan where a
    class occurs nowhere.

    References
    ----------
    Wang, Berman, Rannen-Triki, Blaschko and others, "Revisiting evaluation metrics for semantic segmentation:
    optimization and evaluation of fine-grained intersection over union", NeurIPS Datasets and Benchmarks (2023).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = np.asarray([[[2, 1, 0], [1, 0, 1]], [[3, 0, 1], [0, 1, 0]]])
    >>> metrics.fine_grained_mean(counts)
    np.float64(0.6666666666666666)
    >>> metrics.fine_grained_mean(counts, lowest=50)
    np.float64(0.5833333333333333)
    """
    check_choice("average", average, ("image", "class", "pair", "dataset"))
    score = check_choice("score", score, tuple(_SCORES))
    check_choice("present", present, ("target", "union"))
    overlapping = check_flag("overlapping", overlapping)
    percents = check_numbers("lowest", lowest if is_several(lowest) else (lowest,), 0, 100, above=True)
    backend = backend_of(counts, "counts")
    if counts.ndim != 3 or counts.shape[-1] != 3:
        msg = f"`counts` must have shape (N, C, 3), from class_counts; got {tuple(counts.shape)}."
        raise ValueError(msg)
    xp, dtype = backend.xp, backend.sum_dtype(counts)
    check_counts(backend, "counts", counts)
    if not overlapping:
        _refuse_matrices(backend, counts)
    with backend.enable_64_bits(counts):
        table = _scores(backend, counts, average == "dataset", score, present)
        scores, defined = (take_classes(backend, part, classes) for part in table)
        anything = xp.any(defined)
        if average == "class":
            scores, defined = xp.matrix_transpose(scores), xp.matrix_transpose(defined)
        elif average == "pair":
            scores, defined = xp.reshape(scores, (-1,)), xp.reshape(defined, (-1,))
        else:
            scores, defined = mean_of_defined(xp, scores, defined, 0.0), xp.any(defined, axis=-1)
        values = xp.stack([_mean_of_lowest(xp, scores, defined, percent) for percent in percents])
        if average == "class":
            values = mean_of_defined(xp, values, xp.any(defined, axis=-1), 0.0)
        return xp.astype(xp.mean(xp.where(anything, values, nan)), dtype, copy=False)


# What the numerator TP is divided by is TP + a FP + b FN.
_SCORES = {"iou": (1.0, 1.0), "dice": (0.5, 0.5), "accuracy": (0.0, 1.0)}


def _refuse_matrices(backend: Backend, counts: Array) -> None:
    """Raise for counts of three classes that no label maps have: they may be matrices, which have the same shape."""
    if counts.shape[1] != 3 or not backend.is_concrete(counts):
        return
    false = backend.to_numpy(counts).sum(axis=1)[:, 1:]
    if (false[:, 0] != false[:, 1]).any():
        msg = (
            "`counts` must come from class_counts(...), and of label maps an image has as many false positives as "
            "false negatives there; these have not, as confusion matrices (N, 3, 3) have not. Choose classes with "
            "`classes`, and pass `overlapping=True` for counts of channels that may overlap."
        )
        raise ValueError(msg)


def _scores(backend: Backend, counts: Array, pooled: bool, score: str, present: str) -> tuple[Array, Array]:
    """`(N, C)` scores, and where a class is present and has one."""
    xp = backend.xp
    counts = xp.astype(counts, backend.count_dtype(counts), copy=False)
    counts = xp.astype(xp.sum(counts, axis=0, keepdims=True) if pooled else counts, backend.sum_dtype(counts))
    hits, false_positives, false_negatives = (counts[:, :, outcome] for outcome in range(3))
    a, b = _SCORES[score]
    scores, undefined = quotient(xp, hits, hits + a * false_positives + b * false_negatives)
    pixels = hits + false_negatives if present == "target" else hits + false_positives + false_negatives
    return scores, (pixels > 0) & ~undefined


def _mean_of_lowest(xp: Namespace, values: Array, defined: Array, percent: float) -> Array:
    """The mean of the lowest so many percent of the defined values along the last axis, at least one; 0 of none."""
    values = xp.sort(xp.where(defined, values, xp.full_like(values, xp.inf)), axis=-1)
    count = xp.sum(xp.astype(defined, values.dtype), axis=-1, keepdims=True)
    chosen = xp.floor(percent * count / 100)
    chosen = xp.where(chosen < 1, xp.ones_like(chosen), chosen)
    rank = xp.cumulative_sum(xp.ones_like(values), axis=-1)
    kept = (rank <= chosen) & (rank <= count)
    return mean_of_defined(xp, values, kept, 0.0)
