"""What every option of a metric, a field and a class weight takes, and what it says of the rest."""

import inspect
from functools import partial
from numbers import Integral

import numpy as np
import pytest
from conftest import WRONG, is_taken

from arrayseg import class_weights, distance_maps, metrics

IDS = np.asarray([[[0, 1, 2, 0], [2, 1, 0, 0], [0, 0, 1, 2]]])
OTHER = np.asarray([[[0, 1, 2, 0], [2, 2, 0, 1], [0, 0, 1, 2]]])
MASK, MASK_OFF = IDS[0] > 0, OTHER[0] > 0
PROBABILITIES = np.moveaxis(np.eye(3)[OTHER] * 0.7 + 0.1, -1, 1)
MAPS, MASKS = (OTHER, IDS), (MASK_OFF, MASK)
MATRIX = metrics.confusion_matrix(*MAPS, num_classes=3)
LABELS = {"num_classes": 3}

#: The statistic that a function is given, by the name of its first parameter.
STATISTICS = {
    "matrix": MATRIX,
    "distances": metrics.surface_distances(*MASKS),
    "table": metrics.contingency_table(*MAPS),
    "bins": metrics.calibration_bins(PROBABILITIES, IDS),
    "statistic": metrics.score_histogram(PROBABILITIES[:, 1], IDS == 1),
    "sums": metrics.saliency_sums(PROBABILITIES[:, 1], IDS == 1),
    "matches": metrics.match_detections(MASK[None], np.ones(1), MASK[None]),
    "mask": MASK,
}

#: What the other functions are given, and options that have no default.
CALLS = {
    "add": ((MATRIX, MATRIX), {}),
    "aggregated_jaccard_index": (MAPS, {}),
    "betti_error": (MASKS, {}),
    "bootstrap_interval": ((metrics.mean_iou, np.stack([MATRIX] * 4)), {"resamples": 9}),
    "boundary_confusion": (MAPS, LABELS),
    "calibration_bins": ((PROBABILITIES, IDS), {}),
    "category_iou": ((MATRIX, [[0], [1, 2]]), {}),
    "centerline_counts": (MASKS, {}),
    "cl_dice": ((metrics.centerline_counts(*MASKS),), {}),
    "class_counts": (MAPS, LABELS),
    "component_dice": (MASKS, {}),
    "confusion_matrix": (MAPS, LABELS),
    "connected_components": ((IDS,), {}),
    "contingency_table": (MAPS, {}),
    "euler_error": (MASKS, {}),
    "fine_grained_mean": ((metrics.class_counts(*MAPS, **LABELS),), {}),
    "lesion_score": ((metrics.match_lesions(*MASKS),), {}),
    "match_detections": ((MASK[None], np.ones(1), MASK[None]), {}),
    "match_instances": (MAPS, {}),
    "match_lesions": (MASKS, {}),
    "net_benefit": ((MATRIX,), {"threshold": 0.3}),
    "overlap_matrix": (MAPS, {}),
    "panoptic_counts": (((OTHER, OTHER), (IDS, IDS)), LABELS),
    "rle_decode": ((metrics.rle_encode(MASK),), {}),
    "saliency_sums": ((PROBABILITIES[:, 1], IDS == 1), {}),
    "score_histogram": ((PROBABILITIES[:, 1], IDS == 1), {}),
    "surface_dice": ((STATISTICS["distances"], 1.0), {}),
    "surface_distances": (MASKS, {}),
    "surface_overlap": ((STATISTICS["distances"], 1.0), {}),
    "surface_table": (MAPS, LABELS),
}
for name in ("boundary_f", "boundary_iou", "trimap_iou"):
    definition = {"boundary_f": "contour", "boundary_iou": "band", "trimap_iou": "trimap"}[name]
    CALLS[name] = ((metrics.boundary_confusion(*MAPS, **LABELS, definition=definition, radius=1),), {})
for name in metrics.__all__:
    if name.startswith(("instance_", "seg_")):
        CALLS[name] = ((metrics.match_instances(*MAPS),), {})
    if name.endswith("panoptic_quality"):
        CALLS[name] = ((metrics.panoptic_counts((OTHER, OTHER), (IDS, IDS), **LABELS),), {})
for name in distance_maps.__all__:
    CALLS[name] = ((IDS, 3), {})
for name in class_weights.__all__:
    CALLS[name] = ((IDS,), LABELS) if name == "pixel_counts" else ((np.asarray([3, 1, 2]),), {})

#: Other arrays, for the functions that read other options.
CHANNELS = PROBABILITIES > 0.5
OTHERS = [
    (metrics.confusion_matrix, (PROBABILITIES, IDS), LABELS),
    (metrics.class_counts, (CHANNELS, CHANNELS), {**LABELS, "class_axis": 1}),
    (metrics.surface_table, (PROBABILITIES, IDS), LABELS),
    (metrics.contingency_table, MAPS, {"num_labels": 3}),
    (metrics.score_histogram, (PROBABILITIES, IDS), {"class_axis": 1}),
    (metrics.match_detections, ([metrics.rle_encode(MASK)], np.ones(1), [metrics.rle_encode(MASK)]), {}),
    (metrics.auroc, (metrics.score_histogram(PROBABILITIES[:, 1], IDS == 1, bins=None),), {}),
    (metrics.bootstrap_interval, (metrics.cl_dice, metrics.CenterlineCounts(*[np.ones(3)] * 4)), {"resamples": 9}),
    (distance_maps.distance_map, (CHANNELS, None), {}),
]


