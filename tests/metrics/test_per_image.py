"""Counts of each image, and the means that take images one by one."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from arrayseg import metrics
from arrayseg.testing import to_numpy


def images_lacking_classes(seed=0, shape=(6, 9, 11), num_classes=5, void=255):
    """Images that lack classes: class 4 is in no target, and predicted in some images."""
    rng = np.random.default_rng(seed)
    present = rng.random((shape[0], num_classes - 1)) < 0.6
    present[:, 0] = True
    labels = np.where(present, np.arange(num_classes - 1), 0)
    target = np.stack([rng.choice(row, shape[1:]) for row in labels])
    prediction = np.where(rng.random(shape) < 0.3, rng.integers(0, num_classes, shape), target)
    target[rng.random(shape) < 0.1] = void
    return prediction, target


def expected_counts(prediction, target, num_classes, void=255):
    counts = []
    for p, t in zip(prediction, target, strict=True):
        kept = t != void
        counts.append(
            [
                [
                    (kept & (p == c) & (t == c)).sum(),
                    (kept & (p == c) & (t != c)).sum(),
                    (kept & (p != c) & (t == c)).sum(),
                ]
                for c in range(num_classes)
            ]
        )
    return np.asarray(counts)


@pytest.mark.parametrize("num_classes", [5, 40])
@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_counts(library, num_classes, dtype):
    # 25 bins are fewer than the 99 pixels of an image, 1600 are more: the two ways of counting.
    prediction, target = images_lacking_classes()
    counts = metrics.class_counts(
        library.asarray(prediction, dtype), library.asarray(target, dtype), num_classes=num_classes, ignore_index=255
    )
    assert "int64" in str(counts.dtype)
    np.testing.assert_array_equal(to_numpy(counts), expected_counts(prediction, target, num_classes))


@pytest.mark.parametrize("num_classes", [5, 40])
def test_counts_with_a_mask_and_of_scores(library, num_classes):
    prediction, target = images_lacking_classes(void=0)
    mask = np.random.default_rng(1).random(target.shape) < 0.5
    scores = np.eye(num_classes)[prediction]
    counts = metrics.class_counts(
        library.asarray(scores, "float32"),
        library.asarray(target),
        num_classes=num_classes,
        mask=library.asarray(mask),
        class_axis=-1,
    )
    void = np.where(mask, target, 255)
    np.testing.assert_array_equal(to_numpy(counts), expected_counts(prediction, void, num_classes))


@pytest.mark.parametrize("num_classes", [3, 40])
def test_labels_out_of_range_raise(library, num_classes):
    target = library.asarray(np.full((1, 4, 5), 77), "uint8")
    with pytest.raises(ValueError, match="`target` has the label 77 at 20 of 20 pixels"):
        metrics.class_counts(target, target, num_classes=num_classes)


def worst(values, percent):
    """The mean of the lowest percent of the values, at least one."""
    values = sorted(values)
    return np.mean(values[: max(1, int(percent / 100 * len(values)))])


def expected_mean(counts, average, score, present, percent):
    """The paper's definitions, in loops over images and classes."""
    if average == "dataset":
        counts = counts.sum(axis=0, keepdims=True)
    table = {}
    for n, image in enumerate(counts):
        for c, (tp, fp, fn) in enumerate(image.tolist()):
            if tp + fn + (fp if present == "union" else 0) == 0:
                continue
            bottom = {"iou": tp + fp + fn, "dice": tp + (fp + fn) / 2, "accuracy": tp + fn}[score]
            if bottom:
                table[n, c] = tp / bottom
    images, classes = range(counts.shape[0]), range(counts.shape[1])
    by_image = [[table[n, c] for c in classes if (n, c) in table] for n in images]
    by_class = [[table[n, c] for n in images if (n, c) in table] for c in classes]
    if average == "class":
        return np.mean([worst(values, percent) for values in by_class if values])
    if average == "pair":
        return worst(list(table.values()), percent)
    return worst([np.mean(values) for values in by_image if values], percent)


