"""Measure the surfaces of every class in every image of label maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from arrayseg._checks import check_indices, check_spacing, shown
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Spacing
from arrayseg.backends import Backend
from arrayseg.imaging.surface_elements import label_boxes
from arrayseg.metrics._inputs import LabelMaps, read_label_maps
from arrayseg.metrics._paragraphs import LABEL_MAPS
from arrayseg.metrics._shape.spatial import spatial_maps
from arrayseg.metrics._shape.surface_distances import Definition, SurfaceDistances, surface_distances
from arrayseg.metrics._shape.surface_scores import average_symmetric_surface_distance, hausdorff

__all__ = ["surface_table"]

DEFAULT_METRICS: Mapping[str, Callable[[SurfaceDistances], Array]] = {
    "hausdorff": hausdorff,
    "hausdorff_95": partial(hausdorff, percentile=95.0),
    "average_symmetric_surface_distance": average_symmetric_surface_distance,
}


@raises_here
@documented(LABEL_MAPS)
def surface_table(
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    metrics: Mapping[str, Callable[[SurfaceDistances], Array]] | None = None,
    spacing: Spacing = 1.0,
    definition: Definition = "voxel",
    connectivity: int = 1,
    edge_is_background: bool = True,
    ignore_index: int | None = None,
    mask: Array | None = None,
    classes: Sequence[int] | None = None,
    class_axis: int | None = None,
) -> dict[str, Array]:
    r"""Compute surface metrics of each class in each image of label maps.

    .. math:: S_{nc} = s\big(\{i : \text{prediction}_{ni} = c\}, \{i : \text{target}_{ni} = c\}\big)

    Parameters
    ----------
    {prediction_or_scores}
    {target_images}
    {num_classes}
    metrics : mapping of str to callable, optional
        Functions of `SurfaceDistances` by name, such as
        ``{"nsd": functools.partial(surface_dice, tolerance=2.0)}``. By default ``"hausdorff"``, ``"hausdorff_95"`` and
        ``"average_symmetric_surface_distance"``. The functions get NumPy arrays if the maps are in main memory.
    spacing : float or sequence of float, default 1.0
        The distance between neighboring voxels, as in `surface_distances`.
    definition : {"voxel", "surface_element", "corner", "points"}, default "voxel"
        What the surface is, as in `surface_distances`.
    connectivity : int, default 1
        In how many coordinates neighbors may differ, as in `surface_distances`.
    edge_is_background : bool, default True
        Whether voxels beyond the edge of the image are False, as in `surface_distances`.
    ignore_index : int, optional
        Label of void pixels in the target. They belong to no mask, and there is no surface at their border.
    {mask_like_void}
    classes : sequence of int, optional
        The classes to measure, in this order, such as ``range(1, num_classes)`` without the background. By default
        all.
    {class_axis}

    Returns
    -------
    dict of str to array
        For each metric an array `(N, K)` of N images and K classes, or `(N, K, ...)` if the metric returns several
        numbers.

    Raises
    ------
    {errors}

    Notes
    -----
    Each pair of masks is measured once, whatever the number of metrics. The functions decide what empty masks give: by
    default nan for a class that occurs in neither map of an image, which ``numpy.nanmean`` leaves out, and inf for a
    class that occurs in one map only.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.zeros((1, 6, 8), dtype=np.uint8)
    >>> target[:, 1:4, 1:5] = 1
    >>> prediction = np.roll(target, 1, axis=2)
    >>> metrics.surface_table(prediction, target, num_classes=3, classes=[1, 2])["hausdorff"]
    array([[ 1., nan]])
    """
    maps = read_label_maps(
        prediction,
        target,
        num_classes=num_classes,
        ignore_index=ignore_index,
        mask=mask,
        per_image=True,
        class_axis=class_axis,
    )
    worker, prediction, target, valid = spatial_maps(maps, target)
    functions = DEFAULT_METRICS if metrics is None else metrics
    if not isinstance(functions, Mapping) or not all(map(callable, functions.values())):
        msg = f'`metrics` must map names to functions of distances, such as {{"hd": hausdorff}}; got {shown(metrics)}.'
        raise TypeError(msg)
    labels = range(maps.num_classes) if classes is None else check_indices("classes", classes, maps.num_classes)
    if not target.shape[0]:
        msg = f"`target` must hold at least one image, (N, *spatial); got shape {tuple(target.shape)}."
        raise ValueError(msg)
    steps = check_spacing(spacing, target.ndim - 1)
    rows: dict[str, list[Array]] = {name: [] for name in functions}
    for image in range(target.shape[0]):
        pair = [prediction[image, ...], target[image, ...]]
        boxes = label_boxes(worker, pair, maps.num_classes) if maps.is_concrete else None
        for label in labels:
            box = ... if boxes is None else boxes[label]
            distances = surface_distances(
                *(part[box] == label for part in pair),
                spacing=steps,
                definition=definition,
                connectivity=connectivity,
                edge_is_background=edge_is_background,
                mask=None if valid is None else valid[image, ...][box],
            )
            for name, function in functions.items():
                rows[name].append(worker.xp.asarray(function(distances)))
    return {name: _table(worker, maps, values, len(labels)) for name, values in rows.items()}


def _table(worker: Backend, maps: LabelMaps, values: list[Array], classes: int) -> Array:
    """Return the values of all images and classes as one array `(N, K, ...)` of the caller's library."""
    xp = worker.xp
    stacked = xp.stack(values)
    table = xp.reshape(stacked, (stacked.shape[0] // classes, classes, *stacked.shape[1:]))
    if worker is maps.backend:
        return table
    return maps.backend.asarray(table, dtype=maps.backend.sum_dtype(maps.target), like=maps.target)
