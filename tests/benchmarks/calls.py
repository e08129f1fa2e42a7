"""Count the Python calls of common calls: `python tests/benchmarks/calls.py`, on whichever arrayseg is imported.

Each call runs once before it is counted, so that caches are filled. A call is one that Python makes to a Python
function of arrayseg; those written in C are not counted. There is one thread.
"""

import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import numpy as np

import arrayseg
from arrayseg import compat, losses, metrics

os.environ["ARRAYSEG_NUM_THREADS"] = "1"
PACKAGE = str(Path(arrayseg.__file__).parent)


def calls_of(call: Callable[[], object]) -> tuple[int, int, int]:
    """Return how many calls a call makes within arrayseg, of how many functions, in how many files."""
    seen: list[tuple[str, str]] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            seen.append((frame.f_code.co_filename, frame.f_code.co_qualname))

    call()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return len(seen), len(set(seen)), len({file for file, _ in seen})


def evaluate(folder: Path) -> None:
    """Run the command that evaluates a folder of one pair of masks."""
    try:
        from arrayseg.cli import main
    except ImportError:  # its place up to November 2026
        from arrayseg.app import main
    arguments = ["arrayseg", "evaluate", str(folder / "predictions"), str(folder / "targets"), "--num-classes", "4"]
    sys.argv, before = arguments, sys.argv
    try:
        with redirect_stdout(StringIO()), suppress(SystemExit):
            main()
    finally:
        sys.argv = before


def walks(folder: Path) -> dict[str, Callable[[], object]]:
    """Return the calls, of arrays that are large enough for every branch and small enough for one block."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 4, 8, 9)).astype(np.float32)
    ids = rng.integers(0, 4, size=(2, 8, 9))
    labels = ids.astype(np.uint8)
    sphere = np.linalg.norm(np.indices((12, 12, 12)) - 5.5, axis=0) < 4
    shifted = np.roll(sphere, 2, axis=0)
    for side, image in (("predictions", labels[0]), ("targets", labels[1])):
        (folder / side).mkdir()
        np.save(folder / side / "a.npy", image)
    found = {
        "value and gradient of Dice, NumPy": partial(arrayseg.value_and_grad(losses.dice), logits, ids),
        "value and gradient of cross entropy, NumPy": partial(
            arrayseg.value_and_grad(losses.cross_entropy), logits, ids
        ),
        "confusion matrix": partial(metrics.confusion_matrix, labels, labels[::-1], num_classes=4),
        "mean IoU of a confusion matrix": partial(
            metrics.mean_iou, metrics.confusion_matrix(labels, labels[::-1], num_classes=4)
        ),
        "surface distances": partial(metrics.surface_distances, sphere, shifted),
        "Hausdorff distance of surface distances": partial(
            metrics.hausdorff, metrics.surface_distances(sphere, shifted)
        ),
        "arrayseg evaluate of one pair": partial(evaluate, folder),
        "MONAI's DiceLoss by its preset": partial(
            compat.monai_1_6.dice_loss, logits, ids, softmax=True, to_onehot_y=True
        ),
    }
    with suppress(ImportError):
        import torch

        tensors = torch.asarray(logits).requires_grad_(), torch.asarray(ids)
        found["value and gradient of Dice, PyTorch"] = lambda: losses.dice(*tensors).backward()
    return found


def main() -> None:
    """Print a table in Markdown."""
    print("| call | Python calls | functions | files |\n|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for name, call in walks(Path(folder)).items():
            print("|", " | ".join([name, *map(str, calls_of(call))]), "|", flush=True)


if __name__ == "__main__":
    main()
