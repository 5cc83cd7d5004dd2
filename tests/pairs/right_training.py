"""Steps of optimisers, schedules and other updates of parameters, and gradients taken inside a function."""

import math

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import Array, normals, uniforms


def moments() -> list[Array]:
    """Parameters, a gradient, the first moment, and the second, which is positive."""
    return [*normals((200,), (200,), (200,))(), *uniforms(0.01, 1, (200,))()]


def torch_adam(p, g, m, v):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return p - 1e-3 * (m / (1 - 0.9**5)) / ((v / (1 - 0.999**5)).sqrt() + 1e-8), m, v


def jax_adam(p, g, m, v):
    m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
    size = 1e-3 * math.sqrt(1 - 0.999**5) / (1 - 0.9**5)
    return p - size * m / (jnp.sqrt(v) + 1e-8 * math.sqrt(1 - 0.999**5)), m, v


def torch_adamw(p, g):
    """A first step of the optimiser itself, on copies."""
    p = torch.nn.Parameter(p.detach().clone())
    p.grad = g.detach().clone()
    torch.optim.AdamW([p], lr=1e-2, weight_decay=0.1).step()
    return p.detach()


def jax_adamw(p, g):
    return p * (1 - 1e-2 * 0.1) - 1e-2 * g / (jnp.abs(g) + 1e-8)


def torch_momentum(p, g, m):
    m = 0.9 * m + g
    return p - 0.1 * (g + 0.9 * m), m


def jax_momentum(p, g, m):
    return p - 0.1 * (1.9 * g + 0.81 * m), g + 0.9 * m


def torch_clipped(a, b):
    norm = torch.cat([a.flatten(), b.flatten()]).norm()
    scale = (1 / (norm + 1e-6)).clamp(max=1)
    return a * scale, b * scale


def jax_clipped(a, b):
    norm = jnp.sqrt(jnp.sum(a * a) + jnp.sum(b * b))
    return tuple(x * jnp.minimum(1, 1 / (norm + 1e-6)) for x in (a, b))


def torch_muon(g):
    """Newton and Schulz's iteration towards the nearest orthogonal matrix."""
    x = g / (g.norm() + 1e-7)
    for _ in range(3):
        a = x @ x.T
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x


def jax_muon(g):
    x = g / (jnp.linalg.norm(g) + 1e-7)
    for _ in range(3):
        a = x.T @ x
        x = 3.4445 * x + x @ (-4.775 * a + 2.0315 * a @ a)
    return x


def torch_inner(w, x, y):
    """Parameters after two steps of gradient descent, through which the outer gradient goes."""
    for _ in range(2):
        w = w - 0.1 * torch.func.grad(lambda w: F.mse_loss(torch.tanh(x @ w), y))(w)
    return w


def jax_inner(w, x, y):
    for _ in range(2):
        p = jnp.tanh(x @ w)
        w = w - 0.1 * x.T @ (2 / y.size * (p - y) * (1 - p * p))
    return w


def torch_penalty(x, w):
    """A penalty on the slope of a critic, which is written out here and taken by JAX below."""
    slope = (1 - torch.tanh(x @ w) ** 2)[:, None] * w
    return ((slope.norm(dim=1) - 1) ** 2).mean()


def jax_penalty(x, w):
    g = jax.vmap(jax.grad(lambda row: jnp.tanh(row @ w)))(x)
    return jnp.mean((jnp.linalg.norm(g, axis=1) - 1) ** 2)


def torch_schedule(t):
    warm = t / 100
    decayed = 0.5 * (1 + torch.cos(math.pi * (t - 100) / 900))
    return torch.where(t < 100, warm, decayed)


def jax_schedule(t):
    return jnp.where(t < 100, 0.01 * t, jnp.cos(math.pi / 2 * (t - 100) / 900) ** 2)


def torch_quantised(x):
    """A rounding with the gradient of the identity."""
    scale = x.detach().abs().max() / 127
    return x + (torch.round(x / scale) * scale - x).detach()


def jax_quantised(x):
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(x)) / 127)
    return x + jax.lax.stop_gradient(jnp.round(x / scale) * scale - x)


PAIRS = [
    Pair("adam-step", torch_adam, jax_adam, moments),
    Pair("adamw-first-step", torch_adamw, jax_adamw, normals((200,), (200,)), order=0),
    Pair("momentum-step-of-nesterov", torch_momentum, jax_momentum, normals((200,), (200,), (200,)), order=2),
    Pair("gradient-clipping", torch_clipped, jax_clipped, normals((20, 10), (30,))),
    Pair("orthogonalised-step", torch_muon, jax_muon, normals((8, 8))),
    Pair("gradient-descent-inside", torch_inner, jax_inner, normals((6, 3), (20, 6), (20, 3))),
    Pair("gradient-penalty", torch_penalty, jax_penalty, normals((20, 6), (6,))),
    Pair("cosine-schedule", torch_schedule, jax_schedule, uniforms(0, 950, (300,))),
    Pair("straight-through-rounding", torch_quantised, jax_quantised, normals((300,))),
    Pair(
        "average-of-parameters",
        lambda old, new: {k: 0.999 * old[k] + 0.001 * new[k] for k in old},
        lambda old, new: jax.tree.map(lambda a, b: a + 0.001 * (b - a), old, new),
        lambda: [dict(zip("ab", normals((30,), (4, 5), seed=s)(), strict=True)) for s in (0, 1)],
    ),
    Pair(
        "low-rank-adapter",
        lambda x, w, a, b: F.linear(x, w + 2 * b @ a),
        lambda x, w, a, b: x @ w.T + 2 * (x @ a.T) @ b.T,
        normals((10, 16), (12, 16), (2, 16), (12, 2)),
    ),
]
