"""Skeletons of masks: thinning to lines one pixel wide, and what openings take away."""

from __future__ import annotations

from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend
from arrayseg.imaging.morphology import dilate_box, dilate_neighbours, shifted

__all__ = ["opening_skeleton", "thinned"]

# The neighbours of a pixel in the plane, clockwise from the one above.
CIRCLE = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def thinned(backend: Backend, mask: Array) -> Array:
    """The skeleton of a mask in the plane by Zhang and Suen's parallel thinning; beyond the edge all is False.

    No component disappears, nor falls apart: a square of 2 x 2 pixels, of which their rules leave nothing, keeps two.
    """
    xp = backend.xp

    def thin(mask: Array) -> Array:
        return _without_border(xp, _without_border(xp, mask, first=True), first=False)

    return backend.fixed_point(thin, mask)


def opening_skeleton(backend: Backend, mask: Array) -> Array:
    """What openings take away while a mask is eroded until nothing is left: the soft skeleton of zeros and ones.

    Beyond the edge there is nothing that erodes, so that a mask of the whole image never shrinks: it is its skeleton.
    """
    xp, axes = backend.xp, range(mask.ndim)

    def peel(state: Array) -> Array:
        rest, skeleton = state[0, ...], state[1, ...]
        eroded = ~dilate_neighbours(xp, ~rest, 1, axes)
        return xp.stack([eroded, skeleton | (rest & ~dilate_box(xp, eroded, 1, axes))])

    state = backend.fixed_point(peel, xp.stack([mask, xp.zeros_like(mask)]))
    return state[0, ...] | state[1, ...]


def _without_border(xp: Namespace, mask: Array, *, first: bool) -> Array:
    """One half of a round: the pixels of two of the four sides that no line needs are taken away at once."""
    circle = [_neighbour(xp, mask, *step) for step in CIRCLE]
    numbers = [xp.astype(neighbour, xp.int8) for neighbour in circle]
    neighbours = sum(numbers[1:], start=numbers[0])
    starts = [
        xp.astype(~before & after, xp.int8) for before, after in zip(circle, circle[1:] + circle[:1], strict=True)
    ]
    runs = sum(starts[1:], start=starts[0])
    above, right, below, left = circle[::2]
    kept_sides = (
        (above & right & below) | (right & below & left) if first else (above & right & left) | (above & below & left)
    )
    removed = (neighbours >= 2) & (neighbours <= 6) & (runs == 1) & ~kept_sides
    # The four pixels of a square of 2 x 2 that stands alone may each be taken, and would all be taken at once. Nothing
    # else can disappear so. Its upper two pixels stay, as in scikit-image.
    in_square = mask & (neighbours == 3)
    corners = [_neighbour(xp, in_square, *step) for step in ((0, 1), (1, 0), (1, 1))]
    square = in_square & corners[0] & corners[1] & corners[2]
    return mask & (~removed | square | _neighbour(xp, square, 0, -1))


def _neighbour(xp: Namespace, mask: Array, rows: int, columns: int) -> Array:
    """At each pixel, the one so many rows below and columns to the right; False beyond the edge."""
    return shifted(xp, shifted(xp, mask, -rows, 0, False), -columns, 1, False)
