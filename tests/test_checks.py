"""Arguments that are not arrays of pixels: what passes, as what, and what the sentence says of the rest."""

from fractions import Fraction

import numpy as np
import pytest

from arrayseg._checks import (
    check_choice,
    check_connectivity,
    check_index,
    check_indices,
    check_number,
    check_numbers,
    check_spacing,
)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.float64(2), np.int8(2), np.asarray(2.0), Fraction(2)])
def test_any_real_number_is_a_number(value):
    found = check_number("gamma", value, 0)
    assert found == 2
    assert type(found) in (int, float)


@pytest.mark.parametrize("value", ["2", None, True, 2j, [2.0], np.asarray([2.0]), {}, np.True_])
def test_other_objects_are_no_numbers(value):
    with pytest.raises(TypeError, match="`gamma` must be a number; got "):
        check_number("gamma", value, 0)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), -0.001, np.float32("nan")])
def test_numbers_are_finite_and_in_range(value):
    with pytest.raises(ValueError, match=f"`gamma` must be at least 0; got {value}"):
        check_number("gamma", value, 0)


def test_an_open_end_is_named():
    assert check_number("margin", 0.999, 0, 1, below=True) == 0.999
    with pytest.raises(ValueError, match="`margin` must be from 0 to just under 1; got 1"):
        check_number("margin", 1, 0, 1, below=True)


@pytest.mark.parametrize("values", [[1, 2.5], (1, 2.5), np.asarray([1, 2.5]), iter([1, 2.5])])
def test_sequences_and_arrays_of_numbers(values):
    assert check_numbers("thresholds", values, 0) == (1, 2.5)


@pytest.mark.parametrize("values", ["12", {1: 2}, 3.0, np.ones((2, 2)), None])
def test_what_is_no_sequence_of_numbers(values):
    with pytest.raises(TypeError, match="`thresholds` must be a sequence of numbers; got "):
        check_numbers("thresholds", values)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.asarray(3)])
def test_whole_numbers(value):
    assert check_index("radius", value, 1) == 3
    assert type(check_index("radius", value, 1)) is int


@pytest.mark.parametrize("value", [3.0, 2.7, "3", None, True, np.float64(3)])
def test_fractions_are_no_whole_numbers(value):
    with pytest.raises(TypeError, match="`radius` must be a whole number, such as 1; got "):
        check_index("radius", value, 1)


def test_whole_numbers_have_a_range():
    with pytest.raises(ValueError, match="`radius` must be from 1 to 3; got 4"):
        check_index("radius", 4, 1, 3)


def test_indices_are_different_and_in_range():
    assert check_indices("classes", np.asarray([2, 0]), 3) == (2, 0)
    assert check_indices("classes", range(1, 3), 3) == (1, 2)
    for wrong in ([], [3], [-1], [1, 1]):
        with pytest.raises(ValueError, match="`classes` must be different whole numbers from 0 to 2"):
            check_indices("classes", wrong, 3)
    for wrong in ([1.7], "all", 1, ["1"]):
        with pytest.raises(TypeError, match="`classes` must be"):
            check_indices("classes", wrong, 3)


@pytest.mark.parametrize("spacing", [2.0, 2, np.float32(2), [2, 2.0], np.asarray([2, 2]), np.asarray(2.0)])
def test_one_spacing_serves_every_axis(spacing):
    assert check_spacing(spacing, 2) == (2, 2)
    assert check_spacing(None, 3) == (1, 1, 1)


@pytest.mark.parametrize("spacing", [0, [1, 0], [1, 2, 3], [1], [1, float("inf")], -1])
def test_spacings_are_positive_and_as_many_as_axes(spacing):
    with pytest.raises(ValueError, match="`spacing` must"):
        check_spacing(spacing, 2)


def test_spacing_is_no_word():
    with pytest.raises(TypeError, match="`spacing` must be a number; got '1mm'"):
        check_spacing("1mm", 2)


def test_connectivity_is_at_most_the_number_of_axes():
    assert [check_connectivity(each, 3) for each in (None, 1, np.int64(2))] == [3, 1, 2]
    with pytest.raises(ValueError, match="`connectivity` must be from 1 to 2; got 3"):
        check_connectivity(3, 2)


@pytest.mark.parametrize("value", ["media", None, 3, ["mean"], np.asarray(["mean"])])
def test_choices_are_named(value):
    with pytest.raises(ValueError, match="`reduction` must be 'mean', 'sum' or 'none'; got "):
        check_choice("reduction", value, ("mean", "sum", "none"))


def test_numbers_of_every_library(library):
    assert check_number("gamma", library.asarray(np.asarray(2.0, dtype=np.float32))) == 2


def test_learned_numbers_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="requires a gradient, which would be lost"):
        check_number("gamma", torch.tensor(2.0, requires_grad=True))
