"""Soft skeletons, and the losses of how much of each skeleton lies in the other map.

The skeleton of a map e is what openings take away while it is eroded: with e_0 = e, e_{k+1} the erosion of e_k and
d_k = max(e_k - dilation(e_{k+1}), 0), it is the soft union 1 - prod_k (1 - d_k).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arrayseg._typing import Array, Namespace
from arrayseg.engine.block import Block, Pixels
from arrayseg.engine.region_term import RegionTerm
from arrayseg.engine.sweep import Sums
from arrayseg.imaging.soft_morphology import dilate, erode

__all__ = [
    "BoundaryCenterlineTerm",
    "CenterlineTerm",
    "centerline_fields",
    "pull_soft_skeleton",
    "soft_skeleton",
    "tubes",
]


def soft_skeleton(array: Array, iterations: int, axes: Sequence[int], xp: Namespace) -> Array:
    """The skeleton of maps in [0, 1], of the same shape and dtype; integers 0 and 1 are maps too."""
    skeleton = xp.zeros_like(array)
    for _ in range(iterations + 1):
        eroded, _ = erode(array, axes, xp)
        opened, _ = dilate(eroded, axes, xp)
        skeleton = skeleton + _residue(array, opened, xp) * (1 - skeleton)
        array = eroded
    return skeleton


def pull_soft_skeleton(array: Array, cotangent: Array, iterations: int, axes: Sequence[int], xp: Namespace) -> Array:
    """From a gradient in the skeleton of maps to one in the maps; the skeleton is made again on the way."""
    skeleton, steps = xp.zeros_like(array), []
    for _ in range(iterations + 1):
        eroded, pull_erode = erode(array, axes, xp)
        opened, pull_dilate = dilate(eroded, axes, xp)
        residue = _residue(array, opened, xp)
        steps.append((residue, 1 - skeleton, pull_erode, pull_dilate))
        skeleton = skeleton + residue * (1 - skeleton)
        array = eroded
    of_eroded = xp.zeros_like(cotangent)
    for residue, absent, pull_erode, pull_dilate in reversed(steps):
        # The residue is a kink where nothing is taken away, and does not count there.
        of_residue = xp.where(residue <= 0, xp.zeros_like(cotangent), cotangent * absent)
        cotangent = cotangent * (1 - residue)
        of_eroded = of_residue + pull_erode(of_eroded - pull_dilate(of_residue))
    return of_eroded


def tubes(masks: Array, iterations: int, width: int, axes: Sequence[int], xp: Namespace) -> Array:
    """The skeletons of masks of 0 and 1, dilated by a cross `width` times within the masks; integers."""
    skeleton = soft_skeleton(masks, iterations, axes, xp)
    for _ in range(width):
        outside, _ = erode(1 - skeleton, axes, xp)
        skeleton = 1 - outside
    return skeleton * masks


def centerline_fields(
    masks: Array, skeletons: Array, inside: Array, axes: Sequence[int], xp: Namespace
) -> tuple[Array, Array, Array]:
    """Distances, radii on the skeleton, and weights of the skeleton, of boolean masks and skeletons.

    Both are in units of the largest radius on the skeleton of a plane, at least 1; a thinner branch weighs more: with
    the inverse of its cross-section, a length in the plane and an area in space. `inside` has the distances to the
    boundary inside of the masks.
    """
    zero = xp.zeros_like(inside)
    radii = xp.where(skeletons & masks, inside, zero)
    largest = xp.max(radii, axis=tuple(axes), keepdims=True) if axes and 0 not in radii.shape else radii
    largest = xp.where(largest > 1, largest, xp.ones_like(largest))
    radii = radii / largest
    depth = xp.where(inside < largest, inside / largest, xp.ones_like(inside))
    narrow = 1e-7
    in_space = sum(masks.shape[axis] > 1 for axis in axes) > 2
    thickness = radii**2 if in_space else radii
    return depth, radii, xp.where(radii > 0, (1 + narrow) / (thickness + narrow), zero)


def _residue(array: Array, opened: Array, xp: Namespace) -> Array:
    """What an opening takes away. Not a maximum with 0, on whose derivative at 0 libraries disagree."""
    return xp.where(array <= opened, xp.zeros_like(array), array - opened)


@dataclass(frozen=True)
class HarmonicTerm(RegionTerm):
    """One minus the harmonic mean of two shares of sums over pixels, pooled as other region losses."""

    spatial: tuple[int, ...] = ()
    iterations: int = 3
    smooth: tuple[float, float] = (1.0, 1.0)
    epsilon: float = 0.0

    whole_images = True
    sums = 6
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

    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, Any]:
        xp = pixels.xp
        shape = sums[0].shape
        chosen = self._chosen(sums[0], pixels)
        pooled = [self._pool(xp.broadcast_to(amount, shape), chosen, xp) for amount in sums]
        hit, alarm, found, lost, target, count = pooled
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
        weight, counts = self._weight(target, count, chosen, pixels)
        losses = xp.where(counts, losses * weight, xp.zeros_like(losses)) * factor
        value = self._unreduced(losses, xp) if self.reduction == "none" else xp.sum(losses)
        derivatives = (
            by_precision * by_hit,
            by_precision * by_alarm,
            by_sensitivity * by_found,
            by_sensitivity * by_lost,
        )
        takes_part = xp.broadcast_to(counts, shape) & xp.broadcast_to(chosen, shape)
        zero = xp.zeros_like(sums[0])
        scale = weight * factor
        return value, tuple(
            xp.where(takes_part, xp.broadcast_to(by * scale, shape), zero)[:, :, None] for by in derivatives
        )

    def pull(self, block: Block, state: Any, *, gradient: bool) -> tuple[None, Array | None]:
        if not gradient:
            return None, None
        xp = block.xp
        ones = block.keep(block.weighted(xp.ones_like(block.probabilities)))
        cotangents = [ones * xp.astype(by, block.dtype, copy=False)[block.rows, ...] for by in state]
        return None, block.pull_back(block.keep(self.pull_parts(block, cotangents)))

    def skeleton(self, block: Block, maps: Array) -> Array:
        """The skeletons of maps `(B, C, P)`."""
        xp = block.xp
        return self._flat(soft_skeleton(self._shaped(maps, xp), self.iterations, self._axes, xp), block)

    def pull_skeleton(self, block: Block, cotangent: Array) -> Array:
        """From a gradient in the skeleton of the probabilities to one in them.

        One class at a time, so that what the pull-backs hold on to stays in cache.
        """
        xp = block.xp
        maps, cotangent = (self._shaped(array, xp) for array in (block.keep(block.probabilities), cotangent))
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
        return block.xp.reshape(array, (block.images, block.classes, block.count))


@dataclass(frozen=True)
class CenterlineTerm(HarmonicTerm):
    """How much of the prediction's skeleton lies in the target, and of the target's in the prediction."""

    def parts(self, block: Block) -> tuple[Array, Array, Array, Array]:
        probability = block.keep(block.probabilities)
        skeleton, wanted = self.skeleton(block, probability), self._target_skeleton(block)
        complement = block.keep(block.complements)
        return skeleton * block.target, skeleton * block.outside, wanted * probability, wanted * complement

    def pull_parts(self, block: Block, cotangents: Sequence[Array]) -> Array:
        by_hit, by_alarm, by_found, by_lost = cotangents
        through = self.pull_skeleton(block, by_hit * block.target + by_alarm * block.outside)
        return through + (by_found - by_lost) * self._target_skeleton(block)

    def _target_skeleton(self, block: Block) -> Array:
        """The skeleton of the target; that of ids is found in bytes."""
        xp = block.xp
        target = xp.astype(block.hot, xp.uint8) if block.pixels.has_ids else block.target
        return xp.astype(self.skeleton(block, target), block.dtype, copy=False)


@dataclass(frozen=True, kw_only=True)
class BoundaryCenterlineTerm(HarmonicTerm):
    """The same with fields of radii, which weigh boundaries and thin branches, as constants of the derivative.

    With S the skeleton of the probabilities p, the parts are a S of (u + v p) S, and b p of c + e p.
    """

    fields: Array
    """a, u, v, b, c and e, `(6, N, C, S)`, in the compute dtype."""

    def parts(self, block: Block) -> tuple[Array, Array, Array, Array]:
        probability = block.keep(block.probabilities)
        skeleton = self.skeleton(block, probability)
        a, u, v, b, c, e = self._at(block)
        alarm, lost = (u + v * probability - a) * skeleton, block.keep(c + (e - b) * probability)
        return a * skeleton, alarm, b * probability, lost

    def pull_parts(self, block: Block, cotangents: Sequence[Array]) -> Array:
        by_hit, by_alarm, by_found, by_lost = cotangents
        probability = block.keep(block.probabilities)
        a, u, v, b, _, e = self._at(block)
        through = self.pull_skeleton(block, by_hit * a + by_alarm * (u + v * probability - a))
        direct = by_alarm * v * self.skeleton(block, probability)
        return through + direct + by_found * b + by_lost * (e - b)

    def _at(self, block: Block) -> list[Array]:
        part = self.fields[:, block.rows, :, block.columns]
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
