"""Right values with a missing, a wrong or another valid gradient; right gradients with a wrong second derivative."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals

values = normals((64,))
two = normals((8, 8), (8, 8))
stop = jax.lax.stop_gradient


def missing(side: str, name: str, torch_fn: Any, jax_fn: Any, make: Any = values, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="missing", side=side, **rest)


def contradicts(side: str, name: str, torch_fn: Any, jax_fn: Any, make: Any = values, **rest: Any) -> Pair:
    """The side's derivative is not that of its own function."""
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="definition", side=side, **rest)


def convention(name: str, torch_fn: Any, jax_fn: Any, make: Any, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="convention", **rest)


def at(*points: float) -> Any:
    return lambda: [np.array(points, np.float32)]


around_zero = at(-1, 0, 0.5, 2)
CLAMPS = {"torch": "<2.15"}
"""Until then clamp's slope at a bound is 1."""


def with_ties() -> list[Any]:
    return [np.array([[1, 3, 3, 2], [0.5, 0.25, 0.125, 0], [2, 2, 2, 2]], np.float32)]


def torch_rule(forward: Any, backward: Any) -> Any:
    """An autograd function from ``forward(x)`` and a hand-written ``backward(x, g)``."""

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return backward(*ctx.saved_tensors, g)

    return Rule.apply


def jax_rule(forward: Any, backward: Any) -> Any:
    """The same as a ``custom_vjp``."""
    rule = jax.custom_vjp(forward)
    rule.defvjp(lambda x: (forward(x), x), lambda x, g: (backward(x, g),))
    return rule


def jax_tangent_rule(forward: Any, slope: Any) -> Any:
    """A ``custom_jvp`` with a hand-written slope."""
    rule = jax.custom_jvp(forward)
    rule.defjvps(lambda tangent, value, x: slope(x) * tangent)
    return rule


def tanh_slope(x: Any) -> Any:
    return 1 - torch.tanh(x) ** 2


def silu_slope_without_product_rule(x: Any, g: Any) -> Any:
    return g * jax.nn.sigmoid(x)


def gelu_slope_without_density(x: Any) -> Any:
    return 0.5 * (1 + jax.lax.erf(x / np.sqrt(2).astype(np.float32)))


def attention_through_numpy(q: Any, k: Any) -> Any:
    weights = torch.from_numpy((q @ k.mT).detach().numpy()).softmax(-1)
    return weights @ k


def batch_norm_of_constants(x: Any) -> Any:
    """The statistics as if they did not depend on the batch."""
    mean, var = stop(x.mean(0)), stop(x.var(0))
    return (x - mean) * jax.lax.rsqrt(var + 1e-5)


def layer_norm_of_constant_variance(x: Any) -> Any:
    var = x.var(-1, keepdim=True, correction=0).detach()
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(var + 1e-5)


def softmax_with_diagonal_gradient(x: Any, g: Any) -> Any:
    p = x.softmax(-1)
    return g * p * (1 - p)


def unrolled_twice_torch(x: Any) -> Any:
    """Two steps of a recurrence, the state cut between them."""
    h = torch.tanh(x)
    return torch.tanh(h.detach() + x)


def unrolled_twice_jax(x: Any) -> Any:
    return jnp.tanh(jnp.tanh(x) + x)


def first_maximum(x: Any) -> Any:
    return jnp.take_along_axis(x, x.argmax(-1, keepdims=True), -1)[..., 0]


wrong_curve = jax_tangent_rule(jnp.cos, lambda x: -0.9 * jnp.sin(x))
wrong_cosine = torch_rule(torch.cos, lambda x, g: -0.5 * g * torch.sin(x))
wrong_tanh = torch_rule(torch.tanh, lambda x, g: 1.01 * g * tanh_slope(x))
tanh_slope_with_half_a_slope = jax_tangent_rule(
    lambda x: 1 - jnp.tanh(x) ** 2, lambda x: -jnp.tanh(x) * (1 - jnp.tanh(x) ** 2)
)

