"""The confusion matrix of label maps: the statistic from which the overlap metrics follow."""

from __future__ import annotations

from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.metrics._inputs import LabelMaps, count_label_maps, refuse_out_of_range

__all__ = ["confusion_matrix"]


@raises_here
def confusion_matrix(
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    ignore_index: int | None = None,
    mask: Array | None = None,
    per_image: bool = False,
    class_axis: int | None = None,
) -> Array:
    r"""How many pixels of each target class were predicted as each class.

    .. math:: M_{tp} = \#\{i : \text{target}_i = t,\ \text{prediction}_i = p\}

    Matrices of several batches, files or processes add, with ``+`` or with `arrayseg.metrics.add`.

    Parameters
    ----------
    prediction
        Class ids of `target`'s shape, of any integer dtype or boolean (False is 0, True is 1); or scores with one axis
        more, whose arg max is taken (the first of equal scores).
    target
        Class ids `(N, *spatial)`, or one map `(*spatial)`, of any integer dtype or boolean.
    num_classes
        C, the number of classes; labels are 0 to C - 1.
    ignore_index
        The id of void pixels, in or out of 0 to C - 1: pixels whose target has it count nowhere, whatever is predicted
        there. None: every pixel counts. It is a property of pixels; to leave a class out of a mean, see the argument
        ``classes`` of the functions of the matrix.
    mask
        Boolean array of `target`'s shape, True where a pixel counts.
    per_image
        Whether each image of the batch (axis 0) has its own matrix. The maps then have at least two spatial axes,
        because the rows of a single map would be counted as images.
    class_axis
        The axis of the scores in `prediction`, 1 by default, as in `(N, C, *spatial)`; -1 for channels last, 0 for
        `(C, *spatial)`. Only for scores.

    Returns
    -------
    Array
        Integers `(C, C)`, or `(N, C, C)` where `per_image`; rows are the target, columns the prediction.

    Raises
    ------
    ValueError
        If shapes do not fit, both maps are one-hot `(N, C, H, W)`, a label that counts is out of range, or a score of a
        pixel that counts is nan. Under a compiler (`jax.jit`, `torch.compile`) values cannot be read: such pixels count
        nowhere, and one-hot maps are read as ids.
    TypeError
        If libraries are mixed, ids are not integers, the mask is not boolean, or both maps are boolean where there are
        more than two classes: for channels that may overlap see `class_counts`.

    Notes
    -----
    Counts are int64, so that they are exact past 2^31, with one exception. JAX without ``jax_enable_x64`` makes no
    64-bit integers, so there the matrix is made inside a scope that has them: it is a JAX array of dtype int64, which
    stays exact under ``+``, `arrayseg.metrics.add` and all functions of the matrix (but not under ``jnp.sum``, which
    casts it to int32). Under ``jax.jit`` without ``jax_enable_x64`` one call counts in int32, which is exact below 2^31
    pixels for each call; add the results outside with `arrayseg.metrics.add`, which widens them.

    The rows are the target, as in scikit-learn and torchmetrics; MetricsReloaded and Detectron2 have the prediction
    there. Mmsegmentation and scikit-learn (with ``labels``) drop labels out of range silently.

    The matrix of Dask arrays is a lazy Dask array, and so are the scores that the functions of the matrix give of it:
    chunks are counted as they come and their counts added. What is wrong with labels is said when it is computed.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.asarray([[[0, 0, 1], [1, 2, 255]]], dtype=np.uint8)
    >>> prediction = np.asarray([[[0, 1, 1], [1, 2, 2]]], dtype=np.uint8)
    >>> metrics.confusion_matrix(prediction, target, num_classes=3, ignore_index=255)
    array([[1, 1, 0],
           [0, 2, 0],
           [0, 0, 1]])
    """
    return count_label_maps(
        _joint_histogram,
        prediction,
        target,
        num_classes=num_classes,
        ignore_index=ignore_index,
        mask=mask,
        per_image=per_image,
        class_axis=class_axis,
    )


def _joint_histogram(maps: LabelMaps) -> Array:
    """`(N, C, C)`."""
    counts, uncounted = maps.joint_histogram()
    refuse_out_of_range(maps, uncounted)
    return counts
