"""The table of shared arguments in docs/conventions.md, from the signatures of the public functions.

An argument has one type and one default in all functions that take it. `REASONS` says why where it has not.
"""

import inspect
from collections import defaultdict
from fnmatch import fnmatch

from arrayseg import class_weights, distance_maps, losses, metrics

MODULES = (losses, metrics, distance_maps, class_weights)

PAPER = "The symbol and the default of the paper that defines the loss."
STATISTIC = "The statistic of this family of metrics."
NAMED = "Choices of this function alone."
TUNED = "A constant of this loss, with the default of the paper or of the reference code."

#: Why functions depart from the usual type or default of an argument: patterns of names, and the reason.
REASONS: dict[str, dict[str, str]] = {
    "absent": {
        "losses.*": "A loss differentiates what a class without a target pixel contributes; a metric reports it.",
    },
    "activation": {
        "losses.affinity_field": "It compares probabilities of neighbors, which it computes from logits.",
        "losses.asymmetric losses.*binary_cross_entropy losses.quality_focal": "Losses of independent classes.",
    },
    "alpha": {
        "losses.fine_grained_jaccard losses.focal_cosine losses.focal_tversky losses.hausdorff_* "
        "losses.log_hausdorff_* losses.neighbor_aware_cross_entropy losses.symmetric_cross_entropy": PAPER,
        "losses.focal losses.normalized_focal losses.reduced_focal": "A weight of each class, as in the paper.",
    },
    "average": {"*": NAMED},
    "beta": {"*": PAPER},
    "bins": {"metrics.calibration_bins metrics.score_histogram": "The number of bins, from which bins are counted."},
    "class_axis": {
        "losses.one_hot distance_maps.*": "There is always an axis of classes.",
        "metrics.*": "Label maps have no axis of classes; scores have the axis that is named.",
    },
    "classes": {
        "losses.lovasz_*": 'Also "all" and "present", the choices of the reference code, with its defaults.',
    },
    "connectivity": {
        "metrics.surface_distances metrics.surface_table": "Which neighbors make an element part of the surface; "
        "components join across corners by default.",
    },
    "counts": {"*": STATISTIC},
    "cross_entropy_weight": {"losses.exponential_logarithmic": PAPER},
    "definition": {"metrics.boundary_confusion": "How a boundary is defined, not a surface."},
    "denominator": {
        "losses.affinity_field": "It averages over pairs of pixels.",
        "losses.distance_weighted_cross_entropy": "The paper averages over pixels.",
    },
    "dice_weight": {"losses.exponential_logarithmic": PAPER},
    "distance": {
        "losses.distance_weighted_cross_entropy": "A map of distances, as the name of the loss says.",
        "losses.neighbor_aware_cross_entropy": "A distance between distributions.",
    },
    "distances": {"losses.generalized_wasserstein_dice": "Distances between classes, not between surfaces."},
    "epsilon": {"*": TUNED},
    "exponent": {"losses.focal_tversky": PAPER},
    "focal_weight": {"losses.focal_cosine": PAPER},
    "gamma": {"losses.unified_focal": PAPER},
    "iterations": {"losses.cl_dice losses.dice_cl_dice": "The default of the reference code."},
    "label_smoothing": {"losses.active_boundary": PAPER},
    "labels": {"metrics.match_detections": "The class of each detection."},
    "loss": {"losses.multi_scale": "One loss for every scale."},
    "margin": {"*": PAPER},
    "mask": {"metrics.betti_numbers metrics.euler_number metrics.rle_encode": "The mask that is measured."},
    "min_kept": {"losses.ohem_cross_entropy": "The default of the reference code."},
    "normalize": {"metrics.expected_cost metrics.saliency_sums": "Whether to normalize, not how."},
    "num_classes": {
        "metrics.coco_average_precision": "Masks without labels are of one class.",
        "distance_maps.*": "Only ids need it; masks have an axis of classes.",
    },
    "penalty": {"metrics.lesion_score": "The penalty of a false positive; a loss has a coefficient."},
    "pool": {"losses.lovasz_*": "Classes are ranked one by one, so they cannot be pooled; defaults of the papers."},
    "prediction": {
        "metrics.match_detections": "Masks, or their run lengths.",
        "metrics.panoptic_counts": "Two maps: classes and instances.",
    },
    "radius": {"metrics.boundary_confusion": "By default a share of the image's diagonal."},
    "reduction": {
        "losses.*": "The terms have different shapes, so a map of their sum does not exist.",
        "metrics.coco_average_precision": "A mean over thresholds and classes, or the table.",
    },
    "score": {"*": NAMED},
    "share": {"*": TUNED},
    "smooth": {
        "losses.sensitivity_specificity": "The denominators alone are smoothed.",
        "losses.*": TUNED,
    },
    "smooth_form": {"losses.*": "The form in which the paper or the reference code writes the ratio."},
    "soft_tp": {"losses.fine_grained_jaccard": "The paper's losses are of soft labels."},
    "statistic": {"metrics.bootstrap_interval": "Any statistic of images."},
    "target": {
        "metrics.match_detections": "Masks, or their run lengths.",
        "metrics.panoptic_counts": "Two maps: classes and instances.",
    },
    "threshold": {"*": NAMED},
    "thresholds": {"*": NAMED},
    "weight": {"*": NAMED},
    "weighting": {"losses.generalized_wasserstein_dice": NAMED},
    "weights": {"*": NAMED},
}

