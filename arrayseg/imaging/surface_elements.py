"""Find the surface elements of a mask, and their sizes, by several definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import hypot, prod, sqrt

from arrayseg._typing import Array
from arrayseg.backends import Backend, host
from arrayseg.backends.constant import constant
from arrayseg.imaging.morphology import dilate_neighbors
from arrayseg.imaging.shifts import box, padded

__all__ = ["bounding_box", "corner_sizes", "corner_surface", "label_boxes", "surface_element_sizes", "voxel_surface"]

Corner = tuple[int, ...]
Point = tuple[float, ...]


def voxel_surface(backend: Backend, mask: Array, valid: Array | None, connectivity: int, outside: bool) -> Array:
    """Return the True voxels with a False neighbor, which an erosion removes."""
    background = ~mask if valid is None else ~mask & valid
    axes = range(mask.ndim)
    return mask & dilate_neighbors(backend.xp, background, connectivity, axes, outside=outside)


def bounding_box(backend: Backend, mask: Array) -> tuple[slice, ...]:
    """Return the box of the True voxels with one voxel around it, where there is one; one voxel if none is True."""
    xp, bounds = backend.xp, []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = backend.to_numpy(xp.any(mask, axis=others)).nonzero()[0].tolist() or [0]
        bounds.append(slice(max(0, occupied[0] - 1), min(mask.shape[axis], occupied[-1] + 2)))
    return tuple(bounds)


def label_boxes(backend: Backend, maps: Sequence[Array], num_labels: int) -> list[tuple[slice, ...]]:
    """Return for each label 0, 1, ... the box of its pixels in all maps, with one pixel around it.

    The box ends at the edge of the image, and is one pixel for a label that no map has.
    """
    shape = tuple(maps[0].shape)
    if 0 in shape:
        return [tuple(slice(0, 1) for _ in shape)] * num_labels
    seen = [host().xp.zeros((num_labels + 1) * length, dtype=bool) for length in shape]
    for labels in maps:
        places, values = _run_ends(backend, labels, num_labels)
        for axis, length in enumerate(shape):
            stride = prod(shape[axis + 1 :])
            codes = values * length + places // stride % length
            found = host().counts.bincount(codes, length=(num_labels + 1) * length) > 0
            seen[axis] = found | seen[axis]
    rows = [table.reshape(num_labels + 1, length) for table, length in zip(seen, shape, strict=True)]
    return [
        tuple(_span(table[label].nonzero()[0].tolist(), length) for table, length in zip(rows, shape, strict=True))
        for label in range(num_labels)
    ]


def _run_ends(backend: Backend, labels: Array, num_labels: int) -> tuple[Array, Array]:
    """Return the places of the first and last pixel of each run of one label in a line, and the labels, on the host.

    Labels that are none of 0 to `num_labels - 1` come as `num_labels`.
    """
    xp, size = backend.xp, prod(labels.shape)
    lines = xp.reshape(labels, (size // labels.shape[-1], labels.shape[-1]))
    edge = xp.ones((lines.shape[0], 1), dtype=xp.bool, device=backend.device(labels))
    differs = lines[:, 1:] != lines[:, :-1]
    (first,), (last,) = (
        xp.nonzero(xp.reshape(xp.concat(parts, axis=1), (-1,))) for parts in ([edge, differs], [differs, edge])
    )
    values = backend.to_numpy(xp.take(xp.reshape(labels, (-1,)), first))
    places = host().xp.concat([backend.to_numpy(first), backend.to_numpy(last)])
    known = (values >= 0) & (values < num_labels)
    values = host().xp.where(known, values, num_labels)
    return places, host().xp.concat([values, values])


def _span(occupied: Sequence[int], length: int) -> slice:
    """Return the slice from the first to the last occupied place, with one place around it."""
    first, last = (occupied[0], occupied[-1]) if occupied else (0, -1)
    return slice(max(0, first - 1), min(length, last + 2))


def corner_surface(
    backend: Backend, mask: Array, valid: Array | None, outside: bool, sizes: Sequence[float]
) -> tuple[Array, Array]:
    """Return the corners between voxels at which True and False meet, and the size of each.

    Both arrays are one longer along each axis than the mask. The 2^d voxels around a corner are the bits of its
    neighbor code, with the last voxel as the lowest bit; `sizes` is indexed by the code. A corner that touches an
    invalid voxel is no surface. Voxels beyond the edge are False if `outside`, and invalid otherwise.
    """
    xp, axes = backend.xp, range(mask.ndim)
    cells = padded(mask, False, axes, xp)
    code = xp.zeros(tuple(length + 1 for length in mask.shape), dtype=xp.uint8, device=backend.device(mask))
    for cell in _around(cells):
        code = code * 2 + xp.astype(cell, xp.uint8)
    full = 2 ** (2**mask.ndim) - 1
    points = (code != 0) & (code != full)
    if valid is not None or not outside:
        known = padded(xp.ones_like(mask) if valid is None else valid, outside, axes, xp)
        for cell in _around(known):
            points = points & cell
    table = backend.asarray(list(sizes), dtype=backend.sum_dtype(mask), like=mask)
    weights = xp.take(table, xp.reshape(xp.astype(code, xp.int32), (-1,)), axis=0)
    return points, xp.reshape(weights, code.shape)


def _around(cells: Array) -> Iterator[Array]:
    """Yield the 2^d views of the voxels around each corner, in row-major order."""
    for start in product((0, 1), repeat=cells.ndim):
        yield cells[box(start, (length - 1 for length in cells.shape))]


@constant
def corner_sizes(spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Return by neighbor code the length or area of voxel faces that belongs to a corner.

    The faces that meet at a corner separate two voxels that are neighbors along one axis. A face is surface if exactly
    one of the two voxels is True. The part of the corner is half as long as a voxel along every other axis.
    """

    def size(corners: frozenset[Corner]) -> float:
        crossed = _crossed_edges(corners, len(spacing))
        return float(sum(prod(s / 2 for i, s in enumerate(spacing) if a[i] == b[i]) for a, b in crossed))

    return _by_code(size, len(spacing))


