"""Compare losses to other libraries, each through the preset that reproduces the library's number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from math import inf
from typing import Any, NamedTuple

import numpy as np
from benchmarks.comparison import Comparison
from benchmarks.inputs import (
    Call,
    Inputs,
    available,
    jax_array,
    one_hot,
    torch_array,
    torch_logits,
    torch_step,
)
from benchmarks.packages import module, preset

from arrayseg import losses, value_and_grad


class Peer(NamedTuple):
    """A loss of another library, under its own name and with its own options."""

    path: str
    options: dict[str, Any]
    target: str = "ids"
    input: str = "logits"
    own: Callable[..., Any] | None = None
    """The loss of arrayseg, for ids without a channel; None: the preset of the same name."""
    most: float = inf
    """The number of logits above which a call takes minutes, so that only a corner is measured."""
    two_classes: bool = False
    """Whether the loss takes only two classes."""
    tolerance: float | None = None
    of_classes: Callable[[int], dict[str, Any]] | None = None
    """The options that depend on the number of classes."""

    @property
    def package(self) -> str:
        """The name of the library."""
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        """The name of the loss."""
        return self.path.rpartition(".")[2]


LIBRARIES = {"monai": "MONAI", "segmentation_models_pytorch": "segmentation-models-pytorch"}
SOFTMAX = {"softmax": True, "to_onehot_y": True}
MULTICLASS = {"mode": "multiclass"}
#: Errors that are equal in float32 may be sorted in any order, and every order is right.
TIES = 0.02
#: Number of logits that are sorted class by class in about a second.
SORTED = 4e7

#: Losses of several exclusive classes.
EXCLUSIVE = [
    Peer("monai.losses.DiceLoss", SOFTMAX, "channel"),
    Peer("monai.losses.DiceLoss", {**SOFTMAX, "jaccard": True}, "channel"),
    Peer("monai.losses.TverskyLoss", SOFTMAX, "channel"),
    Peer("monai.losses.GeneralizedDiceLoss", SOFTMAX, "channel"),
    Peer("monai.losses.FocalLoss", {"to_onehot_y": True, "use_softmax": True}, "channel"),
    Peer("monai.losses.FocalLoss", {"to_onehot_y": True}, "channel"),
    Peer("monai.losses.DiceCELoss", SOFTMAX, "channel", own=losses.dice_cross_entropy),
    Peer("monai.losses.DiceFocalLoss", SOFTMAX, "channel"),
    Peer("monai.losses.GeneralizedDiceFocalLoss", SOFTMAX, "channel"),
    Peer("monai.losses.GeneralizedWassersteinDiceLoss", {}, of_classes=lambda n: {"dist_matrix": 1 - np.eye(n)}),
    Peer(
        "monai.losses.AsymmetricUnifiedFocalLoss", {"to_onehot_y": True}, "channel", "probabilities", two_classes=True
    ),
    Peer("monai.losses.MCCLoss", SOFTMAX, "channel"),
    Peer("monai.losses.SoftclDiceLoss", SOFTMAX, "channel", most=0),
    Peer("monai.losses.SoftDiceclDiceLoss", SOFTMAX, "channel", most=0),
    Peer("monai.losses.BoundaryLoss", SOFTMAX, "channel", most=0),
    Peer("monai.losses.HausdorffDTLoss", SOFTMAX, "channel", most=0),
    Peer("monai.losses.LogHausdorffDTLoss", SOFTMAX, "channel", most=0),
    Peer("kornia.losses.dice_loss", {}),
    Peer("kornia.losses.tversky_loss", {"alpha": 0.7, "beta": 0.3}),
    Peer("kornia.losses.focal_loss", {"alpha": None, "reduction": "mean"}),
    Peer("kornia.losses.binary_focal_loss_with_logits", {"reduction": "mean"}, "one-hot"),
    Peer("kornia.losses.lovasz_softmax_loss", {}, most=SORTED, tolerance=TIES),
    Peer("kornia.losses.HausdorffERLoss", {}, "channel", "probabilities", most=0),
    Peer("segmentation_models_pytorch.losses.DiceLoss", MULTICLASS),
    Peer("segmentation_models_pytorch.losses.JaccardLoss", MULTICLASS),
    Peer("segmentation_models_pytorch.losses.TverskyLoss", MULTICLASS),
    Peer("segmentation_models_pytorch.losses.FocalLoss", MULTICLASS),
    Peer("segmentation_models_pytorch.losses.LovaszLoss", MULTICLASS, most=SORTED, tolerance=TIES),
    Peer("segmentation_models_pytorch.losses.SoftCrossEntropyLoss", {"smooth_factor": 0.1}),
    Peer("segmentation_models_pytorch.losses.SoftBCEWithLogitsLoss", {}, "one-hot"),
    Peer("torch.nn.functional.cross_entropy", {"label_smoothing": 0.1}),
    Peer("torch.nn.functional.binary_cross_entropy_with_logits", {}, "one-hot"),
    Peer("torch.nn.functional.nll_loss", {}, input="log-probabilities"),
    Peer("torch.nn.functional.binary_cross_entropy", {}, "one-hot", "independent probabilities"),
    Peer("optax.losses.dice_loss", {}, "last"),
    Peer("optax.losses.multiclass_generalized_dice_loss", {}, "last"),
    Peer("optax.losses.sigmoid_focal_loss", {}, "last"),
    Peer("optax.losses.softmax_cross_entropy", {}, "last"),
    Peer("optax.losses.softmax_cross_entropy_with_integer_labels", {}, "last ids"),
    Peer("optax.losses.sigmoid_binary_cross_entropy", {}, "last"),
    Peer("optax.losses.poly_loss_cross_entropy", {}, "last"),
]
#: Losses of one channel.
BINARY = [
    Peer("monai.losses.DiceLoss", {"sigmoid": True}, "one-hot"),
    Peer("monai.losses.TverskyLoss", {"sigmoid": True}, "one-hot"),
    Peer("monai.losses.FocalLoss", {}, "one-hot"),
    Peer("kornia.losses.binary_focal_loss_with_logits", {"reduction": "mean"}, "one-hot"),
    Peer("kornia.losses.lovasz_hinge_loss", {}, tolerance=TIES),
    Peer("segmentation_models_pytorch.losses.DiceLoss", {"mode": "binary"}, "channel"),
    Peer("segmentation_models_pytorch.losses.JaccardLoss", {"mode": "binary"}, "channel"),
    Peer("segmentation_models_pytorch.losses.TverskyLoss", {"mode": "binary"}, "channel"),
    Peer("segmentation_models_pytorch.losses.FocalLoss", {"mode": "binary"}, "channel"),
    Peer("segmentation_models_pytorch.losses.LovaszLoss", {"mode": "binary"}, tolerance=TIES),
    Peer("segmentation_models_pytorch.losses.MCCLoss", {}, "channel", "independent probabilities"),
    Peer("segmentation_models_pytorch.losses.SoftBCEWithLogitsLoss", {}, "one-hot"),
    Peer("torch.nn.functional.binary_cross_entropy_with_logits", {}, "one-hot"),
    Peer("torch.nn.functional.binary_cross_entropy", {}, "one-hot", "independent probabilities"),
    Peer("optax.losses.binary_dice_loss", {}, "last"),
    Peer("optax.losses.sigmoid_focal_loss", {}, "last"),
    Peer("optax.losses.sigmoid_binary_cross_entropy", {}, "last"),
]


def comparisons(inputs: Inputs) -> Iterator[Comparison]:
    """Yield the comparisons with the losses of the installed peers."""
    for peer in BINARY if inputs.binary else EXCLUSIVE:
        backend, build = ("jax", _jax_call) if peer.package == "optax" else ("torch", _torch_call)
        if find_spec(peer.package) is None or backend not in available(inputs.device):
            continue
        options = ", ".join(f"{key}={value!r}" for key, value in peer.options.items())
        yield Comparison(
            f"{peer.name}({options})",
            backend,
            own=partial(build, peer, True),
            peers={LIBRARIES.get(peer.package, peer.package): partial(build, peer, False)},
            part="two classes" if peer.two_classes else "corner" if inputs.logits.size > peer.most else None,
            tolerance=peer.tolerance,
            device=inputs.device,
        )


def own_loss(peer: Peer, classes: int) -> Callable[..., Any]:
    """Return the loss of arrayseg that gives the peer's number."""
    return peer.own or partial(preset(peer.package, snake_case(peer.name)), **_options(peer, classes))


