"""Structure losses: of centrelines, so that thin and branching structures stay connected."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from arrayseg._checks import check_index, check_number, check_spacing
from arrayseg._typing import Array, Pool
from arrayseg.backends.base import Evaluation
from arrayseg.engine.sweep import Sweep
from arrayseg.kernels import fields, skeleton
from arrayseg.kernels.skeleton import BoundaryCenterlineTerm, CenterlineTerm
from arrayseg.losses._api import loss
from arrayseg.losses._dice import RegionOptions, Smooth, ratio, region_evaluation, smoothing
from arrayseg.losses._distance import Prepared, Spacing

__all__ = ["cb_dice", "cl_dice", "dice_cl_dice", "skeleton_recall"]


def centerline_evaluation(
    input: Array,
    target: Array,
    *,
    iterations: int,
    smooth: Smooth,
    epsilon: float,
    **options: Unpack[RegionOptions],
) -> Sweep:
    """The sweep of a centreline Dice, with the options of a region loss."""
    iterations = check_index("iterations", iterations, 0)
    epsilon = check_number("epsilon", epsilon, 0)
    sweep = region_evaluation(input, target, ratio(0.5, 0.5, smooth, "double"), **options)
    (term,) = sweep.terms
    spatial = sweep.layout.rows_shape[1:]
    centerline = CenterlineTerm(
        **vars(term), spatial=spatial, iterations=iterations, smooth=smoothing(smooth), epsilon=epsilon
    )
    return replace(sweep, terms=[centerline])


@loss(region_evaluation, without=("soft_tp",))
def cb_dice(
    input: Array,
    target: Array,
    *,
    iterations: int = 10,
    smooth: Smooth = 1.0,
    spacing: Spacing = 1.0,
    **options: Unpack[RegionOptions],
) -> Evaluation:
    r"""Centreline boundary Dice (cbDice) loss: clDice that also knows radii.

    .. math:: \ell = 1 - \frac{2\, T_p T_s}{T_p + T_s}, \quad
       T_p = \frac{\sum w_p S(p)\, d_t t + s}{\sum w_p S(p)\, r + s'}, \quad
       T_s = \frac{\sum w_t S(t)\, d_p p + s}{\sum w_t S(t)\, r' + s'}

    For the hard sets of prediction (more than a half) and target, d is the distance to the boundary inside, at most the
    largest radius R on the skeleton of its image and class (at least 1), and divided by it; the radius is d on the
    skeleton, and the weight w its inverse (in three dimensions the inverse of its square). r is the radius of the
    target, or that of the prediction times p where the target has no skeleton; r' is the other way round. S is the soft
    skeleton of `cl_dice`.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape: of the class where
        it is more than a half.
    iterations : int, default 10
        How often the maps are eroded, at least 0: the largest radius in pixels of a structure.
    smooth : float or (float, float), default 1.0
        s of the numerators and s' of the denominators, at least 0.
    spacing : float or sequence of float, default 1.0
        The distance between neighbours, along every spatial axis or along each.
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
    The authors' code returns the negative score, of the whole batch (``pool="all"``) and of one foreground: for two
    classes that is ``classes=(1,)``; for more it puts the largest of the foreground logits against the background,
    where this loss is of every class. Distances, radii and weights are constants of the derivative. With ``smooth=0``
    the harmonic mean has no derivative where both shares are 0, as no structure meets the other map: there it counts
    as 0, in a learned `smooth` too.

    References
    ----------
    Shi et al., "Centerline boundary Dice loss for vascular segmentation" (2024), https://arxiv.org/abs/2407.01517.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import cb_dice
    >>> wide = np.zeros((1, 7, 9), dtype=int)
    >>> wide[0, 2:5, 1:8] = 1
    >>> narrow = wide.copy()
    >>> narrow[0, [2, 4]] = 0
    >>> [round(float(cb_dice(p.astype(float), wide, class_axis=None, activation=None)), 4) for p in (wide, narrow)]
    [0.0, 0.0667]
    """
    prepared = Prepared(input, target, None, ratio(0.5, 0.5, smooth, "double"), options)
    iterations = check_index("iterations", iterations, 0)
    backend, pixels, steps = prepared.backend, prepared.pixels, check_spacing(spacing, len(prepared.spatial))
    xp, axes = backend.xp, range(2, 2 + len(prepared.spatial))
    wanted, predicted = prepared.masks(), prepared.predicted_masks("threshold")
    block = replace(pixels, scores=backend.stop_gradient(pixels.scores)).whole()
    maps = xp.reshape(block.keep(block.probabilities), wanted.shape)
    wanted_skeleton = skeleton.soft_skeleton(xp.astype(wanted, xp.uint8), iterations, axes, xp) > 0
    predicted_skeleton = skeleton.soft_skeleton(maps, iterations, axes, xp) > 0.5
    inside, _ = fields.boundary_distances(wanted, steps, backend)
    depth, radius, weight = skeleton.centerline_fields(wanted, wanted_skeleton, inside, axes, xp)
    inside, _ = fields.boundary_distances(predicted, steps, backend)
    its_depth, its_radius, its_weight = skeleton.centerline_fields(predicted, predicted_skeleton, inside, axes, xp)
    zero = xp.zeros_like(inside)
    amounts = [
        its_weight * depth,
        its_weight * radius,
        xp.where(radius > 0, zero, its_weight * its_radius),
        weight * its_depth,
        xp.where(its_radius > 0, zero, weight * radius),
        weight * its_radius,
    ]
    return prepared.of(
        BoundaryCenterlineTerm,
        fields=xp.stack([prepared.rows(amount) for amount in amounts]),
        spatial=prepared.spatial,
        iterations=iterations,
        smooth=smoothing(smooth),
    )


@loss(region_evaluation, without=("soft_tp",))
def cl_dice(
    input: Array,
    target: Array,
    *,
    iterations: int = 3,
    smooth: Smooth = 1.0,
    epsilon: float = 1e-4,
    **options: Unpack[RegionOptions],
) -> Evaluation:
    r"""Soft centreline Dice (clDice) loss: how much of each skeleton lies in the other map.

    .. math:: \ell = 1 - \frac{2\, T_p T_s}{T_p + T_s + \epsilon}, \quad
       T_p = \frac{\sum S(p)\, t + s}{\sum S(p) + s'}, \quad T_s = \frac{\sum S(t)\, p + s}{\sum S(t) + s'}

    with the soft skeleton :math:`S(e) = 1 - \prod_k (1 - d_k)`, where :math:`e_0 = e`, :math:`e_{k+1}` is the erosion
    of :math:`e_k` by a cross, and :math:`d_k = \max(e_k - \mathrm{dilation}(e_{k+1}), 0)` for k up to `iterations`.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating; usually two or three spatial axes.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value in [0, 1] for every class, of the input's shape.
    iterations : int, default 3
        How often the maps are eroded, at least 0: the largest radius in pixels of a structure.
    smooth : float or (float, float), default 1.0
        s of the numerators and s' of the denominators, at least 0.
    epsilon : float, default 1e-4
        What is added to the denominator of the harmonic mean, at least 0.
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
    ``pool="micro"`` gives the numbers of ``monai.losses.SoftclDiceLoss(softmax=True, to_onehot_y=True)`` 1.6. Up to
    MONAI 1.5, and in the authors' code, the sums are of the whole batch without the background (``pool="all"``,
    ``exclude_background=True``, ``epsilon=0``). Pixels that do not count are background of both maps before the
    skeletons are made. Where neighbours tie, pairs of them share the gradient evenly, on every backend.

    References
    ----------
    Shit et al., "clDice: a novel topology-preserving loss function for tubular structure segmentation" (2021),
    https://arxiv.org/abs/2003.07311.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import cl_dice
    >>> line = np.zeros((1, 5, 7), dtype=int)
    >>> line[0, 2, :] = 1
    >>> broken = np.where(np.arange(7) == 3, 0.1, 0.9) * line
    >>> round(float(cl_dice(broken, line, class_axis=None, activation=None)), 4)
    0.1035
    """
    return centerline_evaluation(input, target, iterations=iterations, smooth=smooth, epsilon=epsilon, **options)


@loss(region_evaluation, without=("soft_tp",))
def dice_cl_dice(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.5,
    iterations: int = 3,
    smooth: Smooth = 1.0,
    epsilon: float = 1e-4,
    dice_pool: Pool | None = None,
    **options: Unpack[RegionOptions],
) -> Evaluation:
    r"""Dice and centreline Dice together, over one softmax.

    .. math:: \ell = (1 - \alpha)\, \ell_\mathrm{Dice} + \alpha\, \ell_\mathrm{clDice}

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating; usually two or three spatial axes.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value in [0, 1] for every class, of the input's shape.
    alpha : float, default 0.5
        The share of the centreline Dice, from 0 to 1.
    iterations : int, default 3
        How often the maps are eroded, at least 0: the largest radius in pixels of a structure.
    smooth : float or (float, float), default 1.0
        Of the numerators and of the denominators of both losses, at least 0.
    epsilon : float, default 1e-4
        What is added to the denominator of the harmonic mean, at least 0.
    dice_pool : {"image", "batch", "micro", "all"}, optional
        `pool` of Dice, where it is another than that of the centreline Dice.
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
        If a shape, a device, an option or an id does not fit; if the reduction is ``"none"``.

    Notes
    -----
    ``pool="micro", dice_pool="image"`` gives the numbers of ``monai.losses.SoftDiceclDiceLoss(softmax=True,
    to_onehot_y=True)`` 1.6.

    References
    ----------
    Shit et al., "clDice: a novel topology-preserving loss function for tubular structure segmentation" (2021),
    https://arxiv.org/abs/2003.07311.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import cl_dice, dice, dice_cl_dice
    >>> logits, ids = np.ones((1, 2, 4, 5)) * np.arange(5) - 2, np.ones((1, 4, 5), dtype=int)
    >>> value = dice_cl_dice(logits, ids, alpha=0.25)
    >>> bool(np.isclose(value, 0.75 * dice(logits, ids, smooth=1) + 0.25 * cl_dice(logits, ids)))
    True
    """
    alpha = check_number("alpha", alpha, 0, 1)
    if isinstance(options.get("reduction"), str) and options["reduction"] == "none":
        msg = "dice_cl_dice is a sum of two losses of different shapes; use reduction='mean' or 'sum', or each alone."
        raise ValueError(msg)
    sweep = centerline_evaluation(input, target, iterations=iterations, smooth=smooth, epsilon=epsilon, **options)
    if dice_pool is not None:
        options["pool"] = dice_pool
    dice = region_evaluation(input, target, ratio(0.5, 0.5, smooth, "double"), **options)
    return replace(sweep, terms=[*dice.terms, *sweep.terms], factors=[1 - alpha, alpha])


@loss(region_evaluation, without=("soft_tp",))
def skeleton_recall(
    input: Array,
    target: Array,
    *,
    skeleton_map: Array | None = None,
    iterations: int = 10,
    tube: int = 2,
    smooth: Smooth = 1.0,
    **options: Unpack[RegionOptions],
) -> Evaluation:
    r"""Skeleton recall loss: how much of the target's skeleton is not found.

    .. math:: \ell = 1 - \frac{\sum p\, k + s}{\sum k + s'}

    with k the skeleton of the target, dilated within its class.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape: of the class where
        it is more than a half.
    skeleton_map : array, optional
        k, of the input's shape, as a data loader makes it with `arrayseg.fields.skeleton_map` or with a skeleton of
        another kind; made here if not given.
    iterations : int, default 10
        How often the target is eroded, at least 0: the largest radius in pixels of a structure. Not used with a
        `skeleton_map`.
    tube : int, default 2
        How often the skeleton is dilated by a cross, within its class. Not used with a `skeleton_map`.
    smooth : float or (float, float), default 1.0
        s of the numerator and s' of the denominator, at least 0.
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
    The authors return the negative recall, without the background (``exclude_background=True``), thin with
    ``skimage.morphology.skeletonize`` and dilate twice. It costs no more than a Dice if the `skeleton_map` is given.

    References
    ----------
    Kirchhoff et al., "Skeleton recall loss for connectivity conserving and resource efficient segmentation of thin
    tubular structures" (2024), https://arxiv.org/abs/2404.03010.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import skeleton_recall
    >>> line = np.zeros((1, 5, 7), dtype=int)
    >>> line[0, 2, :] = 1
    >>> broken = np.where(np.arange(7) == 3, 0.0, 1.0) * line
    >>> float(skeleton_recall(broken, line, class_axis=None, activation=None))
    0.125
    """
    iterations = check_index("iterations", iterations, 0)
    tube = check_index("tube", tube, 0)
    prepared = Prepared(input, target, skeleton_map, ratio(0.0, 1.0, smooth, "tp"), options)
    backend, pixels = prepared.backend, prepared.pixels
    xp = backend.xp
    if skeleton_map is None:
        axes = range(2, 2 + len(prepared.spatial))
        skeleton_map = skeleton.tubes(xp.astype(prepared.masks(), xp.uint8), iterations, tube, axes, xp)
    wanted = replace(pixels, target=prepared.rows(skeleton_map), ignore_index=None, mask=pixels.whole().valid)
    return replace(prepared.sweep, pixels=wanted)
