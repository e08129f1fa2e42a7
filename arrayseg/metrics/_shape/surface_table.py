"""Measure the surfaces of every class in every image of label maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from arrayseg._checks import check_indices, check_spacing, shown
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.imaging.surface_elements import label_boxes
from arrayseg.metrics._inputs import LabelMaps, read_label_maps
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
def surface_table(
    prediction: Array,
    target: Array,
    *,
    num_classes: int,
    metrics: Mapping[str, Callable[[SurfaceDistances], Array]] | None = None,
    spacing: float | Sequence[float] | None = None,
    definition: Definition = "voxel",
    connectivity: int = 1,
    edge_is_background: bool = True,
    ignore_index: int | None = None,
    mask: Array | None = None,
    classes: Sequence[int] | None = None,
    class_axis: int | None = None,
) -> dict[str, Array]:
    r"""Surface metrics of each class in each image of label maps.

    .. math:: S_{nc} = s\big(\{i : \text{prediction}_{ni} = c\}, \{i : \text{target}_{ni} = c\}\big)

    Parameters
    ----------
    prediction
        Class ids of `target`'s shape, or scores with one axis more, as `confusion_matrix` takes them.
    target
        Class ids `(N, *spatial)` with 2 or 3 spatial axes, of any integer dtype or boolean.
    num_classes
        C, the number of classes; labels are 0 to C - 1.
    metrics
        What to measure: names, and functions of `SurfaceDistances`, such as
        ``{"nsd": functools.partial(surface_dice, tolerance=2.0)}``. None: ``"hausdorff"``, ``"hausdorff_95"`` and
        ``"average_symmetric_surface_distance"``, with their defaults. The functions get NumPy arrays where the maps are
        in its memory.
    spacing, definition, connectivity, edge_is_background
        As in `surface_distances`.
    ignore_index
        The id of void pixels: pixels whose target has it belong to no mask, and where they begin there is no surface.
    mask
        Boolean array of `target`'s shape, True where a pixel counts, with the same effect.
    classes
        The classes to measure, in this order, such as ``range(1, num_classes)`` without the background; None: all.
    class_axis
        The axis of the scores in `prediction`, 1 by default; only for scores.

    Returns
    -------
    dict of str to Array
        Of each metric an array `(N, K)` of N images and K classes; `(N, K, ...)` of a metric that returns several
        numbers.

    Raises
    ------
    ValueError
        If shapes or options do not fit, or if a label that counts is out of range (under a compiler such pixels are of
        no class).
    TypeError
        If libraries are mixed, ids are not integers, or the mask is not boolean.

    Notes
    -----
    Each pair of masks is measured once, whatever the number of metrics. What empty masks give is up to the functions:
    by default nan for a class that an image has in neither map, which ``numpy.nanmean`` leaves out, and inf for one
    that is missed.

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
    """`(N, K, ...)` of the values of all images and classes, of the caller's library."""
    xp = worker.xp
    stacked = xp.stack(values)
    table = xp.reshape(stacked, (stacked.shape[0] // classes, classes, *stacked.shape[1:]))
    if worker is maps.backend:
        return table
    return maps.backend.asarray(table, dtype=maps.backend.sum_dtype(maps.target), like=maps.target)