@pytest.mark.parametrize("average", ["image", "class", "pair", "dataset"])
@pytest.mark.parametrize("score", ["iou", "dice", "accuracy"])
@pytest.mark.parametrize("present", ["target", "union"])
def test_means(library, average, score, present):
    counts = expected_counts(*images_lacking_classes(), 5)
    options = {"average": average, "score": score, "present": present}
    for percent in (100, 50, 20, 1):
        mean = to_numpy(metrics.fine_grained_mean(library.asarray(counts), lowest=percent, **options))
        np.testing.assert_allclose(mean, expected_mean(counts, average, score, present, percent), rtol=1e-12)
    quantiles = [expected_mean(counts, average, score, present, q) for q in range(10, 101, 10)]
    mean = metrics.fine_grained_mean(library.asarray(counts), lowest=range(10, 101, 10), **options)
    np.testing.assert_allclose(to_numpy(mean), np.mean(quantiles), rtol=1e-12)


def test_images_without_a_class_do_not_count(library):
    # An image of nothing but void, and classes that occur nowhere, change no mean.
    counts = expected_counts(*images_lacking_classes(), 5)
    padded = np.zeros((7, 8, 3), dtype=np.int64)
    padded[:6, :5] = counts
    for average in ("image", "class", "pair", "dataset"):
        for lowest in (100, 30):
            with_padding = metrics.fine_grained_mean(library.asarray(padded), average=average, lowest=lowest)
            without = metrics.fine_grained_mean(counts, average=average, lowest=lowest)
            np.testing.assert_allclose(to_numpy(with_padding), without, rtol=1e-12)
    nothing = metrics.fine_grained_mean(library.asarray(np.zeros((3, 2, 3), dtype=np.int64)))
    assert np.isnan(to_numpy(nothing))


def test_chosen_classes(library):
    counts = expected_counts(*images_lacking_classes(), 5)
    mean = metrics.fine_grained_mean(library.asarray(counts), average="class", classes=[2, 1])
    np.testing.assert_allclose(to_numpy(mean), metrics.fine_grained_mean(counts[:, 1:3], average="class"), rtol=1e-12)


def test_dataset_is_the_mean_iou_of_the_pooled_matrix():
    prediction, target = images_lacking_classes()
    matrix = metrics.confusion_matrix(prediction, target, num_classes=5, ignore_index=255)
    counts = metrics.class_counts(prediction, target, num_classes=5, ignore_index=255)
    pooled = metrics.fine_grained_mean(counts, average="dataset", present="union")
    np.testing.assert_allclose(pooled, metrics.mean_iou(matrix), rtol=1e-14)


@given(seed=st.integers(0, 1000), order=st.permutations(range(6)))
def test_order_of_images_changes_nothing(seed, order):
    counts = expected_counts(*images_lacking_classes(seed), 5)
    for average in ("image", "class", "pair"):
        mean = metrics.fine_grained_mean(counts, average=average, lowest=40)
        np.testing.assert_allclose(
            metrics.fine_grained_mean(counts[order], average=average, lowest=40), mean, rtol=1e-12
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": "all"}, "`average` must be 'image'"),
        ({"score": "precision"}, "`score` must be 'iou'"),
        ({"present": "prediction"}, "`present` must be 'target'"),
        ({"lowest": 0}, "`lowest` must be greater than 0"),
        ({"lowest": []}, "`lowest` must hold at least one number"),
        ({"lowest": [10, 101]}, "`lowest` must be .* at most 100; got 101"),
        ({"classes": [3]}, "`classes` must be ids"),
    ],
)
def test_unknown_options_raise(library, options, message):
    with pytest.raises(ValueError, match=message):
        metrics.fine_grained_mean(library.asarray(np.ones((2, 3, 3), dtype=np.int64)), **options)


def test_other_shapes_raise(library):
    with pytest.raises(ValueError, match=r"shape \(N, C, 3\)"):
        metrics.fine_grained_mean(library.asarray(np.ones((2, 2), dtype=np.int64)))
