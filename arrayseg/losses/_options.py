"""Dataclasses with the names, defaults, checks and descriptions of the options that losses share.

The TypedDicts repeat the options for static type checkers, which cannot derive keyword arguments from a dataclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from textwrap import fill, indent
from typing import Any, ClassVar, Literal, TypedDict, get_args

from arrayseg._checks import check_choice, check_number
from arrayseg._typing import (
    AbsentTarget,
    Activation,
    Array,
    Denominator,
    Pool,
    Reduction,
    SoftTruePositive,
    WeightNorm,
    Weights,
)

__all__ = [
    "ActivatedPixelKeywords",
    "BatchOptions",
    "CompoundOptions",
    "JointKeywords",
    "LovaszKeywords",
    "LovaszOptions",
    "MeanKeywords",
    "MeanOptions",
    "Options",
    "PairKeywords",
    "PairOptions",
    "PixelKeywords",
    "PixelOptions",
    "RegionKeywords",
    "RegionOptions",
    "described",
]

#: The width of the text of a docstring, without indentation.
WIDTH = 112


def option(default: Any, kind: Any, text: str) -> Any:
    """Return the dataclass field of an option.

    `kind` is the name of its type in a docstring, or its choices. `text` is its description.
    """
    choices = kind if isinstance(kind, tuple) else get_args(kind)
    return field(default=default, metadata={"choices": choices, "kind": kind, "text": text})


class Options:
    """The base of options. It raises for a value that is not one of the choices of its option."""

    choices: ClassVar[dict[str, tuple[Any, ...]]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: value.metadata["choices"] for name, value in vars(cls).items() if isinstance(value, Field)}
        cls.choices = {**cls.choices, **{name: choices for name, choices in own.items() if choices}}

    def __post_init__(self) -> None:
        for name, choices in self.choices.items():
            value = getattr(self, name)
            if not (value is None or type(value) is str) or value not in choices:
                object.__setattr__(self, name, check_choice(name, value, choices))


def described(options: Any, names: Sequence[str]) -> str:
    """Return the numpydoc entries of the options of a dataclass that have these names."""
    return "\n".join(_entry(item) for item in fields(options) if item.name in names)


def _entry(item: Field[Any]) -> str:
    """Return the numpydoc entry of an option: its name, type, default and description."""
    kind, choices = item.metadata["kind"], item.metadata["choices"]
    if choices:
        words = ", ".join(f'"{choice}"' for choice in choices if choice is not None)
        kind = f"{{{words}}} or None" if None in choices and item.default is not None else f"{{{words}}}"
    default = "optional" if item.default is None else "default " + repr(item.default).replace("'", '"')
    text = indent(fill(item.metadata["text"], WIDTH, break_on_hyphens=False, break_long_words=False), "    ")
    return f"{item.name} : {kind}, {default}\n{text}"


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Options):
    """The options that define what the arrays mean and which pixels count."""

    activation: Activation = option(
        "softmax",
        ("softmax", "sigmoid", None),
        'How to turn `input` into probabilities: "softmax" for mutually exclusive classes, "sigmoid" for independent '
        "ones, None if `input` already contains probabilities.",
    )
    class_axis: int | None = option(
        1,
        "int or None",
        "The axis of the classes; -1 for channels-last, which needs no copy. None for one binary channel without a "
        "class axis.",
    )
    ignore_index: int | None = option(
        None,
        "int",
        "The label to ignore. Its pixels contribute neither to the loss nor to the gradient. The label may lie outside "
        "the class range.",
    )
    mask: Array | None = option(None, "array of bool", r"True where a pixel counts. Shape (N, \*spatial).")
    pixel_weights: Array | None = option(
        None, "array", r"The weight of the loss of each pixel, at least 0. Shape (N, \*spatial)."
    )
    class_weights: Weights | None = option(
        None, "array or sequence of float", "The weight of the loss of each class. Shape (C,)."
    )


@dataclass(frozen=True, kw_only=True)
class MeanOptions(BatchOptions):
    """The options of means over pixels."""

    reduction: Reduction = option(
        "mean", Reduction, 'The result: one number, or with "none" the loss of each pixel, 0 for ignored pixels.'
    )
    denominator: Denominator = option(
        "weights",
        Denominator,
        'What "mean" divides by: "weights" for the sum of the weights of the valid pixels, "valid" for their number, '
        '"all" for the number of all pixels (ignored pixels too), "elements" for the number of valid pixels times '
        'C, "positives" for the number of positive targets. A weight is a pixel weight, times the class weight if the '
        "target holds ids of exclusive classes, and times C for independent classes. The positive targets of exclusive "
        "classes are the pixels that are not class 0.",
    )


@dataclass(frozen=True, kw_only=True)
class PixelOptions(MeanOptions):
    """The options of pixel losses."""

    label_smoothing: float = option(
        0.0, "float", "The part of the target to spread evenly over the classes, in [0, 1)."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        smoothing = check_number("label_smoothing", self.label_smoothing, 0, 1, below=True)
        object.__setattr__(self, "label_smoothing", smoothing)


@dataclass(frozen=True, kw_only=True)
class RegionOptions(BatchOptions):
    """The options of region losses."""

    pixel_weights: Array | None = option(
        None, "array", r"The weight of each pixel in the sums, at least 0. Shape (N, \*spatial)."
    )
    weight_norm: WeightNorm = option(
        None,
        ("sum", None),
        'The divisor of the mean over classes: None for the number of classes that count, "sum" for the sum of their '
        "class weights.",
    )
    reduction: Reduction = option(
        "mean",
        Reduction,
        'The result: one number, or with "none" the loss of each score.',
    )
    pool: Pool = option(
        "image",
        Pool,
        "What the sums of a score run over: each class of each image, each class of the batch, all classes of each "
        'image, or everything. With ``reduction="none"`` the shape is (N, C), (C,), (N,) or ().',
    )
    absent: AbsentTarget = option(
        "keep",
        AbsentTarget,
        "How to treat a class that does not occur in the target: keep its loss, set it to 0, or drop it from the mean.",
    )
    soft_tp: SoftTruePositive = option(
        "product",
        SoftTruePositive,
        r'The true positive of probability p and target t. "product": p t. "l1": (p + t - \|p - t\|) / 2, with which '
        'the loss is 0 if input and target are equal, even for soft targets. "l2": p t, with p² and t² in the other '
        "sums.",
    )
    classes: Sequence[int] | None = option(
        None,
        "sequence of int",
        "The classes that enter the mean or, if pooled, the sums. The softmax still includes all classes.",
    )
    exclude_background: bool = option(False, "bool", "Exclude class 0; equivalent to ``classes=range(1, C)``.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights is not None and self.pool in ("micro", "all"):
            msg = (
                f"`class_weights` needs pool='image' or 'batch', because pool={self.pool!r} puts the classes together "
                "before the score."
            )
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class CompoundOptions(RegionOptions):
    """The options of a region loss plus a pixel loss."""

    reduction: Reduction = option("mean", ("mean", "sum"), "How to reduce both parts.")

    def __post_init__(self) -> None:
        if isinstance(self.reduction, str) and self.reduction == "none":
            msg = (
                "A compound is one number, because the losses of its parts have different shapes. Use "
                "reduction='mean' or 'sum'."
            )
            raise ValueError(msg)
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class LovaszOptions(BatchOptions):
    """The options of Lovasz losses."""

    class_weights: Weights | None = option(
        None,
        "array or sequence of float",
        "The weight of the loss of each class. Shape (C,). The mean divides by the number of classes that count, not "
        "by their weights.",
    )
    reduction: Reduction = option(
        "mean",
        Reduction,
        'The result: the mean over images of the mean over the classes that count, the sum, or with "none" the loss of '
        "every class. The shape is then (N, C), or (C,) for a pooled batch.",
    )
    exclude_background: bool = option(False, "bool", "Exclude class 0.")


@dataclass(frozen=True, kw_only=True)
class PairOptions(BatchOptions):
    """The options of losses over pairs of pixels."""

    reduction: Literal["mean", "sum"] = option(
        "mean", ("mean", "sum"), "The mean or the sum over the pairs in both orders."
    )


class PairKeywords(TypedDict, total=False):
    """The keywords of losses over pairs of pixels, for static type checkers."""

    class_axis: int | None
    ignore_index: int | None
    mask: Array | None
    reduction: Literal["mean", "sum"]


class LovaszKeywords(TypedDict, total=False):
    """The keywords of Lovasz losses, for static type checkers."""

    class_axis: int | None
    ignore_index: int | None
    mask: Array | None
    class_weights: Weights | None
    reduction: Reduction
    exclude_background: bool


class MeanKeywords(TypedDict, total=False):
    """The keywords of means over pixels except the activation, for static type checkers."""

    class_axis: int | None
    ignore_index: int | None
    mask: Array | None
    pixel_weights: Array | None
    class_weights: Weights | None
    reduction: Reduction
    denominator: Denominator


class PixelKeywords(MeanKeywords, total=False):
    """The keywords of pixel losses except the activation, for static type checkers."""

    label_smoothing: float


class ActivatedPixelKeywords(PixelKeywords, total=False):
    """The keywords of pixel losses, for static type checkers."""

    activation: Activation


class JointKeywords(TypedDict, total=False):
    """The keywords of region losses that score all classes together, for static type checkers."""

    activation: Activation
    class_axis: int | None
    ignore_index: int | None
    mask: Array | None
    pixel_weights: Array | None
    reduction: Reduction
    soft_tp: SoftTruePositive
    classes: Sequence[int] | None
    exclude_background: bool


class RegionKeywords(JointKeywords, total=False):
    """The keywords of region losses, for static type checkers."""

    class_weights: Weights | None
    weight_norm: WeightNorm
    pool: Pool
    absent: AbsentTarget
