"""Compare the topology of masks: centerlines, components, holes and cavities."""

from __future__ import annotations

from itertools import combinations
from typing import Literal, NamedTuple

from arrayseg._checks import check_choice, check_connectivity, check_pair
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.backends.axes import slice_axis
from arrayseg.imaging.shifts import padded
from arrayseg.imaging.skeletons import opening_skeleton, thinned
from arrayseg.metrics._compute import AbsentScore, Score, compute, computed_from, divide
from arrayseg.metrics._inputs import check_masks

__all__ = [
    "CenterlineCounts",
    "betti_error",
    "betti_numbers",
    "centerline_counts",
    "cl_dice",
    "euler_error",
    "euler_number",
]


class CenterlineCounts(NamedTuple):
    """The pixels of two skeletons, and how many lie in the other mask; add them with `arrayseg.metrics.add`.

    Parameters
    ----------
    prediction_hits : array of int
        Integer `()`, pixels of the prediction's skeleton that lie in the target.
    prediction_pixels : array of int
        Pixels of the prediction's skeleton.
    target_hits : array of int
        Pixels of the target's skeleton that lie in the prediction.
    target_pixels : array of int
        Pixels of the target's skeleton.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> line = np.asarray([[0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    >>> int(metrics.centerline_counts(line, line).target_pixels)
    3
    """

    prediction_hits: Array
    prediction_pixels: Array
    target_hits: Array
    target_pixels: Array


@raises_here
def centerline_counts(
    prediction: Array,
    target: Array,
    *,
    skeleton: Literal["thinning", "soft"] | None = None,
    skeletons: tuple[Array, Array] | None = None,
) -> CenterlineCounts:
    r"""Count the pixels of the skeleton of each of two masks that lie in the other mask.

    .. math:: |S_P \cap T|, \ |S_P|, \quad |S_T \cap P|, \ |S_T|

    Parameters
    ----------
    prediction, target : array of bool
        Masks of one image and of one shape `(*spatial)`, in the plane or in space.
    skeleton : {"thinning", "soft"}, optional
        ``"thinning"``: the skeleton of Zhang and Suen, one pixel wide, in the plane only. A square of 2 x 2 pixels,
        which their rules delete, keeps two pixels. ``"soft"``: the parts that openings by a cross and a box remove
        while the mask is eroded, as in the clDice loss. A mask of the whole image is its own skeleton. By default
        thinning in the plane, and soft in space.
    skeletons : pair of arrays of bool, optional
        Boolean masks of the skeletons of prediction and target, to use instead of `skeleton`.

    Returns
    -------
    CenterlineCounts
        Four integers `()`. Add images with `arrayseg.metrics.add`, and compute `cl_dice`.

    Raises
    ------
    ValueError
        If shapes or options do not fit.
    TypeError
        If array libraries are mixed, or masks are not boolean.

    Notes
    -----
    MetricsReloaded, panoptica and the authors' own metric use scikit-image's ``skeletonize``: a variant of this
    thinning in the plane, whose skeletons differ in some pixels, and Lee's sequential thinning in space. To get their
    numbers, pass its results as `skeletons`.

    The skeletons are computed on the device, also under ``jax.jit``. The number of rounds grows with the width of the
    mask.

    References
    ----------
    Shit and others, "clDice: a novel topology-preserving loss function for tubular structure segmentation", CVPR
    (2021).
    Zhang and Suen, "A fast parallel algorithm for thinning digital patterns", Communications of the ACM 27 (1984).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.zeros((5, 9), dtype=bool)
    >>> target[1:4, 1:8] = True
    >>> prediction = target & (np.arange(9) < 5)
    >>> counts = metrics.centerline_counts(prediction, target)
    >>> int(counts.target_hits), int(counts.target_pixels)
    (3, 4)
    """
    backend = _check_shapes(prediction=prediction, target=target)
    if skeletons is not None:
        if skeleton is not None:
            msg = "Pass either `skeletons` or `skeleton`, not both."
            raise ValueError(msg)
        thin, target_thin = check_pair("skeletons", skeletons, "masks, of the prediction and of the target")
        _check_shapes(prediction=prediction, first_skeleton=thin, second_skeleton=target_thin)
    else:
        by_default = "thinning" if target.ndim == 2 else "soft"
        kind = check_choice("skeleton", skeleton, (*_SKELETONS, None)) or by_default
        if kind == "thinning" and target.ndim != 2:
            msg = (
                f'`skeleton="thinning"` works in two dimensions; got masks of {target.ndim}. Pass "soft", or other '
                "skeletons as `skeletons`."
            )
            raise ValueError(msg)
        thin, target_thin = (_SKELETONS[kind](backend, mask) for mask in (prediction, target))
    with backend.enable_64_bits(prediction, target):
        parts = (thin & target, thin, target_thin & prediction, target_thin)
        return CenterlineCounts(*(_count(backend, part) for part in parts))


