"""Compute the maps that losses accept: distances to class boundaries, weights near boundaries, and skeletons."""

from __future__ import annotations

from collections.abc import Callable

from arrayseg._checks import check_dtype, check_flag, check_index, check_number, check_spacing, shown
from arrayseg._docs import documented
from arrayseg._errors import raises_here
from arrayseg._typing import Array, DType, Spacing
from arrayseg.backends import Backend, backend_of
from arrayseg.backends.axes import move_axis
from arrayseg.imaging import distance_fields, skeletons
from arrayseg.losses._one_hot import one_hot

__all__ = ["boundary_weight_map", "distance_map", "signed_distance_map", "skeleton_map"]

_PARAGRAPHS = {
    "target": r"""
        target : array
            Class ids, shape (N, \*spatial), integer; or, without `num_classes`, boolean masks (N, C, \*spatial).
    """,
    "num_classes": """
        num_classes : int, optional
            The number of classes, C, if the target holds ids.
    """,
    "spacing": """
        spacing : float or sequence of float, default 1.0
            The distance between neighbors, along every spatial axis or along each.
    """,
    "layout": """
        class_axis : int, default 1
            The position of the class axis in the result; -1 for channels-last.
        ignore_index : int, optional
            Label of pixels that belong to no class.
        dtype : dtype, optional
            The dtype of the result, of the target's library; by default its float32.
    """,
    "map": r"""
        array
            Shape (N, C, \*spatial), on the target's device.
    """,
    "type_error": """
        TypeError
            If the target is neither integer with `num_classes` nor boolean without.
    """,
    "value_error": """
        ValueError
            If an id is no class, `spacing` does not fit the spatial axes, or another option is out of its range.
    """,
}


@raises_here
@documented(_PARAGRAPHS)
def signed_distance_map(
    target: Array,
    num_classes: int | None = None,
    *,
    spacing: Spacing = 1.0,
    inside_offset: float = 1.0,
    class_axis: int = 1,
    ignore_index: int | None = None,
    dtype: DType | None = None,
) -> Array:
    r"""Compute the signed Euclidean distance to the boundary of every class, for `arrayseg.losses.boundary`.

    .. math:: \phi_i = d_i \text{ outside of the class}, \; -(d_i - o) \text{ inside}

    with d the distance to the nearest pixel of the other side. A class that fills the image or does not occur has 0.

    Parameters
    ----------
    {target}
    {num_classes}
    {spacing}
    inside_offset : float, default 1.0
        o, which is subtracted from the distance inside: 1 as in the code of Kervadec et al. and in MONAI, or 0 for a
        symmetric distance.
    {layout}

    Returns
    -------
    {map}

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    The distances are exact on every backend: SciPy's transform on the CPU if it is installed, CuPy's on its device, and
    one pass for each axis in standard functions elsewhere and under compilers. `scipy.ndimage.distance_transform_edt`
    alone is undefined for a class that fills the image.

    References
    ----------
    Kervadec et al., "Boundary loss for highly unbalanced segmentation" (2019), https://arxiv.org/abs/1812.07032.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import distance_maps
    >>> distance_maps.signed_distance_map(np.array([[0, 0, 0, 1, 1]]), 2, spacing=2.0)[0]
    array([[-5., -3., -1.,  2.,  4.],
           [ 6.,  4.,  2., -1., -3.]], dtype=float32)
    """
    inside_offset = check_number("inside_offset", inside_offset, 0)

    def field(masks: Array, steps: tuple[float, ...], backend: Backend) -> Array:
        return distance_fields.signed_distance(masks, steps, inside_offset, backend)

    return _of_every_class(field, target, num_classes, spacing, class_axis, ignore_index, dtype)


@raises_here
@documented(_PARAGRAPHS)
def distance_map(
    target: Array,
    num_classes: int | None = None,
    *,
    spacing: Spacing = 1.0,
    inside_alone: bool = False,
    class_axis: int = 1,
    ignore_index: int | None = None,
    dtype: DType | None = None,
) -> Array:
    r"""Compute the distance to the boundary of every class, for `arrayseg.losses.hausdorff_distance_transform`.

    .. math:: d_i = \min_{j \text{ on the other side}} \|x_i - x_j\|

    with x the positions of the pixels. It is 0 for a class that fills the image or does not occur.

    Parameters
    ----------
    {target}
    {num_classes}
    {spacing}
    inside_alone : bool, default False
        Whether to set the distance to 0 outside of the class.
    {layout}

    Returns
    -------
    {map}

    Raises
    ------
    {type_error}
    {value_error}

    Notes
    -----
    MONAI's ``HausdorffDTLoss`` uses both sides; the code of Kervadec et al. uses `inside_alone`.

    References
    ----------
    Karimi and Salcudean, "Reducing the Hausdorff distance in medical image segmentation with convolutional neural
    networks" (2019), https://arxiv.org/abs/1904.10030.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import distance_maps
    >>> distance_maps.distance_map(np.array([[[False, False, False, True, True]]]))[0]
    array([[3., 2., 1., 1., 2.]], dtype=float32)
    """
    both_sides = not check_flag("inside_alone", inside_alone)

    def field(masks: Array, steps: tuple[float, ...], backend: Backend) -> Array:
        return distance_fields.distance(masks, steps, backend, both_sides=both_sides)

    return _of_every_class(field, target, num_classes, spacing, class_axis, ignore_index, dtype)


