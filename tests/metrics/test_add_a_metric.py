"""The page on adding a metric is true: its example works, and it names every file that a score is in."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.metrics._confusion import rates
from arrayseg.testing import to_numpy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_a_metric.md").read_text(encoding="utf-8")
#: A score that was added as the page says, to the file that it names.
EXISTING = "markedness"


@pytest.fixture(scope="module")
def pixel_error():
    """Return the example of the page, defined where the page puts it."""
    source = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def pixel_error" in block)
    namespace = {"__name__": rates.__name__, **vars(rates)}
    exec("from __future__ import annotations\n" + source, namespace)
    return namespace["pixel_error"]


def test_the_example_is_its_formula(library, pixel_error):
    matrix = np.asarray([[50, 3, 0, 2], [4, 31, 0, 1], [5, 1, 7, 0], [0, 0, 0, 0]])
    expected = []
    for label in range(3):
        hits, actual, predicted = matrix[label, label], matrix[label].sum(), matrix[:, label].sum()
        expected.append(float(Fraction(int(actual + predicted - 2 * hits), int(actual))))
    found = to_numpy(pixel_error(library.asarray(matrix)))
    np.testing.assert_allclose(found, [*expected, np.inf], rtol=1e-15)


def test_the_example_treats_absent_classes_as_it_is_told(library, pixel_error):
    matrix = library.asarray(np.asarray([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(to_numpy(pixel_error(matrix)), [0.75, 0.5, np.nan])
    np.testing.assert_array_equal(to_numpy(pixel_error(matrix, absent=7, classes=[2, 0])), [7, 0.75])


def test_the_docstring_of_the_example_is_whole(pixel_error):
    assert not re.search(r"^\s*\{\w+\}$", pixel_error.__doc__, re.MULTILINE)
    of_iou = metrics.iou.__doc__
    shared = pixel_error.__doc__[pixel_error.__doc__.index("Parameters") : pixel_error.__doc__.index("Examples")]
    assert shared in of_iou or shared.strip() in of_iou


def test_the_example_refuses_masks(pixel_error):
    mask = np.eye(4, dtype=bool)
    with pytest.raises(TypeError, match=r"metrics\.pixel_error\(metrics\.confusion_matrix\("):
        pixel_error(mask, mask)


def test_the_page_names_every_file_that_a_score_is_in():
    named = re.findall(r"^\d\. `([\w/.]+)`", PAGE, re.MULTILINE)
    assert len(named) <= 5
    assert all((ROOT / name).is_file() for name in named)
    searched = [*(ROOT / "arrayseg").rglob("*.py"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").rglob("test_*.py")]
    files = {
        path.relative_to(ROOT).as_posix()
        for path in searched
        if "compat" not in path.parts
        and path != Path(__file__)
        and re.search(rf"\b{EXISTING}\b", path.read_text(encoding="utf-8"))
    }
    assert files == set(named) - {"CHANGELOG.md"}
