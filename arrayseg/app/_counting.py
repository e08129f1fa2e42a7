"""The confusion matrix of many pairs of files, read one pair at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arrayseg.app._backend import Placer
from arrayseg.app._pairs import Pair, Problem
from arrayseg.app._readers import LabelMap, UnreadableFileError, map_labels, read_label_map
from arrayseg.backends import backend_of
from arrayseg.metrics import confusion_matrix

__all__ = ["PairCounter"]

# Affines of one scan that two programs wrote differ in the seventh digit; a thousandth of a millimetre moves no voxel.
AFFINE_TOLERANCE = 1e-3


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
        shape, target_shape = prediction.labels.shape, target.labels.shape
        if shape != target_shape:
            message = f"{pair.prediction} has shape {shape} and {pair.target} has shape {target_shape}."
            self.problems.append(Problem("shape", pair, message))
            return
        try:
            self.matrix += self._count(prediction, target)
        except ValueError as error:
            self.problems.append(Problem("label", pair, f"{pair.prediction} against {pair.target}: {error}"))
            return
        self.pairs += 1
        if prediction.affine is not None and target.affine is not None:
            self._compare_affines(pair, prediction.affine, target.affine)

    def _count(self, prediction: LabelMap, target: LabelMap) -> np.ndarray[Any, Any]:
        """The confusion matrix of two label maps as a batch of one."""
        matrix = confusion_matrix(
            self.place(map_labels(prediction.labels, self.prediction_map)[None]),
            self.place(map_labels(target.labels, self.target_map)[None]),
            num_classes=self.num_classes,
            ignore_index=self.ignore_index,
        )
        return backend_of(matrix).to_numpy(matrix)

    def _compare_affines(self, pair: Pair, affine: np.ndarray[Any, Any], target_affine: np.ndarray[Any, Any]) -> None:
        """Warn of two volumes that lie differently in space: their voxels are compared by index all the same."""
        if not np.allclose(affine, target_affine, rtol=0, atol=AFFINE_TOLERANCE):
            self.warnings.append(
                f"{pair.prediction} and {pair.target} have different affines; voxels are compared by their index."
            )
