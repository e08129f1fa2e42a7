"""Label maps from PNG, TIFF, NPY, NPZ and NIfTI files, as integers and never as colours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

__all__ = ["LabelMap", "Labels", "UnreadableFileError", "map_labels", "mask_suffix", "read_label_map"]

Labels: TypeAlias = np.ndarray[Any, np.dtype[np.integer[Any]]]

# Pillow widens grey levels of 2 and 4 bits to 0..255: label 1 of a 4-bit file would come out as 17.
PNG_GREY_STEPS: Mapping[Any, int] = {"L;2": 85, "L;4": 17}


class LabelMap(NamedTuple):
    """The labels of a file and, where the format has one, the matrix from voxels to the world in millimetres."""

    labels: Labels
    affine: np.ndarray[Any, np.dtype[np.floating[Any]]] | None = None


class UnreadableFileError(Exception):
    """A file that holds no label map."""


def mask_suffix(name: str) -> str:
    """The suffix by which a reader knows its file, or an empty string; upper case counts too."""
    return next((suffix for suffix in READERS if name.lower().endswith(suffix)), "")


def read_label_map(path: Path) -> LabelMap:
    """The labels of one file as uint8, uint16 or int32, whichever holds them, contiguous.

    Raises
    ------
    UnreadableFileError
        The file is damaged, holds colours, or holds numbers that are no labels.
    """
    suffix = mask_suffix(path.name)
    if not suffix:
        msg = f"{path} cannot be read: its suffix is none of {', '.join(READERS)}."
        raise UnreadableFileError(msg)
    try:
        values, affine = READERS[suffix](path)
        return LabelMap(as_labels(values), affine)
    # Decoders of damaged files raise whatever they stumble over: zlib.error, struct.error, EOFError, KeyError, ...
    except Exception as error:
        msg = f"{path} cannot be read: {error or type(error).__name__}"
        raise UnreadableFileError(msg) from error


def map_labels(labels: Labels, changes: Mapping[int, int]) -> Labels:
    """The labels with some replaced, all at once: `{0: 1, 1: 0}` swaps two."""
    if not changes:
        return labels
    mapped = labels.astype(np.int32)
    for old, new in changes.items():
        mapped[labels == old] = new
    return mapped


def as_labels(values: np.ndarray[Any, Any]) -> Labels:
    """Booleans, integers and integer-valued floats as the narrowest of uint8, uint16 and int32."""
    if values.dtype.kind not in "biuf":
        msg = f"its values are of type {values.dtype}; labels are integers."
        raise ValueError(msg)
    if values.dtype.kind == "f":
        fractional = values[values != np.rint(values)]
        if fractional.size:
            msg = f"it holds {fractional[0]}, which is no label; labels are integers, not scores or probabilities."
            raise ValueError(msg)
    lowest, highest = (values.min(), values.max()) if values.size else (0, 0)
    for dtype in (np.uint8, np.uint16, np.int32):
        if np.iinfo(dtype).min <= lowest and highest <= np.iinfo(dtype).max:
            return np.ascontiguousarray(values, dtype=dtype)
    msg = f"its labels run from {lowest} to {highest}, beyond 32-bit integers."
    raise ValueError(msg)


def read_image(path: Path) -> LabelMap:
    """A PNG of mode 1 (labels 0 and 1), L, P (the index is the label, the palette is not looked at), I;16 or I."""
    from PIL import Image

    with Image.open(path) as image:
        if image.mode not in {"1", "L", "P", "I;16", "I;16B", "I"}:
            msg = f"it is of mode {image.mode}; labels are one channel of modes 1, L, P or I;16."
            raise ValueError(msg)
        raw_mode = image.tile[0][3] if image.format == "PNG" else None
        return LabelMap(np.array(image) // PNG_GREY_STEPS.get(raw_mode, 1))


def read_tiff(path: Path) -> LabelMap:
    """A TIFF of one value per pixel; several pages are the slices of a volume."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        if series.keyframe.samplesperpixel != 1:
            msg = f"it has {series.keyframe.samplesperpixel} values per pixel; labels are one channel."
            raise ValueError(msg)
        try:
            return LabelMap(series.asarray())
        except ValueError as error:
            # tifffile leaves LZW and its like to the package imagecodecs; Pillow decodes them, one page at a time.
            if "imagecodecs" not in str(error) or len(series.pages) > 1:
                raise
    return read_image(path)


def read_npy(path: Path) -> LabelMap:
    """An array, mapped from the disk and not read at once; mode c because PyTorch wants it to look writable."""
    return LabelMap(np.load(path, mmap_mode="c", allow_pickle=False))


def read_npz(path: Path) -> LabelMap:
    """The only array of an archive."""
    # Opened here, because np.load leaves the file open when the archive is damaged.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        if len(archive.files) != 1:
            msg = f"it holds {len(archive.files)} arrays ({', '.join(archive.files)}), and a mask is one."
            raise ValueError(msg)
        return LabelMap(archive[archive.files[0]])


def read_nifti(path: Path) -> LabelMap:
    """A volume, with its scale factors applied and its affine."""
    import nibabel

    image = nibabel.load(path)
    return LabelMap(np.asanyarray(image.dataobj), image.affine)


READERS = {
    ".png": read_image,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".npy": read_npy,
    ".npz": read_npz,
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
}
