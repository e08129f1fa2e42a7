"""Ours with the classes last, beside ours with the classes first, on the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from arrayseg.cli.contests.ours import value_and_gradient
from arrayseg.cli.contests.scene import Contest, Entry, Scene, available

__all__ = ["contests"]

LOSSES = ("cross_entropy", "focal", "dice", "dice_cross_entropy")


def contests(scene: Scene) -> Iterator[Contest]:
    """The contests of a scene that has several classes."""
    if scene.binary:
        return
    for name in LOSSES:
        for backend in available(scene.device):
            ours = partial(value_and_gradient, name, backend)
            rivals: dict[str, Entry] = {"arrayseg, channels-last": partial(ours, classes_last=True)}
            yield Contest(f"{name}, layouts", backend, ours, rivals, classes_last=True, device=scene.device)
