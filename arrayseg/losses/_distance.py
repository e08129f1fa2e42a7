"""Distance-map losses: weight pixels by their distance to the boundaries of the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Unpack

from arrayseg._checks import check_choice, check_index, check_number, check_spacing
from arrayseg._typing import Array, Spacing
from arrayseg.backends import Backend, common_backend
from arrayseg.backends.axes import shift
from arrayseg.engine.activations import whole_block
from arrayseg.engine.block import Block
from arrayseg.engine.plan import Plan
from arrayseg.engine.region_scores import Cells, Derivatives, inverse_of
from arrayseg.engine.region_term import RegionTerm
from arrayseg.engine.sweep import Sweep, Term
from arrayseg.imaging import distance_fields
from arrayseg.imaging.soft_morphology import Primitive
from arrayseg.losses._api import loss
from arrayseg.losses._dice import Smooth, ratio, region_term
from arrayseg.losses._inputs import prepare
from arrayseg.losses._options import RegionKeywords, RegionOptions

__all__ = [
    "BoundaryTerm",
    "ErosionTerm",
    "FieldDiceTerm",
    "HausdorffTerm",
    "boundary",
    "distance_weighted_dice",
    "erosions",
    "hausdorff_distance_transform",
    "hausdorff_erosion",
    "log_hausdorff_distance_transform",
    "log_one_plus",
    "mean_amount",
]


def mean_amount(cells: Cells, xp: Any) -> tuple[Array, Derivatives]:
    """Return the mean over pixels of the only amount, and its derivative."""
    inverse = inverse_of(cells.pixels, xp)
    return cells.hit * inverse, (inverse,)


def log_one_plus(value: Array, xp: Any) -> tuple[Array, Array]:
    """Return log(1 + value) and its derivative."""
    return xp.log1p(value), 1 / (1 + value)


@dataclass(frozen=True, kw_only=True)
class FieldTerm(RegionTerm):
    """A region term whose amounts depend on a given map, such as distances."""

    field: Array
    """The map, `(N, C, S)`, in the compute dtype."""

    has_own_amounts = True

    def block_field(self, block: Block) -> Array:
        """Return the map for this block, 0 at pixels that are not valid, `(B, C, P)`."""
        return block.where_valid(self.field[block.image_slice, :, block.pixel_slice])


@dataclass(frozen=True, kw_only=True)
class BoundaryTerm(FieldTerm):
    """The term of the boundary loss: probabilities times the map."""

    cells = 1

    def amounts(self, block: Block) -> tuple[Array, ...]:
        return (block.where_valid(block.probabilities) * self.block_field(block),)

    def derivative(self, block: Block, *by: Array) -> Array:
        return block.where_valid(block.cast(by[0]) * self.block_field(block))


@dataclass(frozen=True, kw_only=True)
class HausdorffTerm(FieldTerm):
    """The term of the Hausdorff losses: squared errors times the map."""

    cells = 1
    needs_probabilities = True

    def amounts(self, block: Block) -> tuple[Array, ...]:
        return (block.where_valid(block.errors) ** 2 * self.block_field(block),)

    def derivative(self, block: Block, *by: Array) -> Array:
        return block.where_valid(2 * block.cast(by[0]) * block.errors * self.block_field(block))


@dataclass(frozen=True, kw_only=True)
class FieldDiceTerm(FieldTerm):
    """The term of Dice whose true positives, false positives and false negatives are multiplied by the map."""

    hits_alone: bool
    """Whether the map multiplies only the true positives."""

    def amounts(self, block: Block) -> tuple[Array, ...]:
        target, outside, field = block.target, block.outside, self.block_field(block)
        probability, complement = block.where_valid(block.probabilities), block.where_valid(block.complements)
        if not self.hits_alone:
            return tuple(cell * field for cell in (probability * target, probability * outside, complement * target))
        hit = probability * target * field
        return hit, probability - hit, target - hit

    def derivative(self, block: Block, *by: Array) -> Array:
        by_hit, by_alarm, by_miss = by
        inside, by_alarm = block.cast(by_hit - by_miss), block.cast(by_alarm)
        target, field = block.target, self.block_field(block)
        if not self.hits_alone:
            return block.where_valid((inside * target + by_alarm * block.outside) * field)
        return block.where_valid((inside - by_alarm) * (target * field) + by_alarm)


@dataclass(frozen=True, kw_only=True)
class ErosionTerm(RegionTerm):
    """The term of the erosion loss: squared errors, with a weight that grows with each erosion they survive."""

    spatial: tuple[int, ...]
    iterations: int
    alpha: float

    whole_images = True
    cells = 1
    has_own_amounts = True
    needs_probabilities = True

    def amounts(self, block: Block) -> tuple[Array, ...]:
        eroded, _ = self._eroded(block)
        return (block.where_valid(eroded),)

    def pull(self, block: Block, state: tuple[Array, ...]) -> Array:
        by_hit = block.cast(state[0])[block.image_slice, ...]
        _, pull_back = self._eroded(block)
        ones = block.xp.ones_like(block.probabilities)
        return block.pull_back(block.where_valid(pull_back(block.where_valid(block.weighted(ones * by_hit)))))

    def _eroded(self, block: Block) -> Primitive:
        xp = block.xp
        error = block.where_valid(block.errors)
        shape = (block.images, block.classes, *self.spatial)
        value, pull_back = erosions(xp.reshape(error**2, shape), self.iterations, self.alpha, xp)

        def pull(cotangent: Array) -> Array:
            return 2 * error * xp.reshape(pull_back(xp.reshape(cotangent, shape)), error.shape)

        return xp.reshape(value, error.shape), pull


def erosions(array: Array, iterations: int, alpha: float, xp: Any) -> Primitive:
    """Return the sum over k of k^alpha times the map eroded k times, and its pull-back, `(B, C, *spatial)`.

    An erosion averages each element with its neighbors along the axes, subtracts 0.5, clips at 0, and rescales every
    image and class to the range 0 to 1. Elements outside the image count as 0.
    """
    axes = tuple(range(2, array.ndim))
    total, pulls = xp.zeros_like(array), []
    for _ in range(iterations):
        array, pull = _eroded_once(array, axes, xp)
        pulls.append(pull)
        total = total + float(len(pulls)) ** alpha * array

    def pull_all(cotangent: Array) -> Array:
        result = xp.zeros_like(cotangent)
        for number in range(iterations, 0, -1):
            result = pulls[number - 1](result + float(number) ** alpha * cotangent)
        return result

    return total, pull_all


def _eroded_once(array: Array, axes: tuple[int, ...], xp: Any) -> Primitive:
    mean = _cross_mean(array, axes, xp)
    below = mean <= 0.5
    reduced = xp.where(below, xp.zeros_like(mean), mean - 0.5)
    if not axes or 0 in array.shape:
        return reduced, lambda cotangent: xp.where(below, xp.zeros_like(cotangent), cotangent)
    least, greatest = (extreme(reduced, axis=axes, keepdims=True) for extreme in (xp.min, xp.max))
    spread = greatest - least
    flat = spread == 0
    inverse = 1 / xp.where(flat, xp.ones_like(spread), spread)
    value = xp.where(flat, reduced, (reduced - least) * inverse)

    def pull(cotangent: Array) -> Array:
        # Elements that tie for the minimum or maximum share its derivative, as in the libraries' own `min` and `max`.
        zero = xp.zeros_like(spread)
        by_spread = -xp.sum(cotangent * value, axis=axes, keepdims=True) * inverse
        by_least = xp.where(flat, zero, -xp.sum(cotangent, axis=axes, keepdims=True) * inverse - by_spread)
        result = cotangent * inverse
        for extreme, by_extreme in ((least, by_least), (greatest, xp.where(flat, zero, by_spread))):
            ties = xp.astype(reduced == extreme, cotangent.dtype)
            result = result + ties * (by_extreme / xp.sum(ties, axis=axes, keepdims=True))
        return _cross_mean(xp.where(below, xp.zeros_like(result), result), axes, xp)

    return value, pull


def _cross_mean(array: Array, axes: tuple[int, ...], xp: Any) -> Array:
    """Average each element with its neighbors along the axes, with 0 outside the image.

    The operation is its own pull-back. An axis of one element has no neighbors, so an image and a volume of one slice
    are eroded in the same way.
    """
    long = [axis for axis in axes if array.shape[axis] > 1]
    total = array
    for axis in long:
        total = total + shift(array, axis, 1, xp) + shift(array, axis, -1, xp)
    return total / (2 * len(long) + 1)


Binarize = Literal["threshold", "argmax"]
Sides = Literal["both", "inside"]

#: Options of region losses that do not apply to losses with a map.
WITHOUT = ("soft_tp",)


class FieldBatch:
    """The batch of a region loss that uses maps: it makes the class masks and brings maps into canonical form."""

    def __init__(self, input: Array, target: Array, field: Array | None, options: RegionOptions) -> None:
        self.input, self.options = input, options
        self.layout, batch = prepare(input, target, options)
        self.batch = batch.with_unknown_targets()
        self.backend: Backend = self.batch.backend
        self.spatial = self.layout.rows_shape[1:]
        self.given = field
        if field is not None:
            common_backend(input=input, field=field)
            if tuple(field.shape) != self.layout.shape:
                msg = (
                    f"`field` must have one value per class in the shape of `input`, {self.layout.shape}; got shape "
                    f"{tuple(field.shape)}. The functions of arrayseg.distance_maps create such maps."
                )
                raise ValueError(msg)

    def masks(self) -> Array:
        """Return the mask of each class in the target, boolean `(N, C, *spatial)`."""
        block = whole_block(self.batch)
        return self._shaped(block.one_hot if self.batch.has_ids else block.target > 0.5)

    def predicted_masks(self, binarize: Binarize) -> Array:
        """Return the mask of each predicted class, boolean `(N, C, *spatial)`, without a gradient."""
        xp = self.backend.xp
        constant = replace(self.batch, logits=self.backend.stop_gradient(self.batch.logits))
        block = whole_block(constant)
        if binarize == "threshold":
            return self._shaped(block.where_valid(block.probabilities) > 0.5)
        classes = xp.arange(block.classes, dtype=self.backend.count_dtype(block.logits), device=block.device)
        best = xp.astype(xp.argmax(block.logits, axis=1, keepdims=True), classes.dtype)
        is_best = best == classes[None, :, None]
        return self._shaped(is_best if block.valid is None else is_best & block.valid[:, None, :])

    def rows(self, field: Array) -> Array:
        """Return a map as `(N, C, S)` in the compute dtype, from the shape of the input or from `(N, C, *spatial)`."""
        xp = self.backend.xp
        if field is self.given:
            rows = self.layout.canonical(self.backend.stop_gradient(field), xp)
        else:
            rows = xp.reshape(field, self.batch.shape)
        return xp.astype(rows, self.batch.compute_dtype, copy=False)

    def plan(self, make: Callable[..., Term], **own: Any) -> Sweep:
        """Return the plan of a region loss. `make` creates its term from the keywords in `own`."""
        term = region_term(self.options, self.layout, make, **own)
        return Sweep(self.input, self.layout, self.batch, [term], [1.0])

    def _shaped(self, array: Array) -> Array:
        return self.backend.xp.reshape(array, (*self.batch.shape[:2], *self.spatial))


#: Highest power of a distance. It gives the tenth erosion a weight of 1e30, which still fits float32.
HIGHEST_POWER = 30


def hausdorff_plan(
    input: Array,
    target: Array,
    field: Array | None,
    alpha: float,
    spacing: Spacing,
    binarize: Binarize,
    sides: Sides,
    one_sided: bool,
    outer: Any,
    options: RegionOptions,
) -> Sweep:
    """Return the plan of a Hausdorff distance loss."""
    alpha = check_number("alpha", alpha, 0, HIGHEST_POWER, above=True)
    check_choice("binarize", binarize, Binarize)
    check_choice("sides", sides, Sides)
    prepared = FieldBatch(input, target, field, options)
    steps = check_spacing(spacing, len(prepared.spatial))
    both = sides == "both"
    if field is None:
        field = distance_fields.distance(prepared.masks(), steps, prepared.backend, both_sides=both)
    distances = prepared.rows(field) ** alpha
    if not one_sided:
        predicted = distance_fields.distance(
            prepared.predicted_masks(binarize), steps, prepared.backend, both_sides=both
        )
        distances = distances + prepared.rows(predicted) ** alpha
    return prepared.plan(HausdorffTerm, score=mean_amount, field=distances, outer=outer)


@loss(RegionOptions, without=WITHOUT)
def boundary(
    input: Array,
    target: Array,
    *,
    field: Array | None = None,
    spacing: Spacing = 1.0,
    inside_offset: float = 1.0,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the boundary loss, also called surface loss: probabilities times signed distances to the boundary.

    .. math:: \ell = \frac{1}{|\Omega|} \sum_i p_i\, \phi_i, \qquad
       \phi_i = d_i \text{ outside the target}, \; -(d_i - o) \text{ inside}

    d is the Euclidean distance to the nearest pixel on the other side of the boundary. A class that covers no pixel or
    all pixels has distances of 0.

    Parameters
    ----------
    {input_spatial}
    {target_mask}
    field : array, optional
        Precomputed signed distances, in the shape of `input`. A data loader can create them with
        `arrayseg.distance_maps.signed_distance_map`. By default they are computed here.
    {spacing}
        Not used with a `field`.
    inside_offset : float, default 1.0
        o, subtracted from the distance inside the target, at least 0; 0 treats both sides alike. Not used with a
        `field`.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The defaults give the same numbers as ``monai.losses.BoundaryLoss(softmax=True, to_onehot_y=True)`` 1.6, which has
    no spacing, and as the authors' code. The loss may be negative: a correct prediction has the lowest value, not 0.
    Add it to a region loss.

    References
    ----------
    Kervadec et al., "Boundary loss for highly unbalanced segmentation" (2019), https://arxiv.org/abs/1812.07032.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import boundary
    >>> target = np.array([[0, 0, 0, 1, 1]])
    >>> exact, shifted = np.array([[0.0, 0, 0, 1, 1], [0, 0, 1, 1, 1]])[:, None]
    >>> float(boundary(exact, target, class_axis=None, activation=None))
    -0.2
    >>> float(boundary(shifted, target, class_axis=None, activation=None))
    0.0
    """
    inside_offset = check_number("inside_offset", inside_offset, 0)
    prepared = FieldBatch(input, target, field, RegionOptions(**options))
    steps = check_spacing(spacing, len(prepared.spatial))
    if field is None:
        field = distance_fields.signed_distance(prepared.masks(), steps, inside_offset, prepared.backend)
    return prepared.plan(BoundaryTerm, score=mean_amount, field=prepared.rows(field))


