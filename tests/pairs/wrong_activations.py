"""Activations that share a name and not a formula, and two that only an exact definition can tell apart."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals, uniforms

values = normals((256,), scale=2)


def grid() -> list[Any]:
    return [np.linspace(-4, 4, 128, dtype=np.float32)]


def differs(name: str, torch_fn: Any, jax_fn: Any, **rest: Any) -> Pair:
    """Another function on the same inputs; nothing says which of the two was meant."""
    return Pair(name, torch_fn, jax_fn, rest.pop("make", values), passes=False, cause="definition", **rest)


def gelu_by_erf(m: Any, x: Any) -> Any:
    return x * (1 + m.erf(x / m.sqrt(2))) / 2


def softplus(m: Any, x: Any) -> Any:
    return m.log(1 + m.exp(x))


def sigmoid(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def gelu_tanh(x: Any, root: float = 0.7978845608028654, cubic: float = 0.044715) -> Any:
    return 0.5 * x * (1 + jnp.tanh(root * (x + cubic * x**3)))


PAIRS = [
    differs("gelu-erf-against-tanh", F.gelu, jax.nn.gelu),
    differs("gelu-tanh-against-erf", lambda x: F.gelu(x, approximate="tanh"), lambda x: jax.nn.gelu(x, approximate=False)),
    differs("gelu-erf-against-quick", F.gelu, lambda x: x * jax.nn.sigmoid(1.702 * x)),
    differs("gelu-quick-of-two-digits", lambda x: x * torch.sigmoid(1.702 * x), lambda x: x * jax.nn.sigmoid(1.7 * x)),
    differs("gelu-erf-against-tanh-second-derivative", F.gelu, jax.nn.gelu, order=2),
    differs("gelu-erf-against-tanh-float64", F.gelu, jax.nn.gelu, dtype="float64"),
    differs(
        "gelu-tanh-cubic-coefficient-short", lambda x: F.gelu(x, approximate="tanh"), lambda x: gelu_tanh(x, cubic=0.0447)
    ),
    differs("gelu-tanh-root-of-two-over-pi-short", lambda x: F.gelu(x, approximate="tanh"), lambda x: gelu_tanh(x, 0.79788)),
    differs("hard-sigmoid-sixth-against-fifth", F.hardsigmoid, lambda x: jnp.clip(0.2 * x + 0.5, 0, 1)),
    differs("hard-swish-of-fifth", F.hardswish, lambda x: x * jnp.clip(0.2 * x + 0.5, 0, 1)),
    differs("leaky-relu-slope-hundredth-against-fifth", F.leaky_relu, lambda x: jax.nn.leaky_relu(x, 0.2)),
    differs(
        "leaky-relu-slope-fifth-against-two-elevenths",
        lambda x: F.leaky_relu(x, 0.2),
        lambda x: jax.nn.leaky_relu(x, 1 / 5.5),
    ),
    differs("elu-alpha", lambda x: F.elu(x, alpha=1.0), lambda x: jax.nn.elu(x, 1.5)),
    differs("celu-against-elu", lambda x: F.celu(x, alpha=0.5), lambda x: jax.nn.elu(x, 0.5)),
    differs("selu-constants-of-four-digits", F.selu, lambda x: 1.0507 * jnp.where(x > 0, x, 1.6733 * jnp.expm1(x))),
    differs("silu-against-swish-of-beta", F.silu, lambda x: x * jax.nn.sigmoid(1.1 * x)),
    differs("softplus-of-beta", lambda x: F.softplus(x, beta=2), lambda x: jax.nn.softplus(2 * x)),
    differs("softplus-linear-above-5", lambda x: F.softplus(x, threshold=5), jax.nn.softplus, make=uniforms(-8, 8, (256,))),
    differs("softplus-linear-above-20-float64", F.softplus, jax.nn.softplus, make=uniforms(18, 26, (256,)), dtype="float64"),
    differs("relu6-against-relu", F.relu6, jax.nn.relu, make=normals((256,), scale=4)),
    differs("log-sigmoid-in-base-two", F.logsigmoid, lambda x: jnp.log2(jax.nn.sigmoid(x))),
    differs("softshrink-against-hardshrink", F.softshrink, lambda x: jnp.where(jnp.abs(x) > 0.5, x, 0)),
    differs("prelu-slope-squared", F.prelu, lambda x, slope: jnp.where(x > 0, x, slope**2 * x), make=normals((64,), (1,))),
    differs("glu-halves-swapped", F.glu, lambda x: jax.nn.sigmoid(x[..., :8]) * x[..., 8:], make=normals((16, 16))),
    differs("glu-interleaved", F.glu, lambda x: x[..., ::2] * jax.nn.sigmoid(x[..., 1::2]), make=normals((16, 16))),
    differs("sigmoid-of-half-bfloat16", torch.sigmoid, lambda x: jax.nn.sigmoid(x / 2), dtype="bfloat16"),
    differs("gelu-erf-against-quick-float16", F.gelu, lambda x: x * jax.nn.sigmoid(1.702 * x), dtype="float16"),
    differs(
        "gelu-erf-known-against-tanh", F.gelu, jax.nn.gelu, make=grid, side="jax", order=0, options={"exact": gelu_by_erf}
    ),
    differs(
        "gelu-tanh-against-known-erf",
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: jax.nn.gelu(x, approximate=False),
        make=grid,
        side="torch",
        options={"exact": gelu_by_erf},
    ),
    differs(
        "softplus-known-linear-above-5",
        lambda x: F.softplus(x, threshold=5),
        jax.nn.softplus,
        make=uniforms(-8, 8, (128,)),
        side="torch",
        options={"exact": softplus},
    ),
    differs(
        "sigmoid-known-against-hard", torch.sigmoid, jax.nn.hard_sigmoid, make=grid, side="jax", options={"exact": sigmoid}
    ),
    differs(
        "leaky-relu-slope-hundredth-against-fifth-everywhere",
        F.leaky_relu,
        lambda x: jax.nn.leaky_relu(x, 0.2),
        make=lambda: None,
    ),
    differs("sigmoid-scaled-everywhere", torch.sigmoid, lambda x: jax.nn.sigmoid(1.702 * x), make=lambda: None),
]
