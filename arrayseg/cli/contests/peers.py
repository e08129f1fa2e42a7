"""The losses beside the libraries that have them, each by the preset that reproduces the library's number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from math import inf
from typing import Any, NamedTuple

import numpy as np

from arrayseg import losses, value_and_grad
from arrayseg.cli.contests.packages import module
from arrayseg.cli.contests.scene import (
    Call,
    Contest,
    Scene,
    available,
    jax_array,
    one_hot,
    torch_array,
    torch_logits,
    torch_step,
)
from arrayseg.compat._registry import presets_by_module

__all__ = ["contests"]


class Peer(NamedTuple):
    """A loss of a peer, under its own name and with its own options."""

    path: str
    options: dict[str, Any]
    target: str = "ids"
    input: str = "logits"
    ours: Callable[..., Any] | None = None
    """Ours, of ids without a channel; None where a preset has it."""
    most: float = inf
    """The logits beyond which a call takes minutes, so that a corner of them is measured."""
    two_classes: bool = False
    """Whether it takes no more."""
    tolerance: float | None = None
    of_classes: Callable[[int], dict[str, Any]] | None = None
    """Options that need the number of classes."""

    @property
    def package(self) -> str:
        return self.path.partition(".")[0]


#: The presets that are measured.
RELEASES = {
    "kornia": "kornia_0_9",
    "monai": "monai_1_6",
    "optax": "optax_0_2",
    "segmentation_models_pytorch": "smp_0_6",
    "torch": "torch",
}
SOFTMAX = {"softmax": True, "to_onehot_y": True}
MULTICLASS = {"mode": "multiclass"}
#: Ranks of errors that are equal in float32 may change places, and each is a right answer.
TIES = 0.02

#: Logits that are sorted class by class in a second or so.
SORTED = 4e7

#: Of several classes that exclude each other.
EXCLUSIVE = [
    Peer("monai.losses.DiceLoss", SOFTMAX, "channel"),
    Peer("monai.losses.DiceLoss", {**SOFTMAX, "jaccard": True}, "channel"),
    Peer("monai.losses.TverskyLoss", SOFTMAX, "channel"),
    Peer("monai.losses.GeneralizedDiceLoss", SOFTMAX, "channel"),
    Peer("monai.losses.FocalLoss", {"to_onehot_y": True, "use_softmax": True}, "channel"),
    Peer("monai.losses.FocalLoss", {"to_onehot_y": True}, "channel"),
    Peer("monai.losses.DiceCELoss", SOFTMAX, "channel", ours=losses.dice_cross_entropy),
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
#: Of one channel.
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


def contests(scene: Scene) -> Iterator[Contest]:
    """The losses of the installed peers."""
    for peer in BINARY if scene.binary else EXCLUSIVE:
        backend, entry = ("jax", _jax_step) if peer.package == "optax" else ("torch", _torch_entry)
        if find_spec(peer.package) is None or backend not in available(scene.device):
            continue
        yield Contest(
            name=_name(peer),
            backend=backend,
            ours=partial(entry, peer, _ours),
            rivals={_label(peer): partial(entry, peer, _theirs)},
            part="two classes" if peer.two_classes else "corner" if scene.logits.size > peer.most else None,
            tolerance=peer.tolerance,
            device=scene.device,
        )


def _options(peer: Peer, classes: int) -> dict[str, Any]:
    return {**peer.options, **(peer.of_classes(classes) if peer.of_classes else {})}


def _ours(peer: Peer, classes: int) -> Callable[..., Any]:
    """Our function that gives the peer's number."""
    if peer.ours is not None:
        return peer.ours
    release = RELEASES[peer.package]
    presets = {preset.peer: preset for preset in presets_by_module()[release]}
    return partial(presets[peer.path], **_options(peer, classes))


def _theirs(peer: Peer, classes: int) -> Callable[..., Any]:
    """The peer's function, or the object of its class."""
    path, _, name = peer.path.rpartition(".")
    found, options = getattr(module(path), name), _options(peer, classes)
    return found(**options) if isinstance(found, type) else partial(found, **options)


def _name(peer: Peer) -> str:
    options = ", ".join(f"{key}={value!r}" for key, value in peer.options.items())
    return f"{peer.path.rpartition('.')[2]}({options})"


def _label(peer: Peer) -> str:
    names = {"monai": "MONAI", "segmentation_models_pytorch": "segmentation-models-pytorch"}
    return names.get(peer.package, peer.package)


def _input(form: str, logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The logits, or the probabilities in their place."""
    if form == "logits":
        return logits
    if form == "independent probabilities":
        return np.asarray(1 / (1 + np.exp(-logits)))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return np.log(probabilities) if form == "log-probabilities" else np.asarray(probabilities)


def _target(form: str, scene: Scene) -> np.ndarray[Any, Any]:
    match form:
        case "ids" | "last ids":
            return scene.ids
        case "channel":
            return scene.ids[:, None]
        case "last":
            return np.ascontiguousarray(np.moveaxis(one_hot(scene), 1, -1))
        case _:
            return np.ascontiguousarray(one_hot(scene))


Build = Callable[[Peer, int], Callable[..., Any]]


def _torch_entry(peer: Peer, build: Build, scene: Scene) -> Call:
    import torch

    target = torch_array(_target("ids" if build is _ours and peer.ours else peer.target, scene), scene.device)
    if target.is_floating_point():
        target = target.to(getattr(torch, scene.dtype))
    given = replace(scene, logits=_input(peer.input, scene.logits))
    return torch_step(build(peer, scene.logits.shape[1]), torch_logits(given), target)


def _jax_step(peer: Peer, build: Build, scene: Scene) -> Call:
    import jax

    loss = build(peer, scene.logits.shape[1])
    step = jax.jit(value_and_grad(loss) if build is _ours else jax.value_and_grad(lambda *x: loss(*x).mean()))
    logits, target = np.ascontiguousarray(np.moveaxis(scene.logits, 1, -1)), _target(peer.target, scene)
    return partial(step, jax_array(logits, scene.device, scene.dtype), jax_array(target, scene.device))
