"""The option names of other libraries, so that an error message can suggest the option of arrayseg."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import NoReturn

__all__ = ["raise_unknown"]

#: For an option of another library, the options of arrayseg and how to write them. An error message suggests the first
#: one that the loss has.
NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "y_true": (("target", "`target`, the second argument"),),
    "labels": (("target", "`target`, the second argument"),),
    "label": (("target", "`target`, the second argument"),),
    "targets": (("target", "`target`, the second argument"),),
    "y_pred": (("input", "`input`, the first argument"),),
    "logits": (("input", "`input`, the first argument"),),
    "inputs": (("input", "`input`, the first argument"),),
    "pred": (("input", "`input`, the first argument"),),
    "prediction": (("input", "`input`, the first argument"),),
    "predictions": (("input", "`input`, the first argument"),),
    "weight": (("class_weights", "`class_weights`, of shape (C,)"), ("pixel_weights", "`pixel_weights`")),
    "weights": (
        ("class_weights", "`class_weights`, of shape (C,), or `pixel_weights`, of shape (N, *spatial)"),
        ("pixel_weights", "`pixel_weights`, of shape (N, *spatial)"),
    ),
    "class_weight": (("class_weights", "`class_weights`, of shape (C,)"),),
    "sample_weight": (("pixel_weights", "`pixel_weights`, of shape (N, *spatial)"),),
    "size_average": (("reduction", '`reduction`, "mean" or "sum"'),),
    "reduce": (("reduction", '`reduction`, "none" for reduce=False'),),
    "axis": (("class_axis", "`class_axis`"),),
    "dim": (("class_axis", "`class_axis`"),),
    "channel_dim": (("class_axis", "`class_axis`"),),
    "where": (("mask", "`mask`, true where a pixel counts"),),
    "valid_mask": (("mask", "`mask`, true where a pixel counts"),),
    "ignore_label": (("ignore_index", "`ignore_index`"),),
    "ignore_class": (("ignore_index", "`ignore_index`"),),
    "ignore": (("ignore_index", "`ignore_index`"),),
    "void_index": (("ignore_index", "`ignore_index`"),),
    "from_logits": (("activation", "`activation`: None for probabilities (from_logits=False)"),),
    "softmax": (("activation", '`activation`: "softmax" for softmax=True, None for probabilities'),),
    "sigmoid": (("activation", '`activation`: "sigmoid" for sigmoid=True, None for probabilities'),),
    "use_softmax": (("activation", '`activation`: "softmax" or "sigmoid"'),),
    "use_sigmoid": (("activation", '`activation`: "sigmoid" or "softmax"'),),
    "apply_softmax": (("activation", '`activation`: "softmax", or None for probabilities'),),
    "apply_sigmoid": (("activation", '`activation`: "sigmoid", or None for probabilities'),),
    "apply_nonlin": (("activation", '`activation`: "softmax", "sigmoid", or None for probabilities'),),
    "other_act": (("activation", "`activation`: None for probabilities that you compute yourself"),),
    "mode": (("activation", '`activation`: "softmax" for "multiclass", "sigmoid" for "binary" and "multilabel"'),),
    "multiclass": (("activation", '`activation`: "softmax" for True, "sigmoid" for False'),),
    "include_background": (("exclude_background", "`exclude_background`, True for include_background=False"),),
    "ignore_background": (("exclude_background", "`exclude_background`"),),
    "do_bg": (("exclude_background", "`exclude_background`, True for do_bg=False"),),
    "smooth_nr": (("smooth", "`smooth`: (smooth_nr, smooth_dr)"),),
    "smooth_dr": (("smooth", "`smooth`: (smooth_nr, smooth_dr)"),),
    "eps": (("smooth", "`smooth`"), ("epsilon", "`epsilon`")),
    "epsilon": (("smooth", "`smooth`"),),
    "squared_pred": (("soft_tp", '`soft_tp`: "l2" for squared_pred=True'),),
    "soft_label": (("soft_tp", '`soft_tp`: "l1" for soft_label=True'),),
    "batch": (("pool", '`pool`: "batch" for batch=True'),),
    "batch_dice": (("pool", '`pool`: "batch" for batch_dice=True'),),
    "per_image": (("pool", '`pool`: "image" for per_image=True'),),
    "average": (("pool", '`pool`: "image" for "macro", "micro" for "micro"'),),
    "smooth_factor": (("label_smoothing", "`label_smoothing`"),),
    "lambda_dice": (("dice_weight", "`dice_weight`"),),
    "lambda_gdl": (("dice_weight", "`dice_weight`"),),
    "lambda_ce": (("cross_entropy_weight", "`cross_entropy_weight`"),),
    "lambda_focal": (("focal_weight", "`focal_weight`"),),
    "weight_dice": (("dice_weight", "`dice_weight`"),),
    "weight_ce": (("cross_entropy_weight", "`cross_entropy_weight`"),),
    "reduced_threshold": (("threshold", "`threshold`"),),
    "thresh": (("threshold", "`threshold`"),),
    "thres": (("threshold", "`threshold`"),),
    "dist_matrix": (("distances", "`distances`"),),
}

#: Options of another library that arrayseg does not need, or has as a function of its own, and what to do instead.
INSTEAD = {
    "to_onehot_y": "pass class ids of shape (N, *spatial) instead",
    "num_classes": "leave it out, because it is the length of the class axis of `input`",
    "jaccard": "use arrayseg.losses.jaccard instead",
    "log_loss": "use arrayseg.losses.log_dice or arrayseg.losses.log_jaccard instead",
    "reduced_threshold": "use arrayseg.losses.reduced_focal instead",
    "normalized": "use arrayseg.losses.normalized_focal instead",
    "loss_weight": "multiply the loss instead",
}

#: The presets with the options of another library, by the name of their module and by the name of the loss.
PRESETS: dict[str, dict[str, str]] = {
    "monai_1_6": {
        "boundary": "boundary_loss",
        "cl_dice": "softcl_dice_loss",
        "dice": "dice_loss",
        "dice_cl_dice": "soft_dicecl_dice_loss",
        "dice_cross_entropy": "dice_ce_loss",
        "dice_focal": "dice_focal_loss",
        "focal": "focal_loss",
        "generalized_dice": "generalized_dice_loss",
        "generalized_dice_focal": "generalized_dice_focal_loss",
        "generalized_wasserstein_dice": "generalized_wasserstein_dice_loss",
        "hausdorff_distance_transform": "hausdorff_dt_loss",
        "jaccard": "dice_loss",
        "log_hausdorff_distance_transform": "log_hausdorff_dt_loss",
        "matthews_corrcoef": "mcc_loss",
        "tversky": "tversky_loss",
        "unified_focal": "asymmetric_unified_focal_loss",
    },
    "smp_0_6": {
        "binary_cross_entropy": "soft_bce_with_logits_loss",
        "cross_entropy": "soft_cross_entropy_loss",
        "dice": "dice_loss",
        "focal": "focal_loss",
        "focal_tversky": "tversky_loss",
        "jaccard": "jaccard_loss",
        "log_dice": "dice_loss",
        "log_jaccard": "jaccard_loss",
        "lovasz_hinge": "lovasz_loss",
        "lovasz_softmax": "lovasz_loss",
        "matthews_corrcoef": "mcc_loss",
        "reduced_focal": "focal_loss",
        "tversky": "tversky_loss",
    },
    "keras_3_16": {
        "binary_cross_entropy": "binary_crossentropy",
        "cross_entropy": "sparse_categorical_crossentropy",
        "dice": "dice",
        "focal": "categorical_focal_crossentropy",
        "generalized_cross_entropy": "categorical_generalized_cross_entropy",
        "tversky": "tversky",
    },
    "torch": {
        "binary_cross_entropy": "binary_cross_entropy_with_logits",
        "cross_entropy": "cross_entropy",
        "nll": "nll_loss",
    },
    "optax_0_2": {
        "binary_cross_entropy": "sigmoid_binary_cross_entropy",
        "cross_entropy": "softmax_cross_entropy_with_integer_labels",
        "dice": "dice_loss",
        "focal": "sigmoid_focal_loss",
        "poly": "poly_loss_cross_entropy",
    },
    "kornia_0_9": {"dice": "dice_loss", "focal": "focal_loss", "tversky": "tversky_loss"},
    "mmseg_1_2": {
        "boundary": "boundary_loss",
        "cross_entropy": "cross_entropy_loss",
        "dice": "dice_loss",
        "focal": "focal_loss",
        "lovasz_softmax": "lovasz_loss",
        "ohem_cross_entropy": "ohem_cross_entropy",
        "tversky": "tversky_loss",
    },
    "nnunet_2": {
        "cross_entropy": "robust_cross_entropy_loss",
        "dice": "soft_dice_loss",
        "dice_cross_entropy": "dc_and_ce_loss",
        "top_k_cross_entropy": "top_k_loss",
    },
}

#: The module of the library whose option it is, if the name is unique to it.
PEERS = {
    **dict.fromkeys(
        (
            "include_background",
            "to_onehot_y",
            "softmax",
            "sigmoid",
            "other_act",
            "squared_pred",
            "jaccard",
            "smooth_nr",
            "smooth_dr",
            "batch",
            "soft_label",
            "use_softmax",
            "lambda_dice",
            "lambda_ce",
            "lambda_focal",
            "lambda_gdl",
            "w_type",
            "dist_matrix",
            "weighting_mode",
            "iter_",
        ),
        "monai_1_6",
    ),
    **dict.fromkeys(("mode", "log_loss", "smooth_factor", "reduced_threshold", "normalized"), "smp_0_6"),
    **dict.fromkeys(("y_true", "y_pred", "from_logits", "ignore_class", "apply_class_balancing"), "keras_3_16"),
    **dict.fromkeys(("weight", "size_average", "reduce"), "torch"),
    **dict.fromkeys(("labels", "where", "apply_softmax", "apply_sigmoid", "ignore_background"), "optax_0_2"),
    **dict.fromkeys(("average",), "kornia_0_9"),
    **dict.fromkeys(("use_sigmoid", "class_weight", "naive_dice", "avg_non_ignore", "thres"), "mmseg_1_2"),
    **dict.fromkeys(("apply_nonlin", "batch_dice", "do_bg", "weight_ce", "weight_dice", "ce_kwargs"), "nnunet_2"),
}


def raise_unknown(name: str, unknown: Iterable[str], options: Collection[str]) -> NoReturn:
    """Raise an error about an option that a loss does not have, with a suggestion what to use."""
    wrong = min(unknown, key=lambda each: (each not in NAMES and each not in PEERS, each))
    hints = [*_equivalent(wrong, options), *_preset(name, wrong)]
    if not hints and wrong in PEERS:
        hints = [f"arrayseg.compat.{PEERS[wrong]} has losses with the options of that library."]
    if not hints:
        close = get_close_matches(wrong, options, n=1)
        hints = [f"did you mean `{close[0]}`?" if close else f"its options are {', '.join(sorted(options))}."]
    msg = f"{name} has no option `{wrong}`; {' '.join(hints)}"
    raise TypeError(msg)


def _equivalent(wrong: str, options: Collection[str]) -> list[str]:
    """Return a sentence that suggests the equivalent of the option in arrayseg, or no sentence."""
    for option, suggestion in NAMES.get(wrong, ()):
        if option in options:
            return [f"use {suggestion}."]
    return [f"{INSTEAD[wrong]}."] if wrong in INSTEAD else []


def _preset(name: str, wrong: str) -> list[str]:
    """Return a sentence that suggests the preset of this loss that has the option, or no sentence."""
    preset = PRESETS.get(PEERS.get(wrong, ""), {}).get(name)
    return [] if preset is None else [f"arrayseg.compat.{PEERS[wrong]}.{preset} accepts this option."]