def may_be_right(annotation, value):
    """Return whether an option of this annotation may take a value at all."""
    if value is None:
        return True
    if annotation == "bool":
        return value is True or (isinstance(value, Integral) and value == 1)
    if annotation.startswith("int"):
        return isinstance(value, Integral) and not isinstance(value, bool)
    if annotation.startswith(("float", "AbsentScore", "Spacing")):
        return np.ndim(value) < 2 and np.asarray(value).dtype.kind in "iuf" and not np.isnan(value).any()
    return not annotation.startswith("Literal") and type(value) not in (str, tuple, object, float, bool)


def functions():
    for module in (metrics, distance_maps, class_weights):
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function):
                first = next(iter(inspect.signature(function).parameters))
                yield pytest.param(function, *(CALLS.get(name) or ((STATISTICS[first],), {})), id=name)
    for function, arrays, options in OTHERS:
        yield pytest.param(function, arrays, options, id=f"{function.__name__}, other arrays")


@pytest.mark.parametrize(("function", "arrays", "options"), list(functions()))
def test_every_option_is_checked(function, arrays, options):
    assert is_taken(partial(function, *arrays, **options))
    for place, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        for value in WRONG:
            if place < len(arrays):
                is_taken(partial(function, *arrays[:place], value, *arrays[place + 1 :], **options))
            elif is_taken(partial(function, *arrays, **{**options, name: value})):
                assert may_be_right(parameter.annotation, value), (name, value)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: metrics.hausdorff(STATISTICS["distances"], empty="x"), "`empty` maps \"both\", .*; got 'x'."),
        (
            lambda: metrics.hausdorff(STATISTICS["distances"], empty={"both": "x"}),
            r"`empty\['both'\]` must be a number",
        ),
        (lambda: metrics.category_iou(MATRIX, [[0, 0], [1]]), r"`categories` must be different .*; got \[0, 0\]"),
        (lambda: metrics.category_iou(MATRIX, []), "`categories` must hold at least one"),
        (lambda: metrics.report(MATRIX, class_names=3), "`class_names` must be a sequence of names, .*; got 3"),
        (lambda: metrics.surface_table(*MAPS, **LABELS, metrics=["dice"]), "`metrics` must map names to functions"),
        (lambda: metrics.rle_decode({"size": (2, 2)}), "Run lengths must be a dictionary"),
        (lambda: metrics.bootstrap_interval(metrics.iou, np.ones(()), seed=1), "`statistic` holds no images"),
        (lambda: metrics.iou(np.asarray([["1"]])), "`matrix` must hold numbers or booleans; got dtype <U1"),
        (lambda: distance_maps.distance_map(IDS, 3, dtype="x"), "`dtype` must be a dtype of the library of `target`"),
        (lambda: distance_maps.distance_map(CHANNELS, ignore_index=0), "without `ignore_index`; .* ignore_index=0"),
        (
            lambda: class_weights.median_frequency(np.ones(3), image_pixels=9),
            r"must have shape \(3,\) and hold numbers",
        ),
    ],
)
def test_what_is_said(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


@pytest.mark.parametrize(
    ("function", "arrays", "options", "name"),
    [
        (metrics.mean_iou, (MATRIX,), {}, "absent"),
        (metrics.adapted_rand_error, (STATISTICS["table"],), {}, "alpha"),
        (metrics.boundary_confusion, MAPS, LABELS, "ratio"),
        (metrics.calibration_bins, (PROBABILITIES, IDS), {}, "clip"),
        (metrics.hausdorff, (STATISTICS["distances"],), {}, "percentile"),
        (metrics.match_instances, MAPS, {}, "thresholds"),
        (metrics.match_detections, CALLS["match_detections"][0], {}, "thresholds"),
        (metrics.surface_distances, MASKS, {}, "spacing"),
        (metrics.component_dice, MASKS, {}, "spacing"),
        (metrics.match_instances, MAPS, {}, "inclusive"),
        (metrics.match_instances, MAPS, {}, "method"),
    ],
)
def test_options_that_cannot_be_traced_say_so(function, arrays, options, name):
    jax = pytest.importorskip("jax")
    with pytest.raises(TypeError, match=f"`{name}` must be a plain Python value, .* it is traced"):
        jax.jit(lambda value: function(*arrays, **options, **{name: value}))(0.5)


def test_a_traced_boolean_is_no_number():
    jax = pytest.importorskip("jax")
    with pytest.raises(TypeError, match="`beta` must be a number"):
        jax.jit(lambda value: metrics.f_beta(MATRIX, beta=value))(True)
