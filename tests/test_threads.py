"""Blocks on threads: every call ends, whoever makes it and whenever, and an error reaches the caller."""

from __future__ import annotations

import multiprocessing
import os
import platform
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from arrayseg import losses, metrics
from arrayseg.backends.numpy import NUMPY
from arrayseg.backends.numpy.threads import thread_count

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(2, 5, 256, 256)).astype(np.float32)
IDS = GENERATOR.integers(0, 5, size=(2, 256, 256))


@pytest.fixture(params=[1, 2, 5], autouse=True)
def threads(request, monkeypatch):
    monkeypatch.setenv("ARRAYSEG_NUM_THREADS", str(request.param))
    return request.param


def run_apart(code, **environment):
    """The last lines of the output of a program that must end by itself."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    return done.stdout.split(), done.stderr.splitlines()


def test_results_come_in_order():
    def square(number):
        time.sleep(0.001 * (number % 3))
        return number**2

    assert NUMPY.parallel_map(square, range(40)) == [number**2 for number in range(40)]


def test_a_function_may_come_back_from_a_block():
    def nested(depth):
        if depth == 0:
            return 1
        return sum(NUMPY.parallel_map(nested, [depth - 1] * 4))

    found = []
    thread = threading.Thread(target=lambda: found.append(nested(4)), daemon=True)
    thread.start()
    thread.join(60)
    assert found == [4**4]


def test_an_error_ends_the_call_and_the_other_threads(threads):
    begun = []

    def fail(number):
        begun.append(number)
        if number == 3:
            msg = "the third"
            raise LookupError(msg)
        time.sleep(0.001)

    with pytest.raises(LookupError, match="the third"):
        NUMPY.parallel_map(fail, range(1000))
    count = len(begun)
    assert count < 100
    time.sleep(0.02)
    assert len(begun) == count  # nobody goes on writing into arrays that the caller may have dropped


def test_many_callers_at_once():
    expected = float(losses.dice(LOGITS, IDS))
    found = []
    callers = [threading.Thread(target=lambda: found.append(float(losses.dice(LOGITS, IDS)))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 8


def test_the_state_of_numpy_errors_is_that_of_the_caller():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        NUMPY.parallel_map(lambda number: 1 / np.asarray(float(number)), range(8))
    with np.errstate(divide="ignore"):
        assert NUMPY.parallel_map(lambda number: np.geterr()["divide"], range(8)) == ["ignore"] * 8


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    # In a program apart: other libraries' threads in this one are none of ours to fork.
    code = (
        "import os, numpy as np; from arrayseg import losses\n"
        "x, t = np.ones((2, 5, 256, 256)), np.ones((2, 256, 256), int)\n"
        "value = losses.dice(x, t)\n"
        "child = os.fork()\n"
        "same = losses.dice(x, t) == value\n"
        "os._exit(not same) if child == 0 else print(os.waitpid(child, 0)[1])\n"
    )
    assert run_apart(code)[0] == ["0"]


@pytest.mark.parametrize("used_before", [False, True])
def test_scores_while_the_interpreter_shuts_down(used_before):
    code = (
        "import atexit, numpy as np; from arrayseg import losses, metrics\n"
        "x, t = np.ones((2, 5, 256, 256)), np.ones((2, 256, 256), int)\n"
        "maps = np.ones((4, 1024, 1024), int)\n"
        "def scores():\n"
        "    print(float(losses.dice(x, t)), int(metrics.confusion_matrix(maps, maps, num_classes=2)[1, 1]))\n"
        "class Logger:\n"
        "    def __del__(self): scores()\n"
        "logger = Logger()\n"
        "atexit.register(scores)\n" + "scores()\n" * used_before
    )
    lines, errors = run_apart(code)
    assert errors == []
    assert lines == [lines[0], str(4 * 1024**2)] * (2 + used_before)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
@pytest.mark.parametrize(("value", "is_kept"), [("0", False), ("1", True)])
def test_freed_memory_is_kept_unless_refused(value, is_kept):
    code = (
        "import numpy as np, arrayseg\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "before = resident()\n"
        "parts = [np.ones(2**20, dtype=np.uint8) for _ in range(40)]\n"
        "del parts\n"
        "print(resident() - before)\n"
    )
    lines, errors = run_apart(code, ARRAYSEG_KEEP_MEMORY=value)
    assert errors == []
    assert (int(lines[0]) > 20 * 2**20) == is_kept


def test_keeping_memory_is_yes_or_no():
    _, errors = run_apart("import arrayseg", ARRAYSEG_KEEP_MEMORY="yes")
    assert "ARRAYSEG_KEEP_MEMORY must be 1 or 0; got 'yes'" in errors[-1]


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "", "²"])
def test_threads_that_are_no_number(value, monkeypatch):
    monkeypatch.setenv("ARRAYSEG_NUM_THREADS", value)
    for call in (lambda: losses.dice(LOGITS, IDS), lambda: metrics.confusion_matrix(IDS, IDS, num_classes=5)):
        with pytest.raises(ValueError, match=rf"ARRAYSEG_NUM_THREADS must be .* got {value!r}\. .*\.$"):
            call()


def test_threads_are_read_at_each_call(threads):
    assert thread_count() == threads