MISSING = [
    missing("torch", "detached-input", lambda x: torch.sin(x.detach()), jnp.sin),
    missing("jax", "stopped-input", torch.sin, lambda x: jnp.sin(stop(x))),
    missing("torch", "detached-weight", lambda x, w: x @ w.detach(), jnp.matmul, two),
    missing("jax", "stopped-weight", torch.matmul, lambda x, w: x @ stop(w), two),
    missing("torch", "no-grad-block", torch.no_grad()(torch.tanh), jnp.tanh),
    missing("torch", "through-numpy", lambda x: torch.from_numpy(np.sin(x.detach().numpy())), jnp.sin),
    missing("torch", "queries-through-numpy", attention_through_numpy, lambda q, k: jax.nn.softmax(q @ k.T) @ k, two),
    missing(
        "torch",
        "target-detached-on-one-side",
        lambda x, t: F.mse_loss(x, t.detach()),
        lambda x, t: ((x - t) ** 2).mean(),
        two,
    ),
    missing("jax", "target-stopped-on-one-side", F.mse_loss, lambda x, t: ((x - stop(t)) ** 2).mean(), two),
    missing(
        "torch",
        "item-of-a-scalar",
        lambda x, s: x * s.item(),
        lambda x, s: x * s,
        lambda: [*values(), np.array(1.5, np.float32)],
    ),
    missing("jax", "bias-added-as-constant", lambda x, b: x + b, lambda x, b: x + stop(b), normals((8, 8), (8,))),
    missing("jax", "zeroed-by-custom-rule", torch.tanh, jax_rule(jnp.tanh, lambda x, g: jnp.zeros_like(g))),
    missing(
        "torch",
        "second-derivative-detached",
        torch_rule(lambda x: x**3, lambda x, g: 3 * g * x.detach() ** 2),
        lambda x: x**3,
        order=2,
    ),
    missing("jax", "second-derivative-stopped", torch.exp, jax_tangent_rule(jnp.exp, lambda x: stop(jnp.exp(x))), order=2),
    missing("jax", "stopped-input-float64", torch.sin, lambda x: jnp.sin(stop(x)), dtype="float64"),
    missing("torch", "detached-input-bfloat16", lambda x: 2 * x.detach(), lambda x: 2 * x, dtype="bfloat16"),
    missing(
        "jax",
        "stopped-leaf-of-a-tree",
        lambda p: p["x"] @ p["w"],
        lambda p: p["x"] @ stop(p["w"]),
        lambda: [dict(zip("xw", two(), strict=True))],
    ),
]

