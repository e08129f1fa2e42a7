"""Measure and describe where volumes lie in space."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

__all__ = ["TOLERANCE", "describe", "displacement"]

#: Largest displacement, in voxels, at which two volumes are compared voxel by voxel. Programs round the affine of one
#: scan differently.
TOLERANCE = 0.1

Affine = np.ndarray[Any, np.dtype[np.floating[Any]]]


def displacement(affine: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """Return the largest distance between equal corners of two volumes, in units of the smallest voxel side."""
    axes = min(len(shape), 3)
    ends = [(-0.5, length - 0.5) for length in shape[:axes]] + [(0.0,)] * (3 - axes)
    corners = np.array([(*corner, 1.0) for corner in product(*ends)])
    apart = np.linalg.norm((corners @ (affine - other).T)[:, :3], axis=1).max()
    sides = np.concatenate([spacing(each)[:axes] for each in (affine, other)])
    return float(apart / min(sides[sides > 0], default=1.0))


def describe(affine: Affine) -> str:
    """Return a text with the orientation, spacing and origin of a volume."""
    from nibabel.orientations import aff2axcodes

    axes = "".join(code or "?" for code in aff2axcodes(affine))
    sides = " x ".join(f"{side:.6g}" for side in spacing(affine))
    origin = ", ".join(f"{place:.6g}" for place in affine[:3, 3])
    return f"orientation {axes}, spacing {sides} mm, origin ({origin})"


def spacing(affine: Affine) -> Affine:
    """Return the lengths of the sides of a voxel in millimeters."""
    sides: Affine = np.linalg.norm(affine[:3, :3], axis=0)
    return sides
