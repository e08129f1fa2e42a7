"""The scenes on which the conventions of the peers are compared, here and in the documentation."""

import numpy as np

SPACING = (2.5, 0.8, 0.8)
CLASSES, VOID, PREDICTED_ONLY = 6, 255, 4


def balls():
    """Return two balls of radius 10 and 11 mm, the second one shifted: prediction and target `(24, 48, 48)`."""
    axes = [np.arange(size) * step for size, step in zip((24, 48, 48), SPACING, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return tuple(
        (z - center[0]) ** 2 + (y - center[1]) ** 2 + (x - center[2]) ** 2 <= radius**2
        for center, radius in (((30.0, 19.0, 19.0), 10.0), ((32.0, 20.0, 20.0), 11.0))
    )


def label_maps():
    """Prediction and target of three images of six classes, 4 predicted only and 5 nowhere, with a band of void."""
    target = np.zeros((3, 24, 36), dtype=np.uint8)
    target[0, 4:14, 3:20], target[0, 15:22, 8:30] = 1, 2
    target[1, 2:20, 5:15], target[1, 6:11, 20:33] = 1, 3
    target[2, 10:14, 6:30] = 2
    prediction = np.roll(target, (1, 2), axis=(1, 2))
    prediction[:, ::5, ::4] = 0
    prediction[2, 18:21, 4:12] = PREDICTED_ONLY
    target[:, :2, :] = VOID
    return prediction, target
