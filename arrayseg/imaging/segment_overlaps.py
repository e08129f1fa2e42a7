"""Count the pixels that the segments of two label maps share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, host
from arrayseg.backends.labels import to_signed

__all__ = ["Overlaps", "joint_counts", "overlaps"]


@dataclass(frozen=True)
class Overlaps:
    """The segments of two label maps of one image, and the number of pixels that each pair shares.

    The table is small and its shape depends on the labels, so it holds NumPy arrays on the host. The first map has P
    segments, the second T, and K pairs share pixels.
    """

    #: The labels of the segments, one array `(P,)` or `(T,)` for each map that tells segments apart.
    first: tuple[Array, ...]
    second: tuple[Array, ...]
    #: Their pixels, `(P,)` and `(T,)`.
    first_areas: Array
    second_areas: Array
    #: The pairs `(K,)`: the index of the segment in `first` and in `second`, and the pixels in both.
    rows: Array
    columns: Array
    counts: Array

    @property
    def xp(self) -> Namespace:
        """The namespace of the table."""
        return host().xp

    def per_first(self, values: Array) -> Array:
        """Return the sums `(P,)` over the pairs of each segment of the first map."""
        return host().counts.bincount(self.rows, length=self.first[0].shape[0], weights=values)

    def per_second(self, values: Array) -> Array:
        """Return the sums `(T,)` over the pairs of each segment of the second map."""
        return host().counts.bincount(self.columns, length=self.second[0].shape[0], weights=values)

    def where(self, first: Array, second: Array) -> Overlaps:
        """Return the table of the segments that two boolean arrays select; areas still include all their pixels."""
        kept = first[self.rows] & second[self.columns]
        new_rows, new_columns = (
            self.xp.cumulative_sum(self.xp.astype(keep, self.rows.dtype)) - 1 for keep in (first, second)
        )
        return Overlaps(
            tuple(labels[first] for labels in self.first),
            tuple(labels[second] for labels in self.second),
            self.first_areas[first],
            self.second_areas[second],
            new_rows[self.rows[kept]],
            new_columns[self.columns[kept]],
            self.counts[kept],
        )


def joint_counts(backend: Backend, *maps: Array) -> tuple[list[Array], Array]:
    """Return the distinct tuples of labels that meet at a pixel, and the number of pixels of each.

    The maps have one shape and any integer or boolean dtypes. The device counts the pixels in blocks. The result is on
    the host, because its shape depends on the labels: a column `(K,)` of tuples for each map, and the counts `(K,)`, as
    int64 of NumPy, or uint64 for maps of uint64.
    """
    if not backend.is_concrete(*maps):
        msg = (
            "The shapes of this function's intermediate results depend on the labels, so jax.jit, jax.vmap and "
            "torch.compile cannot trace it. Call it outside the compiled function."
        )
        raise TypeError(msg)
    backend, maps = backend.shared_view(*maps)
    with backend.enable_64_bits(*maps):
        # The order of the pixels does not matter: they are read along the memory.
        order = backend.memory_order(maps[0])
        flat = [backend.xp.reshape(backend.xp.permute_dims(labels, order), (-1,)) for labels in maps]
        parts = backend.parallel_map(
            lambda block: _counted(backend, [labels[block] for labels in flat]), _blocks(backend, flat)
        )
    if len(parts) == 1:
        return parts[0]
    xp = host().xp
    columns = [xp.concat(column) for column in zip(*(columns for columns, _ in parts), strict=True)]
    groups, index, _ = _group(host(), columns)
    counts = xp.concat([counts for _, counts in parts])
    return groups, host().counts.bincount(index, length=groups[0].shape[0], weights=counts)


def _blocks(backend: Backend, flat: Sequence[Array]) -> list[slice]:
    """Return slices of pixels whose 64-bit integers fit a block."""
    size, bytes_of_block = int(flat[0].shape[0]), backend.block_bytes(flat[0])
    step = max(1, size) if bytes_of_block is None else bytes_of_block // 8
    return [slice(start, min(start + step, size)) for start in range(0, max(size, 1), step)]


def _counted(backend: Backend, columns: Sequence[Array]) -> tuple[list[Array], Array]:
    """Return the distinct tuples of some pixels and the number of pixels of each, on the host."""
    groups, _, counts = _group(backend, columns)
    xp = host().xp
    # Signed, or unsigned of 64 bits: what `_group` returns.
    found = [backend.to_numpy(array) for array in (*groups, counts)]
    *labels, numbers = (
        array if array.dtype == xp.uint64 else xp.astype(array, xp.int64, copy=False) for array in found
    )
    return labels, numbers


def overlaps(first: Sequence[Array], second: Sequence[Array], counts: Array) -> Overlaps:
    """Return the segments and their pairs; a segment is a distinct tuple of the columns of one map."""
    backend = host()
    (first_labels, rows, _), (second_labels, columns, _) = _group(backend, first), _group(backend, second)
    first_areas, second_areas = (
        backend.counts.bincount(index, length=labels[0].shape[0], weights=counts)
        for index, labels in ((rows, first_labels), (columns, second_labels))
    )
    (pair_rows, pair_columns), pairs, _ = _group(backend, [rows, columns])
    pixels = backend.counts.bincount(pairs, length=pair_rows.shape[0], weights=counts)
    return Overlaps(
        tuple(first_labels), tuple(second_labels), first_areas, second_areas, pair_rows, pair_columns, pixels
    )


def _group(backend: Backend, columns: Sequence[Array]) -> tuple[list[Array], Array, Array]:
    """Return the distinct tuples in lexicographic order, the number of the tuple of each entry, and their counts."""
    xp = backend.xp
    groups: list[Array] = []
    unsigned = [column.dtype == xp.uint64 for column in columns]
    # All entries are one group until the first column divides them.
    index = xp.zeros(columns[0].shape, dtype=backend.count_dtype(columns[0]), device=backend.device(columns[0]))
    counts = xp.sum(xp.ones_like(index), keepdims=True)
    for column, is_unsigned in zip(columns, unsigned, strict=True):
        values, position = _positions(backend, _signed(backend, column, is_unsigned))
        number = values.shape[0]
        codes, index, counts = _compact(backend, index * number + position, prod((counts.shape[0], number)))
        groups = [group[codes // max(number, 1)] for group in groups] + [values[codes % max(number, 1)]]
    restored = [
        xp.astype(_flipped(xp, group), xp.uint64) if is_unsigned else group
        for group, is_unsigned in zip(groups, unsigned, strict=True)
    ]
    return restored, index, counts


def _signed(backend: Backend, labels: Array, is_unsigned: bool) -> Array:
    """Return labels in `count_dtype`, in their order; labels of uint64 are shifted by -2^63, so that all fit."""
    labels = backend.xp.astype(to_signed(backend, labels), backend.count_dtype(labels), copy=False)
    return _flipped(backend.xp, labels) if is_unsigned else labels


def _flipped(xp: Namespace, labels: Array) -> Array:
    """Flip the highest bit of 64-bit integers."""
    return xp.bitwise_xor(labels, xp.full_like(labels, -(2**63)))


def _positions(backend: Backend, labels: Array) -> tuple[Array, Array]:
    """Return candidate values in ascending order, and the position of each label among them."""
    xp = backend.xp
    if labels.shape[0] == 0:
        return labels, labels
    lowest, highest = int(xp.min(labels)), int(xp.max(labels))
    if highest - lowest < _table_length(labels):
        values = xp.arange(lowest, highest + 1, dtype=labels.dtype, device=backend.device(labels))
        return values, labels - lowest
    values, position = xp.unique_inverse(labels)
    return values, xp.astype(position, labels.dtype, copy=False)


def _compact(backend: Backend, codes: Array, length: int) -> tuple[Array, Array, Array]:
    """Return the distinct codes of 0 .. length - 1 in order, the number of the code of each entry, and their counts."""
    xp = backend.xp
    if length > _table_length(codes):
        distinct, index = xp.unique_inverse(codes)
        index = xp.astype(index, codes.dtype, copy=False)
        return distinct, index, backend.counts.bincount(index, length=distinct.shape[0])
    table = backend.counts.bincount(codes, length=length)
    (distinct,) = xp.nonzero(table)
    rank = xp.cumulative_sum(xp.astype(table > 0, codes.dtype)) - 1
    return xp.astype(distinct, codes.dtype, copy=False), xp.take(rank, codes), table[distinct]


def _table_length(labels: Array) -> int:
    """Return the length up to which a table indexed by label is faster than sorting the labels."""
    return max(1024, 4 * int(labels.shape[0]))
