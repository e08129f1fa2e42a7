"""The losses beside the libraries that have them, each by the preset that reproduces the library's number."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from arrayseg import losses, value_and_grad
from arrayseg.app.contests.scene import Call, Contest, Scene, one_hot, torch_logits, torch_step
from arrayseg.compat._preset import PRESETS

__all__ = ["contests"]


class Peer(NamedTuple):
    """A loss of a peer, under its own name and with its own options."""

    path: str
    options: dict[str, Any]
    target: str = "ids"
    ours: Callable[..., Any] | None = None
    """Ours, of ids without a channel; None where a preset has it."""
    in_corner: bool = False
    tolerance: float | None = None

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

#: Of several classes that exclude each other.
EXCLUSIVE = [
    Peer("monai.losses.DiceLoss", SOFTMAX, "channel"),
    Peer("monai.losses.DiceLoss", {**SOFTMAX, "jaccard": True}, "channel"),
    Peer("monai.losses.TverskyLoss", SOFTMAX, "channel"),
    Peer("monai.losses.GeneralizedDiceLoss", SOFTMAX, "channel"),
    Peer("monai.losses.FocalLoss", {"to_onehot_y": True, "use_softmax": True}, "channel"),
    Peer("monai.losses.FocalLoss", {"to_onehot_y": True}, "channel"),
    Peer("monai.losses.DiceCELoss", SOFTMAX, "channel", losses.dice_cross_entropy),
    Peer("monai.losses.MCCLoss", SOFTMAX, "channel"),
    Peer("monai.losses.SoftclDiceLoss", SOFTMAX, "channel", in_corner=True),
    Peer("monai.losses.BoundaryLoss", SOFTMAX, "channel", in_corner=True),
    Peer("monai.losses.HausdorffDTLoss", SOFTMAX, "channel", in_corner=True),
    Peer("monai.losses.LogHausdorffDTLoss", SOFTMAX, "channel", in_corner=True),
    Peer("kornia.losses.dice_loss", {}),
    Peer("kornia.losses.tversky_loss", {"alpha": 0.7, "beta": 0.3}),
    Peer("kornia.losses.focal_loss", {"alpha": None, "reduction": "mean"}),
    Peer("kornia.losses.binary_focal_loss_with_logits", {"reduction": "mean"}, "one-hot"),
    Peer("kornia.losses.lovasz_softmax_loss", {}, tolerance=TIES),
    Peer("segmentation_models_pytorch.losses.DiceLoss", MULTICLASS),
    Peer("segmentation_models_pytorch.losses.JaccardLoss", MULTICLASS),
    Peer("segmentation_models_pytorch.losses.TverskyLoss", MULTICLASS),
    Peer("segmentation_models_pytorch.losses.FocalLoss", MULTICLASS),
    Peer("segmentation_models_pytorch.losses.LovaszLoss", MULTICLASS, tolerance=TIES),
    Peer("segmentation_models_pytorch.losses.SoftCrossEntropyLoss", {"smooth_factor": 0.1}),
    Peer("segmentation_models_pytorch.losses.SoftBCEWithLogitsLoss", {}, "one-hot"),
    Peer("torch.nn.functional.cross_entropy", {"label_smoothing": 0.1}),
    Peer("torch.nn.functional.binary_cross_entropy_with_logits", {}, "one-hot"),
    Peer("optax.losses.dice_loss", {}, "last"),
    Peer("optax.losses.multiclass_generalized_dice_loss", {}, "last"),
    Peer("optax.losses.sigmoid_focal_loss", {}, "last"),
    Peer("optax.losses.softmax_cross_entropy", {}, "last"),
    Peer("optax.losses.softmax_cross_entropy_with_integer_labels", {}, "last ids"),
    Peer("optax.losses.sigmoid_binary_cross_entropy", {}, "last"),
]
#: Of one channel.
BINARY = [
    Peer("monai.losses.DiceLoss", {"sigmoid": True}, "one-hot"),
    Peer("monai.losses.TverskyLoss", {"sigmoid": True}, "one-hot"),
    Peer("monai.losses.FocalLoss", {}, "one-hot"),
    Peer("kornia.losses.binary_focal_loss_with_logits", {"reduction": "mean"}, "one-hot"),
    Peer("kornia.losses.lovasz_hinge_loss", {}, tolerance=TIES),
    Peer("segmentation_models_pytorch.losses.DiceLoss", {"mode": "binary"}, "channel"),
    Peer("segmentation_models_pytorch.losses.FocalLoss", {"mode": "binary"}, "channel"),
    Peer("torch.nn.functional.binary_cross_entropy_with_logits", {}, "one-hot"),
]


def contests(scene: Scene) -> Iterator[Contest]:
    """The losses of the installed peers."""
    for peer in BINARY if scene.binary else EXCLUSIVE:
        if find_spec(peer.package) is None:
            continue
        backend, entry = ("jax", _jax_step) if peer.package == "optax" else ("torch", _torch_entry)
        yield Contest(
            name=_name(peer),
            backend=backend,
            ours=partial(entry, peer, _ours),
            rivals={_label(peer): partial(entry, peer, _theirs)},
            in_corner=peer.in_corner,
            tolerance=peer.tolerance,
        )


def _ours(peer: Peer) -> Callable[..., Any]:
    """Our function that gives the peer's number."""
    if peer.ours is not None:
        return peer.ours
    release = RELEASES[peer.package]
    presets = {preset.peer: preset.function for preset in PRESETS if preset.module == release}
    return partial(presets[peer.path], **peer.options)


def _theirs(peer: Peer) -> Callable[..., Any]:
    """The peer's function, or the object of its class."""
    module, _, name = peer.path.rpartition(".")
    found = getattr(_module(module), name)
    return found(**peer.options) if isinstance(found, type) else partial(found, **peer.options)


def _module(path: str) -> ModuleType:
    """A module of a peer; of segmentation-models-pytorch without its models, which need timm and torchvision."""
    package = path.partition(".")[0]
    spec = find_spec(package)
    if package == "segmentation_models_pytorch" and package not in sys.modules and spec and find_spec("timm") is None:
        sys.modules[package] = module_from_spec(spec)  # not executed
    return importlib.import_module(path)


def _name(peer: Peer) -> str:
    options = ", ".join(f"{key}={value!r}" for key, value in peer.options.items())
    return f"{peer.path.rpartition('.')[2]}({options})"


def _label(peer: Peer) -> str:
    names = {"monai": "MONAI", "segmentation_models_pytorch": "segmentation-models-pytorch"}
    return names.get(peer.package, peer.package)


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


def _torch_entry(peer: Peer, build: Callable[[Peer], Callable[..., Any]], scene: Scene) -> Call:
    import torch

    target = torch.from_numpy(_target("ids" if build is _ours and peer.ours else peer.target, scene))
    if target.is_floating_point():
        target = target.to(getattr(torch, scene.dtype))
    return torch_step(build(peer), torch_logits(scene), target)


def _jax_step(peer: Peer, build: Callable[[Peer], Callable[..., Any]], scene: Scene) -> Call:
    import jax

    loss = build(peer)
    step = jax.jit(value_and_grad(loss) if build is _ours else jax.value_and_grad(lambda *x: loss(*x).mean()))
    logits = np.ascontiguousarray(np.moveaxis(scene.logits, 1, -1))
    return partial(step, jax.numpy.asarray(logits, dtype=scene.dtype), jax.numpy.asarray(_target(peer.target, scene)))
