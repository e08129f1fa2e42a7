"""Every format gives back the labels that were written, and nothing that is no label."""

from __future__ import annotations

import gzip
import mmap
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="the extra `app` is not installed")
nibabel = pytest.importorskip("nibabel", reason="the extra `app` is not installed")
tifffile = pytest.importorskip("tifffile", reason="the extra `app` is not installed")

from arrayseg.evaluation.readers import UnreadableFileError, map_labels, mask_suffix, read_label_map  # noqa: E402

LABELS = np.array([[0, 1, 2, 3, 4], [200, 5, 0, 255, 6], [1, 1, 1, 0, 9]])
WIDE = LABELS * 257
VOLUME = np.arange(24).reshape(2, 3, 4)
NOISE = np.random.default_rng(0).integers(0, 9, (40, 50)).astype(np.uint8)


def save_image(path: Path, labels: np.ndarray, mode: str, **options: object) -> None:
    image = Image.fromarray(labels)
    assert image.mode == mode
    image.save(path, **options)


def save_palette(path: Path, labels: np.ndarray) -> None:
    image = Image.fromarray(labels.astype(np.uint8)).convert("L")
    # A palette in which no color equals its index.
    image.putpalette([255 - level for level in range(256) for _ in range(3)])
    image.save(path)


def save_nifti(path: Path, labels: np.ndarray, slope: float | None = None) -> None:
    image = nibabel.Nifti1Image(labels, np.diag([0.5, 0.5, 7.5, 1.0]))
    if slope is not None:
        image.header.set_slope_inter(slope, 0)
    nibabel.save(image, path)


