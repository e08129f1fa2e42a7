"""Define the counts of matched and unmatched segments."""

from __future__ import annotations

from typing import NamedTuple

from arrayseg._typing import Array

__all__ = ["SegmentCounts"]


class SegmentCounts(NamedTuple):
    """The counts of matched and unmatched segments of each class or threshold, which `arrayseg.metrics.add` adds.

    Parameters
    ----------
    score_sum : array
        Floating array, the sum of the scores (IoU) of the matched segments.
    true_positives : array of int
        Integers of its shape, the matched segments.
    false_positives : array of int
        Segments of the prediction without a match.
    false_negatives : array of int
        Segments of the target without a match.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> counts = metrics.SegmentCounts(np.asarray(1.5), np.asarray(2), np.asarray(1), np.asarray(0))
    >>> metrics.add(counts, counts).true_positives
    np.int64(4)
    """

    score_sum: Array
    true_positives: Array
    false_positives: Array
    false_negatives: Array