WRONG = [
    contradicts("jax", "rounded-against-straight-through", torch.round, lambda x: x + stop(jnp.round(x) - x)),
    contradicts("torch", "rounded-without-straight-through", lambda x: x + (torch.round(x) - x).detach(), jnp.round),
    contradicts(
        "torch",
        "straight-through-against-an-integer",
        lambda x: x + (x.trunc() - x).detach(),
        lambda x: x.astype(jnp.int32).astype(x.dtype),
    ),
    contradicts(
        "jax",
        "sign-against-straight-through",
        torch.sign,
        lambda x: jnp.clip(x, -1, 1) + stop(jnp.sign(x) - jnp.clip(x, -1, 1)),
    ),
    contradicts("torch", "backward-off-by-a-hundredth", wrong_tanh, jnp.tanh),
    contradicts("jax", "vjp-of-the-wrong-sign", torch.cos, jax_rule(jnp.cos, lambda x, g: g * jnp.sin(x))),
    contradicts("jax", "jvp-off-by-a-tenth", torch.cos, wrong_curve),
    contradicts("jax", "vjp-without-the-product-rule", F.silu, jax_rule(jax.nn.silu, silu_slope_without_product_rule)),
    contradicts(
        "jax",
        "jvp-without-the-density",
        F.gelu,
        jax_tangent_rule(lambda x: jax.nn.gelu(x, approximate=False), gelu_slope_without_density),
    ),
    contradicts("torch", "backward-ignores-the-cotangent", torch_rule(torch.exp, lambda x, g: torch.exp(x)), jnp.exp),
    contradicts(
        "torch",
        "softmax-backward-diagonal",
        torch_rule(lambda x: x.softmax(-1), softmax_with_diagonal_gradient),
        jax.nn.softmax,
        normals((8, 8)),
    ),
    contradicts(
        "torch", "backward-of-the-output-as-input", torch_rule(torch.sigmoid, lambda x, g: g * x * (1 - x)), jax.nn.sigmoid
    ),
    contradicts("jax", "vjp-of-sigmoid-forgets-square", torch.tanh, jax_rule(jnp.tanh, lambda x, g: g * (1 - jnp.tanh(x)))),
    contradicts("jax", "gate-stopped-in-silu", F.silu, lambda x: x * stop(jax.nn.sigmoid(x))),
    contradicts("torch", "gate-detached-in-silu", lambda x: x * torch.sigmoid(x).detach(), jax.nn.silu),
    contradicts(
        "torch",
        "normaliser-detached-in-softmax",
        lambda x: x.exp() / x.exp().sum(-1, keepdim=True).detach(),
        jax.nn.softmax,
        normals((8, 8)),
    ),
    contradicts(
        "jax",
        "statistics-stopped-in-batch-norm",
        lambda x: F.batch_norm(x, None, None, training=True),
        batch_norm_of_constants,
        normals((16, 8)),
    ),
    contradicts(
        "torch",
        "variance-detached-in-layer-norm",
        layer_norm_of_constant_variance,
        lambda x: jax.nn.standardize(x, epsilon=1e-5),
        normals((8, 16)),
    ),
    contradicts("torch", "state-detached-between-steps", unrolled_twice_torch, unrolled_twice_jax),
    contradicts(
        "jax",
        "clip-straight-through",
        lambda x: x.clamp(-1, 1),
        lambda x: x + stop(jnp.clip(x, -1, 1) - x),
        normals((64,), scale=2),
    ),
    contradicts("torch", "gradient-scaled-through-detach", lambda x: 0.1 * x + 0.9 * x.detach(), lambda x: x),
    contradicts("jax", "gradient-reversed", torch.tanh, lambda x: stop(2 * jnp.tanh(x)) - jnp.tanh(x)),
    contradicts(
        "torch",
        "gradient-clipped-in-a-hook",
        torch_rule(lambda x: x**2, lambda x, g: (2 * x * g).clamp(-1, 1)),
        jnp.square,
        normals((64,), scale=2),
    ),
    contradicts(
        "torch",
        "half-of-a-shared-path-detached",
        lambda x, w: x @ w + (x @ w.detach()).sin(),
        lambda x, w: x @ w + jnp.sin(x @ w),
        two,
    ),
    contradicts(
        "jax", "vjp-of-the-wrong-sign-float64", torch.cos, jax_rule(jnp.cos, lambda x, g: g * jnp.sin(x)), dtype="float64"
    ),
    contradicts(
        "torch",
        "backward-off-by-a-tenth-bfloat16",
        torch_rule(torch.sin, lambda x, g: 1.1 * g * torch.cos(x)),
        jnp.sin,
        dtype="bfloat16",
    ),
    contradicts("jax", "jvp-off-by-a-tenth-float16", torch.cos, wrong_curve, dtype="float16"),
    contradicts(
        "jax",
        "slope-with-a-pi-of-three-decimals",
        lambda x: torch.sin(x * torch.pi),
        jax_rule(lambda x: jnp.sin(x * jnp.pi), lambda x, g: 3.142 * g * jnp.cos(x * jnp.pi)),
    ),
    contradicts(
        "torch",
        "second-derivative-of-a-wrong-inner-rule",
        torch_rule(torch.sin, lambda x, g: g * wrong_cosine(x)),
        jnp.sin,
        order=2,
    ),
    contradicts(
        "jax", "second-derivative-halved", torch.tanh, jax_tangent_rule(jnp.tanh, tanh_slope_with_half_a_slope), order=2
    ),
    contradicts(
        "torch",
        "second-derivative-half-detached",
        torch_rule(lambda x: x**3, lambda x, g: 3 * g * x * x.detach()),
        lambda x: x**3,
        order=2,
    ),
    contradicts(
        "jax",
        "second-derivative-partly-stopped",
        torch.tanh,
        jax_tangent_rule(jnp.tanh, lambda x: (1 - jnp.tanh(x)) * (1 + stop(jnp.tanh(x)))),
        order=2,
    ),
    contradicts(
        "jax",
        "second-derivative-halved-float64",
        torch.tanh,
        jax_tangent_rule(jnp.tanh, tanh_slope_with_half_a_slope),
        order=2,
        dtype="float64",
    ),
]

