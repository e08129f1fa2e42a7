"""Panoptic quality has COCO's rules for void and crowd, and the values that DeepLab2 recorded."""

import numpy as np
import pytest

from arrayseg import metrics
from arrayseg.testing import to_numpy

VOID = 9
# Class of each color of the maps of three photos; 0 is void there.
TARGET_CLASSES = {
    "bird": {92: 5, 176: 3, 255: 4},
    "cat": {0: 0, 255: 6},
    "team": {0: 0, 198: 2} | dict.fromkeys((47, 97, 133, 150, 174, 215, 244, 255), 1),
}
COLORS = [(0, 0, 0), (0, 0, 255), (255, 0, 0), (0, 255, 0), (255, 0, 255), (0, 255, 255), (255, 255, 0)]


def by_hand(prediction, target, num_classes, ignore_index=None, crowd=None, unmatched=(), near=None):
    """The definition, segment by segment: rows of IoU sum, TP, FP, FN."""
    crowd = np.zeros(target[0].shape, bool) if crowd is None else crowd
    void = target[0] == ignore_index
    table = np.zeros((4, num_classes))

    def segments(*maps):
        keys = list(zip(*(labels.ravel().tolist() for labels in maps), strict=True))
        distinct = [key for key in dict.fromkeys(keys) if key[0] != ignore_index]
        return {key: np.all([m == k for m, k in zip(maps, key, strict=True)], axis=0) for key in distinct}

    predicted, actual = segments(*prediction), segments(*target, crowd.astype(int))
    hit_p, hit_t = set(), set()
    for p, p_mask in predicted.items():
        for t, t_mask in actual.items():
            if p[0] != t[0] or t[2] or not (p_mask & t_mask).any():
                continue
            iou = (p_mask & t_mask).sum() / ((p_mask | t_mask) & ~(p_mask & void)).sum()
            if near is not None:
                p_near, t_near = p_mask & near[0], t_mask & near[1]
                union = ((p_near | t_near) & ~(p_near & void)).sum()
                iou = min(iou, (p_near & t_near).sum() / union if union else 0)
            if p[0] in unmatched:
                table[0, p[0]] += iou
            elif iou > 0.5:
                table[:2, p[0]] += iou, 1
                hit_p.add(p)
                hit_t.add(t)
    for p, p_mask in predicted.items():
        forgiven = (p_mask & (void | (crowd & (target[0] == p[0])))).sum()
        if p not in hit_p and p[0] not in unmatched and not forgiven / p_mask.sum() > 0.5:
            table[2, p[0]] += 1
    for t in actual:
        if t[0] in unmatched and not t[2]:
            table[1, t[0]] += 1
        elif t not in hit_t and not t[2]:
            table[3, t[0]] += 1
    return table


def panoptic_maps(seed, shape=(11, 17), num_classes=3):
    """Blocks of segments with ids that recur in several classes, and a disturbed copy of them."""
    rng = np.random.default_rng(seed)
    classes = rng.choice([*range(num_classes), VOID], (4, 5)).repeat(4, 0).repeat(4, 1)[: shape[0], : shape[1]]
    instances = rng.choice([0, 3, 70_000], (4, 3)).repeat(4, 0).repeat(6, 1)[: shape[0], : shape[1]]
    change = rng.random(shape) < 0.25
    prediction = (
        np.where(change, np.roll(classes, 2, 0), classes),
        np.where(change, np.roll(instances, 3, 1), instances),
    )
    return prediction, (classes, instances), rng.random((3, *shape)) < 0.4


