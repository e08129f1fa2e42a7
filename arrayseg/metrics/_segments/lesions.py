"""Match the lesions of two masks, and score those that are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from arrayseg._checks import check_choice, check_connectivity, check_index, check_number, check_spacing, check_static
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Spacing
from arrayseg.backends import Backend, host
from arrayseg.backends.numpy.nearest import nearest_labels
from arrayseg.imaging.morphology import dilate_neighbors
from arrayseg.imaging.segment_overlaps import joint_counts, overlaps
from arrayseg.metrics._compute import AbsentScore, Score, compute, computed_from, divide, to_device
from arrayseg.metrics._inputs import check_masks
from arrayseg.metrics._segments.counts import SegmentCounts

__all__ = ["component_dice", "lesion_score", "match_lesions"]


@raises_here
def match_lesions(
    prediction: Array,
    target: Array,
    *,
    connectivity: int | None = None,
    dilation: int = 0,
    minimum_size: int = 0,
    score: Literal["dice"] | Callable[[Array, Array], Array] = "dice",
) -> SegmentCounts:
    r"""Count the lesions that are found, missed, or wrongly predicted, and add the scores of those found.

    .. math:: TP = \#\{t : t^\delta \cap P \neq \emptyset\}, \quad FN = T - TP, \quad
        FP = \#\{p : p \cap G^\delta = \emptyset\}

    with t the lesions (connected components) of the target mask G, p those of the prediction P, and :math:`\delta` a
    dilation. A found lesion is scored against the union of all predicted lesions that touch it.

    Parameters
    ----------
    prediction, target : array of bool
        Masks of one image and of one shape `(*spatial)`.
    connectivity : int, optional
        In how many coordinates neighbors within a lesion may differ; by default all (8 or 26 neighbors).
    dilation : int, default 0
        How often to dilate the target by the neighbors that differ in up to two coordinates. Lesions that touch after
        the dilation count as one, and a prediction that touches the dilated lesion finds it.
    minimum_size : int, default 0
        Target lesions of at most this many pixels count nowhere, nor does a prediction that touches only them.
    score : "dice" or callable, default "dice"
        ``"dice"``, or a function of two boolean masks that returns one number: the touching lesions of the prediction,
        and the lesion of the target.

    Returns
    -------
    SegmentCounts
        The sum of the scores of the found lesions (floating) and the numbers of TP, FP and FN (integers), `()` each.
        Add images with `arrayseg.metrics.add`.

    Raises
    ------
    ValueError
        If shapes differ, or an option is out of range.
    TypeError
        If array libraries are mixed, masks are not boolean, or a compiler traces the call.

    Notes
    -----
    BraTS 2023 uses ``dilation=3, minimum_size=50`` (metastases and meningioma: 1 and 2), `lesion_score` with
    ``penalty=0`` for Dice, and with ``penalty=374`` for HD95, whose score is::

        def score(prediction, target):
            distances = metrics.surface_distances(prediction, target, definition="surface_element")
            return metrics.hausdorff(distances, percentile=95)

    ISLES 2022 uses the defaults, and `instance_f1`. In both, several predictions of one lesion are no false positives,
    and one prediction may find several lesions. For one-to-one matches by overlap, pass the maps of
    `connected_components` to `match_instances`.

    References
    ----------
    Moawad and others, "The Brain Tumor Segmentation (BraTS-METS) Challenge 2023", arXiv:2306.00838. Hernandez Petzsche
    and others, "ISLES 2022", Scientific Data 9 (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.asarray([[1, 1, 0, 0, 1, 0, 0, 0]], dtype=bool)
    >>> prediction = np.asarray([[0, 1, 0, 0, 0, 0, 0, 1]], dtype=bool)
    >>> counts = metrics.match_lesions(prediction, target)
    >>> int(counts.true_positives), int(counts.false_positives), int(counts.false_negatives)
    (1, 1, 1)
    >>> float(counts.score_sum)
    0.6666666666666666
    """
    dilation = check_index("dilation", dilation, 0)
    minimum_size = check_index("minimum_size", minimum_size, 0)
    if not callable(score):
        check_choice("score", score, ("dice",))
    backend = check_masks(prediction=prediction, target=target)
    xp, connectivity = backend.xp, check_connectivity(connectivity, target.ndim)
    # All axes are treated alike. In the order of the memory, components take two thirds of the time.
    order = backend.memory_order(target)
    back = tuple(order.index(axis) for axis in range(target.ndim))
    prediction, target = (xp.permute_dims(mask, order) for mask in (prediction, target))
    reach = target
    for _ in range(dilation):
        reach = dilate_neighbors(xp, reach, min(2, target.ndim), range(target.ndim))
    found = backend.masks.connected_components(prediction, connectivity=connectivity)
    zones = backend.masks.connected_components(reach, connectivity=connectivity)
    (predicted, zone, actual), pixels = joint_counts(backend, found, zones, target)
    # Predictions against zones. The lesions are the true pixels of the zones; 0 is the background of both.
    table = overlaps([predicted], [zone], pixels)
    table = table.where(table.first[0] != 0, table.second[0] != 0)
    lesions = table.second[0].shape[0]
    sizes = host().counts.bincount(zone, length=lesions + 1, weights=pixels * actual)[1:]
    both = host().counts.bincount(zone, length=lesions + 1, weights=pixels * actual * (predicted != 0))[1:]
    covering = table.per_second(table.first_areas[table.rows])
    kept, hit = sizes > minimum_size, covering > 0
    if score == "dice":
        scores = 2 * both / (sizes + covering)
    else:
        numbers = [0.0] * lesions
        for lesion in table.xp.nonzero(kept & hit)[0].tolist():
            labels = table.first[0][table.rows[table.columns == lesion]]
            touching = xp.isin(found, backend.asarray(labels, dtype=found.dtype, like=found))
            pair = (xp.permute_dims(mask, back) for mask in (touching, target & (zones == lesion + 1)))
            numbers[lesion] = float(score(*pair))
        scores = table.xp.asarray(numbers, dtype=table.xp.float64)
    touches = table.per_first(table.xp.ones_like(table.rows)) > 0
    count = table.xp.count_nonzero
    counts = (table.xp.sum(scores[kept & hit]), count(kept & hit), count(~touches), count(kept & ~hit))
    return SegmentCounts(*(to_device(backend, table.xp.asarray(part), target) for part in counts))


@computed_from("match_lesions(prediction, target)", SegmentCounts)
def lesion_score(counts: SegmentCounts, *, penalty: float = 0.0, absent: AbsentScore = "skip") -> Array:
    r"""Return the mean score of all lesions, including those missed and those wrongly predicted.

    .. math:: \frac{\sum_{TP} score + penalty \cdot (FP + FN)}{TP + FP + FN}

    Parameters
    ----------
    counts : SegmentCounts
        From `match_lesions`.
    penalty : float, default 0.0
        The score of a missed or wrongly predicted lesion: 0 for Dice, or the worst distance (374 in BraTS) for a
        distance.
    absent : {"skip", "nan"} or float, default "skip"
        The score if there is no lesion at all: nan for ``"skip"`` and ``"nan"``, or a number (in BraTS 1 for Dice, and
        0 for a distance).

    Returns
    -------
    array
        Floating array of the shape of the counts.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.SegmentCounts(np.asarray(1.5), np.asarray(2), np.asarray(1), np.asarray(0))
    >>> float(metrics.lesion_score(counts))
    0.5
    """
    penalty = check_number("penalty", penalty)

    def mean(backend: Backend, counts: SegmentCounts) -> Score:
        total, hits, extra, missed = counts
        return divide(backend.xp, total + penalty * (extra + missed), hits + extra + missed)

    result: Array = compute(counts, mean, name="counts", absent=absent, signed=("score_sum",))
    return result


@raises_here
def component_dice(
    prediction: Array,
    target: Array,
    *,
    connectivity: int | None = None,
    spacing: Spacing = 1.0,
) -> Array:
    r"""Return the Dice score within the Voronoi cell of each component of the target.

    .. math:: \frac{2 |P \cap G \cap V_k|}{|P \cap V_k| + |G \cap V_k|}, \quad
        V_k = \{x : d(x, g_k) \leq d(x, g_j) \ \forall j\}

    Parameters
    ----------
    prediction, target : array of bool
        Masks of one image and of one shape `(*spatial)`.
    connectivity : int, optional
        In how many coordinates neighbors within a component may differ; by default all (8 or 26 neighbors).
    spacing : float or sequence of float, default 1.0
        The distance between neighboring pixels, along every axis or along each.

    Returns
    -------
    array
        Floating array `(K,)`, one score for each component of the target, in the order of `connected_components`. It is
        empty if the target is. CC-Dice is its mean.

    Raises
    ------
    ValueError
        If shapes or options do not fit.
    TypeError
        If array libraries are mixed, masks are not boolean, or a compiler traces the call.

    Notes
    -----
    Because each component has its own score, a large one does not outweigh small ones. A pixel that is equally near to
    several components belongs to the first of them; in MONAI (``DiceMetric`` with ``per_component=True``), SciPy's
    transform decides. The cells are computed on the host, only for predicted pixels outside the target.

    References
    ----------
    Jaus and others, "Every component counts: rethinking the measure of success for medical semantic segmentation in
    multi-instance segmentation tasks", AAAI (2025).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target = np.asarray([[1, 1, 0, 0, 0, 1]], dtype=bool)
    >>> prediction = np.asarray([[1, 0, 0, 0, 1, 1]], dtype=bool)
    >>> metrics.component_dice(prediction, target)
    array([0.66666667, 0.66666667])
    """
    backend = check_masks(prediction=prediction, target=target)
    check_static("spacing", spacing)
    steps = check_spacing(spacing, target.ndim)
    connectivity = check_connectivity(connectivity, target.ndim)
    if not backend.is_concrete(prediction, target):
        msg = (
            "The number of components depends on the target, so no compiler can trace this function. Call it outside "
            "the compiled function."
        )
        raise TypeError(msg)
    predicted, actual = (backend.to_numpy(mask) for mask in (prediction, target))
    parts = backend.to_numpy(backend.masks.connected_components(target, connectivity=connectivity))
    number = int(parts.max()) if parts.size else 0
    # Pixels of the target are in their own cell; of the others, those of the prediction alone are counted.
    outside = predicted & ~actual if number else predicted & False
    cells = nearest_labels(outside, parts, number, steps, host().masks.nearest_distances)
    of_target, of_both, beyond = (
        host().counts.bincount(labels, length=number + 1)[1:]
        for labels in (parts[actual], parts[actual & predicted], cells)
    )
    score = 2 * of_both / (of_target + of_both + beyond)
    return backend.xp.astype(to_device(backend, score, target), backend.sum_dtype(target), copy=False)
