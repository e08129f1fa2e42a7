"""What must hold where nothing but arrayseg's runtime dependencies is installed; run by `nox -s bare`."""

import importlib.util
import subprocess
import sys

FRAMEWORKS = ("torch", "jax", "cupy", "dask", "scipy", "array_api_strict", "typer", "rich")

#: The most processor time that `import arrayseg` takes beyond `import numpy`, as a multiple of the latter.
MOST_IMPORT_TIME = 1.5

TIMED_IMPORTS = """
import time
start = time.process_time()
import numpy
between = time.process_time()
import arrayseg
print(between - start, time.process_time() - between)
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

    times = [python(TIMED_IMPORTS).split() for _ in range(7)]
    numpy_seconds, seconds = (min(float(time) for time in column) for column in zip(*times, strict=True))
    ratio = seconds / numpy_seconds
    assert ratio < MOST_IMPORT_TIME, f"`import arrayseg` takes {ratio:.2f} times as long as that of numpy."

    python(LOSS_AND_METRIC)

    command = subprocess.run(
        [sys.executable, "-P", "-m", "arrayseg", "demo"], check=False, capture_output=True, text=True
    )
    assert command.returncode == 1, command
    assert 'pip install "arrayseg[app]"' in command.stderr, command.stderr

    print(
        f"bare: no framework imported, import {1000 * seconds:.0f} ms beyond numpy's "
        f"{1000 * numpy_seconds:.0f}, a loss and a metric computed"
    )


if __name__ == "__main__":
    main()
