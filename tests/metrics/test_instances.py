"""Instances match by the rules of StarDist, HoVer-Net, Panoptica and the Cell Tracking Challenge."""

import json
import tracemalloc
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy

optimize = pytest.importorskip("scipy.optimize")


def instance_maps(seed, shape=(13, 17)):
    """Blocks of instances, and a shifted copy with other labels."""
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 0, 3, 4, 900, 70_000], (6, 6)).repeat(3, 0).repeat(3, 1)[: shape[0], : shape[1]]
    prediction = np.roll(np.where(target == 4, 8, target), (1, seed % 3), (0, 1))
    return np.where(rng.random(shape) < 0.2, 5, prediction), target


def iou_by_hand(prediction, target):
    labels = [[label for label in np.unique(m).tolist() if label != 0] for m in (target, prediction)]
    both = [[((target == t) & (prediction == p)).sum() for p in labels[1]] for t in labels[0]]
    union = [[((target == t) | (prediction == p)).sum() for p in labels[1]] for t in labels[0]]
    return np.asarray(both), np.asarray(union), labels


@pytest.mark.parametrize("seed", range(2))
def test_matrix_of_every_score(library, seed):
    prediction, target = instance_maps(seed)
    arrays = library.asarray(prediction, "int32"), library.asarray(target, "int64")
    both, union, labels = iou_by_hand(prediction, target)
    rows, columns = ([(m == label).sum() for label in ids] for m, ids in zip((target, prediction), labels, strict=True))
    rows, columns = np.asarray(rows)[:, None], np.asarray(columns)[None]
    expected = {"iou": both / union, "dice": 2 * both / (rows + columns), "recall": both / rows}
    expected |= {"precision": both / columns, "intersection": both}
    for score, values in expected.items():
        result = metrics.overlap_matrix(*arrays, score=score)
        np.testing.assert_allclose(to_numpy(result.scores), values, rtol=1e-14)
    assert [to_numpy(part).tolist() for part in result[1:]] == labels


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("method", ["greedy", "optimal"])
def test_matches_at_thresholds(library, method, inclusive):
    prediction, target = instance_maps(0)
    both, union, _ = iou_by_hand(prediction, target)
    iou = both / union
    levels = [0.0, 0.1, float(np.sort(iou.ravel())[-2]), 0.9]
    options = {"thresholds": levels, "method": method, "inclusive": inclusive}
    counts = metrics.match_instances(library.asarray(prediction), library.asarray(target), **options)
    for level, total, *numbers in zip(levels, *map(to_numpy, counts), strict=True):
        allowed = (iou >= level if inclusive else iou > level) & (both > 0)
        pairs = []
        if method == "optimal":
            weights = np.where(allowed, 1 + iou / 100, 0)
            pairs = [pair for pair in zip(*optimize.linear_sum_assignment(-weights), strict=True) if allowed[pair]]
        else:
            free = np.where(allowed, iou, -1)
            while free.max() >= 0:
                pairs.append(np.unravel_index(np.argmax(free), free.shape))
                free[pairs[-1][0]] = free[:, pairs[-1][1]] = -1
        assert total == pytest.approx(sum(iou[pair] for pair in pairs), rel=1e-12)
        assert numbers == [len(pairs), iou.shape[1] - len(pairs), iou.shape[0] - len(pairs)]


def test_optimal_finds_the_match_that_greedy_misses():
    # Row 1 overlaps both predictions; taking its best one leaves row 2 alone.
    target = np.asarray([1] * 10 + [2] * 10)
    prediction = np.asarray([1] * 3 + [2] * 11 + [0] * 6)
    found = [
        int(metrics.match_instances(prediction, target, thresholds=0.2, method=method).true_positives)
        for method in ("greedy", "optimal")
    ]
    assert found == [1, 2]


def test_rates_of_counts(library):
    counts = metrics.SegmentCounts(
        library.asarray([1.5, 0.0]), *(library.asarray(part) for part in ([2, 0], [1, 0], [3, 0]))
    )
    expected = {
        metrics.instance_average_precision: 2 / 6,
        metrics.instance_f1: 4 / 8,
        metrics.instance_precision: 2 / 3,
        metrics.instance_recall: 2 / 5,
        metrics.seg_score: 1.5 / 5,
    }
    for function, value in expected.items():
        np.testing.assert_allclose(to_numpy(function(counts)), [value, np.nan], rtol=1e-15)
        np.testing.assert_allclose(to_numpy(function(counts, absent=1)), [value, 1], rtol=1e-15)