@pytest.mark.parametrize("seed", range(6))
def test_every_rule_together(library, seed):
    prediction, target, masks = panoptic_maps(seed)
    crowd = masks[0] & (target[1] == 3) if seed % 2 else target[1] == 3
    options = {"ignore_index": VOID, "unmatched": (2,) if seed > 3 else ()}
    near = masks[1:] if seed % 3 == 2 else None
    arrays = [
        [library.asarray(m, d) for m, d in zip(pair, ("uint8", "int32"), strict=True)] for pair in (prediction, target)
    ]
    counts = metrics.panoptic_counts(
        *map(tuple, arrays),
        num_classes=3,
        crowd=library.asarray(crowd),
        boundaries=None if near is None else tuple(library.asarray(m) for m in near),
        **options,
    )
    expected = by_hand(prediction, target, 3, crowd=crowd, near=near, **options)
    np.testing.assert_allclose(to_numpy(counts.score_sum), expected[0], rtol=1e-12)
    for part, wanted in zip(counts[1:], expected[1:], strict=True):
        assert "int64" in str(part.dtype)
        np.testing.assert_array_equal(to_numpy(part), wanted)


def test_stuff_is_one_segment_per_class():
    classes, instances = np.zeros((3, 4), int), np.arange(12).reshape(3, 4)
    counts = metrics.panoptic_counts((classes, instances), (classes, instances * 0), num_classes=2, things=[1])
    np.testing.assert_array_equal(counts.true_positives, [1, 0])
    assert metrics.panoptic_counts((classes, instances), (classes, instances * 0), num_classes=2).true_positives[0] == 0


def test_an_iou_of_one_half_is_no_match():
    classes = np.zeros((1, 2), int)
    counts = metrics.panoptic_counts((classes, np.asarray([[1, 0]])), (classes, classes), num_classes=1)
    assert [int(part[0]) for part in counts] == [0, 0, 2, 1]


def test_counts_add_over_images(library):
    images = [panoptic_maps(seed)[:2] for seed in range(3)]
    counts = [
        metrics.panoptic_counts(
            *(tuple(library.asarray(m) for m in pair) for pair in image), num_classes=3, ignore_index=VOID
        )
        for image in images
    ]
    forward, backward = metrics.add(*counts), metrics.add(*counts[::-1])
    for part, other in zip(forward[1:], backward[1:], strict=True):
        np.testing.assert_array_equal(to_numpy(part), to_numpy(other))
    expected = sum(by_hand(*image, 3, VOID) for image in images)
    np.testing.assert_array_equal(to_numpy(forward.true_positives), expected[1])
    quality = metrics.panoptic_quality(forward)
    halves = expected[1] + expected[2] / 2 + expected[3] / 2
    np.testing.assert_allclose(to_numpy(quality.pq), expected[0] / halves, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(quality.sq) * to_numpy(quality.rq), to_numpy(quality.pq), rtol=1e-12)


def test_absent_classes(library):
    counts = metrics.SegmentCounts(
        library.asarray([0.8, 0.0, 0.0]), *(library.asarray(part) for part in ([1, 0, 0], [0, 0, 2], [0, 0, 0]))
    )
    np.testing.assert_array_equal(to_numpy(metrics.panoptic_quality(counts).pq), [0.8, np.nan, 0])
    np.testing.assert_array_equal(to_numpy(metrics.panoptic_quality(counts, absent=1).sq), [0.8, 1, 0])
    assert float(metrics.mean_panoptic_quality(counts).pq) == pytest.approx(0.4, rel=1e-15)
    assert float(metrics.mean_panoptic_quality(counts, absent=0).rq) == pytest.approx(1 / 3, rel=1e-15)
    assert float(metrics.mean_panoptic_quality(counts, classes=[0]).sq) == pytest.approx(0.8, rel=1e-15)


def test_empty_map(library):
    empty = library.asarray(np.zeros((0, 5), int))
    counts = metrics.panoptic_counts((empty, empty), (empty, empty), num_classes=2)
    assert all(to_numpy(part).tolist() == [0, 0] for part in counts)


