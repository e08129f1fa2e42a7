"""Class ids as one value per class."""

from __future__ import annotations

from arrayseg._checks import check_dtype, check_index
from arrayseg._errors import raises_here
from arrayseg._typing import Array, DType
from arrayseg.backends import backend_of
from arrayseg.backends.labels import equals
from arrayseg.losses._inputs import check_ids

__all__ = ["one_hot"]


@raises_here
def one_hot(
    target: Array,
    num_classes: int,
    *,
    class_axis: int = 1,
    ignore_index: int | None = None,
    dtype: DType | None = None,
) -> Array:
    r"""Return one value per class: 1 for a pixel's class, 0 for the others.

    .. math:: t_{ic} = [y_i = c]

    Parameters
    ----------
    target : array
        Class ids, shape (N, \*spatial), integer or boolean.
    num_classes : int
        C, the number of classes.
    class_axis : int, default 1
        Where the class axis stands in the result; -1 for channels-last.
    ignore_index : int, optional
        An id whose pixels are 0 in every class.
    dtype : dtype, optional
        The dtype of the result, of the target's library; its float32 if not given.

    Returns
    -------
    array
        Shape (N, C, \*spatial), on the target's device.

    Raises
    ------
    TypeError
        If the target is not an array of integers, or an option not a whole number.
    ValueError
        If an option is out of its range, or an id is no class. Under a compiler, which cannot raise on values, the
        pixels of such an id are 0 in every class.

    Notes
    -----
    ``jax.nn.one_hot`` and ``keras.utils.to_categorical`` put the classes last; ``torch.nn.functional.one_hot``
    too, and gives integers. No loss of arrayseg needs it: each takes ids as they are.

    References
    ----------
    Bishop, *Pattern Recognition and Machine Learning* (2006), section 4.3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import one_hot
    >>> one_hot(np.array([[0, 2, 255]]), 3, ignore_index=255)[0]
    array([[1., 0., 0.],
           [0., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    backend = backend_of(target, "target")
    xp = backend.xp
    if not xp.isdtype(target.dtype, ("integral", "bool")):
        msg = f"`target` must hold integer class ids; got dtype {target.dtype}."
        raise TypeError(msg)
    num_classes = check_index("num_classes", num_classes, 1)
    axis = check_index("class_axis", class_axis, -target.ndim - 1, target.ndim) % (target.ndim + 1)
    if ignore_index is not None:
        ignore_index = check_index("ignore_index", ignore_index)
    ids = xp.astype(target, backend.count_dtype(target))
    ignored = None if ignore_index is None else equals(backend, target, ignore_index)
    check_ids(ids, num_classes - 1, f"class ids from 0 to {num_classes - 1}", backend, ignored, ignore_index)
    if ignored is not None:
        ids = xp.where(ignored, xp.full_like(ids, -1), ids)
    classes = xp.arange(num_classes, dtype=ids.dtype, device=backend.device(target))
    shape = [1] * (target.ndim + 1)
    shape[axis] = num_classes
    dtype = check_dtype("dtype", dtype, xp)
    hot = xp.expand_dims(ids, axis=axis) == xp.reshape(classes, tuple(shape))
    return xp.astype(hot, dtype)
