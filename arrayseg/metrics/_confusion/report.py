"""The table of a paper, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, isnan
from typing import Any

from arrayseg._checks import check_indices, check_sequence
from arrayseg._typing import Array
from arrayseg.backends import backend_of
from arrayseg.metrics._add import computed_from
from arrayseg.metrics._confusion.outcomes import COUNTING, Absent
from arrayseg.metrics._confusion.overlap import dice, frequency_weighted_iou, iou, mean_dice, mean_iou
from arrayseg.metrics._confusion.rates import class_accuracy, mean_pixel_accuracy, pixel_accuracy, precision

__all__ = ["ClassScores", "Report", "report"]


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, as Python numbers.

    Parameters
    ----------
    name
        The class's name.
    iou
        Intersection over union.
    dice
        Dice coefficient.
    accuracy
        Share of its target pixels that are predicted as it (recall).
    precision
        Share of the pixels predicted as it that are of it.
    target_pixels
        Pixels of the class in the target.

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
    """The scores of every class, and their means, as Python numbers; `str` and `to_markdown` print them.

    Parameters
    ----------
    classes
        The scores of each class; nan for a class with neither prediction nor target.
    mean_iou
        Mean intersection over union.
    frequency_weighted_iou
        Intersection over union, weighted with the target's class frequencies.
    mean_dice
        Mean Dice coefficient.
    pixel_accuracy
        Share of right pixels.
    mean_pixel_accuracy
        Mean of the classes' accuracies.

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
        """Both tables as GitHub Markdown, in percent."""
        return "\n\n".join(_markdown(rows) for rows in self._tables())

    def __str__(self) -> str:
        """Both tables in columns, in percent."""
        return "\n\n".join(_columns(rows) for rows in self._tables())

    def _tables(self) -> tuple[list[list[str]], list[list[str]]]:
        """The rows of the table per class and of the table overall, titles first."""
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


@computed_from(COUNTING)
def report(
    matrix: Array,
    *,
    class_names: Sequence[str] | None = None,
    absent: Absent = "skip",
    classes: Sequence[int] | None = None,
) -> Report:
    """The table that a paper prints: the scores of every class, and their means.

    Parameters
    ----------
    matrix
        Confusion matrix `(C, C)` of pixel counts, rows the target, columns the prediction.
    class_names
        A name for each of the C classes; None: their ids.
    absent
        What a class with neither prediction nor target counts, as in `mean_iou`.
    classes
        The classes that enter the table and the means; None: all.

    Returns
    -------
    Report
        Of Python numbers; ``str(report)``, ``report.to_markdown()`` and ``report.to_dict()`` show it.

    Raises
    ------
    ValueError
        If the matrix is not a single one, or the names are not as many as the classes.

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
    given = range(count) if class_names is None else class_names
    names = [str(name) for name in check_sequence("class_names", given, "names, one for each class")]
    if len(names) != count:
        msg = f"`class_names` must hold {count} names, one for each class; got {len(names)}."
        raise ValueError(msg)
    chosen = range(count) if classes is None else check_indices("classes", classes, count)
    columns = [
        backend.to_numpy(score(matrix, absent=absent, classes=chosen)).tolist()
        for score in (iou, dice, class_accuracy, precision)
    ]
    chosen_names, pixels = (
        [names[label] for label in chosen],
        backend.to_numpy(matrix).sum(axis=1)[list(chosen)].tolist(),
    )
    rows = tuple(map(ClassScores, chosen_names, *columns, pixels))
    means = (mean_iou, frequency_weighted_iou, mean_dice, pixel_accuracy, mean_pixel_accuracy)
    return Report(rows, *(float(mean(matrix, absent=absent, classes=chosen)) for mean in means))


def _as_json(value: Any) -> Any:
    """Return dictionaries and lists of what JSON has: it has no nan and no infinity."""
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
    """The first column of names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    named = rows[0][0] == "class"
    return "\n".join(
        "  ".join(
            cell.ljust(width) if named and place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
