"""Drawn calls: the closed form in blocks has the value and gradient that autodiff gives the whole expression."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from arrayseg import value_and_grad
from arrayseg.losses._api import plan_of
from arrayseg.testing import loss_cases, relative_difference, to_numpy

torch = pytest.importorskip("torch")

# Where one pixel survives all erosions the gradient of their sum is 0: only rounding would be compared.
CASES = [case for case in loss_cases() if "," not in case.name and case.name != "hausdorff_erosion"]
CHOICES = {
    "reduction": ["mean", "sum"],
    "pool": ["image", "batch", "micro", "all"],
    "absent": ["keep", "zero", "exclude"],
    "soft_tp": ["product", "l1", "l2"],
    "label_smoothing": [0.0, 0.1],
    "denominator": ["weights", "valid", "all", "positives", "elements"],
    "gamma": [0.0, 0.5, 1.5, 2.0],
    "smooth": [1e-5, 1.0],
}


@st.composite
def calls(draw):
    """A loss, its arrays and its options, some of which do not go together."""
    case = draw(st.sampled_from(CASES))
    options = {name: option for name, option in case.options.items() if not isinstance(option, np.ndarray)}
    known = case.function.__signature__.parameters
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, spatial = draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([(5, 7), (13,), (3, 4, 5)]))
    classes = 4 if "distances" in options else draw(st.sampled_from([1, 2, 4]))
    activation = draw(st.sampled_from(["softmax", "sigmoid", None]))
    if "activation" in known:
        options["activation"] = activation
    exponentials = np.exp(generator.normal(size=(images, classes, *spatial)))
    shares = exponentials / (1 + exponentials.sum(axis=1, keepdims=True))
    scores = np.log(exponentials) if activation is not None else shares
    target = generator.integers(0, max(classes, 2), size=(images, *spatial))
    soft = generator.dirichlet(np.ones(classes + 1), size=target.shape)[..., :classes]
    if draw(st.booleans()):
        target = np.ascontiguousarray(np.moveaxis(soft, -1, 1))
    elif draw(st.booleans()):
        options["ignore_index"] = void = draw(st.sampled_from([0, 1, 255, -1]))
        target[generator.random(target.shape) < 0.2] = void
    rows = {"mask": soft[..., 0] < 0.5, "pixel_weights": soft[..., 0]}
    options |= {name: array for name, array in rows.items() if name in known and draw(st.booleans())}
    if "class_weights" in known and draw(st.booleans()):
        options["class_weights"] = tuple(range(1, classes + 1))
    options |= {
        name: draw(st.sampled_from(values)) for name, values in CHOICES.items() if name in known and draw(st.booleans())
    }
    if "class_axis" in known and draw(st.booleans()):
        options["class_axis"] = -1
        scores = np.ascontiguousarray(np.moveaxis(scores, 1, -1))
        if target.ndim == scores.ndim:
            target = np.ascontiguousarray(np.moveaxis(target, 1, -1))
    return case.function, scores, target, options


def as_tensor(value):
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


@settings(max_examples=10 * settings().max_examples)  # 10 ms each
@given(call=calls(), images=st.sampled_from([0.1, 0.4, 2, 3]))
def test_closed_form_in_blocks_is_autodiff_of_the_whole(call, images):
    from arrayseg.backends import torch as adapter
    from arrayseg.backends.numpy import NumpyBackend

    function, scores, target, options = call
    input = torch.from_numpy(scores).requires_grad_()
    arguments = {name: as_tensor(option) for name, option in options.items()}
    try:
        value = plan_of(function)(input, torch.from_numpy(target), **arguments).plain()
    except (TypeError, ValueError) as refused:
        with pytest.raises(type(refused)):
            value_and_grad(function)(scores, target, **options)
        return
    (gradient,) = torch.autograd.grad(value, input)
    with pytest.MonkeyPatch.context() as patch:
        for backend in (NumpyBackend, adapter.TorchBackend):
            patch.setattr(backend, "block_bytes", lambda self, array: int(images * scores[0].nbytes))
        patch.setattr(adapter, "_shared_with_numpy", lambda plan: None)
        found = [value_and_grad(function)(scores, target, **options)]
        found.append(value_and_grad(function)(input.detach(), torch.from_numpy(target), **arguments))
    for one, slope in found:
        assert relative_difference(to_numpy(one), to_numpy(value.detach())) < 1e-9
        assert relative_difference(to_numpy(slope), to_numpy(gradient)) < 1e-7
