"""Measurement of time and memory, the same call on every library."""

import time

import numpy as np
import pytest

from arrayseg.profiling import measure


def test_calls_are_counted_and_timed(library):
    calls = []

    def double(array, *, factor):
        calls.append(1)
        time.sleep(0.002)
        return {"result": [array * factor]}

    measurement = measure(double, library.asarray(np.ones(10)), factor=2.0, repeat=4, warmup=3)
    assert len(measurement.times) == 4
    assert len(calls) == 3 + 4 + 1
    assert 0.002 <= measurement.seconds == pytest.approx(np.median(measurement.times))
    low, high = np.quantile(measurement.times, [0.25, 0.75])
    assert measurement.spread == pytest.approx(high - low)


def test_peak_is_that_of_what_the_call_holds_at_one_time(library):
    if library.name in {"strict", "jax"}:
        pytest.skip(f"{library.name} keeps no record of its memory")
    megabyte = library.asarray(np.ones(2**17))

    def two_megabytes(array):
        more = array + 1.0
        return array + more

    peak = measure(two_megabytes, megabyte, repeat=1).peak_bytes
    assert 2 * 2**20 <= peak < 2.1 * 2**20


def test_single_repetition_has_no_spread(library):
    assert measure(lambda array: array + 1, library.asarray([1.0]), repeat=1, warmup=0).spread == 0


def test_without_arrays_there_is_no_backend_to_measure():
    with pytest.raises(TypeError, match="No argument is an array"):
        measure(sum, [1, 2])


@pytest.mark.parametrize("options", [{"repeat": 0}, {"warmup": -1}])
def test_numbers_of_calls_out_of_range_raise(options):
    with pytest.raises(ValueError, match="`repeat` must be at least 1"):
        measure(np.sqrt, np.ones(1), **options)
