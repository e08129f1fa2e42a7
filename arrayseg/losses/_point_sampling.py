"""Losses at points instead of pixels."""

from __future__ import annotations

from typing import Unpack

from arrayseg._checks import check_index, check_number
from arrayseg._typing import Array
from arrayseg.backends import common_backend
from arrayseg.backends.base import Evaluation
from arrayseg.engine import pixel_term
from arrayseg.engine.sweep import Sweep
from arrayseg.kernels.points import AtPoints, random_points, uncertain_points
from arrayseg.losses._api import loss
from arrayseg.losses._cross_entropy import PRIVATE, ActivatedPixelOptions, pixel_evaluation

__all__ = ["point_sampled_cross_entropy"]


@loss(pixel_evaluation, without=PRIVATE)
def point_sampled_cross_entropy(
    input: Array,
    target: Array,
    *,
    points: Array | None = None,
    num_points: int = 2048,
    oversampling: float = 3.0,
    importance: float = 0.75,
    seed: int = 0,
    **options: Unpack[ActivatedPixelOptions],
) -> Evaluation:
    r"""Cross entropy at points (PointRend): logits interpolated there, targets of the nearest pixels.

    .. math:: \ell = -\frac{1}{NK} \sum_{n,k} \log p_{y_{nk}}(x_{nk}), \qquad p(x) = \mathrm{softmax}(z(x))

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial) with any number of spatial axes, floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or the share of every class, of the input's shape.
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
    TypeError
        If an argument is of the wrong kind, or of another library than the input.
    ValueError
        If a shape, a device, an option or an id does not fit.

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
    sweep = pixel_evaluation(input, target, pixel_term.cross_entropy, **options)
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
    return AtPoints(sweep, xp.astype(points, sweep.pixels.compute_dtype, copy=False))


def _drawn(sweep: Sweep, num_points: int, oversampling: float, importance: float, seed: int) -> Array:
    """Points of which the given share is uncertain."""
    num_points = check_index("num_points", num_points, 1)
    oversampling = check_number("oversampling", oversampling, 1)
    importance = check_number("importance", importance, 0, 1)
    seed = check_index("seed", seed)
    pixels, backend = sweep.pixels, sweep.pixels.backend
    images, *spatial = sweep.layout.rows_shape
    uncertain = int(importance * num_points)
    candidates = int(oversampling * num_points) if uncertain else 0
    count = candidates + num_points - uncertain
    drawn = random_points(images, count, len(spatial), seed=seed, like=pixels.scores, backend=backend)
    if not uncertain or 0 in pixels.shape:
        return drawn[:, :num_points, :]
    chosen = uncertain_points(sweep, drawn[:, :candidates, :], uncertain)
    return pixels.xp.concat([chosen, drawn[:, candidates:, :]], axis=1)
