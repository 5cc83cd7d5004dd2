"""The same function, computed so that one side loses its digits: cancellation, naive formulas, a narrow dtype inside."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals, uniforms

small = uniforms(1e-4, 1e-3, (128,))
smaller = uniforms(1e-7, 1e-6, (128,))
rows = normals((16, 32))
matrices = normals((16, 64), (64, 16))


def loses(side: str, name: str, torch_fn: Any, jax_fn: Any, make: Any = rows, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="inaccurate", side=side, **rest)


def high_rows() -> list[Any]:
    """Rows whose mean is far above their spread."""
    return normals((8, 64), scale=1, shift=300)()


def roots() -> list[Any]:
    """b large against a c, so that the small root cancels."""
    return [np.linspace(1, 2, 64, dtype=np.float32), np.linspace(2e3, 4e3, 64, dtype=np.float32)]


def qkv() -> list[Any]:
    return normals((2, 8, 16), (2, 8, 16), (2, 8, 16))()


def attention_of_bfloat16_scores(q: Any, k: Any, v: Any) -> Any:
    scores = (q.bfloat16() @ k.mT.bfloat16()).to(q.dtype) / 4
    return scores.softmax(-1) @ v


def attention(q: Any, k: Any, v: Any) -> Any:
    return jax.nn.softmax(q @ k.mT / 4) @ v


def attention_with_float16_softmax(q: Any, k: Any, v: Any) -> Any:
    return jax.nn.softmax((q @ k.mT / 4).astype(jnp.float16)).astype(q.dtype) @ v


class TanhWithRoundedGradient(torch.autograd.Function):
    """tanh whose backward passes through bfloat16."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * (1 - y * y).bfloat16().to(g.dtype)


@jax.custom_vjp
def scaled_by_rounded_cotangent(x: Any) -> Any:
    return 3.1 * x**2


def scaled_forward(x: Any) -> tuple[Any, Any]:
    return 3.1 * x**2, x


def scaled_backward(x: Any, g: Any) -> tuple[Any]:
    return ((6.2 * x * g).astype(jnp.float16).astype(x.dtype),)


scaled_by_rounded_cotangent.defvjp(scaled_forward, scaled_backward)


def small_root_torch(a: Any, b: Any) -> Any:
    return (b - torch.sqrt(b * b - 4 * a)) / (2 * a)


def small_root_jax(a: Any, b: Any) -> Any:
    return 2 / (b + jnp.sqrt(b * b - 4 * a))


def layer_norm_of_moments(x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) - mean**2 + 1e-5)


def sinusoids_torch(x: Any) -> Any:
    """Frequencies in float32, also where x is float64."""
    frequency = torch.pow(10000.0, -torch.arange(16, dtype=torch.float32) / 16)
    return torch.sin(x * frequency)


def sinusoids_jax(x: Any) -> Any:
    return jnp.sin(x * 10000.0 ** (-jnp.arange(16, dtype=x.dtype) / 16))


def decay_in_float32(x: Any) -> Any:
    return x * jnp.exp(-jnp.arange(16, dtype=jnp.float32) / 16)


def decay(x: Any) -> Any:
    return x * torch.exp(-torch.arange(16, dtype=x.dtype) / 16)


def running_sum_in_bfloat16(x: Any) -> Any:
    return jnp.cumsum(x.astype(jnp.bfloat16), -1).astype(x.dtype)


def torch_chebyshev(x: Any) -> Any:
    a, b = torch.ones_like(x), x
    for _ in range(10):
        a, b = b, 2 * x * b - a
    return b


def jax_chebyshev(x: Any) -> Any:
    return jnp.cos(11 * jnp.arccos(x))


