"""Count the outcomes of each image, and average scores of images over classes and images."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Literal

from arrayseg._checks import check_choice, check_flag, check_index, check_numbers, is_several
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, backend_of, common_backend
from arrayseg.metrics._compute import compute, computed_from, divide, mean_of_defined, take_classes
from arrayseg.metrics._confusion.outcomes import intersections
from arrayseg.metrics._inputs import LabelMaps, check_num_classes, count_label_maps, refuse_out_of_range
from arrayseg.metrics._paragraphs import LABEL_MAPS

__all__ = ["class_counts", "fine_grained_mean"]


@raises_here
@documented(LABEL_MAPS)
def class_counts(
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    ignore_index: int | None = None,
    mask: Array | None = None,
    class_axis: int | None = None,
) -> Array:
    r"""Count the true positives, false positives and false negatives of each class in each image.

    .. math:: (TP, FP, FN)_{nc} = \#\{i : \text{target}_{ni} = c \wedge \text{prediction}_{ni} = c\}, \dots

    Parameters
    ----------
    {prediction_or_scores}
    target : array of int
        Class ids of any integer dtype or boolean. Shape `(N, *spatial)`.
    {num_classes}
    {ignore_index}
    {mask}
    class_axis : int, optional
        The axis of the scores in `prediction`, 1 by default; only for scores. Or, if `prediction` and `target` are
        boolean `(N, C, *spatial)`, the axis of their channels. Channels are masks that may overlap, and each is counted
        by itself. Their void pixels are given by `mask`, `(N, *spatial)`.

    Returns
    -------
    array of int
        The counts; the last axis holds true positives, false positives and false negatives. Concatenate the counts of
        batches along the first axis. Shape `(N, C, 3)`.

    Raises
    ------
    ValueError
        If shapes do not match, or if a label that counts is out of range (under a compiler such pixels count nowhere).
    TypeError
        If libraries are mixed, ids are not integers, or the mask is not boolean.

    Notes
    -----
    If a confusion matrix is smaller than an image, the counts come from one matrix for each image. With more classes
    than that the three numbers are counted directly, and memory grows with N C. The counts of Dask arrays are a lazy
    Dask array.

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
        _count_outcomes,
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
    """Return counts `(N, C, 3)` of boolean channels that may overlap, each counted by itself."""
    backend = common_backend(lazy=True, prediction=prediction, target=target, mask=mask)
    xp, axis = backend.xp, check_index("class_axis", class_axis, -target.ndim, target.ndim - 1) % target.ndim
    shape, num_classes = tuple(target.shape), check_num_classes(num_classes)
    if not all(xp.isdtype(array.dtype, "bool") for array in (prediction, target)) or ignore_index is not None:
        msg = (
            "With `class_axis`, `prediction` must hold scores with one axis more than `target`. Or both must be "
            "boolean, with a channel for each class, and `mask` must give the void pixels instead of `ignore_index`; "
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
    prediction, target = xp.moveaxis(prediction, axis, 1), xp.moveaxis(target, axis, 1)
    if not backend.has_chunks:
        return _count_channel_outcomes(prediction, target, mask)
    from arrayseg.backends.dask import sum_of_chunks

    return sum_of_chunks(_count_channel_outcomes, prediction, target, mask, batch_axes=2)


def _count_channel_outcomes(prediction: Array, target: Array, mask: Array | None) -> Array:
    """Return counts `(N, C, 3)` of channels `(N, C, *spatial)`."""
    backend, axes = backend_of(target), tuple(range(2, target.ndim))
    xp = backend.xp
    if mask is not None:
        prediction, target = prediction & mask, target & mask
    with backend.enable_64_bits(prediction, target):
        dtype = backend.count_dtype(target)
        parts = (prediction & target, prediction & ~target, target & ~prediction)
        return xp.stack([xp.sum(xp.astype(part, dtype), axis=axes, dtype=dtype) for part in parts], axis=-1)


def _count_outcomes(maps: LabelMaps) -> Array:
    """Return counts `(N, C, 3)` of label maps `(N, P)`."""
    backend, xp = maps.backend, maps.backend.xp
    with backend.enable_64_bits(maps.prediction, maps.target, maps.mask):
        if maps.num_classes**2 <= maps.target.shape[1]:
            matrix, left_out = maps.joint_histogram()
            hits, predicted, actual = intersections(backend, matrix)
        else:
            hits, predicted, actual, left_out = maps.label_overlap()
        refuse_out_of_range(maps, left_out)
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
    r"""Return the mean of a score over classes and images, in the order of `average`.

    .. math:: \text{mIoU}^I = \frac{1}{N} \sum_n \frac{1}{|K_n|} \sum_{c \in K_n} IoU_{nc}, \quad
        \text{mIoU}^C = \frac{1}{C} \sum_c \frac{1}{|\{n : c \in K_n\}|} \sum_{n : c \in K_n} IoU_{nc}

    where :math:`K_n` are the classes present in image n.

    Parameters
    ----------
    counts : array of int
        Counts of all images, from `class_counts`. Shape `(N, C, 3)`.
    average : {"image", "class", "pair", "dataset"}, default "image"
        The order of the means. ``"image"``: over the classes of each image, then over images (mIoU^I). ``"class"``:
        over the images of each class, then over classes (mIoU^C). ``"pair"``: over all pairs of an image and a class in
        it. ``"dataset"``: the counts of the images are added first, and the mean is over classes (mIoU^D).
    score : {"iou", "dice", "accuracy"}, default "iou"
        The score of a class in an image; ``"accuracy"`` is its recall.
    lowest : float or sequence of float, default 100
        The percentage of images that enter the mean, lowest scores first and at least one: the worst case. For
        ``"class"`` these are images of each class, for ``"pair"`` pairs. With several percentages the result is the
        mean over them: ``range(10, 101, 10)`` gives the quantile average.
    present : {"target", "union"}, default "target"
        Which classes an image has: those in its target, or those in its target or prediction.
    classes : sequence of int, optional
        The classes that enter the means. By default all.
    overlapping : bool, default False
        Whether the classes are channels that may overlap, or a selection of the classes. By default they are all the
        classes of label maps, so an image has as many false positives as false negatives. Counts `(N, 3, 3)` for which
        this does not hold are refused, because they may be confusion matrices.

    Returns
    -------
    array
        The mean, in float64 where the device has it; nan if no class is present anywhere. Shape `()`.

    Notes
    -----
    MONAI's ``MeanIoU`` and ``DiceMetric`` with their defaults give ``average="image"`` for ``reduction="mean"`` and,
    once averaged over the classes, ``average="class"`` for ``reduction="mean_batch"``. Torchmetrics' segmentation
    ``MeanIoU`` is ``average="pair", present="union"``. NnU-Net is ``average="class", present="union"``, but nan if a
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

    def mean(backend: Backend, counts: Array) -> Array:
        xp = backend.xp
        pooled = xp.sum(counts, axis=0, keepdims=True) if average == "dataset" else counts
        values, defined = (take_classes(backend, part, classes) for part in _scores(backend, pooled, score, present))
        is_any = xp.any(defined)
        if average == "class":
            values, defined = xp.matrix_transpose(values), xp.matrix_transpose(defined)
        elif average == "pair":
            values, defined = xp.reshape(values, (-1,)), xp.reshape(defined, (-1,))
        else:
            values, defined = mean_of_defined(xp, values, defined).values, xp.any(defined, axis=-1)
        means = xp.stack([_mean_of_lowest(xp, values, defined, percent) for percent in percents])
        if average == "class":
            means = mean_of_defined(xp, means, xp.any(defined, axis=-1)).values
        return xp.mean(xp.where(is_any, means, nan))

    if not overlapping:
        _refuse_matrices(backend, counts)
    return compute(counts, mean, name="counts", as_integers=True)


# The numerator TP is divided by TP + a FP + b FN.
_SCORES = {"iou": (1.0, 1.0), "dice": (0.5, 0.5), "accuracy": (0.0, 1.0)}


def _refuse_matrices(backend: Backend, counts: Array) -> None:
    """Raise for counts of three classes that label maps cannot have: they may be matrices, which have that shape."""
    if counts.shape[1] != 3 or not backend.is_concrete(counts):
        return
    errors = backend.to_numpy(counts).sum(axis=1)[:, 1:]
    if (errors[:, 0] != errors[:, 1]).any():
        msg = (
            "`counts` must come from class_counts(...). For label maps, an image has as many false positives as false "
            "negatives. These counts do not, and neither do confusion matrices (N, 3, 3). Choose classes with "
            "`classes`, and pass `overlapping=True` for counts of channels that may overlap."
        )
        raise ValueError(msg)


def _scores(backend: Backend, counts: Array, score: str, present: str) -> tuple[Array, Array]:
    """Return scores `(N, C)`, and where a class is present and has one."""
    xp = backend.xp
    counts = xp.astype(counts, backend.sum_dtype(counts), copy=False)
    hits, false_positives, false_negatives = (counts[:, :, outcome] for outcome in range(3))
    a, b = _SCORES[score]
    values, undefined = divide(xp, hits, hits + a * false_positives + b * false_negatives)
    pixels = hits + false_negatives if present == "target" else hits + false_positives + false_negatives
    return values, (pixels > 0) & ~undefined


def _mean_of_lowest(xp: Namespace, values: Array, defined: Array, percent: float) -> Array:
    """Return the mean of the lowest `percent` of the defined values along the last axis (at least one); 0 if none."""
    values = xp.sort(xp.where(defined, values, xp.full_like(values, xp.inf)), axis=-1)
    count = xp.sum(xp.astype(defined, values.dtype), axis=-1, keepdims=True)
    number = xp.floor(percent * count / 100)
    number = xp.where(number < 1, xp.ones_like(number), number)
    rank = xp.cumulative_sum(xp.ones_like(values), axis=-1)
    return mean_of_defined(xp, values, (rank <= number) & (rank <= count)).values
