"""Print the scores of a confusion matrix as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, isnan
from typing import Any

from arrayseg._checks import check_indices, check_sequence
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.metrics._compute import AbsentScore
from arrayseg.metrics._confusion.outcomes import matrix_score
from arrayseg.metrics._confusion.overlap import dice, frequency_weighted_iou, iou, mean_dice, mean_iou
from arrayseg.metrics._confusion.rates import class_accuracy, mean_pixel_accuracy, pixel_accuracy, precision

__all__ = ["ClassScores", "Report", "report"]


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, as Python numbers.

    Parameters
    ----------
    name : str
        The name of the class.
    iou : float
        Intersection over union.
    dice : float
        Dice coefficient.
    accuracy : float
        The fraction of its target pixels that are predicted as it (recall).
    precision : float
        The fraction of the pixels predicted as it that belong to it.
    target_pixels : int
        The pixels of the class in the target.

    Examples
    --------
    >>> from arrayseg import metrics
    >>> metrics.ClassScores("road", iou=0.9, dice=0.947, accuracy=0.95, precision=0.945, target_pixels=100).iou
    0.9
    """

    name: str
    iou: float
    dice: float
    accuracy: float
    precision: float
    target_pixels: int


@dataclass(frozen=True)
class Report:
    """The scores of every class and their means, as Python numbers; `str` and `to_markdown` format them.

    Parameters
    ----------
    classes : tuple of ClassScores
        The scores of each class; nan for a class with neither prediction nor target.
    mean_iou : float
        Mean intersection over union.
    frequency_weighted_iou : float
        Intersection over union, weighted by the target pixels of each class.
    mean_dice : float
        Mean Dice coefficient.
    pixel_accuracy : float
        The fraction of correct pixels.
    mean_pixel_accuracy : float
        Mean of the accuracies of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> report = metrics.report(np.asarray([[3, 1], [2, 4]]), class_names=["road", "sky"])
    >>> report.classes[0].name, report.classes[0].iou
    ('road', 0.5)
    """

    classes: tuple[ClassScores, ...]
    mean_iou: float
    frequency_weighted_iou: float
    mean_dice: float
    pixel_accuracy: float
    mean_pixel_accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """Return the same numbers as dictionaries and lists, ready for JSON; None where a score is nan or infinite."""
        scores: dict[str, Any] = _as_json(asdict(self))
        return scores

    def to_markdown(self) -> str:
        """Return both tables as GitHub Markdown, in percent."""
        return "\n\n".join(_markdown(rows) for rows in self._tables())

    def __str__(self) -> str:
        """Return both tables in columns, in percent."""
        return "\n\n".join(_columns(rows) for rows in self._tables())

    def _tables(self) -> tuple[list[list[str]], list[list[str]]]:
        """Return the rows of the table of classes and of the overall table, titles first."""
        scores = ("iou", "dice", "accuracy", "precision")
        per_class = [[row.name, *(_percent(getattr(row, score)) for score in scores)] for row in self.classes]
        overall = {
            "mIoU": self.mean_iou,
            "FWIoU": self.frequency_weighted_iou,
            "mDice": self.mean_dice,
            "pixel accuracy": self.pixel_accuracy,
            "mean accuracy": self.mean_pixel_accuracy,
        }
        titles = ["class", "IoU", "Dice", "accuracy", "precision"]
        return [titles, *per_class], [list(overall), [_percent(value) for value in overall.values()]]


@matrix_score
def report(
    matrix: Array,
    *,
    class_names: Sequence[str] | None = None,
    absent: AbsentScore = "skip",
    classes: Sequence[int] | None = None,
) -> Report:
    """Return the tables of a paper: the scores of every class, and their means.

    Parameters
    ----------
    matrix : array of int
        Confusion matrix of pixel counts, from `confusion_matrix`: rows are the target, columns the prediction. Shape
        `(C, C)`.
    class_names : sequence of str, optional
        A name for each of the C classes. By default their ids.
    {absent_mean}
    classes : sequence of int, optional
        The classes that enter the table and the means. By default all.

    Returns
    -------
    Report
        The scores as Python numbers. ``str(report)``, ``report.to_markdown()`` and ``report.to_dict()`` show them.

    Raises
    ------
    ValueError
        If there is more than one matrix, or the number of names is not the number of classes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg import metrics
    >>> print(metrics.report(np.asarray([[3, 1], [2, 4]]), class_names=["road", "sky"]))
    class    IoU   Dice  accuracy  precision
    road   50.00  66.67     75.00      60.00
    sky    57.14  72.73     66.67      80.00
    <BLANKLINE>
     mIoU  FWIoU  mDice  pixel accuracy  mean accuracy
    53.57  54.29  69.70           70.00          70.83
    """
    backend = backend_of(matrix, "matrix")
    if matrix.ndim != 2:
        msg = f"`matrix` must be a single confusion matrix (C, C); got shape {tuple(matrix.shape)}. Add or index first."
        raise ValueError(msg)
    count = matrix.shape[0]
    names = [str(label) for label in range(count)]
    if class_names is not None:
        names = [str(name) for name in check_sequence("class_names", class_names, "names, one for each class")]
    if len(names) != count:
        msg = f"`class_names` must hold {count} names, one for each class; got {len(names)}."
        raise ValueError(msg)
    labels = range(count) if classes is None else check_indices("classes", classes, count)
    scores = [
        backend.to_numpy(score(matrix, absent=absent, classes=labels)).tolist()
        for score in (iou, dice, class_accuracy, precision)
    ]
    pixels = backend.to_numpy(matrix).sum(axis=1)[list(labels)].tolist()
    rows = tuple(map(ClassScores, [names[label] for label in labels], *scores, pixels))
    means = (mean_iou, frequency_weighted_iou, mean_dice, pixel_accuracy, mean_pixel_accuracy)
    return Report(rows, *(float(mean(matrix, absent=absent, classes=labels)) for mean in means))


def _as_json(value: Any) -> Any:
    """Return dictionaries and lists that JSON can hold: nan and infinity become None."""
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _percent(value: float) -> str:
    return "-" if isnan(value) else f"{100 * value:.2f}"


def _markdown(rows: list[list[str]]) -> str:
    rule = ["---:"] * len(rows[0])
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def _columns(rows: list[list[str]]) -> str:
    """Return rows in columns, with numbers to the right and a column of class names to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    has_names = rows[0][0] == "class"
    return "\n".join(
        "  ".join(
            cell.ljust(width) if has_names and column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