def few_bits_png(bits: int, rows: np.ndarray, *, palette: bool = False, transparent: bool = False) -> bytes:
    """A PNG of 1, 2 or 4 bits per pixel. Pillow cannot write all kinds of them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    lines = b""
    for row in rows:
        text = "".join(format(value, f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        lines += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], bits, 3 if palette else 0, 0, 0, 0))]
    if palette:
        chunks.append((b"PLTE", bytes(range(3 * 2**bits, 0, -1))))
    if transparent:
        chunks.append((b"tRNS", b"\0\1"))
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in chunks)


WRITERS = {
    "1.png": (lambda path, labels: save_image(path, labels.astype(bool), "1"), (LABELS > 0).astype(int)),
    "l.png": (lambda path, labels: save_image(path, labels.astype(np.uint8), "L"), LABELS),
    "p.PNG": (save_palette, LABELS),
    "i16.png": (lambda path, labels: save_image(path, labels.astype(np.uint16), "I;16"), WIDE),
    "u8.tif": (lambda path, labels: tifffile.imwrite(path, labels.astype(np.uint8)), LABELS),
    "u16.tiff": (lambda path, labels: tifffile.imwrite(path, labels.astype(">u2"), byteorder=">"), WIDE),
    "deflate.tif": (lambda path, labels: tifffile.imwrite(path, labels.astype(np.uint16), compression="zlib"), WIDE),
    "lzw.tif": (lambda path, labels: save_image(path, labels.astype(np.uint8), "L", compression="tiff_lzw"), LABELS),
    "lzw16.tif": (
        lambda path, labels: save_image(path, labels.astype(np.uint16), "I;16", compression="tiff_lzw"),
        WIDE,
    ),
    "pages.tif": (
        lambda path, labels: tifffile.imwrite(path, labels.astype(np.uint8), photometric="minisblack"),
        VOLUME,
    ),
    "u8.npy": (lambda path, labels: np.save(path, labels.astype(np.uint8)), LABELS),
    "i64.npy": (lambda path, labels: np.save(path, labels.astype(np.int64)), LABELS - 1),
    "f32.npy": (lambda path, labels: np.save(path, labels.astype(np.float32)), LABELS),
    "bool.npy": (lambda path, labels: np.save(path, labels.astype(bool)), (LABELS > 0).astype(int)),
    "fortran.npy": (lambda path, labels: np.save(path, np.asfortranarray(labels.astype(np.uint8))), LABELS),
    "big_endian.npy": (lambda path, labels: np.save(path, labels.astype(">i4")), WIDE),
    "one.npz": (lambda path, labels: np.savez_compressed(path, mask=labels), WIDE),
    "u8.nii": (lambda path, labels: save_nifti(path, labels.astype(np.uint8)), VOLUME),
    "i16.nii.gz": (lambda path, labels: save_nifti(path, labels.astype(np.int16)), VOLUME),
    "f32.nii.gz": (lambda path, labels: save_nifti(path, labels.astype(np.float32)), VOLUME),
    "scaled.nii.gz": (lambda path, labels: save_nifti(path, (labels // 2).astype(np.int16), slope=2.0), VOLUME * 2),
}


@pytest.mark.parametrize("name", WRITERS)
def test_round_trip(tmp_path: Path, name: str) -> None:
    write, labels = WRITERS[name]
    write(tmp_path / name, labels)
    read = read_label_map(tmp_path / name).labels
    np.testing.assert_array_equal(read, labels)
    # What every backend takes as it stands: native bytes, C order, no more bits than needed, and writeable for PyTorch.
    assert read.dtype in (np.uint8, np.uint16, np.int32)
    assert read.dtype.isnative
    assert read.flags.c_contiguous
    assert read.flags.writeable


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("palette", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_not_widened(tmp_path: Path, bits: int, palette: bool, transparent: bool) -> None:
    labels = np.arange(15).reshape(3, 5) % 2**bits
    (tmp_path / "a.png").write_bytes(few_bits_png(bits, labels, palette=palette, transparent=transparent))
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png").labels, labels)


def test_nifti_affine(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii.gz", VOLUME.astype(np.uint8))
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.nii.gz").affine, np.diag([0.5, 0.5, 7.5, 1.0]))


def test_empty_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 3), dtype=np.int64))
    assert read_label_map(tmp_path / "a.npy").labels.shape == (0, 3)


@pytest.mark.parametrize("name", ["a.npy", "a.nii", "a.tif"])
def test_files_are_read_and_not_mapped(tmp_path: Path, name: str) -> None:
    """A file that a training job shortens while it is mapped would kill the process."""
    labels = LABELS.astype(np.uint8)
    {"a.npy": np.save, "a.nii": save_nifti, "a.tif": tifffile.imwrite}[name](tmp_path / name, labels)
    bases = [read_label_map(tmp_path / name).labels]
    while bases[-1].base is not None:
        bases.append(bases[-1].base)
    assert not any(isinstance(base, np.memmap | mmap.mmap) for base in bases)


@pytest.mark.parametrize("format", ["JPEG", "GIF", "BMP", "TIFF", "PPM"])
def test_a_png_is_nothing_else(tmp_path: Path, format: str) -> None:
    Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "a.png", format)
    with pytest.raises(UnreadableFileError, match="its content is not PNG"):
        read_label_map(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.npz", "a.nii.gz"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, name: str) -> None:
    """Formats with checksums give the labels or an error, and never other labels."""
    labels = NOISE[:, :, None] if name == "a.nii.gz" else NOISE
    {"a.png": lambda path, array: save_image(path, array, "L"), "a.npz": np.savez, "a.nii.gz": save_nifti}[name](
        tmp_path / name, labels
    )
    whole = (tmp_path / name).read_bytes()
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        content = bytearray(whole)
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
        (tmp_path / name).write_bytes(content)
        try:
            np.testing.assert_array_equal(read_label_map(tmp_path / name).labels, labels)
        except UnreadableFileError:
            refused += 1
    assert refused > 80
    (tmp_path / name).write_bytes(whole[:-8])
    with pytest.raises(UnreadableFileError):
        read_label_map(tmp_path / name)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
@pytest.mark.parametrize("factor", [1, 3, 7])
def test_labels_that_a_scale_factor_rounded(tmp_path: Path, dtype: type, factor: int) -> None:
    """Stored with an integer dtype, floating labels 0 and 3 come back as 0 and 3.0000000587."""
    labels = np.random.default_rng(0).integers(0, 2, (5, 6, 7)) * factor
    image = nibabel.Nifti1Image(labels.astype(np.float64), np.eye(4))
    image.set_data_dtype(dtype)
    nibabel.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.nii.gz").labels, labels)


def test_labels_that_a_scale_factor_lost(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(5.0).reshape(5, 1, 1), np.eye(4))  # in steps of 4 / 255
    image.set_data_dtype(np.uint8)
    nibabel.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(UnreadableFileError, match=r"scale factor 0\.0156863, which rounds labels"):
        read_label_map(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float64, ">i2"])
def test_nifti_of_any_number(tmp_path: Path, dtype: object, kind: type) -> None:
    nibabel.save(kind(VOLUME.astype(dtype)[..., None, None], np.eye(4), dtype=dtype), tmp_path / "a.nii")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.nii").labels, VOLUME)


@pytest.mark.parametrize(("unit", "millimeters"), [("meter", 1000.0), ("mm", 1.0), ("micron", 0.001), (0, 1.0)])
def test_nifti_affine_is_in_millimeters(tmp_path: Path, unit: str | int, millimeters: float) -> None:
    image = nibabel.Nifti1Image(VOLUME.astype(np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_xyzt_units(xyz=unit)
    nibabel.save(image, tmp_path / "a.nii")
    affine = read_label_map(tmp_path / "a.nii").affine
    np.testing.assert_allclose(affine, np.diag([2 * millimeters] * 3 + [1.0]), rtol=1e-15)


def test_nifti_without_orientation(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME.astype(np.uint8), None), tmp_path / "a.nii")
    assert read_label_map(tmp_path / "a.nii").affine is None


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableFileError, match="not a regular file"):
        read_label_map(tmp_path / "a.png")


def write_two(path: Path) -> None:
    np.savez(path, first=LABELS, second=LABELS)


def write_two_arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, LABELS)
        np.save(file, LABELS)


def write_as(save: Callable[[object, np.ndarray], None], path: Path) -> None:
    """Write an array in a format that the name does not say."""
    with path.open("wb") as file:
        save(file, LABELS)


def write_colors(path: Path) -> None:
    colors = np.zeros((2, 3, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colors, np.eye(4)), path)


def write_animation(path: Path) -> None:
    images = [Image.fromarray(LABELS.astype(np.uint8)), Image.fromarray(LABELS.astype(np.uint8) + 1)]
    images[0].save(path, save_all=True, append_images=images[1:])


def write_objects(path: Path) -> None:
    np.save(path, np.array([None, {}], dtype=object), allow_pickle=True)


def cut(path: Path, write: object) -> None:
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


UNREADABLE = {
    "rgb.png": (lambda path: save_image(path, np.zeros((3, 4, 3), np.uint8), "RGB"), "mode RGB"),
    "grey_alpha.png": (lambda path: Image.new("LA", (3, 4)).save(path), "mode LA"),
    "rgb.tif": (
        lambda path: tifffile.imwrite(path, np.zeros((3, 4, 3), np.uint8), photometric="rgb"),
        "3 values per pixel",
    ),
    "scores.npy": (lambda path: np.save(path, np.array([0.0, 0.25])), "0.25, which is no label"),
    "nan.npy": (lambda path: np.save(path, np.array([0.0, np.nan])), "nan, which is no label"),
    "infinite.npy": (lambda path: np.save(path, np.array([0.0, np.inf])), "to inf"),
    "complex.npy": (lambda path: np.save(path, np.array([1j])), "complex128"),
    "wide.npy": (lambda path: np.save(path, np.array([0, 2**40])), "1099511627776"),
    "objects.npy": (write_objects, "Object arrays"),
    "text.npy": (lambda path: np.save(path, np.array(["road"])), "<U4"),
    "record.npy": (lambda path: np.save(path, np.zeros(3, [("a", "u1"), ("b", "u1")])), "labels are integers"),
    "archive.npy": (lambda path: write_as(np.savez, path), "magic string"),
    "two.npy": (write_two_arrays, "goes on after its array"),
    "none.npz": (np.savez, "holds 0 arrays"),
    "array.npz": (lambda path: write_as(np.save, path), "not a zip file"),
    "rgba.png": (lambda path: Image.new("RGBA", (3, 4)).save(path), "mode RGBA"),
    "animation.png": (write_animation, "animation"),
    "rgb.nii": (write_colors, "labels are integers"),
    "nan.nii": (lambda path: save_nifti(path, np.full((2, 3, 4), np.nan, np.float32)), "nan, which is no label"),
    "zipped.nii": (lambda path: path.write_bytes(gzip.compress(bytes(400))), "zipped.nii"),
    "two.npz": (write_two, "first, second"),
    "cut.png": (lambda path: cut(path, lambda p: save_image(p, NOISE, "L")), "cut.png"),
    "cut.tif": (lambda path: cut(path, lambda p: tifffile.imwrite(p, NOISE, compression="zlib")), "cut.tif"),
    "cut.npy": (lambda path: cut(path, lambda p: np.save(p, NOISE)), "cut.npy"),
    "cut.npz": (lambda path: cut(path, lambda p: np.savez_compressed(p, NOISE)), "cut.npz"),
    "cut.nii.gz": (lambda path: cut(path, lambda p: save_nifti(p, NOISE)), "cut.nii.gz"),
    "empty.png": (lambda path: path.touch(), "empty.png"),
    "empty.npy": (lambda path: path.touch(), "empty.npy"),
    "missing.png": (lambda path: None, "missing.png"),
    "photo.jpg": (lambda path: path.touch(), "suffix"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_file_is_named(tmp_path: Path, name: str) -> None:
    write, sentence = UNREADABLE[name]
    write(tmp_path / name)
    with pytest.raises(UnreadableFileError) as caught:
        read_label_map(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert sentence in str(caught.value)


def test_map_labels_changes_all_at_once() -> None:
    labels = np.array([[0, 1, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(map_labels(labels, {0: 1, 1: 0, 255: -1}), [[1, 0, -1]])
    np.testing.assert_array_equal(labels, [[0, 1, 255]])


def test_suffix() -> None:
    assert mask_suffix("a.b.NII.GZ") == ".nii.gz"
    assert mask_suffix("a.gz") == ""
