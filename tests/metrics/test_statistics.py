"""Statistics: how they add, and what a function of one says to whatever is not one."""

from functools import partial

import numpy as np
import pytest

from arrayseg import metrics

MASK, OTHER = np.eye(4, dtype=bool), np.tri(4, dtype=bool)
OF_MATRICES = [
    "balanced_accuracy", "class_accuracy", "cohen_kappa", "dice", "expected_cost", "f_beta", "false_discovery_rate",
    "false_negative_rate", "false_omission_rate", "false_positive_rate", "fowlkes_mallows", "frequency_weighted_iou",
    "generalized_dice", "informedness", "iou", "markedness", "matthews_corrcoef", "mean_dice", "mean_iou",
    "mean_pixel_accuracy", "negative_likelihood_ratio", "negative_predictive_value", "pixel_accuracy",
    "positive_likelihood_ratio", "precision", "prevalence_threshold", "recall", "relative_volume_difference", "report",
    "specificity", "tversky_index", "volumetric_similarity",
]  # fmt: skip
COUNTING = {
    **dict.fromkeys(OF_MATRICES, "confusion_matrix"),
    "category_iou": "confusion_matrix",
    "net_benefit": "confusion_matrix",
    "fine_grained_mean": "class_counts",
    "auroc": "score_histogram",
    "average_precision": "score_histogram",
    "precision_recall_curve": "score_histogram",
    "roc_curve": "score_histogram",
    "brier_score": "calibration_bins",
    "expected_calibration_error": "calibration_bins",
    "maximum_calibration_error": "calibration_bins",
    "negative_log_likelihood": "calibration_bins",
    "saliency_f_measure": "saliency_sums",
    "saliency_mae": "saliency_sums",
}
OPTIONS = {"net_benefit": {"threshold": 0.5}}


@pytest.mark.parametrize("name", COUNTING)
def test_two_masks_get_the_two_calls_to_make(library, name):
    function = partial(getattr(metrics, name), **OPTIONS.get(name, {}))
    prediction, target = library.asarray(MASK), library.asarray(OTHER)
    with pytest.raises(TypeError, match=rf"metrics\.{name}\(metrics\.{COUNTING[name]}\("):
        function(prediction, target)
    options = {"categories": [[0, 1]]} if name == "category_iou" else {}
    with pytest.raises(TypeError, match=r"got an array of shape \(4, 4\) and dtype .*bool.*count first"):
        function(prediction, **options)


@pytest.mark.parametrize("name", ["auroc", "brier_score", "saliency_mae"])
def test_a_statistic_of_another_kind_is_refused_by_its_name(name):
    with pytest.raises(TypeError, match="got an array of shape"):
        getattr(metrics, name)(np.eye(3, dtype=np.int64))
    other = metrics.SegmentCounts(*map(np.asarray, (1.0, 1, 0, 0)))
    with pytest.raises(TypeError, match="got SegmentCounts"):
        getattr(metrics, name)(other)
