"""Class weights from per-class pixel counts, for the `class_weights` of a loss."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Literal, TypeAlias

from arrayseg._checks import check_array, check_choice, check_number, is_exactly, is_traced
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of, common_backend
from arrayseg.metrics._confusion.outcomes import check_counts, ratio
from arrayseg.metrics._confusion.per_image import class_counts

__all__ = [
    "complement_frequency",
    "effective_number",
    "inverse_frequency",
    "log_frequency",
    "median_frequency",
    "pixel_counts",
]

Normalize: TypeAlias = Literal["mean", "sum"] | None


@raises_here
def pixel_counts(
    target: Array, *, num_classes: int, ignore_index: int | None = None, mask: Array | None = None
) -> Array:
    r"""How many pixels each class has.

    .. math:: N_c = \#\{i : \text{target}_i = c\}

    Parameters
    ----------
    target
        Class ids of any shape, of any integer dtype or boolean.
    num_classes
        C, the number of classes; labels are 0 to C - 1.
    ignore_index
        The id of void pixels, which count nowhere.
    mask
        Boolean array of `target`'s shape, True where a pixel counts.

    Returns
    -------
    Array
        Integers `(C,)`; counts of several batches add, with `arrayseg.metrics.add`.

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
    # One image, of two spatial axes at least.
    image = None if mask is None else mask[None, ..., None]
    labels = target[None, ..., None]
    return class_counts(labels, labels, num_classes=num_classes, ignore_index=ignore_index, mask=image)[0, :, 0]


