"""Docstring paragraphs that several metrics share; `arrayseg._docs.documented` puts them in.

A name that ends in a kind says for which metrics the paragraph is: ``absent_score`` describes `absent` for a single
score, and ``absent_mean`` for a mean over classes.
"""

from __future__ import annotations

__all__ = ["LABEL_MAPS", "MATRIX"]

LABEL_MAPS = {
    "num_classes": """
        num_classes : int
            The number of classes, C. Labels are 0 to C - 1.
    """,
    "ignore_index": """
        ignore_index : int, optional
            Label of void pixels, in or out of 0 to C - 1. Pixels with this label in the target count nowhere, whatever
            is predicted there. By default every pixel counts.
    """,
    "mask": """
        mask : array of bool, optional
            True where a pixel counts, of the shape of `target`.
    """,
}
"""What the counting functions share."""

MATRIX = {
    "matrix": """
        matrix : array of int
            Confusion matrix of pixel counts, from `confusion_matrix`: rows are the target, columns the prediction.
            Shape `(..., C, C)`.
    """,
    "absent_scores": """
        absent : {"skip", "nan"} or float, default "skip"
            The score of a class that occurs in neither prediction nor target, or whose ratio is 0 / 0. Both ``"skip"``
            and ``"nan"`` give nan here; they differ in means.
    """,
    "absent_mean": """
        absent : {"skip", "nan"} or float, default "skip"
            What to do with a class that occurs in neither prediction nor target, or whose ratio is 0 / 0: leave it out
            of the mean (``"skip"``), let it make the mean nan (``"nan"``), or give it this score.
    """,
    "classes_scores": """
        classes : sequence of int, optional
            The classes to return, in this order. By default all.
    """,
    "classes_mean": """
        classes : sequence of int, optional
            The classes that enter the mean. By default all. Pixels of the others still count as false positives and
            false negatives.
    """,
    "classes_pixels": """
        classes : sequence of int, optional
            Use only pixels whose target and prediction are both among these classes. By default all.
    """,
    "scores": """
        array
            One score for each class, or for each of the `classes`, in float64 where the device has it. Shape
            `(..., C)`.
    """,
    "mean": """
        array
            The mean, in float64 where the device has it; nan if no class is left. Shape `(...)`.
    """,
    "score": """
        array
            One score for each matrix, in float64 where the device has it. Shape `(...)`.
    """,
}
"""What the functions of a confusion matrix share."""
