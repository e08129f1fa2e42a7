r"""Docstring paragraphs that several losses share; `arrayseg.losses._api.loss` puts them in.

A docstring names a paragraph on a line of its own, as in ``{input}``. A sentence that only one loss needs follows on
the next line, with the indentation of the paragraph's text.
"""

from __future__ import annotations

__all__ = ["LOSS"]

LOSS = {
    "input": r"""
        input : array
            Logits of floating dtype. Shape (N, C, \*spatial), with any number of spatial axes.
    """,
    "input_spatial": r"""
        input : array
            Logits of floating dtype. Shape (N, C, \*spatial).
    """,
    "target": r"""
        target : array
            Class ids of integer dtype and shape (N, \*spatial), or a value for every class, in the shape of `input`.
    """,
    "target_probability": r"""
        target : array
            Class ids of integer dtype and shape (N, \*spatial), or the probability of every class, in the shape of
            `input`.
    """,
    "target_binary": r"""
        target : array
            For every class 0, 1 or a probability in between, in the shape of `input`. Class ids of integer dtype and
            shape (N, \*spatial) stand for each class against the others. With one channel the class axis may be absent.
    """,
    "target_mask": r"""
        target : array
            Class ids of integer dtype and shape (N, \*spatial), or a value for every class, in the shape of `input`. A
            value above 1/2 counts as 1, any other value as 0.
    """,
    "target_teacher": r"""
        target : array
            Class ids of integer dtype and shape (N, \*spatial), or the probability of every class, in the shape of
            `input`. With `target_logits`, the logits of a teacher, in the shape of `input`.
    """,
    "target_logits": """
        target_logits : bool, default False
            Whether `target` contains logits. They get the same activation and temperature as `input`.
    """,
    "mask": r"""
        mask : array of bool, optional
            Shape (N, \*spatial), True at pixels that count.
    """,
    "activation_sigmoid": """
        activation : {"sigmoid"} or None, default "sigmoid"
            None if `input` contains probabilities.
    """,
    "activation_divergence": """
        activation : {"softmax", "sigmoid"} or None, default "softmax"
            How to turn `input` into probabilities. With "sigmoid", each class is a distribution of two outcomes. None
            if `input` already contains probabilities; the temperature must then be 1.
    """,
    "temperature": """
        temperature : float, default 1
            T, the divisor of the logits, above 0.
    """,
    "smooth": """
        smooth : float or (float, float), default 1e-5
            Smoothing: s in the numerator and s' in the denominator, at least 0. A single number sets both.
    """,
    "smooth_metric": """
        smooth : float or (float, float), default 1e-3
            Smoothing: s in the numerator and s' in the denominator, at least 0. A single number sets both.
    """,
    "smooth_shares": """
        smooth : float or (float, float), default 1.0
            s in the numerators and s' in the denominators, at least 0. One number sets both.
    """,
    "smooth_dice": """
        smooth : float or (float, float), default 1e-5
            Smoothing of the Dice score: s in the numerator and s' in the denominator, at least 0. A single number sets
            both.
    """,
    "smooth_form_dice": """
        smooth_form : {"double", "tp"}, default "double"
            The smoothed Dice score: (2 I + s) / (P + T + s'), or (TP + s) / (TP + FP/2 + FN/2 + s').
    """,
    "smooth_form_tp": """
        smooth_form : {"double", "tp"}, default "tp"
            "tp" is the formula above. "double" doubles TP, FP and FN before smoothing.
    """,
    "smooth_form_jaccard": """
        smooth_form : {"double", "tp"}, default "double"
            "double" is the formula above. "tp" smooths (I + s) / (P + T - I + s').
    """,
    "smooth_form_metric": """
        smooth_form : {"double", "tp"}, default "tp"
            "tp" is the formula above. "double" doubles numerator and denominator before smoothing.
    """,
    "floor": """
        floor : float, default 1e-7
            The lower bound ε of the score, in (0, 1). Below it the gradient is 0.
    """,
    "epsilon_harmonic": """
        epsilon : float, default 1e-4
            Added to the denominator of the harmonic mean, at least 0.
    """,
    "dice_weight": """
        dice_weight : float, default 1
            The weight λ_D of the Dice part, at least 0.
    """,
    "focal_weight": """
        focal_weight : float, default 1
            The weight λ_F of the focal part, at least 0.
    """,
    "gamma": """
        gamma : float, default 2
            The focusing exponent γ, at least 0. With 0 the focal factor is 1, as in cross entropy.
    """,
    "iterations": """
        iterations : int, default 3
            Number of erosions, at least 0. It should reach the radius in pixels of the widest structure.
    """,
    "spacing": """
        spacing : float or sequence of float, default 1.0
            Distance between neighboring pixels: one number for all spatial axes or one per axis.
    """,
    "field_distance": """
        field : array, optional
            Precomputed d(t), in the shape of `input`. A data loader can create it with
            `arrayseg.distance_maps.distance_map`. By default it is computed here.
    """,
    "alpha_distance": """
        alpha : float, default 2.0
            Exponent of the distances, greater than 0 and at most 30.
    """,
    "binarize": """
        binarize : {"threshold", "argmax"}, default "threshold"
            Where a class counts as predicted: where its probability exceeds 0.5, or where it is the most probable
            class.
    """,
    "sides": """
        sides : {"both", "inside"}, default "both"
            Whether distances count on both sides of a boundary or only inside the class.
    """,
    "one_sided": """
        one_sided : bool, default False
            Leave out d(p). This is sufficient once the prediction is close to the target, and needs no distance
            transform if `field` is given.
    """,
    "weighting": """
        weighting : {"square", "simple", "uniform"}, default "square"
            The weight w of a class whose target has T pixels: 1 / T², 1 / T or 1.
    """,
    "absent_joint": """
        absent : {"keep", "zero", "exclude"}, default "keep"
            How to treat a class that does not occur in the target. "keep" gives it the largest weight among the other
            classes of the image (or batch). "zero" and "exclude" leave it out of the sums.
    """,
    "pool_joint": """
        pool : {"image", "batch"}, default "image"
            Whether the sums run over each image or over the batch.
    """,
    "returns_joint": """
        array
            The loss: a number, or with ``reduction="none"`` an array of shape (N,), or () for ``pool="batch"``. It
            has the dtype of `input`, at least float32.
    """,
    "returns_number": """
        array
            The loss, a number. It has the dtype of `input`, at least float32.
    """,
    "returns_pixels": r"""
        array
            The loss: a number, or with ``reduction="none"`` an array of shape (N, \*spatial). It has the dtype
            of `input`, at least float32.
    """,
    "returns_pool": """
        array
            The loss: a number, or with ``reduction="none"`` an array whose shape depends on `pool`. It has the
            dtype of `input`, at least float32.
    """,
    "raises": """
        TypeError
            If an argument has the wrong type or comes from a different array library.
        ValueError
            If shapes or devices do not match, an option is invalid, or a label is out of range.
    """,
}
"""The arguments, results and errors of losses."""
