"""Measure the distances between the surfaces of two masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from arrayseg._checks import check_choice, check_connectivity, check_flag, check_spacing, check_static
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.backends.masks import select
from arrayseg.imaging.surface_elements import (
    bounding_box,
    corner_sizes,
    corner_surface,
    surface_element_sizes,
    voxel_surface,
)
from arrayseg.metrics._inputs import check_masks

__all__ = ["Definition", "SurfaceDistances", "surface_distances"]

Definition: TypeAlias = Literal["voxel", "surface_element", "corner", "points"]
"""What the surface of a mask is."""

_SIZES = {"surface_element": surface_element_sizes, "corner": corner_sizes}


class SurfaceDistances(NamedTuple):
    """The distances between two surfaces, element by element, and how much surface each element is.

    Parameters
    ----------
    prediction_to_target
        Floating array `(P,)`: of each element of the prediction's surface, the distance to the target's, in the units
        of the spacing; inf if the target is empty. Under a compiler, which has no shape that depends on values, the
        array is as long as the image, and nan where there is no surface.
    target_to_prediction
        Floating array `(T,)`, likewise of the target's surface.
    prediction_sizes, target_sizes
        Floating arrays `(P,)` and `(T,)`, the length or area of each element, in the same order; None for definitions
        in which every element counts one.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> prediction, target = np.eye(3, dtype=bool), np.zeros((3, 3), dtype=bool)
    >>> target[0, 0] = True
    >>> metrics.surface_distances(prediction, target).prediction_to_target
    array([0.        , 1.41421356, 2.82842712])
    """

    prediction_to_target: Array
    target_to_prediction: Array
    prediction_sizes: Array | None = None
    target_sizes: Array | None = None


@raises_here
def surface_distances(
    prediction: Array,
    target: Array,
    *,
    spacing: float | Sequence[float] | None = None,
    definition: Definition = "voxel",
    connectivity: int = 1,
    edge_is_background: bool = True,
    mask: Array | None = None,
) -> SurfaceDistances:
    r"""Distances between the surfaces of two masks, from each element of one to the nearest of the other.

    .. math:: d(p, T) = \min_{t \in T} \lVert s \odot (p - t) \rVert_2

    with P and T the surfaces and s the spacing. The distances are exact. Every surface metric is a function of them.

    Parameters
    ----------
    prediction, target
        Boolean arrays `(*spatial)` of one shape, with 1 to 3 axes (2 or 3 for ``"surface_element"`` and ``"corner"``).
    spacing
        Distance between neighbouring voxels along each axis, or one number for all axes, in any unit, which is then
        that of the distances; None for 1.
    definition
        What the surface is. ``"voxel"`` (default): the centres of the voxels that an erosion removes, each counting
        one. ``"surface_element"``: the corners between voxels at which True and False meet, each with the length or
        area of the marching-cubes surface there. ``"corner"``: the same corners, each with the length or area of the
        voxel faces that belongs to it. ``"points"``: all True voxels, each counting one.
    connectivity
        For ``"voxel"``: how many coordinates of neighbours may differ, 1 (default: neighbours by a face) to the number
        of axes (by a corner too). A True voxel with a False neighbour is on the surface.
    edge_is_background
        Whether voxels beyond the edge of the image count as False, so that a mask that ends there has a surface there.
    mask
        Boolean array of the same shape, True where voxels are known. Others belong to neither mask, and where they
        begin there is no surface; None: all are known.

    Returns
    -------
    SurfaceDistances
        Arrays of the library and on the device of the masks, float64 where there is one.

    Raises
    ------
    ValueError
        If shapes, spacing or options do not fit.
    TypeError
        If libraries are mixed, or masks are not boolean.

    Notes
    -----
    ``"voxel"`` is MONAI, medpy and MetricsReloaded (which ignores its ``connectivity``); seg-metrics is ``"voxel"``
    with ``connectivity=ndim, edge_is_background=False``. ``"surface_element"`` is DeepMind's surface-distance, with the
    same lengths and areas, here derived from the geometry (see References). ``"corner"`` is DisTorch. ``"points"`` is
    the Hausdorff distance of point sets, as in scikit-image. A convention that they share: an element lies at the
    centre of its voxel, or at the corner, not on the marching-cubes surface itself.

    Masks are cropped to the box of both. NumPy, and PyTorch and JAX on the CPU, look for the nearest elements near by
    and use SciPy's distance transform, where it is installed, for those far away; under a compiler and on a GPU it is a
    distance transform on the device.

    References
    ----------
    Nikolov and others, "Deep learning to achieve clinically applicable segmentation of head and neck anatomy for
    radiotherapy", arXiv:1809.04430 (surface elements). Lorensen, Cline, "Marching cubes", SIGGRAPH 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.zeros((6, 8), dtype=bool)
    >>> target[1:4, 1:5] = True
    >>> prediction = np.roll(target, 1, axis=1)
    >>> distances = metrics.surface_distances(prediction, target, spacing=(2.0, 0.5))
    >>> metrics.hausdorff(distances)
    np.float64(0.5)
    """
    backend = check_masks(prediction=prediction, target=target, mask=mask)
    spacing, connectivity = _check_geometry(tuple(target.shape), spacing, definition, connectivity)
    edge_is_background = check_flag("edge_is_background", edge_is_background)
    masks = [prediction, target] if mask is None else [prediction, target, mask]
    concrete = backend.is_concrete(*masks)
    worker, views = backend.shared_view(*masks) if concrete else (backend, tuple(masks))
    valid = None if mask is None else views[2]
    first, second = (view if valid is None else view & valid for view in views[:2])
    if concrete:
        for step in spacing:
            check_static("spacing", step)
        box = bounding_box(worker, first | second)
        first, second, valid = first[box], second[box], None if valid is None else valid[box]
    surfaces = worker.parallel_map(
        lambda region: _surface(worker, region, valid, spacing, definition, connectivity, edge_is_background),
        [first, second],
    )
    (points_p, sizes_p), (points_t, sizes_t) = surfaces
    distances = worker.parallel_map(
        lambda pair: worker.masks.nearest_distances(*pair, spacing=spacing),
        [(points_p, points_t), (points_t, points_p)],
    )
    sizes = [
        None if sizes is None else select(worker, sizes, points)
        for points, sizes in ((points_p, sizes_p), (points_t, sizes_t))
    ]
    result = SurfaceDistances(*distances, *sizes)
    return result if worker is backend else _moved(result, backend, prediction)


def _check_geometry(
    shape: tuple[int, ...], spacing: float | Sequence[float] | None, definition: str, connectivity: int
) -> tuple[tuple[float, ...], int]:
    """Return the spacing and the connectivity, after checking that they and the definition fit the shape."""
    check_choice("definition", definition, ("voxel", "points", *_SIZES))
    least = 2 if definition in _SIZES else 1
    if not least <= len(shape) <= 3:
        msg = f"Masks must have {least} to 3 axes for {definition!r} surfaces; got {shape}. Pass one image at a time."
        raise ValueError(msg)
    return check_spacing(spacing, len(shape)), check_connectivity(connectivity, len(shape))


def _surface(
    backend: Backend,
    mask: Array,
    valid: Array | None,
    spacing: tuple[float, ...],
    definition: Definition,
    connectivity: int,
    edge_is_background: bool,
) -> tuple[Array, Array | None]:
    """Where the surface elements are, and the size of each, where the definition has sizes."""
    if definition == "points":
        return mask, None
    if definition == "voxel":
        return voxel_surface(backend, mask, valid, connectivity, edge_is_background), None
    return corner_surface(backend, mask, valid, edge_is_background, _SIZES[definition](spacing))


def _moved(distances: SurfaceDistances, backend: Backend, like: Array) -> SurfaceDistances:
    """The same arrays, of another library."""
    dtype = backend.sum_dtype(like)
    arrays = [None if array is None else backend.asarray(array, dtype=dtype, like=like) for array in distances]
    return SurfaceDistances(*arrays)
