"""The private interfaces of PyTorch that the package uses, tried with PyTorch 2.6 to 2.13.

This module does not import PyTorch; its functions take the module where they need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

__all__ = ["is_fake", "is_forward_ad_active", "is_transformed", "mark_constant", "memory_changes"]

Function = TypeVar("Function", bound=Callable[..., Any])


def is_transformed(torch: ModuleType) -> bool:
    """Return whether a transform of `torch.func` is running. There is no public question."""
    return bool(torch._C._are_functorch_transforms_active())


def is_forward_ad_active(torch: ModuleType) -> bool:
    """Return whether a level of forward-mode AD is open: `unpack_dual` raises outside of one."""
    return bool(torch.autograd.forward_ad._current_level >= 0)


def is_fake(tensor: Any) -> bool:
    """Return whether a tensor has metadata only, or wraps such a tensor."""
    from torch._subclasses.fake_tensor import is_fake

    return bool(is_fake(tensor))


def memory_changes(profile: Any) -> Iterator[int]:
    """Yield the bytes that each allocation added or released, in order.

    The public tables of `torch.profiler.profile` have sums, from which no peak can be computed.
    """
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            yield event.nbytes()


def mark_constant(function: Function) -> Function:
    """Make `torch.compile` call a function instead of tracing it.

    `torch.compiler.assume_constant_result` sets the same attribute, but needs PyTorch to be imported.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
