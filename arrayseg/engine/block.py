"""A part of a batch as the terms of a loss see it: the pixels that count, their weights and targets, and sums.

Terms see logits `(B, C, P)`: B images, C classes, P pixels. The caller's arrays may be channels-last or in half
precision, and the block may be the whole batch or a part that fits the cache; the terms need not know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Self, TypeVar

from arrayseg._typing import Array
from arrayseg.backends.labels import equals
from arrayseg.engine.batch import Batch
from arrayseg.engine.workspace import Workspace

__all__ = ["Block", "once"]

Made = TypeVar("Made")

#: Up to this number of classes, products with one-hot values take less time than gathers and histograms.
FEW_CLASSES = 8


class once(Generic[Made]):
    """A property that is computed when it is first read.

    functools.cached_property holds a lock on Python 3.11, which compilers refuse.
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, instance: Any, owner: type) -> Made:
        made = self.make(instance)
        setattr(instance, self.make.__name__, made)  # found before this descriptor from now on
        return made


class Block(ABC):
    """A part of a batch in the compute dtype.

    The subclasses in `activations` turn the logits into probabilities, and gradients in these back into gradients in
    the logits. A block computes each array once, unless its memory is used for another one.
    """

    def __init__(self, batch: Batch, image_slice: slice, pixel_slice: slice) -> None:
        self.batch = batch
        self.image_slice = image_slice
        self.pixel_slice = pixel_slice
        self.backend = batch.backend
        self.xp = batch.xp
        self.dtype = batch.compute_dtype
        self.device = batch.device
        self.images, self.classes, self.pixels = batch.shape
        #: Sum the products of two arrays `(B, C, P)` over pixels, in the widest dtype the device has.
        self.sum_products = batch.backend.blocks.sum_products
        #: What may be overwritten, in the sweep that passes over the block.
        self.workspace = Workspace(batch.backend)

    def changed(self, **changes: Any) -> Self:
        """Return a block of the same images and pixels with other fields of its batch."""
        return type(self)(replace(self.batch, **changes), self.image_slice, self.pixel_slice)

    # The activation.

    @property
    @abstractmethod
    def probabilities(self) -> Array:
        """The probability of each class, `(B, C, P)`."""

    @property
    @abstractmethod
    def complements(self) -> Array:
        """1 minus each probability, `(B, C, P)`, to as many digits where the probability is nearly 1."""

    @once
    def errors(self) -> Array:
        """The probabilities minus the target, `(B, C, P)`.

        They are p (1 - t) - (1 - p) t. One product is 0 if the target is hard, so that nothing cancels.
        """
        missed = self.complements * self.target
        return self.probabilities * self.outside - missed

    @abstractmethod
    def pull_back(self, gradient: Array, *, cancels: bool = True) -> Array:
        """Return the gradient in the logits, `(B, C, P)`, given the gradient in the probabilities.

        The given gradient is overwritten. `cancels` is false if its sum over the classes loses no digits.
        """

    @property
    def kept(self) -> Array:
        """The array, `(B, C, P)`, from which a later sweep can pull back without the logits."""
        return self.probabilities

    @abstractmethod
    def restore(self, kept: Array) -> None:
        """Take the array that an earlier sweep `kept`."""

    # Logarithms of the probabilities of exclusive classes.

    @property
    def log_probabilities(self) -> Array:
        """The logarithm of each probability, `(B, C, P)`."""
        raise NotImplementedError

    @property
    def log_probability_at_id(self) -> Array:
        """The logarithm of the probability of each pixel's id, `(B, P)`."""
        raise NotImplementedError

    @once
    def finite_log_probabilities(self) -> Array:
        """The logarithm of each probability, `(B, C, P)`, finite where the probability is 0."""
        return self.backend.functions.finite_where_zero(self.log_probabilities, self.probabilities)

    def pull_back_log(self, steps: Array, *, cancels: bool = True) -> Array:
        """Return the gradient in the logits, given the gradient in `log_probabilities`, which is overwritten."""
        raise NotImplementedError

    def pull_back_log_at_id(self, slope: Array) -> Array:
        """Return the gradient in the logits, given the gradient in `log_probability_at_id`, `(B, P)` or `()`."""
        raise NotImplementedError

    # Logarithms of the probabilities of independent classes.

    @property
    def log_of_sides(self) -> tuple[Array, Array]:
        """The logarithms of each probability and of its complement, each `(B, C, P)`."""
        raise NotImplementedError

    @property
    def slopes_of_sides(self) -> tuple[Array, Array]:
        """The derivative in the logit of the first of `log_of_sides`, and minus the derivative of the second."""
        raise NotImplementedError

    @property
    def log_of_side(self) -> Array:
        """The logarithm of the probability of the side that a hard target is on, `(B, C, P)`."""
        raise NotImplementedError

    def loss_of_side(self) -> tuple[Array, Array]:
        """Return minus `log_of_side`, and the magnitude of its derivative in the logit."""
        raise NotImplementedError

    # The pixels that count.

    @once
    def logits(self) -> Array:
        """The logits in the compute dtype, `(B, C, P)`, with 0 instead of those that are not selected, even NaN."""
        logits = self.backend.blocks.as_block(self.batch.logits, self.dtype)
        return logits if self.selected is None else self._where(self.selected, logits)

    @once
    def selected(self) -> Array | None:
        """The pixels that are neither masked nor ignored, `(B, P)`; None if all are."""
        batch = self.batch
        if batch.ignore_index is None:
            return batch.mask
        labels = batch.target if batch.has_ids else batch.target[:, 0, :]
        not_ignored = ~equals(self.backend, labels, batch.ignore_index)
        return not_ignored if batch.mask is None else batch.mask & not_ignored

    @once
    def valid(self) -> Array | None:
        """The selected pixels whose id is a class, `(B, P)`; None if all are.

        Under a compiler, which cannot raise on values, the others do not count. Eager arrays were checked on entry.
        """
        target = self.batch.target
        if not self.batch.has_ids or self.backend.is_concrete(target):
            return self.selected
        ids = self.xp.astype(target, self.backend.count_dtype(target), copy=False)  # torch orders no uint16
        known = (ids >= 0) & (ids < self.classes)
        return known if self.selected is None else self.selected & known

    @once
    def weight(self) -> Array | None:
        """The weight of each pixel, `(B, P)`, 0 where it is not valid; None if all are 1."""
        if self.batch.pixel_weights is None:
            return None if self.valid is None else self.xp.astype(self.valid, self.dtype)
        weights = self.xp.astype(self.batch.pixel_weights, self.dtype, copy=False)
        return weights if self.valid is None else self.where_valid(weights)

    def where_valid(self, array: Array) -> Array:
        """Return an array `(B, P)` or `(B, C, P)` with 0 where a pixel is not valid."""
        return array if self.valid is None else self._where(self.valid, array)

    def _where(self, pixels: Array, array: Array) -> Array:
        pixels = pixels if array.ndim == 2 else pixels[:, None, :]
        return self.xp.where(pixels, array, self.xp.zeros((), dtype=array.dtype, device=self.device))

    def weighted(self, array: Array) -> Array:
        """Return an array `(B, P)` or `(B, C, P)` times the weight of each pixel."""
        if self.weight is None:
            return array
        return array * (self.weight if array.ndim == 2 else self.weight[:, None, :])

    @once
    def amount(self) -> Array:
        """The sum of the weights of each image's pixels, `(B,)`."""
        return self.valid_amount if self.batch.pixel_weights is None else self.sum(self.weight, axis=1)

    @once
    def valid_amount(self) -> Array:
        """The number of valid pixels of each image, `(B,)`."""
        dtype = self.batch.sum_dtype
        if self.valid is None:
            return self.xp.full((self.images,), float(self.pixels), dtype=dtype, device=self.device)
        return self.xp.sum(self.xp.astype(self.valid, dtype), axis=1)

    # Sums.

    def sum(self, array: Array, axis: int | tuple[int, ...]) -> Array:
        """Sum over pixels, in the widest dtype the device has."""
        if axis == array.ndim - 1:
            return self.backend.blocks.sum_pixels(array)
        return self.xp.sum(array, axis=axis, dtype=self.batch.sum_dtype)

    def cast(self, array: Array) -> Array:
        """Return an array in the compute dtype, given it in the dtype of sums."""
        return self.xp.astype(array, self.dtype, copy=False)

    def sum_classes(self, array: Array) -> Array:
        """Sum over the classes, `(B, P)`."""
        if self.classes == 1:
            return array[:, 0, :]
        if self.backend.has_autodiff:
            return self.over_classes(partial(self.xp.sum, keepdims=True), array)[:, 0, :]
        return self.xp.matmul(self._ones, array)[:, 0, :]  # in half the time of a sum on NumPy

    @once
    def _ones(self) -> Array:
        return self.xp.ones((1, 1, self.classes), dtype=self.dtype, device=self.device)

    def over_classes(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """Call a function of arrays `(B, C or 1, P)` and the axis of their classes."""
        return self.backend.blocks.over_classes(function, *arrays, last=self.batch.classes_last)

    # The target.

    @once
    def ids(self) -> Array:
        """The class ids `(B, P)`, 0 where a pixel is not valid."""
        target = self.batch.target
        return self.where_valid(self.xp.astype(target, self.backend.count_dtype(target), copy=False))

    @once
    def one_hot(self) -> Array:
        """Whether each class is a pixel's id, boolean `(B, C, P)`; false where a pixel is not valid."""
        xp = self.xp
        narrow = xp.uint8 if self.classes <= 255 else xp.int32  # a byte a comparison where that is enough
        classes = xp.arange(self.classes, dtype=narrow, device=self.device)
        one_hot = xp.astype(self.ids, narrow)[:, None, :] == classes[None, :, None]
        return one_hot if self.valid is None else one_hot & self.valid[:, None, :]

    @once
    def target(self) -> Array:
        """The target as values `(B, C, P)` in the compute dtype, 0 where a pixel is not valid."""
        if self.batch.has_ids:
            return self.xp.astype(self.one_hot, self.dtype)
        return self.where_valid(self.backend.blocks.as_block(self.batch.target, self.dtype))

    @once
    def outside(self) -> Array:
        """1 minus the target, `(B, C, P)`, 0 where a pixel is not valid."""
        return self.where_valid(1 - self.target)

    @once
    def signs(self) -> Array:
        """-1 where a hard target is and 1 where it is not, `(B, C, P)` in the compute dtype."""
        target = self.one_hot if self.batch.has_ids else self.where_valid(self.batch.target)
        signs = 1 - 2 * self.xp.astype(target, self.xp.int8)
        return self.xp.astype(signs, self.dtype)

    # Entries at the ids.

    def at_id(self, array: Array) -> Array:
        """Return the entry of each pixel's id, `(B, P)`, of an array `(B, C, P)`, `(B, C)` or `(C,)`."""
        xp, ids = self.xp, self.ids
        if array.ndim == 3 and not self.backend.blocks.gathers_ids:
            return self.over_classes(xp.take_along_axis, array, ids[:, None, :])[:, 0, :]
        if array.ndim == 2 and not self.backend.blocks.gathers_ids:
            return xp.take_along_axis(array, ids, axis=1)
        if array.ndim == 3:
            flat, index = self.flat_at_id(array)
        else:
            flat = xp.reshape(array, (-1,))
            index = xp.reshape(ids if array.ndim == 1 else self._with_images(ids, self.classes), (-1,))
        return xp.reshape(xp.take(flat, index), ids.shape)

    def flat_at_id(self, array: Array) -> tuple[Array, Array]:
        """Return a view of an array `(B, C, P)` with one axis, and the index in it of each pixel's id, `(B P,)`."""
        xp = self.xp
        flat, *steps = self.backend.blocks.flat(array)
        index = self._flat_indices.get(tuple(steps))
        if index is None:
            image_step, class_step = steps
            index = self._with_images(self.ids * class_step, image_step)
            index += xp.arange(self.pixels, dtype=self.ids.dtype, device=self.device)
            index = self._flat_indices[image_step, class_step] = xp.reshape(index, (-1,))
        return flat, index

    @once
    def _flat_indices(self) -> dict[tuple[int, ...], Array]:
        """The indices of `flat_at_id`, by the steps between images and between classes."""
        return {}

    def _with_images(self, index: Array, step: int) -> Array:
        """Return an index `(B, P)` into all images, given one into each image."""
        if self.images == 1:
            return index
        return index + (self.xp.arange(self.images, dtype=index.dtype, device=self.device) * step)[:, None]

    def split_by_id(self, array: Array, *, copy: bool) -> tuple[Array, Array]:
        """Return the entry of each pixel's id, `(B, P)`, and the finite array `(B, C, P)`, or a copy, with 0 there."""
        others = self.xp.asarray(array, copy=True) if copy else array
        if self.classes <= FEW_CLASSES:
            of_ids = others * self.target
            others -= of_ids
            return self.sum_classes(of_ids), others
        entries = self.at_id(others)
        flat, index = self.flat_at_id(others)
        flat[index] = 0.0
        return entries, others

    def join_by_id(self, entries: Array, others: Array) -> Array:
        """Put the entries of the ids back where `split_by_id` left 0, in the memory of the others."""
        if self.classes <= FEW_CLASSES:
            others += self.target * entries[:, None, :]
            return others
        flat, index = self.flat_at_id(others)
        flat[index] = self.xp.reshape(entries, (-1,))
        return others

    def sum_by_id(self, values: Array | None) -> Array:
        """Sum values `(B, P)`, 0 where a pixel is not valid, by id, `(B, C)`; with None, count pixels."""
        if self.classes <= FEW_CLASSES:
            one_hot = self.target
            return self.sum(one_hot, axis=2) if values is None else self.sum_products(one_hot, values[:, None, :])
        index = self._with_images(self.ids, self.classes)
        dtype = self.batch.sum_dtype
        weights = None if values is None else self.xp.astype(values, dtype)
        sums = self.backend.counts.bincount(index, length=self.images * self.classes, weights=weights)
        return self.xp.reshape(self.xp.astype(sums, dtype, copy=False), (self.images, self.classes))
