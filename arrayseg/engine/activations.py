"""Blocks of each activation: from logits to probabilities, and from gradients back to gradients in the logits.

`block_of` chooses the class once for a block, by the activation of its batch and by how its library works:

- `SoftmaxBlock` is for libraries with autodiff: its expressions overwrite nothing, except to pull back in closed form.
- `SoftmaxInPlace` is for the others: one array holds shifted logits, exponentials and probabilities in turn.
- `SoftmaxById` is the same for class ids, if the library gathers fast.
- `SigmoidBlock` has independent classes, `GivenBlock` and `GivenLogBlock` have an input without activation.
"""

from __future__ import annotations

from functools import partial
from math import inf

from arrayseg._typing import Array
from arrayseg.backends.functions import log_sum_exp
from arrayseg.engine.batch import Batch
from arrayseg.engine.block import Block, once
from arrayseg.engine.pixel_formulas import safe_log

__all__ = ["SigmoidBlock", "SoftmaxBlock", "SoftmaxById", "block_of", "whole_block"]

#: The largest ratio of two float32 numbers such that the rounding of one, 6e-8 of it, is small for the other.
ROUNDING = 64.0


def block_of(batch: Batch, images: slice, pixels: slice) -> Block:
    """Return the block of some images and pixels of a batch."""
    return _block_type(batch)(batch.part(images, pixels), images, pixels)


def whole_block(batch: Batch) -> Block:
    """Return all pixels of a batch as one block, as autodiff and compilers see them."""
    images, _, pixels = batch.shape
    return _block_type(batch)(batch, slice(0, images), slice(0, pixels))


def _block_type(batch: Batch) -> type[Block]:
    if batch.activation == "sigmoid":
        return SigmoidBlock
    if batch.activation is None:
        return GivenLogBlock if batch.log_input else GivenBlock
    if batch.backend.has_autodiff:
        return SoftmaxBlock
    return SoftmaxById if batch.has_ids and batch.backend.blocks.gathers_ids else SoftmaxInPlace


class GivenBlock(Block):
    """A block whose input holds probabilities."""

    @property
    def probabilities(self) -> Array:
        return self.logits

    @once
    def complements(self) -> Array:
        return 1 - self.logits

    def pull_back(self, gradient: Array, *, cancels: bool = True) -> Array:
        return self.where_valid(gradient)

    def restore(self, kept: Array) -> None:
        self.logits = kept

    @property
    def log_probabilities(self) -> Array:
        return self._logs[0]

    @property
    def log_probability_at_id(self) -> Array:
        return self._logs_at_id[0]

    def pull_back_log(self, steps: Array, *, cancels: bool = True) -> Array:
        return steps * self._logs[1]

    def pull_back_log_at_id(self, slope: Array) -> Array:
        return self.target * (slope * self._logs_at_id[1])[:, None, :]

    @property
    def log_of_sides(self) -> tuple[Array, Array]:
        return self._logs[0], self._logs_of_complements[0]

    @property
    def slopes_of_sides(self) -> tuple[Array, Array]:
        return self._logs[1], self._logs_of_complements[1]

    @property
    def log_of_side(self) -> Array:
        return self._logs_of_side[0]

    def loss_of_side(self) -> tuple[Array, Array]:
        return -self._logs_of_side[0], self._logs_of_side[1]

    # Logarithms with their derivatives.

    @once
    def _logs(self) -> tuple[Array, Array]:
        return safe_log(self.logits, self.xp)

    @once
    def _logs_of_complements(self) -> tuple[Array, Array]:
        return safe_log(1 - self.logits, self.xp)

    @once
    def _logs_at_id(self) -> tuple[Array, Array]:
        return safe_log(self.at_id(self.logits), self.xp)

    @once
    def _logs_of_side(self) -> tuple[Array, Array]:
        return safe_log((1 - self.target) - self.signs * self.logits, self.xp)


class GivenLogBlock(GivenBlock):
    """A block whose input holds log-probabilities of exclusive classes."""

    @property
    def log_probabilities(self) -> Array:
        return self.logits

    @once
    def log_probability_at_id(self) -> Array:
        return self.at_id(self.logits)

    def pull_back_log(self, steps: Array, *, cancels: bool = True) -> Array:
        return steps

    def pull_back_log_at_id(self, slope: Array) -> Array:
        return self.target * (slope[:, None, :] if slope.ndim else slope)


