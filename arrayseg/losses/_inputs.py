"""Check the arrays and shared options of a loss and convert them to the canonical form of the engine."""

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
    bounded_target: bool = True,
    log_input: bool = False,
) -> tuple[Layout, Batch]:
    """Check the arrays and shared options of a call, and return their layout and the batch.

    All losses check their arrays here.

    Parameters
    ----------
    input, target : array
        The arrays of the call.
    options : BatchOptions
        The shared options of the call.
    binary : bool, optional
        Whether classes are independent. By default the activation decides, and a single channel of probabilities is
        binary. False means that the loss has no sigmoid.
    bounded_target : bool, default True
        Whether a floating target must lie in [0, 1].
    log_input : bool, default False
        Whether an input without activation contains logarithms of probabilities.
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
            "Over a single channel softmax is always 1, so this loss would be 0 for any input. "
            "Use activation='sigmoid' for one binary channel, or pass one channel per class."
        )
        raise ValueError(msg)
    labels = _canonical_target(input, target, layout, backend)
    has_ids = labels.ndim == 2
    ignore_index = options.ignore_index
    if ignore_index is not None:
        ignore_index = check_index("ignore_index", ignore_index)
        _check_ignore_index(ignore_index, target, layout, backend, is_ids=has_ids)
    if mask is not None:
        check_rows("mask", mask, layout, backend)
    if pixel_weights is not None:
        check_rows("pixel_weights", pixel_weights, layout, backend)
    xp = backend.xp
    canonical_mask = None if mask is None else layout.rows(mask, xp)
    highest = layout.classes - 1 if has_ids else 1
    expected = f"class ids from 0 to {highest}, as `input` has {layout.classes} classes" if has_ids else "0 and 1"
    logits, bits = layout.canonical(input, xp), None if has_ids else _as_bits(labels, backend)
    if bits is None or activation is None:
        ignores = mask is not None or ignore_index is not None
        ignored = _ignored(labels, canonical_mask, ignore_index, backend) if ignores else None
    if bits is None:
        all_valid = check_ids(labels, highest, expected, backend, ignored, ignore_index)
        if bounded_target and not has_ids:
            _check_target_probabilities(labels, ignored, backend)
    if activation is None and not log_input:
        _check_probabilities(logits, ignored, backend)
    if (bits is not None or all_valid) and not 0 <= (ignore_index or 0) <= highest:
        ignore_index = None  # no pixel has this label, so the engine need not search for it
    batch = Batch(
        backend=backend,
        logits=logits,
        target=labels if bits is None else bits,
        activation=activation,
        binary=binary,
        log_input=log_input,
        classes_last=not layout.is_canonical,
        ignore_index=ignore_index,
        mask=canonical_mask,
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
            f"`input` and `target` both have the shape {tuple(input.shape)}, which is ambiguous: one binary channel, "
            "(N, H, W), or a value for each of C classes, (N, C, L). Pass class_axis=None for one binary channel or "
            "class_axis=1 for C classes."
        )
        raise ValueError(msg)


def plain(name: str, value: Any) -> Any:
    """Convert an array of a subclass to a plain array of its library. Return any other value unchanged."""
    return backend_of(value, name).unwrap(value) if hasattr(value, "ndim") else value


def is_array(values: object) -> TypeGuard[Array]:
    """Return whether `values` is an array, not a number or a sequence of numbers."""
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
            "Pass a number for excluded classes as well; it has no effect."
        )
        raise ValueError(msg)
    _check_not_negative(name, numbers, backend)
    return numbers


def entering_classes(classes: Sequence[int] | None, exclude_background: bool, total: int) -> tuple[int, ...] | None:
    """Return the classes that enter a mean, or None if all do."""
    if classes is not None and exclude_background:
        msg = f"`exclude_background` is equivalent to classes=range(1, {total}). Pass one of the two, not both."
        raise ValueError(msg)
    if classes is None:
        if not exclude_background:
            return None
        if total == 1:
            msg = "`exclude_background` would exclude the only channel. Leave it out for a single channel."
            raise ValueError(msg)
        return tuple(range(1, total))
    return check_indices("classes", classes, total)


def layout_of(input: Array, class_axis: int | None, backend: Backend) -> Layout:
    """Return the layout of an input. Raise if the input is not floating or has no class axis there."""
    xp = backend.xp
    if not xp.isdtype(input.dtype, "real floating") and input.dtype not in half_dtypes(xp):
        msg = (
            f"`input` must be floating, with logits or probabilities; got dtype {input.dtype}. Class ids belong in "
            "`target`, the second argument. For metrics of label maps, see arrayseg.metrics."
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
    """Return the half-precision dtypes of a library. The Array API standard defines none."""
    return tuple(getattr(xp, name) for name in ("float16", "bfloat16") if hasattr(xp, name))


def _canonical_target(input: Array, target: Array, layout: Layout, backend: Backend) -> Array:
    """Return the target as ids `(N, S)` or as values `(N, C, S)`."""
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
            f"{target.dtype}. Convert it to an integer dtype, or pass a value per class, of shape {layout.shape}."
        )
        raise TypeError(msg)
    msg = (
        f"`target` must hold class ids of shape {layout.rows_shape} or a value per class of shape {layout.shape}, to "
        f"match `input` of shape {layout.shape}; got {shape}."
    )
    if len(shape) == len(layout.shape) and shape == (shape[0], 1, *layout.rows_shape[1:]):
        msg += " Remove the channel axis of the class ids: target[:, 0, ...]."
    raise ValueError(msg)


def _check_ignore_index(ignore_index: int, target: Array, layout: Layout, backend: Backend, *, is_ids: bool) -> None:
    """Raise if the target holds a value per class, which `ignore_index` cannot match."""
    one_channel = layout.classes == 1 and backend.xp.isdtype(target.dtype, "integral")
    if not is_ids and not one_channel:
        msg = (
            f"`ignore_index` ({ignore_index}) is a class id, but `target` holds a value per class. "
            "Exclude pixels with `mask`, which is boolean and has the shape (N, *spatial)."
        )
        raise ValueError(msg)


def check_rows(name: str, array: Array, layout: Layout, backend: Backend) -> None:
    """Check that an array has one value per pixel: a boolean for a mask, a number of at least 0 for weights."""
    if tuple(array.shape) != layout.rows_shape:
        msg = f"`{name}` must have the shape (N, *spatial) = {layout.rows_shape}; got {tuple(array.shape)}."
        raise ValueError(msg)
    is_bool = backend.xp.isdtype(array.dtype, "bool")
    if name == "mask" and not is_bool:
        msg = (
            f"`mask` must be boolean, true where a pixel counts; got dtype {array.dtype}. Pass weights as "
            "`pixel_weights`."
        )
        raise TypeError(msg)
    if name == "pixel_weights" and is_bool:
        msg = "`pixel_weights` must be numbers; got booleans. Pass booleans as `mask`."
        raise TypeError(msg)
    if name == "pixel_weights":
        _check_not_negative(name, array, backend)


def extremes(backend: Backend, array: Array) -> tuple[float, float]:
    """Return the minimum and maximum of a concrete array that is not empty."""
    with backend.reading():
        array = backend.stop_gradient(array)
        return float(backend.xp.min(array)), float(backend.xp.max(array))


def _check_not_negative(name: str, array: Array, backend: Backend) -> None:
    """Raise if a number of a concrete array is negative. NaN does not raise; it makes the loss NaN."""
    if 0 in array.shape or not backend.is_concrete(array):
        return
    least, _ = extremes(backend, array)
    if least < 0:
        msg = f"`{name}` must not be negative; got {least}."
        raise ValueError(msg)


def _as_bits(labels: Array, backend: Backend) -> Array | None:
    """Return an integer target of one value per class as compact integers, or None if a value is not 0 or 1."""
    is_integral = labels.ndim == 3 and 0 not in labels.shape and backend.xp.isdtype(labels.dtype, "integral")
    return backend.counts.as_bits(labels) if is_integral and backend.is_concrete(labels) else None


def check_ids(
    ids: Array, highest: int, expected: str, backend: Backend, ignored: Array | None, ignore_index: int | None
) -> bool:
    """Return whether all ids are known to lie from 0 to `highest`. Raise if one does not and is not `ignored`.

    `expected` says in the error message what the target must hold.
    """
    xp = backend.xp
    if 0 in ids.shape or not xp.isdtype(ids.dtype, "integral") or not backend.is_concrete(ids, ignored):
        return False
    if backend.counts.are_ids(ids, highest):
        return True
    if ignored is not None:
        with backend.reading():
            ids = xp.where(ignored, xp.zeros_like(ids), ids)
        if backend.counts.are_ids(ids, highest):
            return False
    raise ValueError(_wrong_id_message(backend.to_numpy(ids), expected, ignore_index))


def _wrong_id_message(ids: Any, expected: str, ignore_index: int | None) -> str:
    """Return the error message for ids in main memory, at least one of which is out of range."""
    lowest, highest = int(ids.min()), int(ids.max())
    wrong = lowest if lowest < 0 else highest
    or_ignored = "" if ignore_index is None else f" (or ignore_index={ignore_index})"
    message = f"`target` must hold {expected}{or_ignored}; got {wrong}"
    if wrong > 1 and ((ids == 0) | (ids == wrong)).all() and (ids.ndim == 3 or (ids == 0).any()):
        if ids.ndim == 3:
            return f"{message}, and otherwise only 0. If it is a foreground mask, pass `target > 0`."
        return (
            f"{message}, and otherwise only 0. If it is a foreground mask, pass `target // {wrong}`. "
            f"If {wrong} is a void label, pass ignore_index={wrong}."
        )
    if ids.ndim == 3 and ids.shape[1] > 1:
        return f"{message}. If it marks void pixels, exclude them with `mask`."
    return f"{message}. If it is a void label, pass ignore_index={wrong}."


#: How far a probability may lie outside [0, 1] because of rounding, and the same for half precision.
ROUNDING, HALF_ROUNDING = 1e-5, 1e-2


def _check_target_probabilities(target: Array, ignored: Array | None, backend: Backend) -> None:
    """Raise if a concrete floating target lies outside [0, 1]. NaN does not raise; it makes the loss NaN."""
    if not (backend.xp.isdtype(target.dtype, "real floating") or target.dtype in half_dtypes(backend.xp)):
        return
    wrong = _outside_probability(target, ignored, backend)
    if wrong is not None:
        msg = (
            f"A floating `target` must hold values from 0 to 1; got {wrong:g}. For a mask of 0 and 255, pass "
            "`target > 0` or divide by 255. For class ids, pass integers without a class axis."
        )
        raise ValueError(msg)


def _check_probabilities(scores: Array, ignored: Array | None, backend: Backend) -> None:
    """Raise if a concrete input lies outside [0, 1]. NaN does not raise; it makes the loss NaN."""
    per_class = ignored if ignored is None or ignored.ndim == 3 else ignored[:, None, :]
    wrong = _outside_probability(scores, per_class, backend)
    if wrong is not None:
        msg = (
            f"With activation=None, `input` must hold probabilities, from 0 to 1; got {wrong:g}. For logits, pass "
            "activation='softmax' or 'sigmoid', if the loss supports it."
        )
        raise ValueError(msg)


def _outside_probability(values: Array, ignored: Array | None, backend: Backend) -> float | None:
    """Return a value outside [0, 1] by more than rounding that is not ignored.

    Return None if there is no such value or the values are not concrete.
    """
    if 0 in values.shape or not backend.is_concrete(values, ignored):
        return None
    rounding = HALF_ROUNDING if values.dtype in half_dtypes(backend.xp) else ROUNDING
    lowest, highest = extremes(backend, values)
    if ignored is not None and not -rounding <= lowest <= highest <= 1 + rounding:
        with backend.reading():
            lowest, highest = extremes(backend, backend.xp.where(ignored, backend.xp.zeros_like(values), values))
    return lowest if lowest < -rounding else highest if highest > 1 + rounding else None


def _ignored(labels: Array, mask: Array | None, ignore_index: int | None, backend: Backend) -> Array | None:
    """Return where the target is ignored, as booleans that broadcast to `labels`, or None if nowhere."""
    ignored = None
    if ignore_index is not None:
        ignored = equals(backend, labels, ignore_index)
    if mask is not None:
        masked = ~mask if labels.ndim == 2 else ~mask[:, None, :]
        ignored = masked if ignored is None else ignored | masked
    return ignored
