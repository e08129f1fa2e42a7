"""The hardest pixels of a pixel loss, chosen by weights: no shape depends on the data, so compilers take it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend
from arrayseg.engine.block import Block
from arrayseg.engine.sweep import Sweep

__all__ = ["Choose", "Hardest", "above_or_largest", "above_or_largest_of_image", "largest_share"]

Choose = Callable[[Array, Array, Backend], Array]
"""From the losses `(N, S)`, the valid pixels `(N, S)` and the adapter to the weights `(N, S)` of what is kept."""


@dataclass(frozen=True)
class Hardest:
    """A pixel loss over the pixels that `choose` keeps: one sweep for the losses, then the loss with new weights."""

    sweep: Sweep
    choose: Choose

    @property
    def input(self) -> Array:
        return self.sweep.input

    @property
    def constants(self) -> Sequence[Array]:
        return self.sweep.constants

    @property
    def has_closed_form(self) -> bool:
        return self.sweep.has_closed_form

    def moved(self, backend: Backend, convert: Callable[[Array], Array]) -> Hardest:
        return replace(self, sweep=self.sweep.moved(backend, convert))

    def plain(self) -> Array:
        return self._chosen().plain()

    def value(self) -> Array:
        return self._chosen().value()

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        return self._chosen().value_and_gradient(wide=wide)

    def _chosen(self) -> Sweep:
        """The loss with the choice as pixel weights; the choice is a constant of the derivative."""
        pixels, backend = self.sweep.pixels, self.sweep.pixels.backend
        xp = pixels.xp
        bare = replace(pixels, scores=backend.stop_gradient(pixels.scores), pixel_weights=None, class_weights=None)
        losses = replace(self.sweep, pixels=bare).losses()
        # A loss that is not a number is the hardest: left out, a network that diverged would have a good loss.
        losses = xp.where(xp.isnan(losses), xp.full_like(losses, inf), losses)
        valid = Block(bare, slice(0, pixels.shape[0])).valid
        kept = self.choose(losses, xp.ones_like(losses, dtype=xp.bool) if valid is None else valid, backend)
        if pixels.pixel_weights is not None:
            kept = kept * xp.astype(pixels.pixel_weights, kept.dtype)
        return replace(self.sweep, pixels=replace(pixels, pixel_weights=kept))


def above_or_largest(threshold: float, at_least: int) -> Choose:
    """Keep the losses above a threshold, or the `at_least` largest where these are fewer."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        row, where = xp.reshape(losses, (1, -1)), xp.reshape(valid, (1, -1))
        return xp.reshape(_above_or_largest(row, where, threshold, at_least, backend), losses.shape)

    return choose


def above_or_largest_of_image(threshold: float, at_least: int, *, mean_of_images: bool) -> Choose:
    """The same image by image; the weights of an image together are 1 where the mean is to be one of images' means."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        kept = _above_or_largest(losses, valid, threshold, at_least, backend)
        if not mean_of_images:
            return kept
        total = xp.sum(kept, axis=1, keepdims=True)
        return kept / xp.where(total > 0, total, xp.ones_like(total))

    return choose


def largest_share(share: float) -> Choose:
    """Keep a share of the valid pixels, those with the largest losses, at least one."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        row, where = xp.reshape(losses, (1, -1)), xp.reshape(valid, (1, -1))
        total = xp.sum(xp.astype(where, backend.sum_dtype(losses)), axis=1, keepdims=True)
        count = xp.where(total > 0, xp.floor(xp.where(total * share < 1, xp.ones_like(total), total * share)), total)
        return xp.reshape(largest(row, where, xp.astype(count, backend.count_dtype(losses)), xp), losses.shape)

    return choose


def _above_or_largest(losses: Array, valid: Array, threshold: float, at_least: int, backend: Backend) -> Array:
    xp, (rows, length) = backend.xp, losses.shape
    hard = valid & (losses > threshold)
    dtype, device = backend.count_dtype(losses), backend.device(losses)
    count = xp.full((rows, 1), min(at_least, length), dtype=dtype, device=device)
    enough = xp.sum(xp.astype(hard, dtype), axis=1, keepdims=True) >= at_least
    return xp.where(enough, xp.astype(hard, losses.dtype), largest(losses, valid, count, xp))


def largest(losses: Array, valid: Array, count: Array, xp: Namespace) -> Array:
    """1 for the `count` largest losses of each row's valid pixels, 0 for others; ties share the last places.

    So the mean over what is kept is that of the `count` largest, and no order of the pixels matters. The count is
    `(rows, 1)`, at most the length of a row.
    """
    if 0 in losses.shape:
        return xp.zeros_like(losses)
    ordered = xp.sort(xp.where(valid, losses, xp.full_like(losses, -1.0)), axis=1, descending=True)
    some = count > 0
    last = xp.take_along_axis(ordered, xp.where(some, count - 1, count), axis=1)
    over, level = (some & valid & chosen for chosen in (losses > last, losses == last))
    missing, tied = (xp.sum(xp.astype(chosen, count.dtype), axis=1, keepdims=True) for chosen in (over, level))
    missing = xp.astype(count - missing, losses.dtype)
    tied = xp.astype(xp.where(tied > 0, tied, xp.ones_like(tied)), losses.dtype)
    return xp.astype(over, losses.dtype) + xp.astype(level, losses.dtype) * (missing / tied)
