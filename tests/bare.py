"""What must hold where nothing but arrayseg's runtime dependencies is installed; run by `nox -s bare`."""

import importlib.util
import subprocess
import sys

FRAMEWORKS = ("torch", "jax", "cupy", "dask", "scipy", "array_api_strict", "typer", "rich")
SECONDS_BEYOND_NUMPY = 0.150

TIMED_IMPORT = """
import time
import numpy
start = time.perf_counter()
import arrayseg
print(time.perf_counter() - start)
"""

LOSS_AND_METRIC = """
import numpy as np
import arrayseg
logits, target = np.zeros((1, 3, 4, 5)), np.zeros((1, 4, 5), dtype=np.uint8)
value, gradient = arrayseg.value_and_grad(arrayseg.losses.cross_entropy)(logits, target)
assert abs(value - np.log(3)) < 1e-12, value
assert gradient.shape == logits.shape
matrix = arrayseg.metrics.confusion_matrix(target, target, num_classes=3)
assert arrayseg.metrics.mean_iou(matrix) == 1
"""


def python(code: str) -> str:
    """Run a program in an interpreter of its own, and return what it prints."""
    return subprocess.run([sys.executable, "-P", "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Check, and say what was checked."""
    installed = [name for name in FRAMEWORKS if importlib.util.find_spec(name)]
    assert not installed, f"This environment is not bare: {installed} can be imported."

    imported = python("import sys, arrayseg; print(*sys.modules)").split()
    loaded = sorted({name.partition(".")[0] for name in imported} & set(FRAMEWORKS))
    assert not loaded, f"`import arrayseg` imports {loaded}."

    seconds = min(float(python(TIMED_IMPORT)) for _ in range(7))
    assert seconds < SECONDS_BEYOND_NUMPY, f"`import arrayseg` takes {seconds:.3f} s beyond numpy."

    python(LOSS_AND_METRIC)

    command = subprocess.run(
        [sys.executable, "-P", "-m", "arrayseg", "demo"], check=False, capture_output=True, text=True
    )
    assert command.returncode == 1, command
    assert 'pip install "arrayseg[app]"' in command.stderr, command.stderr

    print(f"bare: no framework imported, import {1000 * seconds:.0f} ms beyond numpy, a loss and a metric computed")


if __name__ == "__main__":
    main()
