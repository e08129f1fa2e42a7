"""Clusterings are compared as scikit-learn and scikit-image do, from lists of pairs and from matrices."""

import numpy as np
import pytest
from scenes import label_maps

from arrayseg import metrics
from arrayseg.testing import to_numpy

FUNCTIONS = (
    metrics.adjusted_rand_index,
    lambda table: metrics.variation_of_information(table).split,
    lambda table: metrics.variation_of_information(table).total,
    lambda table: metrics.adapted_rand_error(table).error,
    metrics.normalized_mutual_information,
)


def segmentations(seed, shape=(11, 19), labels=5):
    return label_maps(seed, classes=labels, shape=shape, void=0)[:2]


def test_list_and_matrix_agree(library):
    prediction, target = segmentations(0)
    arrays = library.asarray(prediction, "uint8"), library.asarray(target, "int64")
    pairs = metrics.contingency_table(*arrays)
    matrix = metrics.contingency_table(*arrays, num_labels=7)
    dense = np.zeros((7, 7), int)
    np.add.at(dense, (to_numpy(pairs.target_labels), to_numpy(pairs.prediction_labels)), to_numpy(pairs.counts))
    np.testing.assert_array_equal(to_numpy(matrix), dense)
    for function in FUNCTIONS:
        expected = float(function(dense))
        assert float(function(pairs)) == pytest.approx(expected, rel=1e-12)
        assert float(function(matrix)) == pytest.approx(expected, rel=1e-12)


def test_tables_of_parts_add(library):
    prediction, target = segmentations(1)
    target = target * 10**6

    def table(part):
        return metrics.contingency_table(library.asarray(prediction[part]), library.asarray(target[part]))

    whole = table(slice(None))
    parts = [table(slice(0, 2)), table(slice(2, 3)), table(slice(3, None))]
    for function in FUNCTIONS:
        assert float(function(metrics.add(*parts))) == pytest.approx(float(function(whole)), rel=1e-12)
        assert float(function(metrics.add(*parts[::-1]))) == pytest.approx(float(function(whole)), rel=1e-12)


def test_void_and_mask_count_nowhere(library):
    prediction, target = segmentations(2)
    mask = np.random.default_rng(0).random(target.shape) < 0.5
    expected = metrics.contingency_table(prediction[mask & (target != 3)], target[mask & (target != 3)])
    arrays = (library.asarray(array) for array in (prediction, target))
    table = metrics.contingency_table(*arrays, ignore_index=3, mask=library.asarray(mask))
    for part, wanted in zip(table, expected, strict=True):
        np.testing.assert_array_equal(to_numpy(part), wanted)


def test_names_of_labels_do_not_matter(library):
    _, target = segmentations(3)
    renamed = np.asarray([50, -3, 8, 10**9, 0])[target]
    table = metrics.contingency_table(library.asarray(renamed), library.asarray(target))
    values = [float(function(table)) for function in FUNCTIONS]
    np.testing.assert_allclose(values, [1, 0, 0, 0, 1], atol=1e-14)
    assert values[1] == values[2] == 0


def test_undefined_scores(library):
    one = metrics.contingency_table(library.asarray(np.zeros((2, 3), int)), library.asarray(np.ones((2, 3), int)))
    empty = library.asarray(np.zeros((0, 3), int))
    nothing = metrics.contingency_table(empty, empty)
    for table in (one, nothing):
        assert np.isnan(float(metrics.adjusted_rand_index(table)))
        assert float(metrics.adjusted_rand_index(table, absent=1)) == 1
        assert np.isnan(float(metrics.normalized_mutual_information(table)))
    assert float(metrics.variation_of_information(one).total) == 0
    assert np.isnan(float(metrics.variation_of_information(nothing).total))


def test_counts_past_32_bits(library):
    table = metrics.ContingencyTable(*(library.asarray(part) for part in ([0, 0, 1], [0, 1, 1], [2**40, 2**38, 2**40])))
    small = metrics.ContingencyTable(*(np.asarray(part) for part in ([0, 0, 1], [0, 1, 1], [2**20, 2**18, 2**20])))
    assert float(metrics.adjusted_rand_index(table)) == pytest.approx(
        float(metrics.adjusted_rand_index(small)), rel=1e-5
    )
    information = metrics.variation_of_information(table)
    assert float(information.total) == pytest.approx(float(metrics.variation_of_information(small).total), rel=1e-14)


@pytest.mark.compile
def test_a_matrix_may_be_traced():
    jax = pytest.importorskip("jax")

    def index(prediction, target):
        return metrics.adjusted_rand_index(metrics.contingency_table(prediction, target, num_labels=5))

    prediction, target = segmentations(4)
    expected = index(prediction, target)
    assert float(jax.jit(index)(prediction, target)) == pytest.approx(float(expected), rel=1e-12)
    with pytest.raises(TypeError, match="cannot trace"):
        jax.jit(metrics.contingency_table)(prediction, target)


@pytest.mark.compat
@pytest.mark.parametrize("seed", range(3))
def test_same_as_scikit_learn(seed):
    cluster = pytest.importorskip("sklearn.metrics")
    prediction, target = segmentations(seed)
    table = metrics.contingency_table(prediction, target)
    expected = cluster.adjusted_rand_score(target.ravel(), prediction.ravel())
    assert float(metrics.adjusted_rand_index(table)) == pytest.approx(expected, rel=1e-12)
    for average in ("arithmetic", "geometric", "min", "max"):
        expected = cluster.normalized_mutual_info_score(target.ravel(), prediction.ravel(), average_method=average)
        assert float(metrics.normalized_mutual_information(table, average=average)) == pytest.approx(
            expected, rel=1e-12
        )


@pytest.mark.compat
@pytest.mark.parametrize("seed", range(3))
def test_same_as_scikit_image(seed):
    image = pytest.importorskip("skimage.metrics")
    prediction, target = segmentations(seed)
    table = metrics.contingency_table(prediction, target)
    split, merge, _ = metrics.variation_of_information(table)
    np.testing.assert_allclose([split, merge], image.variation_of_information(target, prediction), rtol=1e-12)
    table = metrics.contingency_table(prediction, target, ignore_index=0)
    error, precision, recall = image.adapted_rand_error(target, prediction)
    result = metrics.adapted_rand_error(table)
    np.testing.assert_allclose(result, [error, recall, precision], rtol=1e-12)
    expected = image.normalized_mutual_information(target, prediction, bins=5) - 1
    joint = metrics.normalized_mutual_information(metrics.contingency_table(prediction, target), average="joint")
    assert float(joint) == pytest.approx(expected, rel=1e-12)
