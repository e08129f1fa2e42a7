"""Ranking losses: the Lovasz extension of the Jaccard loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Unpack

from arrayseg._checks import check_choice
from arrayseg._typing import Activation, Array, DType, Namespace, Reduction
from arrayseg.backends import Backend
from arrayseg.engine.activations import whole_block
from arrayseg.engine.block import Block
from arrayseg.engine.plan import BatchPlan, Plan
from arrayseg.engine.sweep import BatchBlocks
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import entering_classes, prepare
from arrayseg.losses._options import LovaszKeywords, LovaszOptions

__all__ = ["Lovasz", "jaccard_steps", "lovasz_hinge", "lovasz_softmax"]


class Groups(NamedTuple):
    """What was found of each set of pixels that is ranked, `(N, C)`, or `(1, C)` for a pooled batch."""

    loss: Array
    target: Array
    """How many pixels of the target."""
    pixels: Array
    """How many valid pixels."""


@dataclass(frozen=True)
class Lovasz(BatchPlan):
    """A Lovasz loss of whole arrays: errors by blocks, ranks by classes, a pull-back by blocks."""

    hinge: bool
    """Whether the errors are hinge losses of the scores, or distances of probabilities from the target."""
    pool: Literal["image", "batch"]
    classes: Sequence[int] | None = None
    """The classes that enter; None for all."""
    present: bool = False
    """Whether only classes with target pixels enter."""
    reduction: Reduction = "mean"

    @property
    def is_scalar(self) -> bool:
        return self.reduction != "none"

    def plain(self) -> Array:
        xp, backend, block = self.batch.xp, self.batch.backend, whole_block(self.batch)
        images, classes, _ = self.batch.shape
        everything = slice(0, images), slice(0, classes)
        errors = self._rows(self._errors(block))
        hot, valid = self._marks(block, *everything)
        order = backend.sorting.argsort_descending(backend.stop_gradient(errors))
        steps = jaccard_steps(hot, valid, order, errors.dtype, backend)
        losses = block.sum(xp.take_along_axis(errors, order, axis=1) * steps, axis=1)
        return self._reduced(self._groups([self._found(losses, hot, valid)]))

    def value(self) -> Array:
        errors = self._buffer(None)
        return self._reduced(self._groups(self._rank(errors, gradient=False)))

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        xp, batch = self.batch.xp, self.batch
        gradient, canonical = self.new_gradient(wide=wide)
        buffer = self._buffer(canonical)  # the errors, then the gradient in them
        groups = self._groups(self._rank(buffer, gradient=True))
        weight = xp.astype(self._weight(groups), buffer.dtype)
        weight = xp.broadcast_to(weight, batch.shape[:2])[:, :, None]

        def pull(block: Block) -> None:
            images, pixels = block.image_slice, block.pixel_slice
            steps = buffer[images, :, pixels] * weight[images, ...]
            pulled = block.where_valid(steps) if self.hinge else block.pull_back(steps)
            canonical[images, :, pixels] = xp.astype(pulled, canonical.dtype, copy=False)

        BatchBlocks(batch).map(pull)
        return self._reduced(groups), gradient

    def _buffer(self, gradient: Array | None) -> Array:
        """Return the errors of all pixels, `(N, C, S)`, in the memory of the gradient if they fit there."""
        xp, batch = self.batch.xp, self.batch
        errors = gradient
        if errors is None or errors.dtype != batch.compute_dtype:
            device = batch.backend.device(self.input)
            errors = xp.empty(batch.shape, dtype=batch.compute_dtype, device=device)

        def fill(block: Block) -> None:
            errors[block.image_slice, :, block.pixel_slice] = self._errors(block)

        BatchBlocks(batch).map(fill)
        return errors

    def _rank(self, buffer: Array, *, gradient: bool) -> list[tuple[Array, Array, Array]]:
        """What is found of each set; its errors are replaced by the gradient in the probabilities or scores."""
        xp, backend = self.batch.xp, self.batch.backend
        bare = whole_block(self.batch)

        def rank(part: tuple[slice, slice]) -> tuple[Array, Array, Array]:
            images, classes = part
            errors = self._rows(buffer[images, classes, :])
            hot, valid = self._marks(bare, images, classes)
            order = backend.sorting.argsort_descending(errors)
            steps = backend.sorting.place(jaccard_steps(hot, valid, order, errors.dtype, backend), order)
            losses = bare.sum(steps * errors, axis=1)
            if gradient:
                steps *= 1 - 2 * xp.astype(hot, errors.dtype)  # an error falls where the score of its class rises
                if self.hinge:
                    steps *= xp.where(errors > 0, xp.ones_like(errors), errors)  # 0 or NaN, as the error is
                shape = (classes.stop - classes.start, images.stop - images.start, self.batch.shape[2])
                buffer[images, classes, :] = xp.permute_dims(xp.reshape(steps, shape), (1, 0, 2))
            return self._found(losses, hot, valid)

        return backend.parallel_map(rank, self._sets())

    def _sets(self) -> list[tuple[slice, slice]]:
        """The (images, classes) that are ranked at a time: several small ones, or one that fills a block."""
        images, classes, count = self.batch.shape
        block_bytes = self.batch.backend.block_bytes(self.batch.logits)
        together = self.pool == "batch" or images == 0
        rows = [slice(0, images)] if together else [slice(row, row + 1) for row in range(images)]
        size = 16 * count * (images if self.pool == "batch" else 1)  # an order has 8 bytes, and so on
        at_once = classes if block_bytes is None or size == 0 else max(1, block_bytes // size)
        return [
            (row, slice(start, min(start + at_once, classes))) for row in rows for start in range(0, classes, at_once)
        ]

    def _errors(self, block: Block) -> Array:
        """How wrong each score is, at least 0, `(B, C, P)`; 0 where a pixel is not valid."""
        xp = block.xp
        hot = xp.astype(_hot(block), block.dtype)
        if self.hinge:
            margin = 1 - (2 * hot - 1) * block.logits
            # 1, 0 or NaN: a factor, so that NaN is in the derivative too
            fixed = block.backend.stop_gradient(margin)
            active = xp.where(fixed > 0, xp.ones_like(margin), xp.where(fixed <= 0, xp.zeros_like(margin), fixed))
            return block.where_valid(xp.where(active == 0, xp.zeros_like(margin), margin) * active)
        return block.where_valid(xp.where(_hot(block), block.complements, block.probabilities))

    def _marks(self, block: Block, images: slice, classes: slice) -> tuple[Array, Array | None]:
        """Which pixels are of the class and which are valid, boolean `(sets, pixels)`."""
        if block.batch.has_ids:
            ids = block.ids[images, None, :]
            numbers = block.xp.arange(classes.start, classes.stop, dtype=ids.dtype, device=block.device)
            hot = ids == numbers[None, :, None]
            hot = hot if block.valid is None else hot & block.valid[images, None, :]
        else:
            hot = _hot(block)[images, classes, :]
        rows = self._rows(hot)
        if block.valid is None:
            return rows, None
        valid = block.xp.broadcast_to(block.valid[images, None, :], hot.shape)
        return rows, self._rows(valid)

    def _rows(self, cube: Array) -> Array:
        """`(sets, pixels)` of `(B, C, P)`: each class of an image, or of all images."""
        xp, (images, classes, count) = self.batch.xp, cube.shape
        if self.pool == "image":
            return xp.reshape(cube, (images * classes, count))
        return xp.reshape(xp.permute_dims(cube, (1, 0, 2)), (classes, images * count))

    def _found(self, losses: Array, hot: Array, valid: Array | None) -> tuple[Array, Array, Array]:
        xp, dtype = self.batch.xp, losses.dtype
        target = xp.sum(xp.astype(hot, xp.int32), axis=1)
        pixels = xp.full_like(target, hot.shape[1]) if valid is None else xp.sum(xp.astype(valid, xp.int32), axis=1)
        return losses, xp.astype(target, dtype), xp.astype(pixels, dtype)

    def _groups(self, found: list[tuple[Array, Array, Array]]) -> Groups:
        shape = (1 if self.pool == "batch" else self.batch.shape[0], self.batch.shape[1])
        xp = self.batch.xp
        return Groups(*(xp.reshape(xp.concat(parts, axis=0), shape) for parts in zip(*found, strict=True)))

    def _weight(self, groups: Groups) -> Array:
        """What each loss counts in the result: in the mean every image as much, and in it every class."""
        xp, batch = self.batch.xp, self.batch
        total = batch.shape[1]
        entering = range(total) if self.classes is None else self.classes
        row = [1.0 if number in entering else 0.0 for number in range(total)]
        counted = batch.backend.asarray([row], dtype=groups.loss.dtype, like=groups.loss)
        counted = counted * xp.astype(groups.pixels > 0, groups.loss.dtype)
        if self.present:
            counted = counted * xp.astype(groups.target > 0, groups.loss.dtype)
        weight = counted
        if batch.class_weights is not None:
            weight = weight * xp.astype(batch.class_weights, weight.dtype, copy=False)[None, :]
        if self.reduction != "mean":
            return weight
        classes = xp.sum(counted, axis=1, keepdims=True)
        some = classes > 0
        rows = xp.sum(xp.astype(some, classes.dtype))
        return xp.where(some, weight / xp.where(some, classes * rows, xp.ones_like(classes)), xp.zeros_like(weight))

    def _reduced(self, groups: Groups) -> Array:
        xp = self.batch.xp
        losses = groups.loss * self._weight(groups)
        if self.reduction != "none":
            losses = xp.sum(losses)
        else:
            if self.classes is not None:
                losses = xp.stack([losses[:, number] for number in self.classes], axis=1)
            losses = losses[0, :] if self.pool == "batch" else losses
        return xp.astype(losses, self.batch.compute_dtype, copy=False)


def _hot(block: Block) -> Array:
    """Which classes are the target, boolean `(B, C, P)`."""
    return block.one_hot if block.batch.has_ids else block.target > 0.5


def jaccard_steps(hot: Array, valid: Array | None, order: Array, dtype: DType, backend: Backend) -> Array:
    """The steps of the Jaccard loss as pixels are counted wrong in an order, `(sets, pixels)`; 0 where not valid.

    After some of them, what is left of the T target pixels is the intersection, and T with the others the union. One of
    the target then takes a step of 1 / union, any other one of intersection / (union (union - 1)): no difference of
    two nearly equal losses.
    """
    xp = backend.xp
    ranked = xp.take_along_axis(hot, order, axis=1)
    total = xp.sum(xp.astype(hot, xp.int32), axis=1, keepdims=True, dtype=xp.int32)
    left = total - _cumulative_count(xp, ranked)
    if valid is None:
        counted = None
        every = xp.ones((1, ranked.shape[1]), dtype=xp.bool, device=backend.device(hot))
        seen = _cumulative_count(xp, every)
    else:
        counted = xp.take_along_axis(valid, order, axis=1)
        seen = _cumulative_count(xp, counted)
    union = xp.astype(left + seen, dtype)
    before = union - 1
    first = xp.astype(before <= 0, dtype)  # the first pixel, of a set without a target: from 0 to all wrong
    steps = (xp.astype(left, dtype) + first) / (before + first * (1 - before))
    is_hot = xp.astype(ranked, dtype)
    steps = is_hot + (1 - is_hot) * steps
    steps = steps / (union + xp.astype(union <= 0, dtype))
    return steps if counted is None else steps * xp.astype(counted, dtype)


def _cumulative_count(xp: Namespace, mask: Array) -> Array:
    """Count the True elements up to each place of the last axis, as int32."""
    return xp.cumulative_sum(xp.astype(mask, xp.int32), axis=-1, dtype=xp.int32)


Classes = Literal["present", "all"] | Sequence[int]
LovaszPool = Literal["image", "batch"]


def lovasz_plan(
    input: Array, target: Array, options: LovaszOptions, *, hinge: bool, classes: Classes, pool: LovaszPool
) -> Lovasz:
    """Return the plan of a Lovasz loss."""
    check_choice("pool", pool, LovaszPool)
    if isinstance(classes, str):
        check_choice("classes", classes, ("present", "all"))
    layout, batch = prepare(input, target, options)
    numbers = None if isinstance(classes, str) else classes
    return Lovasz(
        input,
        layout,
        batch.with_unknown_targets(),
        hinge,
        pool,
        classes=entering_classes(numbers, options.exclude_background, layout.classes),
        present=numbers is None and classes == "present",
        reduction=options.reduction,
    )


@loss(LovaszOptions, without=("pixel_weights",))
def lovasz_softmax(
    input: Array,
    target: Array,
    *,
    classes: Classes = "present",
    pool: LovaszPool = "batch",
    activation: Activation = "softmax",
    **options: Unpack[LovaszKeywords],
) -> Plan:
    r"""Lovasz-softmax loss: the convex extension of the Jaccard loss to probabilities.

    .. math:: \ell_c = \sum_k e_{\pi(k)} \, (\Delta_k - \Delta_{k-1}), \qquad e_i = |t_{ic} - p_{ic}|,\quad
       e_{\pi(1)} \ge e_{\pi(2)} \ge \dots

    Δ_k is the Jaccard loss of class c where the k pixels with the largest errors are wrong and the others right.

    Parameters
    ----------
    {input}
    {target_mask}
    classes : {"present", "all"} or sequence of int, default "present"
        The classes that enter the mean: those with target pixels in the image (or batch), all, or those named.
    pool : {"batch", "image"}, default "batch"
        Whether the pixels of the batch are ranked together, or those of each image.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make: of exclusive classes, or of independent ones. With None the input holds
        probabilities.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults give the number of the authors' ``lovasz_softmax`` on ``softmax(logits)``, and of
    segmentation-models-pytorch and mmsegmentation. kornia has ``pool="image", classes="all"``, right since 0.9.0; up to
    there it took class ids for the target. Pixels whose errors are equal keep their order, so that the gradient is one
    and the same on every backend. In float32 errors that differ by less than its rounding are equal. Images without a
    valid pixel do not count in the mean.

    References
    ----------
    Berman et al., "The Lovász-softmax loss" (2018), https://arxiv.org/abs/1705.08790.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import lovasz_softmax
    >>> probabilities, ids = np.array([[[0.8, 0.3, 0.6], [0.2, 0.7, 0.4]]]), np.array([[0, 1, 1]])
    >>> round(float(lovasz_softmax(probabilities, ids, activation=None)), 4)
    0.4333
    """
    shared = LovaszOptions(activation=activation, **options)
    return lovasz_plan(input, target, shared, hinge=False, classes=classes, pool=pool)


@loss(LovaszOptions, without=("activation", "pixel_weights"))
def lovasz_hinge(
    input: Array,
    target: Array,
    *,
    classes: Classes = "all",
    pool: LovaszPool = "image",
    **options: Unpack[LovaszKeywords],
) -> Plan:
    r"""Lovasz hinge loss: the convex extension of the Jaccard loss to the margins of binary logits.

    .. math:: \ell_c = \sum_k \max(e_{\pi(k)}, 0) \, (\Delta_k - \Delta_{k-1}), \qquad
       e_i = 1 - (2 t_{ic} - 1) z_{ic},\quad e_{\pi(1)} \ge e_{\pi(2)} \ge \dots

    Δ_k is the Jaccard loss of class c where the k pixels with the largest errors are wrong and the others right.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating; each class against the rest.
    {target_mask}
    classes : {"all", "present"} or sequence of int, default "all"
        The classes that enter the mean: all, those with target pixels in the image (or batch), or those named.
    pool : {"image", "batch"}, default "image"
        Whether the pixels of each image are ranked, or those of the batch together.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults give the number of the authors' ``lovasz_hinge``; segmentation-models-pytorch has ``pool="batch"`` and,
    for several labels, ranks all channels as one. Images without a valid pixel do not count in the mean.

    References
    ----------
    Berman et al., "The Lovász-softmax loss" (2018), https://arxiv.org/abs/1705.08790; Yu and Blaschko, "Learning
    submodular losses with the Lovász hinge" (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import lovasz_hinge
    >>> logits, mask = np.array([[2.0, -0.5, 0.25, -3.0]]), np.array([[1, 1, 0, 0]])
    >>> round(float(lovasz_hinge(logits, mask, class_axis=None)), 4)
    0.9583
    """
    shared = LovaszOptions(activation="sigmoid", **options)
    return lovasz_plan(input, target, shared, hinge=True, classes=classes, pool=pool)
