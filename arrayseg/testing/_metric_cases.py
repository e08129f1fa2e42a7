"""Cases of metrics: a table of the statistics and of the metrics that are computed from each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from arrayseg import metrics
from arrayseg._typing import Array
from arrayseg.testing._cases import Case

__all__ = ["metric_cases"]


def metric_cases(*, seed: int = 0) -> list[Case]:
    """Return cases of every metric of `arrayseg.metrics` and of every statistic that metrics use.

    Parameters
    ----------
    seed : int, default 0
        Seed of the random maps.

    Returns
    -------
    list of Case
        Cases with a prediction and a target of 11 x 13 pixels: label maps with a void label and an absent class,
        probabilities and a label map, or masks of detections.

    Examples
    --------
    >>> from arrayseg.testing import metric_cases
    >>> {"confusion_matrix", "mean_iou", "hausdorff"} <= {case.name for case in metric_cases()}
    True
    """
    labels = _label_maps(seed)
    inputs = {"labels": labels, "probabilities": (_probabilities(seed), labels[1]), "detections": _detections(seed)}
    cases = []
    for name, statistic in _STATISTICS.items():
        arrays = inputs[statistic.inputs]
        cases.append(Case(name, statistic.of_maps, *arrays, is_loss=False))
        for metric, options in statistic.metrics.items():
            compute = partial(getattr(metrics, metric), **options)
            cases.append(Case(metric, partial(_computed, compute, statistic.of_maps), *arrays, is_loss=False))
    return cases


class _Statistic(NamedTuple):
    """A function that counts a prediction and a target, and the metrics of its result with their options."""

    of_maps: Callable[[Array, Array], Any]
    metrics: Mapping[str, Mapping[str, Any]] = {}
    inputs: str = "labels"


def _computed(compute: Callable[[Any], Any], count: Callable[[Array, Array], Any], input: Array, target: Array) -> Any:
    return compute(count(input, target))


def _label_maps(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Draw two images of the regions closest to random points, with slightly shifted points in the prediction.

    The target has a void corner.
    """
    generator = np.random.default_rng(seed)
    pixels = np.stack(np.meshgrid(np.arange(11), np.arange(13), indexing="ij"), axis=-1)[:, :, None, :]
    points = generator.uniform((0, 0), (11, 13), size=(2, 8, 2))
    prediction, target = (
        np.stack([np.argmin(((pixels - image) ** 2).sum(axis=-1), axis=-1) % 4 for image in centers])
        for centers in (points + generator.normal(size=points.shape), points)
    )
    target[0, :3, :2] = 255
    return prediction.astype(np.int32), target.astype(np.int32)


def _probabilities(seed: int) -> np.ndarray[Any, Any]:
    """Draw probabilities of four classes at the pixels of the label maps."""
    odds: np.ndarray[Any, Any] = np.exp(np.random.default_rng(seed).normal(size=(2, 4, 11, 13)))
    shares: np.ndarray[Any, Any] = odds / odds.sum(axis=1, keepdims=True)
    return shares


