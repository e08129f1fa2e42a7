"""Functions of the confusion matrix: formulas, absent classes, chosen classes, batches, compilers."""

from fractions import Fraction
from functools import partial
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from arrayseg import metrics
from arrayseg.testing import to_numpy

# Class 3 is absent, class 4 only predicted, class 2 never predicted.
MATRIX = np.asarray([[50, 3, 0, 0, 2], [4, 31, 0, 0, 0], [5, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
OTHER = np.asarray([[7, 0, 2, 0, 0], [1, 5, 0, 0, 0], [0, 3, 11, 1, 0], [0, 0, 2, 4, 0], [0, 0, 1, 0, 9]])


def quotient(numerator, denominator):
    if denominator == 0:
        return nan if numerator == 0 else inf
    return float(numerator / denominator)


def rate(of, rest):
    return quotient(Fraction(of), Fraction(of + rest))


# The definitions, of Python integers, in the words of the literature rather than of the code.
FORMULAS = {
    "iou": lambda tp, fp, fn, tn: quotient(Fraction(tp), Fraction(tp + fp + fn)),
    "dice": lambda tp, fp, fn, tn: quotient(Fraction(2 * tp), Fraction(2 * tp + fp + fn)),
    "precision": lambda tp, fp, fn, tn: rate(tp, fp),
    "recall": lambda tp, fp, fn, tn: rate(tp, fn),
    "class_accuracy": lambda tp, fp, fn, tn: rate(tp, fn),
    "specificity": lambda tp, fp, fn, tn: rate(tn, fp),
    "negative_predictive_value": lambda tp, fp, fn, tn: rate(tn, fn),
    "false_negative_rate": lambda tp, fp, fn, tn: rate(fn, tp),
    "false_positive_rate": lambda tp, fp, fn, tn: rate(fp, tn),
    "false_discovery_rate": lambda tp, fp, fn, tn: rate(fp, tp),
    "false_omission_rate": lambda tp, fp, fn, tn: rate(fn, tn),
    "balanced_accuracy": lambda tp, fp, fn, tn: (rate(tp, fn) + rate(tn, fp)) / 2,
    "informedness": lambda tp, fp, fn, tn: rate(tp, fn) + rate(tn, fp) - 1,
    "markedness": lambda tp, fp, fn, tn: rate(tp, fp) + rate(tn, fn) - 1,
    "positive_likelihood_ratio": lambda tp, fp, fn, tn: quotient(rate(tp, fn), rate(fp, tn)),
    "negative_likelihood_ratio": lambda tp, fp, fn, tn: quotient(rate(fn, tp), rate(tn, fp)),
    "prevalence_threshold": lambda tp, fp, fn, tn: quotient(
        sqrt(rate(fp, tn)), sqrt(rate(tp, fn)) + sqrt(rate(fp, tn))
    ),
    "fowlkes_mallows": lambda tp, fp, fn, tn: sqrt(rate(tp, fp) * rate(tp, fn)),
    "volumetric_similarity": lambda tp, fp, fn, tn: 1 - quotient(abs(fn - fp), Fraction(2 * tp + fp + fn)),
    "relative_volume_difference": lambda tp, fp, fn, tn: quotient(fp - fn, Fraction(tp + fn)),
    "f_beta": lambda tp, fp, fn, tn: quotient(Fraction(2 * tp), Fraction(2 * tp + fp + fn)),
    "tversky_index": lambda tp, fp, fn, tn: quotient(Fraction(2 * tp), Fraction(2 * tp + fp + fn)),
    "net_benefit": lambda tp, fp, fn, tn: float((Fraction(tp) - Fraction(fp, 4)) / (tp + fp + fn + tn)),
}
FUNCTIONS = {
    **{name: getattr(metrics, name) for name in FORMULAS},
    "net_benefit": partial(metrics.net_benefit, threshold=0.2),
}
MEANS = {
    "mean_iou": "iou",
    "mean_dice": "dice",
    "mean_pixel_accuracy": "recall",
}
OVERALL = {
    "pixel_accuracy": metrics.pixel_accuracy,
    "frequency_weighted_iou": metrics.frequency_weighted_iou,
    "cohen_kappa": metrics.cohen_kappa,
    "cohen_kappa, quadratic": partial(metrics.cohen_kappa, weights="quadratic"),
    "matthews_corrcoef": metrics.matthews_corrcoef,
    "generalized_dice": metrics.generalized_dice,
    "expected_cost": metrics.expected_cost,
    "mean_iou": metrics.mean_iou,
    "mean_dice": metrics.mean_dice,
    "mean_pixel_accuracy": metrics.mean_pixel_accuracy,
}
EVERY = {**FUNCTIONS, **OVERALL, "category_iou": partial(metrics.category_iou, categories=[[0, 1], [2, 3, 4]])}


def scores_of(name, matrix):
    """A formula of each class, nan where the class is absent."""
    scores = []
    for c in range(len(matrix)):
        tp = int(matrix[c, c])
        fp, fn = int(matrix[:, c].sum()) - tp, int(matrix[c].sum()) - tp
        tn = int(matrix.sum()) - tp - fp - fn
        scores.append(FORMULAS[name](tp, fp, fn, tn) if tp + fp + fn else nan)
    return np.asarray(scores)


def close(actual, expected):
    actual = to_numpy(actual)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", ["int64", "int32", "float64"])
def test_formulas(library, name, dtype):
    for matrix in (MATRIX, OTHER, MATRIX.T):
        close(FUNCTIONS[name](library.asarray(matrix, dtype)), scores_of(name, matrix))


@pytest.mark.parametrize("name", EVERY)
def test_batches_are_matrices_one_by_one(library, name):
    batch = np.stack([MATRIX, OTHER, MATRIX.T, OTHER + MATRIX, 3 * OTHER, MATRIX + 1]).reshape(2, 3, 5, 5)
    singly = [to_numpy(EVERY[name](library.asarray(matrix))) for matrix in batch.reshape(6, 5, 5)]
    close(EVERY[name](library.asarray(batch)), np.stack(singly).reshape(2, 3, *singly[0].shape))


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("absent", ["skip", "nan", 0, 1.0, 0.25])
def test_absent_in_scores(library, name, absent):
    expected = scores_of(name, MATRIX)
    expected[np.isnan(expected)] = nan if isinstance(absent, str) else absent
    close(FUNCTIONS[name](library.asarray(MATRIX), absent=absent), expected)


@pytest.mark.parametrize(("name", "of"), MEANS.items())
def test_absent_in_means(library, name, of):
    scores, matrix = scores_of(of, MATRIX), library.asarray(MATRIX)
    mean = getattr(metrics, name)
    close(mean(matrix), np.nanmean(scores))
    close(mean(matrix, absent="nan"), nan)
    for number in (0.0, 1.0):
        close(mean(matrix, absent=number), np.where(np.isnan(scores), number, scores).mean())
    close(mean(matrix, classes=[0, 3, 1]), scores[[0, 1]].mean())
    close(mean(matrix, classes=[0, 3, 1], absent=0), scores[[0, 1]].sum() / 3)
    close(mean(matrix, classes=[3]), nan)
    close(mean(library.asarray(np.zeros((2, 2), dtype=int))), nan)


def test_chosen_classes_keep_their_order_and_scores(library):
    close(metrics.iou(library.asarray(MATRIX), classes=[2, 0]), scores_of("iou", MATRIX)[[2, 0]])


def test_overall_scores_by_their_definitions(library):
    matrix = library.asarray(MATRIX)
    total, actual = MATRIX.sum(), MATRIX.sum(axis=1)
    iou = np.nan_to_num(scores_of("iou", MATRIX))
    close(metrics.pixel_accuracy(matrix), np.trace(MATRIX) / total)
    close(metrics.pixel_accuracy(matrix, classes=[1, 2]), 31 / (35 + 7))
    close(metrics.frequency_weighted_iou(matrix), (actual * iou).sum() / total)
    close(metrics.frequency_weighted_iou(matrix, classes=[0, 2]), (actual * iou)[[0, 2]].sum() / actual[[0, 2]].sum())
    close(metrics.expected_cost(matrix), 1 - np.trace(MATRIX) / total)
    close(
        metrics.net_benefit(matrix, threshold=0.0),
        np.where(iou + actual > 0, np.diagonal(MATRIX) / total, [0, 0, 0, nan, 0]),
    )


@pytest.mark.parametrize("absent", ["skip", "nan", 0.5])
def test_a_matrix_without_pixels(library, absent):
    nothing = library.asarray(np.zeros((3, 3), dtype=int))
    expected = 0.5 if absent == 0.5 else nan
    for function in OVERALL.values():
        close(function(nothing, absent=absent), expected)
    close(metrics.category_iou(nothing, [[0], [1, 2]], absent=absent), [expected] * 2)


def test_agreement_of_one_class_is_undefined(library):
    one = library.asarray(np.asarray([[9, 0], [0, 0]]))
    close(metrics.cohen_kappa(one), nan)
    close(metrics.matthews_corrcoef(one), nan)
    close(metrics.matthews_corrcoef(one, absent=0), 0.0)
    close(metrics.matthews_corrcoef(library.asarray(np.asarray([[9, 0], [3, 0]])), absent=0), 0.0)


@pytest.mark.parametrize("weight", ["square", "simple", "uniform"])
def test_generalized_dice(library, weight):
    power = {"square": 2, "simple": 1, "uniform": 0}[weight]
    actual, predicted, hits = MATRIX.sum(axis=1), MATRIX.sum(axis=0), np.diagonal(MATRIX)
    weights = 1 / np.where(actual == 0, np.inf, actual) ** power if power else (actual > 0).astype(float)
    weights = np.where(actual == 0, weights.max(), weights)
    expected = 2 * (weights * hits).sum() / (weights * (actual + predicted)).sum()
    close(metrics.generalized_dice(library.asarray(MATRIX), weight=weight), expected)
    only_predicted = library.asarray(np.asarray([[5, 2], [0, 0]]))
    assert float(metrics.generalized_dice(only_predicted, weight=weight, classes=[1])) == 0


def test_expected_cost(library):
    costs, priors = np.asarray([[0.0, 1, 5], [2, 0, 1], [7, 3, 0]]), np.asarray([1.0, 1, 2])
    matrix = OTHER[:3, :3]
    rates = matrix / matrix.sum(axis=1, keepdims=True)
    share = priors / priors.sum()
    expected = (share[:, None] * costs * rates).sum()
    given = {"costs": library.asarray(costs), "priors": library.asarray(priors)}
    close(metrics.expected_cost(library.asarray(matrix), **given), expected)
    # The best constant answer: the class whose column costs least.
    normalized = expected / min((share * costs[:, p]).sum() for p in range(3))
    close(metrics.expected_cost(library.asarray(matrix), normalize=True, **given), normalized)
    close(metrics.expected_cost(library.asarray(matrix), costs=costs.tolist(), priors=[1, 1, 2]), expected)
    close(metrics.expected_cost(library.asarray(OTHER), classes=[0, 1, 2], **given), expected)


def test_priors_on_a_class_without_pixels_are_undefined(library):
    close(metrics.expected_cost(library.asarray(MATRIX), priors=[1, 1, 1, 1, 1]), nan)
    assert 0 < float(metrics.expected_cost(library.asarray(MATRIX), priors=[1, 1, 1, 0, 0])) < 1


def test_category_iou_is_the_iou_of_merged_labels(library):
    rng = np.random.default_rng(0)
    target, prediction = rng.integers(0, 5, (2, 200))
    merge = np.asarray([0, 0, 1, 2, 1])
    matrix = metrics.confusion_matrix(prediction, target, num_classes=5)
    merged = metrics.confusion_matrix(merge[prediction], merge[target], num_classes=3)
    categories = [[0, 1], [2, 4], [3]]
    close(metrics.category_iou(library.asarray(matrix), categories), metrics.iou(merged))
    close(metrics.category_iou(library.asarray(matrix), categories, classes=[2]), metrics.iou(merged)[2:])
    close(metrics.category_iou(library.asarray(matrix), [[c] for c in range(5)]), metrics.iou(matrix))


@given(
    matrix=hnp.arrays(np.int64, (4, 4), elements=st.integers(0, 6)),
    factor=st.integers(1, 2**40),
    order=st.permutations(range(4)),
)
def test_laws(matrix, factor, order):
    iou, dice = metrics.iou(matrix), metrics.dice(matrix)
    np.testing.assert_allclose(dice, 2 * iou / (1 + iou), rtol=1e-14)
    np.testing.assert_allclose(metrics.tversky_index(matrix, alpha=1, beta=1), iou, rtol=1e-14)
    np.testing.assert_allclose(metrics.tversky_index(matrix), dice, rtol=1e-14)
    # beta to infinity is recall, beta 0 precision.
    np.testing.assert_allclose(
        metrics.f_beta(matrix, beta=1e9)[matrix.sum(axis=1) > 0],
        metrics.recall(matrix, absent=0)[matrix.sum(axis=1) > 0],
        atol=1e-12,
    )
    np.testing.assert_allclose(metrics.f_beta(matrix, beta=0), metrics.precision(matrix), rtol=1e-14)
    np.testing.assert_allclose(metrics.recall(matrix), metrics.precision(matrix.T), rtol=1e-14)
    for name, function in {**FUNCTIONS, **OVERALL}.items():
        score = function(matrix)
        # Scale changes nothing, not even past 2^31; nor does the order of classes, except for ordered ones.
        np.testing.assert_allclose(function(matrix * factor), score, rtol=1e-12, atol=1e-14)
        if "quadratic" not in name:
            permuted = function(matrix[np.ix_(order, order)])
            np.testing.assert_allclose(permuted, score[order] if score.ndim else score, rtol=1e-12, atol=1e-14)


def test_perfect_and_worst(library):
    perfect = library.asarray(np.diag([4, 9, 1]))
    for name in ("mean_iou", "mean_dice", "mean_pixel_accuracy", "pixel_accuracy", "frequency_weighted_iou"):
        close(getattr(metrics, name)(perfect), 1.0)
    close(metrics.cohen_kappa(perfect), 1.0)
    close(metrics.matthews_corrcoef(perfect), 1.0)
    close(metrics.matthews_corrcoef(library.asarray(np.asarray([[0, 5], [5, 0]]))), -1.0)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("absent", ["skip", 0.0])
def test_torch_derivatives_are_finite(name, absent):
    torch = pytest.importorskip("torch")
    for matrix in (MATRIX, OTHER, 0 * OTHER, np.diag([1, 2, 0, 3, 0])):
        soft = torch.asarray(matrix, dtype=torch.float64, requires_grad=True)
        score = EVERY[name](soft, absent=absent)
        finite = torch.isfinite(score)
        if finite.any():
            torch.where(finite, score, 0.0).sum().backward()
            assert torch.isfinite(soft.grad).all()


@pytest.mark.compile
def test_jit():
    jax = pytest.importorskip("jax")

    def compute(matrix):
        return {name: function(matrix, absent=0.5) for name, function in EVERY.items()}

    for name, score in jax.jit(compute)(jax.numpy.asarray(MATRIX)).items():
        close(score, EVERY[name](MATRIX, absent=0.5))


@pytest.mark.compile
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_torch_compile():
    torch = pytest.importorskip("torch")

    def compute(matrix):
        return [function(matrix) for function in EVERY.values()]

    # "eager" traces the whole graph, and leaves out minutes of C++ compilation.
    compiled = torch.compile(compute, fullgraph=True, backend="eager")
    for score, function in zip(compiled(torch.asarray(MATRIX)), EVERY.values(), strict=True):
        close(score, function(MATRIX))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: metrics.iou(m[0, :]), ValueError, "must be a confusion matrix"),
        (lambda m: metrics.iou(m[:2, :]), ValueError, "must be a confusion matrix"),
        (lambda m: metrics.iou(m == 0), TypeError, "must hold pixel counts"),
        (lambda m: metrics.iou(m, absent="zero"), ValueError, "`absent` must be"),
        (lambda m: metrics.mean_iou(m, absent=True), ValueError, "`absent` must be"),
        (lambda m: metrics.mean_iou(m, classes=[5]), ValueError, "`classes` must be ids of 0 .. 4"),
        (lambda m: metrics.mean_iou(m, classes=[]), ValueError, "at least one"),
        (lambda m: metrics.cohen_kappa(m, weights="cubic"), ValueError, "`weights` must be"),
        (lambda m: metrics.generalized_dice(m, weight="cubic"), ValueError, "`weight` must be"),
        (lambda m: metrics.relative_volume_difference(m, relative_to="all"), ValueError, "`relative_to` must be"),
        (
            lambda m: metrics.net_benefit(m, threshold=1.0),
            ValueError,
            "`threshold` must be from 0 to just under 1; got 1.0",
        ),
        (lambda m: metrics.expected_cost(m, costs=[[0.0]]), ValueError, "`costs` must have shape"),
        (lambda m: metrics.expected_cost(m, priors=[1.0]), ValueError, "`priors` must have shape"),
        (lambda m: metrics.iou([[1, 2], [3, 4]]), TypeError, "`matrix` must be an array"),
    ],
)
def test_what_does_not_fit_raises(library, call, error, message):
    with pytest.raises(error, match=message):
        call(library.asarray(MATRIX))


