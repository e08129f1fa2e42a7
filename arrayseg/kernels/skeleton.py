"""Soft skeletons and the centreline Dice made of them.

The skeleton of a map e is what openings take away while it is eroded: with e_0 = e, e_{k+1} the erosion of e_k and
d_k = max(e_k - dilation(e_{k+1}), 0), it is the soft union 1 - prod_k (1 - d_k).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arrayseg._typing import Array, Namespace
from arrayseg.kernels.pixels import Block, Pixels
from arrayseg.kernels.pooling import dilate, erode
from arrayseg.kernels.region import Overlap, RegionTerm
from arrayseg.kernels.sweep import Sums

__all__ = ["CenterlineTerm", "pull_soft_skeleton", "soft_skeleton"]


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
        of_residue = xp.where(residue > 0, cotangent * absent, xp.zeros_like(cotangent))
        cotangent = cotangent * (1 - residue)
        of_eroded = of_residue + pull_erode(of_eroded - pull_dilate(of_residue))
    return of_eroded


def _residue(array: Array, opened: Array, xp: Namespace) -> Array:
    """What an opening takes away. Not a maximum with 0, on whose derivative at 0 libraries disagree."""
    return xp.where(array > opened, array - opened, xp.zeros_like(array))


@dataclass(frozen=True)
class CenterlineTerm(RegionTerm):
    """One minus the harmonic mean of how much of each skeleton lies in the other map; pooled as other region losses."""

    spatial: tuple[int, ...] = ()
    iterations: int = 3
    smooth: tuple[float, float] = (1.0, 1.0)
    epsilon: float = 1e-4

    whole_images = True
    sums = 6

    def count(self, block: Block) -> Sums:
        xp = block.xp
        probability, target = block.keep(block.probabilities), block.target
        skeleton = self._flat(soft_skeleton(self._shaped(probability, xp), self.iterations, self._axes, xp), block)
        wanted = self.target_skeleton(block)
        ones = xp.ones((block.images, block.count), dtype=block.dtype, device=block.device)
        amounts = (skeleton * target, skeleton, wanted * probability, wanted, target)
        sums = [block.sum(block.weighted(amount), axis=2) for amount in amounts]
        return *sums, block.sum(block.weighted(block.keep(ones)), axis=1)[:, None]

    def target_skeleton(self, block: Block) -> Array:
        """The skeleton of the target, `(B, C, P)`; that of ids is found in bytes."""
        xp = block.xp
        target = xp.astype(block.hot, xp.uint8) if block.pixels.has_ids else block.target
        skeleton = soft_skeleton(self._shaped(target, xp), self.iterations, self._axes, xp)
        return xp.astype(self._flat(skeleton, block), block.dtype, copy=False)

    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, tuple[Array, ...]]:
        xp = pixels.xp
        chosen = self._chosen(sums[0], pixels)
        hit, predicted, found, wanted, target, count = (self._pool(amount, chosen, xp) for amount in sums)
        above, below = self.smooth
        precision, by_hit, by_predicted = _share(hit + above, predicted + below, xp)
        recall, by_found, _ = _share(found + above, wanted + below, xp)
        total = precision + recall + self.epsilon
        inverse = 1 / xp.where(total > 0, total, xp.ones_like(total))
        losses = 1 - 2 * precision * recall * inverse
        by_precision = -2 * recall * (recall + self.epsilon) * inverse**2
        by_recall = -2 * precision * (precision + self.epsilon) * inverse**2
        weight = self._counted(target, count, chosen, pixels) * factor
        value = self._unreduced(losses * weight, xp) if self.reduction == "none" else xp.sum(losses * weight)
        derivatives = (by_precision * by_hit, by_precision * by_predicted, by_recall * by_found)
        state = tuple(xp.broadcast_to(by * weight, sums[0].shape) * chosen for by in derivatives)
        return value, tuple(by[:, :, None] for by in state)

    def pull(self, block: Block, state: tuple[Array, ...], *, gradient: bool) -> tuple[None, Array | None]:
        if not gradient:
            return None, None
        xp = block.xp
        by_hit, by_predicted, by_found = (xp.astype(by, block.dtype, copy=False)[block.rows, ...] for by in state)
        in_skeleton = block.weighted(by_hit * block.target + by_predicted)
        probability = block.keep(block.probabilities)
        through = [
            # One class at a time, so that what the pull-backs hold on to stays in cache.
            pull_soft_skeleton(
                self._shaped(probability[:, number : number + 1, :], xp),
                self._shaped(in_skeleton[:, number : number + 1, :], xp),
                self.iterations,
                self._axes,
                xp,
            )
            for number in range(block.classes)
        ]
        derivative = self._flat(xp.concat(through, axis=1), block)
        derivative = derivative + block.weighted(by_found * self.target_skeleton(block))
        return None, block.pull_back(block.keep(derivative))

    def _counted(self, target: Array, count: Array, chosen: Array, pixels: Pixels) -> Array:
        xp = pixels.xp
        weight = self._weight(Overlap(target, target, target, count), chosen, pixels)
        return xp.where(xp.any(count > 0), weight, xp.zeros_like(weight))

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(2, 2 + len(self.spatial)))

    def _shaped(self, array: Array, xp: Any) -> Array:
        return xp.reshape(array, (*array.shape[:2], *self.spatial))

    def _flat(self, array: Array, block: Block) -> Array:
        return block.xp.reshape(array, (block.images, block.classes, block.count))


def _share(part: Array, whole: Array, xp: Namespace) -> tuple[Array, Array, Array]:
    """part / whole and its derivatives in both; of nothing, everything (1) is there."""
    defined = whole > 0
    inverse = 1 / xp.where(defined, whole, xp.ones_like(whole))
    share = part * inverse
    by_part = xp.where(defined, inverse, xp.zeros_like(inverse))
    return xp.where(defined, share, xp.ones_like(share)), by_part, -share * by_part