def peer_loss(peer: Peer, classes: int) -> Callable[..., Any]:
    """Return the peer's function, or the object of its class."""
    found, options = getattr(module(peer.path.rpartition(".")[0]), peer.name), _options(peer, classes)
    return found(**options) if isinstance(found, type) else partial(found, **options)


def snake_case(name: str) -> str:
    """Return the name of a preset from the peer's name: `dice_ce_loss` for `DiceCELoss`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub("_+", "_", words).lower()


def _options(peer: Peer, classes: int) -> dict[str, Any]:
    return {**peer.options, **(peer.of_classes(classes) if peer.of_classes else {})}


def input_of(form: str, logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the logits in the form that a peer takes: as they are, or as probabilities."""
    if form == "logits":
        return logits
    if form == "independent probabilities":
        return np.asarray(1 / (1 + np.exp(-logits)))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return np.log(probabilities) if form == "log-probabilities" else np.asarray(probabilities)


def target_of(form: str, inputs: Inputs) -> np.ndarray[Any, Any]:
    """Return the labels in the form that a peer takes."""
    match form:
        case "ids" | "last ids":
            return inputs.ids
        case "channel":
            return inputs.ids[:, None]
        case "last":
            return np.ascontiguousarray(np.moveaxis(one_hot(inputs), 1, -1))
        case _:
            return np.ascontiguousarray(one_hot(inputs))


def _torch_call(peer: Peer, is_own: bool, inputs: Inputs) -> Call:
    import torch

    form = "ids" if is_own and peer.own else peer.target
    target = torch_array(target_of(form, inputs), inputs.device)
    if target.is_floating_point():
        target = target.to(getattr(torch, inputs.dtype))
    loss = (own_loss if is_own else peer_loss)(peer, inputs.logits.shape[1])
    return torch_step(loss, torch_logits(replace(inputs, logits=input_of(peer.input, inputs.logits))), target)


def _jax_call(peer: Peer, is_own: bool, inputs: Inputs) -> Call:
    import jax

    classes = inputs.logits.shape[1]
    if is_own:
        step = value_and_grad(own_loss(peer, classes))
    else:
        loss = peer_loss(peer, classes)
        step = jax.value_and_grad(lambda *arrays: loss(*arrays).mean())
    logits, target = np.ascontiguousarray(np.moveaxis(inputs.logits, 1, -1)), target_of(peer.target, inputs)
    return partial(jax.jit(step), jax_array(logits, inputs.device, inputs.dtype), jax_array(target, inputs.device))
