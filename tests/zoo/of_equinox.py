"""How modules of equinox get torch's weights; they take one example, without the batch."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from zoo.architecture import State, part

KEY = jax.random.key(0)
"""Of the initial weights, all of which are replaced."""


def carried(module: Any, **arrays: Any) -> Any:
    """The module with these arrays as its weights."""
    names = list(arrays)
    return eqx.tree_at(
        lambda layer: [getattr(layer, name) for name in names], module, [jnp.asarray(value) for value in arrays.values()]
    )


def linear(state: State, path: str) -> Any:
    """Equinox keeps torch's layout."""
    own = part(state, path)
    outputs, inputs = own["weight"].shape
    return carried(eqx.nn.Linear(inputs, outputs, use_bias="bias" in own, key=KEY), **own)


def layer_norm(state: State, path: str, eps: float = 1e-5) -> Any:
    own = part(state, path)
    return carried(eqx.nn.LayerNorm(own["weight"].shape, eps=eps), **own)


def of_images(own: State) -> State:
    """The bias of a convolution has the axes of the image."""
    return {name: value[:, None, None] if name == "bias" else value for name, value in own.items()}


def conv(state: State, path: str, stride: int = 1, padding: int = 0) -> Any:
    own = part(state, path)
    outputs, inputs, *size = own["weight"].shape
    module = eqx.nn.Conv2d(inputs, outputs, size, stride, padding, use_bias="bias" in own, key=KEY)
    return carried(module, **of_images(own))


def conv_transpose(state: State, path: str, stride: int, padding: int) -> Any:
    """torch's kernel is (in, out, height, width), and is the kernel of the convolution whose transpose it takes: flipped."""
    own = part(state, path)
    kernel = own["weight"].swapaxes(0, 1)[..., ::-1, ::-1]
    outputs, inputs, *size = kernel.shape
    module = eqx.nn.ConvTranspose2d(inputs, outputs, size, stride, padding=padding, key=KEY)
    return carried(module, **of_images({**own, "weight": kernel}))


def group_norm(state: State, path: str, groups: int) -> Any:
    own = part(state, path)
    return carried(eqx.nn.GroupNorm(groups, len(own["bias"])), **own)


def rms_norm(state: State, path: str, eps: float) -> Any:
    own = part(state, path)
    return carried(eqx.nn.RMSNorm(own["weight"].shape, eps, use_bias=False), **own)


def stacked(modules: Sequence[Any]) -> Any:
    """Modules that are alike as one, whose arrays have an axis more, as equinox makes them by ``filter_vmap``."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0], *modules)
