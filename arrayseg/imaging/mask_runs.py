"""Represent masks as runs of pixels, and count shared pixels from the ends of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from arrayseg._typing import Array
from arrayseg.backends import Backend, host

__all__ = ["Runs", "runs_of_lengths", "runs_of_masks"]


@dataclass(frozen=True)
class Runs:
    """The runs of the True pixels of n masks, on the host; the pixels are numbered in one order for all masks."""

    #: The first pixel of each run and the one after its last, `(R,)`, one mask after the other.
    starts: Array
    stops: Array
    #: The first run of each mask, and the number of all runs: `(n + 1,)`.
    first: Array

    @property
    def number(self) -> int:
        """The number of masks."""
        return int(self.first.shape[0]) - 1

    @cached_property
    def pixels(self) -> Array:
        """The number of pixels in all runs before each run, `(R + 1,)`."""
        return host().xp.cumulative_sum(self.stops - self.starts, include_initial=True)

    @property
    def areas(self) -> Array:
        """The number of pixels of each mask, `(n,)`."""
        before = host().xp.take(self.pixels, self.first)
        return before[1:] - before[:-1]

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """The first pixel of each mask and the one after its last."""
        runs = zip(self.first[:-1].tolist(), self.first[1:].tolist(), strict=True)
        return [(int(self.starts[i]), int(self.stops[j - 1])) if i < j else (0, 0) for i, j in runs]

    def shared_pixels(self, mask: int, other: Runs, masks: Sequence[int]) -> list[int]:
        """Count the pixels that one mask shares with some masks of another set."""
        xp = host().xp
        low, high = self.spans[mask]
        near = [index for index in masks if other.spans[index][0] < high and other.spans[index][1] > low]
        shared = dict.fromkeys(masks, 0)
        if near:
            bounds = [(int(other.first[index]), int(other.first[index + 1])) for index in near]
            runs = xp.concat([xp.arange(start, stop) for start, stop in bounds])
            inside = self._pixels_before(mask, other.stops[runs]) - self._pixels_before(mask, other.starts[runs])
            sums = xp.cumulative_sum(inside, include_initial=True)
            ends = xp.cumulative_sum(xp.asarray([stop - start for start, stop in bounds]), include_initial=True)
            totals = xp.take(sums, ends)
            shared.update(zip(near, (totals[1:] - totals[:-1]).tolist(), strict=True))
        return list(shared.values())

    def _pixels_before(self, mask: int, places: Array) -> Array:
        """Count the pixels of a mask before each place."""
        xp = host().xp
        runs = slice(int(self.first[mask]), int(self.first[mask + 1]))
        # The run that begins last before a place counts up to that place; in front of all runs there is none.
        index = xp.searchsorted(self.starts[runs], places, side="right")
        whole = self.pixels[runs.start : runs.stop + 1] - self.pixels[runs.start]
        stops = xp.concat([xp.zeros(1, dtype=xp.int64), self.stops[runs]])
        after = xp.take(stops, index) - places
        return xp.take(whole, index) - xp.where(after > 0, after, xp.zeros_like(after))


def runs_of_lengths(lengths: Sequence[Array]) -> Runs:
    """Return the runs of masks, from the lengths of runs of False, True, False, ... on the host."""
    xp = host().xp
    ends = [xp.cumulative_sum(each, include_initial=True)[1:] for each in lengths]
    # A run of False and the run of True after it; a last one of False has none after it.
    starts = [each[: each.shape[0] // 2 * 2 : 2] for each in ends]
    stops = [each[1::2] for each in ends]
    numbers = [each.shape[0] for each in starts]
    nothing = xp.zeros(0, dtype=xp.int64)
    first = xp.cumulative_sum(xp.asarray(numbers, dtype=xp.int64), include_initial=True)
    return Runs(xp.concat([nothing, *starts]), xp.concat([nothing, *stops]), first)


def runs_of_masks(backend: Backend, masks: Array) -> Runs:
    """Return the runs of boolean masks `(n, *spatial)` in row-major order; the device finds them in blocks."""
    worker, (view,) = backend.shared_view(masks)
    number, size = view.shape[0], prod(view.shape[1:])
    bytes_of_block = worker.block_bytes(view)
    step = max(1, number if bytes_of_block is None else bytes_of_block // max(1, size))
    found = [_changes(worker, view[start : start + step, ...], size) for start in range(0, number, step)]
    host_xp = host().xp
    nothing = host_xp.zeros(0, dtype=host_xp.int64)
    owners = host_xp.concat([nothing, *(owner + block * step for block, (owner, _) in enumerate(found))])
    places = host_xp.concat([nothing, *(place for _, place in found)])
    runs_of_each = host().counts.bincount(owners[::2], length=number)
    first = host_xp.cumulative_sum(host_xp.astype(runs_of_each, host_xp.int64), include_initial=True)
    return Runs(places[::2], places[1::2], first)


def _changes(worker: Backend, masks: Array, size: int) -> tuple[Array, Array]:
    """Return the mask and the place of each pixel that differs from the one before, as int64 on the host.

    Outside of a mask everything is False.
    """
    xp, host_xp = worker.xp, host().xp
    flat = xp.reshape(masks, (masks.shape[0], size))
    outside = xp.zeros((masks.shape[0], 1), dtype=xp.bool, device=worker.device(masks))
    padded = xp.concat([outside, flat, outside], axis=1)
    # NumPy finds the places of one axis in a fraction of the time of two.
    (changes,) = xp.nonzero(xp.reshape(padded[:, 1:] != padded[:, :-1], (-1,)))
    places = host_xp.astype(worker.to_numpy(changes), host_xp.int64)
    return places // (size + 1), places % (size + 1)
