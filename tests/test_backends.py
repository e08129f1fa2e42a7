"""Adapters: which arrays they are found for, and the primitives that libraries disagree on."""

import numpy as np
import pytest

from arrayseg.backends import backend_of
from arrayseg.testing import to_numpy

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_equal_a_number_exactly(library, dtype):
    limits = np.iinfo(dtype)
    values = np.array([0, 1, limits.max, limits.max - 2, limits.min], dtype=dtype)
    labels, backend = library.asarray(values), backend_of(library.asarray(values))
    for number in (*values.tolist(), -1, -3, 255, 2**63, 2**64 - 1, 2**64 - 3, 2**70, -(2**70)):
        expected = [value == number for value in values.tolist()]  # of Python numbers, which do not wrap
        assert to_numpy(backend.equals(labels, number)).tolist() == expected, number
        assert backend.holds(labels, number) == (limits.min <= number <= limits.max)


def test_booleans_equal_0_or_1(library):
    labels = library.asarray(np.array([True, False]))
    backend = backend_of(labels)
    found = {number: to_numpy(backend.equals(labels, number)).tolist() for number in (-1, 0, 1, 255)}
    assert found == {-1: [False, False], 0: [False, True], 1: [True, False], 255: [False, False]}
