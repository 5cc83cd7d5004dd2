"""Right results beside something large, and of ids, which have no conditioning."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import integers, normals
from pairs.wrong_neighbours import MASK, large, level, products, torch_norm

(EMBEDDING,) = normals((50, 64))()
(HEAD,) = normals((64, 50), scale=0.125)()


def jax_norm(x):
    centred = x - jnp.mean(x, -1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred * centred, -1, keepdims=True) + 1e-5)


def ids():
    return [integers(50, 2, 8)]


def torch_model(approximate):
    embedding, head = torch.tensor(EMBEDDING), torch.tensor(HEAD)
    return lambda i: F.gelu(embedding[i.long()], approximate=approximate) @ head


def jax_model(approximate):
    embedding, head = jnp.asarray(EMBEDDING), jnp.asarray(HEAD)
    return lambda i: jax.nn.gelu(embedding[i], approximate=approximate) @ head


PAIRS = [
    Pair(
        "product-masked-by-a-constant",
        lambda x, w: (x @ w).masked_fill(torch.tensor(MASK), -1e9),
        lambda x, w: jnp.where(MASK, -1e9, x @ w),
        products,
    ),
    Pair(
        "norm-beside-large-columns",
        lambda x, b: torch.cat([torch_norm(x), b * 2], -1),
        lambda x, b: jnp.concatenate([jax_norm(x), b * 2], -1),
        lambda: [level(), large(16, 4)],
        order=0,
    ),
    Pair(
        "product-with-columns-of-all-sizes",
        lambda x, w: x @ w,
        lambda x, w: x @ w,
        lambda: [products()[0] * np.float32(1e3), products()[1] * np.logspace(-6, 0, 32).astype(np.float32)],
    ),
    Pair("language-model-of-ids", torch_model("tanh"), jax_model(True), ids, order=0),
    Pair("language-model-of-ids-with-erf", torch_model("none"), jax_model(False), ids, order=0),
]
