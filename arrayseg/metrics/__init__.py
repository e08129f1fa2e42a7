"""Metrics: count on the device, add over batches, files or processes, compute once."""

from arrayseg.metrics.agreement import cohen_kappa, matthews_corrcoef
from arrayseg.metrics.bootstrap import Interval, bootstrap_interval
from arrayseg.metrics.confusion import confusion_matrix
from arrayseg.metrics.costs import expected_cost, net_benefit
from arrayseg.metrics.images import class_counts, fine_grained_mean
from arrayseg.metrics.overlap import (
    category_iou,
    dice,
    f_beta,
    frequency_weighted_iou,
    generalized_dice,
    iou,
    mean_dice,
    mean_iou,
    relative_volume_difference,
    tversky_index,
    volumetric_similarity,
)
from arrayseg.metrics.panoptic import PanopticQuality, mean_panoptic_quality, panoptic_counts, panoptic_quality
from arrayseg.metrics.rates import (
    balanced_accuracy,
    class_accuracy,
    false_discovery_rate,
    false_negative_rate,
    false_omission_rate,
    false_positive_rate,
    fowlkes_mallows,
    informedness,
    markedness,
    mean_pixel_accuracy,
    negative_likelihood_ratio,
    negative_predictive_value,
    pixel_accuracy,
    positive_likelihood_ratio,
    precision,
    prevalence_threshold,
    recall,
    specificity,
)
from arrayseg.metrics.segments import SegmentCounts
from arrayseg.metrics.statistics import add
from arrayseg.metrics.table import ClassScores, Report, report

__all__ = [
    "ClassScores",
    "Interval",
    "PanopticQuality",
    "Report",
    "SegmentCounts",
    "add",
    "balanced_accuracy",
    "bootstrap_interval",
    "category_iou",
    "class_accuracy",
    "class_counts",
    "cohen_kappa",
    "confusion_matrix",
    "dice",
    "expected_cost",
    "f_beta",
    "false_discovery_rate",
    "false_negative_rate",
    "false_omission_rate",
    "false_positive_rate",
    "fine_grained_mean",
    "fowlkes_mallows",
    "frequency_weighted_iou",
    "generalized_dice",
    "informedness",
    "iou",
    "markedness",
    "matthews_corrcoef",
    "mean_dice",
    "mean_iou",
    "mean_panoptic_quality",
    "mean_pixel_accuracy",
    "negative_likelihood_ratio",
    "negative_predictive_value",
    "net_benefit",
    "panoptic_counts",
    "panoptic_quality",
    "pixel_accuracy",
    "positive_likelihood_ratio",
    "precision",
    "prevalence_threshold",
    "recall",
    "relative_volume_difference",
    "report",
    "specificity",
    "tversky_index",
    "volumetric_similarity",
]
