"""How the tests of loss presets draw batches, call peers and compare with them."""

import numpy as np
from hypothesis import strategies as st

import arrayseg
from arrayseg import compat
from arrayseg.compat._preset import LossPreset

#: Sizes of a drawn batch: images, classes, height, width. Few, as JAX compiles for each.
SIZES = st.sampled_from([(2, 3, 4, 5), (1, 5, 7, 3), (3, 2, 2, 6)])


def drawn_batch(data):
    """A batch of drawn size with labels, in which a class may be absent, and logits that may be confident."""
    images, classes, *space = data.draw(SIZES, label="size")
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    scale = data.draw(st.sampled_from([0.1, 1.0, 4.0]), label="scale")
    present = data.draw(st.integers(1, classes), label="classes present")
    return scale * generator.normal(size=(images, classes, *space)), generator.integers(0, present, (images, *space))


def torch_value_and_gradient(peer, input, target, dtype=None):
    """What a torch peer returns, and its gradient."""
    import torch

    input = torch.tensor(input, requires_grad=True, dtype=dtype)
    value = peer(input, torch.tensor(target))
    (gradient,) = torch.autograd.grad(value, input)
    return value.item(), gradient.numpy()


def jax_value_and_gradient(peer, input, target):
    """What a JAX peer returns, and its gradient."""
    import jax
    import jax.numpy as jnp

    value, gradient = jax.value_and_grad(peer)(jnp.asarray(input), jnp.asarray(target))
    return float(value), np.asarray(gradient)


def presets_of(name):
    """The loss presets of a module by the peer's name."""
    presets = [each for each in vars(getattr(compat, name)).values() if isinstance(each, LossPreset)]
    return {preset.peer.rpartition(".")[2]: preset for preset in presets}


def assert_same(preset, options, input, target, expected, *, rtol=1e-9):
    """The preset's value and gradient, on NumPy, against the peer's."""
    value, gradient = arrayseg.value_and_grad(preset)(input, target, **options)
    peer_value, peer_gradient = expected
    np.testing.assert_allclose(value, peer_value, rtol=rtol, atol=rtol)
    scale = np.max(np.abs(peer_gradient), initial=1e-9)
    np.testing.assert_allclose(gradient / scale, peer_gradient / scale, rtol=rtol, atol=10 * rtol)
