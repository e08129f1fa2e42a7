"""`arrayseg evaluate`: the right pairs, the right numbers, every fault by name, and whole files or none."""

from __future__ import annotations

import csv
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from arrayseg import metrics

RNG = np.random.default_rng(7)


def labels(classes: int = 3, shape: tuple[int, ...] = (7, 5)) -> np.ndarray:
    return RNG.integers(0, classes, size=shape).astype(np.uint8)


def with_label(wrong: int) -> np.ndarray:
    array = labels().astype(np.int64)
    array[3, 2] = wrong
    return array


def results(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text("utf-8"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_counts_and_scores(arrayseg, masks, tmp_path):
    target, prediction = np.array([[0, 0, 1, 9]]), np.array([[0, 1, 1, 2]])
    folders = masks(predictions={"a": prediction}, targets={"a": target})
    run = arrayseg("evaluate", *folders, "--num-classes", 3, "--ignore-index", 9, "--output", tmp_path / "out")
    assert run.exit_code == 0, run.output
    written = results(tmp_path / "out")
    assert written["confusion_matrix"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert written["overall"] == {
        "mean_iou": 0.5,
        "frequency_weighted_iou": 0.5,
        "pixel_accuracy": pytest.approx(2 / 3, rel=1e-15),
        "mean_pixel_accuracy": 0.75,
        "mean_dice": pytest.approx(2 / 3, rel=1e-15),
    }
    assert [row["iou"] for row in written["per_class"]] == [0.5, 0.5, None]
    assert "0.500000" in run.output
    assert "0.666667" in run.output


def test_csv_holds_what_the_json_holds(arrayseg, masks, tmp_path):
    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    arrayseg("evaluate", *folders, "--num-classes", 4, "--output", tmp_path / "out")
    written = results(tmp_path / "out")
    per_class = rows(tmp_path / "out" / "per_class.csv")
    assert [list(row) for row in per_class] == [list(row) for row in written["per_class"]]
    assert [row["iou"] for row in per_class] == [
        "" if row["iou"] is None else repr(row["iou"]) for row in written["per_class"]
    ]
    (overall,) = rows(tmp_path / "out" / "overall.csv")
    assert {name: float(text) for name, text in overall.items()} == written["overall"]


def test_pairs_by_relative_path_whatever_the_suffix(arrayseg, tmp_path):
    from PIL import Image

    # The base names are equal in both sequences; a wrong partner would show as a wrong pixel.
    for sequence, label in (("first", 0), ("second/night", 1)):
        mask = np.full((4, 6), label, dtype=np.uint8)
        for folder in ("predictions", "targets"):
            (tmp_path / folder / sequence).mkdir(parents=True)
        Image.fromarray(mask).save(tmp_path / "predictions" / sequence / "00.v1.PNG")
        np.save(tmp_path / "targets" / sequence / "00.v1.npy", mask)
    (tmp_path / "targets" / "NOTES.md").write_text("not a mask")
    (tmp_path / "targets" / "._hidden.png").write_text("not a mask")
    run = arrayseg(
        "evaluate", tmp_path / "predictions", tmp_path / "targets", "--num-classes", 2, "--output", tmp_path / "out"
    )
    assert run.exit_code == 0, run.output
    assert results(tmp_path / "out")["confusion_matrix"] == [[24, 0], [0, 24]]


def test_two_files_are_a_pair(arrayseg, masks, tmp_path):
    predictions, targets = masks(predictions={"mine": labels()}, targets={"theirs": labels()})
    run = arrayseg("evaluate", predictions / "mine.npy", targets / "theirs.npy", "--num-classes", 3)
    assert run.exit_code == 0, run.output
    run = arrayseg("evaluate", predictions / "mine.npy", targets, "--num-classes", 3)
    assert run.exit_code == 2
    assert "one of each" in run.output


FAULTS = {
    "unpaired target": ({}, {"bad": labels()}, "unpaired", ["targets/bad.npy has no prediction"]),
    "unpaired prediction": ({"bad": labels()}, {}, "unpaired", ["predictions/bad.npy has no target"]),
    "shape": ({"bad": labels()}, {"bad": labels(shape=(5, 7))}, "shape", ["predictions/bad.npy", "(7, 5)", "(5, 7)"]),
    "label in target": ({"bad": labels()}, {"bad": with_label(17)}, "label", ["targets/bad.npy", "`target`", "17"]),
    "label in prediction": (
        {"bad": with_label(17)},
        {"bad": labels()},
        "label",
        ["predictions/bad.npy", "`prediction`", "17"],
    ),
    "negative label": ({"bad": labels()}, {"bad": with_label(-9)}, "label", ["targets/bad.npy", "-9"]),
    "scores": ({"bad": labels() / 2}, {"bad": labels()}, "unreadable", ["predictions/bad.npy", "0.5"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named_and_nothing_is_written(arrayseg, masks, tmp_path, fault):
    predictions, targets, kind, sentences = FAULTS[fault]
    good = labels()
    folders = masks(predictions={"good": good} | predictions, targets={"good": good} | targets)
    command = ("evaluate", *folders, "--num-classes", 3, "--output", tmp_path / "out")

    run = arrayseg(*command)
    assert run.exit_code == 1
    for sentence in (f"{kind}: ", *sentences):
        assert sentence in run.output
    assert "mIoU" not in run.output
    assert not (tmp_path / "out").exists()

    run = arrayseg(*command, "--skip-errors")
    assert run.exit_code == 0, run.output
    for sentence in (f"{kind}: ", *sentences, "mIoU"):
        assert sentence in run.output
    written = results(tmp_path / "out")
    assert np.sum(written["confusion_matrix"]) == good.size
    assert written["overall"]["mean_iou"] == 1
    assert written["pairs"] == 1
    assert [problem["kind"] for problem in written["problems"]] == [kind]


def test_all_faults_are_listed_at_once(arrayseg, masks):
    predictions = {f"{index}/bad": fault[0]["bad"] for index, fault in enumerate(FAULTS.values()) if fault[0]}
    targets = {f"{index}/bad": fault[1]["bad"] for index, fault in enumerate(FAULTS.values()) if fault[1]}
    run = arrayseg("evaluate", *masks(predictions=predictions, targets=targets), "--num-classes", 3, "--skip-errors")
    assert f"Problems ({len(FAULTS)})" in run.output
    assert run.exit_code == 1, "with --skip-errors too, no result is no success"


def test_damaged_file_does_not_stop_the_others(arrayseg, masks, tmp_path):
    predictions, targets = masks(
        predictions={name: labels() for name in "abc"}, targets={name: labels() for name in "abc"}
    )
    (predictions / "b.npy").write_bytes(b"not an array")
    run = arrayseg("evaluate", predictions, targets, "--num-classes", 3, "--skip-errors", "--output", tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert "predictions/b.npy cannot be read" in run.output
    assert results(tmp_path / "out")["pairs"] == 2


def test_same_name_twice_is_ambiguous(arrayseg, masks):
    predictions, targets = masks(predictions={"a": labels()}, targets={"a": labels()})
    np.savez(predictions / "a.npz", labels())
    run = arrayseg("evaluate", predictions, targets, "--num-classes", 3)
    assert run.exit_code == 1
    assert "ambiguous: " in run.output
    assert "predictions/a.npz" in run.output


def test_no_masks(arrayseg, tmp_path):
    run = arrayseg("evaluate", tmp_path, tmp_path, "--num-classes", 3)
    assert run.exit_code == 1
    assert "There are no masks" in run.output


@pytest.mark.parametrize("interruption", [OSError("no space left on device"), KeyboardInterrupt()])
def test_interrupted_writing_leaves_the_earlier_files(arrayseg, masks, tmp_path, monkeypatch, interruption):
    from arrayseg.evaluation import report

    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    command = ("evaluate", *folders, "--num-classes", 3, "--output", tmp_path / "out")
    assert arrayseg(*command).exit_code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(before) == ["evaluation.json", "overall.csv", "per_class.csv"]

    def interrupt(path: Path, *_: object) -> None:
        path.write_text("half")
        raise interruption

    masks(predictions={"a": labels()})
    monkeypatch.setattr(report, "write_csv", interrupt)
    run = arrayseg(*command)
    assert run.exit_code != 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_memory_does_not_grow_with_the_number_of_files(masks):
    from arrayseg.evaluation.counting import PairCounter
    from arrayseg.evaluation.pairing import pair_files
    from arrayseg.evaluation.placement import BackendName, placer

    # int64 on disk, uint8 in memory: a file that stays mapped would not show, one that is kept would.
    shape = (256, 300)
    names = [f"{index}" for index in range(24)]
    folders = masks(
        predictions={name: labels(shape=shape).astype(np.int64) for name in names},
        targets={name: labels(shape=shape).astype(np.int64) for name in names},
    )
    pairs, problems = pair_files(*folders)
    assert len(pairs) == 24
    assert not problems

    def peak(count: int) -> int:
        counter = PairCounter(3, None, {}, {}, placer(BackendName.NUMPY, None))
        tracemalloc.start()
        for pair in pairs[:count]:
            counter.add(pair)
        measured = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert counter.pairs == count
        return measured

    peak(2)
    assert peak(24) < peak(2) + shape[0] * shape[1]


def test_class_names(arrayseg, masks, tmp_path):
    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    names = tmp_path / "names.txt"
    names.write_text("[red] car\nStraße\nsky\n", encoding="utf-8-sig")
    command = ("evaluate", *folders, "--num-classes", 3, "--class-names", names)
    run = arrayseg(*command, "--output", tmp_path / "out")
    assert run.exit_code == 0, run.output
    assert "[red] car" in run.output
    assert [row["name"] for row in results(tmp_path / "out")["per_class"]] == ["[red] car", "Straße", "sky"]
    names.write_bytes(b"[red] car\r\nStra\xc3\x9fe\r\nsky\r\n\r\n")
    assert arrayseg(*command, "--output", tmp_path / "out").exit_code == 0
    assert [row["name"] for row in results(tmp_path / "out")["per_class"]] == ["[red] car", "Straße", "sky"]
    for content, sentence in (
        (b"only\ntwo\n", "2 lines"),
        (b"only\n\nthree\n", "line 2"),
        ("Stra\u00dfe\n".encode("latin-1") * 3, "not a text file in UTF-8"),
    ):
        names.write_bytes(content)
        run = arrayseg(*command)
        assert run.exit_code == 2
        assert sentence in run.output


def test_label_maps(arrayseg, masks, tmp_path):
    prediction, target = np.array([[0, 1, 1]]), np.array([[0, 255, 0]])
    folders = masks(predictions={"a": prediction}, targets={"a": target})
    command = ("evaluate", *folders, "--num-classes", 2, "--output", tmp_path / "out")
    run = arrayseg(*command)
    assert run.exit_code == 1
    assert "255=1" in run.output
    for option in ("--label-map", "--target-map"):
        assert arrayseg(*command, option, "255=1").exit_code == 0
        assert results(tmp_path / "out")["confusion_matrix"] == [[1, 1], [0, 1]]
    assert arrayseg(*command, "--target-map", "255=1,0=1", "--prediction-map", "1=0").exit_code == 0
    assert results(tmp_path / "out")["confusion_matrix"] == [[0, 0], [3, 0]]
    # The map comes before the ignored label.
    assert arrayseg(*command, "--target-map", "255=9", "--ignore-index", 9).exit_code == 0
    assert results(tmp_path / "out")["confusion_matrix"] == [[1, 1], [0, 0]]


def test_classes_and_absent(arrayseg, masks, tmp_path):
    same = np.array([[1, 1, 2, 0]])
    folders = masks(predictions={"a": same}, targets={"a": same})
    command = ("evaluate", *folders, "--num-classes", 5, "--output", tmp_path / "out")
    for options, mean_iou in (
        ((), 1.0),
        (("--absent", "0"), 0.6),
        (("--absent", "0", "--classes", "1-4"), 0.5),
        (("--classes", "1,3"), 1.0),
        (("--absent", "nan"), None),
    ):
        assert arrayseg(*command, *options).exit_code == 0
        assert results(tmp_path / "out")["overall"]["mean_iou"] == mean_iou
    assert arrayseg(*command, "--classes", "1-2").exit_code == 0
    assert [row["label"] for row in results(tmp_path / "out")["per_class"]] == [1, 2]


@pytest.mark.parametrize(
    "options",
    [
        ("--label-map", "255"),
        ("--label-map", "255=1", "--label-map", "255=0"),
        ("--classes", "1-9"),
        ("--classes", "2-1"),
        ("--classes", "2-1,0"),
        ("--classes", "1-"),
        ("--classes", "-1"),
        ("--classes", "1-2-3"),
        ("--classes", "1,,2"),
        ("--classes", ""),
        ("--classes", "0-99999999999999"),
        ("--classes", "all"),
        ("--label-map", "1=99999999999"),
        ("--absent", "maybe"),
        ("--absent", "inf"),
        ("--absent", "-inf"),
        ("--absent", "-nan"),
        ("--absent", "1e999"),
        ("--backend", "tensorflow"),
        ("--num-classes", "0"),
        ("--num-classes", "2.5"),
        ("--ignore-index", "1.5"),
        ("--output", "-"),
        ("--class-names", "no such file"),
    ],
)
def test_wrong_usage(arrayseg, masks, options):
    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    run = arrayseg("evaluate", *folders, "--num-classes", 3, *options)
    assert run.exit_code == 2
    assert options[0] in run.output
    assert "Counting" not in run.output


def test_an_output_that_cannot_be_written_is_refused_before_the_work(arrayseg, masks, tmp_path):
    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for output in ("file", "file/below", "file/far/below"):
        run = arrayseg("evaluate", *folders, "--num-classes", 3, "--output", tmp_path / output)
        assert run.exit_code == 2
        assert "Counting" not in run.output
    assert (tmp_path / "file").read_text("utf-8") == "mine"


# One marker for "two libraries in one process".
BACKENDS = ["numpy", *(pytest.param(name, marks=pytest.mark.parity) for name in ("torch", "jax", "cupy"))]


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_count_alike(arrayseg, masks, tmp_path, backend):
    pytest.importorskip(backend)
    names = [str(index) for index in range(3)]
    wide = {name: labels(shape=(5, 4, 3)) * np.uint16(300) for name in names}
    folders = masks(predictions={name: labels(shape=(5, 4, 3)) for name in names}, targets=wide)
    command = ("evaluate", *folders, "--num-classes", 601, "--ignore-index", 300, "--output")
    assert arrayseg(*command, tmp_path / "numpy").exit_code == 0
    run = arrayseg(*command, tmp_path / "other", "--backend", backend)
    assert run.exit_code == 0, run.output
    assert results(tmp_path / "other")["confusion_matrix"] == results(tmp_path / "numpy")["confusion_matrix"]
    assert results(tmp_path / "other")["backend"] == backend


@pytest.mark.parametrize("backend", BACKENDS[:3])
def test_unknown_device(arrayseg, masks, backend):
    pytest.importorskip(backend)
    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    run = arrayseg("evaluate", *folders, "--num-classes", 3, "--backend", backend, "--device", "abacus")
    assert run.exit_code == 2
    assert f"--backend {backend} --device abacus: " in run.output


def turned(degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def moved(distance: float) -> np.ndarray:
    affine = np.eye(4)
    affine[0, 3] = distance
    return affine


HERE = np.diag([0.8, 0.8, 2.5, 1.0])
PLACES = {
    "rounding": (HERE + 1e-6, None),
    "rounding of the origin": (moved(4e-4) @ HERE, None),
    "turned by rounding": (turned(1e-3) @ HERE, None),
    "other spacing": (
        np.diag([0.8, 0.8, 5.0, 1.0]),
        ("orientation RAS, spacing 0.8 x 0.8 x 5 mm", "0.8 x 0.8 x 2.5 mm"),
    ),
    "flipped": (np.diag([-0.8, -0.8, 2.5, 1.0]), ("orientation LPS, spacing 0.8 x 0.8 x 2.5 mm", "orientation RAS")),
    "other axes": (HERE[[1, 0, 2, 3]], ("orientation ARS", "orientation RAS")),
    "moved": (moved(3.0) @ HERE, ("origin (3, 0, 0)", "origin (0, 0, 0)", "up to 3.75 voxels apart")),
    "turned": (turned(10) @ HERE, ("voxels apart",)),
    "identity": (np.eye(4), ("spacing 1 x 1 x 1 mm", "save it with the target's affine")),
}


@pytest.mark.parametrize("place", PLACES)
def test_volumes_of_other_geometry_are_a_problem(arrayseg, tmp_path, place):
    nibabel = pytest.importorskip("nibabel")
    affine, sentences = PLACES[place]
    volume = labels(shape=(8, 8, 6))
    for folder, where in (("predictions", affine), ("targets", HERE)):
        (tmp_path / folder).mkdir()
        nibabel.save(nibabel.Nifti1Image(volume, where), tmp_path / folder / "case.nii.gz")
    command = ("evaluate", tmp_path / "predictions", tmp_path / "targets", "--num-classes", 3)
    run = arrayseg(*command)
    if sentences is None:
        assert run.exit_code == 0, run.output
        assert "Warning" not in run.output
        return
    assert run.exit_code == 1
    for sentence in ("geometry: ", "predictions/case.nii.gz", "targets/case.nii.gz", *sentences):
        assert sentence in run.output
    assert "mIoU" not in run.output

    nibabel.save(nibabel.Nifti1Image(volume, HERE), tmp_path / "predictions" / "good.nii")
    nibabel.save(nibabel.Nifti1Image(volume, HERE), tmp_path / "targets" / "good.nii.gz")
    run = arrayseg(*command, "--skip-errors", "--output", tmp_path / "out")
    assert run.exit_code == 0, run.output
    written = results(tmp_path / "out")
    assert written["overall"]["mean_iou"] == 1
    assert [problem["kind"] for problem in written["problems"]] == ["geometry"]


def test_geometry_is_that_of_the_volume_and_not_of_its_header(arrayseg, tmp_path):
    """The same place by qform alone, and in meters."""
    nibabel = pytest.importorskip("nibabel")
    volume = labels(shape=(8, 8, 6))
    nibabel.save(nibabel.Nifti1Image(volume, HERE), tmp_path / "sform.nii")
    image = nibabel.Nifti1Image(volume, HERE)
    image.set_sform(None, code=0)
    image.set_qform(turned(0) @ HERE, code=1)
    nibabel.save(image, tmp_path / "qform.nii")
    image = nibabel.Nifti1Image(volume, np.diag([1e-3, 1e-3, 1e-3, 1]) @ HERE)
    image.header.set_xyzt_units(xyz="meter")
    nibabel.save(image, tmp_path / "meters.nii")
    for name in ("qform.nii", "meters.nii"):
        run = arrayseg("evaluate", tmp_path / name, tmp_path / "sform.nii", "--num-classes", 3)
        assert run.exit_code == 0, run.output
        assert "Warning" not in run.output


def test_files_without_geometry_are_compared_by_index(arrayseg, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    volume = labels(shape=(8, 8, 6))
    nibabel.save(nibabel.Nifti1Image(volume, HERE), tmp_path / "placed.nii")
    nibabel.save(nibabel.Nifti1Image(volume, None), tmp_path / "nowhere.nii")
    np.save(tmp_path / "array.npy", volume)
    run = arrayseg("evaluate", tmp_path / "array.npy", tmp_path / "placed.nii", "--num-classes", 3)
    assert run.exit_code == 0, run.output
    assert "Warning" not in run.output
    run = arrayseg("evaluate", tmp_path / "nowhere.nii", tmp_path / "placed.nii", "--num-classes", 3)
    assert run.exit_code == 0, run.output
    assert "nowhere.nii does not say how it is oriented" in run.output


def test_other_shape_says_where_the_volumes_lie(arrayseg, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(labels(shape=(8, 7, 6)), HERE), tmp_path / "a.nii")
    nibabel.save(nibabel.Nifti1Image(labels(shape=(6, 7, 8)), HERE[[2, 1, 0, 3]]), tmp_path / "b.nii")
    run = arrayseg("evaluate", tmp_path / "a.nii", tmp_path / "b.nii", "--num-classes", 3)
    assert run.exit_code == 1
    for sentence in ("shape: ", "(8, 7, 6), orientation RAS", "(6, 7, 8), orientation SAR"):
        assert sentence in run.output


def test_hidden_folders_and_links_back_are_passed_over(arrayseg, masks, tmp_path):
    folders = masks(predictions={"a/0": labels()}, targets={"a/0": labels()})
    for folder in folders:
        for hidden in (".ipynb_checkpoints", "__MACOSX", "a/.cache"):
            (folder / hidden).mkdir()
            np.save(folder / hidden / "0-checkpoint.npy", labels())
        for link, target in (("latest", "."), ("again", "."), ("a/up", ".."), ("a/out", tmp_path)):
            (folder / link).symlink_to(target, target_is_directory=True)
    run = arrayseg("evaluate", *folders, "--num-classes", 3)
    assert run.exit_code == 0, run.output
    assert "Pairs of files: 1;" in run.output


def test_linked_folders_are_followed(arrayseg, masks, tmp_path):
    masks(predictions={"a/0": labels()}, targets={"a/0": labels()})
    for folder in ("linked_predictions", "linked_targets"):
        (tmp_path / folder).mkdir()
        for name in ("one", "two"):
            (tmp_path / folder / name).symlink_to(tmp_path / folder.partition("_")[2] / "a", target_is_directory=True)
    run = arrayseg("evaluate", tmp_path / "linked_predictions", tmp_path / "linked_targets", "--num-classes", 3)
    assert run.exit_code == 0, run.output
    assert "Pairs of files: 2;" in run.output


def test_a_pipe_is_a_problem_by_name(arrayseg, masks):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    for folder in folders:
        os.mkfifo(folder / "pipe.png")
    run = arrayseg("evaluate", *folders, "--num-classes", 3)
    assert run.exit_code == 1
    assert "predictions/pipe.png cannot be read: " in run.output


def test_accuracy_of_some_classes_is_that_of_the_report(arrayseg, masks, tmp_path):
    target, prediction = np.array([[0, 0, 0, 1, 1, 2, 2, 2]]), np.array([[0, 1, 0, 1, 0, 2, 0, 2]])
    folders = masks(predictions={"a": prediction}, targets={"a": target})
    run = arrayseg("evaluate", *folders, "--num-classes", 3, "--classes", "1,2", "--output", tmp_path / "out")
    assert run.exit_code == 0, run.output
    # Of the 5 pixels of classes 1 and 2, 3 are right.
    assert results(tmp_path / "out")["overall"]["pixel_accuracy"] == 0.6
    matrix = metrics.confusion_matrix(prediction, target, num_classes=3)
    assert metrics.report(matrix, classes=[1, 2]).pixel_accuracy == 0.6


def test_mask_of_0_and_255_is_told_how_to_be_read(arrayseg, masks):
    folders = masks(predictions={"a": labels(2) * 255}, targets={"a": labels(2) * 255})
    run = arrayseg("evaluate", *folders, "--num-classes", 2)
    assert run.exit_code == 1
    assert "a mask of 0 and 255, read it with --label-map 255=1" in run.output


def test_control_characters_of_names_are_escaped(arrayseg, masks, tmp_path):
    name = "\x1b]0;owned\x07"
    folders = masks(predictions={name: labels()}, targets={"a": labels()})
    run = arrayseg("evaluate", *folders, "--num-classes", 3)
    assert run.exit_code == 1
    assert "\x1b" not in run.output
    assert r"\x1b]0;owned\x07.npy has no target" in run.output


def test_results_are_written_before_they_are_printed(arrayseg, masks, tmp_path, monkeypatch):
    from arrayseg.cli import _evaluate

    def full(*_: object) -> None:
        msg = "no space left on device"
        raise OSError(msg)

    monkeypatch.setattr(_evaluate, "print_tables", full)
    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    run = arrayseg("evaluate", *folders, "--num-classes", 3, "--output", tmp_path / "out")
    assert run.exit_code == 1
    assert "The tables could not be printed: no space left on device" in run.output
    assert results(tmp_path / "out")["pairs"] == 1


def test_too_many_classes_for_the_memory(arrayseg, masks, monkeypatch):
    from arrayseg.evaluation import counting

    def none_left(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(counting, "confusion_matrix", none_left)
    folders = masks(predictions={"a": labels()}, targets={"a": labels()})
    run = arrayseg("evaluate", *folders, "--num-classes", 3000)
    assert run.exit_code == 1
    assert "The counts of 3,000 classes do not fit in memory" in run.output


@pytest.mark.data
def test_camvid(arrayseg, real_data, tmp_path):
    folder = real_data("camvid")
    recorded = json.loads((folder / "reference_counts.json").read_text("utf-8"))
    names = tmp_path / "names.txt"
    names.write_text("\n".join(recorded["classes"]), encoding="utf-8")
    run = arrayseg(
        *("evaluate", folder / "pred_unet", folder / "gt_test", "--num-classes", 11, "--ignore-index", 11),
        *("--class-names", names, "--output", tmp_path / "out"),
    )
    assert run.exit_code == 0, run.output
    assert "0.421555" in run.output
    assert "0.825879" in run.output
    written = results(tmp_path / "out")
    assert written["confusion_matrix"] == recorded["confusion_rows_gt_cols_pred_void11_excluded"]
    assert written["overall"]["frequency_weighted_iou"] == pytest.approx(0.727545823304779, rel=1e-14)
    assert written["overall"]["mean_pixel_accuracy"] == pytest.approx(0.5201499136013924, rel=1e-14)


@pytest.mark.data
@pytest.mark.parametrize(("sequence", "frame"), [("scooter-black", 5), ("scooter-black", 27)])
def test_davis_frames_against_published_scores(arrayseg, real_data, tmp_path, sequence, frame):
    folder = real_data("davis2016")
    published = json.loads((folder / "published_per_frame.json").read_text("utf-8"))["osvos"][sequence]
    name = f"{frame:05d}.png"
    run = arrayseg(
        *("evaluate", folder / "pred_osvos" / sequence / name, folder / "gt" / sequence / name, "--num-classes", 2),
        *("--label-map", "255=1", "--classes", 1, "--output", tmp_path),
    )
    assert run.exit_code == 0, run.output
    score = published["J"][published["frames"].index(name)]
    assert results(tmp_path)["overall"]["mean_iou"] == pytest.approx(score, abs=5.1e-4)


@pytest.mark.data
def test_davis_folders_pair_by_sequence(arrayseg, real_data, tmp_path):
    folder = real_data("davis2016")
    run = arrayseg(
        *("evaluate", folder / "pred_osvos", folder / "gt", "--num-classes", 2, "--label-map", "255=1"),
        *("--output", tmp_path),
    )
    assert run.exit_code == 0, run.output
    assert results(tmp_path)["pairs"] == 171
    assert np.sum(results(tmp_path)["confusion_matrix"]) == 171 * 480 * 854


@pytest.mark.data
def test_ade20k_absent_policy(arrayseg, real_data, tmp_path):
    folder = real_data("ade20k_sample")
    command = ("evaluate", folder / "pred_identical", folder / "gt", "--num-classes", 151, "--ignore-index", 0)
    for absent, mean_iou in (("0", 0.1), ("skip", 1.0)):
        run = arrayseg(*command, "--classes", "1-150", "--absent", absent, "--output", tmp_path)
        assert run.exit_code == 0, run.output
        assert results(tmp_path)["overall"]["mean_iou"] == pytest.approx(mean_iou, rel=1e-15)
        assert results(tmp_path)["overall"]["pixel_accuracy"] == 1


@pytest.mark.data
@pytest.mark.parametrize(
    ("prediction", "target", "dice"),
    [
        ("sct_spinalcord/t2s/t2s_seg-deepseg.nii.gz", "sct_spinalcord/t2s/t2s_seg.nii.gz", 0.909159),
        ("sct_spinalcord/t2/t2_seg-deepseg_sc-3d.nii.gz", "sct_spinalcord/t2/t2_seg-manual.nii.gz", 0.980841),
        (
            "isles22_stroke/pred/sub-strokecase0009_p99.nii.gz",
            "isles22_stroke/gt/sub-strokecase0009_msk.nii.gz",
            0.173801,
        ),
    ],
)
def test_nifti_volumes(arrayseg, real_data, tmp_path, prediction, target, dice):
    root = real_data(prediction.split("/")[0]).parent
    run = arrayseg(
        "evaluate", root / prediction, root / target, "--num-classes", 2, "--classes", 1, "--output", tmp_path
    )
    assert run.exit_code == 0, run.output
    assert results(tmp_path)["overall"]["mean_dice"] == pytest.approx(dice, abs=1e-6)
