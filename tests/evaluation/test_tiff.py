"""A TIFF gives the stored values, however they are packed, compressed and meant to be shown."""

from __future__ import annotations

import struct
from itertools import product
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="the extra `app` is not installed")
pytest.importorskip("nibabel", reason="the extra `app` is not installed")
tifffile = pytest.importorskip("tifffile", reason="the extra `app` is not installed")

from arrayseg.evaluation.readers import UnreadableFileError, read_label_map  # noqa: E402

RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 5, (33, 47)).astype(np.uint8)
KINDS = {"u": 1, "i": 2, "f": 3}  # of SampleFormat
NONE, LZW, PACKBITS = 1, 5, 32773
WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE = 0, 1, 3


def lzw(content: bytes) -> bytes:
    """Codes of single bytes, cleared often enough that they stay 9 bits wide."""
    codes = []
    for start in range(0, len(content), 200):
        codes += [256, *content[start : start + 200]]
    return packed([[*codes, 257]], 9)


def packbits(content: bytes) -> bytes:
    runs = [content[start : start + 128] for start in range(0, len(content), 128)]
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


def packed(rows: list[list[int]], bits: int) -> bytes:
    """Each row filled up to a whole byte."""
    lines = ["".join(f"{value:0{bits}b}" for value in row) for row in rows]
    filled = [line + "0" * (-len(line) % 8) for line in lines]
    return b"".join(int(line, 2).to_bytes(len(line) // 8, "big") for line in filled)


def write_tiff(
    path: Path,
    labels: np.ndarray,
    bits: int,
    *,
    compression: int = NONE,
    photometric: int = BLACK_IS_ZERO,
    order: str = "<",
    fill_order: int = 1,
    kind: str = "u",
) -> None:
    """A TIFF of one strip, written with the bytes that the specification asks for and without a library."""
    content = labels.astype(f"{order}{kind}{bits // 8}").tobytes() if bits % 8 == 0 else packed(labels.tolist(), bits)
    content = {NONE: bytes, LZW: lzw, PACKBITS: packbits}[compression](content)
    if fill_order == 2:
        content = bytes(int(f"{byte:08b}"[::-1], 2) for byte in content)
    size = len(content)
    content += b"\0" * (size % 2)
    entries = [(256, labels.shape[1]), (257, labels.shape[0]), (258, bits), (259, compression), (262, photometric)]
    entries += [(266, fill_order), (273, 8), (277, 1), (278, labels.shape[0]), (279, size), (339, KINDS[kind])]
    fields = [(tag, 4, 1, value) for tag, value in entries]
    if photometric == PALETTE:
        fields.insert(-1, (320, 3, 3 * 2**bits, 8 + len(content)))
        content += RNG.integers(0, 2**16, 3 * 2**bits).astype(f"{order}u2").tobytes()
    directory = b"".join(struct.pack(f"{order}HHII", *field) for field in fields)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8 + len(content))
    path.write_bytes(head + content + struct.pack(f"{order}H", len(fields)) + directory + bytes(4))


def read_or_refused(path: Path) -> np.ndarray | None:
    """The labels, or None if the file is refused with the remedy."""
    try:
        return read_label_map(path).labels
    except UnreadableFileError as error:
        if "imagecodecs" not in str(error):
            raise
        return None


@pytest.mark.parametrize("width", [24, 21])
@pytest.mark.parametrize("compression", [NONE, LZW, PACKBITS])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_stored_values(tmp_path: Path, bits: int, photometric: int, compression: int, width: int) -> None:
    labels = RNG.integers(0, 2**bits, (16, width))
    options = {"compression": compression, "photometric": photometric}
    write_tiff(tmp_path / "a.tif", labels, bits, **options)
    read = read_or_refused(tmp_path / "a.tif")
    assert read is not None or (bits == 16 and photometric == PALETTE and compression == LZW)
    if read is not None:
        np.testing.assert_array_equal(read, labels)
    for order, fill_order in (">", 1), ("<", 2), (">", 2):
        write_tiff(tmp_path / "a.tif", labels, bits, order=order, fill_order=fill_order, **options)
        read = read_or_refused(tmp_path / "a.tif")
        assert read is None or np.array_equal(read, labels)


@pytest.mark.parametrize(("kind", "bits"), [("i", 8), ("i", 16), ("u", 32), ("i", 32), ("f", 32), ("u", 12), ("f", 64)])
def test_signed_wide_and_floating_values(tmp_path: Path, kind: str, bits: int) -> None:
    labels = RNG.integers(0 if kind == "u" else -100, 100, (16, 24))
    for order, compression, photometric in product("<>", (NONE, LZW, PACKBITS), (WHITE_IS_ZERO, BLACK_IS_ZERO)):
        write_tiff(
            tmp_path / "a.tif", labels, bits, order=order, compression=compression, photometric=photometric, kind=kind
        )
        read = read_or_refused(tmp_path / "a.tif")
        assert read is None or np.array_equal(read, labels)
        assert read is not None or compression == LZW or bits == 12


@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax(tmp_path: Path, compression: str, photometric: int) -> None:
    # Pillow stores the levels that it shows: where 0 is white, what it was given is stored inverted.
    shown = LABELS > 2
    Image.fromarray(shown).save(tmp_path / "a.tif", compression=compression, tiffinfo={262: photometric})
    stored = shown if photometric == BLACK_IS_ZERO else ~shown
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif").labels, stored)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "lzma"])
@pytest.mark.parametrize("factor", [1, 300])
def test_predictor(tmp_path: Path, compression: str, factor: int) -> None:
    labels = LABELS * np.uint16(factor) if factor > 1 else LABELS
    Image.fromarray(labels).save(tmp_path / "a.tif", compression=compression, tiffinfo={317: 2})
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif").labels, labels)


def test_slices_of_lzw(tmp_path: Path) -> None:
    slices = [Image.fromarray(LABELS + step) for step in range(3)]
    slices[0].save(tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=slices[1:])
    expected = np.stack([LABELS, LABELS + 1, LABELS + 2])
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif").labels, expected)


def test_images_of_one_size_are_slices(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(LABELS)
        file.write(LABELS + 1)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif").labels, np.stack([LABELS, LABELS + 1]))


def test_overviews_and_validity_masks_are_no_slices(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(LABELS, metadata=None)
        file.write(LABELS[::2, ::2], subfiletype=1, metadata=None)
        file.write(LABELS > 0, subfiletype=4, metadata=None)
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif").labels, LABELS)


def test_no_other_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "other.tif", np.full((16, 16), 7, np.uint8))
    planes = "".join(
        f'<TiffData FirstZ="{index}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{index}</UUID></TiffData>'
        for index, name in enumerate(("a.ome.tif", "../other.tif"))
    )
    text = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" SizeX="16" SizeY="16" SizeZ="2" SizeC="1" '
        f'SizeT="1" Type="uint8">{planes}</Pixels></Image></OME>'
    )
    path = tmp_path / "masks" / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), description=text.encode(), metadata=None)
    np.testing.assert_array_equal(read_label_map(path).labels, np.zeros((16, 16)))


