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
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeVar

from arrayseg._typing import Array, Reduction
from arrayseg.backends import Backend
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.plan import BatchPlan

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
    #: Whether neighbours matter, so that a block must hold whole images.
    whole_images: bool = False
    reduction: Reduction

    @property
    def is_scalar(self) -> bool:
        """Whether the result is one number."""
        return self.reduction != "none"

    def pulls_probabilities(self, batch: Batch) -> bool:
        """Whether `pull` needs nothing of the scores but what a block keeps: probabilities, or slopes of sigmoids.

        If its value is found there, that value must be the sum of `map` times what `solve` hands to `pull`.
        """
        return False

    @abstractmethod
    def count(self, block: Block) -> Sums:
        """The sums of a block that `solve` needs."""

    @abstractmethod
    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, Any]:
        """`factor` times the value (its part known from the sums), and whatever `pull` needs."""

    @abstractmethod
    def pull(self, block: Block, state: Any, *, gradient: bool) -> tuple[Array | None, Array | None]:
        """The rest of the value, `()`, and the gradient `(B, C, P)` in the scores; None for none."""

    def map(self, block: Block) -> Array:
        """The unreduced loss, `(B, P)`, of a term whose value is found by `pull`."""
        raise NotImplementedError


Part = tuple[slice, slice]
"""The images and the pixels of a block."""


def block_slices(batch: Batch, *, whole_images: bool = False) -> list[Part]:
    """The parts of every block: parts of an image, or several small images at a time."""
    images, classes, count = batch.shape
    block_bytes = batch.backend.block_bytes(batch.logits)
    if block_bytes is None or 0 in batch.shape:
        return [(slice(0, images), slice(0, count))]
    itemsize = 8 if batch.compute_dtype == batch.xp.float64 else 4
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


class Blocks:
    """The blocks of the sweeps: made anew for each, but a single one serves all and keeps its activation."""

    def __init__(self, batch: Batch, *, whole_images: bool) -> None:
        self.batch = batch
        self.parts = block_slices(batch, whole_images=whole_images)
        self.single = Block.part(batch, *self.parts[0]) if len(self.parts) == 1 else None

    def at(self, part: Part) -> Block:
        """The block of a part."""
        return self.single or Block.part(self.batch, *part)


def sum_over_blocks(batch: Batch, function: Callable[[Block], Sums]) -> Sums:
    """The sums over the pixels of every image of what a function finds in blocks."""
    return _sum_over_parts(batch, block_slices(batch), lambda part: function(Block.part(batch, *part)))


def _sum_over_parts(batch: Batch, parts: list[Part], function: Callable[[Part], Sums]) -> Sums:
    """The sums of every image: parts of the same images are added, those of others are put behind each other."""
    found = batch.backend.parallel_map(function, parts)
    if len(parts) == 1:
        return found[0]
    groups: dict[int, list[Sums]] = {}
    for (images, _), sums in zip(parts, found, strict=True):
        groups.setdefault(images.start, []).append(sums)
    rows = [tuple(_add(column) for column in zip(*group, strict=True)) for group in groups.values()]
    if len(rows) == 1:
        return rows[0]
    return tuple(batch.xp.concat(column, axis=0) for column in zip(*rows, strict=True))


def arrays_of(record: Any) -> dict[str, Array]:
    """The arrays in a dataclass, by name."""
    # Numbers first: torch.compile has symbols among them, which it cannot ask for attributes.
    return {
        name: value
        for name, value in vars(record).items()
        if not isinstance(value, int | float) and hasattr(value, "ndim")
    }


def with_arrays(record: Record, convert: Callable[[Array], Array]) -> Record:
    """A copy of a dataclass with every array in it converted; the dataclass itself if there is none."""
    converted = {name: convert(array) for name, array in arrays_of(record).items()}
    return replace(record, **converted) if converted else record  # type: ignore[type-var]


