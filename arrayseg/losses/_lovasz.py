"""Lovasz losses, which rank the errors of all pixels to extend the Jaccard loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Unpack

from arrayseg._checks import check_choice
from arrayseg._typing import Activation, Array, DType, Reduction
from arrayseg.backends import Backend
from arrayseg.engine.activations import whole_block
from arrayseg.engine.block import Block
from arrayseg.engine.plan import BatchPlan, Plan
from arrayseg.engine.sweep import BatchBlocks
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import entering_classes, prepare
from arrayseg.losses._options import LovaszKeywords, LovaszOptions

__all__ = ["Lovasz", "lovasz_hinge", "lovasz_softmax"]

Classes = Literal["present", "all"] | Sequence[int]
LovaszPool = Literal["image", "batch"]


class Results(NamedTuple):
    """The results for each set of ranked pixels. Shape `(N, C)`, or `(1, C)` for a pooled batch."""

    loss: Array
    target: Array
    """The number of target pixels."""
    pixels: Array
    """The number of valid pixels."""


@dataclass(frozen=True)
class Lovasz(BatchPlan):
    """The plan of a Lovasz loss. Errors and their pull-back are computed in blocks, ranks class by class."""

    hinge: bool
    """Whether the errors are hinge losses of the logits, instead of distances of the probabilities from the target."""
    pool: LovaszPool
    classes: Sequence[int] | None = None
    """The classes that enter the mean. None means all."""
    present: bool = False
    """Whether only classes with target pixels enter the mean."""
    reduction: Reduction = "mean"

    @property
    def is_scalar(self) -> bool:
        return self.reduction != "none"

    def plain(self) -> Array:
        xp, backend, block = self.batch.xp, self.batch.backend, whole_block(self.batch)
        images, classes, _ = self.batch.shape
        errors = self._rows(self._errors(block))
        is_target, valid = self._target_and_valid(block, slice(0, images), slice(0, classes))
        order = backend.sorting.argsort_descending(backend.stop_gradient(errors))
        steps = _jaccard_steps(is_target, valid, order, errors.dtype, backend)
        losses = block.sum(xp.take_along_axis(errors, order, axis=1) * steps, axis=1)
        return self._reduce(self._join([self._result(losses, is_target, valid)]))

    def value(self) -> Array:
        errors = self._all_errors(None)
        return self._reduce(self._join(self._rank(errors, gradient=False)))

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        xp, batch = self.batch.xp, self.batch
        gradient, canonical = self.new_gradient(wide=wide)
        buffer = self._all_errors(canonical)  # holds the errors first, then their gradient
        results = self._join(self._rank(buffer, gradient=True))
        weight = xp.astype(self._weight(results), buffer.dtype)
        weight = xp.broadcast_to(weight, batch.shape[:2])[:, :, None]

        def pull(block: Block) -> None:
            images, pixels = block.image_slice, block.pixel_slice
            steps = buffer[images, :, pixels] * weight[images, ...]
            pulled = block.where_valid(steps) if self.hinge else block.pull_back(steps)
            canonical[images, :, pixels] = xp.astype(pulled, canonical.dtype, copy=False)

        BatchBlocks(batch).map(pull)
        return self._reduce(results), gradient

    def _all_errors(self, gradient: Array | None) -> Array:
        """Return the errors of all pixels, in the memory of the gradient if its dtype fits. Shape `(N, C, S)`."""
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
        """Rank the errors of each set and return its loss, target size and number of valid pixels.

        With `gradient`, overwrite the errors in `buffer` with the gradient in the probabilities or logits.
        """
        xp, backend = self.batch.xp, self.batch.backend
        whole = whole_block(self.batch)

        def rank(part: tuple[slice, slice]) -> tuple[Array, Array, Array]:
            images, classes = part
            errors = self._rows(buffer[images, classes, :])
            is_target, valid = self._target_and_valid(whole, images, classes)
            order = backend.sorting.argsort_descending(errors)
            steps = backend.sorting.place(_jaccard_steps(is_target, valid, order, errors.dtype, backend), order)
            losses = whole.sum(steps * errors, axis=1)
            if gradient:
                # The error of a target pixel falls as its score rises; the errors of other pixels rise.
                steps *= 1 - 2 * xp.astype(is_target, errors.dtype)
                if self.hinge:  # the factor is 1, or 0 or NaN as the error is
                    steps *= xp.where(errors > 0, xp.ones_like(errors), errors)
                shape = (classes.stop - classes.start, images.stop - images.start, self.batch.shape[2])
                buffer[images, classes, :] = xp.permute_dims(xp.reshape(steps, shape), (1, 0, 2))
            return self._result(losses, is_target, valid)

        return backend.parallel_map(rank, self._sets())

    def _sets(self) -> list[tuple[slice, slice]]:
        """Return the slices of images and classes to rank together: as many sets as fit into a block, at least one."""
        images, classes, count = self.batch.shape
        block_bytes = self.batch.backend.block_bytes(self.batch.logits)
        pooled = self.pool == "batch" or images == 0
        rows = [slice(0, images)] if pooled else [slice(row, row + 1) for row in range(images)]
        # Bytes to rank one class: 8 for each index of the order, 8 for the error and the masks.
        size = 16 * count * (images if self.pool == "batch" else 1)
        classes_at_once = classes if block_bytes is None or size == 0 else max(1, block_bytes // size)
        return [
            (row, slice(start, min(start + classes_at_once, classes)))
            for row in rows
            for start in range(0, classes, classes_at_once)
        ]

    def _errors(self, block: Block) -> Array:
        """Return the error of each class at each pixel, at least 0, and 0 for invalid pixels. Shape `(B, C, P)`."""
        xp = block.xp
        is_target = xp.astype(_is_target(block), block.dtype)
        if self.hinge:
            margin = 1 - (2 * is_target - 1) * block.logits
            # A factor of 1, 0 or NaN, so that a NaN reaches the derivative too.
            constant = block.backend.stop_gradient(margin)
            at_most_zero = xp.where(constant <= 0, xp.zeros_like(margin), constant)
            active = xp.where(constant > 0, xp.ones_like(margin), at_most_zero)
            return block.where_valid(xp.where(active == 0, xp.zeros_like(margin), margin) * active)
        return block.where_valid(xp.where(_is_target(block), block.complements, block.probabilities))

    def _target_and_valid(self, block: Block, images: slice, classes: slice) -> tuple[Array, Array | None]:
        """Return which pixels are in the class, and which are valid or None if all are. Boolean `(sets, pixels)`."""
        if block.batch.has_ids:
            ids = block.ids[images, None, :]
            numbers = block.xp.arange(classes.start, classes.stop, dtype=ids.dtype, device=block.device)
            is_target = ids == numbers[None, :, None]
            is_target = is_target if block.valid is None else is_target & block.valid[images, None, :]
        else:
            is_target = _is_target(block)[images, classes, :]
        rows = self._rows(is_target)
        if block.valid is None:
            return rows, None
        valid = block.xp.broadcast_to(block.valid[images, None, :], is_target.shape)
        return rows, self._rows(valid)

    def _rows(self, cube: Array) -> Array:
        """Reshape `(B, C, P)` to `(sets, pixels)`. A set is a class of one image, or of all images if pooled."""
        xp, (images, classes, count) = self.batch.xp, cube.shape
        if self.pool == "image":
            return xp.reshape(cube, (images * classes, count))
        return xp.reshape(xp.permute_dims(cube, (1, 0, 2)), (classes, images * count))

    def _result(self, losses: Array, is_target: Array, valid: Array | None) -> tuple[Array, Array, Array]:
        """Return the losses of sets, their target sizes and their numbers of valid pixels. Shape `(sets,)` each."""
        xp, dtype = self.batch.xp, losses.dtype
        target = xp.sum(xp.astype(is_target, xp.int32), axis=1)
        pixels = (
            xp.full_like(target, is_target.shape[1]) if valid is None else xp.sum(xp.astype(valid, xp.int32), axis=1)
        )
        return losses, xp.astype(target, dtype), xp.astype(pixels, dtype)

    def _join(self, results: list[tuple[Array, Array, Array]]) -> Results:
        """Concatenate the results of all sets."""
        shape = (1 if self.pool == "batch" else self.batch.shape[0], self.batch.shape[1])
        xp = self.batch.xp
        return Results(*(xp.reshape(xp.concat(parts, axis=0), shape) for parts in zip(*results, strict=True)))

    def _weight(self, results: Results) -> Array:
        """Return the weight of each loss. In the mean, images count equally, and so do the classes of an image."""
        xp, batch = self.batch.xp, self.batch
        total = batch.shape[1]
        chosen = range(total) if self.classes is None else self.classes
        row = [1.0 if number in chosen else 0.0 for number in range(total)]
        counted = batch.backend.asarray([row], dtype=results.loss.dtype, like=results.loss)
        counted = counted * xp.astype(results.pixels > 0, results.loss.dtype)
        if self.present:
            counted = counted * xp.astype(results.target > 0, results.loss.dtype)
        weight = counted
        if batch.class_weights is not None:
            weight = weight * xp.astype(batch.class_weights, weight.dtype, copy=False)[None, :]
        if self.reduction != "mean":
            return weight
        classes = xp.sum(counted, axis=1, keepdims=True)
        has_classes = classes > 0
        images = xp.sum(xp.astype(has_classes, classes.dtype))
        divisor = xp.where(has_classes, classes * images, xp.ones_like(classes))
        return xp.where(has_classes, weight / divisor, xp.zeros_like(weight))

    def _reduce(self, results: Results) -> Array:
        """Return the weighted sum of the losses, or the weighted losses with reduction "none"."""
        xp = self.batch.xp
        losses = results.loss * self._weight(results)
        if self.reduction != "none":
            losses = xp.sum(losses)
        else:
            if self.classes is not None:
                losses = xp.stack([losses[:, number] for number in self.classes], axis=1)
            losses = losses[0, :] if self.pool == "batch" else losses
        return xp.astype(losses, self.batch.compute_dtype, copy=False)


def _is_target(block: Block) -> Array:
    """Return which classes each pixel belongs to. Boolean, shape `(B, C, P)`."""
    return block.one_hot if block.batch.has_ids else block.target > 0.5


def _jaccard_steps(is_target: Array, valid: Array | None, order: Array, dtype: DType, backend: Backend) -> Array:
    """Return the increase of the Jaccard loss at each pixel as pixels become wrong in this order; 0 for invalid pixels.

    The intersection is the number of target pixels that are still right. The union is the number of target pixels plus
    the number of other pixels that are wrong. A target pixel increases the loss by 1 / union, any other pixel by
    intersection / (union (union - 1)). These forms avoid the difference of two nearly equal losses.

    The shape is `(sets, pixels)`.
    """
    xp = backend.xp
    ranked = xp.take_along_axis(is_target, order, axis=1)
    total = xp.sum(xp.astype(is_target, xp.int32), axis=1, keepdims=True, dtype=xp.int32)
    intersection = total - backend.sorting.cumulative_count(ranked)
    if valid is None:
        ranked_valid = None
        wrong = backend.sorting.cumulative_count(
            xp.ones((1, ranked.shape[1]), dtype=xp.bool, device=backend.device(is_target))
        )
    else:
        ranked_valid = xp.take_along_axis(valid, order, axis=1)
        wrong = backend.sorting.cumulative_count(ranked_valid)
    union = xp.astype(intersection + wrong, dtype)
    before = union - 1
    first = xp.astype(before <= 0, dtype)  # the first pixel of a set without target pixels: the loss becomes 1
    steps = (xp.astype(intersection, dtype) + first) / (before + first * (1 - before))
    target = xp.astype(ranked, dtype)
    steps = target + (1 - target) * steps
    steps = steps / (union + xp.astype(union <= 0, dtype))
    return steps if ranked_valid is None else steps * xp.astype(ranked_valid, dtype)


def lovasz_plan(
    input: Array, target: Array, options: LovaszOptions, *, hinge: bool, classes: Classes, pool: LovaszPool
) -> Lovasz:
    """Check the options and return the plan of a Lovasz loss."""
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
    r"""Compute the Lovasz-softmax loss, the convex extension of the Jaccard loss to probabilities.

    .. math:: \ell_c = \sum_k e_{\pi(k)} \, (\Delta_k - \Delta_{k-1}), \qquad e_i = |t_{ic} - p_{ic}|,\quad
       e_{\pi(1)} \ge e_{\pi(2)} \ge \dots

    Δ_k is the Jaccard loss of class c if the k pixels with the largest errors are wrong and the others are right.

    Parameters
    ----------
    {input}
    {target_mask}
    classes : {"present", "all"} or sequence of int, default "present"
        The classes that enter the mean: "present" for those with target pixels in the image (or batch), "all", or
        their numbers.
    pool : {"batch", "image"}, default "batch"
        Whether to rank the pixels of the batch together or the pixels of each image.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        How to turn `input` into probabilities: "softmax" for mutually exclusive classes, "sigmoid" for independent
        ones, None if `input` already contains probabilities.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults give the numbers of the authors' ``lovasz_softmax`` on ``softmax(logits)``, of
    segmentation-models-pytorch and of mmsegmentation. kornia uses ``pool="image", classes="all"``. Before version 0.9.0
    it mistook the class ids for target values.

    Pixels with equal errors keep their order, so the gradient is the same on every backend. In float32, errors that
    differ by less than its rounding are equal. Images without a valid pixel do not enter the mean.

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
    r"""Compute the Lovasz hinge loss, the convex extension of the Jaccard loss to the margins of binary logits.

    .. math:: \ell_c = \sum_k \max(e_{\pi(k)}, 0) \, (\Delta_k - \Delta_{k-1}), \qquad
       e_i = 1 - (2 t_{ic} - 1) z_{ic},\quad e_{\pi(1)} \ge e_{\pi(2)} \ge \dots

    Δ_k is the Jaccard loss of class c if the k pixels with the largest errors are wrong and the others are right.

    Parameters
    ----------
    {input}
        Each class is scored against the others.
    {target_mask}
    classes : {"all", "present"} or sequence of int, default "all"
        The classes that enter the mean: "all", "present" for those with target pixels in the image (or batch), or
        their numbers.
    pool : {"image", "batch"}, default "image"
        Whether to rank the pixels of each image or the pixels of the batch together.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults give the numbers of the authors' ``lovasz_hinge``. segmentation-models-pytorch uses ``pool="batch"``
    and, for several labels, ranks all channels as one. Images without a valid pixel do not enter the mean.

    References
    ----------
    Berman et al., "The Lovász-softmax loss" (2018), https://arxiv.org/abs/1705.08790. Yu and Blaschko, "Learning
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
