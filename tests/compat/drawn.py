"""Masks and label maps as the tests of metric presets draw them."""

import warnings

import numpy as np
import pytest
from hypothesis import strategies as st

from arrayseg import metrics

MASK_SHAPES = st.sampled_from([(7, 11), (12, 6), (5, 9, 6)])
MAP_SHAPES = st.sampled_from([(3, 5, 8), (1, 9, 4), (4, 6, 7)])
STEPS = st.sampled_from([0.5, 0.8, 1.0, 2.5])


def peer(name):
    """A peer; what it warns of as it is imported is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def masks(data, *, empty=False):
    """Prediction, target and spacing; neither mask is empty unless that is allowed."""
    shape = data.draw(MASK_SHAPES, label="shape")
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    shares = [data.draw(st.sampled_from([0.0, 0.05, 0.5, 0.9] if empty else [0.05, 0.5, 0.9])) for _ in range(2)]
    pair = [generator.random(shape) < share for share in shares]
    if not empty:
        for mask in pair:
            mask[tuple(generator.integers(0, shape))] = True
    return *pair, tuple(data.draw(STEPS) for _ in shape)


def label_maps(data, classes, *, void=None):
    """Prediction and target `(N, H, W)`; some classes may be absent, or in one of the maps alone."""
    shape = data.draw(MAP_SHAPES, label="shape")
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    present = [data.draw(st.lists(st.integers(0, classes - 1), min_size=1, unique=True)) for _ in range(2)]
    prediction, target = (generator.choice(labels, size=shape) for labels in present)
    right = generator.random(shape) < data.draw(st.sampled_from([0.0, 0.5]))
    prediction = np.where(right, target, prediction)
    if void is not None:
        target = np.where(generator.random(shape) < 0.2, void, target)
    return prediction, target


def two_classes(prediction, target):
    """The confusion matrix of two masks."""
    return metrics.confusion_matrix(prediction, target, num_classes=2)