@dataclass(frozen=True)
class Sweep(BatchPlan):
    """The weighted sum of terms over the same pixels, which share one softmax and one sweep."""

    terms: Sequence[Term]
    factors: Sequence[float]

    @property
    def arrays(self) -> tuple[Array, ...]:
        return (
            self.input,
            *self.batch.constants,
            *(array for term in self.terms for array in arrays_of(term).values()),
        )

    @property
    def is_scalar(self) -> bool:
        return all(term.is_scalar for term in self.terms)

    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> Sweep:
        terms = [with_arrays(term, convert) for term in self.terms]
        return replace(super().converted(backend, convert), terms=terms)

    def plain(self) -> Array:
        if self._is_map:
            return self._restore(self.losses(in_blocks=False))
        block = Block.whole(self.batch)
        values = []
        for term, factor in zip(self.terms, self.factors, strict=True):
            value, state = term.solve(term.count(block), self.batch, factor)
            rest, _ = term.pull(block, state, gradient=False) if term.value_in_pull else (None, None)
            values.append(value if rest is None else value + rest)
        return self._cast(_add(values))

    def value(self) -> Array:
        if self._is_map:
            return self._restore(self.losses())
        blocks = self._blocks()
        value, states = self._solve(blocks)
        if any(term.value_in_pull for term in self.terms):
            value = value + self._sweep(blocks, states)
        return self._cast(value)

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        batch = self.batch
        gradient, canonical = self.new_gradient(wide=wide)
        # The probabilities of the first sweep wait in the gradient for the second, if it needs nothing else.
        kept = (
            all(term.pulls_probabilities(batch) for term in self.terms)
            and not all(term.value_in_pull for term in self.terms)
            and canonical.dtype == batch.compute_dtype
        )
        blocks = self._blocks()
        value, states = self._solve(blocks, canonical if kept else None)
        return self._cast(value + self._sweep(blocks, states, canonical, kept=kept)), gradient

    def _blocks(self) -> Blocks:
        return Blocks(self.batch, whole_images=any(term.whole_images for term in self.terms))

    def _solve(self, blocks: Blocks, kept: Array | None = None) -> tuple[Array, list[Any]]:
        """First sweep: the sums of all terms, and what follows from them.

        If the probabilities are kept the second sweep cannot find values, so that they are summed here too.
        """
        late = [term for term in self.terms if kept is not None and term.value_in_pull]

        def count(part: Part) -> Sums:
            block = blocks.at(part)
            block.has_gradient = kept is not None
            if kept is not None and self.layout.is_canonical:
                block.room = _view(kept, part)
            rests = [block.sum(term.map(block), axis=1) for term in late]
            amounts = [amount for term in self.terms for amount in term.count(block)]
            if kept is not None and block.kept is not block.room:
                _fill(kept, part, block.kept)
            return *rests, *amounts

        sums = _sum_over_parts(self.batch, blocks.parts, count)
        rests = dict(zip(map(id, late), sums, strict=False))
        values, states, start = [], [], len(late)
        for term, factor in zip(self.terms, self.factors, strict=True):
            value, state = term.solve(sums[start : start + term.sums], self.batch, factor)
            start += term.sums
            values.append(value)
            states.append(state)
            if id(term) in rests:
                values.append(self.batch.xp.sum(rests[id(term)]) * state)
        return _add(values), states

    def _sweep(
        self,
        blocks: Blocks,
        states: list[Any],
        gradient: Array | None = None,
        *,
        kept: bool = False,
    ) -> Array:
        """Second sweep: the rest of the value, and the gradient written through a view `(N, C, S)`.

        Until then the view may hold the probabilities.
        """
        has_room = self.layout.is_canonical and gradient is not None and gradient.dtype == self.batch.compute_dtype

        def pull(part: Part) -> Array:
            block = blocks.at(part)
            room = None if gradient is None else _view(gradient, part)
            block.room = None
            block.has_gradient = gradient is not None
            if kept:
                block.only_probabilities = True
                if not blocks.single:
                    block.kept = self.batch.backend.blocks.as_block(room, self.batch.compute_dtype)
            rests, pulled = [self._zero()], None
            # Backwards: region losses come first in most sums, and the last term may overwrite the probabilities.
            for place in reversed(range(len(self.terms))):
                block.is_last_use = place == 0
                block.room = room if has_room and block.is_last_use else None
                rest, own = self.terms[place].pull(block, states[place], gradient=gradient is not None)
                rests += [] if rest is None else [rest]
                if pulled is not None:
                    own += pulled
                pulled = own
            if gradient is not None and pulled is not room:
                _fill(gradient, part, self.batch.xp.astype(pulled, gradient.dtype, copy=False))
            return _add(rests)

        return _add(self.batch.backend.parallel_map(pull, blocks.parts))

    def losses(self, *, in_blocks: bool | None = None) -> Array:
        """The losses of all pixels, `(N, S)`, in the compute dtype; only pixel losses have them."""
        xp, backend = self.batch.xp, self.batch.backend
        if in_blocks is None:
            in_blocks = backend.uses_closed_form(*self.arrays)

        def found(block: Block) -> Array:
            return _add([term.map(block) * factor for term, factor in zip(self.terms, self.factors, strict=True)])

        if not in_blocks:
            return found(Block.whole(self.batch))
        images, _, count = self.batch.shape
        rows = xp.empty((images, count), dtype=self.batch.compute_dtype, device=backend.device(self.input))

        def fill(part: tuple[slice, slice]) -> None:
            rows[part] = found(Block.part(self.batch, *part))

        backend.parallel_map(fill, self._blocks().parts)
        return rows

    @property
    def _is_map(self) -> bool:
        return any(not term.is_scalar and term.value_in_pull for term in self.terms)

    def _restore(self, rows: Array) -> Array:
        return self.layout.restore_rows(self._cast(rows), self.batch.xp)

    def _zero(self) -> Array:
        device = self.batch.backend.device(self.input)
        return self.batch.xp.zeros((), dtype=self.batch.sum_dtype, device=device)

    def _cast(self, value: Array) -> Array:
        return self.batch.xp.astype(value, self.batch.compute_dtype, copy=False)


def _add(arrays: Sequence[Array], start: Array | None = None) -> Array:
    return reduce(lambda a, b: a + b, arrays if start is None else [start, *arrays])


def _view(array: Array, part: Part) -> Array:
    images, batch = part
    return array[images, :, batch]


def _fill(array: Array, part: Part, values: Array) -> None:
    images, batch = part
    array[images, :, batch] = values
