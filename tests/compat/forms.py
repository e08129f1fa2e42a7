"""The reference batch, and the forms in which peers take a batch."""

import numpy as np


def softmax(logits, axis=1):
    powers = np.exp(logits - np.max(logits, axis=axis, keepdims=True))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def of_form(form, logits, ids):
    """Input and target as a peer takes them, of logits `(N, C, H, W)` and ids `(N, H, W)`."""
    one_hot = (ids[:, None] == np.arange(logits.shape[1])[:, None, None]).astype(logits.dtype)
    last, one_hot_last = np.moveaxis(logits, 1, -1), np.moveaxis(one_hot, 1, -1)
    single, foreground = logits[:, 1:2], (ids == 1)[:, None].astype(np.int64)
    rows, height = np.arange(ids.shape[1])[:, None], ids.shape[1]
    void = np.where(rows < max(1, height // 4), 255, ids)
    return {
        "ids": (logits, ids),
        "ids with a channel": (logits, ids[:, None]),
        "void ids": (logits, void),
        "half void ids": (logits, np.where(rows < height // 2, 255, ids)),
        "void ids with a channel": (logits, void[:, None]),
        "ids without class 3": (logits, ids % 3),
        "ids without class 3 with a channel": (logits, (ids % 3)[:, None]),
        "one-hot": (logits, one_hot),
        "probabilities": (softmax(logits), ids),
        "probabilities with a channel": (softmax(logits), ids[:, None]),
        "probabilities one-hot": (softmax(logits), one_hot),
        "log-probabilities": (np.log(softmax(logits)), ids),
        "independent probabilities": (sigmoid(logits), one_hot),
        "binary": (single, foreground),
        "binary without a channel": (single, foreground[:, 0]),
        "binary without axis": (single[:, 0], foreground[:, 0]),
        "binary floats": (single, foreground.astype(logits.dtype)),
        "binary probabilities": (sigmoid(single), foreground.astype(logits.dtype)),
        "binary channels-last": (np.moveaxis(single, 1, -1), np.moveaxis(foreground, 1, -1)),
        "two probabilities with a channel": (softmax(logits[:, :2]), (ids % 2)[:, None]),
        "two classes": (logits[:, :2], ids % 2),
        "soft": (logits, softmax(2 * one_hot + 0.3 * np.flip(logits, axis=0))),
        "channels-last": (last, one_hot_last),
        "channels-last ids": (last, np.ascontiguousarray(ids)),
        "channels-last void ids": (last, void),
        "channels-last probabilities": (softmax(last, -1), one_hot_last),
        "channels-last probabilities ids": (softmax(last, -1), np.ascontiguousarray(ids)),
    }[form]


def reference_batch():
    """torch.manual_seed(0); randn(2, 4, 8, 8); randint(0, 4, (2, 8, 8))."""
    import torch

    torch.manual_seed(0)
    logits = torch.randn(2, 4, 8, 8)
    return logits.double().numpy(), torch.randint(0, 4, (2, 8, 8)).numpy()
