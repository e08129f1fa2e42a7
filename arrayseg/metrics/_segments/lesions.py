"""Match the lesions of two masks, and score those that are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from arrayseg._checks import check_choice, check_connectivity, check_index, check_number, check_spacing, check_static
from arrayseg._errors import raises_here
from arrayseg._typing import Array
from arrayseg.backends import Backend, host
from arrayseg.backends.numpy.nearest import nearest_labels
from arrayseg.imaging.morphology import dilate_neighbors
from arrayseg.imaging.segment_overlaps import joint_counts, overlaps
from arrayseg.metrics._compute import Absent, Score, compute, computed_from, divide, to_device
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
    r"""Lesions of one pair of masks that are found, missed, or predicted where there are none, and their scores.

    .. math:: TP = \#\{t : t^\delta \cap P \neq \emptyset\}, \quad FN = T - TP, \quad
        FP = \#\{p : p \cap G^\delta = \emptyset\}

    with t the lesions (connected components) of the target mask G, p those of the prediction P, and :math:`\delta` a
    dilation. The score of a found lesion is that of all predicted lesions that touch it together.

    Parameters
    ----------
    prediction, target
        Boolean masks `(*spatial)` of one shape.
    connectivity
        In how many coordinates neighbours within a lesion may differ; None, the default: all (8 or 26 neighbours).
    dilation
        How many times the target is dilated, by the neighbours that differ in up to two coordinates: lesions that then
        touch are one, and a prediction that touches the dilated lesion finds it. 0 by default.
    minimum_size
        Target lesions of at most so many pixels count nowhere, nor does a prediction that touches only them.
    score
        ``"dice"`` (default), or a function of two boolean masks, the prediction's lesions and the target's, which gives
        one number.

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
        If libraries are mixed, masks are not boolean, or a compiler traces the call.

    Notes
    -----
    BraTS 2023 has ``dilation=3, minimum_size=50`` (metastases and meningioma: 1 and 2), `lesion_score` with
    ``penalty=0`` for Dice, and with ``penalty=374`` for HD95, whose score is::

        def score(prediction, target):
            distances = metrics.surface_distances(prediction, target, definition="surface_element")
            return metrics.hausdorff(distances, percentile=95)

    ISLES 2022 has the defaults, and `instance_f1`. In both, several predictions of one lesion are no false positives,
    and one prediction may find several lesions; for one-to-one matches by overlap give `match_instances` the maps of
    `connected_components`.

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
    # No axis differs from another here; read along the memory, components take two thirds of the time.
    order = backend.memory_order(target)
    back = tuple(order.index(axis) for axis in range(target.ndim))
    prediction, target = (xp.permute_dims(mask, order) for mask in (prediction, target))
    reach = target
    for _ in range(dilation):
        reach = dilate_neighbors(xp, reach, min(2, target.ndim), range(target.ndim))
    found = backend.masks.connected_components(prediction, connectivity=connectivity)
    zones = backend.masks.connected_components(reach, connectivity=connectivity)
    (predicted, zone, actual), pixels = joint_counts(backend, found, zones, target)
    # Predictions against zones, of which the lesions are the true pixels; 0 is the background of both.
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
def lesion_score(counts: SegmentCounts, *, penalty: float = 0.0, absent: Absent = "skip") -> Array:
    r"""Mean score over all lesions, those missed and those wrongly predicted among them.

    .. math:: \frac{\sum_{TP} score + penalty \cdot (FP + FN)}{TP + FP + FN}

    Parameters
    ----------
    counts
        From `match_lesions`.
    penalty
        The score of a missed or wrongly predicted lesion: 0 (default) for Dice, the worst distance (BraTS: 374) for a
        distance.
    absent
        The score where there is no lesion at all: nan for ``"skip"`` and ``"nan"``, or a number (BraTS: 1 for Dice, 0
        for a distance).

    Returns
    -------
    Array
        Floating array of the counts' shape.

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
    spacing: float | Sequence[float] | None = None,
) -> Array:
    r"""Dice within the Voronoi cell of each component of the target: a large one does not outweigh the small ones.

    .. math:: \frac{2 |P \cap G \cap V_k|}{|P \cap V_k| + |G \cap V_k|}, \quad
        V_k = \{x : d(x, g_k) \leq d(x, g_j) \ \forall j\}

    Parameters
    ----------
    prediction, target
        Boolean masks `(*spatial)` of one shape.
    connectivity
        In how many coordinates neighbours within a component may differ; None, the default: all (8 or 26 neighbours).
    spacing
        Distance between neighbouring pixels along each axis, or one number for all axes; None for 1.

    Returns
    -------
    Array
        Floating array `(K,)`, one number for each component of the target in the order of `connected_components`;
        CC-Dice is its mean. Empty if the target is.

    Raises
    ------
    ValueError
        If shapes or options do not fit.
    TypeError
        If libraries are mixed, masks are not boolean, or a compiler traces the call.

    Notes
    -----
    A pixel that is equally near to several components belongs to the first of them; MONAI (``DiceMetric`` with
    ``per_component=True``) leaves that to SciPy's transform. The cells are found on the host, of the pixels of the
    prediction beyond the target alone.

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
        msg = "The number of components depends on the target, so no compiler can trace this function. Call it outside."
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
