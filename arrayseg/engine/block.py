"""The pixels of a batch in canonical form, whole or a block of them, with their activations.

Every kernel sees scores `(B, C, P)`: B images, C classes, P pixels, the class axis in the middle. What lies behind may
be channels-last, half precision, or a whole batch of which this is the part that fits the cache; the kernels never
know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, Generic, TypeVar

from arrayseg._typing import Array
from arrayseg.backends.functions import log_sum_exp
from arrayseg.backends.labels import equals
from arrayseg.engine.batch import Batch

__all__ = ["Block"]

Made = TypeVar("Made")

#: Classes up to which products with one-hot values take less time than gathers and histograms.
FEW_CLASSES = 8

#: The largest ratio of two float32 numbers of which the rounding of one, 6e-8 of it, is small for the other.
ROUNDING = 64.0


class once(Generic[Made]):
    """A property that is made when first asked for; functools.cached_property holds a lock that compilers refuse."""

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, instance: Any, owner: type) -> Made:
        made = self.make(instance)
        setattr(instance, self.make.__name__, made)  # found before this descriptor from now on
        return made


class Block:
    """Pixels in the compute dtype; each activation is made once, when it is first asked for.

    Arrays of the size of the scores are overwritten where nothing needs them again: a block of three of them beside the
    gradient takes half as long again as one of one. The closed form may do so always; the expression of autodiff, whose
    graph holds on to them, never.
    """

    #: The block's part of the gradient, in which the last product of a sweep may be written.
    room: Array | None = None
    #: Whether what an earlier sweep kept is given (see `kept`), and nothing else should be made of the scores.
    only_probabilities = False
    #: Whether a gradient is asked for: the probabilities of a sigmoid are then best made with their complements, and
    #: those of a softmax are needed after its exponentials.
    has_gradient = False
    #: Whether nobody asks for anything afterwards, so that all of it may be overwritten.
    is_last_use = False
    #: Whether `exponentials` and `total` are of the shifted scores.
    _is_shifted = False

    def __init__(self, batch: Batch, image_slice: slice, pixel_slice: slice) -> None:
        self.batch = batch
        self.image_slice = image_slice
        self.pixel_slice = pixel_slice
        self.backend = batch.backend
        self.xp = batch.xp
        self.dtype = batch.compute_dtype
        self.device = batch.backend.device(batch.logits)
        self.images, self.classes, self.pixels = batch.shape

    @classmethod
    def whole(cls, batch: Batch) -> Block:
        """Return all pixels of a batch as one block, as autodiff and compilers see them."""
        images, _, pixels = batch.shape
        return cls(batch, slice(0, images), slice(0, pixels))

    @classmethod
    def part(cls, batch: Batch, images: slice, pixels: slice) -> Block:
        """Return the block of some images and pixels of a batch."""
        return cls(batch.part(images, pixels), images, pixels)

    def changed(self, **changes: Any) -> Block:
        """Return a block of the same images and pixels with other fields of its batch."""
        return Block(replace(self.batch, **changes), self.image_slice, self.pixel_slice)

    # What takes part.

    @once
    def selected(self) -> Array | None:
        """Pixels that are neither masked nor ignored, `(B, P)`; None where all are."""
        batch = self.batch
        if batch.ignore_index is None:
            return batch.mask
        labels = batch.target if batch.has_ids else batch.target[:, 0, :]
        kept = ~equals(self.backend, labels, batch.ignore_index)
        return kept if batch.mask is None else batch.mask & kept

    @once
    def valid(self) -> Array | None:
        """Selected pixels with an id that is a class, `(B, P)`; None where all are.

        Compilers cannot raise on values: there an id that is no class counts nowhere. Eager ones raised on entry.
        """
        target = self.batch.target
        if not self.batch.has_ids or self.backend.is_concrete(target):
            return self.selected
        ids = self.xp.astype(target, self.backend.count_dtype(target), copy=False)  # torch orders no uint16
        known = (ids >= 0) & (ids < self.classes)
        return known if self.selected is None else self.selected & known

    @once
    def weight(self) -> Array | None:
        """The weight of each pixel, 0 where it is not valid, `(B, P)`; None where all are 1."""
        if self.batch.pixel_weights is None:
            return None if self.valid is None else self.xp.astype(self.valid, self.dtype)
        weights = self.xp.astype(self.batch.pixel_weights, self.dtype, copy=False)
        return weights if self.valid is None else self.where_valid(weights)

    def where_valid(self, array: Array) -> Array:
        """The array with zeros where a pixel is not valid; `(B, P)` or `(B, C, P)`."""
        return self._where(self.valid, array)

    def _where(self, pixels: Array | None, array: Array) -> Array:
        if pixels is None:
            return array
        pixels = pixels if array.ndim == 2 else pixels[:, None, :]
        return self.xp.where(pixels, array, self.xp.zeros((), dtype=array.dtype, device=self.device))

    def weighted(self, array: Array) -> Array:
        """The array times the weight of each pixel; `(B, P)` or `(B, C, P)`."""
        if self.weight is None:
            return array
        return array * (self.weight if array.ndim == 2 else self.weight[:, None, :])

    @once
    def amount(self) -> Array:
        """The weights of the pixels of each image together, `(B,)`."""
        return self.valid_amount if self.batch.pixel_weights is None else self.sum(self.weight, axis=1)

    @once
    def valid_amount(self) -> Array:
        """How many pixels of each image are valid, `(B,)`."""
        dtype = self.batch.sum_dtype
        if self.valid is None:
            return self.xp.full((self.images,), float(self.pixels), dtype=dtype, device=self.device)
        return self.xp.sum(self.xp.astype(self.valid, dtype), axis=1)

    def sum(self, array: Array, axis: int | tuple[int, ...]) -> Array:
        """A sum over pixels, accumulated in the widest dtype the device has."""
        if axis == array.ndim - 1:
            return self.backend.blocks.sum_pixels(array)
        return self.xp.sum(array, axis=axis, dtype=self.batch.sum_dtype)

    def sum_products(self, one: Array, two: Array) -> Array:
        """The sums over pixels of products of arrays `(B, C, P)`, accumulated in the widest dtype the device has."""
        return self.backend.blocks.sum_products(one, two)

    def cast(self, array: Array) -> Array:
        """An array of the dtype of sums in the compute dtype."""
        return self.xp.astype(array, self.dtype, copy=False)

    def _sum_of_classes(self, array: Array) -> Array:
        """`sum_classes`, in the closed form as a product of matrices, which takes half the time on NumPy."""
        if self.backend.has_autodiff:
            return self.sum_classes(array)
        ones = self.xp.ones((1, 1, self.classes), dtype=self.dtype, device=self.device)
        return self.xp.matmul(ones, array)[:, 0, :]

    def sum_classes(self, array: Array) -> Array:
        """The sum over the classes, `(B, P)`."""
        if self.classes == 1:
            return array[:, 0, :]
        return self.over_classes(partial(self.xp.sum, keepdims=True), array)[:, 0, :]

    def over_classes(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """A function of arrays `(B, C or 1, P)` and the axis of their classes, of the same number of axes."""
        return self.backend.blocks.over_classes(function, *arrays, last=self.batch.classes_last)

    # The target.

    @once
    def ids(self) -> Array:
        """Class ids `(B, P)`, 0 where a pixel is not valid."""
        target = self.batch.target
        return self.where_valid(self.xp.astype(target, self.backend.count_dtype(target), copy=False))

    @once
    def one_hot(self) -> Array:
        """Whether each class is a pixel's id, boolean `(B, C, P)`; false where a pixel is not valid."""
        xp = self.xp
        narrow = xp.uint8 if self.classes <= 255 else xp.int32  # a byte a comparison where that is enough
        classes = xp.arange(self.classes, dtype=narrow, device=self.device)
        hot = xp.astype(self.ids, narrow)[:, None, :] == classes[None, :, None]
        return hot if self.valid is None else hot & self.valid[:, None, :]

    @once
    def target(self) -> Array:
        """The target as values `(B, C, P)` in the compute dtype, 0 where a pixel is not valid."""
        if self.batch.has_ids:
            return self.xp.astype(self.one_hot, self.dtype)
        return self.where_valid(self.backend.blocks.as_block(self.batch.target, self.dtype))

    @once
    def outside(self) -> Array:
        """1 less the target, `(B, C, P)`, 0 where a pixel is not valid."""
        return self.where_valid(1 - self.target)

    @property
    def goes_by_id(self) -> bool:
        """Whether the probabilities of ids are best found by these: of a softmax, where gathers are fast."""
        return self.batch.has_ids and self.backend.blocks.gathers_ids and self.batch.activation == "softmax"

    @once
    def signs(self) -> Array:
        """-1 where a hard target is and 1 where it is not, `(B, C, P)` in the compute dtype."""
        target = self.one_hot if self.batch.has_ids else self.where_valid(self.batch.target)
        signs = 1 - 2 * self.xp.astype(target, self.xp.int8)
        return self.xp.astype(signs, self.dtype)

    def places(self, image_step: int, class_step: int) -> Array:
        """The place of each pixel's id in a flat `(B, C, P)` with such steps between images and classes, `(B P,)`."""
        xp, steps = self.xp, (image_step, class_step)
        if steps not in self._places:
            places = self._with_images(self.ids * class_step, image_step)
            places += xp.arange(self.pixels, dtype=self.ids.dtype, device=self.device)
            self._places[steps] = xp.reshape(places, (-1,))
        return self._places[steps]

    @once
    def _places(self) -> dict[tuple[int, int], Array]:
        return {}

    def _with_images(self, index: Array, stride: int) -> Array:
        """An index `(B, P)` into each image, as one into all of them."""
        if self.images == 1:
            return index
        return index + (self.xp.arange(self.images, dtype=index.dtype, device=self.device) * stride)[:, None]

    def at_id(self, array: Array) -> Array:
        """The entry of each pixel's id: `(B, C, P)` to `(B, P)`, or `(C,)` and `(B, C)` spread over the pixels."""
        xp, ids = self.xp, self.ids
        if array.ndim == 3 and not self.backend.blocks.gathers_ids:
            return self.over_classes(xp.take_along_axis, array, ids[:, None, :])[:, 0, :]
        if array.ndim == 2 and not self.backend.blocks.gathers_ids:
            return xp.take_along_axis(array, ids, axis=1)
        if array.ndim == 3:
            array, *steps = self.backend.blocks.flat(array)
            index = self.places(*steps)
        else:
            index = xp.reshape(ids if array.ndim == 1 else self._with_images(ids, self.classes), (-1,))
        return xp.reshape(xp.take(xp.reshape(array, (-1,)), index), ids.shape)

    def split_by_id(self, array: Array, *, copy: bool) -> tuple[Array, Array]:
        """The entry of each pixel's id of a finite `(B, C, P)`, `(B, P)`, and that array, or a copy, with 0 there."""
        others = self.xp.asarray(array, copy=True) if copy else array
        if self.classes <= FEW_CLASSES:
            of_ids = others * self.target
            others -= of_ids
            return self._sum_of_classes(of_ids), others
        entries = self.at_id(others)
        flat, *steps = self.backend.blocks.flat(others)
        flat[self.places(*steps)] = 0.0
        return entries, others

    def join_by_id(self, entries: Array, others: Array) -> Array:
        """Put back together what `split_by_id` took apart, in the memory of the others."""
        if self.classes <= FEW_CLASSES:
            others += self.target * entries[:, None, :]
            return others
        flat, *steps = self.backend.blocks.flat(others)
        flat[self.places(*steps)] = self.xp.reshape(entries, (-1,))
        return others

    def sum_by_id(self, values: Array | None) -> Array:
        """The sums of values `(B, P)`, or the numbers of pixels, by id, `(B, C)`; values of invalid pixels are 0."""
        if self.classes <= FEW_CLASSES:
            hot = self.target
            return self.sum(hot, axis=2) if values is None else self.sum_products(hot, values[:, None, :])
        index = self._with_images(self.ids, self.classes)
        dtype = self.batch.sum_dtype
        weights = None if values is None else self.xp.astype(values, dtype)
        sums = self.backend.counts.bincount(index, length=self.images * self.classes, weights=weights)
        return self.xp.reshape(self.xp.astype(sums, dtype, copy=False), (self.images, self.classes))

    # The activation. Scores of pixels that are not selected are replaced by 0 first, so that not even NaN gets through.

    @once
    def logits(self) -> Array:
        """The scores in the compute dtype, `(B, C, P)`."""
        return self._where(self.selected, self.backend.blocks.as_block(self.batch.logits, self.dtype))

    @once
    def shifted(self) -> Array:
        """The scores less the greatest of the pixel, `(B, C, P)`: their exponentials cannot overflow."""
        if not self._is_shifted:
            self._is_shifted = True
            # Of the scores as they are.
            for name in ("exponentials", "others", "exponential_at_id", "sum_of_others", "total"):
                if name in self.__dict__:
                    delattr(self, name)
        return self.over_classes(self.backend.functions.subtract_max, self.logits)

    @once
    def exponentials(self) -> Array:
        """The exponentials of the scores, `(B, C, P)`; of the shifted ones, if these are asked for or are needed."""
        if "others" in self.__dict__:
            return self.join_by_id(self.exponential_at_id, self._released("others"))
        if self.backend.has_autodiff:
            return self.over_classes(lambda shifted, axis: self.xp.exp(shifted), self.shifted)
        if not self._is_shifted:
            found = self.backend.functions.moderate_exp(self.logits)
            if found is not None:
                exponentials, self.total = found
                return exponentials
        return self.backend.functions.exp_in_place(self._released("shifted"))

    @once
    def total(self) -> Array:
        """The sum of the exponentials, `(B, 1, P)`."""
        if "sum_of_others" in self.__dict__:
            return (self.sum_of_others + self.exponential_at_id)[:, None, :]
        if "rest" in self.__dict__:
            return self.rest + 1
        return self._sum_of_classes(self.exponentials)[:, None, :]

    @once
    def rest(self) -> Array:
        """`total` of the shifted scores less 1, the exponential of the greatest, `(B, 1, P)`: nothing cancels."""
        negative = self.xp.floor(self.exponentials)  # 1 where a score is the greatest, else 0
        equals = self._sum_of_classes(negative)
        negative -= self.exponentials
        return (equals - 1 - self._sum_of_classes(negative))[:, None, :]

    @once
    def log_total(self) -> Array:
        """The logarithm of the `total` of the shifted scores, `(B, 1, P)`, with its digits where that is nearly 1."""
        if self.backend.has_autodiff:
            return self.over_classes(partial(log_sum_exp, self.xp), self.shifted)
        return self.xp.log1p(self.rest)

    @once
    def others(self) -> Array:
        """The exponentials with 0 at each pixel's id, `(B, C, P)`, in their memory; only where ids are gathered."""
        self.exponential_at_id, others = self.split_by_id(self._released("exponentials"), copy=False)
        return others

    @once
    def shifted_at_id(self) -> Array:
        """The shifted score of each pixel's id, `(B, P)`; `others` comes with it, without an exponential of the id."""
        flat, *steps = self.backend.blocks.flat(self.shifted)
        places = self.places(*steps)
        at_id = self.xp.reshape(self.xp.take(flat, places), self.ids.shape)
        flat[places] = -inf
        self.exponential_at_id = self.xp.exp(at_id)
        self.others = self.backend.functions.exp_in_place(self._released("shifted"))
        return at_id

    @once
    def exponential_at_id(self) -> Array:
        """The exponential of each pixel's id, `(B, P)`, which `others` finds."""
        return self.at_id(self.exponentials)

    @once
    def sum_of_others(self) -> Array:
        """The sum of the exponentials of all classes but each pixel's id, `(B, P)`."""
        return self._sum_of_classes(self.others)

    @once
    def probabilities(self) -> Array:
        """The probability of each class, `(B, C, P)`."""
        if self.batch.activation is None:
            return self.logits
        if self.batch.activation == "sigmoid":
            both = self.has_gradient or self.backend.has_autodiff or "_sigmoids" in self.__dict__
            return self._sigmoids[0] if both else self.backend.functions.sigmoid(self.logits)
        if self.backend.functions.has_softmax:
            return self.over_classes(self.backend.functions.softmax, self.logits)
        if self.backend.has_autodiff:
            return self.over_classes(lambda array, total, axis: array / total, self.exponentials, self.total)
        inverse = 1 / self.total  # before the exponentials are given away, or they would be made twice
        return self.product(self._released("exponentials"), inverse)

    @once
    def complements(self) -> Array:
        """1 less each probability, `(B, C, P)`, which has as many digits where the probability is nearly 1."""
        if self.batch.activation == "sigmoid":
            return self._sigmoids[1]
        probabilities = self.probabilities
        if self.batch.activation is None:
            return 1 - probabilities
        # By products: choosing by a mask without a pattern takes NumPy thirty times as long.
        rest, large = 1 - probabilities, self.xp.astype(probabilities > 0.5, self.dtype)
        others = self.sum_classes(probabilities - probabilities * large)[:, None, :]
        return rest + large * (others - rest)

    @once
    def errors(self) -> Array:
        """The probabilities less the target, `(B, C, P)`: p (1 - t) - (1 - p) t, one of which is 0 of a hard target."""
        missed = self.complements * self.target
        return self.probabilities * self.outside - missed

    @once
    def _sigmoids(self) -> tuple[Array, Array]:
        """The sigmoids of the scores and of their negatives.

        The second may wait where the slopes will be written: whoever needs it asks for it before them.
        """
        return self.backend.functions.sigmoids(self.logits, self.room)

    @once
    def slopes(self) -> Array:
        """The derivatives of the sigmoids of the scores, `(B, C, P)`."""
        probabilities, complements = self._sigmoids
        if self.room is not None:
            return self.backend.blocks.multiply_into(probabilities, complements, self.room)
        return probabilities * complements

    @property
    def kept(self) -> Array:
        """What the first sweep keeps for the second, `(B, C, P)`: the slopes of a sigmoid, or the probabilities."""
        return self.slopes if self.batch.activation == "sigmoid" else self.probabilities

    @kept.setter
    def kept(self, array: Array) -> None:
        if self.batch.activation == "sigmoid":
            self.slopes = array
        else:
            self.probabilities = array

    def probabilities_by_id(self, *, squared: bool = False) -> tuple[Array, Array, Array]:
        """The probability of each pixel's id and 1 less it, `(B, P)`, and the sums of the other classes', `(B, C)`.

        1 less it is the sum of the others, in which nothing cancels. The sums may be of squares.
        """
        if not squared and "probabilities" not in self.__dict__:
            return self._exponentials_by_id
        hit, others = self.split_by_id(self.probabilities, copy=True)
        weighted = self.weighted(others)
        alarm = self.sum_products(weighted, others) if squared else self.sum(weighted, axis=2)
        return hit, self._sum_of_classes(others), alarm

    @once
    def _exponentials_by_id(self) -> tuple[Array, Array, Array]:
        """`probabilities_by_id` by the exponentials.

        These are in cache: in the gradient, where the probabilities will wait, ids take three times as long to reach.
        The total is made of the two parts.
        """
        others, missed = self.others, self.sum_of_others
        inverse = 1 / self.total[:, 0, :]
        alarm = self.sum_products(others, self.weighted(inverse)[:, None, :])
        return self.exponential_at_id * inverse, missed * inverse, alarm

    def cross_entropy(self, shares: Array) -> Array:
        """sum_c t_c (log sum_k e^z_k - z_c) of shares t, without a logarithm of each class, `(B, P)`."""
        xp = self.xp
        if self.backend.functions.has_softmax and not self.batch.has_ids:  # no loss of smoothed ids is small
            return -self.sum_classes(shares * self.backend.functions.finite_where_zero(self.log_softmax, shares))
        if self.backend.has_autodiff:  # one expression, of which compilers make one loop

            def cross_entropy(shares: Array, shifted: Array, logarithm: Array, *, axis: int) -> Array:
                return xp.sum(shares * (logarithm - shifted), axis=axis, keepdims=True)

            shifted = self.backend.functions.finite_where_zero(self.shifted, shares)
            logarithm = xp.log(self.total) if self.batch.has_ids else self.log_total
            return self.over_classes(cross_entropy, shares, shifted, logarithm)[:, 0, :]
        shifted = self.backend.functions.finite_where_zero(self.shifted, shares)
        of_scores = self.sum_classes(shares * shifted)  # before the exponentials are written over them
        logarithm = xp.log(self.total) if self.batch.has_ids else self.log_total
        return self.sum_classes(shares) * logarithm[:, 0, :] - of_scores

    @once
    def log_softmax(self) -> Array:
        """The logarithm of each class's probability, `(B, C, P)`."""
        if self.backend.functions.has_softmax:
            return self.over_classes(self.backend.functions.log_softmax, self.logits)
        xp, shifted = self.xp, self.shifted
        if not self.backend.has_autodiff:
            self.exponentials = xp.exp(shifted)  # not in the memory of what is needed yet
        return self.over_classes(lambda a, log_total, axis: a - log_total, shifted, self.log_total)

    @once
    def finite_log_softmax(self) -> Array:
        """The same, but finite for classes that cannot be, whose score is -inf."""
        return self.backend.functions.finite_where_zero(self.log_softmax, self.probabilities)

    @once
    def log_softmax_at_id(self) -> Array:
        """The logarithm of the probability of each pixel's id, `(B, P)`."""
        xp = self.xp
        if self.backend.blocks.gathers_ids:
            at_id = self.shifted_at_id
            return at_id - xp.log1p(self.sum_of_others + (self.exponential_at_id - 1))
        # By the ratio of the others to the id, whose derivative is not 1 - p, unless that may overflow.
        shifted = self.over_classes(self._less_constant, self.logits)
        at_id = self.at_id(shifted)
        others = self.over_classes(self._sum_without_ids, shifted, self.ids[:, None, :])[:, 0, :]
        far, zero = at_id < -1, xp.zeros_like(at_id)
        ratio = others / xp.exp(xp.where(far, zero, at_id))
        total = xp.where(far, others + xp.exp(at_id), zero + 1)
        return xp.where(far, at_id - xp.log(total), -xp.log1p(ratio))

    def _less_constant(self, scores: Array, *, axis: int) -> Array:
        return scores - self.backend.stop_gradient(self.xp.max(scores, axis=axis, keepdims=True))

    def _sum_without_ids(self, shifted: Array, ids: Array, *, axis: int) -> Array:
        xp = self.xp
        classes = xp.arange(self.classes, dtype=xp.int32, device=self.device)
        is_id = xp.astype(ids, xp.int32) == (classes[None, :, None] if axis == 1 else classes)
        return xp.sum(xp.where(is_id, xp.zeros_like(shifted), xp.exp(shifted)), axis=axis, keepdims=True)

    def _released(self, name: str) -> Array:
        """An array of this block for the caller to overwrite; asked for again, it is made again."""
        array = getattr(self, name)
        delattr(self, name)
        return array

    def product(self, array: Array, factor: Array) -> Array:
        """The last product of a sweep: the array, which is overwritten unless there is room, times a factor."""
        if self.room is not None:
            return self.backend.blocks.multiply_into(array, factor, self.room)
        array *= factor
        return array

    @once
    def log_sigmoids(self) -> tuple[Array, Array]:
        """log s(z) and log s(-z), each `(B, C, P)`; their derivatives are s(-z) and s(z)."""
        return self.backend.functions.log_sigmoids(self.logits)

    def pull_back(self, gradient: Array, *, cancels: bool = True) -> Array:
        """From a gradient in the probabilities, which is overwritten, to one in the scores, `(B, C, P)`.

        The mean gradient of a confident pixel is nearly that of one class, and what is left of the class is rounding,
        unless the mean is taken off again. `cancels` says that this may be so.
        """
        if self.batch.activation is None:
            return self.where_valid(gradient)
        if self.batch.activation == "sigmoid":
            return self.product(gradient, self.slopes)
        for _ in range(2 if cancels else 1):
            gradient -= self.backend.blocks.sum_class_products(gradient, self.probabilities)
        return self.product(gradient, self.probabilities)

    def pull_back_by_id(self, by_id: Array, by_others: Array, *, errors: bool = False) -> Array:
        """`pull_back` of the gradient `by_id` at the id of each pixel and `by_others` elsewhere, both `(B, C, 1)`.

        With `errors` they are multiplied with the errors, -(1 - p) at the id and p elsewhere.
        """
        xp, at_id = self.xp, self.at_id(by_id[:, :, 0])
        # The others are added without the id, whose own gradient is made of them: nothing cancels where it is nearly 1.
        probability, others = self.split_by_id(self.probabilities, copy=not self.is_last_use)
        if errors:
            steps = by_others * others
            missed = self._sum_of_classes(others)
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
        pulled = self.product(gradient, others)
        return self.join_by_id(of_id, pulled)

    def pull_back_log(self, steps: Array, *, cancels: bool = True) -> Array:
        """From a gradient in the log-probabilities, `(B, C, P)`, overwritten, to one in the scores.

        It adds to nothing over the classes. What rounding leaves is taken off again, as in `pull_back`.
        """
        kept = "probabilities" in self.__dict__
        shares, factor = (self.probabilities, 1.0) if kept else (self.exponentials, 1 / self.total)
        for _ in range(2 if cancels else 1):
            steps -= shares * (self._sum_of_classes(steps)[:, None, :] * factor)
        return steps

    def pull_back_log_at_id(self, slope: Array) -> Array:
        """From a gradient in the log-probabilities of the ids, `(B, P)` or `()`, to slope (t - p) in the scores.

        At the id it is what the others leave: nothing cancels where its probability is nearly 1.
        """
        per_class = slope[:, None, :] if slope.ndim else slope
        if self.backend.blocks.gathers_ids and "probabilities" not in self.__dict__:
            rest, factor = self.sum_of_others, -per_class / self.total
            return self.product(self.join_by_id(-rest, self._released("others")), factor)
        pulled = self.probabilities * -per_class
        if self.backend.blocks.gathers_ids:
            _, others = self.split_by_id(pulled, copy=False)
            return self.join_by_id(-self._sum_of_classes(others), others)
        others = pulled - pulled * self.target
        return others - self.target * self._sum_of_classes(others)[:, None, :]
