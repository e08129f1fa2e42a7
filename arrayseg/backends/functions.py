"""Elementary functions that keep their digits: sigmoids, softmaxes and their logarithms."""

from __future__ import annotations

from arrayseg._typing import Array, Namespace
from arrayseg.backends.part import Part

__all__ = ["EXP_LIMIT", "Functions", "log_sum_exp"]

#: From this score on, 1 + exp(z) equals exp(z) to the last digit. The exponential is still finite in float32.
EXP_LIMIT = 80.0


class Functions(Part):
    """The elementary functions of one library, written in functions of the Array API standard."""

    #: Whether `softmax` and `log_softmax` exist: autodiff through their steps is slow, or loses digits.
    has_softmax = False

    def exp_in_place(self, array: Array, /) -> Array:
        """Return the exponentials; the array may be overwritten."""
        return self.xp.exp(array)

    def moderate_exp(self, scores: Array, /) -> tuple[Array, Array] | None:
        """Return the exponentials of scores `(B, C, P)` and their sums over the classes.

        The result is None if a sum is so large or so small that digits may be lost, or if the library prefers to
        subtract the greatest score of each pixel first.
        """
        return None

    def softmax(self, scores: Array, /, *, axis: int) -> Array:
        """Return the softmax along an axis; only adapters with `has_softmax` define it."""
        raise NotImplementedError

    def log_softmax(self, scores: Array, /, *, axis: int) -> Array:
        """Return the logarithm of `softmax`, accurate where it is close to 0."""
        raise NotImplementedError

    def subtract_max(self, scores: Array, /, *, axis: int) -> Array:
        """Return the scores minus the greatest score along an axis.

        No loss of exclusive classes depends on what is subtracted, so the maximum may have a derivative or none. Here
        it has one. The derivative of a loss in the greatest score is then the negative sum of the other derivatives,
        not the difference of its target and a probability close to 1.
        """
        return scores - self.xp.max(scores, axis=axis, keepdims=True)

    def sigmoid(self, scores: Array, /) -> Array:
        """Return 1 / (1 + exp(-z)) = exp(z) / (1 + exp(z)), as accurate as exp(z)."""
        exponentials = self.xp.exp(self.xp.minimum(scores, self._limit(scores)))
        return exponentials / (exponentials + 1)

    def sigmoids(self, scores: Array, out: Array | None = None, /) -> tuple[Array, Array]:
        """Return 1 / (1 + exp(-z)) and 1 / (1 + exp(z)); the second may be written into `out`."""
        return self.sigmoid(scores), self.sigmoid(-scores)

    def log_sigmoid(self, scores: Array, /) -> Array:
        """Return log(1 / (1 + exp(-z))) = min(z, 0) - log(1 + exp(-|z|)), which cannot overflow."""
        return self.xp.where(scores >= 0, self.xp.zeros_like(scores), scores) - self.log_rest(scores)

    def log_sigmoids(self, scores: Array, /) -> tuple[Array, Array]:
        """Return `log_sigmoid` of the scores and of their negatives."""
        return self.log_sigmoid(scores), self.log_sigmoid(-scores)

    def log_rest(self, scores: Array, /) -> Array:
        """Return log(1 + exp(-|z|)).

        |z| is computed as z times its sign, which is 1 at 0. Libraries disagree on the derivative of `abs` there, and a
        derivative of 0, as `maximum` has, would make the second derivative of this function 0 instead of -1/4.
        """
        sign = 1 - 2 * self.xp.astype(scores >= 0, scores.dtype)
        return self.xp.log1p(self.xp.exp(sign * scores))

    def softplus(self, scores: Array, /) -> tuple[Array, Array]:
        """Return log(1 + exp(z)) = -log s(-z) and its derivative s(z); the scores may be overwritten."""
        limit = self._limit(scores)
        exponentials = self.xp.exp(self.xp.minimum(scores, limit))
        value = self.xp.log1p(exponentials) + (self.xp.maximum(scores, limit) - limit)
        return value, exponentials / (exponentials + 1)

    def finite_where_zero(self, values: Array, shares: Array, /) -> Array:
        """Return the values, with -1000 for an infinite value whose share is 0.

        The product with the shares is then 0 there, as 0 log 0 should be, and exp(-1000) is 0 as well.
        """
        is_nothing = self.xp.isinf(values) & (shares == 0)
        return self.xp.where(is_nothing, self.xp.full_like(values, -1000.0), values)

    def _limit(self, scores: Array) -> Array:
        return self.xp.full((), EXP_LIMIT, dtype=scores.dtype, device=self.adapter.device(scores))


def log_sum_exp(xp: Namespace, shifted: Array, /, *, axis: int) -> Array:
    """Return log(sum_k exp(z_k)) of scores minus their greatest, accurate where it is close to 0."""
    exponentials = xp.exp(shifted)
    # 1 for the greatest score, 0 for exponentials below 1/2. The function is continuous because compilers may round the
    # scores differently in each of the two sums.
    ones = xp.maximum(2 * exponentials - 1, xp.zeros_like(shifted))
    others, equals = (xp.sum(each, axis=axis, keepdims=True) for each in (exponentials - ones, ones))
    return xp.log1p(others + (equals - 1))
