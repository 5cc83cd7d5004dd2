"""Unusual arguments and results: scalars, nothing at all, views, arguments without a gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from pairs.records import Pair
from pairs.seeded import integers, normals

PAIRS = [
    Pair("scalars", lambda x, y: torch.exp(x) / y, lambda x, y: jnp.exp(x) / y, lambda: [np.float32(0.3), np.float32(-7)]),
    Pair("one-element", lambda x: x.softmax(0), lambda x: jax.nn.softmax(x, 0), normals((1,))),
    Pair("the-argument-itself", lambda x: x, lambda x: x, normals((50,))),
    Pair("result-twice", lambda x: (x.sin(),) * 2, lambda x: [jnp.sin(x), jnp.sin(x)], normals((50,))),
    Pair("view-transposed", lambda x: x.T[::2], lambda x: jnp.transpose(x)[::2], normals((6, 8))),
    Pair("expanded-and-summed", lambda x: (x.expand(64, 50) * 1.1).sum(0), lambda x: 70.4 * x, normals((50,))),
    Pair(
        "broadcast",
        lambda x, y: x[:, None] / (1 + y * y),
        lambda x, y: jnp.outer(x, 1 / (1 + y * y)),
        normals((20,), (30,)),
        order=2,
    ),
    Pair("argument-unused", lambda x, y: x.cos(), lambda x, y: jnp.cos(x), normals((50,), (20,))),
    Pair("argument-times-zero", lambda x, y: x + 0 * y, lambda x, y: x, normals((50,), (50,))),
    Pair(
        "result-constant",
        lambda x: (x.exp(), torch.ones(3, dtype=x.dtype)),
        lambda x: (jnp.exp(x), jnp.ones(3, x.dtype)),
        normals((50,)),
    ),
    Pair(
        "detached-alike",
        lambda x: x * torch.sigmoid(x).detach(),
        lambda x: x * jax.lax.stop_gradient(jax.nn.sigmoid(x)),
        normals((200,)),
    ),
    Pair(
        "integers-through-floats",
        lambda n: torch.sqrt(n.float()),
        lambda n: jnp.sqrt(n.astype(jnp.float32)),
        lambda: [integers(1000, 50)],
        order=0,
    ),
    Pair(
        "gradient-of-one-argument",
        lambda x, w: torch.relu(x @ w),
        lambda x, w: jnp.maximum(x @ w, 0),
        normals((20, 8), (8, 5)),
        options={"wrt": 1},
    ),
    Pair(
        "weights-of-zero",
        lambda x, w: torch.tanh(x @ w),
        lambda x, w: jnp.tanh(jnp.einsum("ij,jk->ik", x, w)),
        lambda: [*normals((20, 8))(), np.zeros((8, 5), np.float32)],
    ),
    Pair("in-place-on-a-copy", lambda x: x.clone().mul_(2).add_(1).sin_(), lambda x: jnp.sin(2 * x + 1), normals((50,))),
    Pair(
        "written-into",
        lambda x: torch.zeros_like(x).index_fill(0, torch.arange(3), 2.0) + x,
        lambda x: x.at[:3].add(2),
        normals((9, 4)),
    ),
]
