"""A pixel loss at points between the pixels, with scores interpolated there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from random import Random

from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.engine.batch import Layout
from arrayseg.engine.block import Pixels
from arrayseg.engine.sweep import Sweep

__all__ = ["AtPoints", "random_points", "uncertain_points"]


@dataclass(frozen=True)
class Corners:
    """The pixels around points, and what each counts in the interpolation: lists of `(N, K)`."""

    index: list[Array]
    weight: list[Array]


@dataclass(frozen=True)
class AtPoints:
    """A pixel loss of scores interpolated linearly at points, and of the target of the nearest pixel.

    `sweep` is the loss of all pixels; points are `(N, K, D)`, from 0 to 1 along each spatial axis.
    """

    sweep: Sweep
    points: Array

    @property
    def input(self) -> Array:
        return self.sweep.input

    @property
    def constants(self) -> Sequence[Array]:
        return [*self.sweep.constants, self.points]

    @property
    def has_closed_form(self) -> bool:
        return self.sweep.has_closed_form

    def moved(self, backend: Backend, convert: Callable[[Array], Array]) -> AtPoints:
        return replace(self, sweep=self.sweep.moved(backend, convert), points=convert(self.points))

    def plain(self) -> Array:
        return self._at_points().plain()

    def value(self) -> Array:
        return self._at_points().value()

    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        pixels, xp = self.sweep.pixels, self.sweep.pixels.xp
        value, by_point = self._at_points().value_and_gradient()
        corners = corners_of(self.points, self.sweep.layout.rows_shape[1:], pixels.backend)
        dtype, device = pixels.gradient_dtype(wide=wide), pixels.backend.device(self.input)
        gradient, scores = self.sweep.layout.empty(xp, dtype, device)
        for image in range(pixels.shape[0]):
            scores[image, ...] = xp.astype(self._scattered(by_point, corners, image), gradient.dtype, copy=False)
        return value, gradient

    def _at_points(self) -> Sweep:
        """The loss of the scores at the points, `(N, C, K)`, in the compute dtype."""
        pixels, backend = self.sweep.pixels, self.sweep.pixels.backend
        corners = corners_of(self.points, self.sweep.layout.rows_shape[1:], backend)
        sampled = interpolated(pixels, corners)
        nearest = nearest_of(self.points, self.sweep.layout.rows_shape[1:], backend)
        at_points = replace(
            pixels,
            scores=sampled,
            target=gathered(pixels.target, nearest, backend),
            mask=None if pixels.mask is None else gathered(pixels.mask, nearest, backend),
            pixel_weights=(None if pixels.pixel_weights is None else gathered(pixels.pixel_weights, nearest, backend)),
        )
        return replace(self.sweep, input=sampled, layout=Layout(tuple(sampled.shape), 1), pixels=at_points)

    def _scattered(self, by_point: Array, corners: Corners, image: int) -> Array:
        """The gradient of an image, `(C, S)`: each corner of a point gets its share, where several meet their sum."""
        pixels, xp, backend = self.sweep.pixels, self.sweep.pixels.xp, self.sweep.pixels.backend
        _, classes, count = pixels.shape
        dtype, device = corners.index[0].dtype, backend.device(by_point)
        rows = count * xp.arange(classes, dtype=dtype, device=device)[:, None]
        index = xp.concat([rows + place[image, :][None, :] for place in corners.index], axis=1)
        parts = xp.concat([by_point[image, ...] * weight[image, :][None, :] for weight in corners.weight], axis=1)
        sums = backend.bincount(xp.reshape(index, (-1,)), length=classes * count, weights=xp.reshape(parts, (-1,)))
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


def interpolated(pixels: Pixels, corners: Corners) -> Array:
    """The scores at the points, `(N, C, K)`, in the compute dtype."""
    xp, backend = pixels.xp, pixels.backend
    parts = []
    for index, share in zip(corners.index, corners.weight, strict=True):
        scores = xp.astype(gathered(pixels.scores, index, backend), pixels.compute_dtype, copy=False)
        shares = xp.broadcast_to(share[:, None, :], scores.shape)
        parts.append(backend.shared(scores, shares) * shares)
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
    pixels, xp, backend = sweep.pixels, sweep.pixels.xp, sweep.pixels.backend
    corners = corners_of(candidates, sweep.layout.rows_shape[1:], backend)
    scores = backend.stop_gradient(interpolated(pixels, corners))
    if pixels.binary:
        half = 0.5 if pixels.activation is None else 0.0
        margin = xp.min((scores - half) ** 2, axis=1)
    else:
        ordered = xp.sort(scores, axis=1, descending=True)
        margin = ordered[:, 0, :] - ordered[:, 1, :]
    order = backend.argsort_descending(-margin)[:, :count]
    index = xp.broadcast_to(order[:, :, None], (*order.shape, candidates.shape[2]))
    return xp.take_along_axis(candidates, index, axis=1)
