"""What no tolerance can mend: a side that raises, another structure, shape or dtype, chance, and changed inputs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import normals

square = normals((16, 16))
two = normals((16, 16), (16, 16))


def broken(side: str | None, name: str, torch_fn: Any, jax_fn: Any, make: Any = square, **rest: Any) -> Pair:
    return Pair(name, torch_fn, jax_fn, make, passes=False, cause="error", side=side, **rest)


def refuse(x: Any) -> Any:
    raise RuntimeError("this side raises")  # a planted fault: the verdict must be `error`, with the side that raised


def assign_in_place(x: Any) -> Any:
    x[0] = 0
    return x


def doubled_in_a_while_loop(x: Any) -> Any:
    """Three doublings, in a loop whose length is known only at its end."""
    return jax.lax.while_loop(lambda state: state[0] < 3, lambda state: (state[0] + 1, state[1] * 2), (0, x))[1]


class WithoutBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return torch.tanh(x)


def scale_data(x: Any) -> Any:
    """torch does not see this change of ``x``."""
    x.data.mul_(2)
    return x + 0


def momentum_in_place(p: Any, m: Any) -> Any:
    m.data.mul_(0.9).add_(p.data)
    return p - 0.1 * m


def sorted_in_place(x: Any) -> Any:
    x.detach().numpy().sort(-1)
    return x * 1


class Dropped(torch.nn.Module):
    """In train mode, as a new module is."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x: Any) -> Any:
        return self.dropout(x)