@computed_from("centerline_counts(prediction, target)", CenterlineCounts)
def cl_dice(counts: CenterlineCounts, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the centerline Dice, the harmonic mean of the shares of the skeletons inside the other mask.

    .. math:: \frac{2 \, T_{prec} T_{sens}}{T_{prec} + T_{sens}}, \quad T_{prec} = \frac{|S_P \cap T|}{|S_P|}, \quad
        T_{sens} = \frac{|S_T \cap P|}{|S_T|}

    Parameters
    ----------
    counts : CenterlineCounts
        From `centerline_counts`.
    absent : {"skip", "nan"} or float, default "skip"
        The score if both masks are empty: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    array
        Floating array `()`; 0 if only one mask is empty.

    Notes
    -----
    MetricsReloaded returns nan if one mask is empty.

    References
    ----------
    Shit and others, "clDice: a novel topology-preserving loss function for tubular structure segmentation", CVPR
    (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.zeros((5, 9), dtype=bool)
    >>> target[1:4, 1:8] = True
    >>> prediction = target & (np.arange(9) < 5)
    >>> round(float(metrics.cl_dice(metrics.centerline_counts(prediction, target))), 6)
    0.857143
    """

    def score(backend: Backend, counts: CenterlineCounts) -> Score:
        hits, pixels, target_hits, target_pixels = counts
        # 2 / (1 / precision + 1 / sensitivity), without its divisions by 0.
        values, undefined = divide(backend.xp, 2 * hits * target_hits, hits * target_pixels + target_hits * pixels)
        one_empty = (pixels == 0) != (target_pixels == 0)
        missed = (hits == 0) & (target_hits == 0) & (pixels > 0)
        return Score(values, undefined & ~(one_empty | missed))  # the score is 0 where something is missed

    result: Array = compute(counts, score, name="counts", absent=absent)
    return result


@raises_here
def euler_number(mask: Array, *, connectivity: int | None = None) -> Array:
    r"""Return the Euler number of a mask: components, minus tunnels, plus cavities.

    .. math:: \chi = V - E + F - C = \beta_0 - \beta_1 + \beta_2

    with V, E, F and C the numbers of vertices, edges, faces and cells that the pixels have together, and :math:`\beta`
    the `betti_numbers`.

    Parameters
    ----------
    mask : array of bool
        Mask `(*spatial)`, in the plane or in space.
    connectivity : int, optional
        In how many coordinates neighbors may differ: 1 (4 neighbors in the plane, 6 in space), or the number of axes
        (8 and 26), which is the default. The background has the other connectivity.

    Returns
    -------
    array
        Integer `()`.

    Raises
    ------
    ValueError
        If the mask has neither two nor three axes, or the connectivity is neither of the two.
    TypeError
        If the mask is not boolean.

    Notes
    -----
    The number is exact and equals scikit-image's ``euler_number``. It is the sum of local counts, which run on the
    device and under every compiler.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> ring = np.asarray([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    >>> int(metrics.euler_number(ring))
    0
    """
    backend = _check_shapes(mask=mask)
    connectivity = _check_connectivity(mask, connectivity)
    with backend.enable_64_bits(mask):
        return _euler(backend, mask, connectivity)


@raises_here
def betti_numbers(mask: Array, *, connectivity: int | None = None) -> Array:
    r"""Count the components and holes of a mask in the plane, or its components, tunnels and cavities in space.

    .. math:: \beta_0, \quad \beta_{d-1} = \beta_0(\text{background}) - 1, \quad \beta_1 = \beta_0 + \beta_2 - \chi
        \text{ in space}

    Parameters
    ----------
    mask : array of bool
        Mask `(*spatial)`, in the plane or in space.
    connectivity : int, optional
        In how many coordinates neighbors may differ: 1 (4 neighbors in the plane, 6 in space), or the number of axes
        (8 and 26), which is the default. The background, which continues beyond the edge, has the other connectivity.

    Returns
    -------
    array
        Integers `(ndim,)`.

    Raises
    ------
    ValueError
        If the mask has neither two nor three axes, or the connectivity is neither of the two.
    TypeError
        If the mask is not boolean.

    Notes
    -----
    The numbers are exact. SciPy finds the components on the CPU, and cupyx finds those of CuPy arrays. PyTorch and JAX
    use functions of the standard on other devices, and JAX also under ``jax.jit``. The persistent homology of
    likelihoods (Betti matching) is not supported.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> ring = np.asarray([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    >>> metrics.betti_numbers(ring)
    array([1, 1])
    """
    backend = _check_shapes(mask=mask)
    connectivity = _check_connectivity(mask, connectivity)
    xp, other = backend.xp, 1 if connectivity == mask.ndim else mask.ndim
    around = padded(mask, False, range(mask.ndim), xp)
    with backend.enable_64_bits(mask):
        dtype = backend.count_dtype(mask)
        components, outer = (
            xp.astype(xp.max(backend.masks.connected_components(part, connectivity=number)), dtype)
            for part, number in ((around, connectivity), (~around, other))
        )
        if mask.ndim == 2:
            return xp.stack([components, outer - 1])
        tunnels = components + outer - 1 - _euler(backend, mask, connectivity)
        return xp.stack([components, tunnels, outer - 1])


@raises_here
def betti_error(prediction: Array, target: Array, *, connectivity: int | None = None) -> Array:
    r"""Return the differences between the Betti numbers of the prediction and of the target.

    .. math:: |\beta_k(P) - \beta_k(T)|, \quad k = 0, \dots, d - 1

    Parameters
    ----------
    prediction, target : array of bool
        Masks of one image and of one shape `(*spatial)`, in the plane or in space.
    connectivity : int, optional
        As in `betti_numbers`.

    Returns
    -------
    array
        Integers `(ndim,)`. Papers report their sum, or the first and the second, averaged over images or patches.

    Raises
    ------
    ValueError
        If shapes or the connectivity do not fit.
    TypeError
        If array libraries are mixed, or masks are not boolean.

    References
    ----------
    Hu, Li, Samaras and Chen, "Topology-preserving deep image segmentation", NeurIPS (2019).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> ring = np.asarray([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    >>> metrics.betti_error(np.ones_like(ring), ring)
    array([0, 1])
    """
    backend = _check_shapes(prediction=prediction, target=target)
    numbers = [betti_numbers(mask, connectivity=connectivity) for mask in (prediction, target)]
    with backend.enable_64_bits(*numbers):
        return backend.xp.abs(numbers[0] - numbers[1])


@raises_here
def euler_error(prediction: Array, target: Array, *, connectivity: int | None = None) -> Array:
    r"""Return the difference between the Euler numbers of the prediction and of the target.

    .. math:: |\chi(P) - \chi(T)|

    Parameters
    ----------
    prediction, target : array of bool
        Masks of one image and of one shape `(*spatial)`, in the plane or in space.
    connectivity : int, optional
        As in `euler_number`.

    Returns
    -------
    array
        Integer `()`.

    Raises
    ------
    ValueError
        If shapes or the connectivity do not fit.
    TypeError
        If array libraries are mixed, or masks are not boolean.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> ring = np.asarray([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    >>> int(metrics.euler_error(np.ones_like(ring), ring))
    1
    """
    backend = _check_shapes(prediction=prediction, target=target)
    numbers = [euler_number(mask, connectivity=connectivity) for mask in (prediction, target)]
    with backend.enable_64_bits(*numbers):
        return backend.xp.abs(numbers[0] - numbers[1])


_SKELETONS = {"thinning": thinned, "soft": opening_skeleton}


def _euler(backend: Backend, mask: Array, connectivity: int) -> Array:
    """Return the Euler number, from blocks of 2 pixels along some axes and 1 along the others, with alternating signs.

    If neighbors share faces, a block is a cell of the complex whose vertices are the pixels: all its pixels must be
    True. If they may share corners, it is a vertex, an edge or a face of closed pixels: any of its pixels must be True.
    """
    xp = backend.xp
    total = None
    for number in range(mask.ndim + 1):
        for axes in combinations(range(mask.ndim), number):
            blocks = mask
            for axis in axes:
                if connectivity > 1:
                    blocks = padded(blocks, False, [axis], xp)
                length = blocks.shape[axis]
                before, after = slice_axis(blocks, axis, 0, length - 1), slice_axis(blocks, axis, 1, length)
                blocks = before | after if connectivity > 1 else before & after
            count = _count(backend, blocks)
            sign = (-1) ** (mask.ndim - number if connectivity > 1 else number)
            total = sign * count if total is None else total + sign * count
    return total


def _count(backend: Backend, mask: Array) -> Array:
    """Count the True pixels of a mask."""
    return backend.xp.sum(backend.xp.astype(mask, backend.count_dtype(mask)))


def _check_shapes(**masks: Array) -> Backend:
    """Return the adapter of masks in the plane or in space."""
    backend = check_masks(**masks)
    for name, mask in masks.items():
        if mask.ndim not in {2, 3} or 0 in mask.shape:
            msg = f"`{name}` must have two or three axes, none of them empty; got shape {tuple(mask.shape)}."
            raise ValueError(msg)
    return backend


def _check_connectivity(mask: Array, connectivity: int | None) -> int:
    """Return the connectivity of the foreground, which must leave one for the background."""
    found = check_connectivity(connectivity, mask.ndim)
    if found not in {1, mask.ndim}:
        msg = f"`connectivity` must be 1 or {mask.ndim}, that of the background being the other; got {connectivity}."
        raise ValueError(msg)
    return found
