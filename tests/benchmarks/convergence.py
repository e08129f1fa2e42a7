"""Minimize each loss alone by gradient descent on a small real image.

`python tests/benchmarks/convergence.py DATA` records the results in the table of docs/convergence.md.

The unknowns are the logits of one CamVid image (11 classes and void, 45 x 60 pixels). They start from the output of a
small network. Each step follows the negative gradient, scaled to a root mean square of 0.1 per logit.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

import arrayseg
from arrayseg import distance_maps, losses, metrics
from arrayseg.testing import loss_cases

IMAGE = "Seq05VD_f02640"
VOID = 11
STEPS = 60
#: A pixel of 2,700 that falls on the other side of a tie moves the mean over small classes by up to this.
TOLERANCE = 0.01
PAGE = Path(__file__).parents[2] / "docs" / "convergence.md"
ROW = re.compile(r"^\| `?([\w() ]+?)`? \| ([\d.]+) \|$", re.MULTILINE)
NAMES = [case.name for case in loss_cases() if "," not in case.name and case.name != "nll"]


def scene(data: Path):
    """Return the logits of the network (1, 11, 45, 60) and the labels (1, 45, 60)."""
    with np.load(data / "camvid" / "logits_quarter.npz") as archive:
        logits = archive[IMAGE].astype(np.float64)[None, :, ::2, ::2]
    (path,) = (data / "camvid" / "gt_test").glob(f"{IMAGE}.*")
    labels = np.asarray(Image.open(path)).astype(np.int64)[None, ::8, ::8]
    return logits, labels


def score(logits, labels) -> float:
    """Return the mean IoU over the classes of the image."""
    matrix = metrics.confusion_matrix(logits, labels, num_classes=VOID, ignore_index=VOID)
    return float(metrics.mean_iou(matrix))


def descend(loss, logits, labels) -> float:
    """Return the mean IoU after the descent."""
    step = arrayseg.value_and_grad(loss)
    logits = logits.copy()
    for _ in range(STEPS):
        _, gradient = step(logits, labels, ignore_index=VOID)
        taking_part = np.sqrt(np.mean(gradient**2))
        logits -= 0.1 * gradient / (taking_part + 1e-300)
    return score(logits, labels)


def candidates(labels):
    """Return every loss that trains with class ids, by name, with the options that it needs."""
    inside = distance_maps.distance_map(labels, VOID, inside_alone=True, ignore_index=VOID).sum(axis=1)
    options = {
        "distance_weighted_cross_entropy": {"distance": inside},
        "generalized_wasserstein_dice": {"distances": 1.0 - np.eye(VOID)},
        "ohem_cross_entropy": {"min_kept": 500},
    }
    return {name: partial(getattr(losses, name), **options.get(name, {})) for name in NAMES}


def recorded(page: str) -> dict[str, str]:
    """Return the mean IoU of each row of the page."""
    return dict(ROW.findall(page))


def record(data: Path) -> None:
    """Write the table of the page. A row that the test accepts keeps its digits."""
    page = PAGE.read_text(encoding="utf-8")
    before = recorded(page)
    logits, labels = scene(data)
    found = {"(the network)": score(logits, labels)}
    found |= {name: descend(loss, logits, labels) for name, loss in sorted(candidates(labels).items())}
    rows = ["| loss | mean IoU |", "|---|---|"]
    for name, value in found.items():
        kept = name in before and abs(value - float(before[name])) <= TOLERANCE
        shown = before[name] if kept else f"{value:.3f}"
        rows.append(f"| {name if name.startswith('(') else f'`{name}`'} | {shown} |")
    PAGE.write_text(page[: page.index("| loss |")] + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
