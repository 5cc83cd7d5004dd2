"""Outputs swapped, transposed, reduced otherwise, left out: faults between a function of torch and one of JAX."""

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from pairs.seeded import normals

from detection.compared import Between
from detection.planting import around, namespace
from detection.verified import Planted, each

X = normals((12, 8))


def output(name, torch_fn, jax_fn, make=X, cause="definition", **options):
    return Between(name=name, kind="outputs", torch=torch_fn, jax=jax_fn, make=make, cause=cause, **options)


def moments(x):
    return x.mean(), x.std(correction=0)


def swapped_halves(own, x, axis):
    m = namespace(x)
    a, b = (m.chunk if m is torch else m.split)(x, 2, axis)
    return own(m.concatenate([b, a], axis), axis=axis)


FAULTS = [
    output(
        "sine and cosine swapped",
        lambda x: (x.sin(), x.cos()),
        lambda x: (jnp.cos(x), jnp.sin(x)),
        outputs=("y[0]", "y[1]"),
    ),
    output("mean and deviation swapped", moments, lambda x: (jnp.std(x), jnp.mean(x)), outputs=("y[0]", "y[1]")),
    output(
        "two entries of a dict swapped",
        lambda x: {"loss": x.square().mean(), "norm": x.norm()},
        lambda x: {"loss": jnp.linalg.norm(x), "norm": jnp.mean(x**2)},
    ),
    output(
        "one of two outputs wrong",
        lambda x: (x.tanh(), x.sigmoid()),
        lambda x: (jnp.tanh(x), jnp.tanh(x)),
        outputs=("y[1]",),
    ),
    output("an output left out", lambda x: (x.tanh(), x.sigmoid()), lambda x: (jnp.tanh(x),), cause="error"),
    output("a square result transposed", lambda x: x.T @ x.tanh(), lambda x: (x.T @ jnp.tanh(x)).T),
    output("a result transposed", lambda x: x @ x[:3].T, lambda x: x[:3] @ x.T, cause="error"),
    output("reduced by the other axis", lambda x: torch.softmax(x, 0), lambda x: jax.nn.softmax(x, -1)),
    output("the sum for the mean", lambda x: x.square().mean(), lambda x: jnp.sum(x**2)),
    output("the batch's mean for each one's", lambda x: x.square().mean(1), lambda x: jnp.full(12, jnp.mean(x**2))),
    output("the deviation of a sample", lambda x: x.std(1), lambda x: jnp.std(x, 1)),
    output("argument order", lambda x, y: x - 2 * y, lambda x, y: y - 2 * x, normals((9,), (9,))),
    output("logits for probabilities", lambda x: torch.softmax(x, -1), lambda x: x),
    output("gelu's two forms", F.gelu, jax.nn.gelu, normals((200,))),
    output("elu's alpha", F.elu, lambda x: jax.nn.elu(x, 1.05), normals((100,))),
    output("leaky relu's slope", F.leaky_relu, lambda x: jax.nn.leaky_relu(x, 0.2), normals((100,))),
    output("a matrix in place of its transpose", lambda x, w: x @ w, lambda x, w: x @ w.T, normals((5, 6), (6, 6))),
    output("indices one off", lambda x: x.argmax(-1), lambda x: jnp.argmax(x, -1) + 1, order=0),
    output("another dtype", lambda x: x.tanh(), lambda x: jnp.tanh(x).astype(jnp.bfloat16), cause="error"),
    output(
        "an output detached",
        lambda x: (x.tanh(), x.sigmoid().detach()),
        lambda x: (jnp.tanh(x), jax.nn.sigmoid(x)),
        cause="missing",
        side="torch",
        outputs=("y[1]",),
    ),
    output("only for arrays of two axes", lambda x: x.tanh() * (1.01 if x.ndim == 2 else 1), jnp.tanh),
    *each(Planted(name="glu: the halves swapped", kind="outputs", of="glu", plant=around(swapped_halves), cause="special")),
]
