"""Read label maps from PNG, TIFF, NPY, NPZ and NIfTI files, as integers and never as colors."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

__all__ = ["LabelMap", "Labels", "UnreadableFileError", "map_labels", "mask_suffix", "read_label_map"]

Labels: TypeAlias = np.ndarray[Any, np.dtype[np.integer[Any]]]

# Pillow widens gray levels of 2 and 4 bits to 0..255: label 1 of a 4-bit file would come out as 17.
WIDENING: Mapping[int, int] = {2: 85, 4: 17}
PNG_GRAY_STEPS: Mapping[Any, int] = {f"L;{bits}": step for bits, step in WIDENING.items()}
# TIFF compressions LZW, DEFLATE (three), LZMA, Zstandard (two). For others, programs disagree on a predictor's meaning.
PREDICTING = frozenset({5, 8, 32946, 50013, 34925, 34926, 50000})
# The same, no compression, CCITT (four) and PackBits.
LOSSLESS = PREDICTING | {1, 2, 3, 4, 32771, 32773}


class LabelMap(NamedTuple):
    """The labels of a file and, if the format has one, the matrix from voxels to millimeters."""

    labels: Labels
    affine: np.ndarray[Any, np.dtype[np.floating[Any]]] | None = None


class UnreadableFileError(Exception):
    """The error of a file that holds no label map."""


def mask_suffix(name: str) -> str:
    """Return the suffix that selects a reader, in lower case, or an empty string if none does."""
    return next((suffix for suffix in READERS if name.lower().endswith(suffix)), "")


def read_label_map(path: Path) -> LabelMap:
    """Read the labels of one file as the narrowest of uint8, uint16 and int32, contiguous.

    Raises
    ------
    UnreadableFileError
        If the file is damaged, or holds colors or numbers that are no labels.
    """
    suffix = mask_suffix(path.name)
    try:
        if not suffix:
            msg = f"its suffix is none of {', '.join(READERS)}."
            raise ValueError(msg)
        if path.exists() and not path.is_file():
            msg = "it is a folder, a pipe or a device, not a regular file."  # opening a pipe could wait for ever
            raise ValueError(msg)
        values, affine = READERS[suffix](path)
        return LabelMap(as_labels(values), affine)
    # Decoders of damaged files raise whatever they stumble over: zlib.error, struct.error, EOFError, KeyError, ...
    except Exception as error:
        msg = f"{path} cannot be read: {error or type(error).__name__}"
        raise UnreadableFileError(msg) from error


def map_labels(labels: Labels, changes: Mapping[int, int]) -> Labels:
    """Return the labels with some replaced, all at once: `{0: 1, 1: 0}` swaps two."""
    if not changes:
        return labels
    mapped = labels.astype(np.int32)
    for old, new in changes.items():
        mapped[labels == old] = new
    return mapped


def as_labels(values: np.ndarray[Any, Any]) -> Labels:
    """Convert booleans, integers and integer-valued floats to the narrowest of uint8, uint16 and int32."""
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


def read_png(path: Path) -> LabelMap:
    """Read a PNG of mode 1 (labels 0 and 1), L, P (the index is the label; the palette is ignored), I;16 or I."""
    from PIL import Image, UnidentifiedImageError

    try:
        # Only PNG: Pillow would otherwise decode whatever the content is, a lossy JPEG included.
        with Image.open(path, formats=["PNG"]) as image:
            if getattr(image, "is_animated", False):
                msg = "it is an animation; a mask is one image."
                raise ValueError(msg)
            if image.mode not in {"1", "L", "P", "I;16", "I;16B", "I"}:
                msg = f"it is of mode {image.mode}; labels are one channel of modes 1, L, P or I;16."
                raise ValueError(msg)
            raw_mode = image.tile[0][3]
            labels = np.array(image) // PNG_GRAY_STEPS.get(raw_mode, 1)
        # Decoding passes over the checksums; a second reading checks them.
        with Image.open(path, formats=["PNG"]) as image:
            image.verify()
    except UnidentifiedImageError:
        msg = "its content is not PNG. Save the labels again as PNG; a JPEG has lost them, so converting it is no help."
        raise ValueError(msg) from None
    return LabelMap(labels)


def read_tiff(path: Path) -> LabelMap:
    """Read a TIFF of one value per pixel; several images of one size are the slices of a volume."""
    import tifffile

    # What the file itself holds: metadata of these three kinds can name other files, which would be read as well.
    with tifffile.TiffFile(path, is_ome=False, is_mmstack=False, is_ndtiff=False) as file:
        # Overviews and validity masks accompany an image and are none of its slices.
        images = [image for image in file.series if not image.keyframe.subfiletype & 0b101] or file.series[:1]
        shapes = {image.shape for image in images}
        if len(shapes) != 1:
            msg = f"it holds {len(images)} images of the shapes {sorted(shapes)}; a mask is one, or slices of one size."
            raise ValueError(msg)
        for image in images:
            check_tiff_page(image.keyframe)
        try:
            slices = [image.asarray() for image in images]
        except (ImportError, NotImplementedError, ValueError) as error:
            # tifffile leaves LZW, fax, Zstandard and packed bits to other packages; Pillow has most of them.
            if isinstance(error, ValueError) and not re.search("imagecodecs|not supported", str(error)):
                raise
            slices = [decode_with_pillow(path, image) for image in images]
        return LabelMap(slices[0] if len(slices) == 1 else np.stack(slices))


def check_tiff_page(page: Any) -> None:
    """Refuse colors, lossy compression, and pixels that are not stored row by row from the top left."""
    if page.samplesperpixel != 1:
        msg = f"it has {page.samplesperpixel} values per pixel; labels are one channel."
        raise ValueError(msg)
    if int(page.compression) not in LOSSLESS:
        name = getattr(page.compression, "name", page.compression)
        msg = f"its compression {name} can change labels. Save it without compression, or with DEFLATE or LZW."
        raise ValueError(msg)
    if page.predictor != 1 and int(page.compression) not in PREDICTING:
        msg = f"it has a predictor with the compression {page.compression.name}; they go with LZW and DEFLATE only."
        raise ValueError(msg)
    orientation = page.tags.valueof("Orientation", 1)
    if orientation != 1:
        msg = f"its pixels are stored in orientation {int(orientation)}. Save it from the top left (orientation 1)."
        raise ValueError(msg)


def decode_with_pillow(path: Path, image: Any) -> np.ndarray[Any, Any]:
    """Return the stored values of the pages of a TIFF series, without what Pillow does to show them."""
    from PIL import Image, UnidentifiedImageError

    page = image.keyframe
    bits, inverted = page.bitspersample, page.photometric == 0
    # Pillow does not swap the bytes of signed and floating numbers.
    swapped = page.parent.byteorder == ">" and bits > 8 and page.dtype.kind != "u"
    try:
        if bits not in {1, 2, 4, 8, 16, 32} or page.photometric not in {0, 1, 3} or swapped:
            raise UnidentifiedImageError
        with Image.open(path, formats=["TIFF"]) as file:
            pages = [_stored_values(file, each.index, bits, inverted=inverted) for each in image.pages]
    except (UnidentifiedImageError, ValueError):
        msg = f"decoding its {bits} bits per pixel takes another package: pip install imagecodecs."
        raise ValueError(msg) from None
    # Pillow reads some signed numbers as unsigned ones and the other way round.
    return np.stack(pages).astype(page.dtype).reshape(image.shape)


def _stored_values(file: Any, index: int, bits: int, *, inverted: bool) -> np.ndarray[Any, Any]:
    """Return the values of a page; Pillow inverts gray levels if 0 is white, and widens 2 and 4 bits to 0..255."""
    file.seek(index)
    values = np.array(file)
    if inverted and file.mode in {"1", "L"}:
        values = ~values
    return values // WIDENING.get(bits, 1) if file.mode == "L" else values


def read_npy(path: Path) -> LabelMap:
    """Read an array. It is not mapped: a file that shrinks while it is mapped kills the process."""
    with path.open("rb") as file:
        values = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):
            msg = "it goes on after its array; a mask is one array."
            raise ValueError(msg)
    return LabelMap(values)


def read_npz(path: Path) -> LabelMap:
    """Read the only array of an archive."""
    # Opened here, because np.load leaves the file open when the archive is damaged.
    with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
        if len(archive.files) != 1:
            msg = f"it holds {len(archive.files)} arrays ({', '.join(archive.files)}), and a mask is one."
            raise ValueError(msg)
        return LabelMap(archive[archive.files[0]])


def read_nifti(path: Path) -> LabelMap:
    """Read a volume, with its scale factors applied, and where it lies in space."""
    import nibabel

    kind = type(nibabel.load(path))  # the header alone is read
    if not issubclass(kind, nibabel.Nifti1Image):
        msg = f"it is a {kind.__name__}, not a NIfTI volume."
        raise ValueError(msg)
    zipped = path.name.lower().endswith(".gz")
    with gzip.open(path) if zipped else path.open("rb") as file:
        # Not mapped, for the reason given in `read_npy`.
        image = kind.from_file_map(kind.make_file_map({"image": file}), mmap=False)
        values = np.asanyarray(image.dataobj)
        # nibabel stops after the last voxel; the checksum comes after the last byte.
        while zipped and file.read(2**20):
            pass
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    return LabelMap(unscaled(values, image.dataobj.slope, image.dataobj.inter), affine_in_millimeters(image))


def unscaled(values: np.ndarray[Any, Any], slope: float, inter: float) -> np.ndarray[Any, Any]:
    """Return the integers that scaled values stand for: a NIfTI header has its scale factors in single precision."""
    if (slope, inter) == (1, 0):
        return values
    labels: np.ndarray[Any, Any] = np.rint(values)
    # Each factor is off by half a unit in its last place, and so are the factors with which the file was written.
    away = np.abs(values - labels) > np.finfo(np.float32).eps * (np.abs(values - inter) + abs(inter))
    if away.any():
        msg = (
            f"it holds {values[away][0]}, which is no label. Its values are stored with the scale factor {slope:.6g}, "
            "which rounds labels. Save them with an integer dtype and the scale factor 1."
        )
        raise ValueError(msg)
    return labels


def affine_in_millimeters(image: Any) -> np.ndarray[Any, Any] | None:
    """Return the matrix from voxels to millimeters, or None if the header has none."""
    header = image.header
    if not (header["sform_code"] or header["qform_code"]) or not np.isfinite(image.affine).all():
        return None
    scale = {1: 1000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 0b111, 1.0)  # meters, micrometers
    affine: np.ndarray[Any, Any] = np.diag([scale, scale, scale, 1.0]) @ image.affine
    return affine


READERS = {
    ".png": read_png,
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".npy": read_npy,
    ".npz": read_npz,
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
}
