"""Number the connected components of masks and label maps."""

from __future__ import annotations

from arrayseg._checks import check_connectivity
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.metrics._inputs import check_image_maps

__all__ = ["connected_components"]


@raises_here
def connected_components(labels: Array, *, connectivity: int | None = None) -> Array:
    r"""Label the connected components of a mask, or of every label of a map.

    .. math:: i \sim j \iff \text{label}_i = \text{label}_j \neq 0 \text{ and a path of neighbors with that label joins
        them}

    Parameters
    ----------
    labels : array of bool or int
        Mask `(*spatial)`, or labels, each of which has its own components, except 0, the background.
    connectivity : int, optional
        In how many coordinates neighbors may differ: from 1 (4 neighbors in the plane, 6 in space) to the number of
        axes (8 and 26), which is the default.

    Returns
    -------
    array
        Integers (int32) of the shape of `labels`: 0 for the background, and 1, 2, ... for the components, label by
        label in ascending order, and in the order of their first elements.

    Raises
    ------
    ValueError
        If the connectivity does not fit.
    TypeError
        If `labels` is neither boolean nor integer.

    Notes
    -----
    SciPy numbers the components of NumPy arrays, and of PyTorch and JAX arrays on the CPU. Maps of labels take one
    pass, whatever the number of labels. On CuPy, cupyx numbers them label by label. Other arrays use functions of the
    standard. ``jax.jit`` can trace boolean masks, but not maps of labels, which are read on the host.

    SciPy, MetricsReloaded and medpy have ``connectivity=1`` by default; cc3d, MONAI, scikit-image and BraTS the number
    of axes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> mask = np.asarray([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]], dtype=bool)
    >>> metrics.connected_components(mask)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 0, 0],
           [2, 2, 0]], dtype=int32)
    """
    backend = backend_of(labels, "labels")
    connectivity = check_connectivity(connectivity, labels.ndim)
    if backend.xp.isdtype(labels.dtype, "bool"):
        return backend.masks.connected_components(labels, connectivity=connectivity)
    check_image_maps(labels=labels)
    if not backend.is_concrete(labels):
        msg = (
            "Labels are read on the host, so that jax.jit and torch.compile cannot trace this function of a map of "
            "labels. Call it outside the compiled function, or pass the boolean mask of one label."
        )
        raise TypeError(msg)
    worker, (view,) = backend.shared_view(labels)
    with backend.enable_64_bits(labels):
        numbers = worker.masks.label_components(view, connectivity=connectivity)
        return numbers if worker is backend else backend.asarray(numbers, dtype=backend.xp.int32, like=labels)
