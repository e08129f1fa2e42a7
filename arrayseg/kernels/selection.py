"""The hardest pixels of a pixel loss, chosen by weights: no shape depends on the data, so compilers take it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend
from arrayseg.kernels.pixels import Block
from arrayseg.kernels.sweep import Sweep

__all__ = ["Choose", "Hardest", "above_or_largest", "largest"]

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

    def value_and_gradient(self) -> tuple[Array, Array]:
        return self._chosen().value_and_gradient()

    def _chosen(self) -> Sweep:
        """The loss with the choice as pixel weights; the choice is a constant of the derivative."""
        pixels, backend = self.sweep.pixels, self.sweep.pixels.backend
        xp = pixels.xp
        bare = replace(pixels, scores=backend.stop_gradient(pixels.scores), pixel_weights=None, class_weights=None)
        losses = replace(self.sweep, pixels=bare).losses()
        valid = Block(bare, slice(0, pixels.shape[0])).valid
        kept = self.choose(losses, xp.ones_like(losses, dtype=xp.bool) if valid is None else valid, backend)
        if pixels.pixel_weights is not None:
            kept = kept * xp.astype(pixels.pixel_weights, kept.dtype)
        return replace(self.sweep, pixels=replace(pixels, pixel_weights=kept))


def above_or_largest(threshold: float, at_least: int) -> Choose:
    """Keep the losses above a threshold, or the `at_least` largest where these are fewer."""

    def choose(losses: Array, valid: Array, backend: Backend) -> Array:
        xp = backend.xp
        hard = xp.astype(valid & (losses > threshold), losses.dtype)
        return xp.where(xp.sum(hard) >= at_least, hard, largest(losses, valid, at_least, xp))

    return choose


def largest(losses: Array, valid: Array, count: int, xp: Namespace) -> Array:
    """1 for the `count` largest losses of the valid pixels, 0 for others; ties share the last places.

    So the mean over what is kept is that of the `count` largest, and no order of the pixels matters.
    """
    ordered = xp.sort(xp.reshape(xp.where(valid, losses, xp.full_like(losses, -1.0)), (-1,)), descending=True)
    count = min(count, ordered.shape[0])
    if count == 0:
        return xp.zeros_like(losses)
    last = ordered[count - 1]
    over = xp.astype(valid & (losses > last), losses.dtype)
    level = xp.astype(valid & (losses == last), losses.dtype)
    tied = xp.sum(level)
    share = (count - xp.sum(over)) / xp.where(tied > 0, tied, xp.ones_like(tied))
    return over + level * share