class SigmoidBlock(Block):
    """A block of independent classes."""

    @once
    def probabilities(self) -> Array:
        in_pairs = self.workspace.has_gradient or self.backend.has_autodiff or self._pair is not None
        return self._sigmoids()[0] if in_pairs else self.backend.functions.sigmoid(self.logits)

    @property
    def complements(self) -> Array:
        return self._sigmoids()[1]

    #: The sigmoids of the logits and of their negatives, once they have been computed.
    _pair: tuple[Array, Array] | None = None

    def _sigmoids(self) -> tuple[Array, Array]:
        """Return the sigmoids of the logits and of their negatives.

        The second may lie in the gradient, where the slopes will be written over it: use it before them.
        """
        if self._pair is None:
            self._pair = self.backend.functions.sigmoids(self.logits, self.workspace.gradient)
        return self._pair

    @once
    def slopes(self) -> Array:
        """The derivatives of the probabilities in the logits, `(B, C, P)`."""
        return self.workspace.product(*self._sigmoids())

    @property
    def kept(self) -> Array:
        """The slopes: the probabilities are too coarse for them."""
        return self.slopes

    def restore(self, kept: Array) -> None:
        self.slopes = kept

    def pull_back(self, gradient: Array, *, cancels: bool = True) -> Array:
        return self.workspace.multiply(gradient, self.slopes)

    @once
    def log_of_sides(self) -> tuple[Array, Array]:
        return self.backend.functions.log_sigmoids(self.logits)

    @property
    def slopes_of_sides(self) -> tuple[Array, Array]:
        return self.complements, self.probabilities

    @property
    def log_of_side(self) -> Array:
        return self.backend.functions.log_sigmoid(-self.signs * self.logits)

    def loss_of_side(self) -> tuple[Array, Array]:
        return self.backend.functions.softplus(self.signs * self.logits)


