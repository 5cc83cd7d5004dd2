"""Gathering, scattering, sorting and choosing; integer and boolean results; trees of arguments and of results."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F

from pairs.records import Pair
from pairs.seeded import integers, normals, shuffled


class Summary(NamedTuple):
    mean: object
    spread: object


TABLE = ((20, 6),)
SEGMENTS = 5


def table_and_rows():
    return [*normals(*TABLE)(), integers(20, 4, 7)]


def points_in_segments():
    return [*normals((40, 3))(), integers(SEGMENTS, 40)]


def graph():
    """Nodes, and the two ends of each edge."""
    return [*normals((12, 5), (5, 5))(), integers(12, 30), integers(12, 30, seed=1)]


def torch_segments(x, segment):
    return torch.zeros(SEGMENTS, 3, dtype=x.dtype).index_add(0, segment.long(), x)


def jax_segments(x, segment):
    return jax.ops.segment_sum(x, segment, SEGMENTS)


def torch_segment_softmax(x, segment):
    segment = segment.long()[:, None].expand_as(x)
    top = torch.full((SEGMENTS, 3), -torch.inf, dtype=x.dtype).scatter_reduce(0, segment, x.detach(), "amax")
    weight = torch.exp(x - top.gather(0, segment))
    return weight / torch.zeros(SEGMENTS, 3, dtype=x.dtype).scatter_add(0, segment, weight).gather(0, segment)


def jax_segment_softmax(x, segment):
    own = segment[:, None] == segment
    return jnp.stack(
        [jnp.sum(jax.nn.softmax(jnp.where(own, c, -jnp.inf), 1) * jnp.eye(40, dtype=x.dtype), 1) for c in x.T], 1
    )


def torch_messages(x, w, source, target):
    messages = F.relu(x[source.long()] @ w)
    return x + torch.zeros_like(x).index_add(0, target.long(), messages)


def jax_messages(x, w, source, target):
    arrives = jax.nn.one_hot(target, 12, dtype=x.dtype)
    return x + arrives.T @ jax.nn.relu(jax.nn.one_hot(source, 12, dtype=x.dtype) @ x @ w)


def torch_experts(x, gate, w):
    weight, chosen = torch.topk(torch.softmax(x @ gate, 1), 2)
    weight = weight / weight.sum(1, keepdim=True)
    return sum(weight[:, i, None] * torch.einsum("nd,nde->ne", x, w[chosen[:, i]]) for i in range(2))


def jax_experts(x, gate, w):
    """Every expert, those not chosen with weight zero."""
    top, chosen = jax.lax.top_k(x @ gate, 2)
    weight = jnp.sum(jax.nn.softmax(top)[:, :, None] * jax.nn.one_hot(chosen, 4, dtype=x.dtype), 1)
    return jnp.einsum("nd,kde,nk->ne", x, w, weight)


def torch_summary(x):
    return {"rows": Summary(x.mean(1), x.std(1)), "total": [x.sum(), x.square().sum().sqrt()]}


def jax_summary(x):
    return {"rows": Summary(x.mean(1), x.std(1, ddof=1)), "total": [x.sum(), jnp.linalg.norm(x)]}


def torch_block(x, p):
    return x + torch.tanh(F.linear(x, p["up"]["w"], p["up"]["b"])) @ p["down"].T


def jax_block(x, p):
    return x + jnp.einsum("dh,nh->nd", p["down"], jnp.tanh(x @ p["up"]["w"].T + p["up"]["b"]))


def block():
    x, w, b, down = normals((9, 6), (16, 6), (16,), (6, 16))()
    return [x, {"up": {"w": w, "b": b}, "down": down}]


PAIRS = [
    Pair("embedding", lambda t, i: F.embedding(i, t), lambda t, i: t[i], table_and_rows),
    Pair(
        "embedding-by-one-hot",
        lambda t, i: F.embedding(i, t),
        lambda t, i: jax.nn.one_hot(i, 20, dtype=t.dtype) @ t,
        table_and_rows,
        order=2,
    ),
    Pair("embedding-bag", lambda t, i: F.embedding_bag(i, t, mode="mean"), lambda t, i: t[i].mean(1), table_and_rows),
    Pair(
        "embedding-tied",
        lambda t, i: F.embedding(i, t) @ t.T,
        lambda t, i: jnp.einsum("abd,vd->abv", t[i], t),
        table_and_rows,
    ),
    Pair(
        "gather",
        lambda x, i: x.gather(1, i.long()),
        lambda x, i: jnp.take_along_axis(x, i, 1),
        lambda: [*normals((8, 9))(), integers(9, 8, 5)],
    ),
    Pair("segment-sum", torch_segments, jax_segments, points_in_segments),
    Pair(
        "segment-sum-by-one-hot",
        torch_segments,
        lambda x, s: jax.nn.one_hot(s, SEGMENTS, dtype=x.dtype).T @ x,
        points_in_segments,
    ),
    Pair("segment-softmax", torch_segment_softmax, jax_segment_softmax, points_in_segments),
    Pair(
        "scatter-add",
        lambda x, i, v: x.index_add(0, i, v),
        lambda x, i, v: x.at[i].add(v),
        lambda: [*normals((9,))(), integers(9, 50), *normals((50,), seed=1)()],
    ),
    Pair("message-passing", torch_messages, jax_messages, graph),
    Pair("mixture-of-experts", torch_experts, jax_experts, normals((10, 6), (6, 4), (4, 6, 3))),
    Pair("sort", lambda x: x.sort().values, jnp.sort, lambda: [shuffled(300)]),
    Pair(
        "sort-descending-rows",
        lambda x: x.sort(1, descending=True).values,
        lambda x: -jnp.sort(-x, 1),
        lambda: [shuffled(8, 30)],
    ),
    Pair("argsort", torch.argsort, jnp.argsort, lambda: [shuffled(300)], order=0),
    Pair("top-k", lambda x: tuple(x.topk(5)), lambda x: tuple(jax.lax.top_k(x, 5)), lambda: [shuffled(8, 30)]),
    Pair(
        "argmax-of-product",
        lambda a, b: (a @ b).argmax(1),
        lambda a, b: jnp.argmax(a @ b, 1),
        normals((30, 20), (20, 9)),
        order=0,
    ),
    Pair("maximum-of-rows", lambda x: x.max(1).values, lambda x: jnp.max(x, 1), lambda: [shuffled(8, 30)]),
    Pair("cumulative-maximum", lambda x: x.cummax(0).values, jax.lax.cummax, lambda: [shuffled(16)]),
    Pair("median", torch.median, jnp.median, lambda: [shuffled(101)]),
    Pair("quantile", lambda x: x.quantile(0.37), lambda x: jnp.quantile(x, 0.37), lambda: [shuffled(100)]),
    Pair(
        "trimmed-mean",
        lambda x: x.sort().values[10:-10].mean(),
        lambda x: jnp.mean(jnp.sort(x)[10:90]),
        lambda: [shuffled(100)],
    ),
    Pair("comparison-of-sums", lambda x: x.sum(1) > 0.5, lambda x: jnp.sum(x, 1) > 0.5, normals((100, 30)), order=0),
    Pair("count-of-positive", lambda x: (x > 0).sum(0), lambda x: jnp.count_nonzero(x > 0, 0), normals((100, 7)), order=0),
    Pair(
        "buckets",
        torch.bucketize,
        lambda x, e: jnp.searchsorted(e, x),
        lambda: [*normals((200,))(), np.linspace(-2, 2, 9, dtype=np.float32)],
        order=0,
    ),
    Pair(
        "masked-select-by-where",
        lambda x, m: x.masked_fill(m, 0).sum(1),
        lambda x, m: jnp.sum(x, 1, where=~m),
        lambda: [*normals((20, 30))(), integers(2, 20, 30) > 0],
    ),
    Pair(
        "integer-beside-float",
        lambda x, n: (x * n, n // 2),
        lambda x, n: (n * x, n >> 1),
        lambda: [*normals((50,))(), integers(100, 50)],
    ),
    Pair("triangles", lambda x: torch.tril(x) @ torch.triu(x), lambda x: jnp.tril(x) @ jnp.triu(x), normals((16, 16))),
    Pair(
        "roll-and-flip", lambda x: x.roll(3, 0).flip(0) * x, lambda x: jnp.roll(x, 3, 0)[::-1] * x, normals((50,)), order=2
    ),
    Pair("differences-of-prefix", lambda x: x.cumsum(0).diff(), lambda x: x[1:], lambda: [1 + shuffled(40)]),
    Pair("several-results", torch_summary, jax_summary, normals((12, 30))),
    Pair("parameters-in-a-tree", torch_block, jax_block, block),
    Pair(
        "list-of-arrays",
        lambda xs: torch.cat([x.flatten() for x in xs]).norm(),
        lambda xs: jnp.sqrt(sum(jnp.vdot(x, x) for x in xs)),
        lambda: [normals((3, 4), (5,), (2, 2, 2))()],
    ),
    Pair("dropout-at-rest", lambda x: F.dropout(x, 0.5, training=False) * 2, lambda x: x + x, normals((100,))),
]