@raises_here
def inverse_frequency(counts: Array, *, normalize: Normalize = None) -> Array:
    r"""Weights inverse to the frequency of a class.

    .. math:: w_c = \frac{N}{N_c}

    Parameters
    ----------
    counts
        Pixels of each class, `(C,)`, for example from `pixel_counts`.
    normalize
        ``"mean"``: the weights of the classes that have pixels average 1; ``"sum"``: they sum to 1; None (default): as
        the formula says.

    Returns
    -------
    Array
        Floating weights `(C,)`; 0 for a class without pixels.

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
def complement_frequency(counts: Array, *, normalize: Normalize = None) -> Array:
    r"""Weights that are the share of all the other classes.

    .. math:: w_c = \frac{N - N_c}{N}

    Parameters
    ----------
    counts
        Pixels of each class, `(C,)`, for example from `pixel_counts`.
    normalize
        ``"mean"``: the weights of the classes that have pixels average 1; ``"sum"``: they sum to 1; None (default): as
        the formula says.

    Returns
    -------
    Array
        Floating weights `(C,)`; 0 for a class without pixels, where the formula says 1.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import class_weights
    >>> class_weights.complement_frequency(np.asarray([6, 2, 0]))
    array([0.25, 0.75, 0.  ])
    """
    return _weights(counts, normalize, lambda backend, share, counts: 1 - share)


@raises_here
def median_frequency(counts: Array, *, image_pixels: Array | None = None, normalize: Normalize = None) -> Array:
    r"""Median frequency balancing: the median of the frequencies over the frequency of the class.

    .. math:: w_c = \frac{\operatorname{median}_j f_j}{f_c}, \quad f_c = \frac{N_c}{P_c}

    Parameters
    ----------
    counts
        Pixels of each class, `(C,)`, for example from `pixel_counts`.
    image_pixels
        P_c, `(C,)`: all the pixels of the images in which the class occurs, as in the paper; None: the pixels of all
        images, for every class.
    normalize
        ``"mean"``: the weights of the classes that have pixels average 1; ``"sum"``: they sum to 1; None (default): as
        the formula says.

    Returns
    -------
    Array
        Floating weights `(C,)`; 0 for a class without pixels, which the median leaves out too.

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
            share = counts / xp.where(pixels == 0, xp.ones_like(pixels), pixels)
            share = xp.where(share == 0, xp.ones_like(share), share)
        # The frequencies in order, those of classes without pixels last; the median is the middle of the others.
        ordered = xp.sort(xp.where(counts == 0, xp.full_like(share, xp.inf), share))
        present = xp.sum(xp.astype(counts != 0, backend.count_dtype(counts)))
        middle = xp.stack([(present - 1) // 2, present // 2])
        middle = xp.where(middle < 0, xp.zeros_like(middle), middle)
        return xp.mean(xp.take(ordered, middle)) / share

    return _weights(counts, normalize, weights)


@raises_here
def log_frequency(counts: Array, *, offset: float = 1.02, normalize: Normalize = None) -> Array:
    r"""Weights inverse to the logarithm of the frequency, which bounds them.

    .. math:: w_c = \frac{1}{\ln(k + f_c)}, \quad f_c = \frac{N_c}{N}

    Parameters
    ----------
    counts
        Pixels of each class, `(C,)`, for example from `pixel_counts`.
    offset
        k, above 1; 1.02, the default, bounds the weights by 50.5.
    normalize
        ``"mean"``: the weights of the classes that have pixels average 1; ``"sum"``: they sum to 1; None (default): as
        the formula says.

    Returns
    -------
    Array
        Floating weights `(C,)`; 0 for a class without pixels, where the formula says 1 / ln k.

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
def effective_number(counts: Array, *, beta: float = 0.9999, normalize: Normalize = None) -> Array:
    r"""Weights inverse to the effective number of samples (class-balanced loss).

    .. math:: w_c = \frac{1 - \beta}{1 - \beta^{N_c}}

    Parameters
    ----------
    counts
        Pixels of each class, `(C,)`, for example from `pixel_counts`.
    beta
        In [0, 1): 0 weighs all classes alike, towards 1 it becomes the inverse frequency. 0.9999 by default.
    normalize
        ``"mean"``: the weights of the classes that have pixels average 1, as in the paper; ``"sum"``: they sum to 1;
        None (default): as the formula says.

    Returns
    -------
    Array
        Floating weights `(C,)`; 0 for a class without pixels.

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
        # expm1, because 1 - beta**n of few pixels would cancel.
        xp = backend.xp
        present = xp.where(counts == 0, xp.ones_like(counts), counts)
        if is_exactly(beta, 0):
            return xp.ones_like(present)
        logarithm = xp.log(beta) if is_traced(beta, "beta") else log(beta)
        return (1 - beta) / -xp.expm1(present * logarithm)

    return _weights(counts, normalize, weights)


def _weights(counts: Array, normalize: Normalize, formula: Callable[[Backend, Array, Array], Array]) -> Array:
    """A formula of the frequencies and counts of the classes, both floating `(C,)`; 0 for a class without pixels.

    The formula is given a frequency of 1 there, so that it need not guard its divisions.
    """
    check_choice("normalize", normalize, (None, "mean", "sum"))
    backend = backend_of(counts, "counts")
    xp = backend.xp
    if counts.ndim != 1:
        msg = f"`counts` must have shape (C,), the pixels of each class; got {tuple(counts.shape)}."
        raise ValueError(msg)
    check_counts(backend, "counts", counts)
    dtype = backend.sum_dtype(counts)
    with backend.enable_64_bits(counts):
        pixels = xp.astype(counts, backend.sum_dtype(counts), copy=False)
        empty = pixels == 0
        share = xp.where(empty, xp.ones_like(pixels), ratio(xp, pixels, xp.sum(pixels)))
        weights = xp.where(empty, xp.zeros_like(pixels), formula(backend, share, pixels))
        if normalize is not None:
            total = xp.sum(weights)
            weights = weights / xp.where(total == 0, xp.ones_like(total), total)
            weights = weights * xp.sum(xp.astype(~empty, weights.dtype)) if normalize == "mean" else weights
        return xp.astype(weights, dtype, copy=False)
