"""Weighted sums of losses, over one input or over outputs of several resolutions."""

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
    """The weighted sum of plans that have the same input."""

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
    """Return the weighted sum of plans that have the same input. Sweeps over the same pixels become one sweep."""
    merged: list[Plan] = []
    weights: list[float] = []
    for part, factor in zip(parts, factors, strict=True):
        for index, other in enumerate(merged):
            if isinstance(part, Sweep) and isinstance(other, Sweep) and _same_pixels(part, other):
                added = _scaled(part, factor)
                merged[index] = replace(
                    other, terms=[*other.terms, *added.terms], factors=[*other.factors, *added.factors]
                )
                break
        else:
            merged.append(_scaled(part, factor) if isinstance(part, Sweep) else part)
            weights.append(1.0 if isinstance(part, Sweep) else factor)
    return merged[0] if len(merged) == 1 and isinstance(merged[0], Sweep) else Summed(merged, weights)


def _scaled(sweep: Sweep, factor: float) -> Sweep:
    """Return a sweep whose loss is multiplied by a factor."""
    return replace(sweep, factors=[factor * own for own in sweep.factors])


def outer_formula(formula: Formula, outer: Outer) -> Formula:
    """Return the formula that applies `outer` to the loss of each pixel."""

    def composed(log_probability: Array, xp: Any) -> tuple[Array, Array]:
        value, slope = formula(log_probability, xp)
        value, by_value = outer(value, xp)
        return value, by_value * slope

    return composed


def _same_pixels(part: Sweep, other: Sweep) -> bool:
    """Return whether two sweeps read equal arrays with equal settings.

    Under a compiler the values are unknown and the answer is False. Compilers find shared computations themselves.
    """
    first, second = part.batch, other.batch
    if part.layout != other.layout or _settings(first) != _settings(second):
        return False
    if not first.backend.is_concrete(part.input, *first.constants, *second.constants):
        return False
    pairs = zip(_arrays(first), _arrays(second), strict=True)
    with first.backend.reading():
        return all(a is b or (a is not None and b is not None and _equal(a, b, first.xp)) for a, b in pairs)


def _settings(batch: Batch) -> tuple[Any, ...]:
    return batch.activation, batch.log_input, batch.binary, batch.ignore_index


def _arrays(batch: Batch) -> tuple[Array | None, ...]:
    return batch.target, batch.mask, batch.pixel_weights, batch.class_weights


def _equal(first: Array, second: Array, xp: Any) -> bool:
    return first.shape == second.shape and first.dtype == second.dtype and bool(xp.all(first == second))


Loss = Callable[..., Array]


