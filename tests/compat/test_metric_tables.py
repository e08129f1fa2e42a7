"""The page of metric presets shows every one of them, and each takes the statistic that it names, on every backend."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from compat.scenes import CLASSES, VOID, label_maps

from arrayseg import metrics
from arrayseg.compat import mmseg_1_2, monai_1_6, sklearn, smp_0_6, torchmetrics_1_9
from arrayseg.compat._preset import PRESETS
from arrayseg.testing import asarray, to_numpy

DOCS = Path(__file__).parents[2] / "docs"
COUNTING = {"surface_distances", "match_instances"}


def test_page_shows_every_preset():
    spec = importlib.util.spec_from_file_location("compat_metric_tables", DOCS / "compat_metric_tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    rows = tables.mask_table() + tables.label_table()
    for preset in PRESETS:
        if preset.setting is None and preset.name not in COUNTING:
            assert f"| `{preset.module}` | `{preset.name}(" in rows, f"{preset.module}.{preset.name}"


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset.setting is None], ids=lambda p: p.name)
def test_docstrings_have_their_sections(preset):
    for section in ("Parameters", "Returns"):
        assert f"\n{section}\n{'-' * len(section)}\n" in preset.function.__doc__


@pytest.mark.parametrize(
    ("preset", "kind", "options"),
    [
        (mmseg_1_2.mfscore, "matrix", {}),
        (sklearn.jaccard_score, "matrix", {"average": "micro"}),
        (sklearn.f1_score, "matrix", {"average": "weighted"}),
        (monai_1_6.mean_iou, "counts", {"ignore_empty": False}),
        (smp_0_6.iou_score, "matrices", {"reduction": "weighted", "class_weights": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}),
        (smp_0_6.iou_score, "matrices", {"reduction": "macro-imagewise"}),
        (torchmetrics_1_9.dice_score, "counts", {"average": "weighted"}),
    ],
)
def test_on_every_backend(library, preset, kind, options):
    numbers = []
    maps = label_maps()
    for arrays in (maps, [asarray(library.xp, array, device=library.device) for array in maps]):
        count = metrics.class_counts if kind == "counts" else metrics.confusion_matrix
        images = {"per_image": True} if kind == "matrices" else {}
        statistic = count(*arrays, num_classes=CLASSES, ignore_index=VOID, **images)
        numbers.append(preset(statistic, **options))
    np.testing.assert_allclose(to_numpy(numbers[1]), numbers[0], rtol=2e-6)
