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
    r"""Number the connected components of a mask, or of every label of a map.

    .. math:: i \sim j \iff \text{label}_i = \text{label}_j \neq 0 \text{ and a path of neighbours of that label joins
        them}

    Parameters
    ----------
    labels
        Boolean mask `(*spatial)`; or integer labels, where each label but 0, the background, has its own components.
    connectivity
        In how many coordinates neighbours may differ: 1 (4 neighbours in the plane, 6 in space) to the number of axes
        (8, 26). None, the default: the number of axes.

    Returns
    -------
    Array
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
    NumPy arrays, and those of PyTorch and JAX on the CPU, are worked by SciPy, and maps of labels in one pass whatever
    the number of labels; CuPy's by cupyx, label by label; others by functions of the standard. Boolean masks may be
    traced by ``jax.jit``; maps of labels may not, as they are read on the host.

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
