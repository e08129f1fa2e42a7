"""Docstring paragraphs that several metrics share; `arrayseg._docs.documented` puts them in.

A name that ends in a kind says for which metrics the paragraph is: ``absent_score`` describes `absent` for a single
score, and ``absent_mean`` for a mean over classes.
"""

from __future__ import annotations

__all__ = ["LABEL_MAPS", "MATRIX", "SEGMENT_COUNTS", "SURFACE"]

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
    "prediction_or_scores": """
        prediction : array
            Class ids of the shape of `target`, or scores with one more axis, as in `confusion_matrix`.
    """,
    "target_images": """
        target : array of int or bool
            Class ids `(N, *spatial)` with 2 or 3 spatial axes.
    """,
    "mask_like_void": """
        mask : array of bool, optional
            True where a pixel counts, of the shape of `target`. Other pixels are treated like void pixels.
    """,
    "class_axis": """
        class_axis : int, optional
            The axis of the classes in `prediction`, if it holds scores; 1 by default.
    """,
    "errors": """
        ValueError
            If shapes or options do not fit, or if a label that counts is out of range. Under a compiler, such pixels
            belong to no class.
        TypeError
            If array libraries are mixed, ids are not integers, or the mask is not boolean.
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
"""What the functions of a confusion matrix share; those of boundary pixels use some too."""

SURFACE = {
    "distances": """
        distances : SurfaceDistances
            The distances between the two surfaces, from `surface_distances`.
    """,
    "sizes": """
        with w the sizes of the elements, or 1 if the definition of the surface has no sizes.
    """,
    "tolerance": """
        tolerance : float or sequence of float
            The largest distance that counts as near, in the units of the spacing; or K of them. A distance that exceeds
            it by at most a millionth is near too, on every backend and in every dtype.
    """,
    "empty_distance": """
        empty : mapping of str to float or "error", optional
            The value for empty masks. The keys say which mask is empty: ``"both"`` (default nan), only the
            ``"prediction"`` (default inf), or only the ``"target"`` (default inf). The values are numbers, or
            ``"error"`` to raise. Keys that are left out keep their default.
    """,
    "empty_overlap": """
        empty : mapping of str to float or "error", optional
            The value for empty masks. The keys say which mask is empty: ``"both"`` (default nan), only the
            ``"prediction"`` (default 0), or only the ``"target"`` (default 0). The values are numbers, or ``"error"``
            to raise. Keys that are left out keep their default.
    """,
    "distance": """
        array
            Floating array `()`, in the units of the spacing.
    """,
}
"""What the scores of surfaces share."""

SEGMENT_COUNTS = {
    "counts": """
        counts : SegmentCounts
            From `match_instances`, `match_lesions` or `panoptic_counts`, of one image or added over many.
    """,
    "absent": """
        absent : {"skip", "nan"} or float, default "skip"
            The score where it is 0 / 0, as it is without any segment: nan for ``"skip"`` and ``"nan"``, or a number.
    """,
    "score": """
        array
            Floating array of the shape of the counts.
    """,
    "labels": """
        prediction : array of int
            Instance labels `(*spatial)` of one image. They need not be consecutive.
        target : array of int
            Instance labels of the target, of the same shape.
    """,
    "background": """
        background : int or None, default 0
            The label, in both maps, of pixels that belong to no instance. With None every label is an instance.
    """,
    "ignore_index": """
        ignore_index : int, optional
            Label of void pixels in the target, which count nowhere. By default every pixel counts.
    """,
}
"""What the functions of instances, lesions and segments share."""