REFUSED = {
    "jpeg": (lambda path: Image.fromarray(LABELS).save(path, compression="jpeg"), "compression JPEG can change labels"),
    "turned": (lambda path: Image.fromarray(LABELS).save(path, tiffinfo={274: 3}), "orientation 3"),
    "turned lzw": (
        lambda path: Image.fromarray(LABELS).save(path, compression="tiff_lzw", tiffinfo={274: 6}),
        "orientation 6",
    ),
    "predictor": (
        lambda path: Image.fromarray(LABELS).save(path, compression="packbits", tiffinfo={317: 2}),
        "predictor",
    ),
    "planes": (
        lambda path: tifffile.imwrite(path, np.stack([LABELS] * 3), photometric="rgb", planarconfig="separate"),
        "3 values per pixel",
    ),
    "nan": (lambda path: tifffile.imwrite(path, np.where(LABELS, np.float32(1), np.float32("nan"))), "nan"),
    "scores": (lambda path: tifffile.imwrite(path, LABELS / np.float32(4)), "no label"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(tmp_path: Path, name: str) -> None:
    write, sentence = REFUSED[name]
    write(tmp_path / "a.tif")
    with pytest.raises(UnreadableFileError, match=sentence):
        read_label_map(tmp_path / "a.tif")


def test_images_of_two_sizes(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(LABELS)
        file.write(LABELS[:8])
    with pytest.raises(UnreadableFileError, match="2 images"):
        read_label_map(tmp_path / "a.tif")
