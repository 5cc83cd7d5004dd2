"""Layers as plain functions of a dict of arrays, and how each gets torch's weights.

Matrices are (in, out), kernels are (height, width, in, out), images have their channels last.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo.architecture import State, part

Array = Any
Params = Mapping[str, Any]


# torch's weights in JAX's layout


def as_arrays(values: Mapping[str, np.ndarray]) -> dict[str, Array]:
    return {name: jnp.asarray(value) for name, value in values.items()}


def linear_of(state: State, path: str) -> Params:
    """torch's matrix is (out, in)."""
    own = part(state, path)
    return as_arrays(own | {"weight": own["weight"].T})


def conv_of(state: State, path: str) -> Params:
    """torch's kernel is (out, in, height, width)."""
    own = part(state, path)
    return as_arrays(own | {"weight": own["weight"].transpose(2, 3, 1, 0)})


def conv_transpose_of(state: State, path: str) -> Params:
    """torch's kernel is (in, out, height, width), and is the kernel of the convolution whose transpose it takes: flipped."""
    own = part(state, path)
    return as_arrays(own | {"weight": own["weight"].transpose(2, 3, 0, 1)[::-1, ::-1]})


def norm_of(state: State, path: str) -> Params:
    return as_arrays(part(state, path))


def batch_norm_of(state: State, path: str) -> Params:
    own = part(state, path)
    return as_arrays({"scale": own["weight"], "bias": own["bias"], "mean": own["running_mean"], "var": own["running_var"]})


def multihead_of(state: State, path: str) -> Params:
    """torch's ``nn.MultiheadAttention`` joins the three projections of its input in one."""
    own = part(state, path)
    weights, biases = np.split(own["in_proj_weight"], 3), np.split(own["in_proj_bias"], 3)
    projections = {
        name: as_arrays({"weight": weight.T, "bias": bias})
        for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True)
    }
    return {**projections, "out": linear_of(own, "out_proj")}


def flattened_linear_of(state: State, path: str, channels: int, height: int, width: int) -> Params:
    """A matrix that follows a flatten of images: torch's rows are in the order (channel, height, width)."""
    own = part(state, path)
    rows = own["weight"].reshape(-1, channels, height, width).transpose(2, 3, 1, 0)
    return as_arrays(own | {"weight": rows.reshape(height * width * channels, -1)})


# layers


def linear(p: Params, x: Array) -> Array:
    y = x @ p["weight"]
    return y + p["bias"] if "bias" in p else y


def gelu(x: Array) -> Array:
    """As torch has it, with erf; JAX's own default is the one with tanh."""
    return jax.nn.gelu(x, approximate=False)


def layer_norm(p: Params, x: Array, *, eps: float = 1e-5, axis: int = -1) -> Array:
    mean = x.mean(axis, keepdims=True)
    centred = x - mean
    variance = (centred**2).mean(axis, keepdims=True)
    return centred * lax.rsqrt(variance + eps) * p["weight"] + p["bias"]


def rms_norm(p: Params, x: Array, *, eps: float = 1e-6) -> Array:
    return x * lax.rsqrt((x**2).mean(-1, keepdims=True) + eps) * p["weight"]


def batch_norm(p: Params, x: Array, *, eps: float = 1e-5) -> Array:
    """In evaluation: by the running statistics."""
    return (x - p["mean"]) * (lax.rsqrt(p["var"] + eps) * p["scale"]) + p["bias"]


def batch_norm_train(
    p: Params, x: Array, *, eps: float = 1e-5, momentum: float = 0.1, unbiased: bool = True
) -> tuple[Array, Params]:
    """In training: by the statistics of the batch. Also gives the parameters with the running statistics moved on.

    torch's momentum is the share of the new; it divides by n to normalise, and by n - 1 for the running variance.
    """
    axes = tuple(range(x.ndim - 1))
    mean, var = x.mean(axes), x.var(axes)
    y = (x - mean) * lax.rsqrt(var + eps) * p["scale"] + p["bias"]
    count = x.size // x.shape[-1]
    running = var * (count / (count - 1)) if unbiased else var
    moved = {
        "mean": (1 - momentum) * p["mean"] + momentum * mean,
        "var": (1 - momentum) * p["var"] + momentum * running,
    }
    return y, {**p, **moved}


def conv(p: Params, x: Array, *, stride: int = 1, padding: Any = 0) -> Array:
    """The padding is a number for all sides, or JAX's: "SAME", or pairs."""
    pads = [(padding, padding)] * 2 if isinstance(padding, int) else padding
    y = lax.conv_general_dilated(x, p["weight"], (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + p["bias"] if "bias" in p else y


def conv_transpose(p: Params, x: Array, *, stride: int = 2, padding: int = 0) -> Array:
    kernel = p["weight"]
    pads = [(size - 1 - padding, size - 1 - padding) for size in kernel.shape[:2]]
    y = lax.conv_general_dilated(x, kernel, (1, 1), pads, (stride, stride), dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + p["bias"]


def average_pool(x: Array, size: int, stride: int, padding: int = 0, *, count_padding: bool = True) -> Array:
    """torch counts the padding unless told not to."""
    window = ((1, size, size, 1), (1, stride, stride, 1), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    total = lax.reduce_window(x, 0.0, lax.add, *window)
    if count_padding:
        return total / size**2
    return total / lax.reduce_window(jnp.ones_like(x), 0.0, lax.add, *window)


def max_pool(x: Array, size: int) -> Array:
    sizes = (1, size, size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, sizes, sizes, "VALID")


def embedding(p: Params, ids: Array) -> Array:
    return p["weight"][ids]


def split_heads(x: Array, heads: int) -> Array:
    """(batch, token, feature) to (batch, token, head, feature): the head is the slow part, as in torch."""
    return x.reshape(*x.shape[:-1], heads, -1)


def merge_heads(x: Array) -> Array:
    return x.reshape(*x.shape[:-2], -1)


def softmax_attention(
    q: Array, k: Array, v: Array, mask: Array | None = None, *, scale: float | None = None, axis: int = -1
) -> Array:
    """Of (batch, token, head, feature); the mask is true where a key is seen, (batch, head, query, key) by broadcasting."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * scale
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, axis), v)


def multihead(
    p: Params,
    x: Array,
    mask: Array | None,
    heads: int,
    *,
    attention: Callable[..., Array] = softmax_attention,
    split: Callable[[Array, int], Array] = split_heads,
) -> Array:
    q, k, v = (split(linear(p[name], x), heads) for name in ("query", "key", "value"))
    return linear(p["out"], merge_heads(attention(q, k, v, mask)))
