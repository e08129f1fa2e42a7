"""Ranking losses: the Lovasz extension of the Jaccard loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict, Unpack

from arrayseg._checks import check_choice
from arrayseg._typing import Activation, Array, Reduction, Weights
from arrayseg.backends.base import Evaluation
from arrayseg.kernels.ranking import Lovasz
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import entering_classes, prepare

__all__ = ["lovasz_hinge", "lovasz_softmax"]

Classes = Literal["present", "all"] | Sequence[int]
RankingPool = Literal["image", "batch"]


class RankingOptions(TypedDict, total=False):
    """The options that ranking losses share, for type checkers; `ranking_evaluation` has the meaning."""

    class_axis: int | None
    ignore_index: int | None
    mask: Array | None
    class_weights: Weights | None
    reduction: Reduction
    exclude_background: bool


def ranking_evaluation(
    input: Array,
    target: Array,
    *,
    hinge: bool,
    classes: Classes,
    pool: RankingPool,
    activation: Activation = "softmax",
    class_axis: int | None = 1,
    ignore_index: int | None = None,
    mask: Array | None = None,
    class_weights: Weights | None = None,
    reduction: Reduction = "mean",
    exclude_background: bool = False,
) -> Lovasz:
    r"""A Lovasz loss: what every function of this module calls.

    Parameters
    ----------
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make: of exclusive classes, or of independent ones. With None the input holds
        probabilities.
    class_axis : int or None, default 1
        The axis of the classes; -1 for channels-last. None for one binary channel without such an axis.
    ignore_index : int, optional
        An id, of a class or not, whose pixels are not ranked, with zero gradient.
    mask : array of bool, optional
        Shape (N, \*spatial), true where a pixel counts.
    class_weights : array or sequence of float, optional
        Shape (C,); multiplies the loss of each class. The mean divides by the classes that count, not by the weights.
    reduction : {"mean", "sum", "none"}, default "mean"
        What is returned: the mean over images of the mean over the classes that count, the sum, or with "none" the loss
        of every class, of shape (N, C) or, for a pooled batch, (C,).
    exclude_background : bool, default False
        Whether class 0 is left out.
    """
    check_choice("reduction", reduction, Reduction)
    check_choice("pool", pool, RankingPool)
    if isinstance(classes, str):
        check_choice("classes", classes, ("present", "all"))
    layout, pixels = prepare(
        input,
        target,
        activation=activation,
        class_axis=class_axis,
        ignore_index=ignore_index,
        mask=mask,
        class_weights=class_weights,
    )
    numbers = None if isinstance(classes, str) else classes
    return Lovasz(
        input,
        layout,
        pixels.with_unknown_targets(),
        hinge,
        pool,
        classes=entering_classes(numbers, exclude_background, layout.classes),
        present=numbers is None and classes == "present",
        reduction=reduction,
    )


@loss(ranking_evaluation, without=("hinge",))
def lovasz_softmax(
    input: Array,
    target: Array,
    *,
    classes: Classes = "present",
    pool: RankingPool = "batch",
    activation: Activation = "softmax",
    **options: Unpack[RankingOptions],
) -> Evaluation:
    r"""Lovasz-softmax loss: the convex extension of the Jaccard loss to probabilities.

    .. math:: \ell_c = \sum_k e_{\pi(k)} \, (\Delta_k - \Delta_{k-1}), \qquad e_i = |t_{ic} - p_{ic}|,\quad
       e_{\pi(1)} \ge e_{\pi(2)} \ge \dots

    Δ_k is the Jaccard loss of class c where the k pixels with the largest errors are wrong and the others right.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or 0 and 1 for every class, of the input's shape (a floating value
        above 1/2 is 1).
    classes : {"present", "all"} or sequence of int, default "present"
        The classes that enter the mean: those with target pixels in the image (or batch), all, or those named.
    pool : {"batch", "image"}, default "batch"
        Whether the pixels of the batch are ranked together, or those of each image.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make: of exclusive classes, or of independent ones. With None the input holds
        probabilities.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or with ``reduction="none"`` an array as `pool`
        says.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    The defaults give the number of the authors' ``lovasz_softmax`` on ``softmax(logits)``, and of
    segmentation-models-pytorch and mmsegmentation. kornia has ``pool="image", classes="all"``, right since 0.9.0; up to
    there it took class ids for the target. Pixels whose errors are equal keep their order, so that the gradient is one
    and the same on every backend. In float32 errors that differ by less than its rounding are equal. Images without a
    valid pixel do not count in the mean.

    References
    ----------
    Berman et al., "The Lovász-softmax loss" (2018), https://arxiv.org/abs/1705.08790.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import lovasz_softmax
    >>> probabilities, ids = np.array([[[0.8, 0.3, 0.6], [0.2, 0.7, 0.4]]]), np.array([[0, 1, 1]])
    >>> round(float(lovasz_softmax(probabilities, ids, activation=None)), 4)
    0.4333
    """
    return ranking_evaluation(input, target, hinge=False, classes=classes, pool=pool, activation=activation, **options)


@loss(ranking_evaluation, without=("hinge", "activation"))
def lovasz_hinge(
    input: Array,
    target: Array,
    *,
    classes: Classes = "all",
    pool: RankingPool = "image",
    **options: Unpack[RankingOptions],
) -> Evaluation:
    r"""Lovasz hinge loss: the convex extension of the Jaccard loss to the margins of binary logits.

    .. math:: \ell_c = \sum_k \max(e_{\pi(k)}, 0) \, (\Delta_k - \Delta_{k-1}), \qquad
       e_i = 1 - (2 t_{ic} - 1) z_{ic},\quad e_{\pi(1)} \ge e_{\pi(2)} \ge \dots

    Δ_k is the Jaccard loss of class c where the k pixels with the largest errors are wrong and the others right.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating; each class against the rest.
    target : array
        Class ids of shape (N, \*spatial), integer; or 0 and 1 for every class, of the input's shape (a floating value
        above 1/2 is 1).
    classes : {"all", "present"} or sequence of int, default "all"
        The classes that enter the mean: all, those with target pixels in the image (or batch), or those named.
    pool : {"image", "batch"}, default "image"
        Whether the pixels of each image are ranked, or those of the batch together.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or with ``reduction="none"`` an array as `pool`
        says.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    The defaults give the number of the authors' ``lovasz_hinge``; segmentation-models-pytorch has ``pool="batch"`` and,
    for several labels, ranks all channels as one. Images without a valid pixel do not count in the mean.

    References
    ----------
    Berman et al., "The Lovász-softmax loss" (2018), https://arxiv.org/abs/1705.08790; Yu and Blaschko, "Learning
    submodular losses with the Lovász hinge" (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import lovasz_hinge
    >>> logits, mask = np.array([[2.0, -0.5, 0.25, -3.0]]), np.array([[1, 1, 0, 0]])
    >>> round(float(lovasz_hinge(logits, mask, class_axis=None)), 4)
    0.9583
    """
    return ranking_evaluation(input, target, hinge=True, classes=classes, pool=pool, activation="sigmoid", **options)
