"""One-to-one assignment by SciPy."""

from __future__ import annotations

import numpy as np

from arrayseg._typing import Array

__all__ = ["assign"]


def assign(rows: Array, columns: Array, scores: Array) -> Array:
    """Return which of the pairs (row, column) to take for the largest sum of their scores.

    No two of these pairs share a row or a column. Time and memory grow with the given pairs, not with all possible
    pairs.

    Parameters
    ----------
    rows, columns : numpy.ndarray of int, shape (P,)
        The pairs, each at most once.
    scores : numpy.ndarray of float, shape (P,)
        Their scores, at least 0.

    Returns
    -------
    numpy.ndarray of bool, shape (P,)
        True for the pairs to take.
    """
    try:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import min_weight_full_bipartite_matching
    except ImportError as error:
        msg = 'One-to-one assignment needs SciPy: pip install "arrayseg[geometry]", or match greedily.'
        raise ImportError(msg) from error
    if not rows.size:
        return np.zeros(0, dtype=bool)
    # SciPy finds a column for every row. A row without a partner takes a column of its own with score 0. All scores are
    # raised by 1 because a sparse matrix drops zeros; that adds the number of rows to every total.
    height, width = int(rows.max()) + 1, int(columns.max()) + 1
    own = np.arange(height)
    # SciPy before 1.15 takes no wider indices. More pairs would not fit in memory.
    indices = [np.concatenate(pair).astype(np.int32) for pair in ((rows, own), (columns, width + own))]
    values = np.concatenate([1 + scores, np.ones(height)])
    matrix = coo_array((values, tuple(indices)), shape=(height, width + height))
    taken = min_weight_full_bipartite_matching(matrix.tocsr(), maximize=True)[1]
    return taken[rows] == columns