class SoftmaxBlock(Block):
    """A block of exclusive classes, in expressions that autodiff differentiates."""

    #: The probabilities, once they have been computed.
    _probabilities: Array | None = None

    @property
    def probabilities(self) -> Array:
        if self._probabilities is None:
            self._probabilities = self._normalized()
        return self._probabilities

    def restore(self, kept: Array) -> None:
        self._probabilities = kept

    def _normalized(self) -> Array:
        if self.backend.functions.has_softmax:
            return self.over_classes(self.backend.functions.softmax, self.logits)
        return self.over_classes(lambda array, total, axis: array / total, self.exponentials, self.total)

    @once
    def shifted(self) -> Array:
        """The logits minus the greatest of the pixel, `(B, C, P)`, whose exponentials cannot overflow."""
        return self.over_classes(self.backend.functions.subtract_max, self.logits)

    @once
    def exponentials(self) -> Array:
        """The exponentials of the shifted logits, `(B, C, P)`."""
        return self.over_classes(lambda shifted, axis: self.xp.exp(shifted), self.shifted)

    @once
    def total(self) -> Array:
        """The sum of the exponentials over the classes, `(B, 1, P)`."""
        return self.sum_classes(self.exponentials)[:, None, :]

    @once
    def log_total(self) -> Array:
        """The logarithm of the `total` of the shifted logits, `(B, 1, P)`, accurate where it is nearly 0."""
        return self.over_classes(partial(log_sum_exp, self.xp), self.shifted)

    @once
    def complements(self) -> Array:
        probabilities = self.probabilities
        # By products: choosing by a mask without a pattern takes NumPy thirty times as long.
        rest, large = 1 - probabilities, self.xp.astype(probabilities > 0.5, self.dtype)
        others = self.sum_classes(probabilities - probabilities * large)[:, None, :]
        return rest + large * (others - rest)

    @once
    def log_probabilities(self) -> Array:
        if self.backend.functions.has_softmax:
            return self.over_classes(self.backend.functions.log_softmax, self.logits)
        return self.over_classes(lambda shifted, log_total, axis: shifted - log_total, self.shifted, self.log_total)

    @once
    def log_probability_at_id(self) -> Array:
        # By the ratio of the others to the id, whose derivative is not 1 - p, unless that may overflow.
        xp = self.xp
        shifted = self.over_classes(self._less_constant, self.logits)
        at_id = self.at_id(shifted)
        others = self.over_classes(self._sum_without_ids, shifted, self.ids[:, None, :])[:, 0, :]
        far, zero = at_id < -1, xp.zeros_like(at_id)
        ratio = others / xp.exp(xp.where(far, zero, at_id))
        total = xp.where(far, others + xp.exp(at_id), zero + 1)
        return xp.where(far, at_id - xp.log(total), -xp.log1p(ratio))

    def _less_constant(self, logits: Array, *, axis: int) -> Array:
        return logits - self.backend.stop_gradient(self.xp.max(logits, axis=axis, keepdims=True))

    def _sum_without_ids(self, shifted: Array, ids: Array, *, axis: int) -> Array:
        xp = self.xp
        classes = xp.arange(self.classes, dtype=xp.int32, device=self.device)
        is_id = xp.astype(ids, xp.int32) == (classes[None, :, None] if axis == 1 else classes)
        return xp.sum(xp.where(is_id, xp.zeros_like(shifted), xp.exp(shifted)), axis=axis, keepdims=True)

    def cross_entropy(self, shares: Array) -> Array:
        """Return sum_c t_c (log sum_k e^z_k - z_c) of shares t, `(B, P)`, without a logarithm of each class."""
        if self.backend.functions.has_softmax and not self.batch.has_ids:
            return -self.sum_classes(shares * self.backend.functions.finite_where_zero(self.log_probabilities, shares))

        def cross_entropy(shares: Array, shifted: Array, logarithm: Array, *, axis: int) -> Array:
            return self.xp.sum(shares * (logarithm - shifted), axis=axis, keepdims=True)

        # One expression, so that compilers fuse it into one loop.
        shifted = self.backend.functions.finite_where_zero(self.shifted, shares)
        return self.over_classes(cross_entropy, shares, shifted, self._log_total_of_shares())[:, 0, :]

    def _log_total_of_shares(self) -> Array:
        """Return the logarithm of the total; no loss of smoothed ids is so small that it needs all digits."""
        return self.xp.log(self.total) if self.batch.has_ids else self.log_total

    def pull_back(self, gradient: Array, *, cancels: bool = True) -> Array:
        # The mean gradient of a confident pixel is nearly the gradient of one class, and what is left of the class is
        # rounding, unless the mean is subtracted again.
        for _ in range(2 if cancels else 1):
            gradient -= self.backend.blocks.sum_class_products(gradient, self.probabilities)
        return self.workspace.multiply(gradient, self.probabilities)

    def pull_back_log(self, steps: Array, *, cancels: bool = True) -> Array:
        # The gradient adds to 0 over the classes. What rounding leaves is subtracted again, as in `pull_back`.
        if self._probabilities is None:
            shares, factor = self.exponentials, 1 / self.total
        else:
            shares, factor = self._probabilities, 1.0
        for _ in range(2 if cancels else 1):
            steps -= shares * (self.sum_classes(steps)[:, None, :] * factor)
        return steps

    def pull_back_log_at_id(self, slope: Array) -> Array:
        # The gradient is slope (t - p). At the id it is minus the sum of the others, in which nothing cancels.
        pulled = self.probabilities * -(slope[:, None, :] if slope.ndim else slope)
        others = pulled - pulled * self.target
        return others - self.target * self.sum_classes(others)[:, None, :]


