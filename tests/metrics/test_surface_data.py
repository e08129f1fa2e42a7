"""Surface distances of real and synthetic volumes against the values recorded with surface-distance and medpy."""

import json

import numpy as np
import pytest

from arrayseg import metrics

pytestmark = pytest.mark.data

SPINE_LABELS = (*range(2, 9), 26, *range(102, 109), *range(202, 209))
SPINE = [(f"matched_instance label {label}", label) for label in SPINE_LABELS]
CORD = [
    ("t2 manual vs deepseg_3d", "t2/t2_seg-deepseg_sc-3d", "t2/t2_seg-manual"),
    ("t2s seg vs deepseg", "t2s/t2s_seg-deepseg", "t2s/t2s_seg"),
    ("mt mt0_seg vs mt1_seg", "mt/mt1_seg", "mt/mt0_seg"),
]
# surface-distance has no room for rounding, where ours counts a distance up to a millionth above the tolerance: so much
# less leaves room for half of 1e-9, and the spacing of t2s is 1e-9 above half a millimeter.
STRICT = 1 - 1e-6 + 5e-10


def folder_of(data, name):
    """A folder of real data; the test is skipped by name where it is absent."""
    pytest.importorskip("nibabel")
    if not (data / name).is_dir():
        pytest.skip(f"no real data: {data / name} is absent")
    return data / name


def read(path):
    import nibabel

    return np.asarray(nibabel.load(path.with_name(path.name + ".nii.gz")).dataobj)


def assert_recorded(prediction, target, recorded):
    assert (np.sum(prediction), np.sum(target)) == (recorded["pred_voxels"], recorded["gt_voxels"])
    spacing = recorded["spacing"]
    theirs = recorded["surface_distance"]
    d = metrics.surface_distances(prediction, target, spacing=spacing, definition="surface_element")
    ours = {
        "HD100": metrics.hausdorff(d),
        "HD95": metrics.hausdorff(d, percentile=95),
        "ASD_pred_to_gt": metrics.average_surface_distance(d)[0],
        "ASD_gt_to_pred": metrics.average_surface_distance(d)[1],
        "surface_dice_1mm": metrics.surface_dice(d, 1.0 * STRICT),
        "surface_dice_2mm": metrics.surface_dice(d, 2.0 * STRICT),
        "surface_overlap_1mm": metrics.surface_overlap(d, 1.0 * STRICT)[::-1],
    }
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-9, err_msg=name)
    theirs = recorded["medpy"]
    d = metrics.surface_distances(prediction, target, spacing=spacing)
    ours = {
        "hd": metrics.hausdorff(d),
        "hd95": metrics.hausdorff(d, percentile=95, combine="pooled"),
        "assd": metrics.average_symmetric_surface_distance(d),
        "asd_pred_to_gt": metrics.average_surface_distance(d)[0],
    }
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-9, err_msg=name)


@pytest.fixture(scope="module")
def spine(data):
    folder = folder_of(data, "panoptica_spine")
    maps = [read(folder / "matched_instance" / name) for name in ("pred", "ref")]
    return *maps, json.loads((folder / "reference_surface_values.json").read_text())


@pytest.mark.parametrize(("name", "label"), SPINE, ids=[str(label) for _, label in SPINE])
def test_panoptica_spine(spine, name, label):
    prediction, target, recorded = spine
    assert_recorded(prediction == label, target == label, recorded[name])


@pytest.mark.parametrize(("name", "prediction", "target"), CORD, ids=[name.split()[0] for name, _, _ in CORD])
def test_sct_spinalcord(data, name, prediction, target):
    folder = folder_of(data, "sct_spinalcord")
    recorded = json.loads((folder / "reference_surface_values.json").read_text())[name]
    assert_recorded(read(folder / prediction) > 0, read(folder / target) > 0, recorded)


def test_two_steps_of_a_header_in_float32_are_within_a_millimeter(data):
    folder = folder_of(data, "sct_spinalcord")
    recorded = json.loads((folder / "reference_surface_values.json").read_text())["t2s seg vs deepseg"]
    masks = [read(folder / "t2s" / name) > 0 for name in ("t2s_seg-deepseg", "t2s_seg")]
    assert recorded["spacing"][0] > 0.5
    of_header, of_numbers = (
        metrics.surface_dice(metrics.surface_distances(*masks, spacing=spacing, definition="surface_element"), 1.0)
        for spacing in (recorded["spacing"], (0.5, 0.5, 7.5))
    )
    np.testing.assert_allclose(of_header, of_numbers, rtol=1e-6)
    assert of_header > recorded["surface_distance"]["surface_dice_1mm"]


@pytest.mark.parametrize("dimensions", ["2d", "3d"])
def test_meshmetrics_toy(data, dimensions):
    folder = folder_of(data, "meshmetrics_toy")
    recorded = json.loads((folder / "reference_surface_values.json").read_text())[dimensions]
    prediction, target = (read(folder / f"example_{dimensions}_{name}_mask") > 0 for name in ("pred", "ref"))
    assert_recorded(np.squeeze(prediction), np.squeeze(target), recorded)


def test_spine_table(spine):
    prediction, target, recorded = spine
    spacing = recorded[SPINE[0][0]]["spacing"]
    table = metrics.surface_table(
        prediction[None], target[None], num_classes=256, classes=SPINE_LABELS[:3], spacing=spacing
    )
    expected = [recorded[name]["medpy"]["hd"] for name, _ in SPINE[:3]]
    np.testing.assert_allclose(table["hausdorff"], [expected], rtol=1e-9)
