"""Check the arrays and shared options of a loss, and bring them into the canonical form of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NoReturn, TypeGuard

from arrayseg._checks import check_index, check_indices, check_number, check_numbers
from arrayseg._typing import Array, Weights
from arrayseg.backends import Backend, backend_of, common_backend
from arrayseg.backends.labels import equals
from arrayseg.engine.batch import Batch, Layout
from arrayseg.losses._options import BatchOptions

__all__ = [
    "check_axis_is_clear",
    "check_ids",
    "check_rows",
    "class_numbers",
    "entering_classes",
    "extremes",
    "half_dtypes",
    "is_array",
    "layout_of",
    "plain",
    "prepare",
]


def prepare(
    input: Array,
    target: Array,
    options: BatchOptions,
    *,
    binary: bool | None = None,
    has_shares: bool = True,
    log_input: bool = False,
) -> tuple[Layout, Batch]:
    """Check the arrays of a call, here and nowhere else, and return their layout and the batch.

    `binary` tells independent classes from exclusive ones if the activation does not; False means that the loss has
    no sigmoid. With probabilities, a single channel is binary unless `binary` is given. `has_shares` says that a
    floating target holds values from 0 to 1, `log_input` that an input without activation holds logarithms of
    probabilities.
    """
    activation, mask, pixel_weights = options.activation, options.mask, options.pixel_weights
    backend = common_backend(input=input, target=target, mask=mask, pixel_weights=pixel_weights)
    layout = layout_of(input, options.class_axis, backend)
    if layout.classes == 1 and binary is False:
        _raise_single_channel(log_input=log_input)
    if binary is None:
        binary = activation == "sigmoid" or (activation is None and layout.classes == 1)
    if layout.classes == 1 and not binary:
        msg = (
            "Over a single channel softmax is always 1, so this loss would be 0 whatever the input. "
            "Use activation='sigmoid' for one binary channel, or give one channel per class."
        )
        raise ValueError(msg)
    rows = _target_rows(input, target, layout, backend)
    has_ids = rows.ndim == 2
    ignore_index = options.ignore_index
    if ignore_index is not None:
        ignore_index = check_index("ignore_index", ignore_index)
        _check_ignore_index(ignore_index, target, layout, backend, is_ids=has_ids)
    if mask is not None:
        check_rows("mask", mask, layout, backend)
    if pixel_weights is not None:
        check_rows("pixel_weights", pixel_weights, layout, backend)
    xp = backend.xp
    mask_rows = None if mask is None else layout.rows(mask, xp)
    high = layout.classes - 1 if has_ids else 1
    what = f"class ids from 0 to {high}, as `input` has {layout.classes} classes" if has_ids else "0 and 1"
    logits, bits = layout.canonical(input, xp), None if has_ids else _bits(rows, backend)
    if bits is None or activation is None:
        ignores = mask is not None or ignore_index is not None
        ignored = _ignored(rows, mask_rows, ignore_index, backend) if ignores else None
    if bits is None:
        plain_ids = check_ids(rows, high, what, backend, ignored, ignore_index)
        if has_shares and not has_ids:
            _check_shares(rows, ignored, backend)
    if activation is None and not log_input:
        _check_probabilities(logits, ignored, backend)
    if (bits is not None or plain_ids) and not 0 <= (ignore_index or 0) <= high:
        ignore_index = None  # no pixel has it, so no pixel need be compared with it
    batch = Batch(
        backend=backend,
        logits=logits,
        target=rows if bits is None else bits,
        activation=activation,
        binary=binary,
        log_input=log_input,
        classes_last=not layout.is_canonical,
        ignore_index=ignore_index,
        mask=mask_rows,
        pixel_weights=None if pixel_weights is None else layout.rows(pixel_weights, xp),
        class_weights=class_numbers("class_weights", options.class_weights, layout.classes, input, backend),
    )
    return layout, batch


def _raise_single_channel(*, log_input: bool) -> NoReturn:
    """Raise the error of a loss of exclusive classes, which has no sigmoid."""
    if log_input:
        why = "The probability of a single class is always 1"
        channels = "log(1 - p) and log(p)"
    else:
        why = "Over a single channel softmax is always 1"
        channels = "zeros and the logits: the second probability is then the sigmoid"
    msg = (
        f"{why}, so this loss would not depend on the input. It has no form for one binary channel. Give one channel "
        f"per class, such as {channels}."
    )
    raise ValueError(msg)


def check_axis_is_clear(input: Any, target: Any) -> None:
    """Raise if input and target have the same three axes and the target may be a mask without a class axis."""
    if getattr(input, "ndim", None) != 3 or not is_array(target) or tuple(input.shape) != tuple(target.shape):
        return
    if backend_of(target, "target").xp.isdtype(target.dtype, ("integral", "bool")):
        msg = (
            f"`input` and `target` both have the shape {tuple(input.shape)}, which may be one binary channel, "
            "(N, H, W), or a value for each of C classes, (N, C, L). Pass class_axis=None for the first or "
            "class_axis=1 for the second."
        )
        raise ValueError(msg)


def plain(name: str, value: Any) -> Any:
    """Return an array of a subclass as a plain array of its library, and any other value unchanged."""
    return backend_of(value, name).unwrap(value) if hasattr(value, "ndim") else value


def is_array(values: object) -> TypeGuard[Array]:
    """Return whether values are an array, not a sequence of numbers or a number."""
    return hasattr(values, "ndim")


def class_numbers(
    name: str, values: float | Weights | None, classes: int, like: Array, backend: Backend
) -> Array | None:
    """Return an array `(C,)` with one number per class, on the device of the input."""
    if values is None:
        return None
    if isinstance(values, int | float) or getattr(values, "shape", None) == ():
        values = (check_number(name, values),) * classes
    if is_array(values):
        common_backend(input=like, **{name: values})
        numbers = values
    else:
        dtype = like.dtype if like.dtype == backend.xp.float64 else backend.xp.float32
        numbers = backend.asarray(check_numbers(name, values), dtype=dtype, like=like)
    if tuple(numbers.shape) != (classes,):
        msg = (
            f"`{name}` must hold one number for each of the {classes} classes; got shape {tuple(numbers.shape)}. "
            "Classes that are left out keep their place: they are not counted."
        )
        raise ValueError(msg)
    _check_not_negative(name, numbers, backend)
    return numbers


def entering_classes(classes: Sequence[int] | None, exclude_background: bool, total: int) -> tuple[int, ...] | None:
    """Return the classes that enter a mean, or None if all do."""
    if classes is not None and exclude_background:
        msg = f"`exclude_background` is short for classes=range(1, {total}); give one of the two, not both."
        raise ValueError(msg)
    if classes is None:
        if not exclude_background:
            return None
        if total == 1:
            msg = "`exclude_background` would leave nothing of a single channel; leave it out."
            raise ValueError(msg)
        return tuple(range(1, total))
    return check_indices("classes", classes, total)


def layout_of(input: Array, class_axis: int | None, backend: Backend) -> Layout:
    """Return the layout of an input. Raise if the input is not floating or has no such axis."""
    xp = backend.xp
    if not xp.isdtype(input.dtype, "real floating") and input.dtype not in half_dtypes(xp):
        msg = (
            f"`input` must be floating: logits or probabilities; got dtype {input.dtype}. Class ids belong in "
            "`target`, the second argument; for metrics of ids see arrayseg.metrics."
        )
        raise TypeError(msg)
    shape = tuple(input.shape)
    if class_axis is None:
        if len(shape) < 1:
            msg = "`input` must have a batch axis, (N, *spatial); got a number without axes."
            raise ValueError(msg)
        return Layout(shape, None)
    class_axis = check_index("class_axis", class_axis)
    axis = class_axis + len(shape) if class_axis < 0 else class_axis
    if not 1 <= axis < len(shape):
        msg = (
            f"`class_axis` must be an axis of `input` after the batch axis; got {class_axis} for shape {shape}. "
            "For one binary channel without a class axis, (N, *spatial), use class_axis=None."
        )
        raise ValueError(msg)
    if shape[axis] == 0:
        msg = f"`input` has no classes: its axis {axis} has length 0 in shape {shape}."
        raise ValueError(msg)
    return Layout(shape, axis)


def half_dtypes(xp: Any) -> tuple[Any, ...]:
    """Return the half-precision dtypes that a library has; the standard has none."""
    return tuple(getattr(xp, name) for name in ("float16", "bfloat16") if hasattr(xp, name))


def _target_rows(input: Array, target: Array, layout: Layout, backend: Backend) -> Array:
    """Return the target as ids `(N, S)` or values `(N, C, S)`."""
    xp = backend.xp
    shape = tuple(target.shape)
    is_id_dtype = xp.isdtype(target.dtype, "integral")
    if shape == layout.shape:
        return layout.canonical(target, xp)
    if shape == layout.rows_shape:
        if layout.classes == 1:
            return xp.reshape(layout.rows(target, xp), (shape[0], 1, prod(shape[1:])))
        if is_id_dtype:
            return layout.rows(target, xp)
        msg = (
            f"`target` of shape {shape} must hold integer class ids for {layout.classes} classes; got dtype "
            f"{target.dtype}. Convert it to an integer dtype, or give a value per class, of shape {layout.shape}."
        )
        raise TypeError(msg)
    msg = (
        f"`target` must hold class ids of shape {layout.rows_shape} or a value per class of shape {layout.shape}, to "
        f"go with `input` of shape {layout.shape}; got {shape}."
    )
    if len(shape) == len(layout.shape) and shape == (shape[0], 1, *layout.rows_shape[1:]):
        msg += " Drop the channel of ids: target[:, 0, ...]."
    raise ValueError(msg)


def _check_ignore_index(ignore_index: int, target: Array, layout: Layout, backend: Backend, *, is_ids: bool) -> None:
    one_channel = layout.classes == 1 and backend.xp.isdtype(target.dtype, "integral")
    if not is_ids and not one_channel:
        msg = (
            f"`ignore_index` is a class id ({ignore_index}), but `target` holds a value per class. "
            "Say which pixels count with `mask`, boolean of shape (N, *spatial)."
        )
        raise ValueError(msg)


def check_rows(name: str, array: Array, layout: Layout, backend: Backend) -> None:
    """Raise unless an array has one value per pixel: booleans in a mask, numbers that are not negative in weights."""
    if tuple(array.shape) != layout.rows_shape:
        msg = f"`{name}` must have the shape (N, *spatial) = {layout.rows_shape}; got {tuple(array.shape)}."
        raise ValueError(msg)
    is_bool = backend.xp.isdtype(array.dtype, "bool")
    if name == "mask" and not is_bool:
        msg = (
            f"`mask` must be boolean, true where a pixel counts; got dtype {array.dtype}. Weights are `pixel_weights`."
        )
        raise TypeError(msg)
    if name == "pixel_weights" and is_bool:
        msg = "`pixel_weights` must be numbers; got booleans. Pass them as `mask`."
        raise TypeError(msg)
    if name == "pixel_weights":
        _check_not_negative(name, array, backend)


def extremes(backend: Backend, array: Array) -> tuple[float, float]:
    """Return the least and the greatest number of a concrete array that has at least one."""
    with backend.reading():
        array = backend.stop_gradient(array)
        return float(backend.xp.min(array)), float(backend.xp.max(array))


def _check_not_negative(name: str, array: Array, backend: Backend) -> None:
    """Raise if a number is negative and values can be read. NaN makes the loss NaN instead."""
    if 0 in array.shape or not backend.is_concrete(array):
        return
    least, _ = extremes(backend, array)
    if least < 0:
        msg = f"`{name}` must not be negative; got {least}."
        raise ValueError(msg)


def _bits(rows: Array, backend: Backend) -> Array | None:
    """Return a target of 0 and 1 for independent classes as compact integers, or None if it is not such a target."""
    is_integral = rows.ndim == 3 and 0 not in rows.shape and backend.xp.isdtype(rows.dtype, "integral")
    return backend.counts.as_bits(rows) if is_integral and backend.is_concrete(rows) else None


def check_ids(
    ids: Array, high: int, what: str, backend: Backend, ignored: Array | None, ignore_index: int | None
) -> bool:
    """Return whether every id is known to lie in 0 to `high`. Raise if one lies outside and is not `ignored`."""
    xp = backend.xp
    if 0 in ids.shape or not xp.isdtype(ids.dtype, "integral") or not backend.is_concrete(ids, ignored):
        return False
    if backend.counts.are_ids(ids, high):
        return True
    if ignored is not None:
        with backend.reading():
            ids = xp.where(ignored, xp.zeros_like(ids), ids)
        if backend.counts.are_ids(ids, high):
            return False
    raise ValueError(_wrong_id(backend.to_numpy(ids), high, what, ignore_index))


def _wrong_id(ids: Any, high: int, what: str, ignore_index: int | None) -> str:
    """Return the error message for ids in main memory, at least one of which lies outside 0 to `high`."""
    least, most = int(ids.min()), int(ids.max())
    wrong = least if least < 0 else most
    besides = "" if ignore_index is None else f" (besides ignore_index={ignore_index})"
    found = f"`target` must hold {what}{besides}; got {wrong}"
    if wrong > 1 and ((ids == 0) | (ids == wrong)).all() and (ids.ndim == 3 or (ids == 0).any()):
        if ids.ndim == 3:
            return f"{found} and no third value. Is it a mask of the foreground? Then pass `target > 0`."
        return (
            f"{found} and no other value but 0. Is it a mask of the foreground? Then pass `target // {wrong}`. "
            f"Is it a void label? Then pass ignore_index={wrong}."
        )
    if ids.ndim == 3 and ids.shape[1] > 1:
        return f"{found}. Does it mark void pixels? Then leave them out with `mask`."
    return f"{found}. Is it a void label? Then pass ignore_index={wrong}."


#: How far beyond 0 and 1 a probability may lie by rounding; half precision rounds to a hundredth.
ROUNDING, HALF_ROUNDING = 1e-5, 1e-2


def _check_shares(rows: Array, ignored: Array | None, backend: Backend) -> None:
    """Raise if a floating target lies outside [0, 1] and values can be read. NaN makes the loss NaN instead."""
    if not (backend.xp.isdtype(rows.dtype, "real floating") or rows.dtype in half_dtypes(backend.xp)):
        return
    wrong = _beyond(rows, ignored, backend)
    if wrong is not None:
        msg = (
            f"A floating `target` must hold values from 0 to 1; got {wrong:g}. Divide a mask of 0 and 255 by 255, or "
            "pass `target > 0`; cast class ids to an integer dtype, without a class axis."
        )
        raise ValueError(msg)


def _check_probabilities(scores: Array, ignored: Array | None, backend: Backend) -> None:
    """Raise if the input lies outside [0, 1] and values can be read. NaN makes the loss NaN instead."""
    wrong = _beyond(scores, ignored if ignored is None or ignored.ndim == 3 else ignored[:, None, :], backend)
    if wrong is not None:
        msg = (
            f"With activation=None, `input` must hold probabilities, from 0 to 1; got {wrong:g}. For logits, pass "
            "activation='softmax' or 'sigmoid', whichever the loss has."
        )
        raise ValueError(msg)


def _beyond(values: Array, ignored: Array | None, backend: Backend) -> float | None:
    """Return a valid number outside [0, 1] by more than rounding, or None if there is none or values are unknown."""
    if 0 in values.shape or not backend.is_concrete(values, ignored):
        return None
    rounding = HALF_ROUNDING if values.dtype in half_dtypes(backend.xp) else ROUNDING
    least, most = extremes(backend, values)
    if ignored is not None and not -rounding <= least <= most <= 1 + rounding:
        with backend.reading():
            least, most = extremes(backend, backend.xp.where(ignored, backend.xp.zeros_like(values), values))
    return least if least < -rounding else most if most > 1 + rounding else None


def _ignored(rows: Array, mask: Array | None, ignore_index: int | None, backend: Backend) -> Array | None:
    """Return where ids are ignored, in the shape of `rows`, or None if nowhere."""
    ignored = None
    if ignore_index is not None:
        ignored = equals(backend, rows, ignore_index)
    if mask is not None:
        masked = ~mask if rows.ndim == 2 else ~mask[:, None, :]
        ignored = masked if ignored is None else ignored | masked
    return ignored
