"""Affinity losses: of pairs of neighbours, whether they belong together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, Unpack

from arrayseg._checks import check_choice, check_index, check_number
from arrayseg._typing import Activation, Array
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block
from arrayseg.engine.plan import Plan
from arrayseg.engine.sweep import Sums, Sweep, Term
from arrayseg.imaging.shifts import Box, box
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import prepare
from arrayseg.losses._options import PairKeywords, PairOptions

__all__ = ["AffinityFieldTerm", "PairTerm", "Pairs", "WindowAffinityTerm", "affinity_field", "context_prior_affinity"]


Pairs = Literal["pairs", "pixels"]

#: Below this an affinity, or its complement, has no smaller logarithm, and no derivative.
LEAST_AFFINITY = 1e-6


@dataclass(frozen=True, kw_only=True)
class PairTerm(Term):
    """The mean over pairs of pixels of a function of the maps at both and of whether their targets are the same."""

    spatial: tuple[int, ...]
    reduction: Literal["mean", "sum"] = "mean"

    whole_images = True

    @abstractmethod
    def offsets(self) -> Iterator[tuple[int, ...]]:
        """From a pixel to its neighbours, one of each two that are opposite."""

    @abstractmethod
    def maps(self, block: Block) -> Sequence[Array]:
        """The maps that pairs are a function of, `(B, C, P)`."""

    @abstractmethod
    def losses(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> Array:
        """The loss of each pair in both orders, `(B, 1 or C, *pairs)`, from the maps at its pixels."""

    @abstractmethod
    def derivatives(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> tuple[Array, Array]:
        """The gradient of the losses in what `pull_maps` takes, at the first and at the second pixel."""

    @abstractmethod
    def pull_maps(self, block: Block, gradient: Array) -> Array:
        """From that gradient, `(B, C, P)`, to one in the scores."""

    def weight(self, offset: tuple[int, ...], like: Array, block: Block) -> Array | None:
        """How often a pair counts in one order, of a shape that broadcasts with `(*pairs)`; None for once."""
        return None

    def amount(self, pairs: Array, block: Block) -> Array:
        """What the mean divides by, `(B,)`, from the weight of the pairs."""
        return pairs

    def count(self, block: Block) -> Sums:
        xp = block.xp
        maps = [self._shaped(array, xp) for array in self.maps(block)]
        total = pairs = xp.zeros((block.images,), dtype=block.batch.sum_dtype, device=block.device)
        for first, second, same, weight in self._pairs(block):
            losses = self.losses([array[first] for array in maps], [array[second] for array in maps], same, xp)
            axes = tuple(range(1, losses.ndim))
            total = total + block.sum(losses * weight, axis=axes)
            pairs = pairs + 2 * block.sum(xp.broadcast_to(weight, losses.shape), axis=axes)
        return total, self.amount(pairs, block)

    def solve(self, sums: Sums, batch: Batch, factor: float) -> tuple[Array, Array]:
        xp = batch.xp
        total, amount = (xp.sum(each) for each in sums)
        if self.reduction == "sum":
            return total * factor, xp.ones_like(total) * factor
        scale = xp.where(amount > 0, factor / xp.where(amount > 0, amount, xp.ones_like(amount)), xp.zeros_like(amount))
        return total * scale, scale

    def pull(self, block: Block, state: Array) -> Array:
        xp = block.xp
        maps = [self._shaped(array, xp) for array in self.maps(block)]
        scale = xp.astype(state, block.dtype, copy=False)
        result = xp.zeros_like(maps[0])
        for first, second, same, weight in self._pairs(block):
            places = [array[first] for array in maps], [array[second] for array in maps]
            of_first, of_second = self.derivatives(*places, same, xp)
            result[first] += of_first * (weight * scale)
            result[second] += of_second * (weight * scale)
        flat = xp.reshape(result, (block.images, block.classes, block.pixels))
        return block.where_valid(self.pull_maps(block, flat))

    def _pairs(self, block: Block) -> Iterator[tuple[Box, Box, Array, Array]]:
        """Where the first and the second pixels are, whether their targets are the same, and what each pair counts."""
        xp = block.xp
        target = block.ids[:, None, :] if block.batch.has_ids and not block.batch.binary else block.target
        target = self._shaped(target, xp)
        valid = None if block.valid is None else self._shaped(block.valid[:, None, :], xp)
        for offset in self.offsets():
            if any(abs(step) >= length for step, length in zip(offset, self.spatial, strict=True)):
                continue
            lengths = [length - abs(step) for length, step in zip(self.spatial, offset, strict=True)]
            first, second = (box((max(0, sign * step) for step in offset), lengths) for sign in (-1, 1))
            same = target[first] == target[second]
            if not block.batch.binary and same.shape[1] > 1:
                same = xp.all(same, axis=1, keepdims=True)
            once = xp.ones_like(same[:, :1, ...], dtype=block.dtype)
            weight = once if valid is None else xp.astype(valid[first] & valid[second], block.dtype)
            times = self.weight(offset, weight, block)
            yield first, second, same, weight if times is None else weight * times

    def _shaped(self, array: Array, xp: Any) -> Array:
        return xp.reshape(array, (*array.shape[:2], *self.spatial))


def _half(offsets: Iterator[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """One of each two opposite offsets: that whose first step forward comes first."""
    for offset in offsets:
        if next((step for step in offset if step), 0) > 0:
            yield offset


@dataclass(frozen=True, kw_only=True)
class AffinityFieldTerm(PairTerm):
    """The divergence of neighbours that belong together, and what it lacks to a margin of those that do not."""

    margin: float
    distance: int
    same_weight: float
    different_weight: float
    denominator: Pairs

    def offsets(self) -> Iterator[tuple[int, ...]]:
        return _half(product((-self.distance, 0, self.distance), repeat=len(self.spatial)))

    def amount(self, pairs: Array, block: Block) -> Array:
        if self.denominator == "pairs":
            return pairs
        neighbours = 3 ** sum(length > 1 for length in self.spatial) - 1
        return block.valid_amount * (neighbours * (block.classes if block.batch.binary else 1))

    def maps(self, block: Block) -> Sequence[Array]:
        """Probabilities, their logarithms and, of independent classes, those of the complements, and these."""
        probabilities, shared = block.probabilities, block.backend.functions.finite_where_zero
        if block.batch.binary:
            (log_p, log_other), complements = block.log_of_sides, block.complements
            return probabilities, shared(log_p, probabilities), shared(log_other, complements), complements
        return probabilities, block.finite_log_probabilities

    def losses(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> Array:
        return sum(
            self._of_divergence(self._divergence(*ordered, xp), same, xp)
            for ordered in ((first, second), (second, first))
        )

    def derivatives(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> tuple[Array, Array]:
        by_first, by_second = self._derivative(first, second, same, xp)
        and_second, and_first = self._derivative(second, first, same, xp)
        return by_first + and_first, by_second + and_second

    def pull_maps(self, block: Block, gradient: Array) -> Array:
        if block.batch.binary:
            return gradient
        # It adds to nothing over the classes; what rounding leaves is that of the likeliest one.
        return gradient - block.probabilities * block.xp.sum(gradient, axis=1, keepdims=True)

    def _divergence(self, true: Sequence[Array], other: Sequence[Array], xp: Any) -> Array:
        """KL(true, other), of one distribution a pixel or of one a pixel and class."""
        if len(true) == 2:
            return xp.sum(true[0] * (true[1] - other[1]), axis=1, keepdims=True)
        return true[0] * (true[1] - other[1]) + true[3] * (true[2] - other[2])

    def _of_divergence(self, divergence: Array, same: Array, xp: Any) -> Array:
        lacking = xp.where(divergence >= self.margin, xp.zeros_like(divergence), self.margin - divergence)
        return xp.where(same, self.same_weight * divergence, self.different_weight * lacking)

    def _derivative(self, true: Sequence[Array], other: Sequence[Array], same: Array, xp: Any) -> tuple[Array, Array]:
        """In the scores of both pixels."""
        divergence = self._divergence(true, other, xp)
        zero = xp.zeros_like(divergence)
        pushed = xp.where(divergence >= self.margin, zero, zero - self.different_weight)
        slope = xp.where(same, zero + self.same_weight, pushed)
        if len(true) == 2:
            by_true = true[0] * (true[1] - other[1] - divergence)
            return slope * by_true, slope * (other[0] - true[0])
        by_true = true[0] * true[3] * (true[1] - other[1] - true[2] + other[2])
        more = xp.where(other[0] > 0.5, true[3] - other[3], other[0] - true[0])
        return slope * by_true, slope * more


@dataclass(frozen=True, kw_only=True)
class WindowAffinityTerm(PairTerm):
    """The binary cross entropy of the affinities of all pairs in all windows."""

    window: int

    def offsets(self) -> Iterator[tuple[int, ...]]:
        reach = [self._width(length) - 1 for length in self.spatial]
        yield (0,) * len(reach)
        yield from _half(product(*(range(-steps, steps + 1) for steps in reach)))

    def weight(self, offset: tuple[int, ...], like: Array, block: Block) -> Array:
        """In how many windows both pixels are; a pixel is a pair with itself in one order alone."""
        weight = block.xp.ones((), dtype=block.dtype, device=block.device) * (1.0 if any(offset) else 0.5)
        for number, (step, length) in enumerate(zip(offset, self.spatial, strict=True)):
            width, apart = self._width(length), abs(step)
            counts = [
                float(min(start, length - width) - max(0, start + apart - width + 1) + 1)
                for start in range(length - apart)
            ]
            shape = [1] * len(offset)
            shape[number] = length - apart
            along = block.backend.asarray(counts, dtype=block.dtype, like=like)
            weight = weight * block.xp.reshape(along, tuple(shape))
        return weight

    def maps(self, block: Block) -> Sequence[Array]:
        """Probabilities and, where exclusive ones do add to 1 or they are independent, their complements."""
        probabilities = block.where_valid(block.probabilities)
        if block.batch.activation is None and not block.batch.binary:
            return (probabilities,)
        return probabilities, block.where_valid(block.complements)

    def losses(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> Array:
        right, wrong = self._shares(first, second, same, xp)
        near, least = wrong < 0.5, xp.zeros_like(right) + LEAST_AFFINITY
        close = xp.log1p(-xp.where(near, wrong, xp.zeros_like(wrong)))
        far = xp.where(near, xp.ones_like(right), xp.where(right <= LEAST_AFFINITY, least, right))
        return -2 * (close + xp.log(far))

    def derivatives(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> tuple[Array, Array]:
        one, other = first[0], second[0]
        right, _ = self._shares(first, second, same, xp)
        zero = xp.zeros_like(right)
        inverse = 1 / xp.where(right <= LEAST_AFFINITY, zero + 1, right)
        slope = xp.where(right <= LEAST_AFFINITY, zero, xp.where(same, -2 * inverse, 2 * inverse))
        if same.shape[1] == one.shape[1]:
            return slope * (2 * other - 1), slope * (2 * one - 1)
        return slope * other, slope * one

    def pull_maps(self, block: Block, gradient: Array) -> Array:
        return block.pull_back(gradient)

    def _shares(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> tuple[Array, Array]:
        """The probability that both pixels are of one class or not, as their targets are, and 1 less it."""
        one, other = first[0], second[0]
        if len(first) == 1:
            together = xp.sum(one * other, axis=1, keepdims=True)
            apart = 1 - together
        elif same.shape[1] == one.shape[1]:
            together, apart = one * other + first[1] * second[1], one * second[1] + first[1] * other
        else:
            together, apart = (xp.sum(one * each, axis=1, keepdims=True) for each in second)
        return xp.where(same, together, apart), xp.where(same, apart, together)

    def _width(self, length: int) -> int:
        return self.window if length > 1 else 1


def pair_plan(input: Array, target: Array, options: PairOptions, make: Callable[..., PairTerm], **own: Any) -> Sweep:
    """Return the plan of a loss of pairs; `make` creates its term, with fields of its own."""
    layout, batch = prepare(input, target, options)
    term = make(spatial=layout.rows_shape[1:], reduction=options.reduction, **own)
    return Sweep(input, layout, batch.with_unknown_targets(), [term], [1.0])


#: Options of other losses that losses of pairs do not have.
WITHOUT_WEIGHTS = ("pixel_weights", "class_weights")


@loss(PairOptions, without=WITHOUT_WEIGHTS)
def affinity_field(
    input: Array,
    target: Array,
    *,
    margin: float = 3.0,
    distance: int = 1,
    same_weight: float = 1.0,
    different_weight: float = 1.0,
    denominator: Pairs = "pairs",
    activation: Literal["softmax", "sigmoid"] = "softmax",
    **options: Unpack[PairKeywords],
) -> Plan:
    r"""Affinity field loss: neighbours of one class predict alike, neighbours of two classes do not.

    .. math:: \ell = \frac{1}{|\mathcal P|} \sum_{(i, j) \in \mathcal P}
       \begin{cases} \lambda\, D_{ji} & t_i = t_j \\ \mu \max(m - D_{ji}, 0) & t_i \ne t_j \end{cases}, \qquad
       D_{ji} = \mathrm{KL}(p_j \,\|\, p_i)

    over the pairs of a pixel and each of its neighbours (8 in the plane, 26 in space).

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape: pixels are alike
        where all values are equal.
    margin : float, default 3.0
        m, the divergence from which on neighbours of two classes are different enough, at least 0.
    distance : int, default 1
        How many pixels away neighbours are, at least 1.
    same_weight : float, default 1.0
        The weight of pairs of one class, at least 0.
    different_weight : float, default 1.0
        The weight of pairs of two classes, at least 0.
    denominator : {"pairs", "pixels"}, default "pairs"
        What the mean divides by: the pairs of valid pixels, or the valid pixels times the neighbours that one has away
        from the edge.
    activation : {"softmax", "sigmoid"}, default "softmax"
        Which probabilities the logits make: of exclusive classes, or of independent ones. Independent classes have a
        divergence each, and the mean is over them too.
    {options}

    Returns
    -------
    array
        The loss, a number of the input's dtype, at least float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    CoinCheung's ``AffinityFieldLoss`` has ``denominator="pixels"``. The authors take the means over the pairs of one
    class and of two apart, and learn the distance. Two neighbours alike by one class of a value per class are of one
    class in that class alone.

    References
    ----------
    Ke et al., "Adaptive affinity fields for semantic segmentation" (2018), https://arxiv.org/abs/1803.10335.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import affinity_field
    >>> logits = np.array([[[0.0, 0.0, 4.0], [4.0, 4.0, 0.0]]])
    >>> [round(float(affinity_field(logits, np.array([ids]))), 4) for ids in ([1, 1, 0], [1, 0, 0])]
    [0.0, 3.4281]
    """
    check_choice("activation", activation, ("softmax", "sigmoid"))
    check_choice("denominator", denominator, Pairs)
    margin = check_number("margin", margin, 0)
    same_weight = check_number("same_weight", same_weight, 0)
    different_weight = check_number("different_weight", different_weight, 0)
    distance = check_index("distance", distance, 1)
    return pair_plan(
        input,
        target,
        PairOptions(activation=activation, **options),
        AffinityFieldTerm,
        margin=margin,
        distance=distance,
        same_weight=same_weight,
        different_weight=different_weight,
        denominator=denominator,
    )


@loss(PairOptions, without=WITHOUT_WEIGHTS)
def context_prior_affinity(
    input: Array,
    target: Array,
    *,
    window: int = 3,
    activation: Activation = "softmax",
    **options: Unpack[PairKeywords],
) -> Plan:
    r"""Context prior affinity loss: whether any two pixels of a window are of one class.

    .. math:: \ell = -\frac{1}{|\mathcal P|} \sum_{(i, j) \in \mathcal P}
       \begin{cases} \log a_{ij} & t_i = t_j \\ \log (1 - a_{ij}) & t_i \ne t_j \end{cases}, \qquad
       a_{ij} = \sum_c p_{ic}\, p_{jc}

    over all pairs of pixels, in both orders and with themselves, of every window that lies within the image: a pair in
    several windows counts in each.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape: pixels are alike
        where all values are equal.
    window : int, default 3
        How many pixels wide a window is, at least 1.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make: of exclusive classes, or of independent ones, each of which has affinities
        of being there at both pixels or at neither. With None the input holds probabilities.
    {options}

    Returns
    -------
    array
        The loss, a number of the input's dtype, at least float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit; if an image is smaller than a window.

    Notes
    -----
    The paper's affinity is a map of its own that a network predicts for all pixels; as in CoinCheung's ``AffinityLoss``
    it is here that of the prediction, in windows; there, of logits instead of probabilities. Logarithms are of at least
    1e-6, below which there is no gradient. Axes of one element are left out of the windows.

    References
    ----------
    Yu et al., "Context prior for scene segmentation" (2020), https://arxiv.org/abs/2004.01547.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import context_prior_affinity
    >>> p, targets = np.array([[[0.9, 0.9, 0.1], [0.1, 0.1, 0.9]]]), np.array([[[1, 1, 0]], [[1, 0, 0]]])
    >>> [round(float(context_prior_affinity(p, ids, window=2, activation=None)), 4) for ids in targets]
    [0.1985, 0.9566]
    """
    window = check_index("window", window, 1)
    sweep = pair_plan(input, target, PairOptions(activation=activation, **options), WindowAffinityTerm, window=window)
    spatial = sweep.layout.rows_shape[1:]
    if any(1 < length < window for length in spatial):
        msg = f"A window of {window} pixels does not fit an image of shape {spatial}; choose a smaller `window`."
        raise ValueError(msg)
    return sweep
