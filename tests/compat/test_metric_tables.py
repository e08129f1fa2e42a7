"""The page of metric presets shows every one of them, and each takes the statistic that it names, on every backend."""

import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest
from compat.scenes import CLASSES, VOID, label_maps

from arrayseg import metrics
from arrayseg.compat import mmseg_1_2, monai_1_6, sklearn, smp_0_6, torchmetrics_1_9
from arrayseg.compat._preset import MetricPreset
from arrayseg.compat._registry import presets_by_module
from arrayseg.testing import asarray, to_numpy

DOCS = Path(__file__).parents[2] / "docs"
PRESETS = [
    pytest.param(module, preset, id=f"{module}.{preset.__name__}")
    for module, presets in presets_by_module().items()
    for preset in presets
    if isinstance(preset, MetricPreset)
]


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("compat_metric_tables", DOCS / "compat_metric_tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    return tables.mask_table() + tables.label_table()


@pytest.mark.parametrize(("module", "preset"), PRESETS)
def test_page_shows_the_preset(page, module, preset):
    if preset.statistic != "prediction":  # those count what the others take
        assert f"| `{module}` | `{preset.__name__}(" in page


@pytest.mark.parametrize(("module", "preset"), PRESETS)
def test_docstring_has_its_sections(module, preset):
    for section in ("Parameters", "Returns"):
        assert f"\n{section}\n{'-' * len(section)}\n" in preset.__doc__


@pytest.mark.parametrize(("module", "preset"), PRESETS)
def test_statistic_is_the_first_parameter(module, preset):
    assert next(iter(inspect.signature(preset).parameters)) == preset.statistic


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
