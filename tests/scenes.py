"""What many tests start from: a scene of logits and labels, label maps, and their plainest transforms."""

import numpy as np

VOID = 255


def scene(seed=0, *, classes=4, shape=(5, 7), images=2, scale=2.0, void=0.2):
    """Return normal logits, and independent ids of which a share is void."""
    generator = np.random.default_rng(seed)
    logits = scale * generator.normal(size=(images, classes, *shape))
    ids = generator.integers(0, classes, size=(images, *shape))
    return logits, np.where(generator.random(ids.shape) < void, VOID, ids)


def label_maps(seed=0, *, classes=4, shape=(3, 7, 5), wrong=0.4, void=0.2):
    """Return a prediction, of which a share of pixels is drawn again, and a target, of which a share is void."""
    generator = np.random.default_rng(seed)
    target = generator.integers(0, classes, shape)
    prediction = np.where(generator.random(shape) < wrong, generator.integers(0, classes, shape), target)
    return prediction, np.where(generator.random(shape) < void, VOID, target)


def softmax(logits, axis=1):
    """Return probabilities that add up to 1 along the axis."""
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def one_hot(ids, classes, dtype=np.float64):
    """Return the ids with an axis of classes, the second one; an id that is no class is of none."""
    return np.moveaxis((ids[..., None] == np.arange(classes)).astype(dtype), -1, 1)