@loss(RegionOptions, without=WITHOUT)
def hausdorff_distance_transform(
    input: Array,
    target: Array,
    *,
    field: Array | None = None,
    alpha: float = 2.0,
    spacing: Spacing = 1.0,
    binarize: Binarize = "threshold",
    sides: Sides = "both",
    one_sided: bool = False,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the Hausdorff distance loss by distance transforms: errors weighted by their distance to the boundaries.

    .. math:: \ell = \frac{1}{|\Omega|} \sum_i (p_i - t_i)^2 \left(d(p)_i^\alpha + d(t)_i^\alpha\right)

    d(t) and d(p) are the Euclidean distances to the boundaries of the target and of the predicted class. A class that
    covers no pixel or all pixels has distances of 0.

    Parameters
    ----------
    {input_spatial}
    {target_mask}
    {field_distance}
    {alpha_distance}
    {spacing}
    {binarize}
    {sides}
    {one_sided}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    ``exclude_background=True`` gives the numbers of ``monai.losses.HausdorffDTLoss(softmax=True, to_onehot_y=True)``
    1.6, which excludes the background by default. The code of Kervadec et al. uses ``binarize="argmax",
    sides="inside"``. The distances to the predicted boundary have no gradient.

    References
    ----------
    Karimi and Salcudean, "Reducing the Hausdorff distance in medical image segmentation with convolutional neural
    networks" (2019), https://arxiv.org/abs/1904.10030.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import hausdorff_distance_transform
    >>> target = np.array([[0, 0, 0, 0, 1]])
    >>> near, far = np.array([[0.0, 0, 0, 1, 1], [1, 0, 0, 0, 1]])[:, None]
    >>> options = {"class_axis": None, "activation": None}
    >>> near, far = (float(hausdorff_distance_transform(p, target, **options)) for p in (near, far))
    >>> round(near, 4), round(far, 4)
    (0.4, 3.4)
    """
    shared = RegionOptions(**options)
    return hausdorff_plan(input, target, field, alpha, spacing, binarize, sides, one_sided, None, shared)


@loss(RegionOptions, without=WITHOUT)
def log_hausdorff_distance_transform(
    input: Array,
    target: Array,
    *,
    field: Array | None = None,
    alpha: float = 2.0,
    spacing: Spacing = 1.0,
    binarize: Binarize = "threshold",
    sides: Sides = "both",
    one_sided: bool = False,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the logarithm of one plus the Hausdorff distance loss by distance transforms.

    .. math:: \ell = \log\left(1 +
       \frac{1}{|\Omega|} \sum_i (p_i - t_i)^2 \left(d(p)_i^\alpha + d(t)_i^\alpha\right)\right)

    d(t) and d(p) are the Euclidean distances to the boundaries of the target and of the predicted class. A class that
    covers no pixel or all pixels has distances of 0.

    Parameters
    ----------
    {input_spatial}
    {target_mask}
    {field_distance}
    {alpha_distance}
    {spacing}
    {binarize}
    {sides}
    {one_sided}
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    ``exclude_background=True`` gives the numbers of ``monai.losses.LogHausdorffDTLoss(softmax=True, to_onehot_y=True)``
    1.6. The logarithm is applied to the reduced loss, or to every entry with ``reduction="none"``.

    References
    ----------
    Karimi and Salcudean, "Reducing the Hausdorff distance in medical image segmentation with convolutional neural
    networks" (2019), https://arxiv.org/abs/1904.10030.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import log_hausdorff_distance_transform
    >>> target = np.array([[0, 0, 0, 0, 1]])
    >>> near, far = np.array([[0.0, 0, 0, 1, 1], [1, 0, 0, 0, 1]])[:, None]
    >>> options = {"class_axis": None, "activation": None}
    >>> near, far = (float(log_hausdorff_distance_transform(p, target, **options)) for p in (near, far))
    >>> round(near, 4), round(far, 4)
    (0.3365, 1.4816)
    """
    shared = RegionOptions(**options)
    return hausdorff_plan(input, target, field, alpha, spacing, binarize, sides, one_sided, log_one_plus, shared)


@loss(RegionOptions, without=WITHOUT)
def hausdorff_erosion(
    input: Array,
    target: Array,
    *,
    alpha: float = 2.0,
    iterations: int = 10,
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute the Hausdorff distance loss by erosions: squared errors that survive more erosions weigh more.

    .. math:: \ell = \frac{1}{|\Omega|} \sum_i \sum_{k=1}^{K} k^\alpha\, (e_k)_i, \quad e_0 = (p - t)^2, \quad
       e_k = \mathrm{stretch}\left(\max(\bar e_{k-1} - \tfrac12, 0)\right)

    :math:`\bar e` is the mean of a pixel and its neighbors along the axes. "stretch" rescales every image and class to
    the range 0 to 1.

    Parameters
    ----------
    {input_spatial}
    {target}
    alpha : float, default 2.0
        Exponent of the number of erosions, from 0 to 30.
    iterations : int, default 10
        K, the number of erosions, at least 1.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    The value equals ``kornia.losses.HausdorffERLoss`` 0.9 applied to probabilities. A single wrong
    pixel has no weight, because the mean of it and its neighbors is below 1/2. Errors are 0 outside the image.

    References
    ----------
    Karimi and Salcudean, "Reducing the Hausdorff distance in medical image segmentation with convolutional neural
    networks" (2019), https://arxiv.org/abs/1904.10030.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import hausdorff_erosion
    >>> wide, target = np.zeros((1, 9)), np.zeros((1, 9), dtype=int)
    >>> wide[0, 2:7] = 1
    >>> options = {"class_axis": None, "activation": None}
    >>> [round(float(hausdorff_erosion(wide, target, iterations=k, **options)), 4) for k in (1, 2)]
    [0.4074, 1.3457]
    """
    alpha = check_number("alpha", alpha, 0, HIGHEST_POWER)
    iterations = check_index("iterations", iterations, 1)
    prepared = FieldBatch(input, target, None, RegionOptions(**options))
    return prepared.plan(ErosionTerm, score=mean_amount, spatial=prepared.spatial, iterations=iterations, alpha=alpha)


@loss(RegionOptions, without=WITHOUT)
def distance_weighted_dice(
    input: Array,
    target: Array,
    *,
    field: Array | None = None,
    spacing: Spacing = 1.0,
    smooth: Smooth = 1e-5,
    weigh: Literal["all", "hits"] = "all",
    **options: Unpack[RegionKeywords],
) -> Plan:
    r"""Compute a Dice loss whose pixels weigh more near the boundary of the target.

    .. math:: \ell = 1 - \frac{2 \sum w p t + s}{\sum w p + \sum w t + s'}, \qquad
       w = 2 - \frac{d}{\max d} \text{ on each side of the boundary}

    d is the Euclidean distance to the nearest pixel on the other side of the boundary. A class that covers no pixel or
    all pixels has w = 1.

    Parameters
    ----------
    {input_spatial}
    {target_mask}
    field : array, optional
        Precomputed w, or any other non-negative weights, in the shape of `input`. A data loader can create them with
        `arrayseg.distance_maps.boundary_weight_map`. By default they are computed here.
    {spacing}
        Not used with a `field`.
    {smooth}
    weigh : {"all", "hits"}, default "all"
        What the weights multiply: all three sums, or only the true positives.
    {options}

    Returns
    -------
    {returns_pool}

    Raises
    ------
    {raises}

    Notes
    -----
    SegLossOdyssey's ``DistBinaryDiceLoss`` uses ``weigh="hits"``; a correct prediction then has a negative loss. With
    weights of 1 the loss equals `dice`.

    References
    ----------
    Caliva et al., "Distance map loss penalty term for semantic segmentation" (2019), https://arxiv.org/abs/1908.03679.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import distance_weighted_dice
    >>> target = np.array([[0, 0, 0, 1, 1]])
    >>> near, far = np.array([[0.0, 0, 1, 1, 1], [1, 0, 0, 1, 1]])[:, None]
    >>> options = {"class_axis": None, "activation": None}
    >>> near, far = (float(distance_weighted_dice(p, target, **options)) for p in (near, far))
    >>> round(near, 4), round(far, 4)
    (0.25, 0.1667)
    """
    check_choice("weigh", weigh, ("all", "hits"))
    score = ratio(0.5, 0.5, smooth, "double")
    prepared = FieldBatch(input, target, field, RegionOptions(**options))
    steps = check_spacing(spacing, len(prepared.spatial))
    if field is None:
        field = distance_fields.boundary_weights(prepared.masks(), steps, prepared.backend)
    return prepared.plan(FieldDiceTerm, score=score, field=prepared.rows(field), hits_alone=weigh == "hits")
