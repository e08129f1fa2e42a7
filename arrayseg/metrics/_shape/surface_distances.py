"""Measure the distances between the surfaces of two masks."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from arrayseg._checks import check_choice, check_connectivity, check_flag, check_spacing, check_static
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Spacing
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
"""A definition of the surface of a mask."""

_SIZES = {"surface_element": surface_element_sizes, "corner": corner_sizes}


class SurfaceDistances(NamedTuple):
    """The distances between two surfaces, element by element, and the size of each element.

    Parameters
    ----------
    prediction_to_target : array
        Floating array `(P,)`: the distance from each element of the prediction's surface to the target's surface, in
        the units of the spacing; inf if the target is empty. Under a compiler, shapes cannot depend on values: the
        array is then as long as the image, with nan where there is no surface.
    target_to_prediction : array
        Floating array `(T,)`: the same from each element of the target's surface.
    prediction_sizes, target_sizes : array, optional
        Floating arrays `(P,)` and `(T,)`: the length or area of each element, in the same order. None if every element
        counts one.

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

    def merged(self, other: SurfaceDistances) -> SurfaceDistances:
        """Refuse to add distances, whose elements are not counts."""
        msg = "Surface distances of several masks do not add. Compute a score of each, and average the scores."
        raise TypeError(msg)


@raises_here
def surface_distances(
    prediction: Array,
    target: Array,
    *,
    spacing: Spacing = 1.0,
    definition: Definition = "voxel",
    connectivity: int = 1,
    edge_is_background: bool = True,
    mask: Array | None = None,
) -> SurfaceDistances:
    r"""Measure the distance from each surface element of one mask to the nearest element of the other.

    .. math:: d(p, T) = \min_{t \in T} \lVert s \odot (p - t) \rVert_2

    with P and T the surfaces and s the spacing. The distances are exact. All surface metrics are computed from them.

    Parameters
    ----------
    prediction, target : array of bool
        Masks of one image and of one shape `(*spatial)`, with 1 to 3 axes; 2 or 3 for ``"surface_element"`` and
        ``"corner"``.
    spacing : float or sequence of float, default 1.0
        The distance between neighboring voxels, along every axis or along each. The distances have its unit.
    definition : {"voxel", "surface_element", "corner", "points"}, default "voxel"
        What the surface is. ``"voxel"``: the centers of the voxels that an erosion removes, each counting one.
        ``"surface_element"``: the corners between voxels at which True and False meet, each with the length or area of
        the marching-cubes surface there. ``"corner"``: the same corners, each with its share of the voxel faces that
        meet there. ``"points"``: all True voxels, each counting one.
    connectivity : int, default 1
        For ``"voxel"``: in how many coordinates neighbors may differ, from 1 (neighbors share a face) to the number of
        axes (neighbors share at least a corner). A True voxel with a False neighbor is on the surface.
    edge_is_background : bool, default True
        Whether voxels beyond the edge of the image are False. A mask that reaches the edge then has a surface there.
    mask : array of bool, optional
        True where a voxel is known, of the same shape. Unknown voxels belong to neither mask, and there is no surface
        at their border. By default all voxels are known.

    Returns
    -------
    SurfaceDistances
        Arrays of the library and on the device of the masks, float64 where there is one.

    Raises
    ------
    ValueError
        If shapes differ, or if the spacing or an option is invalid.
    TypeError
        If array libraries are mixed, or masks are not boolean.

    Notes
    -----
    MONAI, medpy and MetricsReloaded (which ignores its ``connectivity``) use ``"voxel"``. Seg-metrics uses ``"voxel"``
    with ``connectivity=ndim, edge_is_background=False``. DeepMind's surface-distance uses ``"surface_element"``; the
    same lengths and areas are derived from the geometry here (see References). DisTorch uses ``"corner"``.
    ``"points"`` gives the Hausdorff distance of point sets, as in scikit-image. By all definitions, an element lies at
    the center of its voxel or at the corner, not on the marching-cubes surface itself.

    Both masks are cropped to their common box. NumPy, and PyTorch and JAX on the CPU, search for the nearest elements
    nearby, and use SciPy's distance transform, if installed, for those far away. Under a compiler and on a GPU, a
    distance transform runs on the device.

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
    shape: tuple[int, ...], spacing: Spacing, definition: str, connectivity: int
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
    """Return where the surface elements are, and the size of each, or None if the definition has no sizes."""
    if definition == "points":
        return mask, None
    if definition == "voxel":
        return voxel_surface(backend, mask, valid, connectivity, edge_is_background), None
    return corner_surface(backend, mask, valid, edge_is_background, _SIZES[definition](spacing))


def _moved(distances: SurfaceDistances, backend: Backend, like: Array) -> SurfaceDistances:
    """Return the distances as arrays of the library and on the device of `like`."""
    dtype = backend.sum_dtype(like)
    arrays = [None if array is None else backend.asarray(array, dtype=dtype, like=like) for array in distances]
    return SurfaceDistances(*arrays)
