"""Compound losses: weighted sums of other losses, which share what they can."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial, reduce
from operator import add
from typing import Any

from arrayseg._checks import check_number, check_numbers
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, backend_of
from arrayseg.engine.batch import Batch
from arrayseg.engine.pixel_formulas import Formula
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_scores import Outer
from arrayseg.engine.sweep import Sweep
from arrayseg.losses._api import plan_of, value_and_grad
from arrayseg.losses._composed import Composed, shown
from arrayseg.losses._inputs import is_array, layout_of

__all__ = ["Summed", "compound", "deep_supervision", "outer_formula", "summed"]


@dataclass(frozen=True)
class Summed(Plan):
    """The weighted sum of plans of one input."""

    parts: Sequence[Plan]
    factors: Sequence[float]

    @property
    def backend(self) -> Backend:
        return self.parts[0].backend

    @property
    def arrays(self) -> tuple[Array, ...]:
        input, *_ = self.parts[0].arrays
        return (input, *(array for part in self.parts for array in part.arrays[1:]))

    @property
    def is_scalar(self) -> bool:
        return all(part.is_scalar for part in self.parts)

    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> Summed:
        return replace(self, parts=[part.converted(backend, convert) for part in self.parts])

    def plain(self) -> Array:
        return self._sum([part.plain() for part in self.parts])

    def value(self) -> Array:
        return self._sum([part.value() for part in self.parts])

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        values: list[Array] = []
        total = None
        for part, factor in zip(self.parts, self.factors, strict=True):
            value, gradient = part.value_and_gradient(wide=wide)
            values.append(value)
            gradient *= factor
            if total is None:
                total = gradient
            else:
                total += gradient
        return self._sum(values), total

    def _sum(self, values: Sequence[Array]) -> Array:
        return reduce(add, [value * factor for value, factor in zip(values, self.factors, strict=True)])


def summed(parts: Sequence[Plan], factors: Sequence[float]) -> Plan:
    """The weighted sum of plans of one input, with as few sweeps over it as there are kinds of pixels."""
    merged: list[Plan] = []
    weights: list[float] = []
    for part, factor in zip(parts, factors, strict=True):
        for place, other in enumerate(merged):
            if isinstance(part, Sweep) and isinstance(other, Sweep) and _same_pixels(part, other):
                more = _scaled(part, factor)
                merged[place] = replace(
                    other, terms=[*other.terms, *more.terms], factors=[*other.factors, *more.factors]
                )
                break
        else:
            merged.append(_scaled(part, factor) if isinstance(part, Sweep) else part)
            weights.append(1.0 if isinstance(part, Sweep) else factor)
    return merged[0] if len(merged) == 1 and isinstance(merged[0], Sweep) else Summed(merged, weights)


def _scaled(sweep: Sweep, factor: float) -> Sweep:
    """Return a sweep times a number."""
    return replace(sweep, factors=[factor * own for own in sweep.factors])


def outer_formula(formula: Formula, outer: Outer) -> Formula:
    """A function of a pixel's loss."""

    def composed(log_probability: Array, xp: Any) -> tuple[Array, Array]:
        value, slope = formula(log_probability, xp)
        value, by_value = outer(value, xp)
        return value, by_value * slope

    return composed


def _same_pixels(part: Sweep, other: Sweep) -> bool:
    """Whether two sweeps are over equal pixels; compilers, which cannot tell, find what is shared themselves."""
    one, two = part.batch, other.batch
    if part.layout != other.layout or _settings(one) != _settings(two):
        return False
    if not one.backend.is_concrete(part.input, *one.constants, *two.constants):
        return False
    pairs = zip(_arrays(one), _arrays(two), strict=True)
    with one.backend.reading():
        return all(a is b or (a is not None and b is not None and _equal(a, b, one.xp)) for a, b in pairs)


def _settings(batch: Batch) -> tuple[Any, ...]:
    return batch.activation, batch.log_input, batch.binary, batch.ignore_index


def _arrays(batch: Batch) -> tuple[Array | None, ...]:
    return batch.target, batch.mask, batch.pixel_weights, batch.class_weights


def _equal(one: Array, two: Array, xp: Any) -> bool:
    return one.shape == two.shape and one.dtype == two.dtype and bool(xp.all(one == two))


Loss = Callable[..., Array]


