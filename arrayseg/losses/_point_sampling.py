"""Losses evaluated at sampled points instead of pixels (PointRend)."""

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

__all__ = ["PointPlan", "point_sampled_cross_entropy", "random_points", "uncertain_points"]


@dataclass(frozen=True)
class Corners:
    """The pixels around each point and their interpolation weights: one array `(N, K)` for every corner."""

    index: list[Array]
    weight: list[Array]


@dataclass(frozen=True)
class PointPlan(DerivedPlan):
    """A pixel loss of linearly interpolated scores and of the target of the nearest pixel, evaluated at points.

    `of` is the loss of all pixels. The points are `(N, K, D)`, with coordinates from 0 to 1 along each spatial axis.
    """

    of: Sweep
    points: Array

    @property
    def arrays(self) -> tuple[Array, ...]:
        return (*self.of.arrays, self.points)

    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> PointPlan:
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
            canonical[image, ...] = xp.astype(self._scatter(by_point, corners, image), gradient.dtype, copy=False)
        return value, gradient

    def _at_points(self) -> Sweep:
        """Return the loss of a batch whose pixels are the points. Its scores are `(N, C, K)`, in the compute dtype."""
        batch, backend = self.of.batch, self.of.batch.backend
        corners = corners_of(self.points, self.of.layout.rows_shape[1:], backend)
        sampled = interpolate(batch, corners)
        nearest = nearest_pixel(self.points, self.of.layout.rows_shape[1:], backend)
        at_points = replace(
            batch,
            logits=sampled,
            target=gather(batch.target, nearest, backend),
            mask=None if batch.mask is None else gather(batch.mask, nearest, backend),
            pixel_weights=None if batch.pixel_weights is None else gather(batch.pixel_weights, nearest, backend),
        )
        return replace(self.of, input=sampled, layout=Layout(tuple(sampled.shape), 1), batch=at_points)

    def _scatter(self, by_point: Array, corners: Corners, image: int) -> Array:
        """Return the gradient `(C, S)` of an image: add the gradient of each point to its corners, by their weights."""
        batch, xp, backend = self.of.batch, self.of.batch.xp, self.of.batch.backend
        _, classes, pixels = batch.shape
        dtype, device = corners.index[0].dtype, backend.device(by_point)
        offset = pixels * xp.arange(classes, dtype=dtype, device=device)[:, None]
        index = xp.concat([offset + corner[image, :][None, :] for corner in corners.index], axis=1)
        gradients = xp.concat([by_point[image, ...] * weight[image, :][None, :] for weight in corners.weight], axis=1)
        sums = backend.counts.bincount(
            xp.reshape(index, (-1,)), length=classes * pixels, weights=xp.reshape(gradients, (-1,))
        )
        return xp.reshape(sums, (classes, pixels))


def corners_of(points: Array, spatial: tuple[int, ...], backend: Backend) -> Corners:
    """Return the corners of the cell of pixel centers around each point.

    A point beyond the outermost centers is moved to the border.
    """
    xp = backend.xp
    dtype, device = backend.count_dtype(points), backend.device(points)
    axes = []  # of each axis, the indices and weights of the lower and the upper neighbor
    for axis, length in enumerate(spatial):
        position = points[..., axis] * length - 0.5
        position = xp.minimum(xp.maximum(position, xp.zeros_like(position)), xp.full_like(position, length - 1))
        floor = xp.floor(position)
        lower = xp.astype(floor, dtype)
        upper = xp.minimum(lower + 1, xp.full_like(lower, length - 1))
        axes.append(((lower, 1 - (position - floor)), (upper, position - floor)))
    indices, weights = [], []
    for corner in product(*axes):
        index = xp.zeros(points.shape[:2], dtype=dtype, device=device)
        weight = xp.ones(points.shape[:2], dtype=points.dtype, device=device)
        for (axis_index, axis_weight), length in zip(corner, spatial, strict=True):
            index, weight = index * length + axis_index, weight * axis_weight
        indices.append(index)
        weights.append(weight)
    return Corners(indices, weights)


def nearest_pixel(points: Array, spatial: tuple[int, ...], backend: Backend) -> Array:
    """Return the index of the pixel that contains each point. Shape `(N, K)`."""
    xp = backend.xp
    dtype = backend.count_dtype(points)
    index = xp.zeros(points.shape[:2], dtype=dtype, device=backend.device(points))
    for axis, length in enumerate(spatial):
        axis_index = xp.astype(xp.floor(points[..., axis] * length), dtype)
        index = index * length + xp.minimum(axis_index, xp.full_like(axis_index, length - 1))
    return index


def gather(array: Array, index: Array, backend: Backend) -> Array:
    """Return the entries of an array `(N, S)` or `(N, C, S)` at the indices `(N, K)`."""
    xp = backend.xp
    if array.ndim == 3:
        images, classes, _ = array.shape
        index = xp.broadcast_to(index[:, None, :], (images, classes, index.shape[1]))
    return xp.take_along_axis(array, index, axis=-1)


def interpolate(batch: Batch, corners: Corners) -> Array:
    """Return the interpolated scores at the points, in the compute dtype. Shape `(N, C, K)`."""
    xp, backend = batch.xp, batch.backend
    terms = []
    for index, weight in zip(corners.index, corners.weight, strict=True):
        scores = xp.astype(gather(batch.logits, index, backend), batch.compute_dtype, copy=False)
        weights = xp.broadcast_to(weight[:, None, :], scores.shape)
        terms.append(backend.functions.finite_where_zero(scores, weights) * weights)
    return sum(terms[1:], terms[0])


