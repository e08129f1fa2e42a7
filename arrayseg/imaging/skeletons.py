"""Compute skeletons: of masks by thinning and by openings, and of soft maps.

The soft skeleton of a map e consists of the parts that openings remove while the map is eroded: with e_0 = e,
e_{k+1} the erosion of e_k and d_k = max(e_k - dilation(e_{k+1}), 0), it is the soft union 1 - prod_k (1 - d_k).
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend
from arrayseg.imaging.morphology import dilate_box, dilate_neighbors
from arrayseg.imaging.shifts import neighbors_at
from arrayseg.imaging.soft_morphology import dilate, erode

__all__ = [
    "centerline_fields",
    "opening_skeleton",
    "pull_soft_skeleton",
    "soft_skeleton",
    "thinned",
    "tubes",
]

# The neighbors of a pixel in the plane, clockwise from the one above.
CIRCLE = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def thinned(backend: Backend, mask: Array) -> Array:
    """Return the skeleton of a mask in the plane by Zhang and Suen's parallel thinning; False lies beyond the edge.

    No component disappears or falls apart. A square of 2 x 2 pixels, which their rules would delete, keeps two.
    """
    xp = backend.xp

    def thin(mask: Array) -> Array:
        return _without_border(xp, _without_border(xp, mask, first=True), first=False)

    return backend.fixed_point(thin, mask)


def opening_skeleton(backend: Backend, mask: Array) -> Array:
    """Return the parts that openings remove while a mask is eroded to nothing: the soft skeleton of zeros and ones.

    Nothing beyond the edge erodes. A mask of the whole image therefore never shrinks, and is its own skeleton.
    """
    xp, axes = backend.xp, range(mask.ndim)

    def peel(state: Array) -> Array:
        rest, skeleton = state[0, ...], state[1, ...]
        eroded = ~dilate_neighbors(xp, ~rest, 1, axes)
        return xp.stack([eroded, skeleton | (rest & ~dilate_box(xp, eroded, 1, axes))])

    state = backend.fixed_point(peel, xp.stack([mask, xp.zeros_like(mask)]))
    return state[0, ...] | state[1, ...]


def _without_border(xp: Namespace, mask: Array, *, first: bool) -> Array:
    """Remove the pixels of two of the four sides that no line needs: one half of a round."""
    circle = [neighbors_at(mask, step, xp, fill=False) for step in CIRCLE]
    numbers = [xp.astype(neighbor, xp.int8) for neighbor in circle]
    neighbors = sum(numbers[1:], start=numbers[0])
    starts = [
        xp.astype(~before & after, xp.int8) for before, after in zip(circle, circle[1:] + circle[:1], strict=True)
    ]
    runs = sum(starts[1:], start=starts[0])
    above, right, below, left = circle[::2]
    kept_sides = (
        (above & right & below) | (right & below & left) if first else (above & right & left) | (above & below & left)
    )
    removed = (neighbors >= 2) & (neighbors <= 6) & (runs == 1) & ~kept_sides
    # The four pixels of a square of 2 x 2 that stands alone may each be taken, and would all be taken at once. Nothing
    # else can disappear so. Its upper two pixels stay, as in scikit-image.
    in_square = mask & (neighbors == 3)
    corners = [neighbors_at(in_square, step, xp, fill=False) for step in ((0, 1), (1, 0), (1, 1))]
    square = in_square & corners[0] & corners[1] & corners[2]
    return mask & (~removed | square | neighbors_at(square, (0, -1), xp, fill=False))


def soft_skeleton(array: Array, iterations: int, axes: Sequence[int], xp: Namespace) -> Array:
    """Return the skeleton of maps in [0, 1], in their shape and dtype; the maps may be integers 0 and 1."""
    skeleton = xp.zeros_like(array)
    for _ in range(iterations + 1):
        eroded, _ = erode(array, axes, xp)
        opened, _ = dilate(eroded, axes, xp)
        skeleton = skeleton + _residue(array, opened, xp) * (1 - skeleton)
        array = eroded
    return skeleton


def pull_soft_skeleton(array: Array, cotangent: Array, iterations: int, axes: Sequence[int], xp: Namespace) -> Array:
    """Pull a gradient back from the skeleton of maps to the maps; the skeleton is computed again on the way."""
    skeleton, steps = xp.zeros_like(array), []
    for _ in range(iterations + 1):
        eroded, pull_erode = erode(array, axes, xp)
        opened, pull_dilate = dilate(eroded, axes, xp)
        residue = _residue(array, opened, xp)
        steps.append((residue, 1 - skeleton, pull_erode, pull_dilate))
        skeleton = skeleton + residue * (1 - skeleton)
        array = eroded
    of_eroded = xp.zeros_like(cotangent)
    for residue, absent, pull_erode, pull_dilate in reversed(steps):
        # The residue is a kink where nothing is taken away, and does not count there.
        of_residue = xp.where(residue <= 0, xp.zeros_like(cotangent), cotangent * absent)
        cotangent = cotangent * (1 - residue)
        of_eroded = of_residue + pull_erode(of_eroded - pull_dilate(of_residue))
    return of_eroded


def tubes(masks: Array, iterations: int, width: int, axes: Sequence[int], xp: Namespace) -> Array:
    """Return the skeletons of integer masks of 0 and 1, dilated `width` times by a cross within the masks."""
    skeleton = soft_skeleton(masks, iterations, axes, xp)
    for _ in range(width):
        outside, _ = erode(1 - skeleton, axes, xp)
        skeleton = 1 - outside
    return skeleton * masks


def centerline_fields(
    masks: Array, skeletons: Array, inside: Array, axes: Sequence[int], xp: Namespace
) -> tuple[Array, Array, Array]:
    """Return the distances, the radii on the skeleton, and the weights of the skeleton.

    Distances and radii are in units of the largest radius on the skeleton of each mask, at least 1. The weight is the
    inverse of the cross-section of the branch, a length in the plane and an area in space, so thin branches weigh more.
    `inside` holds the distances to the boundary inside the masks.
    """
    zero = xp.zeros_like(inside)
    radii = xp.where(skeletons & masks, inside, zero)
    largest = xp.max(radii, axis=tuple(axes), keepdims=True) if axes and 0 not in radii.shape else radii
    largest = xp.where(largest > 1, largest, xp.ones_like(largest))
    radii = radii / largest
    depth = xp.where(inside < largest, inside / largest, xp.ones_like(inside))
    narrow = 1e-7
    in_space = sum(masks.shape[axis] > 1 for axis in axes) > 2
    thickness = radii**2 if in_space else radii
    return depth, radii, xp.where(radii > 0, (1 + narrow) / (thickness + narrow), zero)


def _residue(array: Array, opened: Array, xp: Namespace) -> Array:
    """Return what an opening removes. A maximum with 0 would not do: libraries disagree on its derivative at 0."""
    return xp.where(array <= opened, xp.zeros_like(array), array - opened)
