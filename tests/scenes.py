"""What many tests start from: a scene of logits and labels, label maps, and their plainest transforms."""

import numpy as np

VOID = 255


def scene(seed=0, *, classes=4, shape=(5, 7), images=2, scale=2.0, void=0.2):
    """Return normal logits, and independent ids with a share of void ones."""
    generator = np.random.default_rng(seed)
    logits = scale * generator.normal(size=(images, classes, *shape))
    ids = generator.integers(0, classes, size=(images, *shape))
    return logits, np.where(generator.random(ids.shape) < void, VOID, ids)


def label_maps(seed=0, *, classes=4, shape=(3, 7, 5), wrong=0.4, void=0.2, void_id=VOID):
    """Return a prediction with a share of pixels drawn again, a target with a share that is void, and a mask."""
    generator = np.random.default_rng(seed)
    target = generator.integers(0, classes, shape)
    prediction = np.where(generator.random(shape) < wrong, generator.integers(0, classes, shape), target)
    target[generator.random(shape) < void] = void_id
    return prediction, target, generator.random(shape) < 0.7


def softmax(logits, axis=1):
    """Return probabilities that add up to 1 along the axis."""
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def one_hot(ids, classes, dtype=np.float64):
    """Return the ids with an axis of classes, the second one; an id that is no class is of none."""
    return np.moveaxis((ids[..., None] == np.arange(classes)).astype(dtype), -1, 1)
