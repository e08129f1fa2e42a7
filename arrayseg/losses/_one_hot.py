"""One-hot encoding of class ids."""

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
    r"""Convert class ids to one value per class: 1 for the class of a pixel, 0 for all others.

    .. math:: t_{ic} = [y_i = c]

    Parameters
    ----------
    target : array
        Class ids. Integer or boolean, shape (N, \*spatial).
    num_classes : int
        C, the number of classes.
    class_axis : int, default 1
        The position of the class axis in the result; -1 for channels-last.
    ignore_index : int, optional
        The label to ignore. Its pixels are 0 in every class.
    dtype : dtype, optional
        The dtype of the result, from the library of `target`. float32 if not given.

    Returns
    -------
    array
        The values, on the device of `target`. Shape (N, C, \*spatial).

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an option is invalid or a label is out of range. A compiler cannot raise on values; pixels with such a label
        are then 0 in every class.

    Notes
    -----
    ``jax.nn.one_hot`` and ``keras.utils.to_categorical`` put the class axis last. So does
    ``torch.nn.functional.one_hot``, which returns integers. The losses of arrayseg do not need this function, because
    they accept class ids.

    References
    ----------
    Bishop, *Pattern Recognition and Machine Learning* (2006), section 4.3.4.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import one_hot
    >>> label_map = np.array([[[0, 2, 255]]])  # (N, H, W)
    >>> one_hot(label_map, 3, ignore_index=255)[0, :, 0, :]
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
    is_class = xp.expand_dims(ids, axis=axis) == xp.reshape(classes, tuple(shape))
    return xp.astype(is_class, dtype)
