"""Affinity losses: of pairs of neighbours, whether they belong together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypedDict, Unpack

from arrayseg._checks import check_choice, check_index, check_number
from arrayseg._typing import Activation, Array
from arrayseg.backends.base import Evaluation
from arrayseg.engine.sweep import Sweep
from arrayseg.kernels.affinity import AffinityFieldTerm, Pairs, PairTerm, WindowAffinityTerm
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import prepare

__all__ = ["affinity_field", "context_prior_affinity"]


class PairOptions(TypedDict, total=False):
    """The options that losses of pairs share; `pair_evaluation` has the defaults and the meaning."""

    class_axis: int | None
    ignore_index: int | None
    mask: Array | None
    reduction: Literal["mean", "sum"]


def pair_evaluation(
    input: Array,
    target: Array,
    make: Callable[..., PairTerm],
    activation: Activation,
    *,
    class_axis: int | None = 1,
    ignore_index: int | None = None,
    mask: Array | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> Sweep:
    r"""A loss of pairs: what every function of this module calls.

    Parameters
    ----------
    class_axis : int or None, default 1
        The axis of the classes; -1 for channels-last, which costs no copy. None for one binary channel without such
        an axis.
    ignore_index : int, optional
        An id, of a class or not, whose pixels count in no pair, with zero gradient.
    mask : array of bool, optional
        Shape (N, \*spatial), true where a pixel counts.
    reduction : {"mean", "sum"}, default "mean"
        What is returned: the mean over the pairs in both orders, or their sum.
    """
    check_choice("reduction", reduction, ("mean", "sum"))
    layout, pixels = prepare(
        input, target, activation=activation, class_axis=class_axis, ignore_index=ignore_index, mask=mask
    )
    term = make(spatial=layout.rows_shape[1:], reduction=reduction)
    return Sweep(input, layout, pixels.with_unknown_targets(), [term], [1.0])


@loss(pair_evaluation)
def affinity_field(
    input: Array,
    target: Array,
    *,
    margin: float = 3.0,
    distance: int = 1,
    same_weight: float = 1.0,
    different_weight: float = 1.0,
    denominator: Pairs = "pairs",
    activation: Literal["softmax", "sigmoid"] = "softmax",
    **options: Unpack[PairOptions],
) -> Evaluation:
    r"""Affinity field loss: neighbours of one class predict alike, neighbours of two classes do not.

    .. math:: \ell = \frac{1}{|\mathcal P|} \sum_{(i, j) \in \mathcal P}
       \begin{cases} \lambda\, D_{ji} & t_i = t_j \\ \mu \max(m - D_{ji}, 0) & t_i \ne t_j \end{cases}, \qquad
       D_{ji} = \mathrm{KL}(p_j \,\|\, p_i)

    over the pairs of a pixel and each of its neighbours (8 in the plane, 26 in space).

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape: pixels are alike
        where all values are equal.
    margin : float, default 3.0
        m, the divergence from which on neighbours of two classes are different enough, at least 0.
    distance : int, default 1
        How many pixels away neighbours are, at least 1.
    same_weight : float, default 1.0
        The weight of pairs of one class, at least 0.
    different_weight : float, default 1.0
        The weight of pairs of two classes, at least 0.
    denominator : {"pairs", "pixels"}, default "pairs"
        What the mean divides by: the pairs of valid pixels, or the valid pixels times the neighbours that one has away
        from the edge.
    activation : {"softmax", "sigmoid"}, default "softmax"
        Which probabilities the logits make: of exclusive classes, or of independent ones. Independent classes have a
        divergence each, and the mean is over them too.
    {options}

    Returns
    -------
    array
        The loss, a number of the input's dtype, at least float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    CoinCheung's ``AffinityFieldLoss`` has ``denominator="pixels"``. The authors take the means over the pairs of one
    class and of two apart, and learn the distance. Two neighbours alike by one class of a value per class are of one
    class in that class alone.

    References
    ----------
    Ke et al., "Adaptive affinity fields for semantic segmentation" (2018), https://arxiv.org/abs/1803.10335.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import affinity_field
    >>> logits = np.array([[[0.0, 0.0, 4.0], [4.0, 4.0, 0.0]]])
    >>> [round(float(affinity_field(logits, np.array([ids]))), 4) for ids in ([1, 1, 0], [1, 0, 0])]
    [0.0, 3.4281]
    """
    check_choice("activation", activation, ("softmax", "sigmoid"))
    check_choice("denominator", denominator, Pairs)
    margin = check_number("margin", margin, 0)
    same_weight = check_number("same_weight", same_weight, 0)
    different_weight = check_number("different_weight", different_weight, 0)
    distance = check_index("distance", distance, 1)

    make = partial(
        AffinityFieldTerm,
        margin=margin,
        distance=distance,
        same_weight=same_weight,
        different_weight=different_weight,
        denominator=denominator,
    )
    return pair_evaluation(input, target, make, activation, **options)


@loss(pair_evaluation)
def context_prior_affinity(
    input: Array,
    target: Array,
    *,
    window: int = 3,
    activation: Activation = "softmax",
    **options: Unpack[PairOptions],
) -> Evaluation:
    r"""Context prior affinity loss: whether any two pixels of a window are of one class.

    .. math:: \ell = -\frac{1}{|\mathcal P|} \sum_{(i, j) \in \mathcal P}
       \begin{cases} \log a_{ij} & t_i = t_j \\ \log (1 - a_{ij}) & t_i \ne t_j \end{cases}, \qquad
       a_{ij} = \sum_c p_{ic}\, p_{jc}

    over all pairs of pixels, in both orders and with themselves, of every window that lies within the image: a pair in
    several windows counts in each.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape: pixels are alike
        where all values are equal.
    window : int, default 3
        How many pixels wide a window is, at least 1.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make: of exclusive classes, or of independent ones, each of which has affinities
        of being there at both pixels or at neither. With None the input holds probabilities.
    {options}

    Returns
    -------
    array
        The loss, a number of the input's dtype, at least float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit; if an image is smaller than a window.

    Notes
    -----
    The paper's affinity is a map of its own that a network predicts for all pixels; as in CoinCheung's ``AffinityLoss``
    it is here that of the prediction, in windows; there, of logits instead of probabilities. Logarithms are of at least
    1e-6, below which there is no gradient. Axes of one element are left out of the windows.

    References
    ----------
    Yu et al., "Context prior for scene segmentation" (2020), https://arxiv.org/abs/2004.01547.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import context_prior_affinity
    >>> p, targets = np.array([[[0.9, 0.9, 0.1], [0.1, 0.1, 0.9]]]), np.array([[[1, 1, 0]], [[1, 0, 0]]])
    >>> [round(float(context_prior_affinity(p, ids, window=2, activation=None)), 4) for ids in targets]
    [0.1985, 0.9566]
    """
    window = check_index("window", window, 1)

    make = partial(WindowAffinityTerm, window=window)
    sweep = pair_evaluation(input, target, make, activation, **options)
    spatial = sweep.layout.rows_shape[1:]
    if any(1 < length < window for length in spatial):
        msg = f"A window of {window} pixels does not fit an image of shape {spatial}; choose a smaller `window`."
        raise ValueError(msg)
    return sweep
