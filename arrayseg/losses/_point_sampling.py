"""Losses at points instead of pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from random import Random
from typing import Unpack

from arrayseg._checks import check_index, check_number
from arrayseg._typing import Array
from arrayseg.backends import Backend, common_backend
from arrayseg.engine import pixel_formulas
from arrayseg.engine.batch import Batch, Layout
from arrayseg.engine.plan import DerivedPlan, Plan
from arrayseg.engine.sweep import Sweep
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import pixel_plan
from arrayseg.losses._options import ActivatedPixelKeywords, PixelOptions

__all__ = ["AtPoints", "point_sampled_cross_entropy", "random_points", "uncertain_points"]


@dataclass(frozen=True)
class Corners:
    """The pixels around points, and what each counts in the interpolation: lists of `(N, K)`."""

    index: list[Array]
    weight: list[Array]


@dataclass(frozen=True)
class AtPoints(DerivedPlan):
    """A pixel loss of scores interpolated linearly at points, and of the target of the nearest pixel.

    `of` is the loss of all pixels; points are `(N, K, D)`, from 0 to 1 along each spatial axis.
    """

    of: Sweep
    points: Array

    @property
    def arrays(self) -> tuple[Array, ...]:
        return (*self.of.arrays, self.points)

    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> AtPoints:
        return replace(self, of=self.of.converted(backend, convert), points=convert(self.points))

    def plain(self) -> Array:
        return self._at_points().plain()

    def value(self) -> Array:
        return self._at_points().value()

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        batch, xp = self.of.batch, self.of.batch.xp
        value, by_point = self._at_points().value_and_gradient()
        corners = corners_of(self.points, self.of.layout.rows_shape[1:], batch.backend)
        gradient, canonical = self.of.new_gradient(wide=wide)
        for image in range(batch.shape[0]):
            canonical[image, ...] = xp.astype(self._scattered(by_point, corners, image), gradient.dtype, copy=False)
        return value, gradient

    def _at_points(self) -> Sweep:
        """The loss of the scores at the points, `(N, C, K)`, in the compute dtype."""
        batch, backend = self.of.batch, self.of.batch.backend
        corners = corners_of(self.points, self.of.layout.rows_shape[1:], backend)
        sampled = interpolated(batch, corners)
        nearest = nearest_of(self.points, self.of.layout.rows_shape[1:], backend)
        at_points = replace(
            batch,
            logits=sampled,
            target=gathered(batch.target, nearest, backend),
            mask=None if batch.mask is None else gathered(batch.mask, nearest, backend),
            pixel_weights=(None if batch.pixel_weights is None else gathered(batch.pixel_weights, nearest, backend)),
        )
        return replace(self.of, input=sampled, layout=Layout(tuple(sampled.shape), 1), batch=at_points)

    def _scattered(self, by_point: Array, corners: Corners, image: int) -> Array:
        """The gradient of an image, `(C, S)`: each corner of a point gets its share, where several meet their sum."""
        batch, xp, backend = self.of.batch, self.of.batch.xp, self.of.batch.backend
        _, classes, count = batch.shape
        dtype, device = corners.index[0].dtype, backend.device(by_point)
        rows = count * xp.arange(classes, dtype=dtype, device=device)[:, None]
        index = xp.concat([rows + place[image, :][None, :] for place in corners.index], axis=1)
        parts = xp.concat([by_point[image, ...] * weight[image, :][None, :] for weight in corners.weight], axis=1)
        sums = backend.counts.bincount(
            xp.reshape(index, (-1,)), length=classes * count, weights=xp.reshape(parts, (-1,))
        )
        return xp.reshape(sums, (classes, count))


def corners_of(points: Array, spatial: tuple[int, ...], backend: Backend) -> Corners:
    """The corners of the cell of pixel centres around each point; beyond the outermost centres, the border."""
    xp = backend.xp
    dtype, device = backend.count_dtype(points), backend.device(points)
    axes = []
    for axis, length in enumerate(spatial):
        place = points[..., axis] * length - 0.5
        place = xp.minimum(xp.maximum(place, xp.zeros_like(place)), xp.full_like(place, length - 1))
        low = xp.floor(place)
        first = xp.astype(low, dtype)
        last = xp.minimum(first + 1, xp.full_like(first, length - 1))
        axes.append(((first, 1 - (place - low)), (last, place - low)))
    index, weight = [], []
    for corner in product(*axes):
        place = xp.zeros(points.shape[:2], dtype=dtype, device=device)
        share = xp.ones(points.shape[:2], dtype=points.dtype, device=device)
        for (along, part), length in zip(corner, spatial, strict=True):
            place, share = place * length + along, share * part
        index.append(place)
        weight.append(share)
    return Corners(index, weight)


def nearest_of(points: Array, spatial: tuple[int, ...], backend: Backend) -> Array:
    """The pixel that holds each point, `(N, K)`."""
    xp = backend.xp
    dtype = backend.count_dtype(points)
    place = xp.zeros(points.shape[:2], dtype=dtype, device=backend.device(points))
    for axis, length in enumerate(spatial):
        along = xp.astype(xp.floor(points[..., axis] * length), dtype)
        place = place * length + xp.minimum(along, xp.full_like(along, length - 1))
    return place


def gathered(array: Array, index: Array, backend: Backend) -> Array:
    """The entries of `(N, S)` or `(N, C, S)` at indices `(N, K)`."""
    xp = backend.xp
    if array.ndim == 3:
        images, classes, _ = array.shape
        index = xp.broadcast_to(index[:, None, :], (images, classes, index.shape[1]))
    return xp.take_along_axis(array, index, axis=-1)


def interpolated(batch: Batch, corners: Corners) -> Array:
    """The scores at the points, `(N, C, K)`, in the compute dtype."""
    xp, backend = batch.xp, batch.backend
    parts = []
    for index, share in zip(corners.index, corners.weight, strict=True):
        scores = xp.astype(gathered(batch.logits, index, backend), batch.compute_dtype, copy=False)
        shares = xp.broadcast_to(share[:, None, :], scores.shape)
        parts.append(backend.functions.finite_where_zero(scores, shares) * shares)
    return sum(parts[1:], parts[0])


def random_points(images: int, count: int, axes: int, *, seed: int, like: Array, backend: Backend) -> Array:
    """Evenly distributed points, `(images, count, axes)`, drawn on the host: the same on every backend."""
    draw = Random(seed).random
    values = [[[draw() for _ in range(axes)] for _ in range(count)] for _ in range(images)]
    dtype = backend.xp.float64 if like.dtype == backend.xp.float64 else backend.xp.float32
    points = backend.asarray(values, dtype=dtype, like=like)
    return backend.xp.reshape(points, (images, count, axes))


def uncertain_points(sweep: Sweep, candidates: Array, count: int) -> Array:
    """The `count` candidates of each image at which its scores are least certain."""
    batch, xp, backend = sweep.batch, sweep.batch.xp, sweep.batch.backend
    corners = corners_of(candidates, sweep.layout.rows_shape[1:], backend)
    scores = backend.stop_gradient(interpolated(batch, corners))
    if batch.binary:
        half = 0.5 if batch.activation is None else 0.0
        margin = xp.min((scores - half) ** 2, axis=1)
    else:
        ordered = xp.sort(scores, axis=1, descending=True)
        margin = ordered[:, 0, :] - ordered[:, 1, :]
    order = backend.sorting.argsort_descending(-margin)[:, :count]
    index = xp.broadcast_to(order[:, :, None], (*order.shape, candidates.shape[2]))
    return xp.take_along_axis(candidates, index, axis=1)


@loss(PixelOptions)
def point_sampled_cross_entropy(
    input: Array,
    target: Array,
    *,
    points: Array | None = None,
    num_points: int = 2048,
    oversampling: float = 3.0,
    importance: float = 0.75,
    seed: int = 0,
    **options: Unpack[ActivatedPixelKeywords],
) -> Plan:
    r"""Cross entropy at points (PointRend): logits interpolated there, targets of the nearest pixels.

    .. math:: \ell = -\frac{1}{NK} \sum_{n,k} \log p_{y_{nk}}(x_{nk}), \qquad p(x) = \mathrm{softmax}(z(x))

    Parameters
    ----------
    {input}
    {target_probability}
    points : array, optional
        Shape (N, K, D) for D spatial axes, floating, from 0 to 1 along each of them in their order: pixel i of L covers
        i / L to (i + 1) / L. Drawn if not given.
    num_points : int, default 2048
        K, how many points of each image are drawn.
    oversampling : float, default 3
        How many times as many candidates there are for uncertain points, at least 1.
    importance : float, default 0.75
        In [0, 1]: the share of the points that are the least certain candidates; the others are drawn evenly.
    seed : int, default 0
        Of the drawn points, which are the same on every backend; give another in every step of a training. Under
        ``torch.compile``, which cannot draw them, give `points`.
    {options}

    Returns
    -------
    array
        The loss, of the input's dtype, at least float32: a number, or (N, K) with ``reduction="none"``.

    Raises
    ------
    {raises}

    Notes
    -----
    A point is uncertain where the two greatest scores are close, or with sigmoid where a score is close to 0. Beyond
    the centres of the outermost pixels the score is that of the border, where detectron2 interpolates with zeros;
    its points have their coordinates in the order x, y. No derivative is taken of the choice of points. Ignored
    pixels give no target; their scores still take part in the interpolation of their neighbours'.

    References
    ----------
    Kirillov et al., "PointRend: image segmentation as rendering" (2020), https://arxiv.org/abs/1912.08193.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import point_sampled_cross_entropy
    >>> logits, ids = np.array([[[0.0, 2.0], [0.0, 0.0]]]), np.array([[0, 1]])
    >>> loss = point_sampled_cross_entropy(logits, ids, points=np.array([[[0.5]]]))
    >>> round(float(loss), 4), round(float(np.log(1 + np.exp(1.0))), 4)  # half way from logit 0 to 2
    (1.3133, 1.3133)
    """
    sweep = pixel_plan(input, target, pixel_formulas.cross_entropy, PixelOptions(**options))
    if 0 in sweep.layout.rows_shape[1:]:
        msg = f"Points need pixels; got images of shape {sweep.layout.rows_shape[1:]}."
        raise ValueError(msg)
    if points is None:
        return AtPoints(sweep, _drawn(sweep, num_points, oversampling, importance, seed))
    backend = common_backend(input=input, points=points)
    xp = backend.xp
    images, *spatial = sweep.layout.rows_shape
    shape = tuple(points.shape)
    if len(shape) != 3 or shape[0] != images or shape[2] != len(spatial):
        msg = f"`points` must have the shape (N, K, D) = ({images}, K, {len(spatial)}); got {shape}."
        raise ValueError(msg)
    if not xp.isdtype(points.dtype, "real floating"):
        msg = f"`points` must be floating, from 0 to 1 along each axis; got dtype {points.dtype}."
        raise TypeError(msg)
    if 0 not in shape and backend.is_concrete(points):
        with backend.reading():
            inside = bool(xp.all((points >= 0) & (points <= 1)))
        if not inside:
            msg = (
                "`points` must lie from 0 to 1 along each axis. Divide coordinates in pixels by the length of the axis."
            )
            raise ValueError(msg)
    return AtPoints(sweep, xp.astype(points, sweep.batch.compute_dtype, copy=False))


def _drawn(sweep: Sweep, num_points: int, oversampling: float, importance: float, seed: int) -> Array:
    """Points of which the given share is uncertain."""
    num_points = check_index("num_points", num_points, 1)
    oversampling = check_number("oversampling", oversampling, 1)
    importance = check_number("importance", importance, 0, 1)
    seed = check_index("seed", seed)
    batch, backend = sweep.batch, sweep.batch.backend
    images, *spatial = sweep.layout.rows_shape
    uncertain = int(importance * num_points)
    candidates = int(oversampling * num_points) if uncertain else 0
    count = candidates + num_points - uncertain
    drawn = random_points(images, count, len(spatial), seed=seed, like=batch.logits, backend=backend)
    if not uncertain or 0 in batch.shape:
        return drawn[:, :num_points, :]
    chosen = uncertain_points(sweep, drawn[:, :candidates, :], uncertain)
    return batch.xp.concat([chosen, drawn[:, candidates:, :]], axis=1)
