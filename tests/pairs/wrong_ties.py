"""Choices among many equal entries, and functions that differ at one input alone: nobody is known to be wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from pairs.records import Pair
from pairs.seeded import normals


def ones(*shape):
    return lambda: [np.ones(shape, np.float32)]


def with_zeros():
    (x,) = normals((4, 8))()
    x[0, 2] = x[2, 5] = x[3, 0] = 0
    return [x]


def torch_masked_softmax(x):
    return torch.softmax(x.masked_fill(x == 0, -1e9), -1)


def jax_softmax(x):
    return jax.nn.softmax(x, -1)


def torch_largest(x):
    return torch.max(x, -1).values


def jax_largest(x):
    return jnp.max(x, -1)


def torch_twice_the_gradient(x):
    """The largest entry, with a gradient twice as large as it has."""
    largest = torch.amax(x, -1)
    return 2 * largest - largest.detach()


class OneWrongAtTies(torch.autograd.Function):
    """The largest entry of each row; where a row is tied, one entry of it gets a gradient that no choice gives."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.amax(-1)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        tied = (x == x.amax(-1, keepdim=True)).to(x.dtype)
        shares = tied / tied.sum(-1, keepdim=True)
        if tied[7].sum() > 1:
            shares[7, 3] = 5
        return gradient[:, None] * shares


CHOICE = {"passes": False, "cause": "convention"}
OTHER = {"passes": False, "cause": "definition"}

PAIRS = [
    *(
        Pair(f"largest-of-{k}-equal-entries", torch_largest, jax_largest, ones(1, k), **CHOICE)
        for k in (2, 8, 16, 32, 64, 100)
    ),
    Pair("smallest-of-equal-rows", lambda x: torch.min(x, 0).values, lambda x: jnp.min(x, 0), ones(40, 3), **CHOICE),
    Pair("largest-of-equal-entries-in-many-rows", torch_largest, jax_largest, ones(20, 30), **CHOICE),
    Pair("one-wrong-among-many-ties", OneWrongAtTies.apply, jax_largest, ones(20, 30), side="torch", **OTHER),
    Pair("twice-the-gradient-of-equal-entries", torch_twice_the_gradient, jax_largest, ones(2, 32), **OTHER),
    Pair("softmax-masked-where-zero", torch_masked_softmax, jax_softmax, with_zeros, **OTHER),
    Pair("softmax-masked-where-zero-in-value", torch_masked_softmax, jax_softmax, with_zeros, order=0, **OTHER),
    Pair(
        "another-value-at-zero",
        lambda x: x.abs() + 3 * (x == 0),
        lambda x: jnp.abs(x) + 2 * (x == 0),
        with_zeros,
        order=0,
        **OTHER,
    ),
    # another integer, or truth value, is another result, whatever made the choice
    Pair(
        "index-of-equal-entries-first-against-last",
        lambda x: x.argmax(-1),
        lambda x: x.shape[-1] - 1 - jnp.argmax(x[..., ::-1], -1),
        ones(4, 8),
        order=0,
        **OTHER,
    ),
    Pair(
        "integers-half-to-even-against-up",
        lambda x: (x + 0.5).round().int(),
        lambda x: jnp.floor(x + 1).astype(jnp.int32),
        with_zeros,
        order=0,
        **OTHER,
    ),
    Pair("above-zero-against-from-zero-on", lambda x: x > 0, lambda x: x >= 0, with_zeros, order=0, **OTHER),
]
