"""Presets that reproduce the numbers of other libraries with our losses and metrics.

A module stands for a peer, another library. The names of many modules end with the release whose numbers they
reproduce. A function has the peer's own name in snake case and the peer's own options. Losses take `(input, target, *,
options)`, whatever order the peer uses, and work with `arrayseg.value_and_grad` like any loss. Metrics take the same
statistic as our metrics, so that the counts of batches, files or processes are added first.

A release gets its own module when one of its numbers differs from the numbers of the releases that are here already. A
module is deprecated three years after the peer's release at the earliest.

Examples
--------
>>> import numpy as np
>>> from arrayseg import compat, losses
>>> logits, ids = np.array([[[0.2, 1.5, -0.3], [0.1, 0.4, 0.9]]]), np.array([[0, 1, 1]])
>>> monai = compat.monai_1_6.dice_loss(logits, ids, softmax=True, to_onehot_y=True, batch=True)
>>> bool(monai == losses.dice(logits, ids, pool="batch"))
True
"""

from arrayseg.compat import (
    berman,
    cityscapes,
    deepmind,
    detectron2,
    huggingface_evaluate,
    ignite,
    jdt,
    kornia_0_9,
    medpy_0_5,
    metrax,
    metrics_reloaded,
    mmseg_1_2,
    nnunet_2,
    optax_0_2,
    paddleseg,
    panoptica_2,
    seg_metrics_1_2,
    seglossodyssey,
    skimage,
    sklearn,
    torch,
    torchmetrics_1_9,
    torchvision,
)
from arrayseg.compat.keras import v3_15 as keras_3_15, v3_16 as keras_3_16
from arrayseg.compat.monai import v1_5 as monai_1_5, v1_6 as monai_1_6
from arrayseg.compat.smp import v0_3 as smp_0_3, v0_6 as smp_0_6

__all__ = [
    "berman",
    "cityscapes",
    "deepmind",
    "detectron2",
    "huggingface_evaluate",
    "ignite",
    "jdt",
    "keras_3_15",
    "keras_3_16",
    "kornia_0_9",
    "medpy_0_5",
    "metrax",
    "metrics_reloaded",
    "mmseg_1_2",
    "monai_1_5",
    "monai_1_6",
    "nnunet_2",
    "optax_0_2",
    "paddleseg",
    "panoptica_2",
    "seg_metrics_1_2",
    "seglossodyssey",
    "skimage",
    "sklearn",
    "smp_0_3",
    "smp_0_6",
    "torch",
    "torchmetrics_1_9",
    "torchvision",
]