def test_empty_maps(library):
    nothing, something = library.asarray(np.zeros((2, 3), int)), library.asarray(np.asarray([[0, 1, 1], [2, 0, 0]]))
    assert [int(part) for part in metrics.match_instances(nothing, something)] == [0, 0, 0, 2]
    assert [int(part) for part in metrics.match_instances(something, nothing, method="optimal")] == [0, 0, 2, 0]
    assert [int(part) for part in metrics.match_instances(nothing, nothing, method="majority")] == [0, 0, 0, 0]
    assert tuple(metrics.overlap_matrix(nothing, something).scores.shape) == (2, 0)
    assert float(metrics.aggregated_jaccard_index(nothing, something)) == 0
    assert np.isnan(float(metrics.aggregated_jaccard_index(nothing, nothing)))
    assert float(metrics.aggregated_jaccard_index(nothing, nothing, absent=1)) == 1


def test_void_pixels_count_nowhere(library):
    prediction, target = instance_maps(1)
    void = np.where(np.random.default_rng(3).random(target.shape) < 0.3, 7, target)
    kept = void != 7
    expected = metrics.match_instances(prediction[kept], void[kept], thresholds=0.2)
    counts = metrics.match_instances(library.asarray(prediction), library.asarray(void), thresholds=0.2, ignore_index=7)
    assert [float(part) for part in counts] == [float(part) for part in expected]


@pytest.mark.parametrize("seed", range(4))
def test_aggregated_jaccard_as_hover_net(library, seed):
    prediction, target = instance_maps(seed)
    both, union, _ = iou_by_hand(prediction, target)
    iou = both / union
    areas, target_areas = (np.unique(m[m > 0], return_counts=True)[1] for m in (prediction, target))
    best = [(t, p) for t, p in enumerate(iou.argmax(1)) if iou[t, p] > 0]
    assigned = [pair for pair in zip(*optimize.linear_sum_assignment(-iou), strict=True) if iou[pair] > 0]
    for unique, pairs in ((False, best), (True, assigned)):
        total = sum(union[pair] for pair in pairs)
        total += target_areas.sum() - sum(target_areas[t] for t, _ in pairs)
        total += areas.sum() - sum(areas[p] for p in {p for _, p in pairs})
        value = metrics.aggregated_jaccard_index(library.asarray(prediction), library.asarray(target), unique=unique)
        assert float(value) == pytest.approx(sum(both[pair] for pair in pairs) / total, rel=1e-14)


@pytest.mark.parametrize("seed", [258, 370, 627, 1512, 2789])  # where the best sum of IoU has two assignments
def test_of_equal_assignments_the_one_that_shares_most_is_taken(library, seed):
    prediction, target = np.random.default_rng(seed).integers(0, 4, (2, 3, 4))
    both, union, _ = iou_by_hand(prediction, target)
    every = [(range(len(both)), chosen) for chosen in permutations(range(both.shape[1]), len(both))]
    if not every:
        every = [(chosen, range(both.shape[1])) for chosen in permutations(range(len(both)), both.shape[1])]
    sums = [
        [(Fraction(int(both[pair]), int(union[pair])), int(both[pair])) for pair in zip(*way, strict=True)]
        for way in every
    ]
    _, shared = max(tuple(map(sum, zip(*way, strict=True))) for way in sums)
    expected = Fraction(shared, int((prediction > 0).sum() + (target > 0).sum()) - shared)
    for relabel in ([0, 1, 2, 3], [0, 3, 1, 2], [0, 2, 3, 1]):
        maps = (library.asarray(np.asarray(relabel)[ids]) for ids in (prediction, target))
        assert abs(float(metrics.aggregated_jaccard_index(*maps, unique=True)) - expected) < 1e-14


