"""Region mutual information loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from arrayseg._checks import check_choice, check_index, check_number
from arrayseg._typing import Array
from arrayseg.backends.base import Evaluation
from arrayseg.kernels.information import InformationTerm, Pooling, pooled_length
from arrayseg.losses._api import loss
from arrayseg.losses._dice import RegionOptions, ratio, region_evaluation

__all__ = ["region_mutual_information"]


@loss(region_evaluation, without=("soft_tp", "pool", "pixel_weights"))
def region_mutual_information(
    input: Array,
    target: Array,
    *,
    radius: int = 3,
    downsample: int = 3,
    pooling: Pooling = "max",
    epsilon: float = 5e-4,
    **options: Unpack[RegionOptions],
) -> Evaluation:
    r"""Region mutual information (RMI) loss: what of the target's neighbourhoods the prediction's do not explain.

    .. math:: \ell = \frac{1}{2 d} \log \det \left(\Sigma_t - \Sigma_{tp} (\Sigma_p + \epsilon I)^{-1} \Sigma_{pt}
       + \epsilon I\right)

    with the covariances (sums of products about the means) of the vectors of the d values in the windows of target and
    prediction, `radius` pixels wide, after both were pooled; in float64 where the device has it.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape.
    radius : int, default 3
        How many pixels wide a window is, at least 1; d is its power of the number of spatial axes.
    downsample : int, default 3
        The width of the pooling windows, which do not overlap, at least 1, which leaves all as it is. The edge is
        padded with half a window of 0.
    pooling : {"max", "average"}, default "max"
        How both maps are pooled.
    epsilon : float, default 5e-4
        What is added to the diagonals, more than 0.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or with ``reduction="none"`` an array (N, C).

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit; if an image has fewer pixels than a window.

    Notes
    -----
    The authors' code has ``activation="sigmoid"``, takes the sum over the classes (C times this mean), adds 1e-8 to the
    roots of the determinant, and averages the loss with binary cross entropy. The loss may be negative. Axes of
    one element are left out of the windows.

    Where the library has no float64, as JAX unless `jax_enable_x64` is set, the gradient of a nearly right prediction
    has few digits: at margins of 12 logits it is 3e-4 off with "softmax" and 4e-3 with "sigmoid".

    References
    ----------
    Zhao et al., "Region mutual information loss for semantic segmentation" (2019), https://arxiv.org/abs/1910.12037.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import region_mutual_information
    >>> checkers = np.indices((1, 12, 12)).sum(axis=0) // 3 % 2
    >>> options = {"class_axis": None, "activation": None, "downsample": 1}
    >>> right, grey = (0.8 * checkers + 0.1, 0.0 * checkers + 0.5)
    >>> [round(float(region_mutual_information(p, checkers, **options)), 4) for p in (right, grey)]
    [-3.6436, -1.8432]
    """
    radius = check_index("radius", radius, 1)
    downsample = check_index("downsample", downsample, 1)
    check_choice("pooling", pooling, Pooling)
    epsilon = check_number("epsilon", epsilon, 0, above=True)  # with 0 some covariances would have no inverse
    sweep = region_evaluation(input, target, ratio(0.5, 0.5, 0, "double"), **options)
    spatial = sweep.layout.rows_shape[1:]
    if 0 in spatial or any(length > 1 and pooled_length(length, downsample) < radius for length in spatial):
        msg = (
            f"A window of radius={radius} pixels does not fit an image of shape {spatial} that is pooled by "
            f"downsample={downsample}. Choose smaller ones."
        )
        raise ValueError(msg)
    (term,) = sweep.terms
    information = InformationTerm(
        **vars(term), spatial=spatial, radius=radius, downsample=downsample, pooling=pooling, epsilon=epsilon
    )
    return replace(sweep, terms=[information])