class SoftmaxInPlace(SoftmaxBlock):
    """A block of exclusive classes, for libraries without autodiff.

    The shifted logits, their exponentials and the probabilities take turns in the same memory. Each is overwritten by
    the next, and computed again if it is needed again.
    """

    _shifted: Array | None = None
    _exponentials: Array | None = None
    _total: Array | None = None
    #: Whether exponentials and total belong to the shifted logits, not to the logits as they are.
    _is_shifted = False

    @property
    def shifted(self) -> Array:
        if self._shifted is None:
            if not self._is_shifted:
                self._is_shifted = True
                self._forget_exponentials()
            self._shifted = self.over_classes(self.backend.functions.subtract_max, self.logits)
        return self._shifted

    @property
    def exponentials(self) -> Array:
        """The exponentials, `(B, C, P)`: of the logits if these are moderate, else of the shifted logits."""
        if self._exponentials is None:
            self._exponentials = self._exponentiated()
        return self._exponentials

    @property
    def total(self) -> Array:
        if self._total is None:
            self._total = self._added()
        return self._total

    def _exponentiated(self) -> Array:
        if not self._is_shifted:
            moderate = self.backend.functions.moderate_exp(self.logits)
            if moderate is not None:
                exponentials, self._total = moderate
                return exponentials
        return self.backend.functions.exp_in_place(self._take_shifted())

    def _added(self) -> Array:
        return self.sum_classes(self.exponentials)[:, None, :]

    def _forget_exponentials(self) -> None:
        self._exponentials = self._total = None

    def _take_shifted(self) -> Array:
        """Return the shifted logits for the caller to overwrite."""
        shifted, self._shifted = self.shifted, None
        return shifted

    def _take_exponentials(self) -> Array:
        """Return the exponentials for the caller to overwrite."""
        exponentials, self._exponentials = self.exponentials, None
        return exponentials

    def _normalized(self) -> Array:
        inverse = 1 / self.total  # before the exponentials are overwritten
        return self.workspace.multiply(self._take_exponentials(), inverse)

    @once
    def log_total(self) -> Array:
        # The total without the exponential of the greatest logit, which is 1: nothing cancels.
        greatest = self.xp.floor(self.exponentials)  # 1 where a logit is the greatest, else 0
        equals = self.sum_classes(greatest)
        greatest -= self.exponentials
        rest = (equals - 1 - self.sum_classes(greatest))[:, None, :]
        self._total = rest + 1
        return self.xp.log1p(rest)

    @once
    def log_probabilities(self) -> Array:
        shifted = self.shifted
        self._exponentials = self.xp.exp(shifted)  # in memory of their own: the shifted logits are still needed
        return shifted - self.log_total

    @once
    def log_probability_at_id(self) -> Array:
        xp = self.xp
        shifted = self._take_shifted()
        at_id = self.at_id(shifted)
        self._exponentials = self.backend.functions.exp_in_place(shifted)
        of_id, others = self.where_valid(xp.exp(at_id)), self.sum_classes(self._without_ids(self._exponentials))
        self._total = (others + of_id)[:, None, :]
        return at_id - xp.log1p(others + (of_id - 1))

    def pull_back_log_at_id(self, slope: Array) -> Array:
        factor = -(slope[:, None, :] if slope.ndim else slope)
        if self._probabilities is None:
            shares, factor = self.exponentials, factor / self.total
        else:
            shares = self._probabilities
        of_ids = -self.sum_classes(self._without_ids(shares))
        return self.workspace.multiply(self.xp.where(self.one_hot, of_ids[:, None, :], shares), factor)

    def _without_ids(self, array: Array) -> Array:
        """Return a copy of an array `(B, C, P)` with 0 at each pixel's id."""
        return self.xp.where(self.one_hot, self.xp.zeros((), dtype=array.dtype, device=self.device), array)

    def cross_entropy(self, shares: Array) -> Array:
        shifted = self.backend.functions.finite_where_zero(self.shifted, shares)
        of_logits = self.sum_classes(shares * shifted)  # before the exponentials are written over them
        return self.sum_classes(shares) * self._log_total_of_shares()[:, 0, :] - of_logits


