"""`arrayseg demo`: make a small labeled scene and run the other commands on it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from arrayseg.cli._arguments import check_output_folder
from arrayseg.cli._console import console, tell
from arrayseg.cli._evaluate import evaluate
from arrayseg.cli._validate import validate

__all__ = ["demo"]

CLASS_NAMES = ("meadow", "sky", "lake", "tree", "house")
COLORS = ((120, 170, 80), (140, 190, 235), (40, 90, 160), (30, 90, 40), (170, 70, 50))
VOID = 255
HEIGHT, WIDTH = 120, 180


def demo(
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the scene and the results; by default a new temporary one.", file_okay=False),
    ] = None,
) -> None:
    """Make a small labeled scene, evaluate it, and check the installed backends against each other."""
    check_output_folder(output)
    folder = Path(tempfile.mkdtemp(prefix="arrayseg-demo-")) if output is None else output
    stdout = console()
    tell(stdout, f"Masks of six made-up landscapes in {folder}")
    write_scene(folder)
    command = f"arrayseg evaluate {folder / 'predictions'} {folder / 'targets'} --num-classes {len(CLASS_NAMES)} "
    command += f"--ignore-index {VOID} --class-names {folder / 'classes.txt'} --output {folder / 'results'}"
    tell(stdout, f"\n$ {command}")
    evaluate(
        folder / "predictions",
        folder / "targets",
        num_classes=len(CLASS_NAMES),
        ignore_index=VOID,
        class_names=folder / "classes.txt",
        output=folder / "results",
    )
    tell(stdout, "\n$ arrayseg validate")
    validate()


def write_scene(folder: Path) -> None:
    """Write six targets with void seams between the regions, six imperfect predictions, and the class names."""
    generator = np.random.default_rng(seed=0)
    for name in ("summer/0", "summer/1", "summer/2", "winter/0", "winter/1", "winter/2"):
        truth = landscape(generator)
        save_mask(folder / "targets" / f"{name}.png", np.where(seams(truth), VOID, truth))
        save_mask(folder / "predictions" / f"{name}.png", imperfect(truth, generator))
    (folder / "classes.txt").write_text("\n".join(CLASS_NAMES) + "\n", "utf-8")


def landscape(generator: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return class ids of a sky over a meadow, with a lake, trees and a house."""
    row, column = np.mgrid[:HEIGHT, :WIDTH]
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[row < 45 + 8 * np.sin(column / generator.uniform(15, 40))] = 1
    labels[((row - 95) / 16) ** 2 + ((column - generator.integers(30, 80)) / 28) ** 2 < 1] = 2
    for x in generator.integers(10, WIDTH - 10, size=4):
        labels[np.hypot(row - 55, column - x) < generator.uniform(8, 13)] = 3
    x = generator.integers(95, 130)
    labels[70:98, x : x + 36] = 4
    return labels


def seams(labels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return the pixels whose right or lower neighbor belongs to another class."""
    seam = np.zeros(labels.shape, dtype=np.bool_)
    seam[:, :-1] = labels[:, 1:] != labels[:, :-1]
    seam[:-1] |= labels[1:] != labels[:-1]
    return seam


def imperfect(
    labels: np.ndarray[Any, np.dtype[np.uint8]], generator: np.random.Generator
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return what a model might predict: everything a little displaced, and scattered wrong pixels."""
    moved = np.roll(labels, generator.integers(-3, 4, size=2), axis=(0, 1))
    wrong = generator.random(labels.shape) < 0.03
    return np.where(wrong, generator.integers(0, len(CLASS_NAMES), size=labels.shape), moved).astype(np.uint8)


def save_mask(path: Path, labels: np.ndarray[Any, Any]) -> None:
    """Write a PNG whose values are the labels and whose palette makes them visible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels.astype(np.uint8))
    # All 256 colors: Pillow would store a shorter palette with 4 bits per pixel, and the label 255 as 15.
    palette = np.full((256, 3), 255, dtype=np.uint8)
    palette[: len(COLORS)] = COLORS
    image.putpalette(palette.tobytes())
    image.save(path)