@pytest.fixture
def scikit_learn():
    return pytest.importorskip("sklearn.metrics")


@pytest.fixture
def labels():
    rng = np.random.default_rng(4)
    target = rng.choice(6, 3000, p=[0.4, 0.3, 0.15, 0.1, 0.05, 0])
    prediction = np.where(rng.random(3000) < 0.4, rng.integers(0, 5, 3000), target)
    return target, prediction, metrics.confusion_matrix(prediction, target, num_classes=7)


@pytest.mark.compat
def test_scikit_learn_per_class(scikit_learn, labels):
    target, prediction, matrix = labels
    options = {"labels": range(7), "average": None, "zero_division": 0.0}
    for ours, theirs in (
        (metrics.iou, scikit_learn.jaccard_score),
        (metrics.precision, scikit_learn.precision_score),
        (metrics.recall, scikit_learn.recall_score),
        (metrics.dice, scikit_learn.f1_score),
        (partial(metrics.f_beta, beta=3), partial(scikit_learn.fbeta_score, beta=3)),
    ):
        close(ours(matrix, absent=0), theirs(target, prediction, **options))


@pytest.mark.compat
def test_scikit_learn_overall(scikit_learn, labels):
    target, prediction, matrix = labels
    close(metrics.pixel_accuracy(matrix), scikit_learn.accuracy_score(target, prediction))
    close(metrics.mean_pixel_accuracy(matrix), scikit_learn.balanced_accuracy_score(target, prediction))
    close(metrics.matthews_corrcoef(matrix), scikit_learn.matthews_corrcoef(target, prediction))
    for weights in (None, "linear", "quadratic"):
        expected = scikit_learn.cohen_kappa_score(target, prediction, weights=weights)
        close(metrics.cohen_kappa(matrix, weights=weights), expected)
    expected = scikit_learn.jaccard_score(target, prediction, average="weighted")
    close(metrics.frequency_weighted_iou(matrix), expected)
    # Its `labels` are both of our conventions for absent classes.
    close(metrics.mean_iou(matrix), scikit_learn.jaccard_score(target, prediction, average="macro"))
    options = {"labels": range(7), "average": "macro", "zero_division": 0.0}
    close(metrics.mean_iou(matrix, absent=0), scikit_learn.jaccard_score(target, prediction, **options))


@pytest.mark.compat
def test_scikit_learn_likelihood_ratios(scikit_learn, labels):
    target, prediction, _ = labels
    matrix = metrics.confusion_matrix(prediction == 0, target == 0, num_classes=2)
    positive, negative = scikit_learn.class_likelihood_ratios(target == 0, prediction == 0)
    close(metrics.positive_likelihood_ratio(matrix)[1], positive)
    close(metrics.negative_likelihood_ratio(matrix)[1], negative)