def test_majority_lets_one_prediction_serve_two_targets(library):
    target, prediction = np.asarray([1, 1, 1, 2, 2, 2, 3, 3]), np.asarray([4, 4, 4, 4, 4, 0, 5, 0])
    counts = metrics.match_instances(library.asarray(prediction), library.asarray(target), method="majority")
    assert [float(part) for part in counts] == [pytest.approx(3 / 5 + 2 / 6), 2, 1, 1]


def test_what_is_refused(library):
    labels = library.asarray(np.zeros((2, 3), int))
    with pytest.raises(ValueError, match="`method` must be 'greedy', 'optimal' or 'majority'"):
        metrics.match_instances(labels, labels, method="hungarian")
    with pytest.raises(ValueError, match="`score` must be 'iou', 'dice'"):
        metrics.match_instances(labels, labels, score="f1")
    with pytest.raises(TypeError, match="integer or boolean"):
        metrics.match_instances(labels, library.asarray(np.zeros((2, 3))))
    with pytest.raises(TypeError, match="`thresholds` must be a number"):
        metrics.match_instances(labels, labels, thresholds="0.5")
    with pytest.raises(TypeError, match="`ignore_index` must be a whole number"):
        metrics.match_instances(labels, labels, ignore_index=0.5)


def test_a_matrix_that_fits_no_memory_is_refused():
    labels = np.arange(1, 20_001).reshape(100, 200)
    with pytest.raises(ValueError, match=r"20000 x 20000 instances would take 3 GB"):
        metrics.overlap_matrix(labels, labels)


def test_thresholds_may_be_an_array(library):
    arrays = [library.asarray(labels) for labels in instance_maps(0)]
    expected = metrics.match_instances(*arrays, thresholds=[0.25, 0.5])
    for thresholds in (np.asarray([0.25, 0.5]), [np.float32(0.25), np.asarray(0.5)]):
        counts = metrics.match_instances(*arrays, thresholds=thresholds)
        np.testing.assert_array_equal(to_numpy(counts.true_positives), to_numpy(expected.true_positives))
    assert metrics.match_instances(*arrays, thresholds=np.float32(0.25)).true_positives.shape == ()


@pytest.mark.parametrize("seed", range(12))
def test_optimal_is_the_assignment_of_the_whole_matrix(seed):
    """Of dense maps in which everything overlaps, and of sparse ones, by SciPy's assignment of all against all."""
    rng = np.random.default_rng(seed)
    target, prediction = (
        rng.integers(0, 4 + seed, (7, 9)).repeat(2, 0).repeat(rng.integers(1, 4), 1) for _ in range(2)
    )
    width = min(target.shape[1], prediction.shape[1])
    target, prediction = target[:, :width], prediction[:, :width]
    both, union, _ = iou_by_hand(prediction, target)
    iou = both / union
    for level in (0.0, 0.15):
        bonus = np.where(iou > level, 1 + iou / (sum(iou.shape) + 1), 0)
        pairs = [
            pair for pair in zip(*optimize.linear_sum_assignment(bonus, maximize=True), strict=True) if bonus[pair]
        ]
        counts = metrics.match_instances(prediction, target, thresholds=level, method="optimal")
        assert int(counts.true_positives) == len(pairs)
        assert float(counts.score_sum) == pytest.approx(sum(iou[pair] for pair in pairs), rel=1e-12)