#: The meaning of the arguments that most functions take, in the order of the table.
MEANINGS = {
    "input": "Logits or probabilities.",
    "prediction": "Predicted labels or mask.",
    "target": "The ground truth.",
    "activation": "What turns `input` into probabilities.",
    "class_axis": "The axis of the classes.",
    "num_classes": "The number of classes, C.",
    "ignore_index": "A label whose pixels count nowhere.",
    "mask": "Which pixels count.",
    "pixel_weights": "A weight of each pixel.",
    "class_weights": "A weight of each class.",
    "classes": "The classes that enter the mean.",
    "exclude_background": "Short for all classes but 0.",
    "absent": "What a class that does not occur contributes.",
    "empty": "What a distance is where a surface is empty.",
    "reduction": "A mean, a sum, or every value.",
    "pool": "Over what the sums run before the score.",
    "smooth": "What is added to numerator and denominator.",
    "spacing": "The distance between neighbors along each axis.",
    "connectivity": "In how many coordinates neighbors may differ.",
    "alpha": "The weight of false positives.",
    "beta": "The weight of false negatives, or of recall.",
    "gamma": "The focusing exponent.",
}

Uses = dict[str, dict[str, list[str]]]


def uses() -> Uses:
    """Return the functions that take each argument, by argument and by its type and default."""
    found: Uses = defaultdict(lambda: defaultdict(list))
    for module in MODULES:
        for name in module.__all__:
            function = getattr(module, name)
            if not inspect.isfunction(function):
                continue
            for parameter in inspect.signature(function).parameters.values():
                if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
                    short = module.__name__.rpartition(".")[2]
                    found[parameter.name][f"{parameter.annotation}{default}"].append(f"{short}.{name}")
    return found


def usual(forms: dict[str, list[str]]) -> str:
    """Return the type and default that most functions have."""
    return max(forms, key=lambda form: len(forms[form]))


def reason_of(argument: str, function: str) -> str | None:
    """Return why a function departs from the usual form of an argument, or None."""
    for patterns, reason in REASONS.get(argument, {}).items():
        if any(fnmatch(function, pattern) for pattern in patterns.split()):
            return reason
    return None


def argument_table() -> str:
    """Return the table of the arguments in `MEANINGS`, in Markdown."""
    found = uses()
    lines = ["| argument | meaning | type and default | exceptions |", "|---|---|---|---|"]
    for argument, meaning in MEANINGS.items():
        forms = found[argument]
        others: dict[str | None, list[str]] = defaultdict(list)
        for form, functions in forms.items():
            if form != usual(forms):
                few = len(functions) < 4
                shown = ", ".join(f"`{name}`" for name in functions) if few else f"{len(functions)} functions"
                others[reason_of(argument, functions[0])].append(f"`{form}` ({shown})")
        exceptions = [f"{'; '.join(group)}. {reason}" for reason, group in others.items()]
        cells = meaning, f"`{usual(forms)}`", "<br>".join(exceptions)
        lines.append(f"| `{argument}` | " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
