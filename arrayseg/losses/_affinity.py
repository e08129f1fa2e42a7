"""Affinity losses: compare predictions at pairs of pixels that belong to the same class or not."""

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

#: Affinities and their complements are clipped here before the logarithm. Below it they have no gradient.
LEAST_AFFINITY = 1e-6


@dataclass(frozen=True, kw_only=True)
class PairTerm(Term):
    """The mean over pairs of pixels of a loss that depends on both pixels and on whether their targets are equal."""

    spatial: tuple[int, ...]
    reduction: Literal["mean", "sum"] = "mean"

    whole_images = True

    @abstractmethod
    def offsets(self) -> Iterator[tuple[int, ...]]:
        """Yield the offsets from a pixel to its partners, only one of two opposite offsets."""

    @abstractmethod
    def maps(self, block: Block) -> Sequence[Array]:
        """Return the maps that the losses depend on, `(B, C, P)`."""

    @abstractmethod
    def losses(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> Array:
        """Return the loss of each pair, summed over both orders, `(B, 1 or C, *pairs)`."""

    @abstractmethod
    def derivatives(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> tuple[Array, Array]:
        """Return the gradients of the losses at the first and at the second pixels, as `pull_maps` expects them."""

    @abstractmethod
    def pull_maps(self, block: Block, gradient: Array) -> Array:
        """Return the gradient with respect to the logits from the gradient of `derivatives`, `(B, C, P)`."""

    def weight(self, offset: tuple[int, ...], like: Array, block: Block) -> Array | None:
        """Return how often each pair counts in one order, or None if every pair counts once.

        The result broadcasts with `(*pairs)`.
        """
        return None

    def amount(self, pairs: Array, block: Block) -> Array:
        """Return the denominator of the mean from the total weight of the pairs, `(B,)`."""
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
            ends = [array[first] for array in maps], [array[second] for array in maps]
            by_first, by_second = self.derivatives(*ends, same, xp)
            result[first] += by_first * (weight * scale)
            result[second] += by_second * (weight * scale)
        flat = xp.reshape(result, (block.images, block.classes, block.pixels))
        return block.where_valid(self.pull_maps(block, flat))

    def _pairs(self, block: Block) -> Iterator[tuple[Box, Box, Array, Array]]:
        """Yield, for each offset, the slices of first and second pixels, equality of targets, and weights of pairs."""
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
    """Yield one of each two opposite offsets: the one whose first nonzero step is positive."""
    for offset in offsets:
        if next((step for step in offset if step), 0) > 0:
            yield offset


@dataclass(frozen=True, kw_only=True)
class AffinityFieldTerm(PairTerm):
    """The term of the affinity field: divergence within a class, and its shortfall from a margin between classes."""

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
        neighbors = 3 ** sum(length > 1 for length in self.spatial) - 1
        return block.valid_amount * (neighbors * (block.classes if block.batch.binary else 1))

    def maps(self, block: Block) -> Sequence[Array]:
        """Return the probabilities and their logarithms.

        For independent classes, the logarithms of the complements and the complements follow.
        """
        probabilities, finite = block.probabilities, block.backend.functions.finite_where_zero
        if block.batch.binary:
            (log_p, log_other), complements = block.log_of_sides, block.complements
            return probabilities, finite(log_p, probabilities), finite(log_other, complements), complements
        return probabilities, block.finite_log_probabilities

    def losses(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> Array:
        return sum(
            self._loss_of(self._divergence(*ordered, xp), same, xp) for ordered in ((first, second), (second, first))
        )

    def derivatives(self, first: Sequence[Array], second: Sequence[Array], same: Array, xp: Any) -> tuple[Array, Array]:
        by_first, by_second = self._derivative(first, second, same, xp)
        reverse_second, reverse_first = self._derivative(second, first, same, xp)
        return by_first + reverse_first, by_second + reverse_second

    def pull_maps(self, block: Block, gradient: Array) -> Array:
        if block.batch.binary:
            return gradient
        # The gradient sums to 0 over the classes. Subtracting the rounding error leaves it with the likeliest class.
        return gradient - block.probabilities * block.xp.sum(gradient, axis=1, keepdims=True)

    def _divergence(self, true: Sequence[Array], other: Sequence[Array], xp: Any) -> Array:
        """Return KL(true, other), for one distribution per pixel or one per pixel and class."""
        if len(true) == 2:
            return xp.sum(true[0] * (true[1] - other[1]), axis=1, keepdims=True)
        return true[0] * (true[1] - other[1]) + true[3] * (true[2] - other[2])

    def _loss_of(self, divergence: Array, same: Array, xp: Any) -> Array:
        shortfall = xp.where(divergence >= self.margin, xp.zeros_like(divergence), self.margin - divergence)
        return xp.where(same, self.same_weight * divergence, self.different_weight * shortfall)

    def _derivative(self, true: Sequence[Array], other: Sequence[Array], same: Array, xp: Any) -> tuple[Array, Array]:
        """Return the derivatives of one order with respect to the logits of both pixels."""
        divergence = self._divergence(true, other, xp)
        zero = xp.zeros_like(divergence)
        between_classes = xp.where(divergence >= self.margin, zero, zero - self.different_weight)
        slope = xp.where(same, zero + self.same_weight, between_classes)
        if len(true) == 2:
            by_true = true[0] * (true[1] - other[1] - divergence)
            return slope * by_true, slope * (other[0] - true[0])
        by_true = true[0] * true[3] * (true[1] - other[1] - true[2] + other[2])
        by_other = xp.where(other[0] > 0.5, true[3] - other[3], other[0] - true[0])
        return slope * by_true, slope * by_other


@dataclass(frozen=True, kw_only=True)
class WindowAffinityTerm(PairTerm):
    """The term of the context prior: binary cross entropy of the affinities of all pairs in all windows."""

    window: int

    def offsets(self) -> Iterator[tuple[int, ...]]:
        reach = [self._width(length) - 1 for length in self.spatial]
        yield (0,) * len(reach)
        yield from _half(product(*(range(-steps, steps + 1) for steps in reach)))

    def weight(self, offset: tuple[int, ...], like: Array, block: Block) -> Array:
        """Return the number of windows that contain both pixels. A pixel pairs with itself in only one order."""
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
        """Return the probabilities and their complements.

        With `activation=None`, exclusive probabilities need not sum to 1, so only the probabilities are returned.
        """
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
        """Return the probability that the pair agrees with its targets on same or different, and its complement."""
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
    """Return the plan of a loss over pairs of pixels. `make` creates its term from the keywords in `own`."""
    layout, batch = prepare(input, target, options)
    term = make(spatial=layout.rows_shape[1:], reduction=options.reduction, **own)
    return Sweep(input, layout, batch.with_unknown_targets(), [term], [1.0])


#: Options that losses of pairs do not support.
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
    r"""Compute the affinity field loss: neighbors should agree within a class and differ between classes.

    .. math:: \ell = \frac{1}{|\mathcal P|} \sum_{(i, j) \in \mathcal P}
       \begin{cases} \lambda\, D_{ji} & t_i = t_j \\ \mu \max(m - D_{ji}, 0) & t_i \ne t_j \end{cases}, \qquad
       D_{ji} = \mathrm{KL}(p_j \,\|\, p_i)

    The mean runs over all pairs of a pixel and one of its neighbors (8 in 2D, 26 in 3D).

    Parameters
    ----------
    {input_spatial}
    {target}
        Two pixels belong to the same class if all their values are equal.
    margin : float, default 3.0
        m, the divergence at which neighbors of different classes have no loss, at least 0.
    distance : int, default 1
        Distance in pixels to the neighbors, at least 1.
    same_weight : float, default 1.0
        Weight of pairs of the same class, at least 0.
    different_weight : float, default 1.0
        Weight of pairs of different classes, at least 0.
    denominator : {"pairs", "pixels"}, default "pairs"
        What the mean divides by: the number of valid pairs, or the number of valid pixels times the number of neighbors
        of an interior pixel.
    activation : {"softmax", "sigmoid"}, default "softmax"
        How to turn `input` into probabilities: "softmax" for mutually exclusive classes, "sigmoid" for independent
        ones. Each independent class has its own divergence, and the mean also runs over these classes.
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}

    Notes
    -----
    CoinCheung's ``AffinityFieldLoss`` uses ``denominator="pixels"``. The authors average pairs of the same class and
    pairs of different classes separately, and learn the distance. With ``activation="sigmoid"``, two pixels are alike
    or different in each class separately.

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
    r"""Compute the context prior affinity loss: whether any two pixels of a window belong to the same class.

    .. math:: \ell = -\frac{1}{|\mathcal P|} \sum_{(i, j) \in \mathcal P}
       \begin{cases} \log a_{ij} & t_i = t_j \\ \log (1 - a_{ij}) & t_i \ne t_j \end{cases}, \qquad
       a_{ij} = \sum_c p_{ic}\, p_{jc}

    The mean runs over all pairs of pixels in every window that lies within the image. It includes both orders, and each
    pixel with itself. A pair that lies in several windows counts once in each.

    Parameters
    ----------
    {input_spatial}
    {target}
        Two pixels belong to the same class if all their values are equal.
    window : int, default 3
        Width of a window in pixels, at least 1.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        How to turn `input` into probabilities: "softmax" for mutually exclusive classes, "sigmoid" for independent
        ones, None if `input` already contains probabilities. Each independent class has its own affinity, the
        probability that the class is present at both pixels or at neither.
    {options}

    Returns
    -------
    {returns_number}

    Raises
    ------
    {raises}
        Also if an image is smaller than a window.

    Notes
    -----
    In the paper, a network predicts the affinity of all pairs of pixels as a separate map. Here, as in CoinCheung's
    ``AffinityLoss``, the affinity is computed from the prediction within windows. CoinCheung's code computes it from
    logits instead of probabilities. Affinities are clipped at 1e-6 before the logarithm and have no gradient below.
    Windows do not extend along axes of one element.

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
        msg = f"A window of {window} pixels does not fit into an image of shape {spatial}. Choose a smaller `window`."
        raise ValueError(msg)
    return sweep
