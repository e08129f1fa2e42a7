"""Every format gives back the labels that were written, and nothing that is no label."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="the extra `app` is not installed")
nibabel = pytest.importorskip("nibabel", reason="the extra `app` is not installed")
tifffile = pytest.importorskip("tifffile", reason="the extra `app` is not installed")

from arrayseg.app._readers import UnreadableFileError, map_labels, mask_suffix, read_label_map  # noqa: E402

LABELS = np.array([[0, 1, 2, 3, 4], [200, 5, 0, 255, 6], [1, 1, 1, 0, 9]])
WIDE = LABELS * 257
VOLUME = np.arange(24).reshape(2, 3, 4)


def save_image(path: Path, labels: np.ndarray, mode: str, **options: object) -> None:
    image = Image.fromarray(labels)
    assert image.mode == mode
    image.save(path, **options)


def save_palette(path: Path, labels: np.ndarray) -> None:
    image = Image.fromarray(labels.astype(np.uint8)).convert("L")
    # A palette in which no colour equals its index.
    image.putpalette([255 - level for level in range(256) for _ in range(3)])
    image.save(path)


def save_nifti(path: Path, labels: np.ndarray, slope: float | None = None) -> None:
    image = nibabel.Nifti1Image(labels, np.diag([0.5, 0.5, 7.5, 1.0]))
    if slope is not None:
        image.header.set_slope_inter(slope, 0)
    nibabel.save(image, path)


def grey_png(bits: int, rows: np.ndarray) -> bytes:
    """A grey PNG of 1, 2 or 4 bits per pixel, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    lines = b""
    for row in rows:
        text = "".join(format(value, f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        lines += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content) for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    )


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


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_not_widened(tmp_path: Path, bits: int) -> None:
    labels = np.arange(15).reshape(3, 5) % 2**bits
    (tmp_path / "a.png").write_bytes(grey_png(bits, labels))
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png").labels, labels)


def test_nifti_affine(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii.gz", VOLUME.astype(np.uint8))
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.nii.gz").affine, np.diag([0.5, 0.5, 7.5, 1.0]))


def test_empty_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 3), dtype=np.int64))
    assert read_label_map(tmp_path / "a.npy").labels.shape == (0, 3)


def test_npy_is_mapped_and_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", LABELS.astype(np.uint8))
    labels = read_label_map(tmp_path / "a.npy").labels
    bases = [labels]
    while bases[-1].base is not None and isinstance(bases[-1].base, np.ndarray):
        bases.append(bases[-1].base)
    assert any(isinstance(base, np.memmap) for base in bases)


def write_two(path: Path) -> None:
    np.savez(path, first=LABELS, second=LABELS)


def write_objects(path: Path) -> None:
    np.save(path, np.array([None, {}], dtype=object), allow_pickle=True)


def cut(path: Path, write: object) -> None:
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


NOISE = np.random.default_rng(0).integers(0, 9, (40, 50)).astype(np.uint8)
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
    "objects.npy": (write_objects, "Python objects"),
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
