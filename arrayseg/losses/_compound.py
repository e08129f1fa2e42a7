"""Compound losses: weighted sums of other losses, which share what they can."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.backends.protocol import Evaluation
from arrayseg.kernels.compound import summed
from arrayseg.losses._evaluate import evaluation_of, value_and_grad

__all__ = ["compound", "deep_supervision"]

Loss = Callable[..., Array]


def compound(parts: Mapping[Loss, float] | Sequence[tuple[Loss, float]], /) -> Loss:
    r"""The weighted sum of losses, as a loss.

    Parts that see the same pixels with the same activation share one softmax and one sweep over the logits.

    Parameters
    ----------
    parts : mapping or sequence of (callable, float)
        Losses of `arrayseg.losses`, `functools.partial` of them or other compounds, each with its weight.

    Returns
    -------
    callable
        ``(input, target, **options) -> array``, a loss like others: `arrayseg.value_and_grad` takes it. An option
        goes to every part that has it; to give one to a single part, use a partial.

    Raises
    ------
    TypeError
        If a part is not a loss of arrayseg; on the call, if no part has an option.
    ValueError
        If there is no part; on the call, if ``reduction="none"``, as the parts' maps may have different shapes.

    Examples
    --------
    >>> from functools import partial
    >>> import numpy as np
    >>> import arrayseg
    >>> from arrayseg.losses import compound, cross_entropy, dice, focal
    >>> loss = compound({dice: 1.0, cross_entropy: 0.5, partial(focal, gamma=3.0): 0.5})
    >>> logits, ids = np.array([[[1.0, -0.5], [0.0, 0.5]]]), np.array([[0, 1]])
    >>> round(float(loss(logits, ids, ignore_index=255)), 4)
    0.4286
    >>> value, gradient = arrayseg.value_and_grad(loss)(logits, ids)
    >>> gradient.shape
    (1, 2, 2)
    """
    pairs = list(parts.items() if isinstance(parts, Mapping) else parts)
    if not pairs:
        msg = "A compound needs at least one loss; got none."
        raise ValueError(msg)
    builds = [_evaluation_of_part(part) for part, _ in pairs]
    takes = [_options_of(part) for part, _ in pairs]
    weights = [float(weight) for _, weight in pairs]

    def evaluation(input: Array, target: Array, **options: Any) -> Evaluation:
        unknown = [name for name in options if not any(taken is None or name in taken for taken in takes)]
        if unknown:
            msg = f"No part of the compound has an option `{unknown[0]}`; give a part its own with functools.partial."
            raise TypeError(msg)
        found = [
            build(input, target, **{name: options[name] for name in options if taken is None or name in taken})
            for build, taken in zip(builds, takes, strict=True)
        ]
        if not all(part.has_closed_form for part in found):
            msg = (
                "A compound is one number: its parts' losses may have different shapes with reduction='none'. "
                "Use reduction='mean' or 'sum', or call the parts."
            )
            raise ValueError(msg)
        return summed(found, weights)

    def loss(input: Array, target: Array, **options: Any) -> Array:
        found = evaluation(input, target, **options)
        return backend_of(found.input).attach(found)

    loss.evaluation = evaluation  # type: ignore[attr-defined]
    if all(taken is not None for taken in takes):
        loss.taken = frozenset().union(*(taken for taken in takes if taken is not None))  # type: ignore[attr-defined]
    return loss


def deep_supervision(loss: Loss, /, weights: Sequence[float] | None = None) -> Callable[..., Array]:
    r"""The weighted sum of a loss over outputs of several resolutions.

    Parameters
    ----------
    loss : callable
        A loss of `arrayseg.losses`, a `functools.partial` of one or a compound.
    weights : sequence of float, optional
        One for each output; 1, 1/2, 1/4, ..., divided by their sum, if not given.

    Returns
    -------
    callable
        ``(inputs, target, **options) -> array``, the inputs a sequence of logits from fine to coarse. The target is one
        array, resized by nearest neighbours to every input that has another resolution, as are ``mask`` and
        ``pixel_weights``; or a sequence of one target for each input. `arrayseg.value_and_grad` of it gives the value
        and a list of gradients.

    Raises
    ------
    ValueError
        On the call, if the numbers of inputs, targets and weights differ.

    Notes
    -----
    The weights are those of nnU-Net, which also leaves the coarsest output out (a last weight of 0). MONAI does not
    divide by the sum. A pixel of the coarse target is the one that its centre falls in.

    References
    ----------
    Lee et al., "Deeply-supervised nets" (2015), https://arxiv.org/abs/1409.5185.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayseg
    >>> from arrayseg.losses import deep_supervision, dice
    >>> loss = deep_supervision(dice)
    >>> outputs, ids = [np.zeros((1, 2, 4, 4)), np.zeros((1, 2, 2, 2))], np.eye(4, dtype=np.int64)[None]
    >>> value, gradients = arrayseg.value_and_grad(loss)(outputs, ids)
    >>> round(float(value), 4), [gradient.shape for gradient in gradients]
    (0.5222, [(1, 2, 4, 4), (1, 2, 2, 2)])
    """
    evaluate = value_and_grad(loss)

    def levels(inputs: Sequence[Array], target: Any, options: dict[str, Any]) -> list[tuple[float, Array, Array, Any]]:
        targets = [target] * len(inputs) if hasattr(target, "ndim") else list(target)
        shares = [0.5**level for level in range(len(inputs))] if weights is None else list(weights)
        if not len(inputs) == len(targets) == len(shares):
            counts = f"{len(targets)}, {len(shares)} and {len(inputs)}"
            msg = f"There must be as many targets and weights as inputs; got {counts}."
            raise ValueError(msg)
        total = sum(shares) if weights is None else 1.0
        axis = options.get("class_axis", 1)
        found = []
        for share, input, whole in zip(shares, inputs, targets, strict=True):
            size = _spatial(tuple(input.shape), axis)
            own = {**options}
            for name in ("mask", "pixel_weights"):
                if own.get(name) is not None:
                    own[name] = _nearest(own[name], size, first=1)
            has_classes = whole.ndim == input.ndim and axis is not None
            resized = _nearest(whole, size, first=2 if has_classes and axis != -1 else 1)
            found.append((share / total, input, resized, own))
        return found

    def supervised(inputs: Sequence[Array], target: Any, **options: Any) -> Array:
        return sum(share * loss(input, wanted, **own) for share, input, wanted, own in levels(inputs, target, options))

    def supervised_value_and_grad(inputs: Sequence[Array], target: Any, **options: Any) -> tuple[Array, list[Array]]:
        value: Any = 0.0
        gradients = []
        for share, input, wanted, own in levels(inputs, target, options):
            part, gradient = evaluate(input, wanted, **own)
            value = value + share * part
            gradients.append(share * gradient)
        return value, gradients

    supervised.value_and_grad = supervised_value_and_grad  # type: ignore[attr-defined]
    return supervised


def _evaluation_of_part(part: Loss) -> Callable[..., Evaluation]:
    build = evaluation_of(part)
    if build is None:
        msg = f"A compound is made of losses of arrayseg, functools.partial of them or compounds; got {part!r}."
        raise TypeError(msg)
    return build


def _options_of(part: Loss) -> frozenset[str] | None:
    """The options that a part takes; None for all. Those that a partial sets are its own."""
    if isinstance(part, partial):
        taken = _options_of(part.func)
        return None if taken is None else taken - part.keywords.keys()
    if hasattr(part, "taken"):
        return part.taken  # type: ignore[no-any-return]
    parameters = inspect.signature(part).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters) - {"input", "target"}


def _spatial(shape: tuple[int, ...], class_axis: int | None) -> tuple[int, ...]:
    rows = shape if class_axis is None else tuple(n for axis, n in enumerate(shape) if axis != class_axis % len(shape))
    return rows[1:]


def _nearest(array: Array, size: tuple[int, ...], *, first: int) -> Array:
    """The array with its spatial axes, from `first` on, resized by nearest neighbours."""
    backend = backend_of(array)
    for axis, length in enumerate(size, start=first):
        whole = array.shape[axis]
        if whole != length:
            places = [(2 * place + 1) * whole // (2 * length) for place in range(length)]
            index = backend.asarray(places, dtype=backend.count_dtype(array), like=array)
            array = backend.xp.take(array, index, axis=axis)
    return array