class Counting(torch.nn.Module):
    """A module whose result depends on how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * (1 + 0.5 / self.calls)


class Running(torch.nn.Module):
    """Its running mean moves at each call and is what it subtracts."""

    mean: Any

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(16))

    def forward(self, x: Any) -> Any:
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean


def noise_from_the_host(x: Any) -> Any:
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    noise = jax.pure_callback(lambda: np.random.standard_normal(shape.shape).astype(shape.dtype), shape)
    return x + jax.lax.stop_gradient(noise)


PAIRS = [
    broken("jax", "jax-not-implemented", torch.tanh, refuse),
    broken("torch", "torch-not-implemented", refuse, jnp.tanh),
    broken("both", "neither-implemented", refuse, refuse),
    broken("both", "shapes-that-do-not-multiply", torch.matmul, jnp.matmul, normals((4, 8), (4, 8))),
    broken("jax", "jax-item-assignment", lambda x: torch.cat([torch.zeros_like(x[:1]), x[1:]]), assign_in_place),
    broken("jax", "jax-method-of-torch", lambda x: x.softmax(-1), lambda x: x.softmax(-1)),
    broken("torch", "torch-method-of-numpy", lambda x: x.astype(torch.float32), lambda x: x.astype(jnp.float32)),
    broken("jax", "jax-reshape-to-another-size", lambda x: x.reshape(-1), lambda x: x.reshape(100)),
    broken("torch", "torch-axis-out-of-range", lambda x: x.sum(2), lambda x: x.sum(1)),
    broken("torch", "torch-backward-not-written", WithoutBackward.apply, jnp.tanh),
    broken("jax", "jax-while-loop-not-reversible", lambda x: x * 8, doubled_in_a_while_loop),
    broken("torch", "torch-relu-in-place-on-a-leaf", lambda x: x.relu_(), jax.nn.relu),
    broken("torch", "torch-changes-its-input-values-only", lambda x: x.mul_(2), lambda x: 2 * x, order=0),
    broken("torch", "torch-changes-its-data", scale_data, lambda x: 2 * x),
    broken("torch", "torch-changes-its-state", momentum_in_place, lambda p, m: p - 0.1 * (0.9 * m + p), two, order=0),
    broken("torch", "torch-sorts-its-input", sorted_in_place, lambda x: jnp.sort(x, -1), order=0),
    broken(
        "torch",
        "torch-clamps-its-input-float64",
        lambda x: x.data.clamp_(-1, 1) + 0 * x,
        lambda x: jnp.clip(x, -1, 1),
        dtype="float64",
        order=0,
    ),
    broken("torch", "dropout-active", lambda x: F.dropout(x, 0.5), lambda x: x),
    broken("torch", "dropout-module-in-train-mode", Dropped(), lambda x: x),
    broken(
        "torch",
        "mask-drawn-inside",
        lambda x: torch.bernoulli(torch.full_like(x, 0.5)) * x,
        lambda x: x / 2,
    ),
    broken("torch", "noise-added", lambda x: x + 0.1 * torch.randn_like(x), lambda x: x),
    broken("torch", "noise-below-a-part-in-a-thousand", lambda x: x * (1 + 1e-3 * torch.rand_like(x)), lambda x: x),
    broken("torch", "rows-shuffled", lambda x: x[torch.randperm(len(x))], lambda x: x),
    broken("torch", "state-that-counts-calls", Counting(), lambda x: 1.5 * x),
    broken("torch", "running-mean-that-moves", Running(), lambda x: x - 0.1 * x.mean(0)),
    broken("jax", "jax-noise-from-the-host", lambda x: x, noise_from_the_host),
    broken(
        "torch",
        "random-features-bfloat16",
        lambda x: x @ torch.randn(16, 16, dtype=x.dtype),
        lambda x: x @ jnp.eye(16, dtype=x.dtype),
        dtype="bfloat16",
    ),
    broken(None, "sum-without-keepdims", lambda x: x.sum(-1, keepdim=True), lambda x: x.sum(-1)),
    broken(None, "mean-of-rows-against-all", lambda x: x.mean(0), lambda x: x.mean()),
    broken(None, "matrix-against-its-flattening", lambda x: x.exp(), lambda x: jnp.exp(x).reshape(-1)),
    broken(None, "outer-against-elementwise", lambda x: x * x, lambda x: x[:, None] * x, normals((16,))),
    broken(None, "scalar-against-one-element", lambda x: x.sum().reshape(1), lambda x: x.sum()),
    broken(None, "transposed-rectangle", lambda x: x, lambda x: x.T, normals((4, 8))),
    broken(
        None,
        "valid-against-same-convolution",
        lambda x: F.conv1d(x[None, None], torch.ones(1, 1, 3, dtype=x.dtype))[0, 0],
        lambda x: jnp.convolve(x, jnp.ones(3, x.dtype), "same"),
        normals((16,)),
    ),
    broken(None, "float64-result-of-float32", lambda x: x.double().exp(), jnp.exp),
    broken(
        None, "float32-result-of-bfloat16", lambda x: x.softmax(-1, dtype=torch.float32), jax.nn.softmax, dtype="bfloat16"
    ),
    broken(None, "float32-result-of-float64", torch.exp, lambda x: jnp.exp(x.astype(jnp.float32)), dtype="float64"),
    broken(None, "float16-result-of-float32", torch.exp, lambda x: jnp.exp(x.astype(jnp.float16))),
    broken(None, "mask-as-float", lambda x: x > 0, lambda x: (x > 0).astype(x.dtype), order=0),
    broken(None, "count-as-float", lambda x: (x > 0).sum(-1), lambda x: (x > 0).astype(x.dtype).sum(-1), order=0),
    broken(
        None,
        "another-key",
        lambda x: {"mean": x.mean(), "var": x.var()},
        lambda x: {"mean": x.mean(), "variance": x.var(ddof=1)},
    ),
    broken(None, "one-more-result", lambda x: (x.sin(), x.cos()), lambda x: (jnp.sin(x), jnp.cos(x), x)),
    broken(None, "one-result-against-a-pair", torch.max, lambda x: (x.max(), x.argmax())),
    broken(None, "key-missing", lambda x: {"loss": x.sum(), "norm": x.norm()}, lambda x: {"loss": x.sum()}),
    broken(None, "nested-against-flat", lambda x: {"a": {"b": x.sin()}}, lambda x: {"a": jnp.sin(x)}),
]