@raises_here
def compound(parts: Mapping[Loss, float] | Sequence[tuple[Loss, float]], /) -> Loss:
    r"""The weighted sum of losses, as a loss.

    Parts that see the same pixels with the same activation share one softmax and one sweep over the logits.

    Parameters
    ----------
    parts : mapping or sequence of (callable, float)
        Losses of `arrayseg.losses`, `functools.partial` of them or other compounds, each with its weight: a number,
        or one that JAX or a compiler traces. A weight that PyTorch is to learn multiplies the loss outside.

    Returns
    -------
    callable
        ``(input, target, **options) -> array``, a loss like others: `arrayseg.value_and_grad` takes it. An option
        goes to every part that has it; to give one to a single part, use a partial. It prints as the call that made
        it, compares by its parts, and pickles where they do.

    Raises
    ------
    TypeError
        If a part is not a loss of arrayseg, or a weight not a number, or a tensor that requires a gradient; on the
        call, if no part has an option.
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
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        msg = f"A compound takes pairs (loss, weight), or a mapping of losses to weights; got {shown(parts)}."
        raise TypeError(msg)
    if not pairs:
        msg = "A compound needs at least one loss; got none."
        raise ValueError(msg)
    for part, _ in pairs:
        if plan_of(part) is None:
            msg = f"A compound is made of losses of arrayseg, functools.partial of them or compounds; got {part!r}."
            raise TypeError(msg)
    return Compound(tuple((part, check_number("weight", weight)) for part, weight in pairs))


@dataclass(frozen=True, eq=False, repr=False)
class Compound(Composed):
    """The weighted sum of losses: `(input, target, **options) -> array`. An option goes to every part that has it."""

    parts: tuple[tuple[Loss, float], ...]
    takes: tuple[frozenset[str] | None, ...] = field(init=False)
    """The options that each part takes. None means any option."""

    made_by = "compound"

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes", tuple(_options_of(part) for part, _ in self.parts))

    @raises_here
    def __call__(self, input: Array, target: Array, **options: Any) -> Array:
        plan = self.plan(input, target, **options)
        return plan.backend.attach(plan)

    def plan(self, input: Array, target: Array, **options: Any) -> Plan:
        """Return the plan of a call."""
        unknown = [name for name in options if not any(taken is None or name in taken for taken in self.takes)]
        if unknown:
            close = get_close_matches(unknown[0], set().union(*(taken or () for taken in self.takes)), n=1)
            hint = f"did you mean `{close[0]}`?" if close else "give a part its own with functools.partial."
            msg = f"No part of the compound has an option `{unknown[0]}`; {hint}"
            raise TypeError(msg)
        found = []
        for (part, _), taken in zip(self.parts, self.takes, strict=True):
            own = {name: options[name] for name in options if taken is None or name in taken}
            build = plan_of(part)
            assert build is not None, part  # `compound` has checked it
            found.append(build(input, target, **own))
        if not all(part.is_scalar for part in found):
            msg = (
                "A compound is one number: its parts' losses may have different shapes with reduction='none'. "
                "Use reduction='mean' or 'sum', or call the parts."
            )
            raise ValueError(msg)
        return summed(found, [weight for _, weight in self.parts])

    def __repr__(self) -> str:
        pairs = [(shown(part), weight) for part, weight in self.parts]
        if len(dict(pairs)) < len(pairs):
            return f"compound([{', '.join(f'({part}, {weight})' for part, weight in pairs)}])"
        return f"compound({{{', '.join(f'{part}: {weight}' for part, weight in pairs)}}})"


@raises_here
def deep_supervision(loss: Loss, /, weights: Sequence[float] | None = None) -> Callable[..., Array]:
    r"""The weighted sum of a loss over outputs of several resolutions.

    Parameters
    ----------
    loss : callable
        A loss of `arrayseg.losses`, a `functools.partial` of one or a compound.
    weights : sequence of float, optional
        One for each output; 1, 1/2, 1/4, ..., divided by their sum, if not given. As those of `compound`.

    Returns
    -------
    callable
        ``(inputs, target, **options) -> array``, the inputs a sequence of logits from fine to coarse. The target is one
        array, resized by nearest neighbours to every input that has another resolution, as are ``mask`` and
        ``pixel_weights``; or a sequence of one target for each input. `arrayseg.value_and_grad` of it gives the value
        and a list of gradients. It prints as the call that made it, compares by its arguments, and pickles.

    Raises
    ------
    TypeError
        If a weight is not a number, or is a tensor that requires a gradient; on the call, if the inputs are one array.
    ValueError
        On the call, if the numbers of inputs, targets and weights differ, or maps of several resolutions would be
        added, with ``reduction="none"``.

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
    return DeepSupervision(loss, None if weights is None else check_numbers("weights", weights))


