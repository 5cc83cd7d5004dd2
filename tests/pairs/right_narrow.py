"""The 16-bit dtypes, where rounding is seen with the naked eye, and float64, where it is not."""

import math

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.right_attention import jax_attention, jax_rotary_halves, torch_rotary_halves
from pairs.right_convolutions import conv
from pairs.right_losses import classes, jax_cross_entropy, torch_cross_entropy
from pairs.right_norms import jax_layer_norm, torch_layer_norm
from pairs.right_recurrent import cell, jax_gru, jax_logistic, torch_gru, torch_logistic
from pairs.seeded import normals, shuffled, uniforms

NEAR = normals((1000,))


def jax_rms(x, w):
    """In float32 inside, as models of language do it."""
    y = x.astype(jnp.float32)
    return (y * jax.lax.rsqrt(jnp.mean(y * y, -1, keepdims=True) + 1e-6)).astype(x.dtype) * w


def torch_rms(x, w):
    y = x.float()
    return (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype) * w


def torch_mlp(x, a, b):
    return F.silu(x @ a) @ b


def jax_mlp(x, a, b):
    return jnp.einsum("nh,hd->nd", jax.nn.silu(x @ a), b)


IN_EACH = [
    ("sigmoid", torch.sigmoid, jax.nn.sigmoid, NEAR),
    ("tanh", torch.tanh, jnp.tanh, NEAR),
    ("silu", F.silu, jax.nn.silu, NEAR),
    ("gelu-tanh", lambda x: F.gelu(x, approximate="tanh"), jax.nn.gelu, uniforms(-0.5, 4, (1000,))),
    ("relu", torch.relu, jax.nn.relu, NEAR),
    ("softplus", F.softplus, jax.nn.softplus, NEAR),
    ("exp", torch.exp, jnp.exp, NEAR),
    ("softmax", lambda x: torch.softmax(x, 1), lambda x: jax.nn.softmax(x, 1), normals((20, 30))),
    ("log-softmax", lambda x: torch.log_softmax(x, 1), lambda x: jax.nn.log_softmax(x, 1), normals((20, 30))),
    ("sum", lambda x: x.sum(1), lambda x: jnp.sum(x, 1), normals((20, 200))),
    ("mean-shifted", lambda x: x.mean(1), lambda x: jnp.mean(x, 1), normals((20, 200), shift=3)),
    ("matmul", torch.matmul, jnp.matmul, normals((16, 64), (64, 12))),
    ("mlp", torch_mlp, jax_mlp, normals((10, 16), (16, 32), (32, 8), scale=0.5)),
    ("layer-norm", torch_layer_norm, jax_layer_norm, normals((12, 32), (32,), (32,))),
    ("rms-norm-in-float32", torch_rms, jax_rms, normals((12, 32), (32,))),
    ("attention", F.scaled_dot_product_attention, jax_attention, normals(*((2, 2, 6, 8),) * 3)),
    ("conv2d", F.conv2d, conv, normals((1, 3, 6, 6), (4, 3, 3, 3))),
    ("cross-entropy", torch_cross_entropy, jax_cross_entropy, classes()),
    ("scaled-by-tenth", lambda x: 0.1 * x + 0.3, lambda x: 0.1 * x + 0.3, NEAR),
    ("maximum-of-rows", lambda x: x.amax(1), lambda x: jnp.max(x, 1), lambda: [shuffled(8, 20)]),
]

PAIRS = [
    *(
        Pair(f"{name}-in-{dtype}", torch_fn, jax_fn, make, dtype=dtype)
        for name, torch_fn, jax_fn, make in IN_EACH
        for dtype in ("bfloat16", "float16")
    ),
    Pair("sigmoid-at-every-bfloat16", torch.sigmoid, jax.nn.sigmoid, dtype="bfloat16", order=0),
    Pair("tanh-at-every-float16", torch.tanh, jnp.tanh, dtype="float16", order=0),
    Pair("rotary-in-bfloat16", torch_rotary_halves, jax_rotary_halves, normals((2, 4, 16)), dtype="bfloat16"),
    Pair("gru-cell-in-bfloat16", torch_gru, jax_gru, cell(3), dtype="bfloat16"),
    Pair(
        "sum-in-float32-in-bfloat16",
        lambda x: x.float().sum(),
        lambda x: jnp.sum(x, dtype=jnp.float32),
        NEAR,
        dtype="bfloat16",
    ),
    Pair("sigmoid-in-float64", torch.sigmoid, jax.nn.sigmoid, dtype="float64"),
    Pair("erf-in-float64", torch.erf, jax.lax.erf, NEAR, dtype="float64", order=2),
    Pair(
        "layer-norm-in-float64", torch_layer_norm, jax_layer_norm, normals((12, 32), (32,), (32,), shift=30), dtype="float64"
    ),
    Pair(
        "attention-in-float64", F.scaled_dot_product_attention, jax_attention, normals(*((2, 2, 6, 8),) * 3), dtype="float64"
    ),
    Pair("logistic-map-in-float64", torch_logistic, jax_logistic, uniforms(0.1, 0.9, (50,)), dtype="float64"),
    Pair(
        "solve-in-float64",
        torch.linalg.solve,
        lambda a, b: jnp.linalg.inv(a) @ b,
        normals((6, 6), (6,)),
        dtype="float64",
    ),
    Pair(
        "matmul-in-float64", torch.matmul, lambda a, b: (b.T @ a.T).T, normals((16, 64), (64, 12)), dtype="float64", order=2
    ),
    Pair(
        "gelu-in-float64",
        F.gelu,
        lambda x: 0.5 * x * (1 + jax.lax.erf(x / math.sqrt(2))),
        NEAR,
        dtype="float64",
        order=2,
    ),
]
