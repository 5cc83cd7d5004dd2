"""Activations and elementary functions beside their twins of the same arguments.

Where the two natives agree up to rounding at every float, the stratified set is tried. Others saturate, overflow or
break off at other points than their twin, or take another slope at a kink or at NaN: they are tried where they are alike.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import Array, normals, uniforms


def positive() -> list[Array]:
    """Thirty binades on both sides of one."""
    return [np.exp(normals((1000,), scale=8)()[0])]


WIDE = normals((2000,), scale=4)
CENTRAL = uniforms(-1.5, 4, (1000,))  # no tail that one of the two loses

TRIED: list[tuple[str, Callable, Callable, Callable]] = [
    ("relu", torch.relu, jax.nn.relu, WIDE),
    ("relu6", F.relu6, jax.nn.relu6, WIDE),
    ("leaky-relu", lambda x: F.leaky_relu(x, 0.2), lambda x: jax.nn.leaky_relu(x, 0.2), WIDE),
    ("prelu", F.prelu, lambda x, a: jnp.where(x > 0, x, a[:, None] * x), normals((16, 8, 10), (8,))),
    ("hardtanh", F.hardtanh, jax.nn.hard_tanh, WIDE),
    ("hardsigmoid", F.hardsigmoid, jax.nn.hard_sigmoid, WIDE),
    ("hardswish", F.hardswish, jax.nn.hard_swish, WIDE),
    ("silu", F.silu, jax.nn.silu, WIDE),
    ("softplus", F.softplus, jax.nn.softplus, uniforms(-15, 15, (1000,))),
    ("softplus-beta", lambda x: F.softplus(x, beta=3), lambda x: jax.nn.softplus(3 * x) / 3, uniforms(-5, 5, (1000,))),
    ("mish", F.mish, jax.nn.mish, normals((1000,))),
    ("elu", lambda x: F.elu(x, 0.7), lambda x: jax.nn.elu(x, 0.7), CENTRAL),
    ("celu", lambda x: F.celu(x, 1.5), lambda x: jax.nn.celu(x, 1.5), CENTRAL),
    ("selu", F.selu, jax.nn.selu, CENTRAL),
    ("gelu-erf", F.gelu, lambda x: jax.nn.gelu(x, approximate=False), CENTRAL),
    ("gelu-tanh", lambda x: F.gelu(x, approximate="tanh"), jax.nn.gelu, normals((1000,))),
    ("glu", lambda x: F.glu(x, -1), lambda x: jax.nn.glu(x, -1), normals((20, 64), scale=3)),
    ("softshrink", F.softshrink, lambda x: jnp.sign(x) * jnp.maximum(jnp.abs(x) - 0.5, 0), WIDE),
    ("hardshrink", F.hardshrink, lambda x: jnp.where(jnp.abs(x) > 0.5, x, 0), WIDE),
    ("tanhshrink", F.tanhshrink, lambda x: x - jnp.tanh(x), normals((1000,), scale=2)),
    ("threshold", lambda x: F.threshold(x, 0.1, -3), lambda x: jnp.where(x > 0.1, x, -3), WIDE),
    ("squared-relu", lambda x: F.relu(x).square(), lambda x: jnp.square(jax.nn.relu(x)), WIDE),
    ("abs", torch.abs, jnp.abs, WIDE),
    ("floor-of-either-sign", torch.floor, jnp.floor, WIDE),
    ("log", torch.log, jnp.log, positive),
    ("sqrt", torch.sqrt, jnp.sqrt, positive),
    ("rsqrt", torch.rsqrt, jax.lax.rsqrt, positive),
    ("power", torch.pow, jnp.power, lambda: [*positive(), *normals((1000,), seed=1)()]),
    ("lgamma", torch.lgamma, jax.lax.lgamma, uniforms(3, 60, (500,))),
    ("atan2", torch.atan2, jnp.arctan2, normals((1000,), (1000,))),
    ("hypot", torch.hypot, jnp.hypot, normals((1000,), (1000,))),
]
EVERYWHERE: list[tuple[str, Callable, Callable]] = [
    ("sigmoid", torch.sigmoid, jax.nn.sigmoid),
    ("log-sigmoid", F.logsigmoid, jax.nn.log_sigmoid),
    ("tanh", torch.tanh, jnp.tanh),
    ("erf", torch.erf, jax.lax.erf),
    ("erfc", torch.erfc, jax.lax.erfc),
    ("exp", torch.exp, jnp.exp),
    ("expm1", torch.expm1, jnp.expm1),
    ("log1p", torch.log1p, jnp.log1p),
    ("sin", torch.sin, jnp.sin),
    ("cos", torch.cos, jnp.cos),
    ("atan", torch.atan, jnp.arctan),
    ("asinh", torch.asinh, jnp.arcsinh),
    ("square", torch.square, jnp.square),
    ("round-half-to-even", torch.round, jnp.round),
    ("nan-to-num", lambda x: torch.nan_to_num(x, 0, 1, -1), lambda x: jnp.nan_to_num(x, nan=0, posinf=1, neginf=-1)),
]
APART = ("asinh", "erf", "erfc", "expm1")
"""Of these JAX 0.12 has other gradients; until then they have the faults of torch's."""
SMOOTH: list[tuple[str, Callable, Callable, Callable]] = [
    ("sigmoid", torch.sigmoid, jax.nn.sigmoid, WIDE),
    ("silu", F.silu, jax.nn.silu, normals((1000,), scale=2)),
    ("gelu-tanh", lambda x: F.gelu(x, approximate="tanh"), jax.nn.gelu, normals((1000,))),
    ("softplus", F.softplus, jax.nn.softplus, normals((1000,), scale=2)),
    ("erf", torch.erf, jax.lax.erf, normals((1000,))),
    ("log", torch.log, jnp.log, positive),
]

PAIRS = [
    *(Pair(f"{name}-natives", torch_fn, jax_fn, make) for name, torch_fn, jax_fn, make in TRIED),
    *(
        Pair(f"{name}-natives-everywhere", torch_fn, jax_fn, versions={"jax": "<0.12"} if name in APART else {})
        for name, torch_fn, jax_fn in EVERYWHERE
    ),
    *(Pair(f"{name}-natives-to-second-order", *functions, order=2) for name, *functions in SMOOTH),
    Pair("is-nan-everywhere", torch.isnan, jnp.isnan, order=0),
]