@constant
def surface_element_sizes(spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Return by neighbor code the length or area of the surface through a cell between the centers of voxels.

    As in marching cubes, the surface cuts the edges between a True and a False corner of the cell in the middle. Take
    the True corners, or the False ones if they are fewer: a polygon cuts off each group that edges connect. A polygon
    that is not plane is split into the triangles that have the largest area in a unit cell.
    """

    def size(corners: frozenset[Corner]) -> float:
        everything = frozenset(product((0, 1), repeat=len(spacing)))
        fewer = min(corners, everything - corners, key=len)
        return sum(_cut_size(group, spacing) for group in _connected(fewer))

    return _by_code(size, len(spacing))


def _by_code(size: Callable[[frozenset[Corner]], float], ndim: int) -> tuple[float, ...]:
    corners = list(product((0, 1), repeat=ndim))
    highest = len(corners) - 1
    codes = range(2 ** len(corners))
    groups = (frozenset(corner for i, corner in enumerate(corners) if code >> (highest - i) & 1) for code in codes)
    return tuple(size(group) if 0 < len(group) < len(corners) else 0.0 for group in groups)


def _crossed_edges(corners: frozenset[Corner], ndim: int) -> list[tuple[Corner, Corner]]:
    """Return the edges of the cell that leave a set of corners."""
    return [(a, b) for a in sorted(corners) for axis in range(ndim) if (b := _flip(a, axis)) not in corners]


def _flip(corner: Corner, axis: int) -> Corner:
    return (*corner[:axis], 1 - corner[axis], *corner[axis + 1 :])


def _connected(corners: frozenset[Corner]) -> list[frozenset[Corner]]:
    """Split corners into the groups that edges connect."""
    groups = []
    remaining = set(corners)
    while remaining:
        group, front = set(), {remaining.pop()}
        while front:
            group |= front
            front = {_flip(corner, axis) for corner in front for axis in range(len(corner))} & remaining
            remaining -= front
        groups.append(frozenset(group))
    return groups


def _cut_size(corners: frozenset[Corner], spacing: tuple[float, ...]) -> float:
    """Return the length or area of the polygon that cuts off a connected group of corners."""
    polygon = _polygon(corners, len(spacing))
    if len(spacing) == 2:
        return hypot(*_difference(polygon[0], polygon[1], spacing))
    triangles = max(_triangulations(polygon), key=lambda parts: sum(_area(part, (1.0, 1.0, 1.0)) for part in parts))
    return sum(_area(triangle, spacing) for triangle in triangles)


def _polygon(corners: frozenset[Corner], ndim: int) -> list[Point]:
    """Return the middles of the crossed edges, ordered so that neighbors share a side of the cell."""
    middles = [tuple((i + j) / 2 for i, j in zip(*edge, strict=True)) for edge in _crossed_edges(corners, ndim)]
    ordered = [middles.pop()]
    while middles:
        following = next(
            point
            for point in middles
            if any(i == j and i != 0.5 for i, j in zip(point, ordered[-1], strict=True)) or ndim == 2
        )
        middles.remove(following)
        ordered.append(following)
    return ordered


def _triangulations(polygon: list[Point]) -> Iterator[list[tuple[Point, Point, Point]]]:
    """Yield every way to cut a polygon into triangles along its diagonals."""
    if len(polygon) < 3:
        yield []
        return
    for i in range(1, len(polygon) - 1):
        for left, right in product(_triangulations(polygon[: i + 1]), _triangulations(polygon[i:])):
            yield [(polygon[0], polygon[i], polygon[-1]), *left, *right]


def _difference(a: Point, b: Point, spacing: tuple[float, ...]) -> tuple[float, ...]:
    return tuple((j - i) * s for i, j, s in zip(a, b, spacing, strict=True))


def _area(triangle: tuple[Point, Point, Point], spacing: tuple[float, ...]) -> float:
    (u0, u1, u2), (v0, v1, v2) = (_difference(triangle[0], point, spacing) for point in triangle[1:])
    return 0.5 * sqrt((u1 * v2 - u2 * v1) ** 2 + (u2 * v0 - u0 * v2) ** 2 + (u0 * v1 - u1 * v0) ** 2)