@raises_here
def compound(parts: Mapping[Loss, float] | Sequence[tuple[Loss, float]], /) -> Loss:
    r"""Make a loss that is the weighted sum of other losses.

    .. math:: \ell = \sum_k w_k \, \ell_k

    Parts with the same pixels and the same activation share one softmax and one sweep over the logits.

    Parameters
    ----------
    parts : mapping or sequence of (callable, float)
        Pairs of a loss ℓ and its weight w. A loss is a function of `arrayseg.losses`, a `functools.partial` of one, or
        another compound. A weight is a number, or a traced number of JAX or a compiler. To learn a weight in PyTorch,
        multiply the result of the loss by it instead.

    Returns
    -------
    callable
        The loss, ``(input, target, **options) -> array``, which `arrayseg.value_and_grad` accepts like any other loss.
        An option goes to every part that has it. To set an option of a single part, use a partial. The `repr` is the
        call that made the compound. Compounds with equal parts are equal, and a compound pickles if its parts do.

    Raises
    ------
    TypeError
        If a part is not a loss of arrayseg, or a weight is not a number or is a tensor that requires a gradient. On the
        call, if an option belongs to no part.
    ValueError
        If there are no parts. On the call, if ``reduction="none"``, because the losses of the parts may have different
        shapes.

    See Also
    --------
    deep_supervision : Sum a loss over outputs of several resolutions.

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
            msg = (
                "A compound is made of losses of arrayseg, a functools.partial of one, or other compounds; got "
                f"{part!r}."
            )
            raise TypeError(msg)
    return Compound(tuple((part, check_number("weight", weight)) for part, weight in pairs))


@dataclass(frozen=True, eq=False, repr=False)
class Compound(Composed):
    """A weighted sum of losses: `(input, target, **options) -> array`. An option goes to every part that has it."""

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
        """Return the plan of a call, checked but not computed."""
        unknown = [name for name in options if not any(taken is None or name in taken for taken in self.takes)]
        if unknown:
            close = get_close_matches(unknown[0], set().union(*(taken or () for taken in self.takes)), n=1)
            hint = f"Did you mean `{close[0]}`?" if close else "To set an option of one part, use functools.partial."
            msg = f"No part of the compound has an option `{unknown[0]}`. {hint}"
            raise TypeError(msg)
        plans = []
        for (part, _), taken in zip(self.parts, self.takes, strict=True):
            own = {name: options[name] for name in options if taken is None or name in taken}
            build = plan_of(part)
            assert build is not None, part  # `compound` has checked it
            plans.append(build(input, target, **own))
        if not all(plan.is_scalar for plan in plans):
            msg = (
                "A compound is one number, because with reduction='none' the losses of its parts may have different "
                "shapes. Use reduction='mean' or 'sum', or call the parts."
            )
            raise ValueError(msg)
        return summed(plans, [weight for _, weight in self.parts])

    def __repr__(self) -> str:
        pairs = [(shown(part), weight) for part, weight in self.parts]
        if len(dict(pairs)) < len(pairs):
            return f"compound([{', '.join(f'({part}, {weight})' for part, weight in pairs)}])"
        return f"compound({{{', '.join(f'{part}: {weight}' for part, weight in pairs)}}})"


@raises_here
def deep_supervision(loss: Loss, /, weights: Sequence[float] | None = None) -> Callable[..., Array]:
    r"""Make a loss that is the weighted sum of one loss over outputs of several resolutions.

    .. math:: \ell = \sum_k w_k \, \ell(z_k, y_k)

    Here z_k is an output and y_k the target at its resolution.

    Parameters
    ----------
    loss : callable
        A loss of `arrayseg.losses`, a `functools.partial` of one, or a compound.
    weights : sequence of float, optional
        The weight w of each output, of the same kind as a weight of `compound`. The default is 1, 1/2, 1/4, ...,
        divided by their sum.

    Returns
    -------
    callable
        The loss, ``(inputs, target, **options) -> array``. The inputs are a sequence of logits from fine to coarse. The
        target is one array or a sequence of one array for each input. Targets, ``mask`` and ``pixel_weights`` are
        resized to the resolution of each input by nearest neighbors. `arrayseg.value_and_grad` of this loss returns the
        value and a list of gradients. The `repr` is the call that made the loss. Losses made with equal arguments are
        equal, and they pickle if `loss` does.

    Raises
    ------
    TypeError
        If a weight is not a number or is a tensor that requires a gradient. On the call, if `inputs` is one array.
    ValueError
        On the call, if the numbers of inputs, targets and weights differ, or if ``reduction="none"`` gives losses of
        different shapes.

    See Also
    --------
    multi_scale : Average a loss over several resolutions of the same logits.

    Notes
    -----
    The default weights are those of nnU-Net, which also omits the coarsest output (a last weight of 0). MONAI does not
    divide by the sum. A pixel of a resized target is the pixel of the target that contains its center.

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
    """A weighted sum of one loss over outputs of several resolutions: `(inputs, target, **options) -> array`."""

    loss: Loss
    weights: tuple[float, ...] | None = None
    class_axis: int | None = field(init=False)
    """The class axis of calls that do not name one."""

    made_by = "deep_supervision"

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_axis", class_axis_of(self.loss))

    @raises_here
    def __call__(self, inputs: Sequence[Array], target: Any, **options: Any) -> Array:
        values = [
            weight * self.loss(input, resized, **own)
            for weight, input, resized, own in self._levels(inputs, target, options)
        ]
        if len({tuple(value.shape) for value in values}) > 1:
            shapes = ", ".join(str(tuple(value.shape)) for value in values)
            msg = (
                f"Cannot add losses of several resolutions: reduction='none' gives arrays of the shapes {shapes}. "
                "Use reduction='mean' or 'sum', or call the loss on each input."
            )
            raise ValueError(msg)
        return sum(values[1:], start=values[0])

    @raises_here
    def value_and_grad(self, inputs: Sequence[Array], target: Any, **options: Any) -> tuple[Array, list[Array]]:
        """Return the value and the list of gradients with respect to the inputs."""
        values, gradients = [], []
        for weight, input, resized, own in self._levels(inputs, target, options):
            value, gradient = value_and_grad(self.loss)(input, resized, **own)
            values.append(weight * value)
            gradients.append(weight * gradient)
        return sum(values[1:], start=values[0]), gradients

    def _levels(
        self, inputs: Sequence[Array], target: Any, options: dict[str, Any]
    ) -> list[tuple[float, Array, Array, dict[str, Any]]]:
        """Return for each input its weight, the input itself, its target and its options."""
        if is_array(inputs):
            msg = (
                "`inputs` must be a sequence of arrays, one for each resolution; got one array of shape "
                f"{tuple(inputs.shape)}. For one resolution, call the loss itself."
            )
            raise TypeError(msg)
        targets = [target] * len(inputs) if is_array(target) else list(target)
        weights = [0.5**level for level in range(len(inputs))] if self.weights is None else self.weights
        if not len(inputs) == len(targets) == len(weights) > 0:
            counts = f"{len(targets)}, {len(weights)} and {len(inputs)}"
            msg = f"There must be at least one input, and as many targets and weights as inputs; got {counts}."
            raise ValueError(msg)
        total = sum(weights) if self.weights is None else 1.0
        levels = []
        for weight, input, full in zip(weights, inputs, targets, strict=True):
            layout = layout_of(input, options.get("class_axis", self.class_axis), backend_of(input))
            size = layout.rows_shape[1:]
            own = {**options}
            for name in ("mask", "pixel_weights"):
                if own.get(name) is not None:
                    own[name] = _nearest(own[name], size)
            has_classes = full.ndim == len(layout.shape)
            resized = _nearest(full, size, class_axis=layout.class_axis if has_classes else None)
            levels.append((weight / total, input, resized, own))
        return levels


