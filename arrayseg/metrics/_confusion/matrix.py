"""Count the confusion matrix of label maps."""

from __future__ import annotations

from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.metrics._inputs import LabelMaps, count_label_maps, refuse_out_of_range
from arrayseg.metrics._paragraphs import LABEL_MAPS

__all__ = ["confusion_matrix"]


@raises_here
@documented(LABEL_MAPS)
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
    r"""Count how many pixels of each target class are predicted as each class.

    .. math:: M_{tp} = \#\{i : \text{target}_i = t,\ \text{prediction}_i = p\}

    Matrices of several batches, files or processes add, with ``+`` or with `arrayseg.metrics.add`.

    Parameters
    ----------
    prediction : array
        Class ids of any integer dtype or boolean (False is 0, True is 1), of the shape of `target`. Or scores with one
        more axis, whose arg max is used (the first of equal scores).
    target : array of int
        Class ids of any integer dtype or boolean. Shape `(N, *spatial)`, or `(*spatial)` for one map.
    {num_classes}
    ignore_index : int, optional
        Label of void pixels, in or out of 0 to C - 1. Pixels with this label in the target count nowhere, whatever is
        predicted there. By default every pixel counts. It is a property of pixels. To leave a class out of a mean, use
        the option ``classes`` of the functions of the matrix.
    {mask}
    per_image : bool, default False
        Whether to count a matrix for each image of the batch (axis 0). The maps then need at least two spatial axes,
        because the rows of a single map would be counted as images.
    class_axis : int, optional
        The axis of the scores in `prediction`: 1 by default, as in `(N, C, *spatial)`; -1 for channels last, 0 for
        `(C, *spatial)`. Only for scores.

    Returns
    -------
    array of int
        The counts: rows are the target, columns the prediction. Shape `(C, C)`, or `(N, C, C)` if `per_image`.

    Raises
    ------
    ValueError
        If shapes do not match, both maps are one-hot `(N, C, H, W)`, a label of a pixel that counts is out of range, or
        a score of such a pixel is nan. Under a compiler (`jax.jit`, `torch.compile`) values cannot be read: such pixels
        count nowhere, and one-hot maps are read as ids.
    TypeError
        If libraries are mixed, ids are not integers, the mask is not boolean, or both maps are boolean but there are
        more than two classes. For channels that may overlap see `class_counts`.

    Notes
    -----
    Counts are int64, so they are exact past 2^31, with one exception. JAX without ``jax_enable_x64`` makes no 64-bit
    integers, so there the matrix is made in a scope that has them. It is a JAX array of dtype int64, which stays exact
    under ``+``, `arrayseg.metrics.add` and all functions of the matrix (but not under ``jnp.sum``, which casts it to
    int32). Under ``jax.jit`` without ``jax_enable_x64`` one call counts in int32, which is exact below 2^31 pixels for
    each call. Add the results outside with `arrayseg.metrics.add`, which widens them.

    The rows are the target, as in scikit-learn and torchmetrics. In MetricsReloaded and Detectron2 they are the
    prediction. Mmsegmentation and scikit-learn (with ``labels``) silently drop labels that are out of range.

    The matrix of Dask arrays is a lazy Dask array, and so are the scores that functions compute from it. Dask counts
    one chunk at a time and adds the counts. Errors about labels are raised when it computes them.

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
    """Return counts `(N, C, C)`."""
    counts, left_out = maps.joint_histogram()
    refuse_out_of_range(maps, left_out)
    return counts
