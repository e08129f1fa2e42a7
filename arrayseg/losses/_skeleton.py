"""Skeleton losses: compare centerlines, so that thin and branching structures stay connected."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

from arrayseg._checks import check_index, check_number, check_spacing
from arrayseg._typing import Array, Namespace, Pool, Spacing
from arrayseg.engine.activations import whole_block
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_term import RegionTerm
from arrayseg.engine.sweep import Sums, Sweep
from arrayseg.imaging import distance_fields, skeletons
from arrayseg.imaging.skeletons import pull_soft_skeleton, soft_skeleton
from arrayseg.losses._api import loss
from arrayseg.losses._dice import Smooth, ratio, region_term, smoothing
from arrayseg.losses._distance import FieldBatch
from arrayseg.losses._inputs import prepare
from arrayseg.losses._options import RegionKeywords, RegionOptions

__all__ = ["BoundaryCenterlineTerm", "CenterlineTerm", "cb_dice", "cl_dice", "dice_cl_dice", "skeleton_recall"]


@dataclass(frozen=True)
class HarmonicTerm(RegionTerm):
    """One minus the harmonic mean of a precision and a sensitivity, pooled like other region losses."""

    spatial: tuple[int, ...] = ()
    iterations: int = 3
    smooth: tuple[float, float] = (1.0, 1.0)
    epsilon: float = 0.0

    whole_images = True
    needs_probabilities = True

    @abstractmethod
    def parts(self, block: Block) -> tuple[Array, Array, Array, Array]:
        """Return the summands of both scores, `(B, C, P)` each.

        They are the right and the wrong part of the precision, then the right and the wrong part of the sensitivity.
        """

    @abstractmethod
    def pull_parts(self, block: Block, cotangents: Sequence[Array]) -> Array:
        """Return the gradient with respect to the probabilities from the gradients with respect to the parts."""

    def count(self, block: Block) -> Sums:
        sums = [block.sum(block.weighted(amount), axis=2) for amount in (*self.parts(block), block.target)]
        return *sums, block.amount[:, None]

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, Any]:
        xp = batch.xp
        chosen = self._chosen(sums[0], batch)
        hit, alarm, covered, missed, target, count = self._pooled(sums, chosen, xp)
        precision, imprecision, by_hit, by_alarm = _shares(hit, alarm, self.smooth, xp)
        sensitivity, insensitivity, by_covered, by_missed = _shares(covered, missed, self.smooth, xp)
        total = precision + sensitivity + self.epsilon
        is_zero = total == 0
        inverse = 1 / xp.where(is_zero, xp.ones_like(total), total)
        # Equals 1 - 2 a b / (a + b + e), but subtracts no nearly equal numbers.
        wrong = precision * insensitivity + sensitivity * imprecision + self.epsilon
        losses = xp.where(is_zero, xp.ones_like(total), wrong * inverse)
        by_precision = -2 * sensitivity * (sensitivity + self.epsilon) * inverse**2
        by_sensitivity = -2 * precision * (precision + self.epsilon) * inverse**2
        weight, counts = self._weight(target, count, chosen, batch)
        losses = xp.where(counts, losses * weight, xp.zeros_like(losses)) * factor
        value = self._unreduced(losses, xp) if self.reduction == "none" else xp.sum(losses)
        derivatives = (
            by_precision * by_hit,
            by_precision * by_alarm,
            by_sensitivity * by_covered,
            by_sensitivity * by_missed,
        )
        takes_part, zero = counts if chosen is None else counts & chosen, xp.zeros_like(sums[0])
        scale = weight * factor
        return value, tuple(xp.where(takes_part, by * scale, zero)[:, :, None] for by in derivatives)

    def pull(self, block: Block, state: Any) -> Array:
        xp = block.xp
        ones = block.where_valid(block.weighted(xp.ones_like(block.probabilities)))
        cotangents = [ones * block.cast(by)[block.image_slice, ...] for by in state]
        return block.pull_back(block.where_valid(self.pull_parts(block, cotangents)))

    def skeleton(self, block: Block, maps: Array) -> Array:
        """Return the soft skeletons of maps `(B, C, P)`."""
        xp = block.xp
        return self._flat(soft_skeleton(self._shaped(maps, xp), self.iterations, self._axes, xp), block)

    def pull_skeleton(self, block: Block, cotangent: Array) -> Array:
        """Return the gradient with respect to the probabilities from the gradient with respect to their skeleton.

        It processes one class at a time, so that the intermediate arrays of the pull-back stay in cache.
        """
        xp = block.xp
        maps, cotangent = (self._shaped(array, xp) for array in (block.where_valid(block.probabilities), cotangent))
        pulled = [
            pull_soft_skeleton(maps[:, one, ...], cotangent[:, one, ...], self.iterations, self._axes, xp)
            for one in (slice(number, number + 1) for number in range(block.classes))
        ]
        return self._flat(xp.concat(pulled, axis=1), block)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(2, 2 + len(self.spatial)))

    def _shaped(self, array: Array, xp: Namespace) -> Array:
        return xp.reshape(array, (*array.shape[:2], *self.spatial))

    def _flat(self, array: Array, block: Block) -> Array:
        return block.xp.reshape(array, (block.images, block.classes, block.pixels))


@dataclass(frozen=True)
class CenterlineTerm(HarmonicTerm):
    """The term of clDice: how much of each skeleton lies in the other map."""

    def parts(self, block: Block) -> tuple[Array, Array, Array, Array]:
        probability = block.where_valid(block.probabilities)
        skeleton, target_skeleton = self.skeleton(block, probability), self._target_skeleton(block)
        complement = block.where_valid(block.complements)
        covered, missed = target_skeleton * probability, target_skeleton * complement
        return skeleton * block.target, skeleton * block.outside, covered, missed

    def pull_parts(self, block: Block, cotangents: Sequence[Array]) -> Array:
        by_hit, by_alarm, by_covered, by_missed = cotangents
        through = self.pull_skeleton(block, by_hit * block.target + by_alarm * block.outside)
        return through + (by_covered - by_missed) * self._target_skeleton(block)

    def _target_skeleton(self, block: Block) -> Array:
        """Return the skeleton of the target. Labels are eroded as bytes, which is faster."""
        xp = block.xp
        target = xp.astype(block.one_hot, xp.uint8) if block.batch.has_ids else block.target
        return xp.astype(self.skeleton(block, target), block.dtype, copy=False)


@dataclass(frozen=True, kw_only=True)
class BoundaryCenterlineTerm(HarmonicTerm):
    """The term of cbDice: clDice weighted by maps of radii, which have no gradient.

    S is the skeleton of the probabilities p. The precision is the share of a S in (u + v p) S, and the sensitivity is
    the share of b p in c + e p.
    """

    fields: Array
    """The maps a, u, v, b, c and e, `(6, N, C, S)`, in the compute dtype."""

    def parts(self, block: Block) -> tuple[Array, Array, Array, Array]:
        probability = block.where_valid(block.probabilities)
        skeleton = self.skeleton(block, probability)
        a, u, v, b, c, e = self._block_fields(block)
        alarm, missed = (u + v * probability - a) * skeleton, block.where_valid(c + (e - b) * probability)
        return a * skeleton, alarm, b * probability, missed

    def pull_parts(self, block: Block, cotangents: Sequence[Array]) -> Array:
        by_hit, by_alarm, by_covered, by_missed = cotangents
        probability = block.where_valid(block.probabilities)
        a, u, v, b, _, e = self._block_fields(block)
        through = self.pull_skeleton(block, by_hit * a + by_alarm * (u + v * probability - a))
        direct = by_alarm * v * self.skeleton(block, probability)
        return through + direct + by_covered * b + by_missed * (e - b)

    def _block_fields(self, block: Block) -> list[Array]:
        part = self.fields[:, block.image_slice, :, block.pixel_slice]
        return [part[number, ...] for number in range(6)]


def _shares(
    right: Array, wrong: Array, smooth: tuple[float, float], xp: Namespace
) -> tuple[Array, Array, Array, Array]:
    """Return the smoothed shares of `right` and `wrong` in their sum, and the derivatives of the first share.

    If both sums are 0, the share of `right` is 1.
    """
    above, below = smooth
    right, wrong = right + above, wrong + (below - above)
    is_empty = right + wrong == 0
    zero, one = xp.zeros_like(right), xp.ones_like(right)
    inverse = xp.where(is_empty, zero, 1 / xp.where(is_empty, one, right + wrong))
    share, other = xp.where(is_empty, one, right * inverse), wrong * inverse
    return share, other, other * inverse, -share * inverse


def centerline_plan(
    input: Array, target: Array, options: RegionOptions, *, iterations: int, smooth: Smooth, epsilon: float
) -> Sweep:
    """Return the plan of a centerline Dice loss."""
    iterations = check_index("iterations", iterations, 0)
    epsilon = check_number("epsilon", epsilon, 0)
    layout, batch = prepare(input, target, options)
    term = region_term(
        options,
        layout,
        CenterlineTerm,
        spatial=layout.rows_shape[1:],
        iterations=iterations,
        smooth=smoothing(smooth),
        epsilon=epsilon,
    )
    return Sweep(input, layout, batch, [term], [1.0])


@loss(RegionOptions, without=("soft_tp",))
def cb_dice(
    input: Array,
    target: Array,
    *,
    iterations: int = 10,
    smooth: Smooth = 1.0,
    spacing: Spacing = 1.0,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the centerline boundary Dice (cbDice) loss: clDice that also compares radii.

    .. math:: \ell = 1 - \frac{2\, T_p T_s}{T_p + T_s}, \quad
       T_p = \frac{\sum w_p S(p)\, d_t t + s}{\sum w_p S(p)\, r + s'}, \quad
       T_s = \frac{\sum w_t S(t)\, d_p p + s}{\sum w_t S(t)\, r' + s'}

    The distances come from hard masks of the target and of the prediction (probabilities above 0.5). Inside a mask, d
    is the distance to its boundary, clipped at R and divided by R. R is the largest radius on the skeleton of the same
    image and class, and at least 1. The radius is d on the skeleton. The weight w is its inverse, in three dimensions
    the inverse of its square. r is the radius of the target, or the radius of the prediction times p where the target
    has no skeleton. r' is defined in the same way with both roles exchanged. S is the soft skeleton of `cl_dice`.

    Parameters
    ----------
    {input_spatial}
    {target_mask}
    iterations : int, default 10
        Number of erosions, at least 0. It should reach the radius in pixels of the widest structure.
    {smooth_shares}
    {spacing}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The authors' code returns the negative score of the whole batch (``pool="all"``) for a single foreground. For two
    classes this is ``classes=(1,)``. For more classes, their code compares the largest foreground logit with the
    background, whereas this loss scores every class. Distances, radii and weights have no gradient. With ``smooth=0``
    the harmonic mean is not differentiable where both shares are 0, because no structure meets the other map. The
    derivative is defined as 0 there, also with respect to a learned `smooth`.

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
    prepared = FieldBatch(input, target, None, RegionOptions(**options))
    iterations = check_index("iterations", iterations, 0)
    backend, batch, steps = prepared.backend, prepared.batch, check_spacing(spacing, len(prepared.spatial))
    xp, axes = backend.xp, range(2, 2 + len(prepared.spatial))
    target_masks, predicted = prepared.masks(), prepared.predicted_masks("threshold")
    block = whole_block(replace(batch, logits=backend.stop_gradient(batch.logits)))
    maps = xp.reshape(block.where_valid(block.probabilities), target_masks.shape)
    target_skeleton = skeletons.soft_skeleton(xp.astype(target_masks, xp.uint8), iterations, axes, xp) > 0
    predicted_skeleton = skeletons.soft_skeleton(maps, iterations, axes, xp) > 0.5
    inside, _ = distance_fields.boundary_distances(target_masks, steps, backend)
    depth, radius, weight = skeletons.centerline_fields(target_masks, target_skeleton, inside, axes, xp)
    inside, _ = distance_fields.boundary_distances(predicted, steps, backend)
    predicted_depth, predicted_radius, predicted_weight = skeletons.centerline_fields(
        predicted, predicted_skeleton, inside, axes, xp
    )
    zero = xp.zeros_like(inside)
    amounts = [
        predicted_weight * depth,
        predicted_weight * radius,
        xp.where(radius > 0, zero, predicted_weight * predicted_radius),
        weight * predicted_depth,
        xp.where(predicted_radius > 0, zero, weight * radius),
        weight * predicted_radius,
    ]
    return prepared.plan(
        BoundaryCenterlineTerm,
        fields=xp.stack([prepared.rows(amount) for amount in amounts]),
        spatial=prepared.spatial,
        iterations=iterations,
        smooth=smoothing(smooth),
    )


@loss(RegionOptions, without=("soft_tp",))
def cl_dice(
    input: Array,
    target: Array,
    *,
    iterations: int = 3,
    smooth: Smooth = 1.0,
    epsilon: float = 1e-4,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the soft centerline Dice (clDice) loss: how much of each skeleton lies in the other map.

    .. math:: \ell = 1 - \frac{2\, T_p T_s}{T_p + T_s + \epsilon}, \quad
       T_p = \frac{\sum S(p)\, t + s}{\sum S(p) + s'}, \quad T_s = \frac{\sum S(t)\, p + s}{\sum S(t) + s'}

    The soft skeleton is :math:`S(e) = 1 - \prod_k (1 - d_k)`. Here :math:`e_0 = e`, :math:`e_{k+1}` is the erosion of
    :math:`e_k` by a cross, and :math:`d_k = \max(e_k - \mathrm{dilation}(e_{k+1}), 0)` for k up to `iterations`.

    Parameters
    ----------
    {input_spatial}
        There are usually two or three spatial axes.
    {target_probability}
    {iterations}
    {smooth_shares}
    {epsilon_harmonic}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    ``pool="micro"`` gives the numbers of ``monai.losses.SoftclDiceLoss(softmax=True, to_onehot_y=True)`` 1.6. MONAI up
    to 1.5 and the authors' code sum over the whole batch without the background (``pool="all"``,
    ``exclude_background=True``, ``epsilon=0``). Ignored pixels become background in both maps before the skeletons are
    computed. Where two neighbors tie, they share the gradient evenly, on every backend.

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
    shared = RegionOptions(**options)
    return centerline_plan(input, target, shared, iterations=iterations, smooth=smooth, epsilon=epsilon)


@loss(RegionOptions, without=("soft_tp",))
def dice_cl_dice(
    input: Array,
    target: Array,
    *,
    alpha: float = 0.5,
    iterations: int = 3,
    smooth: Smooth = 1.0,
    epsilon: float = 1e-4,
    dice_pool: Pool | None = None,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the weighted sum of Dice and centerline Dice losses with one softmax.

    .. math:: \ell = (1 - \alpha)\, \ell_\mathrm{Dice} + \alpha\, \ell_\mathrm{clDice}

    Parameters
    ----------
    {input_spatial}
        There are usually two or three spatial axes.
    {target_probability}
    alpha : float, default 0.5
        Weight of the centerline Dice, from 0 to 1.
    {iterations}
    smooth : float or (float, float), default 1.0
        Added to the numerators and denominators of both losses, at least 0. One number sets both.
    {epsilon_harmonic}
    dice_pool : {"image", "batch", "micro", "all"}, optional
        `pool` of the Dice loss. By default it is the `pool` of the centerline Dice.
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}
        Also if `reduction` is ``"none"``.

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
    shared = RegionOptions(**options)
    if shared.reduction == "none":
        msg = (
            "dice_cl_dice adds two losses of different shapes, so reduction='none' is not supported. Use 'mean' or "
            "'sum', or call dice and cl_dice separately."
        )
        raise ValueError(msg)
    sweep = centerline_plan(input, target, shared, iterations=iterations, smooth=smooth, epsilon=epsilon)
    if dice_pool is not None:
        options["pool"] = dice_pool
    dice = region_term(RegionOptions(**options), sweep.layout, score=ratio(0.5, 0.5, smooth, "double"))
    return replace(sweep, terms=[dice, *sweep.terms], factors=[1 - alpha, alpha])


@loss(RegionOptions, without=("soft_tp",))
def skeleton_recall(
    input: Array,
    target: Array,
    *,
    skeleton_map: Array | None = None,
    iterations: int = 10,
    tube: int = 2,
    smooth: Smooth = 1.0,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the skeleton recall loss: how much of the target's skeleton the prediction misses.

    .. math:: \ell = 1 - \frac{\sum p\, k + s}{\sum k + s'}

    k is the skeleton of the target, dilated within its class.

    Parameters
    ----------
    {input_spatial}
    {target_mask}
    skeleton_map : array, optional
        Precomputed k, in the shape of `input`. A data loader can create it with `arrayseg.distance_maps.skeleton_map`
        or with any other skeletonization. By default it is computed here.
    iterations : int, default 10
        Number of erosions of the target, at least 0. It should reach the radius in pixels of the widest structure. Not
        used with a `skeleton_map`.
    tube : int, default 2
        Number of dilations of the skeleton by a cross, within its class, at least 0. Not used with a `skeleton_map`.
    smooth : float or (float, float), default 1.0
        s in the numerator and s' in the denominator, at least 0. One number sets both.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The authors' code returns the negative recall without the background (``exclude_background=True``). It thins the
    target with ``skimage.morphology.skeletonize`` and dilates it twice. With a given `skeleton_map`, the loss takes as
    long as a Dice loss.

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
    score = ratio(0.0, 1.0, smooth, "tp")
    prepared = FieldBatch(input, target, skeleton_map, RegionOptions(**options))
    backend, batch = prepared.backend, prepared.batch
    xp = backend.xp
    if skeleton_map is None:
        axes = range(2, 2 + len(prepared.spatial))
        skeleton_map = skeletons.tubes(xp.astype(prepared.masks(), xp.uint8), iterations, tube, axes, xp)
    batch = replace(batch, target=prepared.rows(skeleton_map), ignore_index=None, mask=whole_block(batch).valid)
    return replace(prepared.plan(RegionTerm, score=score), batch=batch)
