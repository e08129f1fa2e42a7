"""Structure losses: of centrelines, so that thin and branching structures stay connected."""

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
    """One minus the harmonic mean of two shares of sums over pixels, pooled as other region losses."""

    spatial: tuple[int, ...] = ()
    iterations: int = 3
    smooth: tuple[float, float] = (1.0, 1.0)
    epsilon: float = 0.0

    whole_images = True
    needs_probabilities = True

    @abstractmethod
    def parts(self, block: Block) -> tuple[Array, Array, Array, Array]:
        """What the sums of the first share and of the second run over, right and wrong ones, `(B, C, P)`."""

    @abstractmethod
    def pull_parts(self, block: Block, cotangents: Sequence[Array]) -> Array:
        """From the gradients in the parts, `(B, C, P)`, to one in the probabilities."""

    def count(self, block: Block) -> Sums:
        sums = [block.sum(block.weighted(amount), axis=2) for amount in (*self.parts(block), block.target)]
        return *sums, block.amount[:, None]

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, Any]:
        xp = batch.xp
        chosen = self._chosen(sums[0], batch)
        hit, alarm, found, lost, target, count = self._pooled(sums, chosen, xp)
        precision, imprecise, by_hit, by_alarm = _shares(hit, alarm, self.smooth, xp)
        sensitivity, insensitive, by_found, by_lost = _shares(found, lost, self.smooth, xp)
        total = precision + sensitivity + self.epsilon
        nothing = total == 0
        inverse = 1 / xp.where(nothing, xp.ones_like(total), total)
        # 1 - 2 a b / (a + b + e), without a difference
        wrong = precision * insensitive + sensitivity * imprecise + self.epsilon
        losses = xp.where(nothing, xp.ones_like(total), wrong * inverse)
        by_precision = -2 * sensitivity * (sensitivity + self.epsilon) * inverse**2
        by_sensitivity = -2 * precision * (precision + self.epsilon) * inverse**2
        weight, counts = self._weight(target, count, chosen, batch)
        losses = xp.where(counts, losses * weight, xp.zeros_like(losses)) * factor
        value = self._unreduced(losses, xp) if self.reduction == "none" else xp.sum(losses)
        derivatives = (
            by_precision * by_hit,
            by_precision * by_alarm,
            by_sensitivity * by_found,
            by_sensitivity * by_lost,
        )
        takes_part, zero = counts if chosen is None else counts & chosen, xp.zeros_like(sums[0])
        scale = weight * factor
        return value, tuple(xp.where(takes_part, by * scale, zero)[:, :, None] for by in derivatives)

    def pull(self, block: Block, state: Any) -> Array:
        xp = block.xp
        ones = block.where_valid(block.weighted(xp.ones_like(block.probabilities)))
        cotangents = [ones * xp.astype(by, block.dtype, copy=False)[block.image_slice, ...] for by in state]
        return block.pull_back(block.where_valid(self.pull_parts(block, cotangents)))

    def skeleton(self, block: Block, maps: Array) -> Array:
        """The skeletons of maps `(B, C, P)`."""
        xp = block.xp
        return self._flat(soft_skeleton(self._shaped(maps, xp), self.iterations, self._axes, xp), block)

    def pull_skeleton(self, block: Block, cotangent: Array) -> Array:
        """From a gradient in the skeleton of the probabilities to one in them.

        One class at a time, so that what the pull-backs hold on to stays in cache.
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
    """How much of the prediction's skeleton lies in the target, and of the target's in the prediction."""

    def parts(self, block: Block) -> tuple[Array, Array, Array, Array]:
        probability = block.where_valid(block.probabilities)
        skeleton, wanted = self.skeleton(block, probability), self._target_skeleton(block)
        complement = block.where_valid(block.complements)
        return skeleton * block.target, skeleton * block.outside, wanted * probability, wanted * complement

    def pull_parts(self, block: Block, cotangents: Sequence[Array]) -> Array:
        by_hit, by_alarm, by_found, by_lost = cotangents
        through = self.pull_skeleton(block, by_hit * block.target + by_alarm * block.outside)
        return through + (by_found - by_lost) * self._target_skeleton(block)

    def _target_skeleton(self, block: Block) -> Array:
        """The skeleton of the target; that of ids is found in bytes."""
        xp = block.xp
        target = xp.astype(block.one_hot, xp.uint8) if block.batch.has_ids else block.target
        return xp.astype(self.skeleton(block, target), block.dtype, copy=False)


@dataclass(frozen=True, kw_only=True)
class BoundaryCenterlineTerm(HarmonicTerm):
    """The same with fields of radii, which weigh boundaries and thin branches, as constants of the derivative.

    With S the skeleton of the probabilities p, the parts are a S of (u + v p) S, and b p of c + e p.
    """

    fields: Array
    """a, u, v, b, c and e, `(6, N, C, S)`, in the compute dtype."""

    def parts(self, block: Block) -> tuple[Array, Array, Array, Array]:
        probability = block.where_valid(block.probabilities)
        skeleton = self.skeleton(block, probability)
        a, u, v, b, c, e = self._at(block)
        alarm, lost = (u + v * probability - a) * skeleton, block.where_valid(c + (e - b) * probability)
        return a * skeleton, alarm, b * probability, lost

    def pull_parts(self, block: Block, cotangents: Sequence[Array]) -> Array:
        by_hit, by_alarm, by_found, by_lost = cotangents
        probability = block.where_valid(block.probabilities)
        a, u, v, b, _, e = self._at(block)
        through = self.pull_skeleton(block, by_hit * a + by_alarm * (u + v * probability - a))
        direct = by_alarm * v * self.skeleton(block, probability)
        return through + direct + by_found * b + by_lost * (e - b)

    def _at(self, block: Block) -> list[Array]:
        part = self.fields[:, block.image_slice, :, block.pixel_slice]
        return [part[number, ...] for number in range(6)]


def _shares(
    right: Array, wrong: Array, smooth: tuple[float, float], xp: Namespace
) -> tuple[Array, Array, Array, Array]:
    """The shares of right and of wrong ones, smoothed, and the derivatives of the first in both sums.

    Of nothing, everything is right.
    """
    above, below = smooth
    right, wrong = right + above, wrong + (below - above)
    nothing = right + wrong == 0
    zero, one = xp.zeros_like(right), xp.ones_like(right)
    inverse = xp.where(nothing, zero, 1 / xp.where(nothing, one, right + wrong))
    share, other = xp.where(nothing, one, right * inverse), wrong * inverse
    return share, other, other * inverse, -share * inverse


def centerline_plan(
    input: Array, target: Array, options: RegionOptions, *, iterations: int, smooth: Smooth, epsilon: float
) -> Sweep:
    """Return the plan of a centerline Dice."""
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
    prepared = FieldBatch(input, target, None, RegionOptions(**options))
    iterations = check_index("iterations", iterations, 0)
    backend, batch, steps = prepared.backend, prepared.batch, check_spacing(spacing, len(prepared.spatial))
    xp, axes = backend.xp, range(2, 2 + len(prepared.spatial))
    wanted, predicted = prepared.masks(), prepared.predicted_masks("threshold")
    block = whole_block(replace(batch, logits=backend.stop_gradient(batch.logits)))
    maps = xp.reshape(block.where_valid(block.probabilities), wanted.shape)
    wanted_skeleton = skeletons.soft_skeleton(xp.astype(wanted, xp.uint8), iterations, axes, xp) > 0
    predicted_skeleton = skeletons.soft_skeleton(maps, iterations, axes, xp) > 0.5
    inside, _ = distance_fields.boundary_distances(wanted, steps, backend)
    depth, radius, weight = skeletons.centerline_fields(wanted, wanted_skeleton, inside, axes, xp)
    inside, _ = distance_fields.boundary_distances(predicted, steps, backend)
    its_depth, its_radius, its_weight = skeletons.centerline_fields(predicted, predicted_skeleton, inside, axes, xp)
    zero = xp.zeros_like(inside)
    amounts = [
        its_weight * depth,
        its_weight * radius,
        xp.where(radius > 0, zero, its_weight * its_radius),
        weight * its_depth,
        xp.where(its_radius > 0, zero, weight * radius),
        weight * its_radius,
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
    shared = RegionOptions(**options)
    if shared.reduction == "none":
        msg = "dice_cl_dice is a sum of two losses of different shapes; use reduction='mean' or 'sum', or each alone."
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
        k, of the input's shape, as a data loader makes it with `arrayseg.distance_maps.skeleton_map` or with a skeleton
        of another kind; made here if not given.
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
    score = ratio(0.0, 1.0, smooth, "tp")
    prepared = FieldBatch(input, target, skeleton_map, RegionOptions(**options))
    backend, batch = prepared.backend, prepared.batch
    xp = backend.xp
    if skeleton_map is None:
        axes = range(2, 2 + len(prepared.spatial))
        skeleton_map = skeletons.tubes(xp.astype(prepared.masks(), xp.uint8), iterations, tube, axes, xp)
    wanted = replace(batch, target=prepared.rows(skeleton_map), ignore_index=None, mask=whole_block(batch).valid)
    return replace(prepared.plan(RegionTerm, score=score), batch=wanted)