def class_axis_of(loss: Loss) -> int | None:
    """Return the class axis of calls of a loss that do not name one: its default, or the one a partial sets."""
    if isinstance(loss, Compound):
        return class_axis_of(loss.parts[0][0])
    parameter = inspect.signature(loss).parameters.get("class_axis")
    return 1 if parameter is None else parameter.default


def _options_of(part: Loss) -> frozenset[str] | None:
    """Return the options that a call may pass to a part, without those that a partial sets; None means any option."""
    if isinstance(part, partial):
        taken = _options_of(part.func)
        return None if taken is None else taken - part.keywords.keys()
    if isinstance(part, Compound):
        known = [names for names in part.takes if names is not None]
        return None if len(known) < len(part.takes) else frozenset().union(*known)
    parameters = inspect.signature(part).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters) - {"input", "target"}


def _nearest(array: Array, size: tuple[int, ...], class_axis: int | None = None) -> Array:
    """Resize the spatial axes of an array by nearest neighbors. Shape `(N, *spatial)`, or with a class axis."""
    backend = backend_of(array)
    axes = [axis for axis in range(1, array.ndim) if axis != class_axis]
    for axis, length in zip(axes, size, strict=False):  # the loss itself checks the number of axes
        old = array.shape[axis]
        if old != length:
            nearest = [(2 * index + 1) * old // (2 * length) for index in range(length)]
            indices = backend.asarray(nearest, dtype=backend.count_dtype(array), like=array)
            array = backend.xp.take(array, indices, axis=axis)
    return array
