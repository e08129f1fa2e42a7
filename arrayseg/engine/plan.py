"""What one call of a loss computes: a plan, which runs in any of three ways that agree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from arrayseg._typing import Array
from arrayseg.backends import Backend
from arrayseg.engine.batch import Batch, Layout

__all__ = ["BatchPlan", "DerivedPlan", "Plan"]


class Plan(ABC):
    """The loss of one call: checked arrays and options. The backend of the arrays chooses how to run it."""

    @property
    @abstractmethod
    def backend(self) -> Backend:
        """The adapter of the arrays."""

    @property
    @abstractmethod
    def arrays(self) -> tuple[Array, ...]:
        """The input, for which there is a gradient, followed by all other arrays of the call."""

    @property
    @abstractmethod
    def is_scalar(self) -> bool:
        """Whether the result is one number, so that it has a gradient."""

    @abstractmethod
    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> Plan:
        """Return this plan for the arrays of another library, each converted by a function."""

    @abstractmethod
    def plain(self) -> Array:
        """Return the result as one expression of standard functions over whole arrays, for autodiff and compilers."""

    @abstractmethod
    def value(self) -> Array:
        """Return the result, computed in blocks."""

    @abstractmethod
    def value_and_gradient(self, *, wide: bool = False) -> tuple[Array, Array]:
        """Return the value and its closed-form gradient with respect to the input, computed in blocks.

        The gradient has the dtype of the input. With `wide` it has the dtype of the arithmetic, so that a caller can
        scale it before it is rounded to half precision.
        """


@dataclass(frozen=True)
class BatchPlan(Plan):
    """A plan over the pixels of a batch."""

    input: Array
    layout: Layout
    batch: Batch

    @property
    def backend(self) -> Backend:
        return self.batch.backend

    @property
    def arrays(self) -> tuple[Array, ...]:
        return (self.input, *self.batch.constants)

    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> Self:
        return replace(self, input=convert(self.input), batch=self.batch.converted(backend, convert))

    def new_gradient(self, *, wide: bool) -> tuple[Array, Array]:
        """Return an uninitialized gradient of the input's shape, and a view `(N, C, S)` to write it through."""
        batch = self.batch
        return self.layout.empty(batch.xp, batch.compute_dtype if wide else batch.logits.dtype, batch.device)


@dataclass(frozen=True)
class DerivedPlan(Plan):
    """A plan made from another one, whose arrays it shares."""

    of: Plan

    @property
    def backend(self) -> Backend:
        return self.of.backend

    @property
    def arrays(self) -> tuple[Array, ...]:
        return self.of.arrays

    @property
    def is_scalar(self) -> bool:
        return self.of.is_scalar

    def converted(self, backend: Backend, convert: Callable[[Array], Array]) -> Self:
        return replace(self, of=self.of.converted(backend, convert))
