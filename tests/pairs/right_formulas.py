"""One function by two formulas that are equal on paper, neither of which loses digits where it is tried."""

import math

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals, uniforms

NEAR = normals((1000,))
POLYNOMIAL = (0.3, -1.2, 0.7, 2.1, -0.4, 0.9)


def torch_horner(x):
    y = torch.zeros_like(x)
    for c in reversed(POLYNOMIAL):
        y = y * x + c
    return y


def jax_powers(x):
    return sum(c * x**k for k, c in enumerate(POLYNOMIAL))


def torch_rational_tanh(x):
    y = torch.exp(2 * x)
    return (y - 1) / (y + 1)


PAIRS = [
    Pair("sigmoid-by-tanh", torch.sigmoid, lambda x: 0.5 * (1 + jnp.tanh(x / 2)), NEAR),
    Pair("sigmoid-by-softmax", torch.sigmoid, lambda x: jax.nn.softmax(jnp.stack([x, 0 * x]), 0)[0], NEAR),
    Pair("tanh-by-exponentials", torch_rational_tanh, jnp.tanh, uniforms(0.5, 3, (1000,))),
    Pair("softplus-by-logaddexp", F.softplus, lambda x: jnp.logaddexp(x, 0), normals((1000,), scale=3)),
    Pair("softplus-by-log-of-sum", lambda x: torch.log(1 + torch.exp(x)), jax.nn.softplus, uniforms(-1, 20, (1000,))),
    Pair(
        "gelu-by-erf-both-sides",
        F.gelu,
        lambda x: 0.5 * x * (1 + jax.lax.erf(x / math.sqrt(2))),
        normals((1000,), scale=2),
    ),
    Pair(
        "gelu-tanh-by-sigmoid",
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: x * jax.nn.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
        uniforms(-1, 3, (1000,)),
    ),
    Pair("swish-by-hand", F.silu, lambda x: x / (1 + jnp.exp(-x)), normals((1000,), scale=3)),
    Pair("reciprocal-root", torch.rsqrt, lambda x: 1 / jnp.sqrt(x), uniforms(0.01, 100, (1000,))),
    Pair("power-by-logarithm", lambda x: x**1.7, lambda x: jnp.exp(1.7 * jnp.log(x)), uniforms(0.01, 100, (1000,))),
    Pair("cube-by-product", lambda x: x**3, lambda x: x * x * x, NEAR, order=2),
    Pair("polynomial-horner-powers", torch_horner, jax_powers, NEAR, order=2),
    Pair("double-angle", lambda x: torch.sin(2 * x), lambda x: 2 * jnp.sin(x) * jnp.cos(x), NEAR, order=2),
    Pair(
        "product-of-exponentials",
        lambda x, y: torch.exp(x + y),
        lambda x, y: jnp.exp(x) * jnp.exp(y),
        normals((500,), (500,)),
    ),
    Pair("division-by-reciprocal", lambda x: x / 3, lambda x: x * (1 / 3), NEAR),
    Pair("constant-of-another-precision", lambda x: x * 0.1, lambda x: x * jnp.float32(0.1).astype(x.dtype), NEAR),
    Pair(
        "square-of-sum-expanded",
        lambda x, y: (x + y) ** 2,
        lambda x, y: x * x + 2 * x * y + y * y,
        uniforms(1, 2, (500,), (500,)),
    ),
]
