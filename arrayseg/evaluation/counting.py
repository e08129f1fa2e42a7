"""Add up the confusion matrix of many pairs of files, reading one pair at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from arrayseg.backends import backend_of
from arrayseg.evaluation.geometry import TOLERANCE, describe, displacement
from arrayseg.evaluation.pairing import Pair
from arrayseg.evaluation.placement import Placer
from arrayseg.evaluation.problems import Kind, Problem
from arrayseg.evaluation.readers import LabelMap, Labels, UnreadableFileError, map_labels, mask_suffix, read_label_map
from arrayseg.metrics import confusion_matrix

__all__ = ["PairCounter"]


@dataclass
class PairCounter:
    """The confusion matrix of all pairs so far, with their problems and warnings; the arrays are not kept."""

    num_classes: int
    ignore_index: int | None
    prediction_map: Mapping[int, int]
    target_map: Mapping[int, int]
    place: Placer
    pairs: int = 0
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # NumPy's int64 is exact; a backend may have no 64-bit integers.
        self.matrix = np.zeros((self.num_classes, self.num_classes), dtype=np.int64)

    def add(self, pair: Pair) -> None:
        """Count the pixels of a pair, or record its problem."""
        try:
            prediction, target = map(read_label_map, pair)
        except UnreadableFileError as error:
            self.problems.append(Problem(Kind.UNREADABLE, pair, str(error)))
            return
        problem = find_difference(pair, prediction, target)
        if problem is not None:
            self.problems.append(problem)
            return
        labels = (map_labels(prediction.labels, self.prediction_map), map_labels(target.labels, self.target_map))
        try:
            self.matrix += self._count(*labels)
        except ValueError as error:
            hints = "".join(hint(path, each) for path, each in zip(pair, labels, strict=True))
            self.problems.append(Problem(Kind.LABEL, pair, f"{pair.prediction} against {pair.target}: {error}{hints}"))
            return
        self.pairs += 1
        self._warn_of_unknown_geometry(pair, prediction, target)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, and what is needed to repeat them, as JSON has it."""
        return {
            "prediction_map": self.prediction_map,
            "target_map": self.target_map,
            "pairs": self.pairs,
            "problems": [problem.to_dict() for problem in self.problems],
            "warnings": self.warnings,
            "confusion_matrix": self.matrix.tolist(),
        }

    def _count(self, prediction: Labels, target: Labels) -> np.ndarray[Any, Any]:
        """Return the confusion matrix of two label maps as a batch of one."""
        matrix = confusion_matrix(
            self.place(prediction[None]),
            self.place(target[None]),
            num_classes=self.num_classes,
            ignore_index=self.ignore_index,
        )
        return backend_of(matrix).to_numpy(matrix)

    def _warn_of_unknown_geometry(self, pair: Pair, prediction: LabelMap, target: LabelMap) -> None:
        """Warn about a NIfTI volume whose header has no orientation while its partner's has one."""
        affines = (prediction.affine, target.affine)
        if all(mask_suffix(path.name).startswith(".nii") for path in pair) and any(
            each is not None for each in affines
        ):
            self.warnings += [
                f"{path} does not say how it is oriented (sform and qform code 0), so it is compared by index."
                for path, affine in zip(pair, affines, strict=True)
                if affine is None
            ]


def find_difference(pair: Pair, prediction: LabelMap, target: LabelMap) -> Problem | None:
    """Return the problem of two label maps that differ in shape or in their place in space; None if there is none."""
    shape, affine, target_affine = prediction.labels.shape, prediction.affine, target.affine
    if affine is None or target_affine is None:
        places, apart = ["", ""], 0.0
    else:
        places = [describe(affine), describe(target_affine)]
        apart = displacement(affine, target_affine, shape)
    if shape != target.labels.shape:
        shapes = [shape, target.labels.shape]
        first, second = (
            f"{path} has shape {size}{place and f', {place}'}"
            for path, size, place in zip(pair, shapes, places, strict=True)
        )
        return Problem(Kind.SHAPE, pair, f"{first}; {second}.")
    if apart > TOLERANCE:
        message = (
            f"{pair.prediction} has {places[0]}, and {pair.target} has {places[1]}: they lie up to {apart:.3g} voxels "
            "apart. Resample the prediction to the target; if its header is wrong, save it with the target's affine."
        )
        return Problem(Kind.GEOMETRY, pair, message)
    return None


def hint(path: Path, labels: Labels) -> str:
    """Return how to read a mask of 0 and one large number, such as 255; an empty text for other masks."""
    found = np.unique(labels)
    if found.size > 2 or found.size == 0 or found[-1] < 2 or found[0] not in (0, found[-1]):
        return ""
    return f" If {path} is a mask of 0 and {found[-1]}, read it with --label-map {found[-1]}=1."
