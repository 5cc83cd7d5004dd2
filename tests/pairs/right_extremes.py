"""Near overflow, near underflow, and near the loss of every digit, where both sides do alike."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import Array, normals, uniforms


def close() -> list[Array]:
    """Two arrays that differ in their last bits."""
    x, d = normals((300,), (300,))()
    return [x, x * (1 + np.float32(1e-6) * d)]


def masked() -> list[Array]:
    """Logits of which some are minus infinity, at least one in each row finite."""
    (x,) = normals((20, 30))()
    x[:, 1::3] = -np.inf
    return [x]


def many_binades() -> list[Array]:
    return [np.ldexp(normals((1000,))()[0], np.random.default_rng(1).integers(-120, 120, 1000)).astype(np.float32)]


def with_infinities() -> list[Array]:
    x = normals((100,))()[0]
    x[:4] = [np.inf, -np.inf, np.inf, 0]
    return [x]


def torch_hypotenuse(x, y):
    top = torch.maximum(x.abs(), y.abs())
    return top * torch.sqrt((x / top) ** 2 + (y / top) ** 2)


def torch_running_softmax(x):
    e = torch.exp(x - x.amax(1, keepdim=True))
    return e / e.sum(1, keepdim=True)


PAIRS = [
    Pair("softmax-of-large", lambda x: torch.softmax(x, 1), lambda x: jax.nn.softmax(x, 1), normals((20, 30), scale=1000)),
    Pair("softmax-far-up", torch_running_softmax, lambda x: jax.nn.softmax(x, 1), normals((20, 30), shift=5000)),
    Pair(
        "softmax-of-huge",
        lambda x: torch.softmax(x, 1),
        lambda x: jax.nn.softmax(x, 1),
        normals((20, 30), scale=1e37),
        order=0,
    ),
    Pair("softmax-with-masked", lambda x: torch.softmax(x, 1), lambda x: jax.nn.softmax(x, 1), masked),
    Pair(
        "log-softmax-of-large",
        lambda x: torch.log_softmax(x, 1),
        lambda x: jax.nn.log_softmax(x, 1),
        normals((20, 30), scale=300),
    ),
    Pair(
        "log-sum-exp-of-large",
        lambda x: torch.logsumexp(x, 1),
        lambda x: jax.nn.logsumexp(x, 1),
        normals((20, 30), scale=1e4),
    ),
    Pair("logaddexp-of-large", torch.logaddexp, jnp.logaddexp, normals((300,), (300,), scale=100), order=0),
    Pair("exp-near-overflow", torch.exp, jnp.exp, uniforms(80, 88.7, (500,))),
    Pair("exp-across-overflow", torch.exp, jnp.exp, uniforms(80, 100, (500,))),
    Pair("exp-near-underflow", torch.exp, jnp.exp, uniforms(-87, -80, (500,))),
    Pair("exp-to-subnormals", torch.exp, jnp.exp, uniforms(-103, -88, (500,))),
    Pair("product-to-subnormals", lambda x: 1e-30 * x, lambda x: 1e-30 * x, normals((500,), scale=1e-9)),
    Pair("square-to-subnormals", torch.square, lambda x: x * x, normals((500,), scale=1e-20)),
    Pair("square-across-overflow", torch.square, lambda x: x * x, normals((500,), scale=2e19)),
    Pair("difference-of-close", lambda x, y: x - y, lambda x, y: -(y - x), close),
    Pair("difference-of-squares", lambda x, y: x * x - y * y, lambda x, y: (x - y) * (x + y), normals((300,), (300,))),
    Pair(
        "difference-of-exponentials", lambda x, y: torch.exp(x) - torch.exp(y), lambda x, y: jnp.exp(x) - jnp.exp(y), close
    ),
    Pair("one-minus-cosine", lambda x: 1 - torch.cos(x), lambda x: 1 - jnp.cos(x), normals((300,), scale=1e-3)),
    Pair("sine-of-large", torch.sin, jnp.sin, normals((500,), scale=1e4)),
    Pair("tangent-near-poles", torch.tan, jnp.tan, lambda: [np.float32(math.pi / 2) + normals((300,), scale=1e-3)()[0]]),
    Pair("log-near-one", torch.log, jnp.log, normals((300,), scale=1e-4, shift=1)),
    Pair("log1p-of-small", torch.log1p, jnp.log1p, normals((300,), scale=1e-6)),
    Pair("reciprocal-of-small", torch.reciprocal, lambda x: 1 / x, uniforms(1e-15, 1e-12, (300,))),
    Pair(
        "cumulative-product-that-vanishes",
        lambda x: x.cumprod(0),
        lambda x: jax.lax.associative_scan(jnp.multiply, x),
        uniforms(0.01, 0.1, (16,)),
    ),
    Pair("sum-over-many-binades", lambda x: x.sum(), lambda x: jnp.sum(x[::-1]), many_binades),
    Pair("negative-over-many-binades", torch.neg, lambda x: -1.0 * x, many_binades),
    Pair("hypotenuse-of-large", torch_hypotenuse, jnp.hypot, normals((300,), (300,), scale=1e25), order=0),
    Pair(
        "standard-score-of-nearly-equal",
        lambda x: (x - x.mean()) / x.std(),
        lambda x: (x - x.mean()) / jnp.std(x, ddof=1),
        normals((300,), scale=1e-4, shift=1),
    ),
    Pair("mean-far-from-zero", lambda x: x - x.mean(), lambda x: x - jnp.sum(x) / x.size, normals((300,), shift=1e6)),
    Pair("tanh-with-infinities", torch.tanh, jnp.tanh, with_infinities),
    Pair("clip-with-infinities", lambda x: x.clamp(-3, 3), lambda x: jnp.clip(x, -3, 3), with_infinities),
    Pair("sigmoid-saturated", torch.sigmoid, jax.nn.sigmoid, uniforms(-80, 80, (500,))),
    Pair(
        "log-of-softmax-clipped",
        lambda x: torch.log(torch.softmax(x, 1).clamp(min=1e-7)),
        lambda x: jnp.log(jnp.maximum(jax.nn.softmax(x, 1), 1e-7)),
        normals((20, 30), scale=3),
    ),
    Pair(
        "huge-negative-bias",
        lambda x: F.softmax(x + torch.triu(torch.full((30, 30), -1e9, dtype=x.dtype), 1), -1),
        lambda x: jax.nn.softmax(jnp.where(jnp.tri(30, dtype=bool), x, -1e9), -1),
        normals((30, 30)),
    ),
]
