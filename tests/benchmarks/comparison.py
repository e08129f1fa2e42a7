"""The description of a comparison: a function of arrayseg on a backend, next to its peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np
from benchmarks.inputs import Call, Inputs, available, torch_array

Build = Callable[[Any], Call]
"""A function that makes its arrays from the inputs and returns the call to be timed."""
Maps = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
"""A prediction and a target."""
Metric = Callable[[Any, Any], Any]
"""A function of a prediction and a target."""


@dataclass(frozen=True)
class Comparison:
    """A function on a backend, and its peers by name."""

    function: str
    backend: str
    own: Build
    peers: dict[str, Build]
    own_size: str | None = None
    """The size of a metric's own inputs; None if the inputs are given."""
    limit_bytes: int | None = None
    """The bytes of a metric's own inputs; None if the inputs are given."""
    part: Literal["corner", "two classes"] | None = None
    """The part of the inputs to use if the peer takes minutes on the whole, or cannot compute it."""
    has_peak: bool = True
    """Whether memory is measured; torch's profile of a million small operations takes gigabytes itself."""
    tolerance: float | None = None
    """The largest relative difference of the results; None: what the dtype allows."""
    classes_last: bool = False
    """Whether the peers, and not arrayseg, return the gradient with the class axis last."""
    device: str = "cpu"

    def inputs(self, whole: Inputs) -> Inputs:
        """Return the part of the inputs that is used."""
        return {"corner": whole.corner, "two classes": whole.two_classes, None: lambda: whole}[self.part]()


class MetricPeer(NamedTuple):
    """A metric of another library."""

    name: str
    package: str
    metric: Metric
    prepare: Callable[[Maps], Maps] | None = None
    """A conversion to the arrays that users of the library have. It is not timed."""


def metric_comparison(
    function: str,
    backend: str,
    maps: Callable[[], Maps],
    own: Metric,
    *peers: MetricPeer,
    device: str = "cpu",
    has_peak: bool = True,
    tolerance: float = 1e-5,
) -> Iterator[Comparison]:
    """Yield the comparison of a metric with the peers that are installed, if any is."""
    found = [peer for peer in peers if find_spec(peer.package)]
    if not found or backend not in available(device):
        return
    arrays = maps()
    size = f"{' × '.join(map(str, arrays[1].shape))} {arrays[1].dtype}"

    def builder(metric: Metric, prepare: Callable[[Maps], Maps] | None = None) -> Build:
        def build(_: Any) -> Call:
            pair: tuple[Any, ...] = prepare(arrays) if prepare else arrays
            if backend == "torch":
                pair = tuple(torch_array(array, device) for array in pair)
            return lambda: metric(*pair)

        return build

    yield Comparison(
        function,
        backend,
        builder(own),
        {peer.name: builder(peer.metric, peer.prepare) for peer in found},
        own_size=size,
        limit_bytes=sum(array.nbytes for array in arrays),
        has_peak=has_peak,
        tolerance=tolerance,
        device=device,
    )


def one_hot_maps(classes: int) -> Callable[[Maps], Maps]:
    """Return a conversion of label maps to channels of ones and zeros."""

    def prepare(maps: Maps) -> Maps:
        prediction, target = (
            np.ascontiguousarray(np.moveaxis(np.eye(classes, dtype=np.float32)[ids], -1, 1)) for ids in maps
        )
        return prediction, target

    return prepare


def raveled(maps: Maps) -> Maps:
    """Return the maps as arrays of one axis."""
    return maps[0].reshape(-1), maps[1].reshape(-1)
