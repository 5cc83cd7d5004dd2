"""How modules of flax.nnx get torch's weights."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from zoo.architecture import State, part
from zoo.plain import conv_of, conv_transpose_of, linear_of

RNGS = nnx.Rngs(0)
"""Of the initial weights, all of which are replaced."""


def carried(module: Any, **arrays: Any) -> Any:
    """The module with these arrays as its weights."""
    for name, value in arrays.items():
        variable = getattr(module, name)
        setattr(module, name, type(variable)(jnp.asarray(value)))
    return module


def kernel(own: Any) -> dict[str, Any]:
    """What is a weight elsewhere is called a kernel in flax."""
    return {"kernel": own["weight"], **({"bias": own["bias"]} if "bias" in own else {})}


def linear(state: State, path: str) -> Any:
    own = linear_of(state, path)
    return carried(nnx.Linear(*own["weight"].shape, use_bias="bias" in own, rngs=RNGS), **kernel(own))


def conv(state: State, path: str, stride: int = 1, padding: int = 0) -> Any:
    own = conv_of(state, path)
    *size, inputs, outputs = own["weight"].shape
    module = nnx.Conv(inputs, outputs, size, stride, padding=padding, use_bias="bias" in own, rngs=RNGS)
    return carried(module, **kernel(own))


def conv_transpose(state: State, path: str, stride: int, padding: int) -> Any:
    own = conv_transpose_of(state, path)
    *size, inputs, outputs = own["weight"].shape
    module = nnx.ConvTranspose(inputs, outputs, size, stride, padding=padding, rngs=RNGS)
    return carried(module, **kernel(own))


def embed(state: State, path: str) -> Any:
    """Unlike other layers of flax, it computes in the dtype that it was made with."""
    table = part(state, path)["weight"]
    return carried(nnx.Embed(*table.shape, param_dtype=table.dtype, rngs=RNGS), embedding=table)


def layer_norm(state: State, path: str, eps: float = 1e-5) -> Any:
    """Flax's own epsilon is 1e-6."""
    own = part(state, path)
    return carried(nnx.LayerNorm(len(own["bias"]), epsilon=eps, rngs=RNGS), scale=own["weight"], bias=own["bias"])


def group_norm(state: State, path: str, groups: int, eps: float = 1e-5) -> Any:
    own = part(state, path)
    module = nnx.GroupNorm(len(own["bias"]), groups, epsilon=eps, rngs=RNGS)
    return carried(module, scale=own["weight"], bias=own["bias"])


def batch_norm(state: State, path: str, eps: float = 1e-5) -> Any:
    own = part(state, path)
    module = nnx.BatchNorm(len(own["bias"]), use_running_average=True, epsilon=eps, rngs=RNGS)
    return carried(module, scale=own["weight"], bias=own["bias"], mean=own["running_mean"], var=own["running_var"])


def multihead(state: State, path: str, heads: int) -> Any:
    """Flax folds the heads into the shapes of the weights: (in, head, feature), and (head, feature, out) at the end."""
    own = part(state, path)
    width = own["in_proj_weight"].shape[1]
    module = nnx.MultiHeadAttention(heads, width, dropout_rate=0.0, decode=False, rngs=RNGS)
    weights, biases = np.split(own["in_proj_weight"], 3), np.split(own["in_proj_bias"], 3)
    for layer, weight, bias in zip((module.query, module.key, module.value), weights, biases, strict=True):
        carried(layer, kernel=weight.T.reshape(width, heads, -1), bias=bias.reshape(heads, -1))
    carried(module.out, kernel=own["out_proj.weight"].T.reshape(heads, -1, width), bias=own["out_proj.bias"])
    return module