def test_many_instances_need_little_memory():
    """As many pairs as instances; one matrix of all against all would be 800 MB."""
    target = np.kron(np.arange(1, 10_001).reshape(100, 100), np.ones((4, 4), np.int32))
    target[::4] = target[:, ::4] = 0
    prediction = np.roll(target, 1, axis=1)
    tracemalloc.start()
    counts = metrics.match_instances(prediction, target, thresholds=0.4, method="optimal")
    index = metrics.aggregated_jaccard_index(prediction, target, unique=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert int(counts.true_positives) == 10_000
    assert float(index) == pytest.approx(0.5)
    assert peak < 60e6


def test_labels_beyond_63_bits(library):
    """Labels of uint64 are as they are: as background, as void, in what is listed and in its order."""
    high = 2**64 - 3
    small = [np.asarray(labels) for labels in ([[0, 0, 1, 1, 2, 3]], [[0, 4, 4, 1, 1, 3]])]
    large = [np.where(labels == 0, high, labels * 2**61).astype(np.uint64) for labels in small]
    pair = [library.asarray(labels) for labels in large]
    options = {"background": high, "ignore_index": 2**61}
    counts = metrics.match_instances(*pair, thresholds=0.3, **options)
    expected = metrics.match_instances(*small, thresholds=0.3, background=0, ignore_index=1)
    assert [float(part) for part in counts] == [float(part) for part in expected]
    overlaps = metrics.overlap_matrix(*pair, background=high)
    assert to_numpy(overlaps.target_labels).tolist() == [2**61, 3 * 2**61, 2**63]
    assert to_numpy(overlaps.scores).tolist() == metrics.overlap_matrix(*small).scores.tolist()
    table = metrics.contingency_table(*pair, ignore_index=high)
    assert sorted(set(to_numpy(table.target_labels).tolist())) == [2**61, 3 * 2**61, 2**63]
    index = metrics.adjusted_rand_index(metrics.add(table, table))
    again = metrics.contingency_table(*small, ignore_index=0)
    assert float(index) == pytest.approx(float(metrics.adjusted_rand_index(metrics.add(again, again))))


@pytest.mark.compile
def test_a_compiler_is_refused():
    jax = pytest.importorskip("jax")
    with pytest.raises(TypeError, match="cannot trace"):
        jax.jit(metrics.match_instances)(jax.numpy.ones((2, 3), int), jax.numpy.ones((2, 3), int))


@pytest.mark.data
@pytest.mark.parametrize("prediction", ["cc", "watershed"])
def test_values_of_stardist(data, prediction):
    tifffile = pytest.importorskip("tifffile")
    folder = data / "stardist_nuclei"
    maps = [tifffile.imread(folder / name) for name in (f"pred2d_{prediction}.tif", "mask2d.tif")]
    recorded = json.loads((folder / "reference_stardist_matching.json").read_text())
    recorded = [value for key, value in recorded.items() if key.startswith(f"2d_{prediction}_")]
    assert recorded
    levels = [value["thresh"] for value in recorded]
    counts = metrics.match_instances(*maps, thresholds=levels, inclusive=True, method="optimal")
    for name, part in (("tp", counts[1]), ("fp", counts[2]), ("fn", counts[3])):
        np.testing.assert_array_equal(part, [value[name] for value in recorded])
    scores = {
        "accuracy": metrics.instance_average_precision(counts),
        "f1": metrics.instance_f1(counts),
        "mean_true_score": metrics.seg_score(counts),
        "mean_matched_score": metrics.panoptic_quality(counts).sq,
        "panoptic_quality": metrics.panoptic_quality(counts).pq,
    }
    for name, values in scores.items():
        # StarDist computes in float32.
        np.testing.assert_allclose(values, [value[name] for value in recorded], rtol=2e-6)


@pytest.mark.data
def test_values_of_panoptica(data):
    nibabel = pytest.importorskip("nibabel")

    def load(folder):
        files = (data / "panoptica_spine" / folder / f"{name}.nii.gz" for name in ("pred", "ref"))
        return [np.asarray(nibabel.load(file).dataobj).astype(np.uint8) for file in files]

    for folder in ("matched_instance", "unmatched_instance"):
        counts = metrics.match_instances(*load(folder))
        assert [int(part) for part in counts[1:]] == [19, 3, 3]
        assert float(metrics.panoptic_quality(counts).pq) == pytest.approx(0.7192522801, abs=1e-10)
    groups = {(1, 10): (7, 0, 0.9259373047661901), (101, 110): (7, 0, 0.8897861147389462)}
    groups |= {(201, 210): (4, 3, 0.31029578448345146)}
    for (low, high), (hits, missed, quality) in groups.items():
        counts = metrics.match_instances(
            *(np.where((m >= low) & (m <= high), m, 0) for m in load("unmatched_instance"))
        )
        assert [int(part) for part in counts[1:]] == [hits, missed, missed]
        assert float(metrics.panoptic_quality(counts).pq) == pytest.approx(quality, abs=1e-12)
