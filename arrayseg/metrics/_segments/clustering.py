"""Compare two label maps as clusterings of the pixels, independently of the names of the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from arrayseg._checks import check_choice, check_index, check_number, check_static
from arrayseg._errors import raises_here
from arrayseg._typing import Array, Namespace
from arrayseg.backends import Backend, backend_of, common_backend, host
from arrayseg.backends.labels import equals
from arrayseg.imaging.segment_overlaps import joint_counts, overlaps
from arrayseg.metrics._compute import (
    AbsentScore,
    compute,
    computed_from,
    divide,
    map_arrays,
    nonzero,
    ratio,
    replace_undefined,
    square_root,
    to_device,
)
from arrayseg.metrics._confusion.matrix import confusion_matrix
from arrayseg.metrics._inputs import check_boolean, check_image_maps

__all__ = [
    "AdaptedRandError",
    "ContingencyTable",
    "VariationOfInformation",
    "adapted_rand_error",
    "adjusted_rand_index",
    "contingency_table",
    "normalized_mutual_information",
    "variation_of_information",
]


class ContingencyTable(NamedTuple):
    """The pairs of labels that meet at a pixel; tables of parts of an image add with `arrayseg.metrics.add`.

    Parameters
    ----------
    target_labels : array of int
        Integers `(K,)`, the label in the target of each pair; uint64 for maps of uint64.
    prediction_labels : array of int
        Integers `(K,)`, the label in the prediction of each pair.
    counts : array of int
        Integers `(K,)`, the pixels of each pair. A pair may be listed more than once.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> part = metrics.contingency_table(np.asarray([[5, 5, 9]]), np.asarray([[1, 1, 1]]))
    >>> metrics.add(part, part).counts
    array([2, 1, 2, 1])
    """

    target_labels: Array
    prediction_labels: Array
    counts: Array

    def merged(self, other: ContingencyTable) -> ContingencyTable:
        """Return the pairs of both tables; `arrayseg.metrics.add` adds tables with different labels this way."""
        backend = common_backend(table=self.counts, other=other.counts)
        for name, part, added in zip(self._fields, self, other, strict=True):
            if part.dtype != added.dtype:
                msg = (
                    f"`{name}` of tables to add must have one dtype; got {part.dtype} and {added.dtype}. Cast the maps."
                )
                raise TypeError(msg)
        with backend.enable_64_bits(*self, *other):
            return ContingencyTable(*(backend.xp.concat(pair) for pair in zip(self, other, strict=True)))


class VariationOfInformation(NamedTuple):
    """Variation of information and its two parts, in bits.

    Parameters
    ----------
    split : array
        The entropy of the prediction given the target: what false splits add.
    merge : array
        The entropy of the target given the prediction: what false merges add.
    total : array
        Their sum.

    Examples
    --------
    >>> from arrayseg import metrics
    >>> metrics.VariationOfInformation(split=0.5, merge=0.25, total=0.75).merge
    0.25
    """

    split: Array
    merge: Array
    total: Array


class AdaptedRandError(NamedTuple):
    """Adapted Rand error with the precision and the recall of the pairs of pixels.

    Parameters
    ----------
    error : array
        One minus the weighted harmonic mean of the two.
    precision : array
        The share of the pairs of pixels with one label in the prediction that also have one label in the target.
    recall : array
        The share of the pairs of pixels with one label in the target that also have one label in the prediction.

    Examples
    --------
    >>> from arrayseg import metrics
    >>> metrics.AdaptedRandError(error=0.2, precision=0.8, recall=0.8).error
    0.2
    """

    error: Array
    precision: Array
    recall: Array


#: Decorates the functions of a contingency table.
table_score = computed_from(
    "contingency_table(prediction, target)",
    ContingencyTable,
    or_array=True,
    paragraphs={
        "table": """
            table : ContingencyTable or array of int
                From `contingency_table`, or a confusion matrix `(C, C)`.
        """,
    },
)

Table: TypeAlias = Array | ContingencyTable
Formula: TypeAlias = Callable[[Namespace, Array, Array, Array, Array], Any]


@raises_here
def contingency_table(
    prediction: Array,
    target: Array,
    *,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    mask: Array | None = None,
) -> Table:
    r"""Count the pixels that each label of the target shares with each label of the prediction.

    .. math:: n_{tp} = \#\{i : \text{target}_i = t,\ \text{prediction}_i = p\}

    Parameters
    ----------
    prediction : array of int
        Labels, of any shape.
    target : array of int
        Labels of the same shape.
    num_labels : int, optional
        The number of labels, C, if they are 0 to C - 1. The table is then the confusion matrix. By default labels are
        arbitrary, and the pairs that occur are listed.
    ignore_index : int, optional
        Label of void pixels in the target, which count nowhere. By default every pixel counts.
    mask : array of bool, optional
        True where a pixel counts, of the same shape.

    Returns
    -------
    Array or ContingencyTable
        With `num_labels`, integers `(C, C)` whose rows are the target. Otherwise a list of the pairs that occur.

    Raises
    ------
    ValueError
        If the shapes differ, or a label is out of range.
    TypeError
        If array libraries are mixed, labels are not integers, the mask is not boolean, or a compiler traces the call
        without `num_labels`.

    Notes
    -----
    With `num_labels` a compiler can trace it. Without, the shape of the table depends on the labels: the device counts
    the pixels, and the host lists the pairs. Memory grows with the pairs that occur, not with all possible pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([[7, 7, 7, 9]]), np.asarray([[1, 1, 2, 2]])
    >>> metrics.contingency_table(prediction, target).counts
    array([2, 1, 1])
    """
    if num_labels is not None:
        return confusion_matrix(prediction, target, num_classes=num_labels, ignore_index=ignore_index, mask=mask)
    backend = check_image_maps(prediction=prediction, target=target, mask=mask)
    check_boolean(backend, mask=mask)
    maps = [target, prediction] if mask is None else [target, prediction, mask]
    columns, counts = joint_counts(backend, *maps)
    kept = counts > 0
    if ignore_index is not None:
        kept = ~equals(host(), columns[0], check_index("ignore_index", ignore_index))
    if mask is not None:
        kept = kept & (columns[2] != 0)
    return ContingencyTable(*(to_device(backend, column[kept], target) for column in (*columns[:2], counts)))


@table_score
def adjusted_rand_index(table: Table, *, absent: AbsentScore = "skip") -> Array:
    r"""Return the adjusted Rand index, the agreement about pairs of pixels beyond chance.

    .. math:: \frac{\sum_{tp} \binom{n_{tp}}{2} - E}{\frac12 \left(\sum_t \binom{n_t}{2} + \sum_p \binom{n_p}{2}\right)
        - E}, \quad E = \sum_t \binom{n_t}{2} \sum_p \binom{n_p}{2} \Big/ \binom{n}{2}

    Parameters
    ----------
    {table}
    absent : {"skip", "nan"} or float, default "skip"
        The score if both maps have one label, or if no two pixels share a label (0 / 0): nan for ``"skip"`` and
        ``"nan"``, or a number (scikit-learn: 1).

    Returns
    -------
    array
        Floating array `()`.

    References
    ----------
    Hubert and Arabie, "Comparing partitions", Journal of Classification 2 (1985).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([0, 0, 1, 1]), np.asarray([0, 0, 1, 2])
    >>> round(float(metrics.adjusted_rand_index(metrics.contingency_table(prediction, target))), 6)
    0.571429
    """

    def formula(xp: Namespace, joint: Array, actual: Array, predicted: Array, total: Array) -> Array:
        # As shares of all pairs: numbers of pairs would be beyond 2^63 from 3e9 pixels on.
        together, in_target, in_prediction = _pairs(xp, joint, actual, predicted, total)
        expected = in_target * in_prediction
        return ratio(xp, together - expected, (in_target + in_prediction) / 2 - expected, absent)

    result: Array = _compute(table, formula, absent)
    return result


@table_score
def variation_of_information(table: Table, *, absent: AbsentScore = "skip") -> VariationOfInformation:
    r"""Return the variation of information in bits, with its parts for false splits and false merges.

    .. math:: VI = \underbrace{H(P|T)}_{split} + \underbrace{H(T|P)}_{merge}, \quad
        H(P|T) = \sum_{tp} \frac{n_{tp}}{n} \log_2 \frac{n_t}{n_{tp}}

    Parameters
    ----------
    {table}
    absent : {"skip", "nan"} or float, default "skip"
        The result if there is no pixel: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    VariationOfInformation
        Floating arrays `()`, 0 for maps that agree up to the labels' names.

    Notes
    -----
    Scikit-image's ``variation_of_information(target, prediction)`` returns split and merge, in this order.

    References
    ----------
    Meilă, "Comparing clusterings: an information based distance", Journal of Multivariate Analysis 98 (2007).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([0, 0, 1, 1]), np.asarray([0, 0, 1, 2])
    >>> float(metrics.variation_of_information(metrics.contingency_table(prediction, target)).split)
    0.5
    """

    def formula(xp: Namespace, joint: Array, actual: Array, predicted: Array, total: Array) -> VariationOfInformation:
        split, merge = (_bits(xp, joint, total, part / nonzero(xp, joint)) for part in (actual, predicted))
        return VariationOfInformation(split, merge, split + merge)

    result: VariationOfInformation = _compute(table, formula, absent)
    return result


@table_score
def adapted_rand_error(table: Table, *, alpha: float = 0.5, absent: AbsentScore = "skip") -> AdaptedRandError:
    r"""Return the adapted Rand error, one minus the F score of the pairs of pixels.

    .. math:: 1 - \frac{\sum_{tp} \binom{n_{tp}}{2}}{\alpha \sum_p \binom{n_p}{2} + (1 - \alpha) \sum_t \binom{n_t}{2}}

    Parameters
    ----------
    table : ContingencyTable or array of int
        From `contingency_table`, or a confusion matrix `(C, C)`; with ``ignore_index=0`` for the challenges' rule that
        the target's background counts nowhere.
    alpha : float, default 0.5
        The weight of precision against recall, in [0, 1].
    absent : {"skip", "nan"} or float, default "skip"
        The three numbers where they are 0 / 0: nan for ``"skip"`` and ``"nan"``, or a number.

    Returns
    -------
    AdaptedRandError
        Floating arrays `()`.

    Raises
    ------
    ValueError
        If `alpha` is out of range.

    Notes
    -----
    Scikit-image ignores the target's label 0 by default, and calls precision what is recall here, and the other way
    round; the error is the same at ``alpha=0.5``.

    References
    ----------
    Arganda-Carreras and others, "Crowdsourcing the creation of image segmentation algorithms for connectomics",
    Frontiers in Neuroanatomy 9 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([0, 0, 1, 1]), np.asarray([0, 0, 1, 2])
    >>> result = metrics.adapted_rand_error(metrics.contingency_table(prediction, target))
    >>> round(float(result.error), 6), float(result.precision), float(result.recall)
    (0.333333, 1.0, 0.5)
    """
    check_static("alpha", alpha)
    alpha = check_number("alpha", alpha, 0, 1)

    def formula(xp: Namespace, joint: Array, actual: Array, predicted: Array, total: Array) -> AdaptedRandError:
        together, in_target, in_prediction = _pairs(xp, joint, actual, predicted, total)
        f_score, undefined = divide(xp, together, alpha * in_prediction + (1 - alpha) * in_target)
        return AdaptedRandError(
            replace_undefined(xp, 1 - f_score, absent, where=undefined),
            ratio(xp, together, in_prediction, absent),
            ratio(xp, together, in_target, absent),
        )

    result: AdaptedRandError = _compute(table, formula, absent)
    return result


@table_score
def normalized_mutual_information(
    table: Table,
    *,
    average: Literal["arithmetic", "geometric", "min", "max", "joint"] = "arithmetic",
    absent: AbsentScore = "skip",
) -> Array:
    r"""Return the mutual information of the two labelings, divided by an average of their entropies.

    .. math:: \frac{I(T; P)}{\operatorname{average}(H(T), H(P))}, \quad
        I(T; P) = \sum_{tp} \frac{n_{tp}}{n} \log \frac{n \, n_{tp}}{n_t \, n_p}

    Parameters
    ----------
    {table}
    average : {"arithmetic", "geometric", "min", "max", "joint"}, default "arithmetic"
        The average of the two entropies: their ``"arithmetic"`` or ``"geometric"`` mean, ``"min"``, ``"max"``, or their
        ``"joint"`` entropy.
    absent : {"skip", "nan"} or float, default "skip"
        The score where the entropies are 0, each map having one label: nan for ``"skip"`` and ``"nan"``, or a number
        (scikit-learn: 1).

    Returns
    -------
    array
        Floating array `()`, 1 for maps that agree up to the labels' names.

    Notes
    -----
    Scikit-learn and torchmetrics have the arithmetic mean by default. Scikit-image's function of this name is another
    number, (H(T) + H(P)) / H(T, P), between 1 and 2: one plus ``average="joint"``.

    References
    ----------
    Strehl and Ghosh, "Cluster ensembles", Journal of Machine Learning Research 3 (2002).

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> target, prediction = np.asarray([0, 0, 1, 1]), np.asarray([0, 0, 1, 2])
    >>> float(metrics.normalized_mutual_information(metrics.contingency_table(prediction, target)))
    0.8
    """
    check_choice("average", average, tuple(_AVERAGES))

    def formula(xp: Namespace, joint: Array, actual: Array, predicted: Array, total: Array) -> Array:
        of_target, of_prediction = (_bits(xp, joint, total, total / nonzero(xp, part)) for part in (actual, predicted))
        both = _bits(xp, joint, total, total / nonzero(xp, joint))
        shared = _bits(xp, joint, total, joint / nonzero(xp, actual) * (total / nonzero(xp, predicted)))
        return ratio(xp, shared, _AVERAGES[average](xp, of_target, of_prediction, both), absent)

    result: Array = _compute(table, formula, absent)
    return result


_AVERAGES: dict[str, Callable[[Namespace, Array, Array, Array], Array]] = {
    "arithmetic": lambda xp, first, second, both: (first + second) / 2,
    "geometric": lambda xp, first, second, both: square_root(xp, first * second),
    "min": lambda xp, first, second, both: xp.minimum(first, second),
    "max": lambda xp, first, second, both: xp.maximum(first, second),
    "joint": lambda xp, first, second, both: both,
}


def _compute(table: Table, formula: Formula, absent: AbsentScore) -> Any:
    """Return a formula of four counts: the pixels of each pair, of its label in either map, and all pixels."""
    if not isinstance(table, ContingencyTable):
        is_integral = backend_of(table, "table").xp.isdtype(table.dtype, "integral")
        if table.ndim != 2 or not is_integral:
            got = f"{table.dtype} of shape {tuple(table.shape)}"
            msg = f"`table` must be a ContingencyTable or integers (T, P); got {got}."
            raise ValueError(msg)

    def scores(backend: Backend, table: Table) -> Any:
        if isinstance(table, ContingencyTable):
            target, prediction, counts = (backend.to_numpy(part) for part in table)
            pairs = overlaps([target], [prediction], counts)
            parts = (pairs.counts, pairs.first_areas[pairs.rows], pairs.second_areas[pairs.columns])
            xp, dtype = pairs.xp, pairs.xp.float64
        else:
            xp, dtype = backend.xp, backend.sum_dtype(table)
            parts = (table, *(xp.broadcast_to(xp.sum(table, axis=axis, keepdims=True), table.shape) for axis in (1, 0)))
        joint, actual, predicted = (xp.astype(part, dtype) for part in parts)
        total = xp.sum(joint)
        values = formula(xp, joint, actual, predicted, total)
        return map_arrays(lambda value: replace_undefined(xp, value, absent, where=total == 0), values)

    return compute(
        table,
        scores,
        name="table",
        absent=absent,
        as_integers=True,
        signed=("target_labels", "prediction_labels"),
        on_host=isinstance(table, ContingencyTable),
    )


def _pairs(xp: Namespace, joint: Array, actual: Array, predicted: Array, total: Array) -> tuple[Array, Array, Array]:
    """Return the shares of all pairs of pixels that have one label in both maps, in the target, in the prediction."""
    together, in_target, in_prediction = (xp.sum(joint * (part - 1)) for part in (joint, actual, predicted))
    everything = total * (total - 1)
    of_target, of_prediction = ratio(xp, in_target, everything, 0.0), ratio(xp, in_prediction, everything, 0.0)
    return ratio(xp, together, everything, 0.0), of_target, of_prediction


def _bits(xp: Namespace, joint: Array, total: Array, factor: Array) -> Array:
    """Return the mean over the pixels of the binary logarithm of a factor, which each pair of labels has."""
    there = joint > 0
    logarithm = xp.log2(xp.where(there, factor, xp.ones_like(factor)))
    return ratio(xp, xp.sum(xp.where(there, joint * logarithm, xp.zeros_like(joint))), total, 0.0)