CONVENTION = [
    convention("abs-at-zero", torch.abs, lambda x: jnp.where(x >= 0, x, -x), around_zero),
    convention("relu-at-zero-against-maximum", F.relu, lambda x: jnp.maximum(x, 0), around_zero),
    convention("relu-at-zero-against-where", F.relu, lambda x: jnp.where(x >= 0, x, 0), around_zero),
    convention("clamp-at-zero-against-relu", lambda x: x.clamp(min=0), jax.nn.relu, around_zero, versions=CLAMPS),
    convention("leaky-relu-at-zero", F.leaky_relu, jax.nn.leaky_relu, around_zero),
    convention(
        "elu-of-alpha-two-at-zero",
        lambda x: F.elu(x, 2.0),
        lambda x: jnp.where(x >= 0, x, 2 * jnp.expm1(jnp.minimum(x, 0))),
        around_zero,
    ),
    convention("relu6-at-its-bounds", F.relu6, lambda x: jnp.minimum(jnp.maximum(x, 0), 6), at(-1, 0, 3, 6, 7)),
    convention(
        "clip-at-its-bounds",
        lambda x: x.clamp(-1, 1),
        lambda x: jnp.where(jnp.abs(x) < 1, x, jnp.sign(x)),
        at(-2, -1, 0.5, 1, 3),
        versions=CLAMPS,
    ),
    convention("hard-tanh-at-its-bounds", F.hardtanh, lambda x: jnp.clip(x, -1, 1), at(-2, -1, 0.5, 1, 3)),
    convention("max-of-ties-first-against-shared", lambda x: x.max(-1).values, lambda x: x.max(-1), with_ties),
    convention("max-of-ties-shared-against-first", lambda x: x.amax(-1), first_maximum, with_ties),
    convention(
        "maximum-of-equals",
        torch.maximum,
        lambda a, b: jnp.where(a >= b, a, b),
        lambda: [np.array([1, 2, 3], np.float32), np.array([0, 2, 5], np.float32)],
    ),
    convention("max-pool-of-ties", lambda x: F.max_pool1d(x[None], 2)[0], lambda x: x.reshape(3, 2, 2).max(-1), with_ties),
    convention(
        "l1-loss-of-equals",
        F.l1_loss,
        lambda x, y: jnp.where(x >= y, x - y, y - x).mean(),
        lambda: [np.array([1, 2, 3], np.float32), np.array([0, 2, 5], np.float32)],
    ),
    convention("hinge-on-its-margin", lambda x: F.relu(1 - x), lambda x: jnp.maximum(1 - x, 0), at(-1, 0.5, 1, 2)),
    convention(
        "round-half-to-even-against-up", torch.round, lambda x: jnp.floor(x + 0.5), at(0.25, 0.5, 2.5, -1.5, 3), order=0
    ),
    convention(
        "round-half-to-even-against-away",
        torch.round,
        lambda x: jnp.sign(x) * jnp.floor(jnp.abs(x) + 0.5),
        at(0.5, -0.5, 2.5, 0.75),
        order=0,
    ),
    convention("heaviside-at-zero", lambda x: (x > 0).to(x.dtype), lambda x: jnp.heaviside(x, 0.5), around_zero, order=0),
    convention(
        "relu-squared-curve-at-zero", lambda x: F.relu(x) ** 2, lambda x: jnp.where(x >= 0, x, 0) ** 2, around_zero, order=2
    ),
    convention("elu-curve-at-zero", F.elu, jax.nn.elu, around_zero, order=2),
    convention("relu-at-zero-against-maximum-float64", F.relu, lambda x: jnp.maximum(x, 0), around_zero, dtype="float64"),
    convention("relu-at-zero-against-maximum-bfloat16", F.relu, lambda x: jnp.maximum(x, 0), around_zero, dtype="bfloat16"),
]

PAIRS = MISSING + WRONG + CONVENTION
