"""NaN and infinities on one side only: overflow, empty masks, logarithms of zero, gradients at zero, traps of where."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals


def blows_up(side: str, name: str, torch_fn: Any, jax_fn: Any, make: Any, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="special", side=side, **rest)


def at(*points: float) -> Any:
    return lambda: [np.array(points, np.float32)]


with_zero = at(0, 0.5, 1, 2)
large = at(1, 50, 90, 120, 300)


def rows_with_zeros() -> list[Any]:
    """The second row is all zero."""
    x = normals((4, 8))()[0]
    x[1] = 0
    return [x]


def masked_out() -> list[Any]:
    """Scores, and a mask whose second row allows nothing."""
    mask = np.tri(4, dtype=bool)
    mask[1] = False
    return [*normals((4, 4))(), mask]


def constant_rows() -> list[Any]:
    x = normals((4, 8))()[0]
    x[2] = 1.5
    return [x]


def softmax_of_infinite_mask_torch(x: Any, mask: Any) -> Any:
    return x.masked_fill(~mask, -torch.inf).softmax(-1)


def softmax_of_infinite_mask_jax(x: Any, mask: Any) -> Any:
    return jax.nn.softmax(jnp.where(mask, x, -jnp.inf))


def softmax_of_large_mask(x: Any, mask: Any) -> Any:
    return jax.nn.softmax(jnp.where(mask, x, -1e9))


def softmax_of_empty_rows_as_zero(x: Any, mask: Any) -> Any:
    """Zero where a row allows nothing, in the value and in the gradient."""
    some = mask.any(-1, keepdim=True)
    return torch.where(some, x.masked_fill(~mask & some, -torch.inf).softmax(-1), 0)


def normalised_torch(x: Any) -> Any:
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def naive_log_softmax(x: Any) -> Any:
    return x - torch.log(torch.exp(x).sum(-1, keepdim=True))


def scaled_rows() -> list[Any]:
    return [100 * normals((4, 8))()[0] + 50]


def product_of_logarithms(x: Any) -> Any:
    return jnp.exp(jnp.log(x).sum(-1))


def norm_of_nonzero_rows(x: Any) -> Any:
    square = (x * x).sum(-1)
    return torch.where(square > 0, torch.sqrt(torch.where(square > 0, square, 1)), 0)


def norm_that_knows_zero(x: Any) -> Any:
    square = (x * x).sum(-1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


PAIRS = [
    blows_up("torch", "softplus-naive-overflow", lambda x: torch.log(1 + torch.exp(x)), jax.nn.softplus, large),
    blows_up(
        "jax", "logsumexp-naive-overflow", lambda x: x.logsumexp(-1), lambda x: jnp.log(jnp.exp(x).sum(-1)), scaled_rows
    ),
    blows_up(
        "jax",
        "softmax-naive-overflow",
        lambda x: x.softmax(-1),
        lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True),
        scaled_rows,
    ),
    blows_up("torch", "log-softmax-naive-overflow", naive_log_softmax, jax.nn.log_softmax, scaled_rows),
    blows_up(
        "jax", "log-of-softmax-underflow", lambda x: x.log_softmax(-1), lambda x: jnp.log(jax.nn.softmax(x)), scaled_rows
    ),
    blows_up(
        "torch", "log-of-sigmoid-underflow", lambda x: torch.log(torch.sigmoid(x)), jax.nn.log_sigmoid, at(-300, -120, -1, 1)
    ),
    blows_up("jax", "sigmoid-by-exponentials-overflow", torch.sigmoid, lambda x: jnp.exp(x) / (1 + jnp.exp(x)), large),
    blows_up(
        "torch", "tanh-by-exponentials-overflow", lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1), jnp.tanh, large
    ),
    blows_up(
        "jax",
        "log-cosh-naive-overflow",
        lambda x: x.abs() + F.softplus(-2 * x.abs()) - 0.6931471805599453,
        lambda x: jnp.log(jnp.cosh(x)),
        large,
    ),
    blows_up(
        "torch", "hypot-naive-overflow", lambda x: torch.sqrt(x * x + 1), lambda x: jnp.hypot(x, 1.0), at(1, 1e10, 1e25)
    ),
    blows_up(
        "jax",
        "norm-naive-overflow",
        lambda x: torch.linalg.vector_norm(x / 1e20, dim=-1) * 1e20,
        lambda x: jnp.sqrt((x * x).sum(-1)),
        lambda: [normals((4, 8))()[0] * np.float32(1e20)],
    ),
    blows_up("torch", "swish-gradient-inf-over-inf", lambda x: x / (1 + torch.exp(-x)), jax.nn.silu, at(-300, -100, -1, 2)),
    blows_up(
        "jax",
        "binary-cross-entropy-log-of-zero",
        F.binary_cross_entropy_with_logits,
        lambda x, y: -(y * jnp.log(jax.nn.sigmoid(x)) + (1 - y) * jnp.log(1 - jax.nn.sigmoid(x))).mean(),
        lambda: [np.array([-3, 40, 2], np.float32), np.array([0.25, 0.5, 0.75], np.float32)],
    ),
    blows_up("torch", "log-without-epsilon", torch.log, lambda x: jnp.log(x + 1e-6), with_zero),
    blows_up(
        "jax",
        "entropy-at-zero",
        lambda p: -torch.special.xlogy(p, p).sum(-1),
        lambda p: -(p * jnp.log(p)).sum(-1),
        lambda: [np.array([[0, 0.5, 0.5], [0.2, 0.3, 0.5]], np.float32)],
        order=0,
    ),
    blows_up("torch", "reciprocal-without-epsilon", torch.reciprocal, lambda x: 1 / (x + 1e-6), with_zero),
    blows_up(
        "jax",
        "norm-gradient-at-zero",
        lambda x: torch.linalg.vector_norm(x, dim=-1),
        lambda x: jnp.linalg.norm(x, axis=-1),
        rows_with_zeros,
    ),
    blows_up(
        "torch",
        "root-of-squares-gradient-at-zero",
        lambda x: torch.sqrt((x * x).sum(-1)),
        norm_that_knows_zero,
        rows_with_zeros,
    ),
    blows_up(
        "jax",
        "normalise-gradient-at-zero",
        normalised_torch,
        lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12),
        rows_with_zeros,
    ),
    blows_up("torch", "sqrt-gradient-at-zero", torch.sqrt, lambda x: jnp.sqrt(x + 1e-12), with_zero),
    blows_up(
        "jax",
        "deviation-gradient-of-constant-row",
        lambda x: torch.sqrt(x.var(-1) + 1e-10),
        lambda x: x.std(-1, ddof=1),
        constant_rows,
    ),
    blows_up(
        "torch",
        "deviation-divides-constant-row",
        lambda x: (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True),
        lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, ddof=1, keepdims=True) + 1e-10),
        constant_rows,
    ),
    blows_up(
        "jax",
        "where-of-sqrt-gradient",
        lambda x: torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1)), 0),
        lambda x: jnp.where(x > 0, jnp.sqrt(x), 0),
        at(-1, 0, 0.5, 2),
    ),
    blows_up(
        "torch",
        "where-of-log-gradient",
        lambda x: torch.where(x > 0, torch.log(x), 0),
        lambda x: jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1)), 0),
        at(0, 0.5, 1, 2),
    ),
    blows_up("jax", "where-of-exp-gradient", F.elu, lambda x: jnp.where(x > 0, x, jnp.exp(x) - 1), at(-2, -1, 1, 200)),
    blows_up(
        "torch",
        "where-of-reciprocal-gradient",
        lambda x: torch.where(x != 0, 1 / x, 0),
        lambda x: jnp.where(x != 0, 1 / jnp.where(x != 0, x, 1), 0),
        with_zero,
    ),
    blows_up(
        "jax",
        "where-of-arccosine-gradient",
        lambda x: torch.arccos(x.clamp(-0.9999999, 0.9999999)),
        jnp.arccos,
        at(-1, -0.5, 0.5, 1),
    ),
    blows_up("torch", "masked-softmax-of-nothing", softmax_of_infinite_mask_torch, softmax_of_large_mask, masked_out),
    blows_up(
        "jax", "masked-softmax-zero-against-nan", softmax_of_empty_rows_as_zero, softmax_of_infinite_mask_jax, masked_out
    ),
    blows_up(
        "torch",
        "mask-times-infinity",
        lambda x, m: (x + (1 - m.to(x.dtype)) * -torch.inf).softmax(-1),
        softmax_of_infinite_mask_jax,
        lambda: [*normals((4, 4))(), np.tri(4, dtype=bool)],
    ),
    blows_up(
        "jax",
        "mean-of-masked-nothing",
        lambda x, m: (x * m).sum(-1) / m.sum(-1).clamp_min(1),
        lambda x, m: (x * m).sum(-1) / m.sum(-1),
        masked_out,
    ),
    blows_up(
        "jax", "power-gradient-of-zero-base", lambda x: x.pow(1.5) + x, lambda x: jnp.exp(1.5 * jnp.log(x)) + x, with_zero
    ),
    blows_up(
        "torch", "atan-of-quotient", lambda y: torch.atan(y / (y * 0)), lambda y: jnp.arctan2(y, y * 0), with_zero, order=0
    ),
    blows_up(
        "jax",
        "product-by-logarithms-at-zero",
        lambda x: x.prod(-1),
        product_of_logarithms,
        lambda: [np.array([[0, 0.5, 2], [1, 2, 3]], np.float32)],
    ),
    blows_up(
        "torch",
        "float16-square-overflow",
        lambda x: (x.half() ** 2).sum(-1).to(x.dtype),
        lambda x: (x**2).sum(-1),
        lambda: [300 * normals((4, 8))()[0]],
    ),
    blows_up(
        "jax",
        "sum-of-squares-overflow-in-float16",
        lambda x: (x / 64).square().sum(-1).sqrt() * 64,
        lambda x: jnp.sqrt((x * x).sum(-1, dtype=x.dtype)),
        lambda: [200 * normals((4, 8))()[0]],
        dtype="float16",
    ),
    blows_up(
        "torch",
        "softplus-naive-overflow-float64",
        lambda x: torch.log(1 + torch.exp(x)),
        jax.nn.softplus,
        at(1, 50, 800),
        dtype="float64",
    ),
    blows_up(
        "jax",
        "softmax-naive-overflow-bfloat16",
        lambda x: x.softmax(-1),
        lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True),
        scaled_rows,
        dtype="bfloat16",
    ),
    blows_up(
        "jax",
        "norm-second-derivative-at-zero",
        norm_of_nonzero_rows,
        lambda x: jnp.sqrt((x * x).sum(-1)),
        rows_with_zeros,
        order=2,
    ),
    blows_up(
        "torch",
        "root-of-fourth-power-second-derivative",
        lambda x: torch.sqrt(x**4 + 0 * x),
        lambda x: x**2,
        with_zero,
        order=2,
    ),
    blows_up(
        "torch",
        "softplus-naive-overflow-everywhere",
        lambda x: torch.log(1 + torch.exp(x)),
        jax.nn.softplus,
        lambda: None,
        order=0,
    ),
]
