"""Every metric gives on every other library what it gives on NumPy in float64; integers are equal.

NumPy itself is held to recorded numbers by tests/test_golden.py, and to independent computations by the other files.
"""

import inspect

import numpy as np
import pytest
from conftest import LIBRARIES

from arrayseg import metrics
from arrayseg.testing import Case, assert_parity, installed, metric_cases
from arrayseg.testing._parity import _arrays

CASES = metric_cases()
# Text and Python numbers, made of metrics that have cases.
WITHOUT_ARRAYS = {"report", "rle_encode"}


OTHERS = [library for library in LIBRARIES.values() if library.name != "numpy"]


@pytest.mark.parametrize(
    ("case", "library"),
    [pytest.param(case, library, id=f"{case.name}-{library.name}") for library in OTHERS for case in CASES],
)
def test_values_agree_with_float64_numpy(case, library):
    assert_parity(case, library, library.dtypes[0])


def test_every_function_has_a_case():
    public = {name for name in metrics.__all__ if not inspect.isclass(getattr(metrics, name))}
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert {name.partition(",")[0] for name in names} == public - WITHOUT_ARRAYS


def test_no_case_is_trivial():
    for case in CASES:
        arrays = _arrays(case.function(case.input, case.target))
        assert any(np.any(np.isfinite(array) & (array != 0)) for array in arrays), case.name


@pytest.mark.parametrize("off", [1, 1e-6])
def test_a_count_or_a_score_that_is_off_fails(off):
    library = installed(["numpy"])["numpy"]
    calls = []

    def function(input, target):
        calls.append(None)
        matrix = metrics.confusion_matrix(input, target, num_classes=2)
        return (matrix, metrics.iou(matrix)) if len(calls) == 1 else (matrix + (off == 1), metrics.iou(matrix) + off)

    labels = np.asarray([[0, 1, 1]])
    case = Case("iou", function, labels, labels, is_loss=False)
    with pytest.raises(AssertionError, match="differs from float64 NumPy"):
        assert_parity(case, library, "float64")