def test_what_is_refused():
    classes, void = np.zeros((2, 3), int), np.full((2, 3), 255)
    with pytest.raises(ValueError, match="`target` has the class 255"):
        metrics.panoptic_counts((classes, classes), (void, classes), num_classes=2)
    with pytest.raises(ValueError, match=r"`target\[1\]` has shape \(2, 2\)"):
        metrics.panoptic_counts((classes, classes), (classes, classes[:, :2]), num_classes=2)
    with pytest.raises(TypeError, match="`crowd` must be a boolean mask"):
        metrics.panoptic_counts((classes, classes), (classes, classes), num_classes=2, crowd=classes)
    with pytest.raises(ValueError, match="a pair of maps"):
        metrics.panoptic_counts((classes,), (classes, classes), num_classes=2)
    with pytest.raises(ValueError, match="`things` must be different whole numbers from 0 to 1"):
        metrics.panoptic_counts((classes, classes), (classes, classes), num_classes=2, things=[2])


def test_void_beyond_63_bits(library):
    prediction, target = (np.asarray([[0, 0, 0, 1, 1]]), np.asarray([[1, 1, 1, 2, 2]])), np.asarray([[0, 0, 7, 7, 1]])
    expected = metrics.panoptic_counts(prediction, (target, prediction[1]), num_classes=2, ignore_index=7)
    void = 2**64 - 1
    large = np.where(target == 7, void, target).astype(np.uint64)
    pairs = [tuple(library.asarray(labels) for labels in pair) for pair in (prediction, (large, prediction[1]))]
    counts = metrics.panoptic_counts(*pairs, num_classes=2, ignore_index=void)
    for part, other in zip(counts, expected, strict=True):
        assert to_numpy(part).tolist() == to_numpy(other).tolist()


@pytest.mark.data
def test_values_recorded_by_deeplab2(data):
    image = pytest.importorskip("PIL.Image")
    counts = {}
    for name, target_file in (("bird", "bird_gt"), ("cat", "cat_gt"), ("team", "team_gt_instance")):

        def load(file, mode="L"):
            return np.asarray(image.open(data / "deeplab2_panoptic" / f"{file}.png").convert(mode)).astype(np.int64)

        colors, target = load(f"{name}_pred_class", "RGB"), load(target_file)
        classes = np.zeros(target.shape, int)
        for number, color in enumerate(COLORS):
            classes[(colors == color).all(-1)] = number
        target_classes = np.vectorize(TARGET_CLASSES[name].get)(target)
        prediction = classes, load(f"{name}_pred_instance")
        counts[name] = metrics.panoptic_counts(prediction, (target_classes, target), num_classes=7, ignore_index=0)
    team = metrics.mean_panoptic_quality(counts["team"])
    assert np.allclose(team, (0.6215628666, 0.6466498693, 0.9666666667), rtol=0, atol=1e-9)
    together = metrics.add(*counts.values())
    assert np.allclose(metrics.mean_panoptic_quality(together), (0.7685550312, 0.7769173654, 0.9888888889), atol=1e-9)
    np.testing.assert_allclose(
        metrics.panoptic_quality(together).pq[1:],
        [0.702436, 0.54069, 0.745353, 0.857678, 0.991069, 0.774105],
        atol=5e-7,
    )
    assert [int(part[1]) for part in together[1:]] == [7, 0, 1]


@pytest.mark.compat
@pytest.mark.parametrize("modified", [False, True])
def test_same_as_torchmetrics_without_void(modified):
    functional = pytest.importorskip("torchmetrics.functional.detection")
    torch = pytest.importorskip("torch")
    totals, pairs = [], []
    for seed in range(3):
        prediction, target, _ = panoptic_maps(seed)
        prediction, target = ((np.where(c == VOID, 0, c), i) for c, i in (prediction, target))
        unmatched = (0,) if modified else ()
        totals.append(metrics.panoptic_counts(prediction, target, num_classes=3, things=[1, 2], unmatched=unmatched))
        pairs.append([torch.as_tensor(np.stack(pair, -1)[None]) for pair in (prediction, target)])
    peer = functional.modified_panoptic_quality if modified else functional.panoptic_quality
    for total, pair in zip(totals, pairs, strict=True):
        expected = float(peer(*pair, things={1, 2}, stuffs={0}))
        assert float(metrics.mean_panoptic_quality(total).pq) == pytest.approx(expected, rel=1e-6)
