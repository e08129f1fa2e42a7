"""What `arrayseg bench` compares: each function beside the form that its users would otherwise call.

A contest names a function, a backend and its rivals. Every entry takes a `Scene`, makes its arrays, and returns the
call to be timed, so that making the arrays costs nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from arrayseg.cli.contests import frameworks, layouts, metrics, peers
from arrayseg.cli.contests.scene import SIZES, Call, Contest, Scene

__all__ = ["SIZES", "Call", "Contest", "Scene", "contests", "metric_contests"]


def contests(scene: Scene, *, with_peers: bool) -> Iterator[Contest]:
    """The contests on a scene that the installed libraries allow."""
    yield from frameworks.contests(scene)
    yield from layouts.contests(scene)
    if with_peers:
        yield from peers.contests(scene)


def metric_contests(*, with_peers: bool, device: str = "cpu") -> Iterator[Contest]:
    """Those on inputs of their own."""
    yield from metrics.contests(with_peers=with_peers, device=device)
