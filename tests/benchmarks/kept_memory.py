"""Time confusion matrices with kept memory and without: `python tests/benchmarks/kept_memory.py`.

The processor time is that of 16 images of a megapixel with an ignored id. One process runs with ARRAYSEG_KEEP_MEMORY=1,
one with 0, in turn.
"""

import os
import subprocess
import sys
from time import process_time

TURNS, CALLS = 3, 15


def fastest() -> float:
    """Return the processor seconds of the fastest call in this process."""
    import numpy as np

    from arrayseg import metrics

    generator = np.random.default_rng(0)
    prediction, target = generator.integers(0, 19, size=(2, 16, 1024, 1024), dtype=np.uint8)
    seconds = []
    for _ in range(CALLS):
        start = process_time()
        metrics.confusion_matrix(prediction, target, num_classes=19, ignore_index=0)
        seconds.append(process_time() - start)
    return min(seconds)


def main() -> None:
    """Print a table in Markdown."""
    print("| ARRAYSEG_KEEP_MEMORY | ms |\n|--:|--:|", flush=True)
    for _ in range(TURNS):
        for kept in "10":
            command = [sys.executable, "-P", __file__, "time"]
            run = subprocess.run(
                command, env={**os.environ, "ARRAYSEG_KEEP_MEMORY": kept}, check=True, capture_output=True, text=True
            )
            print(f"| {kept} | {1e3 * float(run.stdout):.0f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["time"]:
        print(fastest())
    else:
        main()
