"""Semantic connectivity loss: of connected components."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from arrayseg._checks import check_choice, check_index
from arrayseg._typing import Activation, Array
from arrayseg.backends.base import Evaluation
from arrayseg.engine.sweep import Sweep
from arrayseg.kernels.connectivity import ConnectivityTerm, matched_components
from arrayseg.losses._affinity import pair_evaluation
from arrayseg.losses._api import loss
from arrayseg.losses._inputs import prepare

__all__ = ["semantic_connectivity"]


@loss(pair_evaluation)
def semantic_connectivity(
    input: Array,
    target: Array,
    *,
    activation: Activation = "softmax",
    class_axis: int | None = 1,
    ignore_index: int | None = None,
    mask: Array | None = None,
    connectivity: int | None = None,
    max_components: int = 9,
    reduction: Literal["mean", "sum"] = "mean",
) -> Evaluation:
    r"""Semantic connectivity-aware loss: how well connected components of prediction and target match.

    .. math:: \ell_c = 1 - \frac{1}{|T| + |P_0|} \sum_{t \in T} \frac{1}{|P_t|} \sum_{p \in P_t} \mathrm{IoU}(p, t),
       \qquad \mathrm{IoU}(p, t) = \frac{\sum_{p \cap t} q}{\sum_p q + |t| - \sum_{p \cap t} q}

    for every class that an image has, with T the components of the target, P_t the predicted ones that share a pixel
    with t, P_0 those that share none with any, and q the probabilities. Where the class is predicted nowhere, the loss
    is :math:`1 + \frac{1}{|\Omega|} \sum t (1 - q)`.

    Parameters
    ----------
    input : array
        Logits, shape (N, C, \*spatial), floating.
    target : array
        Class ids of shape (N, \*spatial), integer; or a value for every class, of the input's shape: of the class where
        it is more than a half.
    activation : {"softmax", "sigmoid"} or None, default "softmax"
        Which probabilities the logits make: of exclusive classes, of which the most probable is predicted, or of
        independent ones, which are predicted where they are more than a half. With None the input holds probabilities.
    class_axis : int or None, default 1
        The axis of the classes; -1 for channels-last. None for one binary channel without such an axis.
    ignore_index : int, optional
        An id, of a class or not, whose pixels are in no component, with zero gradient.
    mask : array of bool, optional
        Shape (N, \*spatial), true where a pixel counts.
    connectivity : int, optional
        In how many coordinates neighbours may differ: 1 (4 neighbours in the plane, 6 in space) to the number of
        spatial axes (8, 26), the default.
    max_components : int, default 9
        How many predicted components of a class count, in the order of their first pixels, where it has more than
        twice as many as the target; at least 1. Matching takes memory for all pairs of components.
    reduction : {"mean", "sum"}, default "mean"
        The mean over the classes of an image and then over the images, or the sum.

    Returns
    -------
    array
        The loss, a number of the input's dtype, at least float32.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or of another library than the input; under a compiler or a transform that
        hides values, as components are found from known ones.
    ValueError
        If a shape, a device, an option or an id does not fit.

    Notes
    -----
    Components are found on the host from the values of the prediction, and are constants of the derivative; the
    gradient in the probabilities is exact. The defaults are those of PaddleSeg, whose code multiplies the predicted ids
    where this loss has probabilities: the value is the same where these are 0 and 1, of a binary target. JAX finds the
    components inside of ``jax.grad``, not of ``jax.jit`` and ``jax.vmap``.

    References
    ----------
    Chu et al., "PP-HumanSeg: connectivity-aware portrait segmentation with a large-scale teleconferencing video
    dataset" (2022), https://arxiv.org/abs/2112.07146.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayseg.losses import semantic_connectivity
    >>> target = np.array([[0, 1, 1, 1, 1, 0]])
    >>> whole, broken = np.array([[0.0, 1, 1, 1, 1, 0], [0, 1, 0, 1, 1, 0]])[:, None]
    >>> [float(semantic_connectivity(p, target, class_axis=None, activation=None)) for p in (whole, broken)]
    [0.0, 0.625]
    """
    check_choice("reduction", reduction, ("mean", "sum"))
    max_components = check_index("max_components", max_components, 1)
    layout, pixels = prepare(
        input, target, activation=activation, class_axis=class_axis, ignore_index=ignore_index, mask=mask
    )
    pixels = pixels.with_unknown_targets()
    backend, spatial = pixels.backend, layout.rows_shape[1:]
    xp = backend.xp
    if connectivity is not None:
        connectivity = check_index("connectivity", connectivity, 1, len(spatial))
    constant = replace(pixels, scores=backend.stop_gradient(pixels.scores))
    if not backend.is_concrete(constant.scores, *constant.constants):
        msg = (
            "semantic_connectivity finds connected components from known values, which compilers and transforms hide; "
            "call it outside of them (jax.grad and torch.autograd are fine)."
        )
        raise TypeError(msg)
    block = constant.whole()
    if pixels.binary:
        predicted = block.probabilities > 0.5
    else:
        classes = xp.arange(block.classes, dtype=backend.count_dtype(pixels.scores), device=block.device)
        best = xp.astype(xp.argmax(block.scores, axis=1, keepdims=True), classes.dtype)
        predicted = best == classes[None, :, None]
    predicted = predicted if block.valid is None else predicted & block.valid[:, None, :]
    wanted = block.hot if pixels.has_ids else block.target > 0.5
    shape = (*pixels.shape[:2], *spatial) if spatial else (*pixels.shape[:2], 1)
    found = matched_components(
        xp.reshape(predicted, shape),
        xp.reshape(wanted, shape),
        connectivity=len(shape) - 2 if connectivity is None else connectivity,
        most=int(max_components),
        mean=reduction == "mean",
        backend=backend,
    )
    return Sweep(input, layout, pixels, [ConnectivityTerm(**found, reduction=reduction)], [1.0])
