"""An error of the caller ends in the caller's line; whatever else goes wrong keeps its whole traceback."""

import importlib
import inspect
import pickle
import traceback
from functools import partial

import numpy as np
import pytest

import arrayseg
from arrayseg import class_weights, compat, distance_maps, losses, metrics
from arrayseg.compat import monai_1_6

LOGITS, IDS = np.zeros((1, 3, 4, 4)), np.zeros((1, 4, 4), dtype=np.int64)
MASK = np.eye(4, dtype=bool)
REFUSED = {
    "loss": lambda: losses.focal(LOGITS, IDS, gamma=-1),
    "value_and_grad": lambda: arrayseg.value_and_grad(losses.focal)(LOGITS, IDS, gamma=-1),
    "value_and_grad of maps": lambda: arrayseg.value_and_grad(losses.focal)(LOGITS, IDS, reduction="none"),
    "grad": lambda: arrayseg.grad(partial(losses.focal, gamma=-1))(LOGITS, IDS),
    "making a compound": lambda: losses.compound({max: 1.0}),
    "compound": lambda: losses.compound({losses.dice: 1.0, losses.focal: 1.0})(LOGITS, IDS, gamma=-1),
    "compound, gradient": lambda: arrayseg.grad(losses.compound({losses.focal: 1.0}))(LOGITS, IDS, gamma=-1),
    "deep_supervision": lambda: losses.deep_supervision(losses.dice)(LOGITS, IDS),
    "deep_supervision, loss": lambda: losses.deep_supervision(losses.focal)([LOGITS], IDS, gamma=-1),
    "deep_supervision, gradient": lambda: arrayseg.grad(losses.deep_supervision(losses.dice))([LOGITS], [IDS] * 2),
    "multi_scale": lambda: losses.multi_scale(losses.focal)(LOGITS, IDS, gamma=-1),
    "multi_scale, gradient": lambda: arrayseg.grad(losses.multi_scale(losses.dice))(LOGITS, IDS, class_axis=9),
    "loss of a formula": lambda: losses.pixel_loss(lambda l, xp: (-l, -xp.ones_like(l)))(LOGITS, IDS, reduction="x"),
    "one_hot": lambda: losses.one_hot(IDS + 3, 3),
    "preset of a loss": lambda: monai_1_6.dice_loss(LOGITS, IDS, smooth=1),
    "preset of a loss, gradient": lambda: arrayseg.grad(monai_1_6.focal_loss)(LOGITS, IDS, to_onehot_y=True, gamma=-1),
    "preset of a metric": lambda: compat.sklearn.jaccard_score(np.ones((2, 2)) - 2, average=None),
    "counting": lambda: metrics.confusion_matrix(IDS + 3, IDS, num_classes=3),
    "matching": lambda: metrics.match_instances(IDS, IDS, thresholds=[2]),
    "score of masks": lambda: metrics.dice(MASK, MASK),
    "score": lambda: metrics.mean_iou(np.eye(3, dtype=np.int64), absent="no"),
    "score of distances": lambda: metrics.hausdorff(metrics.surface_distances(MASK, MASK), percentile=101),
    "field": lambda: distance_maps.distance_map(IDS, 3, class_axis=9),
    "class weights": lambda: class_weights.log_frequency(np.asarray([1, 2]), offset=1),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_a_refusal_ends_in_the_line_of_the_caller(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    here, line, public = traceback.extract_tb(caught.value.__traceback__)
    assert here.filename == line.filename == __file__
    assert public.line == "raise error.with_traceback(None) from None"
    assert caught.value.__cause__ is None


def test_faults_keep_their_traceback():
    """Also those of a function of the caller that the library calls."""

    def formula(log_probability, xp):
        raise ValueError("my own")

    def statistic(counts):
        return metrics.iou(counts, absent="no")

    with pytest.raises(ValueError, match="my own") as caught:
        losses.pixel_loss(formula)(LOGITS, IDS)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "formula"
    with pytest.raises(ValueError, match="`absent`") as caught:
        metrics.bootstrap_interval(statistic, np.ones((3, 2, 2), dtype=np.int64))
    assert "statistic" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    with pytest.raises(TypeError, match="missing"):
        metrics.dice()


@pytest.mark.parametrize("module", ["losses", "metrics", "distance_maps", "class_weights"])
def test_every_public_function_raises_so(module):
    public = importlib.import_module(f"arrayseg.{module}")
    functions = [getattr(public, name) for name in public.__all__ if inspect.isfunction(getattr(public, name))]
    assert not [each.__name__ for each in functions if each.__globals__["__name__"] != "arrayseg._errors"]
    assert all(pickle.loads(pickle.dumps(each)) is each for each in functions)
