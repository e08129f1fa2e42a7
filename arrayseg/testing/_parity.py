"""Check parity: compare the same case on every backend with NumPy in float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from arrayseg._typing import Array
from arrayseg.losses._api import value_and_grad
from arrayseg.testing._backends import Library, installed, to_numpy
from arrayseg.testing._cases import Case, loss_cases
from arrayseg.testing._metric_cases import metric_cases

__all__ = ["TOLERANCES", "Record", "assert_parity", "relative_difference", "validate"]

#: Largest allowed relative difference of values from NumPy in float64. Gradients may differ ten times as much.
TOLERANCES = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3, "bfloat16": 2e-2}


class Record(NamedTuple):
    """The result of a parity check.

    Parameters
    ----------
    name : str
        The name of the case.
    backend, dtype : str
        The backend, and the floating dtype of the input. For a metric this is the widest dtype of the library.
    value_difference, gradient_difference : float or None
        The largest relative differences of the value and of the gradient. The latter is None for metrics.
    passed : bool
        Whether the value differs by at most `TOLERANCES`, the gradient by at most ten times as much, and both have the
        right dtype.

    Examples
    --------
    >>> from arrayseg.testing import validate
    >>> all(record.passed for record in validate(backends=["numpy"], dtypes=["float64"]))
    True
    """

    name: str
    backend: str
    dtype: str
    value_difference: float
    gradient_difference: float | None
    passed: bool


def relative_difference(actual: Array, expected: Array) -> float:
    """Return the largest difference of two arrays, relative to the largest magnitude of the second.

    Parameters
    ----------
    actual, expected : array
        Arrays of the same shape from any library. NaN equals NaN, and an infinity equals itself.

    Returns
    -------
    float
        The difference: 0 if the arrays are equal, inf if their shapes, NaN or infinities differ.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.testing import relative_difference
    >>> relative_difference(np.array([1.0, 4.0]), np.array([1.0, 5.0]))
    0.2
    """
    actual, expected = (to_numpy(array).astype(np.float64) for array in (actual, expected))
    if actual.shape != expected.shape:
        return float("inf")
    finite = np.isfinite(expected) & np.isfinite(actual)
    if not np.array_equal(actual[~finite], expected[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    scale = np.max(np.abs(expected[finite]))
    difference = np.max(np.abs(actual[finite] - expected[finite]))
    return float(difference / scale) if scale > 0 else float(difference)


def assert_parity(case: Case, library: Library, dtype: str) -> Record:
    """Assert that a case has the same result in a library as in NumPy with float64.

    Parameters
    ----------
    case : Case
        The case to run.
    library : Library
        The library to run it on.
    dtype : str
        The floating dtype of the input. The reference receives the same rounded input. Metrics ignore it and use the
        widest dtype of the library.

    Returns
    -------
    Record
        The result of the check.

    Raises
    ------
    AssertionError
        If a value differs by more than `TOLERANCES`, a gradient by more than ten times that, or if a dtype is wrong.
        The gradient must have the dtype of the input. So must the value, except that it must be float32 for half
        precision.

    Examples
    --------
    >>> from arrayseg.testing import assert_parity, installed, loss_cases
    >>> record = assert_parity(loss_cases()[0], installed(["numpy"])["numpy"], "float32")
    >>> record.passed
    True
    """
    record = check(case, library, dtype)
    if not record.passed:
        msg = (
            f"{case.name} on {library.name} in {dtype} differs from float64 NumPy by {record.value_difference:.1e} "
            f"in value and {record.gradient_difference or 0:.1e} in gradient, relative; {TOLERANCES[dtype]:.0e} is "
            "allowed for values, ten times that for gradients. If both are allowed, a dtype is wrong."
        )
        raise AssertionError(msg)
    return record


def check(case: Case, library: Library, dtype: str) -> Record:
    """Run one case and return its record."""
    if not case.is_loss:
        return _check_metric(case, library)
    given = library.asarray(case.input, dtype)
    value, gradient = value_and_grad(case.function)(given, library.asarray(case.target), **_options(case, library))
    rounded = to_numpy(given).astype(np.float64)
    expected, slope = value_and_grad(case.function)(rounded, case.target, **case.options)
    differences = relative_difference(value, expected), relative_difference(gradient, slope)
    value_dtype = given.dtype if dtype == "float64" else library.xp.float32
    same_dtype = gradient.dtype == given.dtype and value.dtype == value_dtype
    passed = differences[0] <= TOLERANCES[dtype] and differences[1] <= 10 * TOLERANCES[dtype] and same_dtype
    return Record(case.name, library.name, dtype, *differences, passed)


def _check_metric(case: Case, library: Library) -> Record:
    """Run the case of a metric. Floats may differ within the tolerance of their dtype; integers must be equal."""
    widest = library.dtypes[0]
    given = [library.asarray(array, widest if array.dtype.kind == "f" else None) for array in (case.input, case.target)]
    rounded = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in map(to_numpy, given)]
    actual, expected = (_arrays(case.function(*arrays)) for arrays in (given, rounded))
    differences = [relative_difference(*pair) for pair in zip(actual, expected, strict=True)]
    is_floating = ["float" in str(array.dtype) for array in actual]
    passed = all(
        difference <= (TOLERANCES[widest] if floating else 0)
        for difference, floating in zip(differences, is_floating, strict=True)
    )
    return Record(case.name, library.name, widest, max(differences), None, passed)


def _arrays(result: Any) -> list[Array]:
    """Return the arrays of a result."""
    if isinstance(result, dict):
        return _arrays(list(result.values()))
    if isinstance(result, tuple | list):
        return [array for part in result for array in _arrays(part)]
    return [] if result is None else [result]


def validate(*, backends: Sequence[str] | None = None, dtypes: Sequence[str] | None = None) -> Iterator[Record]:
    """Check the parity of every loss and metric on the backends of this machine.

    Parameters
    ----------
    backends : sequence of str, optional
        Names that `installed` accepts; by default all that it finds.
    dtypes : sequence of str, optional
        Floating dtypes for losses; by default all dtypes of each backend.

    Yields
    ------
    Record
        One record per case, backend and dtype.

    Raises
    ------
    ValueError
        If the name of a backend or dtype is unknown.
    ImportError
        If a requested backend is not installed.

    Examples
    --------
    >>> from arrayseg.testing import validate
    >>> records = list(validate(backends=["numpy"], dtypes=["float32"]))
    >>> {record.name for record in records} >= {"cross_entropy", "dice"}, all(record.passed for record in records)
    (True, True)
    """
    unknown = set(dtypes or ()) - set(TOLERANCES)
    if unknown:
        msg = f"Unknown dtype {min(unknown)!r}. Choose one of: {', '.join(TOLERANCES)}."
        raise ValueError(msg)
    for library in installed(None if backends is None else list(backends)).values():
        for case in loss_cases():
            for dtype in library.dtypes:
                if dtypes is None or dtype in dtypes:
                    yield check(case, library, dtype)
        for case in metric_cases():
            yield check(case, library, library.dtypes[0])


def _options(case: Case, library: Library) -> dict[str, Any]:
    return {
        name: library.asarray(value) if isinstance(value, np.ndarray) else value for name, value in case.options.items()
    }