class SoftmaxById(SoftmaxInPlace):
    """A block of exclusive classes with one id a pixel, for libraries without autodiff that gather fast.

    The exponential of the id is kept apart from the exponentials of the other classes, so that 1 minus the probability
    of the id is a sum in which nothing cancels.
    """

    #: The exponentials with 0 at each pixel's id, `(B, C, P)`, in the memory of the exponentials.
    _others: Array | None = None
    _sum_of_others: Array | None = None
    #: The exponential of each pixel's id, `(B, P)`.
    _at_id: Array | None = None

    @property
    def exponentials(self) -> Array:
        if self._exponentials is None:
            if self._others is None:
                self._exponentials = self._exponentiated()
            else:
                self._exponentials = self.join_by_id(self._at_id, self._take_others())
        return self._exponentials

    def _added(self) -> Array:
        if self._sum_of_others is None:
            return super()._added()
        return (self._sum_of_others + self._at_id)[:, None, :]

    def _forget_exponentials(self) -> None:
        super()._forget_exponentials()
        self._others = self._sum_of_others = self._at_id = None

    @property
    def others(self) -> Array:
        """The exponentials with 0 at each pixel's id, `(B, C, P)`."""
        if self._others is None:
            self._at_id, self._others = self.split_by_id(self._take_exponentials(), copy=False)
        return self._others

    @property
    def sum_of_others(self) -> Array:
        """The sum of the exponentials of all classes but each pixel's id, `(B, P)`."""
        if self._sum_of_others is None:
            self._sum_of_others = self.sum_classes(self.others)
        return self._sum_of_others

    def _take_others(self) -> Array:
        """Return `others` for the caller to overwrite."""
        others, self._others = self.others, None
        return others

    @once
    def log_probability_at_id(self) -> Array:
        xp = self.xp
        shifted = self._take_shifted()
        flat, index = self.flat_at_id(shifted)
        at_id = xp.reshape(xp.take(flat, index), self.ids.shape)
        flat[index] = -inf  # whose exponential is 0
        self._at_id = xp.exp(at_id)
        self._others = self.backend.functions.exp_in_place(shifted)
        return at_id - xp.log1p(self.sum_of_others + (self._at_id - 1))

    def probabilities_by_id(self, *, squared: bool = False) -> tuple[Array, Array, Array]:
        """Return the probability of each pixel's id and 1 minus it, and the sums of the other classes' probabilities.

        The first two are `(B, P)`, the sums over pixels `(B, C)`. With `squared`, they are sums of squares.
        """
        if not squared and self._probabilities is None:
            return self._probabilities_in_cache
        hit, others = self.split_by_id(self.probabilities, copy=True)
        weighted = self.weighted(others)
        alarm = self.sum_products(weighted, others) if squared else self.sum(weighted, axis=2)
        return hit, self.sum_classes(others), alarm

    @once
    def _probabilities_in_cache(self) -> tuple[Array, Array, Array]:
        """The result of `probabilities_by_id` from the exponentials.

        These are in cache. In the gradient, where the probabilities will wait, ids take three times as long to reach.
        """
        others, missed = self.others, self.sum_of_others
        inverse = 1 / self.total[:, 0, :]
        alarm = self.sum_products(others, self.weighted(inverse)[:, None, :])
        return self._at_id * inverse, missed * inverse, alarm

    def _split_probabilities(self) -> tuple[Array, Array]:
        """Return the probability of each pixel's id, `(B, P)`, and the probabilities with 0 there, `(B, C, P)`."""
        if self._probabilities is None and self.workspace.is_last_use:
            inverse, others = 1 / self.total, self._take_others()
            others *= inverse
            return self._at_id * inverse[:, 0, :], others
        return self.split_by_id(self.probabilities, copy=not self.workspace.is_last_use)

    def pull_back_log_at_id(self, slope: Array) -> Array:
        per_class = slope[:, None, :] if slope.ndim else slope
        if self._probabilities is None:
            rest, factor = self.sum_of_others, -per_class / self.total
            return self.workspace.multiply(self.join_by_id(-rest, self._take_others()), factor)
        _, others = self.split_by_id(self._probabilities * -per_class, copy=False)
        return self.join_by_id(-self.sum_classes(others), others)

    def pull_back_by_id(self, by_id: Array, by_others: Array, *, errors: bool = False) -> Array:
        """Return the gradient in the logits, given `by_id` in the probability of the id and `by_others` elsewhere.

        Both are `(B, C, 1)`. With `errors` they are multiplied by the errors, -(1 - p) at the id and p elsewhere.
        """
        xp, at_id = self.xp, self.at_id(by_id[:, :, 0])
        # The others are added without the id, whose own gradient is made of them: nothing cancels where it is nearly 1.
        probability, others = self._split_probabilities()
        if errors:
            steps = by_others * others
            missed = self.sum_classes(others)
            at_id *= -missed
            spread = self.backend.blocks.sum_class_products(steps, others)[:, 0, :]
        else:
            steps, across = by_others, xp.matrix_transpose(by_others)
            sums = xp.matmul(xp.concat([across, xp.ones_like(across)], axis=1), others)
            spread, missed = sums[:, 0, :], sums[:, 1, :]
        level = spread + at_id * probability
        gradient = steps - level[:, None, :]
        of_id = (at_id * missed - spread) * probability
        # What is left of another class that is nearly 1 is rounding (see `pull_back`), unless that is small here.
        if not xp.any(ROUNDING * xp.abs(of_id) > xp.max(xp.abs(by_others), axis=1)):
            mean = self.backend.blocks.sum_class_products(gradient, others)
            gradient -= mean + ((at_id - level) * probability)[:, None, :]
        pulled = self.workspace.multiply(gradient, others)
        return self.join_by_id(of_id, pulled)
