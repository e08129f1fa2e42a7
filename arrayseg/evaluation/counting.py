"""The confusion matrix of many pairs of files, read one pair at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from arrayseg.backends import backend_of
from arrayseg.evaluation.geometry import TOLERANCE, describe, displacement
from arrayseg.evaluation.pairing import Pair, Problem
from arrayseg.evaluation.placement import Placer
from arrayseg.evaluation.readers import LabelMap, Labels, UnreadableFileError, map_labels, mask_suffix, read_label_map
from arrayseg.metrics import confusion_matrix

__all__ = ["PairCounter"]


@dataclass
class PairCounter:
    """Counts pair after pair; of a pair, nothing is kept but its counts and what was wrong with it."""

    num_classes: int
    ignore_index: int | None
    prediction_map: Mapping[int, int]
    target_map: Mapping[int, int]
    place: Placer
    pairs: int = 0
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Added on the host in int64: exact, whatever integers the backend has.
        self.matrix = np.zeros((self.num_classes, self.num_classes), dtype=np.int64)

    def add(self, pair: Pair) -> None:
        """Count the pixels of a pair, or note why that is not possible."""
        try:
            prediction, target = map(read_label_map, pair)
        except UnreadableFileError as error:
            self.problems.append(Problem("unreadable", pair, str(error)))
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
            self.problems.append(Problem("label", pair, f"{pair.prediction} against {pair.target}: {error}{hints}"))
            return
        self.pairs += 1
        self._warn_of_unknown_geometry(pair, prediction, target)

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
        """Warn of a NIfTI volume whose header does not say where it lies, although its partner's does."""
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
    """Return what keeps two label maps from being compared by index: another shape, or another place in space."""
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
        return Problem("shape", pair, f"{first}; {second}.")
    if apart > TOLERANCE:
        message = (
            f"{pair.prediction} has {places[0]}, and {pair.target} has {places[1]}: they lie up to {apart:.3g} voxels "
            "apart. Resample the prediction to the target; if its header is wrong, save it with the target's affine."
        )
        return Problem("geometry", pair, message)
    return None


def hint(path: Path, labels: Labels) -> str:
    """Return how to read a mask of 0 and one large number, such as 255; nothing for other masks."""
    found = np.unique(labels)
    if found.size > 2 or found.size == 0 or found[-1] < 2 or found[0] not in (0, found[-1]):
        return ""
    return f" If {path} is a mask of 0 and {found[-1]}, read it with --label-map {found[-1]}=1."