@dataclass(frozen=True, eq=False, repr=False)
class DeepSupervision(Composed):
    """The weighted sum of a loss over outputs of several resolutions: `(inputs, target, **options) -> array`."""

    loss: Loss
    weights: tuple[float, ...] | None = None
    class_axis: int | None = field(init=False)
    """The class axis where the call names none."""

    made_by = "deep_supervision"

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_axis", class_axis_of(self.loss))

    @raises_here
    def __call__(self, inputs: Sequence[Array], target: Any, **options: Any) -> Array:
        values = [
            share * self.loss(input, wanted, **own)
            for share, input, wanted, own in self._levels(inputs, target, options)
        ]
        if len({tuple(value.shape) for value in values}) > 1:
            shapes = ", ".join(str(tuple(value.shape)) for value in values)
            msg = (
                f"Losses of several resolutions are added, but reduction='none' gives arrays of the shapes {shapes}. "
                "Use reduction='mean' or 'sum', or call the loss on each input."
            )
            raise ValueError(msg)
        return sum(values[1:], start=values[0])

    @raises_here
    def value_and_grad(self, inputs: Sequence[Array], target: Any, **options: Any) -> tuple[Array, list[Array]]:
        """Return the value and the gradient in each input."""
        values, gradients = [], []
        for share, input, wanted, own in self._levels(inputs, target, options):
            value, gradient = value_and_grad(self.loss)(input, wanted, **own)
            values.append(share * value)
            gradients.append(share * gradient)
        return sum(values[1:], start=values[0]), gradients

    def _levels(
        self, inputs: Sequence[Array], target: Any, options: dict[str, Any]
    ) -> list[tuple[float, Array, Array, dict[str, Any]]]:
        """Return the weight of each input, the input, its target and its options."""
        if is_array(inputs):
            msg = (
                "`inputs` must be a sequence of arrays, one for each resolution; got one array of shape "
                f"{tuple(inputs.shape)}. Of one resolution call the loss itself."
            )
            raise TypeError(msg)
        targets = [target] * len(inputs) if is_array(target) else list(target)
        shares = [0.5**level for level in range(len(inputs))] if self.weights is None else self.weights
        if not len(inputs) == len(targets) == len(shares) > 0:
            counts = f"{len(targets)}, {len(shares)} and {len(inputs)}"
            msg = f"There must be at least one input, and as many targets and weights as inputs; got {counts}."
            raise ValueError(msg)
        total = sum(shares) if self.weights is None else 1.0
        found = []
        for share, input, whole in zip(shares, inputs, targets, strict=True):
            layout = layout_of(input, options.get("class_axis", self.class_axis), backend_of(input))
            size = layout.rows_shape[1:]
            own = {**options}
            for name in ("mask", "pixel_weights"):
                if own.get(name) is not None:
                    own[name] = _nearest(own[name], size)
            has_classes = whole.ndim == len(layout.shape)
            resized = _nearest(whole, size, class_axis=layout.class_axis if has_classes else None)
            found.append((share / total, input, resized, own))
        return found


def class_axis_of(loss: Loss) -> int | None:
    """Return the class axis of a loss where a call names none: its default, or that of a partial."""
    if isinstance(loss, Compound):
        return class_axis_of(loss.parts[0][0])
    parameter = inspect.signature(loss).parameters.get("class_axis")
    return 1 if parameter is None else parameter.default


def _options_of(part: Loss) -> frozenset[str] | None:
    """The options that a part takes; None for all. Those that a partial sets are its own."""
    if isinstance(part, partial):
        taken = _options_of(part.func)
        return None if taken is None else taken - part.keywords.keys()
    if isinstance(part, Compound):
        known = [each for each in part.takes if each is not None]
        return None if len(known) < len(part.takes) else frozenset().union(*known)
    parameters = inspect.signature(part).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters) - {"input", "target"}


def _nearest(array: Array, size: tuple[int, ...], class_axis: int | None = None) -> Array:
    """Return an array `(N, *spatial)`, or with a class axis, with its spatial axes resized by nearest neighbors."""
    backend = backend_of(array)
    axes = [axis for axis in range(1, array.ndim) if axis != class_axis]
    for axis, length in zip(axes, size, strict=False):  # the loss has a sentence for other numbers of axes
        whole = array.shape[axis]
        if whole != length:
            places = [(2 * place + 1) * whole // (2 * length) for place in range(length)]
            index = backend.asarray(places, dtype=backend.count_dtype(array), like=array)
            array = backend.xp.take(array, index, axis=axis)
    return array
