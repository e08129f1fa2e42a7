"""Terms and scores of peers that no option of our losses gives."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from arrayseg._typing import Array
from arrayseg.backends.protocol import Evaluation
from arrayseg.kernels.pixel import MeanTerm
from arrayseg.kernels.pixels import Pixels
from arrayseg.kernels.region import RegionTerm
from arrayseg.kernels.scores import Overlap, Score
from arrayseg.kernels.sweep import Sums

__all__ = ["masked_ids_are_background", "mean_over_ignored_pixels", "of_the_background", "with_smoothed_cells"]


@dataclass(frozen=True)
class BackgroundOutside(RegionTerm):
    """A region loss in which pixels that do not count are target pixels of class 0 that have no prediction."""

    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, tuple[Array, Array]]:
        hit, predicted, target, counted = sums
        xp = pixels.xp
        every = xp.full_like(counted, float(pixels.target.shape[-1]))
        row = [[float(place == 0) for place in range(hit.shape[1])]]
        first = pixels.backend.asarray(row, dtype=target.dtype, like=target)
        return super().solve((hit, predicted, target + (every - counted) * first, every), pixels, factor)


def masked_ids_are_background(evaluation: Any) -> Evaluation:
    """Count masked pixels as target pixels of class 0: masked ids are multiplied by 0 before they are one-hot."""
    terms = [
        BackgroundOutside(**{field.name: getattr(term, field.name) for field in fields(term)})
        for term in evaluation.terms
    ]
    changed: Evaluation = replace(evaluation, terms=terms)
    return changed


def mean_over_ignored_pixels(evaluation: Any) -> Evaluation:
    """Divide the means over pixels by the number of all pixels, ignored ones too."""
    terms = [
        replace(term, denominator="all") if isinstance(term, MeanTerm) and term.reduction == "mean" else term
        for term in evaluation.terms
    ]
    changed: Evaluation = replace(evaluation, terms=terms)
    return changed


@dataclass(frozen=True)
class SmoothedCells:
    """A score with a number added to each of the four cells, which defines it for masks without an error too."""

    score: Score
    smooth: float

    def __call__(self, overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        hit, predicted, target, pixels = overlap
        extra = self.smooth
        return self.score(Overlap(hit + extra, predicted + 2 * extra, target + 2 * extra, pixels + 4 * extra), xp)


def with_smoothed_cells(evaluation: Any, *, smooth: float) -> Evaluation:
    """Add a number to the true and the false positives and negatives, whatever they are."""
    terms = [replace(term, score=SmoothedCells(term.score, smooth)) for term in evaluation.terms]
    changed: Evaluation = replace(evaluation, terms=terms)
    return changed


@dataclass(frozen=True)
class Complement:
    """A score of what is not the class, from the sums of the class."""

    score: Score

    def __call__(self, overlap: Overlap, xp: Any) -> tuple[Array, Array, Array]:
        hit, predicted, target, pixels = overlap
        without = Overlap(pixels - predicted - target + hit, pixels - predicted, pixels - target, pixels)
        losses, by_hit, by_predicted = self.score(without, xp)
        return losses, by_hit, -by_hit - by_predicted


def of_the_background(evaluation: Any) -> Evaluation:
    """Take the score of what is not the class."""
    terms = [replace(term, score=Complement(term.score)) for term in evaluation.terms]
    changed: Evaluation = replace(evaluation, terms=terms)
    return changed
