"""Sums, products and norms of many terms in another order or by another primitive, and prefix sums by another scan."""

import jax
import jax.numpy as jnp
import torch

from pairs.records import Pair
from pairs.seeded import normals, uniforms

LONG = normals((4096,), scale=10)
ROWS = normals((64, 96))
MATRICES = normals((24, 40), (40, 32), scale=10)


def torch_chunks(x):
    return sum(chunk.sum() for chunk in x.split(100))


def jax_scan_sum(x):
    return jax.lax.scan(lambda c, v: (c + v, c + v), jnp.zeros((), x.dtype), x)[1]


def jax_shifted(x):
    shift = jax.lax.stop_gradient(x[:, :1])
    return shift[:, 0] + jnp.log(jnp.sum(jnp.exp(x - shift), 1))


def torch_loop_matmul(a, b):
    return sum(torch.outer(a[:, k], b[k]) for k in range(a.shape[1]))


def torch_two_pass(x):
    mean = x.mean(1, keepdim=True)
    return ((x - mean) ** 2).mean(1)


def jax_kahan(x):
    def step(carry, v):
        total, lost = carry
        y = v - lost
        t = total + y
        return (t, (t - total) - y), None

    return jax.lax.scan(step, (jnp.zeros((), x.dtype), jnp.zeros((), x.dtype)), x)[0][0]


def jax_windows(x):
    prefix = jnp.concatenate([jnp.zeros(1, x.dtype), jnp.cumsum(x)])
    return prefix[16:] - prefix[:-16]


def torch_ema(x):
    state, out = x[0], []
    for row in x:
        state = 0.9 * state + 0.1 * row
        out.append(state)
    return torch.stack(out)


def jax_ema(x):
    def step(state, row):
        state = 0.9 * state + 0.1 * row
        return state, state

    return jax.lax.scan(step, x[0], x)[1]


PAIRS = [
    Pair("sum-reversed", torch.sum, lambda x: jnp.sum(x[::-1]), LONG),
    Pair("sum-in-chunks", torch_chunks, jnp.sum, LONG),
    Pair("sum-as-dot-with-ones", torch.sum, lambda x: jnp.dot(x, jnp.ones_like(x)), LONG),
    Pair("sum-as-einsum", lambda x: x.sum(0), lambda x: jnp.einsum("ij,i->j", x, jnp.ones(64, x.dtype)), ROWS),
    Pair("sum-as-mean-times-count", torch.sum, lambda x: jnp.mean(x) * x.size, LONG),
    Pair("sum-of-a-hundred-thousand", torch.sum, jnp.sum, normals((100_000,))),
    Pair("sum-one-by-one", torch.sum, lambda x: jax_scan_sum(x)[-1], normals((2000,))),
    Pair("sum-compensated", torch.sum, jax_kahan, normals((1000,), shift=1)),
    Pair(
        "sum-that-cancels", lambda x: (x - x.mean()).sum(), lambda x: jnp.sum(x - jnp.mean(x)), normals((1000,), shift=100)
    ),
    Pair("cumulative-sum-by-scan", lambda x: torch.cumsum(x, 0), jax_scan_sum, LONG),
    Pair(
        "cumulative-sum-associative",
        lambda x: torch.cumsum(x, 0),
        lambda x: jax.lax.associative_scan(jnp.add, x),
        normals((200,)),
    ),
    Pair(
        "cumulative-sum-by-triangle",
        lambda x: torch.cumsum(x, 1),
        lambda x: x @ jnp.triu(jnp.ones((96, 96), x.dtype)),
        ROWS,
    ),
    Pair("cumulative-product", lambda x: torch.cumprod(x, 0), jnp.cumprod, uniforms(0.8, 1.25, (50,))),
    Pair("product-by-logarithms", torch.prod, lambda x: jnp.exp(jnp.sum(jnp.log(x))), uniforms(0.8, 1.25, (200,))),
    Pair("matmul-as-outer-products", torch_loop_matmul, jnp.matmul, MATRICES),
    Pair(
        "matmul-as-broadcast-sum",
        torch.matmul,
        lambda a, b: jnp.sum(a[:, :, None] * b[None], 1),
        MATRICES,
        order=2,
    ),
    Pair(
        "matmul-reassociated",
        lambda a, b, c: (a @ b) @ c,
        lambda a, b, c: a @ (b @ c),
        normals((20, 30), (30, 40), (40, 10)),
    ),
    Pair(
        "einsum-of-three",
        lambda a, b, c: torch.einsum("ij,jkl,lm->ikm", a, b, c),
        lambda a, b, c: jnp.einsum("ij,jkl,lm->ikm", a, b, c, optimize="optimal"),
        normals((6, 7), (7, 8, 9), (9, 5)),
    ),
    Pair("trace-of-product", lambda a, b: torch.trace(a @ b), lambda a, b: jnp.sum(a * b.T), normals((40, 50), (50, 40))),
    Pair("norm-by-squares", torch.linalg.vector_norm, lambda x: jnp.sqrt(jnp.sum(x * x)), LONG),
    Pair("norm-of-rows-p3", lambda x: torch.linalg.vector_norm(x, 3, 1), lambda x: jnp.linalg.norm(x, 3, 1), ROWS),
    Pair("variance-two-pass", torch_two_pass, lambda x: jnp.var(x, 1), ROWS),
    Pair("variance-unbiased-shifted", lambda x: x.var(1), lambda x: jnp.var(x, 1, ddof=1), normals((64, 96), shift=100)),
    Pair("standard-deviation", lambda x: x.std(0), lambda x: jnp.std(x, 0, ddof=1), ROWS, order=2),
    Pair("log-sum-exp", lambda x: torch.logsumexp(x, 1), lambda x: jnp.log(jnp.sum(jnp.exp(x), 1)), ROWS),
    Pair(
        "log-sum-exp-shifted",
        lambda x: torch.logsumexp(x, 1),
        jax_shifted,
        normals((64, 96), scale=5),
    ),
    Pair(
        "log-cumulative-sum-exp", lambda x: torch.logcumsumexp(x, 1), lambda x: jax.lax.cumlogsumexp(x, 1), normals((8, 12))
    ),
    Pair(
        "moving-average",
        lambda x: x.unfold(0, 16, 1).mean(1),
        lambda x: jnp.convolve(x, jnp.ones(16, x.dtype) / 16, "valid"),
        LONG,
    ),
    Pair("moving-average-by-prefix-sums", lambda x: x.unfold(0, 16, 1).sum(1), jax_windows, normals((500,))),
    Pair("exponential-moving-average", torch_ema, jax_ema, normals((60, 20))),
    Pair("mean-of-nearly-equal", lambda x: x - x.mean(), lambda x: x - jnp.mean(x), normals((1000,), scale=1e-3, shift=10)),
    Pair(
        "alternating-series",
        lambda x: ((-1.0) ** torch.arange(200, dtype=x.dtype) * x).sum(),
        lambda x: jnp.sum(x[::2]) - jnp.sum(x[1::2]),
        uniforms(1, 2, (200,)),
    ),
]
