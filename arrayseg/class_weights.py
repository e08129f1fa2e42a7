"""Compute class weights from the pixel counts of the classes, for the option `class_weights` of a loss."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Literal, TypeAlias

from arrayseg._checks import check_array, check_choice, check_number, is_exactly, is_traced
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of, common_backend
from arrayseg.metrics._compute import compute, divide, nonzero
from arrayseg.metrics._confusion.per_image import class_counts
from arrayseg.metrics._paragraphs import LABEL_MAPS

__all__ = [
    "complement_frequency",
    "effective_number",
    "inverse_frequency",
    "log_frequency",
    "median_frequency",
    "pixel_counts",
]

Normalize: TypeAlias = Literal["mean", "sum"] | None

_PARAGRAPHS = {
    **LABEL_MAPS,
    "counts": """
        counts : array of int
            N_c: the number of pixels of each class, for example from `pixel_counts`. N is their sum. Shape `(C,)`.
    """,
    "normalize": """
        normalize : {"mean", "sum"} or None, default None
            Scale the weights of the classes with pixels to a mean of 1 (``"mean"``) or a sum of 1 (``"sum"``). None
            keeps the weights of the formula.
    """,
    "value_error": """
        ValueError
            If an array is not of shape `(C,)`, a count is negative, or an option has none of its values.
    """,
}


@raises_here
@documented(_PARAGRAPHS)
def pixel_counts(
    target: Array, *, num_classes: int, ignore_index: int | None = None, mask: Array | None = None
) -> Array:
    r"""Count the pixels of each class.

    .. math:: N_c = \#\{i : \text{target}_i = c\}

    Parameters
    ----------
    target : array of int
        Class ids of any integer dtype or boolean, of any shape.
    {num_classes}
    ignore_index : int, optional
        Label of void pixels, which count nowhere.
    {mask}

    Returns
    -------
    array of int
        The number of pixels of each class. Add batches with `arrayseg.metrics.add`. Shape `(C,)`.

    Raises
    ------
    ValueError
        If a label that counts is out of range (under a compiler such pixels count nowhere).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import class_weights
    >>> class_weights.pixel_counts(np.asarray([[0, 0, 1], [0, 2, 255]]), num_classes=3, ignore_index=255)
    array([3, 1, 1])
    """
    common_backend(target=target, mask=mask)
    # As one image with at least two spatial axes.
    image = None if mask is None else mask[None, ..., None]
    labels = target[None, ..., None]
    return class_counts(labels, labels, num_classes=num_classes, ignore_index=ignore_index, mask=image)[0, :, 0]


@raises_here
@documented(_PARAGRAPHS)
def inverse_frequency(counts: Array, *, normalize: Normalize = None) -> Array:
    r"""Return weights inverse to the frequency of a class.

    .. math:: w_c = \frac{N}{N_c}

    Parameters
    ----------
    {counts}
    {normalize}

    Returns
    -------
    array
        The weights; 0 for a class without pixels. Shape `(C,)`.

    Raises
    ------
    {value_error}

    Notes
    -----
    Scikit-learn's ``class_weight="balanced"`` is this divided by the number of classes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import class_weights
    >>> class_weights.inverse_frequency(np.asarray([6, 2, 0]))
    array([1.33333333, 4.        , 0.        ])
    """
    return _weights(counts, normalize, lambda backend, share, counts: 1 / share)


@raises_here
@documented(_PARAGRAPHS)
def complement_frequency(counts: Array, *, normalize: Normalize = None) -> Array:
    r"""Return the fraction of the pixels that belong to other classes, as weights.

    .. math:: w_c = \frac{N - N_c}{N}

    Parameters
    ----------
    {counts}
    {normalize}

    Returns
    -------
    array
        The weights; 0 for a class without pixels, instead of the 1 of the formula. Shape `(C,)`.

    Raises
    ------
    {value_error}

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import class_weights
    >>> class_weights.complement_frequency(np.asarray([6, 2, 0]))
    array([0.25, 0.75, 0.  ])
    """
    return _weights(counts, normalize, lambda backend, share, counts: 1 - share)


@raises_here
@documented(_PARAGRAPHS)
def median_frequency(counts: Array, *, image_pixels: Array | None = None, normalize: Normalize = None) -> Array:
    r"""Return the median of the class frequencies divided by the frequency of each class.

    .. math:: w_c = \frac{\operatorname{median}_j f_j}{f_c}, \quad f_c = \frac{N_c}{P_c}

    Parameters
    ----------
    {counts}
    image_pixels : array of int, optional
        P_c: all pixels of the images in which the class occurs, as in the paper. By default the pixels of all images,
        for every class. Shape `(C,)`.
    {normalize}

    Returns
    -------
    array
        The weights; 0 for a class without pixels, which the median leaves out. Shape `(C,)`.

    Raises
    ------
    {value_error}

    References
    ----------
    Eigen and Fergus, "Predicting depth, surface normals and semantic labels with a common multi-scale convolutional
    architecture", ICCV (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import class_weights
    >>> class_weights.median_frequency(np.asarray([6, 2, 4, 0]))
    array([0.66666667, 2.        , 1.        , 0.        ])
    """

    def weights(backend: Backend, share: Array, counts: Array) -> Array:
        xp = backend.xp
        if image_pixels is not None:
            pixels = check_array("image_pixels", image_pixels, tuple(counts.shape), counts)
            share = nonzero(xp, counts / nonzero(xp, pixels))
        # In increasing order, with the classes without pixels last: the median is in the middle of the others.
        ordered = xp.sort(xp.where(counts == 0, xp.full_like(share, xp.inf), share))
        present = xp.sum(xp.astype(counts != 0, backend.count_dtype(counts)))
        middle = xp.stack([(present - 1) // 2, present // 2])
        middle = xp.where(middle < 0, xp.zeros_like(middle), middle)
        return xp.mean(xp.take(ordered, middle)) / share

    return _weights(counts, normalize, weights)


@raises_here
@documented(_PARAGRAPHS)
def log_frequency(counts: Array, *, offset: float = 1.02, normalize: Normalize = None) -> Array:
    r"""Return weights inverse to the logarithm of the frequency, which bounds them.

    .. math:: w_c = \frac{1}{\ln(k + f_c)}, \quad f_c = \frac{N_c}{N}

    Parameters
    ----------
    {counts}
    offset : float, default 1.02
        k, above 1. The default bounds the weights by 50.5.
    {normalize}

    Returns
    -------
    array
        The weights; 0 for a class without pixels, instead of the 1 / ln k of the formula. Shape `(C,)`.

    Raises
    ------
    {value_error}

    References
    ----------
    Paszke, Chaurasia, Kim and Culurciello, "ENet: a deep neural network architecture for real-time semantic
    segmentation", arXiv:1606.02147 (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import class_weights
    >>> class_weights.log_frequency(np.asarray([6, 2, 0]))
    array([1.75137622, 4.18380457, 0.        ])
    """
    offset = check_number("offset", offset, 1, above=True)
    return _weights(counts, normalize, lambda backend, share, counts: 1 / backend.xp.log(offset + share))


@raises_here
@documented(_PARAGRAPHS)
def effective_number(counts: Array, *, beta: float = 0.9999, normalize: Normalize = None) -> Array:
    r"""Return weights inverse to the effective number of samples (class-balanced loss).

    .. math:: w_c = \frac{1 - \beta}{1 - \beta^{N_c}}

    Parameters
    ----------
    {counts}
    beta : float, default 0.9999
        Number in [0, 1). With 0 all classes weigh the same; close to 1 the weights approach the inverse frequency.
    {normalize}

    Returns
    -------
    array
        The weights; 0 for a class without pixels. Shape `(C,)`.

    Raises
    ------
    {value_error}

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-balanced loss based on effective number of samples", CVPR (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import class_weights
    >>> class_weights.effective_number(np.asarray([6, 2, 0]), beta=0.9)
    array([0.21342029, 0.52631579, 0.        ])
    """
    beta = check_number("beta", beta, 0, 1, below=True)

    def weights(backend: Backend, share: Array, counts: Array) -> Array:
        # expm1 keeps the digits that 1 - beta**n loses for few pixels.
        xp = backend.xp
        present = nonzero(xp, counts)
        if is_exactly(beta, 0):
            return xp.ones_like(present)
        logarithm = xp.log(beta) if is_traced(beta, "beta") else log(beta)
        return (1 - beta) / -xp.expm1(present * logarithm)

    return _weights(counts, normalize, weights)


def _weights(counts: Array, normalize: Normalize, formula: Callable[[Backend, Array, Array], Array]) -> Array:
    """Return `formula(backend, frequencies, pixels)` of the classes; 0 for a class without pixels.

    The formula gets a frequency of 1 for such a class, so it does not need to guard its divisions.
    """
    check_choice("normalize", normalize, (None, "mean", "sum"))
    backend_of(counts, "counts")
    if counts.ndim != 1:
        msg = f"`counts` must have shape (C,), the pixels of each class; got {tuple(counts.shape)}."
        raise ValueError(msg)

    def weights(backend: Backend, pixels: Array) -> Array:
        xp, empty = backend.xp, pixels == 0
        share = nonzero(xp, divide(xp, pixels, xp.sum(pixels)).values)
        values = xp.where(empty, xp.zeros_like(pixels), formula(backend, share, pixels))
        if normalize is not None:
            values = values / nonzero(xp, xp.sum(values))
            values = values * xp.sum(xp.astype(~empty, values.dtype)) if normalize == "mean" else values
        return values

    return compute(counts, weights, name="counts")