@raises_here
@documented(_PARAGRAPHS)
def boundary_weight_map(
    target: Array,
    num_classes: int | None = None,
    *,
    spacing: Spacing = 1.0,
    class_axis: int = 1,
    ignore_index: int | None = None,
    dtype: DType | None = None,
) -> Array:
    r"""Compute weights that are larger near boundaries, for `arrayseg.losses.distance_weighted_dice`.

    .. math:: w_i = 2 - \frac{d_i}{\max d} \text{ on each side of the boundary}

    with d the Euclidean distance to the nearest pixel of the other side. A class that fills the image or does not occur
    has weight 1.

    Parameters
    ----------
    {target}
    {num_classes}
    {spacing}
    {layout}

    Returns
    -------
    {map}

    Raises
    ------
    {type_error}
    {value_error}

    References
    ----------
    Caliva et al., "Distance map loss penalty term for semantic segmentation" (2019), https://arxiv.org/abs/1908.03679.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import distance_maps
    >>> distance_maps.boundary_weight_map(np.array([[[False, False, False, False, True]]]))[0]
    array([[1.  , 1.25, 1.5 , 1.75, 1.  ]], dtype=float32)
    """
    return _of_every_class(
        distance_fields.boundary_weights, target, num_classes, spacing, class_axis, ignore_index, dtype
    )


@raises_here
@documented(_PARAGRAPHS)
def skeleton_map(
    target: Array,
    num_classes: int | None = None,
    *,
    iterations: int = 10,
    tube: int = 2,
    class_axis: int = 1,
    ignore_index: int | None = None,
    dtype: DType | None = None,
) -> Array:
    r"""Compute the skeleton of every class, dilated within the class, for `arrayseg.losses.skeleton_recall`.

    .. math:: k = \text{class} \cap \mathrm{dilation}^\text{tube}\Big(\bigcup_i e_i \setminus \mathrm{opening}(e_i)\Big)

    with e_i the class eroded i times by a cross.

    Parameters
    ----------
    {target}
    {num_classes}
    iterations : int, default 10
        How often to erode a class, at least 0: the largest radius of a structure in pixels.
    tube : int, default 2
        How often to dilate the skeleton by a cross.
    {layout}

    Returns
    -------
    array
        0 and 1, shape (N, C, \*spatial), on the target's device.

    Raises
    ------
    {type_error}
    ValueError
        If an id is no class, or an option is out of its range.

    References
    ----------
    Lantuejoul, "Skeletonization in quantitative metallography" (1980): the skeleton by openings.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import distance_maps
    >>> bar = np.zeros((1, 1, 5, 8), dtype=bool)
    >>> bar[..., 1:4, 1:7] = True
    >>> distance_maps.skeleton_map(bar, tube=0)[0, 0, 2]
    array([0., 0., 1., 1., 1., 1., 0., 0.], dtype=float32)
    """
    iterations, tube = check_index("iterations", iterations, 0), check_index("tube", tube, 0)

    def field(masks: Array, steps: tuple[float, ...], backend: Backend) -> Array:
        axes = range(2, 2 + len(steps))
        return skeletons.tubes(backend.xp.astype(masks, backend.xp.uint8), iterations, tube, axes, backend.xp)

    return _of_every_class(field, target, num_classes, 1.0, class_axis, ignore_index, dtype)


def _of_every_class(
    field: Callable[[Array, tuple[float, ...], Backend], Array],
    target: Array,
    num_classes: int | None,
    spacing: Spacing,
    class_axis: int,
    ignore_index: int | None,
    dtype: DType | None,
) -> Array:
    """Return a map of every class, after checking the arguments that all maps share."""
    backend = backend_of(target, "target")
    xp = backend.xp
    if num_classes is not None:
        masks = one_hot(target, num_classes, ignore_index=ignore_index, dtype=xp.bool)
    elif xp.isdtype(target.dtype, "bool") and target.ndim >= 2 and ignore_index is None:
        masks = target
    else:
        msg = (
            "`target` must be integer class ids together with `num_classes`, or boolean masks (N, C, *spatial) without "
            f"it and without `ignore_index`; got dtype {target.dtype}, shape {tuple(target.shape)}, no `num_classes` "
            f"and ignore_index={shown(ignore_index)}."
        )
        raise TypeError(msg)
    class_axis = check_index("class_axis", class_axis, -masks.ndim, masks.ndim - 1)
    dtype = check_dtype("dtype", dtype, xp)
    found = field(masks, check_spacing(spacing, masks.ndim - 2), backend)
    return move_axis(xp.astype(found, dtype, copy=False), 1, class_axis, xp)
