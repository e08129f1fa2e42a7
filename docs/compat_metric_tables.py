"""The tables of docs/compat_metrics.md, computed with every metric preset when the documentation is built."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np

from arrayseg import compat, metrics
from arrayseg.compat._preset import MetricPreset
from arrayseg.compat._registry import presets_by_module

SCENES = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "compat" / "scenes.py"))
CLASSES, SPACING, VOID = SCENES["CLASSES"], SCENES["SPACING"], SCENES["VOID"]

#: What a preset is given for an option that has no default, by the option's name; the tolerances are of 2 mm.
GIVEN: Mapping[str, Any] = {
    "percent": 95,
    "tolerance_mm": 2.0,
    "class_threshold": 2.0,
    "threshold": 2.0,
    "target_class_ids": [1, 2, 3],
    "categories": [[0], [1, 2], [3, 4, 5]],
}
ALL = list(range(CLASSES))
#: Further calls that are worth a row, by the preset.
VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "deepmind.compute_robust_hausdorff": [{"percent": 100}],
    "monai_1_6.compute_average_surface_distance": [{"symmetric": True}],
    "monai_1_6.compute_confusion_matrix_metric": [{"metric_name": "ppv"}],
    "monai_1_6.compute_generalized_dice": [{"sum_over_classes": True}],
    "monai_1_6.compute_hausdorff_distance": [{"percentile": 95}],
    "monai_1_6.mean_iou": [{"reduction": "mean_batch"}, {"ignore_empty": False}],
    "mmseg_1_2.miou": [{"nan_to_num": 0}],
    "metrics_reloaded.normalised_surface_distance": [{"nsd": 2.0}],
    "skimage.hausdorff_distance": [{"method": "modified"}],
    "smp_0_6.iou_score": [{"reduction": name} for name in ("micro", "macro", "micro-imagewise", "macro-imagewise")],
    "torchmetrics_1_9.jaccard_index": [{"average": "micro"}, {"average": "weighted"}],
    "torchmetrics_1_9.mean_iou": [{"per_class": True}],
} | {
    f"sklearn.{score}": [{"average": "macro"}, {"average": "macro", "labels": ALL}]
    for score in ("f1_score", "jaccard_score", "precision_score", "recall_score")
}


def mask_table() -> str:
    """Write a row for each metric of two masks."""
    prediction, target = SCENES["balls"]()
    binary = metrics.confusion_matrix(prediction, target, num_classes=2)

    def distances(module: str) -> Any:
        count = getattr(compat, module).surface_distances
        named = signature(count).parameters
        options = {name: SPACING for name in ("spacing", "spacing_mm", "voxelspacing", "pixdim") if name in named}
        return count(prediction, target, **options)

    return table({"distances": distances, "binary": lambda module: binary})


def label_table() -> str:
    """Write a row for each metric of label maps."""
    prediction, target = SCENES["label_maps"]()
    options: dict[str, Any] = {"num_classes": CLASSES, "ignore_index": VOID}
    matrix = metrics.confusion_matrix(prediction, target, **options)
    matrices = metrics.confusion_matrix(prediction, target, per_image=True, **options)
    counts = metrics.class_counts(prediction, target, **options)
    clusters = metrics.contingency_table(prediction[0], target[0], ignore_index=VOID)
    instances = metrics.match_instances(prediction[0], target[0], ignore_index=VOID)
    one = np.zeros_like(target[0])
    segments = metrics.panoptic_counts((prediction[0], one), (target[0], one), num_classes=CLASSES, ignore_index=VOID)
    return table(
        {
            "matrix": lambda module: matrix,
            "matrices": lambda module: matrices,
            "counts": lambda module: counts,
            "table": lambda module: clusters,
            "segments": lambda module: segments if module == "torchmetrics_1_9" else instances,
        }
    )


def table(statistics: Mapping[str, Callable[[str], Any]]) -> str:
    """Write a row for each preset of these statistics, and for each of its variants."""
    rows = []
    for module, presets in presets_by_module().items():
        release = str(getattr(compat, module).__doc__).partition(":")[0]
        for preset in presets:
            if isinstance(preset, MetricPreset) and preset.statistic in statistics:
                statistic = statistics[preset.statistic](module)
                for options in [required(preset), *VARIANTS.get(f"{module}.{preset.__name__}", [])]:
                    numbers = shown(preset(statistic, **options))
                    rows.append(f"| {release} | `{module}` | `{call(preset, options)}` | {numbers} |")
    return "\n".join(["| release | `arrayseg.compat` | call | number |", "|---|---|---|---:|", *rows])


def required(preset: MetricPreset[Any, Any]) -> dict[str, Any]:
    """Return the options that a preset has no default for."""
    options = list(signature(preset).parameters.values())[1:]
    return {option.name: GIVEN[option.name] for option in options if option.default is Parameter.empty}


def call(preset: MetricPreset[Any, Any], options: Mapping[str, Any]) -> str:
    """Write a call."""
    return f"{preset.__name__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"


def shown(values: Any) -> str:
    """Write a number or several numbers; a table of images and classes is written as its mean."""
    if isinstance(values, tuple):
        return ", ".join(shown(value) for value in values)
    array = np.asarray(values)
    if array.ndim == 2:
        return f"mean {np.nanmean(array):.4f}"
    return ", ".join(f"{value:.4f}" for value in np.ravel(array))
