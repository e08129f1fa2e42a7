"""The block driver: losses as terms that are counted, added, solved and pulled back, a block of pixels at a time.

A loss is a small function of sums over pixels, just as a metric is. Two sweeps give its value and gradient:

1. `count` every block and add;
2. `solve` the sums for the value and its derivatives in them;
3. `pull` the derivatives back through every block into the scores.

The same three calls on one block that holds everything are the plain expression that autodiff and compilers take.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any, TypeVar

from arrayseg._typing import Array, Reduction
from arrayseg.backends import Backend
from arrayseg.kernels.layout import Layout
from arrayseg.kernels.pixels import Block, Pixels

__all__ = ["Sums", "Sweep", "Term", "sum_over_blocks"]

Record = TypeVar("Record")

Sums = tuple[Array, ...]
"""Sums over pixels, each with the images first: `(B,)`, `(B, C)`, ..."""


class Term(ABC):
    """One loss, in the three steps of the driver."""

    #: How many arrays `count` returns.
    sums: int
    #: Whether part of the value is found by `pull`, not by `solve`.
    value_in_pull: bool = False
    #: Whether `pull` reads nothing of the scores but the probabilities.
    pulls_probabilities: bool = False
    #: Whether neighbours matter, so that a block must hold whole images.
    whole_images: bool = False
    reduction: Reduction

    @property
    def is_scalar(self) -> bool:
        """Whether the result is one number."""
        return self.reduction != "none"

    @abstractmethod
    def count(self, block: Block) -> Sums:
        """The sums of a block that `solve` needs."""

    @abstractmethod
    def solve(self, sums: Sums, pixels: Pixels, factor: float) -> tuple[Array, Any]:
        """`factor` times the value (its part known from the sums), and whatever `pull` needs."""

    @abstractmethod
    def pull(self, block: Block, state: Any, *, gradient: bool) -> tuple[Array | None, Array | None]:
        """The rest of the value, `(B,)`, and the gradient `(B, C, P)` in the scores; None for none."""

    def map(self, block: Block) -> Array:
        """The unreduced loss, `(B, P)`, of a term whose value is found by `pull`."""
        raise NotImplementedError


def block_slices(pixels: Pixels, *, whole_images: bool = False) -> list[tuple[slice, slice]]:
    """The (images, pixels) of every block: parts of an image, or several small images at a time."""
    images, classes, count = pixels.shape
    block_bytes = pixels.backend.block_bytes(pixels.scores)
    if block_bytes is None or 0 in pixels.shape:
        return [(slice(0, images), slice(0, count))]
    itemsize = 8 if pixels.compute_dtype == pixels.xp.float64 else 4
    columns = max(count if whole_images else 1, block_bytes // (classes * itemsize))
    if columns < count:
        parts = -(-count // columns)
        columns = -(-count // parts)  # even parts, so that no thread waits for a remainder
        return [
            (slice(image, image + 1), slice(start, min(start + columns, count)))
            for image in range(images)
            for start in range(0, count, columns)
        ]
    rows = max(1, columns // count)
    return [(slice(image, min(image + rows, images)), slice(0, count)) for image in range(0, images, rows)]


def sum_over_blocks(pixels: Pixels, function: Callable[[Block], Sums], *, whole_images: bool = False) -> Sums:
    """The sums of every image: blocks of the same images are added, those of others are put behind each other."""
    slices = block_slices(pixels, whole_images=whole_images)
    found = pixels.backend.map(lambda part: function(pixels.block(*part)), slices)
    groups: dict[int, list[Sums]] = {}
    for (images, _), sums in zip(slices, found, strict=True):
        groups.setdefault(images.start, []).append(sums)
    rows = [
        tuple(reduce(lambda a, b: a + b, column) for column in zip(*group, strict=True)) for group in groups.values()
    ]
    if len(rows) == 1:
        return rows[0]
    return tuple(pixels.xp.concat(column, axis=0) for column in zip(*rows, strict=True))


def arrays_of(record: Any) -> dict[str, Array]:
    """The arrays in a dataclass, by name."""
    found = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in found.items() if hasattr(value, "ndim")}


def with_arrays(record: Record, convert: Callable[[Array], Array]) -> Record:
    """A copy of a dataclass with every array in it converted; the dataclass itself if there is none."""
    converted = {name: convert(array) for name, array in arrays_of(record).items()}
    return replace(record, **converted) if converted else record  # type: ignore[type-var]


@dataclass(frozen=True)
class Sweep:
    """The weighted sum of terms over the same pixels, which share one softmax and one sweep.

    It is an `Evaluation` of the backends: `plain` for autodiff and compilers, `value` and `value_and_gradient` in
    blocks for eager arrays.
    """

    input: Array
    layout: Layout
    pixels: Pixels
    terms: Sequence[Term]
    factors: Sequence[float]

    @property
    def constants(self) -> Sequence[Array]:
        return [*self.pixels.constants, *(array for term in self.terms for array in arrays_of(term).values())]

    @property
    def has_closed_form(self) -> bool:
        return all(term.is_scalar for term in self.terms)

    def moved(self, backend: Backend, convert: Callable[[Array], Array]) -> Sweep:
        terms = [with_arrays(term, convert) for term in self.terms]
        pixels = replace(with_arrays(self.pixels, convert), backend=backend)
        return replace(self, input=convert(self.input), pixels=pixels, terms=terms)

    def plain(self) -> Array:
        if self._is_map:
            return self._restore(self.losses(in_blocks=False))
        block = self.pixels.whole()
        values = []
        for term, factor in zip(self.terms, self.factors, strict=True):
            value, state = term.solve(term.count(block), self.pixels, factor)
            rest, _ = term.pull(block, state, gradient=False) if term.value_in_pull else (None, None)
            values.append(value if rest is None else value + self.pixels.xp.sum(rest))
        return self._cast(_add(values))

    def value(self) -> Array:
        if self._is_map:
            return self._restore(self.losses())
        value, states = self._solve()
        if any(term.value_in_pull for term in self.terms):
            value = value + self._sweep(states, None)
        return self._cast(value)

    def value_and_gradient(self) -> tuple[Array, Array]:
        gradient, scores = self.layout.empty_like(self.input, self.pixels.xp, self.pixels.backend.device(self.input))
        # The probabilities of the first sweep wait in the gradient for the second, if it needs nothing else: 116
        # against 125 ms of processor time for Dice of 20 million logits.
        kept = all(term.pulls_probabilities for term in self.terms) and scores.dtype == self.pixels.compute_dtype
        value, states = self._solve(scores if kept else None)
        return self._cast(value + self._sweep(states, scores, kept=kept)), gradient

    def _solve(self, kept: Array | None = None) -> tuple[Array, list[Any]]:
        """First sweep: the sums of all terms, and what follows from them; the probabilities may be kept."""

        def count(block: Block) -> Sums:
            if kept is not None:
                kept[block.rows, :, block.columns] = block.probabilities
            return tuple(amount for term in self.terms for amount in term.count(block))

        sums = sum_over_blocks(self.pixels, count, whole_images=self._whole_images)
        values, states, start = [], [], 0
        for term, factor in zip(self.terms, self.factors, strict=True):
            value, state = term.solve(sums[start : start + term.sums], self.pixels, factor)
            start += term.sums
            values.append(value)
            states.append(state)
        return _add(values), states

    def _sweep(self, states: list[Any], gradient: Array | None, *, kept: bool = False) -> Array:
        """Second sweep: the rest of the value, and the gradient written through a view `(N, C, S)`.

        Until then the view may hold the probabilities.
        """

        def pull(part: tuple[slice, slice]) -> Array | None:
            block = self.pixels.block(*part)
            if gradient is not None and kept:
                probabilities = gradient[part[0], :, part[1]]
                block.probabilities = self.pixels.backend.block_array(probabilities, gradient.dtype)
            pairs = zip(self.terms, states, strict=True)
            rests, gradients = zip(
                *(term.pull(block, state, gradient=gradient is not None) for term, state in pairs), strict=True
            )
            if gradient is not None:
                images, pixels = part
                gradient[images, :, pixels] = self.pixels.xp.astype(_add(gradients), gradient.dtype, copy=False)
            return _add([rest for rest in rests if rest is not None], self._zero())

        slices = block_slices(self.pixels, whole_images=self._whole_images)
        return self.pixels.xp.sum(_add(self.pixels.backend.map(pull, slices)))

    def losses(self, *, in_blocks: bool | None = None) -> Array:
        """The losses of all pixels, `(N, S)`, in the compute dtype; only pixel losses have them."""
        xp, backend = self.pixels.xp, self.pixels.backend
        if in_blocks is None:
            in_blocks = backend.uses_closed_form(self.input, *self.constants)

        def found(block: Block) -> Array:
            return _add([term.map(block) * factor for term, factor in zip(self.terms, self.factors, strict=True)])

        if not in_blocks:
            return found(self.pixels.whole())
        images, _, count = self.pixels.shape
        rows = xp.empty((images, count), dtype=self.pixels.compute_dtype, device=backend.device(self.input))

        def fill(part: tuple[slice, slice]) -> None:
            rows[part] = found(self.pixels.block(*part))

        backend.map(fill, block_slices(self.pixels))
        return rows

    @property
    def _whole_images(self) -> bool:
        return any(term.whole_images for term in self.terms)

    @property
    def _is_map(self) -> bool:
        return any(not term.is_scalar and term.value_in_pull for term in self.terms)

    def _restore(self, rows: Array) -> Array:
        return self.layout.restore_rows(self._cast(rows), self.pixels.xp)

    def _zero(self) -> Array:
        device = self.pixels.backend.device(self.input)
        return self.pixels.xp.zeros((1,), dtype=self.pixels.sum_dtype, device=device)

    def _cast(self, value: Array) -> Array:
        return self.pixels.xp.astype(value, self.input.dtype, copy=False)


def _add(arrays: Sequence[Array], start: Array | None = None) -> Array:
    return reduce(lambda a, b: a + b, arrays if start is None else [start, *arrays])