def random_points(images: int, count: int, axes: int, *, seed: int, like: Array, backend: Backend) -> Array:
    """Return uniformly distributed points `(images, count, axes)`. Python draws them, so all backends get the same."""
    uniform = Random(seed).random
    values = [[[uniform() for _ in range(axes)] for _ in range(count)] for _ in range(images)]
    dtype = backend.xp.float64 if like.dtype == backend.xp.float64 else backend.xp.float32
    points = backend.asarray(values, dtype=dtype, like=like)
    return backend.xp.reshape(points, (images, count, axes))


def uncertain_points(sweep: Sweep, candidates: Array, count: int) -> Array:
    """Return the `count` candidates of each image at which its scores are most uncertain."""
    batch, xp, backend = sweep.batch, sweep.batch.xp, sweep.batch.backend
    corners = corners_of(candidates, sweep.layout.rows_shape[1:], backend)
    scores = backend.stop_gradient(interpolate(batch, corners))
    if batch.binary:
        boundary = 0.5 if batch.activation is None else 0.0
        margin = xp.min((scores - boundary) ** 2, axis=1)
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
    r"""Compute the cross entropy at sampled points (PointRend), with interpolated logits and the nearest targets.

    .. math:: \ell = -\frac{1}{NK} \sum_{n,k} \log p_{y_{nk}}(x_{nk}), \qquad p(x) = \mathrm{softmax}(z(x))

    Parameters
    ----------
    {input}
    {target_probability}
    points : array, optional
        The coordinates of the points, from 0 to 1 along each spatial axis, in the order of the axes. Pixel i of L
        covers i / L to (i + 1) / L. Drawn at random if not given. Floating, shape (N, K, D) for D spatial axes.
    num_points : int, default 2048
        K, the number of points to draw in each image.
    oversampling : float, default 3
        The number of candidates divided by `num_points`, at least 1. The most uncertain candidates become points.
    importance : float, default 0.75
        In [0, 1]. The fraction of the points chosen by uncertainty; the others are drawn uniformly.
    seed : int, default 0
        The seed of the random points, which are the same on every backend. Pass a different seed in every training
        step. ``torch.compile`` cannot draw points; pass `points` there.
    {options}

    Returns
    -------
    array
        The loss: a number, or with ``reduction="none"`` an array of shape (N, K). It has the dtype of `input`, at
        least float32.

    Raises
    ------
    {raises}

    Notes
    -----
    A point is uncertain if its two largest scores are close or, with sigmoid, if a score is close to 0. Beyond the
    centers of the outermost pixels, the score equals the border score; detectron2 interpolates with zeros there and
    orders coordinates as x, y. The choice of the points has no gradient. Points in ignored pixels have no target, but
    the scores of ignored pixels still enter the interpolation.

    References
    ----------
    Kirillov et al., "PointRend: image segmentation as rendering" (2020), https://arxiv.org/abs/1912.08193.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import point_sampled_cross_entropy
    >>> logits = np.array([[[[0.0, 2.0]], [[0.0, 0.0]]]])  # (N, C, H, W)
    >>> target = np.array([[[0, 1]]])  # (N, H, W)
    >>> points = np.array([[[0.5, 0.5]]])  # one point in the middle of the image, (N, K, 2)
    >>> loss = point_sampled_cross_entropy(logits, target, points=points)
    >>> round(float(loss), 4), round(float(np.log(1 + np.exp(1.0))), 4)  # the interpolated logits are 1 and 0
    (1.3133, 1.3133)
    """
    sweep = pixel_plan(input, target, pixel_formulas.cross_entropy, PixelOptions(**options))
    if 0 in sweep.layout.rows_shape[1:]:
        msg = (
            f"point_sampled_cross_entropy needs images with pixels; got images of shape {sweep.layout.rows_shape[1:]}."
        )
        raise ValueError(msg)
    if points is None:
        return PointPlan(sweep, _draw_points(sweep, num_points, oversampling, importance, seed))
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
            msg = "`points` must lie from 0 to 1 along each axis. Divide pixel coordinates by the length of their axis."
            raise ValueError(msg)
    return PointPlan(sweep, xp.astype(points, sweep.batch.compute_dtype, copy=False))


def _draw_points(sweep: Sweep, num_points: int, oversampling: float, importance: float, seed: int) -> Array:
    """Draw points. A fraction `importance` of them are the most uncertain candidates."""
    num_points = check_index("num_points", num_points, 1)
    oversampling = check_number("oversampling", oversampling, 1)
    importance = check_number("importance", importance, 0, 1)
    seed = check_index("seed", seed)
    batch, backend = sweep.batch, sweep.batch.backend
    images, *spatial = sweep.layout.rows_shape
    uncertain = int(importance * num_points)
    candidates = int(oversampling * num_points) if uncertain else 0
    count = candidates + num_points - uncertain
    points = random_points(images, count, len(spatial), seed=seed, like=batch.logits, backend=backend)
    if not uncertain or 0 in batch.shape:
        return points[:, :num_points, :]
    selected = uncertain_points(sweep, points[:, :candidates, :], uncertain)
    return batch.xp.concat([selected, points[:, candidates:, :]], axis=1)
