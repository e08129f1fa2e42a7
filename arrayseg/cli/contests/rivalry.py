"""A metric beside the libraries that have it, on label maps or masks of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from arrayseg.cli.contests.scene import Call, Contest, available, torch_array

__all__ = ["Form", "Maps", "Rival", "contest", "one_hot_maps", "ravelled"]

Maps = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""A prediction and a target."""
Form = Callable[[Any, Any], Any]
"""A metric of a prediction and a target."""


class Rival(NamedTuple):
    """A metric of a library."""

    label: str
    package: str
    form: Form
    prepare: Callable[[Maps], Maps] | None = None
    """The form in which the library's users have their arrays; it is made before the clock starts."""


def contest(
    name: str,
    backend: str,
    maps: Callable[[], Maps],
    ours: Form,
    *rivals: Rival,
    device: str = "cpu",
    has_peak: bool = True,
    tolerance: float = 1e-5,
) -> Iterator[Contest]:
    """A contest of the rivals that are installed."""
    found = [rival for rival in rivals if find_spec(rival.package)]
    if not found or backend not in available(device):
        return
    arrays = maps()
    size = f"{' × '.join(map(str, arrays[1].shape))} {arrays[1].dtype}"

    def entry(form: Form, prepare: Callable[[Maps], Maps] | None = None) -> Callable[[Any], Call]:
        def build(_: Any) -> Call:
            pair: tuple[Any, ...] = prepare(arrays) if prepare else arrays
            if backend == "torch":
                pair = tuple(torch_array(array, device) for array in pair)
            return lambda: form(*pair)

        return build

    yield Contest(
        name,
        backend,
        entry(ours),
        {rival.label: entry(rival.form, rival.prepare) for rival in found},
        own_size=size,
        limit_bytes=sum(array.nbytes for array in arrays),
        has_peak=has_peak,
        tolerance=tolerance,
        device=device,
    )


def one_hot_maps(classes: int) -> Callable[[Maps], Maps]:
    """Label maps as channels of ones and zeros, which is how some libraries' users have them."""

    def prepare(maps: Maps) -> Maps:
        prediction, target = (
            np.ascontiguousarray(np.moveaxis(np.eye(classes, dtype=np.float32)[ids], -1, 1)) for ids in maps
        )
        return prediction, target

    return prepare


def ravelled(maps: Maps) -> Maps:
    """Arrays of one axis."""
    return maps[0].reshape(-1), maps[1].reshape(-1)