PAIRS = [
    loses("jax", "chebyshev-by-cosine-at-a-zero", torch_chebyshev, jax_chebyshev, uniforms(-1e-3, 1e-3, (500,))),
    loses(
        "jax",
        "tanh-natives-second-derivative-at-zero",
        torch.tanh,
        jnp.tanh,
        uniforms(-1e-2, 1e-2, (500,)),
        order=2,
        versions={"jax": "<0.12"},
    ),
    loses("torch", "one-minus-cosine-of-small", lambda x: 1 - torch.cos(x), lambda x: 2 * jnp.sin(x / 2) ** 2, small),
    loses("jax", "log-of-one-plus-x", torch.log1p, lambda x: jnp.log(1 + x), smaller),
    loses("torch", "exp-minus-one", lambda x: torch.exp(x) - 1, jnp.expm1, smaller),
    loses("jax", "sinh-by-exponentials", torch.sinh, lambda x: (jnp.exp(x) - jnp.exp(-x)) / 2, smaller),
    loses(
        "torch",
        "softplus-log-of-one-plus-exp-tail",
        lambda x: torch.log(1 + torch.exp(x)),
        jax.nn.softplus,
        uniforms(-16, -10, (128,)),
    ),
    loses(
        "jax",
        "softplus-log-of-one-plus-exp-tail-float64",
        F.softplus,
        lambda x: jnp.log(1 + jnp.exp(x)),
        uniforms(-12, -6, (128,)),
        dtype="float64",
    ),
    loses(
        "jax", "sigmoid-as-one-minus-its-mirror", torch.sigmoid, lambda x: 1 - jax.nn.sigmoid(-x), uniforms(-16, -8, (128,))
    ),
    loses(
        "torch", "sigmoid-by-tanh-tail", lambda x: 0.5 + 0.5 * torch.tanh(x / 2), jax.nn.sigmoid, uniforms(-14, -8, (128,))
    ),
    loses(
        "torch",
        "log-sigmoid-of-one-minus",
        lambda x: torch.log(1 - torch.sigmoid(-x)),
        jax.nn.log_sigmoid,
        uniforms(-14, -8, (128,)),
    ),
    loses(
        "jax",
        "log-of-sigmoid-near-one",
        F.logsigmoid,
        lambda x: jnp.log(jax.nn.sigmoid(x)),
        uniforms(8, 14, (128,)),
        order=0,
    ),
    loses("torch", "erfc-as-one-minus-erf", lambda x: 1 - torch.erf(x), jax.lax.erfc, uniforms(2, 3.5, (128,)), order=0),
    loses("jax", "atanh-of-logs", torch.atanh, lambda x: 0.5 * (jnp.log(1 + x) - jnp.log(1 - x)), smaller),
    loses(
        "torch", "asinh-of-log", lambda x: torch.log(x + torch.sqrt(x * x + 1)), jnp.arcsinh, uniforms(-500, -100, (128,))
    ),
    loses(
        "jax",
        "tanh-derivative-lost-tail",
        lambda x: 1 / torch.cosh(x) ** 2,
        lambda x: 1 - jnp.tanh(x) ** 2,
        uniforms(5, 8, (128,)),
        order=0,
    ),
    loses("torch", "small-root-of-a-quadratic", small_root_torch, small_root_jax, roots),
    loses(
        "jax",
        "variance-of-moments",
        lambda x: x.var(-1, correction=0),
        lambda x: (x * x).mean(-1) - x.mean(-1) ** 2,
        high_rows,
    ),
    loses(
        "torch",
        "standard-deviation-of-moments",
        lambda x: torch.sqrt((x * x).mean(-1) - x.mean(-1) ** 2),
        lambda x: x.std(-1),
        high_rows,
    ),
    loses("jax", "layer-norm-of-moments", lambda x: F.layer_norm(x, (64,)), layer_norm_of_moments, high_rows),
    loses(
        "torch",
        "squared-distance-expanded",
        lambda x: (x * x).sum(-1) + 300**2 * 64 - 600 * x.sum(-1),
        lambda x: ((x - 300) ** 2).sum(-1),
        high_rows,
    ),
    loses(
        "jax",
        "difference-of-square-roots",
        lambda x: 1 / (torch.sqrt(x + 1) + torch.sqrt(x)),
        lambda x: jnp.sqrt(x + 1) - jnp.sqrt(x),
        uniforms(1e4, 1e5, (128,)),
    ),
    loses("torch", "power-one-plus-small", lambda x: (1 + x) ** 1000 - 1, lambda x: jnp.expm1(1000 * jnp.log1p(x)), smaller),
    loses("torch", "bfloat16-in-the-value", lambda x: torch.tanh(x.bfloat16()).to(x.dtype), jnp.tanh),
    loses("jax", "float16-in-the-value", torch.tanh, lambda x: jnp.tanh(x.astype(jnp.float16)).astype(x.dtype)),
    loses("torch", "bfloat16-only-in-the-gradient", TanhWithRoundedGradient.apply, jnp.tanh),
    loses("jax", "float16-only-in-the-gradient", lambda x: 3.1 * x**2, scaled_by_rounded_cotangent),
    loses("torch", "bfloat16-attention-scores", attention_of_bfloat16_scores, attention, qkv),
    loses(
        "jax",
        "float16-attention-softmax",
        lambda q, k, v: (q @ k.mT / 4).softmax(-1) @ v,
        attention_with_float16_softmax,
        qkv,
    ),
    loses(
        "jax",
        "bfloat16-matrix-product",
        torch.matmul,
        lambda a, b: (a.astype(jnp.bfloat16) @ b.astype(jnp.bfloat16)).astype(a.dtype),
        matrices,
    ),
    loses("torch", "bfloat16-sum", lambda x: x.bfloat16().sum(-1).to(x.dtype), lambda x: x.sum(-1)),
    loses("jax", "bfloat16-running-sum", lambda x: x.cumsum(-1), running_sum_in_bfloat16),
    loses(
        "jax",
        "bfloat16-mean-of-a-norm",
        lambda x: F.rms_norm(x, (32,), eps=1e-6),
        lambda x: x * jax.lax.rsqrt((x.astype(jnp.bfloat16) ** 2).mean(-1, keepdims=True).astype(x.dtype) + 1e-6),
    ),
    loses("torch", "float32-inside-float64", lambda x: torch.exp(x.float()).double(), jnp.exp, dtype="float64"),
    loses(
        "jax",
        "float32-softmax-inside-float64",
        lambda x: x.softmax(-1),
        lambda x: jax.nn.softmax(x.astype(jnp.float32)).astype(x.dtype),
        dtype="float64",
    ),
    loses(
        "torch",
        "float32-frequencies-inside-float64",
        sinusoids_torch,
        sinusoids_jax,
        uniforms(1, 2, (8, 16)),
        dtype="float64",
    ),
    loses("jax", "float32-decay-inside-float64", decay, decay_in_float32, normals((8, 16)), dtype="float64"),
    loses(
        "torch",
        "float32-product-inside-float64",
        lambda a, b: (a.float() @ b.float()).double(),
        jnp.matmul,
        matrices,
        dtype="float64",
    ),
    loses(
        "jax",
        "variance-of-moments-float64",
        lambda x: x.var(-1, correction=0),
        lambda x: (x * x).mean(-1) - x.mean(-1) ** 2,
        high_rows,
        dtype="float64",
    ),
    loses(
        "torch",
        "one-minus-cosine-float64",
        lambda x: 1 - torch.cos(x),
        lambda x: 2 * jnp.sin(x / 2) ** 2,
        uniforms(0.01, 0.1, (128,)),
        dtype="float64",
    ),
    loses(
        "torch", "bfloat16-in-the-value-second-derivative", lambda x: torch.tanh(x.bfloat16()).to(x.dtype), jnp.tanh, order=2
    ),
]
