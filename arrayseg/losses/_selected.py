"""Selected pixel losses: the mean over the pixels that are hardest."""

from __future__ import annotations

from math import log
from typing import Unpack

from arrayseg._typing import Array
from arrayseg.backends.protocol import Evaluation
from arrayseg.kernels import pixel
from arrayseg.kernels.selection import Hardest, above_or_largest
from arrayseg.losses._evaluate import loss
from arrayseg.losses._pixel import PRIVATE, ActivatedPixelOptions, pixel_evaluation
from arrayseg.losses._prepare import check_number

__all__ = ["ohem_cross_entropy"]


@loss(pixel_evaluation, without=PRIVATE)
def ohem_cross_entropy(
    input: Array,
    target: Array,
    *,
    threshold: float = 0.7,
    min_kept: int = 100_000,
    **options: Unpack[ActivatedPixelOptions],
) -> Evaluation:
    r"""Cross entropy of the hard pixels of a batch: online hard example mining.

    Pixels whose loss exceeds ``-log(threshold)`` are kept; where these are fewer than `min_kept`, the `min_kept`
    largest are. The result is the mean over the pixels that are kept.

    .. math:: \ell = \frac{\sum_i k_i \ell_i}{\sum_i k_i}, \qquad
       k_i = [\ell_i > -\log \theta] \text{ or } [\ell_i \text{ is among the } n \text{ largest}]

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or the share of every class, of the input's shape.
    threshold : float, default 0.7
        A probability in (0, 1]: pixels whose class has less are hard.
    min_kept : int, default 100000
        How many pixels of the batch are kept at least; all valid ones where there are fewer.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype: a number, or (N, \*spatial) with ``reduction="none"``, 0 where not kept.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    Hardness is the loss before class and pixel weights. Pixels that tie for the last places share them evenly, so
    that the value is that of the `min_kept` largest and no order of the pixels matters. mmsegmentation counts
    `min_kept` per image and divides by all pixels (``denominator="all"``); detectron2 and nnU-Net keep a share of the
    pixels instead.

    References
    ----------
    Shrivastava et al., "Training region-based object detectors with online hard example mining" (2016),
    https://arxiv.org/abs/1604.03540.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import ohem_cross_entropy
    >>> probabilities = np.array([[[0.9, 0.6, 0.2], [0.1, 0.4, 0.8]]])
    >>> ids = np.array([[0, 0, 0]])
    >>> loss = ohem_cross_entropy(probabilities, ids, threshold=0.7, min_kept=1, activation=None)
    >>> round(float(loss), 4), round(float(-np.log(0.6 * 0.2) / 2), 4)
    (1.0601, 1.0601)
    """
    check_number("threshold", threshold, 0, 1)
    check_number("min_kept", min_kept, 0)
    hardness = -log(threshold) if threshold > 0 else float("inf")
    return Hardest(
        pixel_evaluation(input, target, pixel.cross_entropy, **options), above_or_largest(hardness, min_kept)
    )
