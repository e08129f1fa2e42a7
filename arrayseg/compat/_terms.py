"""Terms and scores of other libraries that no option of our losses offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from arrayseg._typing import Array
from arrayseg.engine.batch import Batch
from arrayseg.engine.pixel_term import MeanTerm
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_scores import Cells, Derivatives, Score
from arrayseg.engine.region_term import CellsTerm, RegionTerm
from arrayseg.engine.sweep import Sums

__all__ = [
    "masked_ids_are_background",
    "mean_over_ignored_pixels",
    "of_the_background",
    "with_smoothed_cells",
    "with_terms",
]


def with_terms(plan: Any, change: Callable[[Any], Any]) -> Plan:
    """Return a plan whose terms are each changed by a function."""
    changed: Plan = replace(plan, terms=[change(term) for term in plan.terms])
    return changed


def _remade(term: RegionTerm, kind: type[RegionTerm], **changes: Any) -> RegionTerm:
    """Return a term of another kind, with the same options except the changed ones."""
    return kind(**{field.name: getattr(term, field.name) for field in fields(term)} | changes)


@dataclass(frozen=True)
class BackgroundOutside(RegionTerm):
    """A region loss that counts each masked pixel as a target pixel of class 0 without a prediction."""

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, tuple[Array, ...]]:
        hit, alarm, miss, target, counted = sums
        xp = batch.xp
        every = xp.full_like(counted, float(batch.target.shape[-1]))
        row = [[float(place == 0) for place in range(hit.shape[1])]]
        outside = (every - counted) * batch.backend.asarray(row, dtype=target.dtype, like=target)
        return super().solve((hit, alarm, miss + outside, target + outside, every), batch, factor)


def masked_ids_are_background(plan: Any) -> Plan:
    """Count masked pixels as target pixels of class 0, as if the mask multiplied the ids."""
    return with_terms(plan, partial(_remade, kind=BackgroundOutside))


def mean_over_ignored_pixels(plan: Any) -> Plan:
    """Divide the means over pixels by the number of all pixels, including ignored ones."""

    def over_all_pixels(term: Any) -> Any:
        is_mean = isinstance(term, MeanTerm) and term.reduction == "mean"
        return replace(term, denominator="all") if is_mean else term

    return with_terms(plan, over_all_pixels)


@dataclass(frozen=True)
class SmoothedCells:
    """A score with a number added to each of the four cells, which also defines it for masks without an error."""

    score: Score
    smooth: float

    def __call__(self, cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        hit, alarm, miss, rest = (amount + self.smooth for amount in cells[2:])
        target, pixels = cells.target + 2 * self.smooth, cells.pixels + 4 * self.smooth
        return self.score(Cells(target, pixels, hit, alarm, miss, rest), xp)


def with_smoothed_cells(plan: Any, *, smooth: float) -> Plan:
    """Add a number to the true and the false positives and negatives, even where there is no error."""
    return with_terms(plan, lambda term: replace(term, score=SmoothedCells(term.score, smooth)))


@dataclass(frozen=True)
class Complement:
    """The score of the background, computed from the cells of the foreground."""

    score: Score

    def __call__(self, cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
        background = Cells(cells.pixels - cells.target, cells.pixels, cells.rest, cells.miss, cells.alarm)
        loss, (by_rest, by_miss, by_alarm) = self.score(background, xp)
        return loss, (xp.zeros_like(by_rest), by_alarm, by_miss, by_rest)


def of_the_background(plan: Any) -> Plan:
    """Take the score of the background instead of the score of the foreground."""
    return with_terms(plan, lambda term: _remade(term, CellsTerm, score=Complement(term.score)))