def _detections(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Draw confidences of four detections at each pixel, and the masks of three objects."""
    generator = np.random.default_rng(seed)
    target = np.zeros((3, 11, 13), dtype=bool)
    for index, (top, left) in enumerate([(0, 0), (2, 6), (6, 3)]):
        target[index, top : top + 4, left : left + 5] = True
    shifted = np.roll(target, 1, axis=2)[[0, 1, 2, 2]]
    return shifted * generator.uniform(0.6, 0.9, size=(4, 1, 1)), target


def _match_detections(confidence: Array, target: Array) -> Any:
    scores = array_namespace(confidence).max(confidence, axis=(1, 2))
    return [metrics.match_detections(confidence > 0.5, scores, target)]


def _masks(function: Callable[..., Any], **options: Any) -> Callable[[Array, Array], Any]:
    """Return a function of label maps that calls `function` with the masks of the last class in the first image."""
    return lambda input, target: function(input[0, ...] == 3, target[0, ...] == 3, **options)


def _image(function: Callable[..., Any], **options: Any) -> Callable[[Array, Array], Any]:
    """Return a function of label maps that calls `function` with the second image."""
    return lambda input, target: function(input[1, ...], target[1, ...], **options)


def _scores_of_matrices() -> dict[str, dict[str, Any]]:
    """Return all functions of a confusion matrix, with no options. New functions need no entry in this table."""
    functions = {name: getattr(metrics, name) for name in metrics.__all__ if name != "report"}  # `report` has no arrays
    return {
        name: {}
        for name, function in functions.items()
        if inspect.isfunction(function) and next(iter(inspect.signature(function).parameters)) == "matrix"
    }


_LABELS: dict[str, Any] = {"num_classes": 5, "ignore_index": 255}
_matrices: Callable[..., Array] = partial(metrics.confusion_matrix, **_LABELS, per_image=True)
_boundaries: Callable[..., metrics.BoundaryConfusion] = partial(metrics.boundary_confusion, **_LABELS, radius=1)

#: All functions of `arrayseg.metrics` that return arrays.
_STATISTICS: dict[str, _Statistic] = {
    "confusion_matrix": _Statistic(
        partial(metrics.confusion_matrix, **_LABELS),
        {
            **_scores_of_matrices(),
            "category_iou": {"categories": [[0, 1], [2, 3], [4]]},
            "cohen_kappa": {"weights": "quadratic"},
            "f_beta": {"beta": 2.0},
            "net_benefit": {"threshold": 0.3},
            "tversky_index": {"alpha": 0.3, "beta": 0.7},
        },
    ),
    "confusion_matrix, per_image": _Statistic(_matrices),
    "bootstrap_interval": _Statistic(
        lambda input, target: metrics.bootstrap_interval(metrics.mean_iou, _matrices(input, target), resamples=20)
    ),
    "class_counts": _Statistic(partial(metrics.class_counts, **_LABELS), {"fine_grained_mean": {"lowest": [50, 100]}}),
    "boundary_confusion": _Statistic(_boundaries, {"boundary_iou": {}}),
    "boundary_confusion, contour": _Statistic(partial(_boundaries, definition="contour"), {"boundary_f": {}}),
    "boundary_confusion, trimap": _Statistic(partial(_boundaries, definition="trimap"), {"trimap_iou": {}}),
    "surface_distances": _Statistic(
        _masks(metrics.surface_distances, spacing=(1.5, 1.0)),
        {
            "average_hausdorff": {},
            "average_surface_distance": {},
            "average_symmetric_surface_distance": {},
            "hausdorff": {"percentile": 95},
            "mean_average_surface_distance": {},
            "modified_hausdorff": {},
            "surface_dice": {"tolerance": 1.2},
            "surface_distance_deviation": {},
            "surface_overlap": {"tolerance": 1.2},
        },
    ),
    "surface_table": _Statistic(partial(metrics.surface_table, **_LABELS)),
    "panoptic_counts": _Statistic(
        lambda input, target: metrics.panoptic_counts(
            *((maps[1, ...] // 2, maps[1, ...]) for maps in (input, target)), num_classes=2
        ),
        {"mean_panoptic_quality": {}, "panoptic_quality": {}},
    ),
    "overlap_matrix": _Statistic(_image(metrics.overlap_matrix)),
    "match_instances": _Statistic(
        _image(metrics.match_instances, thresholds=[0.3, 0.5]),
        {
            "instance_average_precision": {},
            "instance_f1": {},
            "instance_precision": {},
            "instance_recall": {},
            "seg_score": {},
        },
    ),
    "aggregated_jaccard_index": _Statistic(_image(metrics.aggregated_jaccard_index)),
    "match_lesions": _Statistic(_masks(metrics.match_lesions), {"lesion_score": {}}),
    "component_dice": _Statistic(_masks(metrics.component_dice)),
    "match_detections": _Statistic(_match_detections, {"coco_average_precision": {}}, inputs="detections"),
    "contingency_table": _Statistic(
        partial(metrics.contingency_table, ignore_index=255),
        {
            "adapted_rand_error": {},
            "adjusted_rand_index": {},
            "normalized_mutual_information": {},
            "variation_of_information": {},
        },
    ),
    "calibration_bins": _Statistic(
        partial(metrics.calibration_bins, ignore_index=255),
        {
            "brier_score": {},
            "expected_calibration_error": {},
            "maximum_calibration_error": {},
            "negative_log_likelihood": {},
        },
        inputs="probabilities",
    ),
    "score_histogram": _Statistic(
        partial(metrics.score_histogram, bins=20, class_axis=1, ignore_index=255),
        {"auroc": {}, "average_precision": {}, "precision_recall_curve": {}, "roc_curve": {}},
        inputs="probabilities",
    ),
    "score_histogram, exact": _Statistic(
        lambda input, target: metrics.score_histogram(input[:, 3, ...], target == 3, bins=None), inputs="probabilities"
    ),
    "saliency_sums": _Statistic(
        lambda input, target: metrics.saliency_sums(input[:, 3, ...], target == 3),
        {"saliency_f_measure": {}, "saliency_mae": {}},
        inputs="probabilities",
    ),
    "centerline_counts": _Statistic(_masks(metrics.centerline_counts), {"cl_dice": {}}),
    "betti_error": _Statistic(_masks(metrics.betti_error)),
    "euler_error": _Statistic(_masks(metrics.euler_error)),
    "betti_numbers": _Statistic(lambda input, target: metrics.betti_numbers(target[0, ...] == 3)),
    "euler_number": _Statistic(lambda input, target: metrics.euler_number(target[0, ...] == 3)),
    "connected_components": _Statistic(lambda input, target: metrics.connected_components(target[1, ...])),
    "rle_decode": _Statistic(
        lambda input, target: metrics.rle_decode(metrics.rle_encode(input[1, ...] == 1), like=input)
    ),
    "add": _Statistic(lambda input, target: metrics.add(*[_boundaries(input, target)] * 2)),
}
